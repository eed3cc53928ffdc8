//! Reading a request's body within limits.

use crate::domain::error::DropError;
use axum::{
    body::{Body, Bytes, to_bytes},
    http::{HeaderMap, header},
};
use http_body_util::LengthLimitError;
use std::error::Error;
use tower_http::timeout::TimeoutError;

/// Reads the whole body.
pub(crate) async fn read_body(headers: &HeaderMap, body: Body) -> Result<Bytes, DropError> {
    let is_plain = headers.get(header::CONTENT_ENCODING).is_none_or(|encoding| encoding == "identity");
    if !is_plain {
        return Err(DropError::WrongContentType);
    }
    to_bytes(body, MAX_BODY_BYTES).await.map_err(|error| match error {
        error if has_cause::<LengthLimitError>(&error) => DropError::BodyTooLarge,
        error if has_cause::<TimeoutError>(&error) => DropError::BodyTimedOut,
        _ => DropError::MalformedBody("it is not complete, or its chunks are not what they say".into()),
    })
}

fn has_cause<T: Error + 'static>(error: &(dyn Error + 'static)) -> bool {
    error.is::<T>() || error.source().is_some_and(has_cause::<T>)
}

/// Larger bodies are answered with 413.
const MAX_BODY_BYTES: usize = 64 * 1024;
