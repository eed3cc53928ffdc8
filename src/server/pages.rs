//! The pages and their server functions, as Leptos serves them: rendered with a nonce for the Content-Security-Policy,
//! called with errors that carry their status.

use super::{
    AppState,
    rest::MAX_BODY_BYTES,
    session::{self, Caller, is_same_origin},
};
use crate::{
    app::{App, shell},
    error::{DropError, Missing},
};
use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header, request::Parts},
    middleware::{Next, from_fn},
    response::{IntoResponse, Response},
    routing::post,
};
use leptos::{
    nonce::use_nonce,
    prelude::*,
    server_fn::error::{FromServerFnError, SERVER_FN_ERROR_HEADER},
};
use leptos_axum::{
    LeptosRoutes, ResponseOptions, generate_route_list, handle_server_fns_with_context, render_app_async_with_context,
};
use tower_http::services::ServeDir;

/// File names under `/pkg` change with their contents…
const IMMUTABLE: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

/// … except while developing, where names stay and a change must show at once.
const NO_CACHE: HeaderValue = HeaderValue::from_static("no-cache");

/// Pictures and icons keep their names, so that a change must show within a day.
const FOR_A_DAY: HeaderValue = HeaderValue::from_static("public, max-age=86400");

/// Pages, server functions and files.
pub(crate) fn routes(state: &AppState) -> Router<AppState> {
    let options = state.leptos.clone();
    let context = page_context(state);
    let document = {
        let options = options.clone();
        move || shell(options.clone())
    };
    let page = render_app_async_with_context(context.clone(), document.clone());
    let not_found = render_app_async_with_context(
        move || {
            context();
            expect_context::<ResponseOptions>().set_status(StatusCode::NOT_FOUND);
        },
        document,
    );
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
    Router::new()
        .leptos_routes_with_handler(generate_route_list(App), move |request: Request| page(request))
        .route("/rpc/{*function}", post(server_function))
        .route_service(
            &format!("/{}/{{*file}}", options.site_pkg_dir),
            tower::ServiceBuilder::new()
                .layer(files(if options.hash_files { IMMUTABLE } else { NO_CACHE }))
                .service(site.clone()),
        )
        .fallback_service(tower::ServiceBuilder::new().layer(files(FOR_A_DAY)).service(site.fallback(
            tower::service_fn(move |request| {
                let page = not_found(request);
                async { Ok(page.await) }
            }),
        )))
}

/// What pages find in their context, and the headers that depend on the page.
fn page_context(state: &AppState) -> impl Fn() + Clone + Send + Sync + 'static {
    let state = state.clone();
    move || {
        let response = expect_context::<ResponseOptions>();
        let path = expect_context::<Parts>().uri;
        if is_unknown_drop(&state, &path) {
            response.set_status(StatusCode::NOT_FOUND);
        }
        if let Some(nonce) = use_nonce() {
            response.insert_header(header::CONTENT_SECURITY_POLICY, content_security_policy(&nonce));
        }
        response.insert_header(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        provide_context(state.clone());
    }
}

fn is_unknown_drop(state: &AppState, uri: &Uri) -> bool {
    let wanted = uri.path().strip_prefix("/drops/").map(|id| id.parse().ok().and_then(|id| state.catalog.get(id)));
    matches!(wanted, Some(None))
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
    pub(crate) headers: HeaderMap,
    response: ResponseOptions,
}

/// Reads the request from the context that [`routes`] provides.
pub(crate) fn request() -> Result<ServerRequest, DropError> {
    let context = (use_context::<AppState>(), use_context::<Parts>(), use_context::<ResponseOptions>());
    let (Some(state), Some(parts), Some(response)) = context else { return Err(DropError::Internal) };
    let caller = Caller::from_headers(&state, &parts.headers);
    Ok(ServerRequest { state, caller, headers: parts.headers, response })
}

impl ServerRequest {
    /// Gives the page that is rendered for this request the status of an error.
    pub(crate) fn set_status(&self, error: &DropError) {
        if let Ok(status) = StatusCode::from_u16(error.status()) {
            self.response.set_status(status);
        }
    }

    /// Adds cookies to the answer.
    pub(crate) fn set_cookies(&self, cookies: impl IntoIterator<Item = HeaderValue>) {
        for cookie in cookies {
            self.response.append_header(header::SET_COOKIE, cookie);
        }
    }
}
