//! `/rpc/…`: the server functions, with the status of each error.

use super::{body_limit::MAX_BODY_BYTES, pages::SIGNED_IN};
use crate::{
    domain::error::{DropError, Missing},
    rpc::SignIn,
    server::{
        auth::origin::{self, is_same_origin},
        state::AppState,
    },
};
use axum::{
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use leptos::{
    prelude::*,
    server_fn::{
        ServerFn,
        error::{FromServerFnError, SERVER_FN_ERROR_HEADER},
    },
};
use leptos_axum::handle_server_fns_with_context;

/// Runs a server function. Leptos answers every error with 500; this sets the status of each. A form that was posted without
/// WebAssembly is redirected to the page it came from, with its error in the query.
pub(crate) async fn call(State(state): State<AppState>, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    if !is_same_origin(&parts.headers) {
        return DropError::Forbidden.into_response();
    }
    let Ok(body) = to_bytes(body, MAX_BODY_BYTES).await else { return DropError::BodyTooLarge.into_response() };
    let mut page = referring_page(&parts.headers);
    if parts.uri.path() == SignIn::PATH {
        page = format!("{page}?{SIGNED_IN}");
    }
    // Leptos redirects a plain form to it.
    let page = HeaderValue::try_from(page).unwrap_or(HeaderValue::from_static("/"));
    parts.headers.insert(header::REFERER, page);
    let request = Request::from_parts(parts, Body::from(body));

    let context = move || provide_context(state.clone());
    let response = handle_server_fns_with_context(context, request).await.into_response();
    if response.status() == StatusCode::BAD_REQUEST {
        return DropError::NotFound(Missing::Path).into_response();
    }
    if response.status() != StatusCode::INTERNAL_SERVER_ERROR
        || !response.headers().contains_key(HeaderName::from_static(SERVER_FN_ERROR_HEADER))
    {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
    let error = DropError::de(body.clone());
    parts.status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    Response::from_parts(parts, Body::from(body))
}

/// The page of this site that a form was posted from, without its query, which may contain an earlier error.
fn referring_page(headers: &HeaderMap) -> String {
    let origin = origin::origin(headers);
    let referer = headers.get(header::REFERER).and_then(|referer| referer.to_str().ok()).unwrap_or_default();
    let page = referer.split(['?', '#']).next().unwrap_or_default();
    if page.starts_with(&format!("{origin}/")) { page.to_owned() } else { format!("{origin}/") }
}
