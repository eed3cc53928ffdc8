//! The pages and their server functions, as Leptos serves them: rendered with a nonce for the Content-Security-Policy,
//! called with errors that carry their status.

use super::{
    AppState, accounts,
    document::shell,
    rest::MAX_BODY_BYTES,
    session::{self, Caller, is_same_origin},
};
use crate::{
    domain::Snapshot,
    domain::error::{DropError, Missing},
    text,
    ui::app::FirstPaint,
    ui::router::Page,
};
use any_spawner::Executor;
use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Query, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header, request::Parts},
    middleware::{Next, from_fn},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use leptos::{
    nonce::use_nonce,
    prelude::*,
    server_fn::error::{FromServerFnError, SERVER_FN_ERROR_HEADER, ServerFnUrlError},
};
use leptos_axum::{ResponseOptions, handle_server_fns_with_context, render_app_async_with_context};
use std::collections::HashMap;
use tower_http::services::ServeDir;

/// File names under `/pkg` change with their contents…
const IMMUTABLE: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

/// … except while developing, where names stay and a change must show at once.
const NO_CACHE: HeaderValue = HeaderValue::from_static("no-cache");

/// Pictures and icons keep their names, so that a change must show within a day.
const FOR_A_DAY: HeaderValue = HeaderValue::from_static("public, max-age=86400");

/// Pages, server functions and files.
pub(crate) fn routes(state: &AppState) -> Router<AppState> {
    // Only the first call in a process has anything to do.
    let _ = Executor::init_tokio();
    let options = &state.leptos;
    let files = |cache_control: HeaderValue| {
        from_fn(move |request: Request, next: Next| {
            let cache_control = cache_control.clone();
            async move {
                let mut response = next.run(request).await;
                if response.status().is_success() || response.status() == StatusCode::NOT_MODIFIED {
                    response.headers_mut().insert(header::CACHE_CONTROL, cache_control);
                }
                response
            }
        })
    };
    let site = ServeDir::new(&*options.site_root)
        .append_index_html_on_directories(false)
        .precompressed_br()
        .precompressed_gzip();
    let not_found = {
        let state = state.clone();
        tower::service_fn(move |request| {
            let page = page(State(state.clone()), request);
            async { Ok(page.await) }
        })
    };
    Router::new()
        .route("/", get(page))
        .route("/drops/{id}", get(page))
        .route("/purchases", get(page))
        .route("/rpc/{*function}", post(server_function))
        .route_service(
            &format!("/{}/{{*file}}", options.site_pkg_dir),
            tower::ServiceBuilder::new()
                .layer(files(if options.hash_files { IMMUTABLE } else { NO_CACHE }))
                .service(site.clone()),
        )
        .fallback_service(tower::ServiceBuilder::new().layer(files(FOR_A_DAY)).service(site.fallback(not_found)))
}

