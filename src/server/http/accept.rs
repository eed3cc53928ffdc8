//! What kind of answer a request asks for.

use axum::http::{HeaderMap, header};

/// Whether a browser shows the answer to somebody, as it does after a form.
pub(super) fn shows_a_page(headers: &HeaderMap) -> bool {
    headers
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|accept| accept.contains("text/html"))
}
