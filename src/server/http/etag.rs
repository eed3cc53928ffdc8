//! Answers that are sent again only after a change.

use axum::{
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use headers::{ETag, HeaderMapExt, IfNoneMatch};
use sha2::{Digest, Sha256};

/// A hash of the contents, so that nodes agree; weak, as the response may be compressed.
pub(super) fn etag(contents: &[u8]) -> ETag {
    let etag = format!("W/\"{}\"", BASE64.encode(Sha256::digest(contents)));
    etag.parse().expect("base64 in quotes is a tag")
}

/// 304 for those who have what the tag stands for.
pub(super) fn unless_known(headers: &HeaderMap, etag: ETag, response: impl FnOnce() -> Response) -> Response {
    let is_known = headers.typed_get::<IfNoneMatch>().is_some_and(|known| !known.precondition_passes(&etag));
    let mut response = if is_known { StatusCode::NOT_MODIFIED.into_response() } else { response() };
    response.headers_mut().typed_insert(etag);
    response
}