/// Renders the page at an address, all of it in one piece: what it shows is known before the first tag.
async fn page(State(state): State<AppState>, request: Request) -> Response {
    let first_paint = first_paint(&state, request.uri(), request.headers()).await;
    let status = status(&first_paint);
    let options = state.leptos.clone();
    let context = move || {
        let response = expect_context::<ResponseOptions>();
        response.set_status(status);
        if let Some(nonce) = use_nonce() {
            response.insert_header(header::CONTENT_SECURITY_POLICY, content_security_policy(&nonce));
        }
        response.insert_header(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    };
    let document = move || shell(options.clone(), first_paint.clone(), use_nonce().map(|nonce| nonce.to_string()));
    render_app_async_with_context(context, document)(request).await
}

async fn first_paint(state: &AppState, uri: &Uri, headers: &HeaderMap) -> FirstPaint {
    let caller = Caller::from_headers(state, headers);
    let mut snapshot = snapshot(state, &caller, headers).await;
    let address = uri.path_and_query().map_or("/", |address| address.as_str());
    // Its own page lists more purchasers than a card.
    if let (Page::Drop(id), Ok(snapshot)) = (Page::at(address), &mut snapshot)
        && let Some(drop) = snapshot.drops.iter_mut().find(|drop| drop.id == id)
    {
        drop.latest_purchasers = state.catalog.purchasers(id).unwrap_or_default();
    }
    let Query(query) = Query::<HashMap<String, String>>::try_from_uri(uri).unwrap_or_default();
    let notice = query.get("__err").map(|error| spoken(ServerFnUrlError::decode_err(error)));
    FirstPaint { address: address.into(), notice, snapshot }
}

async fn snapshot(state: &AppState, caller: &Caller, headers: &HeaderMap) -> Result<Snapshot, DropError> {
    let visitor = match caller.user.clone() {
        Some(user) => Some(accounts::visitor(&state.pool, user).await?),
        None => None,
    };
    let catalog = &state.catalog;
    Ok(Snapshot { now: catalog.now(), origin: session::origin(headers), drops: catalog.drops(), visitor })
}

fn status(FirstPaint { address, snapshot, .. }: &FirstPaint) -> StatusCode {
    let is_there = |id| snapshot.as_ref().is_ok_and(|snapshot| snapshot.drops.iter().any(|drop| drop.id == id));
    match (Page::at(address), snapshot) {
        (Page::NotFound, _) => StatusCode::NOT_FOUND,
        (_, Err(error)) => StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
        (Page::Drop(id), Ok(_)) if !is_there(id) => StatusCode::NOT_FOUND,
        _ => StatusCode::OK,
    }
}

/// Anyone can write a link with an error in its query, so that nothing is said in words that come from there.
fn spoken(error: DropError) -> String {
    match error {
        DropError::Invalid { field, .. } if field == "username" => text::USERNAME_RULE.into(),
        DropError::Invalid { .. } | DropError::MalformedBody(_) => DropError::Internal.to_string(),
        DropError::SizeRequired { .. } => DropError::SizeRequired { sizes_left: vec![] }.to_string(),
        DropError::UnknownSize { .. } => DropError::UnknownSize { sizes_left: vec![] }.to_string(),
        other => other.to_string(),
    }
}

fn content_security_policy(nonce: &str) -> HeaderValue {
    // `cargo leptos watch` reloads the page over a socket on a port of its own.
    let reload = if std::env::var_os("LEPTOS_WATCH").is_some() { " ws:" } else { "" };
    let policy = format!(
        "default-src 'none'; script-src 'self' 'nonce-{nonce}' 'wasm-unsafe-eval'; style-src 'self'; font-src 'self'; \
         img-src 'self' https:; connect-src 'self'{reload}; manifest-src 'self'; base-uri 'none'; form-action 'self'; \
         frame-ancestors 'none'"
    );
    HeaderValue::try_from(policy).expect("a nonce is base64")
}

/// Runs a server function. Leptos answers every error with 500; this gives each its own status. A plain form, of a page
/// without WebAssembly, is sent back to the page it came from, its error in the query.
async fn server_function(State(state): State<AppState>, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    if !is_same_origin(&parts.headers) {
        return DropError::Forbidden.into_response();
    }
    let Ok(body) = to_bytes(body, MAX_BODY_BYTES).await else { return DropError::BodyTooLarge.into_response() };
    let referer = page_of(&parts.headers);
    parts.headers.insert(header::REFERER, referer);
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

/// The page of ours that a form was sent from, without what an earlier error left in its query.
fn page_of(headers: &HeaderMap) -> HeaderValue {
    let origin = session::origin(headers);
    let referer = headers.get(header::REFERER).and_then(|referer| referer.to_str().ok()).unwrap_or_default();
    let page = referer.split(['?', '#']).next().unwrap_or_default();
    let page = if page.starts_with(&format!("{origin}/")) { page.to_owned() } else { format!("{origin}/") };
    HeaderValue::try_from(page).unwrap_or(HeaderValue::from_static("/"))
}

/// The request that a server function runs for.
pub(crate) struct ServerRequest {
    pub(crate) state: AppState,
    pub(crate) caller: Caller,
    response: ResponseOptions,
}

/// Reads the request from the context that [`routes`] provides.
pub(crate) fn request() -> Result<ServerRequest, DropError> {
    let context = (use_context::<AppState>(), use_context::<Parts>(), use_context::<ResponseOptions>());
    let (Some(state), Some(parts), Some(response)) = context else { return Err(DropError::Internal) };
    let caller = Caller::from_headers(&state, &parts.headers);
    Ok(ServerRequest { state, caller, response })
}

impl ServerRequest {
    /// Adds cookies to the answer.
    pub(crate) fn set_cookies(&self, cookies: impl IntoIterator<Item = HeaderValue>) {
        for cookie in cookies {
            self.response.append_header(header::SET_COOKIE, cookie);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forged_link_puts_no_words_on_the_page() {
        let forged = "Send your card number to evil.test";
        for error in [
            DropError::invalid(forged, forged),
            DropError::invalid("username", forged),
            DropError::MalformedBody(forged.into()),
            DropError::SizeRequired { sizes_left: vec![forged.into()] },
            DropError::UnknownSize { sizes_left: vec![forged.into()] },
        ] {
            assert!(!spoken(error).contains("evil.test"));
        }
    }
}
