//! `/rpc/…`: the server functions, with the status of each error.

use super::{pages::SIGNED_IN, request_body::read_body};
use crate::{
    domain::error::{DropError, Missing},
    rpc::SignIn,
    server::state::AppState,
    ui::router::Page,
};
use axum::{
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{HeaderName, HeaderValue, StatusCode, header},
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
    let body = match read_body(&parts.headers, body).await {
        Ok(body) => body,
        Err(error) => return error.into_response(),
    };
    // Leptos redirects a plain form to the page that it came from, with an error in the query.
    let origin = state.config.origins.of_this_site(&parts.headers);
    let page = state.config.origins.referring_path(&parts.headers).unwrap_or_else(|| Page::Dashboard.to_string());
    let query = if parts.uri.path() == SignIn::PATH { format!("?{SIGNED_IN}") } else { String::new() };
    let page = HeaderValue::try_from(format!("{origin}{page}{query}"));
    parts.headers.insert(header::REFERER, page.unwrap_or(HeaderValue::from_static("/")));
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
