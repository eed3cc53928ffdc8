//! Posting forms to server functions without leaving the page.
//!
//! Leptos's `ActionForm` would do this. Together with `leptos_router` and `Suspense` it added 146,088 bytes to the
//! module that the browser downloads (brotli).

use crate::{
    client::json::{Unreadable, read},
    domain::error::DropError,
};
use leptos::{logging::warn, prelude::*, server_fn::ServerFn, task::spawn_local};
use serde::de::DeserializeOwned;
use std::marker::PhantomData;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{FormData, HtmlFormElement, RequestInit, Response, SubmitEvent, UrlSearchParams};

/// Posts forms to the server function `F`.
pub struct FormPost<F> {
    /// Whether a request is under way.
    pub pending: RwSignal<bool>,
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
        Self { pending: RwSignal::new(false), function: PhantomData }
    }
}

impl<F: ServerFn<Output: DeserializeOwned, Error = DropError>> FormPost<F> {
    /// The form's `action`, which browsers without WebAssembly post to.
    pub fn path(self) -> &'static str {
        F::PATH
    }

    /// Posts the form of a submit event and passes the answer to `on_answer`. The browser does not submit the form
    /// itself.
    pub fn send(self, event: &SubmitEvent, on_answer: impl FnOnce(Result<F::Output, DropError>) + 'static) {
        event.prevent_default();
        let Some(body) = form_fields(event) else { return };
        self.pending.set(true);
        spawn_local(async move {
            on_answer(post::<F>(&body).await);
            self.pending.set(false);
        });
    }
}

fn form_fields(event: &SubmitEvent) -> Option<UrlSearchParams> {
    let form: HtmlFormElement = event.target()?.dyn_into().ok()?;
    let fields = FormData::new_with_form(&form).ok()?;
    UrlSearchParams::new_with_str_sequence_sequence(&fields).ok()
}

/// Calls a server function with the fields in `body`.
///
/// Besides the server's own errors: `Unreachable` if the request failed, `Internal` if the answer could not be read.
pub async fn post<F>(body: &UrlSearchParams) -> Result<F::Output, DropError>
where
    F: ServerFn<Output: DeserializeOwned, Error = DropError>,
{
    match fetch(F::PATH, body).await {
        Ok((true, json)) => read(&json).map_err(unreadable),
        Ok((false, json)) => Err(read(&json).unwrap_or_else(unreadable)),
        Err(_) => Err(DropError::Unreachable),
    }
}

fn unreadable(error: Unreadable) -> DropError {
    warn!("an answer could not be read: {error}");
    DropError::Internal
}

/// Returns whether the status is a success, and the response's text. Fails if the network does.
async fn fetch(path: &str, body: &UrlSearchParams) -> Result<(bool, String), JsValue> {
    let request = RequestInit::new();
    request.set_method("POST");
    request.set_body(body);
    let response: Response = JsFuture::from(window().fetch_with_str_and_init(path, &request)).await?.unchecked_into();
    let text = JsFuture::from(response.text()?).await?;
    Ok((response.ok(), text.as_string().unwrap_or_default()))
}
