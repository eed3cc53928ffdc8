//! Posting forms to server functions without leaving the page.
//!
//! Leptos's `ActionForm` would do this. Together with `leptos_router` and `Suspense` it added 146,088 bytes to the
//! module that the browser downloads (brotli).

use crate::{client::json::read, domain::error::DropError};
use leptos::{prelude::*, task::spawn_local};
use serde::de::DeserializeOwned;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{FormData, HtmlFormElement, RequestInit, Response, SubmitEvent, UrlSearchParams};

/// Posts forms to one server function.
#[derive(Clone, Copy)]
pub struct FormPost {
    /// The server function's path: the form's `action`, which browsers without WebAssembly post to.
    pub path: &'static str,
    /// Whether a request is under way.
    pub pending: RwSignal<bool>,
}

impl FormPost {
    pub fn new(path: &'static str) -> Self {
        Self { path, pending: RwSignal::new(false) }
    }

    /// Posts the form of a submit event and passes the answer to `on_answer`. The browser does not submit the form
    /// itself.
    pub fn send<T: DeserializeOwned>(
        self,
        event: &SubmitEvent,
        on_answer: impl FnOnce(Result<T, DropError>) + 'static,
    ) {
        event.prevent_default();
        let Some(body) = form_fields(event) else { return };
        self.pending.set(true);
        spawn_local(async move {
            on_answer(post(self.path, &body).await);
            self.pending.set(false);
        });
    }
}

fn form_fields(event: &SubmitEvent) -> Option<UrlSearchParams> {
    let form: HtmlFormElement = event.target()?.dyn_into().ok()?;
    let fields = FormData::new_with_form(&form).ok()?;
    UrlSearchParams::new_with_str_sequence_sequence(&fields).ok()
}

/// Calls the server function at `path` with the fields in `body`.
///
/// Besides the server's own errors: `Unreachable` if the request failed, `Internal` if the answer could not be read.
pub async fn post<T: DeserializeOwned>(path: &str, body: &UrlSearchParams) -> Result<T, DropError> {
    match fetch(path, body).await {
        Ok((true, json)) => read(&json).ok_or(DropError::Internal),
        Ok((false, json)) => Err(read(&json).unwrap_or(DropError::Internal)),
        Err(_) => Err(DropError::Unreachable),
    }
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
