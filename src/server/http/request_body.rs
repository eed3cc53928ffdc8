//! Reading a request's body within limits.

use crate::domain::error::DropError;
use axum::{
    body::{Body, Bytes, to_bytes},
    http::{HeaderMap, header},
};
use http_body_util::LengthLimitError;
use std::error::Error;

/// Reads the whole body.
pub(crate) async fn read_body(headers: &HeaderMap, body: Body) -> Result<Bytes, DropError> {
    let is_plain = headers.get(header::CONTENT_ENCODING).is_none_or(|encoding| encoding == "identity");
    if !is_plain {
        return Err(DropError::WrongContentType);
    }
    to_bytes(body, MAX_BODY_BYTES).await.map_err(|error| match error.source() {
        Some(cause) if cause.is::<LengthLimitError>() => DropError::BodyTooLarge,
        _ => DropError::BodyTimedOut,
    })
}

/// Larger bodies are answered with 413.
const MAX_BODY_BYTES: usize = 64 * 1024;
