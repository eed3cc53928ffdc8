//! Every route and every layer.

use super::{
    http::{api, assets, calendar, health, pages, security, server_functions},
    realtime::socket,
    state::AppState,
};
use crate::domain::error::DropError;
use any_spawner::Executor;
use axum::{
    Router,
    middleware::from_fn,
    response::IntoResponse,
    routing::{get, post},
};
use std::any::Any;
use tower_http::{catch_panic::CatchPanicLayer, compression::CompressionLayer};

pub(super) fn router(state: AppState) -> Router {
    // Leptos needs an executor before it renders. The first call in a process sets it, the others fail.
    let _ = Executor::init_tokio();
    Router::new()
        .merge(api::routes())
        .route("/ws", get(socket::upgrade))
        .route("/healthz", get(health::liveness))
        .route("/readyz", get(health::readiness))
        .route("/rpc/{*function}", post(server_functions::call))
        .route("/", get(pages::page))
        .route("/drops/{id}", get(calendar::drop_or_calendar))
        .route("/purchases", get(pages::page))
        .route("/purchases/{id}", get(pages::page))
        .merge(assets::routes(&state))
        // One layer of three: the router boxes each call of a layer. The first is the outermost.
        .layer((
            CatchPanicLayer::custom(|_: Box<dyn Any + Send>| DropError::Internal.into_response()),
            CompressionLayer::new(),
            from_fn(security::protect),
        ))
        .with_state(state)
}
