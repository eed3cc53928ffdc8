//! Forms that a page of the desk posts.

use crate::{
    domain::error::DropError,
    server::{http::request_body::read_form, inventory::IdempotencyKey, state::AppState},
};
use axum::{
    body::Body,
    extract::{FromRequest, Request},
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};

/// A number that tells the form of one page from those of others.
pub(super) fn new_form() -> String {
    // Without random numbers, a form that is sent twice counts twice.
    getrandom::u64().map(|number| format!("{number:016x}")).unwrap_or_default()
}

/// So that a form that is sent twice counts once, and one that was changed in between, or is sent by another button, is another.
/// `form` is as [`new_form`] made it, `fields` all that was sent.
pub(super) fn idempotency_key(form: &str, fields: &impl Serialize) -> Option<IdempotencyKey> {
    if form.is_empty() {
        return None;
    }
    let digest = Sha256::digest(serde_json::to_vec(fields).ok()?);
    IdempotencyKey::try_from(&*format!("form-{}", BASE64_URL_SAFE_NO_PAD.encode(digest))).ok()
}

/// The fields of a form.
pub(super) struct Form<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<AppState> for Form<T> {
    type Rejection = DropError;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, DropError> {
        let (parts, body) = request.into_parts();
        let body = read_form(&parts.headers, body).await?;
        let request = Request::from_parts(parts, Body::from(body));
        let form = axum::Form::from_request(request, state).await;
        form.map(|axum::Form(form)| Self(form)).map_err(|error| DropError::MalformedBody(error.body_text()))
    }
}
