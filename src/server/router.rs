//! Every route and every layer.

use super::{
    http::{address, admin, api, assets, calendar, health, pages, security, server_functions, snapshot},
    realtime::{socket, socket_io},
    state::AppState,
};
use crate::domain::{error::DropError, event::SNAPSHOT_PATH};
use any_spawner::Executor;
use axum::{
    Router,
    http::{HeaderName, HeaderValue, Method, header, request::Parts},
    middleware::{from_fn, from_fn_with_state},
    response::IntoResponse,
    routing::get,
};
use std::{any::Any, time::Duration};
use tower::util::option_layer;
use tower_http::{
    catch_panic::CatchPanicLayer,
    compression::CompressionLayer,
    cors::{AllowOrigin, CorsLayer},
};

pub(super) fn router(state: AppState) -> Router {
    // Leptos needs an executor before it renders. The first call in a process sets it, the others fail.
    let _ = Executor::init_tokio();
    Router::new()
        .merge(api::routes())
        .route("/ws", get(socket::upgrade))
        .route(SNAPSHOT_PATH, get(snapshot::snapshot))
        .route("/healthz", get(health::liveness))
        .route("/health", get(health::liveness_now))
        .route("/readyz", get(health::readiness))
        .route("/rpc/{*function}", get(server_functions::lead_to_page).post(server_functions::call))
        .route("/", get(pages::page))
        .route("/drops/{id}", get(calendar::drop_or_calendar))
        .route("/purchases", get(pages::page))
        .route("/purchases/{id}", get(pages::page))
        .merge(admin::routes(&state))
        .merge(assets::routes(&state))
        .layer((from_fn(address::canonical), CompressionLayer::new()))
        // Its answers are small, and many wait for each. Its clients write its address with a slash at the end.
        .merge(state.socket_io.as_ref().map(socket_io::routes).unwrap_or_default())
        // One layer of three: the router boxes each call of a layer. The first is the outermost.
        .layer((
            CatchPanicLayer::custom(|_: Box<dyn Any + Send>| DropError::Internal.into_response()),
            option_layer(cors(&state)),
            from_fn_with_state(state.clone(), security::protect),
        ))
        .with_state(state)
}

/// Lets pages of the listed origins read the answers to their calls, also to those that they make for their visitors.
fn cors(state: &AppState) -> Option<CorsLayer> {
    let origins = state.config.origins.clone();
    (!origins.foreign.is_empty()).then(|| {
        CorsLayer::new()
            .allow_origin(AllowOrigin::predicate(move |origin: &HeaderValue, _: &Parts| origins.is_foreign(origin)))
            .allow_credentials(true)
            .allow_methods([Method::GET, Method::POST, Method::DELETE])
            .allow_headers([header::AUTHORIZATION, header::CONTENT_TYPE, HeaderName::from_static("idempotency-key")])
            .expose_headers([header::ETAG, header::RETRY_AFTER])
            .max_age(PREFLIGHT_AGE)
    })
}

/// How long browsers need not ask again.
const PREFLIGHT_AGE: Duration = Duration::from_secs(600);
