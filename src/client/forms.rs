//! Calling a server function: what a plain form would post, posted in place.

use crate::{client::json::read, domain::error::DropError};
use leptos::{prelude::*, task::spawn_local};
use serde::de::DeserializeOwned;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{FormData, HtmlFormElement, RequestInit, Response, SubmitEvent, UrlSearchParams};

/// Where forms of one kind go, and whether the server is answering to one.
#[derive(Clone, Copy)]
pub struct FormPost {
    /// The server function's path.
    pub path: &'static str,
    /// Whether an answer is awaited.
    pub pending: RwSignal<bool>,
}

impl FormPost {
    /// To the server function at this path.
    pub fn new(path: &'static str) -> Self {
        Self { path, pending: RwSignal::new(false) }
    }

    /// Sends the form instead of the browser, which would leave the page for it.
    pub fn send<T: DeserializeOwned>(self, event: &SubmitEvent, answered: impl FnOnce(Result<T, DropError>) + 'static) {
        event.prevent_default();
        let Some(body) = fields(event) else { return };
        self.pending.set(true);
        spawn_local(async move {
            answered(post(self.path, &body).await);
            self.pending.set(false);
        });
    }
}

/// What a form posts.
fn fields(event: &SubmitEvent) -> Option<UrlSearchParams> {
    let form: HtmlFormElement = event.target()?.dyn_into().ok()?;
    let fields = FormData::new_with_form(&form).ok()?;
    UrlSearchParams::new_with_str_sequence_sequence(&fields).ok()
}

/// Calls the server function at `path`.
pub async fn post<T: DeserializeOwned>(path: &str, body: &UrlSearchParams) -> Result<T, DropError> {
    match answer(path, body).await {
        Ok((true, json)) => read(&json).ok_or(DropError::Internal),
        Ok((false, json)) => Err(read(&json).unwrap_or(DropError::Internal)),
        Err(_) => Err(DropError::Unreachable),
    }
}

/// The text that the server answers with, and whether it is what was asked for. An error is one of the network.
async fn answer(path: &str, body: &UrlSearchParams) -> Result<(bool, String), JsValue> {
    let request = RequestInit::new();
    request.set_method("POST");
    request.set_body(body);
    let response: Response = JsFuture::from(window().fetch_with_str_and_init(path, &request)).await?.unchecked_into();
    let text = JsFuture::from(response.text()?).await?;
    Ok((response.ok(), text.as_string().unwrap_or_default()))
}
