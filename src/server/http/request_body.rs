//! Reading a request's body within limits.

use crate::{domain::error::DropError, text};
use axum::{
    body::{Body, Bytes, to_bytes},
    http::{HeaderMap, header},
};
use http_body_util::LengthLimitError;
use percent_encoding::percent_decode;
use std::error::Error;
use tower_http::timeout::TimeoutError;

/// Reads the fields of a form. One that is not UTF-8 is refused: decoders replace what they cannot read by the same character,
/// and different names would become one.
pub(crate) async fn read_form(headers: &HeaderMap, body: Body) -> Result<Bytes, DropError> {
    let body = read_body(headers, body).await?;
    match body.split(|byte| *byte == b'&').find(|field| percent_decode(field).decode_utf8().is_err()) {
        Some(field) => {
            let name = field.split(|byte| *byte == b'=').next().unwrap_or_default();
            Err(DropError::invalid(percent_decode(name).decode_utf8_lossy(), text::UTF8_RULE))
        }
        None => Ok(body),
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_form_is_text_however_it_is_encoded() {
        let read = async |form: &'static [u8]| read_form(&HeaderMap::new(), Body::from(form)).await;
        for text in [&b""[..], b"a=1&b", b"a=%C3%A9", b"a=\xc3\xa9", b"a=100%&b=%zz", b"a=%00"] {
            assert_eq!(read(text).await.as_deref(), Ok(text));
        }
        for (form, field) in [
            (&b"a=\xff"[..], "a"),
            (b"a=1&b=%fe&c=%ff", "b"),
            (b"a=%C3&b=%A9", "a"),
            (b"a=%C3+%A9", "a"),
            (b"a=%ED%A0%80", "a"),
            (b"%62=%C0%80", "b"),
            (b"%ff=1", "\u{fffd}"),
        ] {
            assert_eq!(read(form).await, Err(DropError::invalid(field, text::UTF8_RULE)));
        }
    }
}
