//! Calling server functions without leaving the page.
//!
//! Leptos's `ActionForm` would do this. Together with `leptos_router` and `Suspense` it added 146,088 bytes to the
//! module that the browser downloads (brotli).

use crate::{
    client::json::{Unreadable, read},
    client::schedule::after,
    domain::error::DropError,
};
use js_sys::Array;
use leptos::{logging::warn, prelude::*, server_fn::ServerFn, task::spawn_local};
use serde::de::DeserializeOwned;
use std::marker::PhantomData;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{AbortController, FormData, Headers, HtmlFormElement, RequestInit, Response, UrlSearchParams};

/// Calls of the server function `F`, one at a time.
pub struct FormPost<F> {
    /// Whether a call is under way.
    pub pending: RwSignal<bool>,
    /// The number of the latest call.
    call: StoredValue<u32>,
    function: PhantomData<fn() -> F>,
}

impl<F> Clone for FormPost<F> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<F> Copy for FormPost<F> {}

impl<F> Default for FormPost<F> {
    fn default() -> Self {
        Self { pending: RwSignal::new(false), call: StoredValue::new(0), function: PhantomData }
    }
}

impl<F: ServerFn<Output: DeserializeOwned, Error = DropError> + 'static> FormPost<F> {
    /// The form's `action`, which browsers without WebAssembly post to.
    pub fn path(self) -> &'static str {
        F::PATH
    }

    /// Calls the function with these fields and passes the answer to `on_answer`, unless the call is
    /// [settled](Self::settle) or repeated before.
    pub fn send(self, fields: UrlSearchParams, on_answer: impl FnOnce(Result<F::Output, DropError>) + 'static) {
        self.settle();
        self.pending.set(true);
        let answer = move |answer| on_answer(read_answer::<F>(answer));
        send(F::PATH, fields, self.pending, self.call, Box::new(answer));
    }

    /// Ends the call, because its outcome is known otherwise or concerns nobody any more.
    pub fn settle(self) {
        settle(self.pending, self.call);
    }
}

/// The part of [`FormPost::send`] that is the same for all functions, compiled once.
fn send(
    path: &'static str,
    fields: UrlSearchParams,
    pending: RwSignal<bool>,
    call: StoredValue<u32>,
    on_answer: Box<dyn FnOnce(Answer)>,
) {
    let number = call.get_value();
    spawn_local(async move {
        let answer = fetch(path, Some(&fields)).await;
        if call.get_value() == number {
            settle(pending, call);
            on_answer(answer);
        }
    });
}

fn settle(pending: RwSignal<bool>, call: StoredValue<u32>) {
    call.update_value(|call| *call += 1);
    pending.maybe_update(std::mem::take);
}

/// The fields of a form.
pub fn form_fields(form: &HtmlFormElement) -> Option<UrlSearchParams> {
    let fields = FormData::new_with_form(form).ok()?;
    UrlSearchParams::new_with_str_sequence_sequence(&fields).ok()
}

/// The fields that have a value.
pub fn fields<const N: usize>(values: [(&str, Option<String>); N]) -> UrlSearchParams {
    let fields = UrlSearchParams::new().expect("nothing to read, so nothing that could be wrong");
    for (name, value) in values {
        if let Some(value) = value {
            fields.append(name, &value);
        }
    }
    fields
}

/// Calls a server function with these fields.
///
/// Besides the server's own errors: `Unreachable` if the request failed, `Unknown` if no answer came in time, `Internal` if
/// the answer could not be read.
pub async fn post<F>(fields: &UrlSearchParams) -> Result<F::Output, DropError>
where
    F: ServerFn<Output: DeserializeOwned, Error = DropError>,
{
    read_answer::<F>(fetch(F::PATH, Some(fields)).await)
}

/// Whether the server can be reached. A proxy in front of one that is gone answers with a status from 500 on.
pub async fn is_reachable() -> bool {
    matches!(fetch("/healthz", None).await, Ok((..500, _)))
}

fn read_answer<F>(answer: Answer) -> Result<F::Output, DropError>
where
    F: ServerFn<Output: DeserializeOwned, Error = DropError>,
{
    match answer? {
        (200, json) => read(&json).map_err(unreadable),
        (_, json) => Err(read(&json).unwrap_or_else(unreadable)),
    }
}

fn unreadable(error: Unreadable) -> DropError {
    warn!("an answer could not be read: {error}");
    DropError::Internal
}

/// How long an answer may take.
const ANSWER_TIMEOUT_MS: u32 = 10_000;

/// The status and the text.
type Answer = Result<(u16, String), DropError>;

/// Posts the body, if there is one.
async fn fetch(path: &str, body: Option<&UrlSearchParams>) -> Answer {
    let request = RequestInit::new();
    if let Some(body) = body {
        request.set_method("POST");
        request.set_body(body);
    }
    let (response, text) = send_request(path, request).await?;
    Ok((response.status(), text))
}

/// Asks for what is at a path. Returns the headers, and the text if `etag` does not stand for it.
pub(crate) async fn get_changed(path: &str, etag: &str) -> Result<(Headers, String), DropError> {
    let request = RequestInit::new();
    request.set_headers(&Array::of1(&Array::of2(&"if-none-match".into(), &etag.into())));
    let (response, text) = send_request(path, request).await?;
    Ok((response.headers(), text))
}

async fn send_request(path: &str, request: RequestInit) -> Result<(Response, String), DropError> {
    let unreachable = |_: JsValue| DropError::Unreachable;
    let abort = AbortController::new().map_err(unreachable)?;
    let signal = abort.signal();
    request.set_signal(Some(&signal));
    // Dropped, and with it cancelled, when this function returns.
    let _timeout = after(ANSWER_TIMEOUT_MS, move || abort.abort());
    let answer = async {
        let response = JsFuture::from(window().fetch_with_str_and_init(path, &request)).await?;
        let response: Response = response.unchecked_into();
        let text = JsFuture::from(response.text()?).await?;
        Ok((response, text.as_string().unwrap_or_default()))
    };
    answer.await.map_err(|error| if signal.aborted() { DropError::Unknown } else { unreachable(error) })
}
