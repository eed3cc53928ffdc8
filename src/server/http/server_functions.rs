//! `/rpc/…`: the server functions, with the status of each error.

use super::{
    accept::shows_a_page,
    pages::{SIGNED_IN, with_outcome},
    request_body::read_form,
};
use crate::{
    domain::error::{DropError, Missing},
    rpc::SignIn,
    server::state::AppState,
};
use axum::{
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header},
    response::{IntoResponse, Redirect, Response},
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
    let body = match read_form(&parts.headers, body).await {
        Ok(body) => body,
        Err(error) => return error.into_response(),
    };
    // Leptos redirects a plain form to the page that it came from, with an error in the query.
    let origin = state.config.origins.of_this_site(&parts.headers);
    let outcome = (parts.uri.path() == SignIn::PATH).then_some(SIGNED_IN);
    let page = HeaderValue::try_from(format!("{origin}{}", page_of_form(&state, &parts.headers, outcome)));
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

/// For people who open the address of a form: the page that has it.
pub(crate) async fn lead_to_page(State(state): State<AppState>, headers: HeaderMap) -> Response {
    if shows_a_page(&headers) {
        Redirect::to(&page_of_form(&state, &headers, None)).into_response()
    } else {
        (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, Method::POST.as_str())]).into_response()
    }
}

/// The address of the page that a request came from, with the outcome of its form.
fn page_of_form(state: &AppState, headers: &HeaderMap, outcome: Option<&str>) -> String {
    let page = state.config.origins.referring_page(headers).unwrap_or(Uri::from_static("/"));
    with_outcome(&page, outcome)
}
