//! Forms that a page of the desk posts.

use crate::{
    domain::error::DropError,
    server::{http::request_body::read_form, state::AppState},
};
use axum::{
    body::Body,
    extract::{FromRequest, Request},
};
use serde::de::DeserializeOwned;

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
