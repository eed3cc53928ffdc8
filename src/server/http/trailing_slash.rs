//! Addresses with a slash too many at their end.

use axum::{
    http::Uri,
    response::{IntoResponse, Redirect, Response},
};

/// Redirects to the address without the slashes at its end; `None` if it has none. The method and the body stay.
pub(crate) fn without_trailing_slash(uri: &Uri) -> Option<Response> {
    let path = uri.path().trim_end_matches('/');
    // What begins with two slashes would be an address on another host.
    let is_fine = path.len() < uri.path().len() && !path.is_empty() && !path.starts_with("//");
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    is_fine.then(|| Redirect::permanent(&format!("{path}{query}")).into_response())
}
