//! The desk, `/admin`: the pages of those who run drops. They are rendered on the server and need no WebAssembly.

mod board;
mod change;
mod chart;
mod document;
mod drop;
mod drop_form;
mod drop_id;
mod drops;
mod exports;
mod files;
mod form;
mod guard;
mod log;
mod one_drop;
mod preview;
mod proof;
mod purchases;
mod sign_in;
mod status;
mod zone;

use crate::{
    domain::error::{DropError, Missing},
    server::state::AppState,
};
use axum::{
    Router,
    extract::State,
    http::Method,
    middleware::from_fn_with_state,
    response::{IntoResponse, Response},
    routing::{any, get, post},
};
use document::error_page;

/// Every route under `/admin`. What is not named as open needs a session, whether it exists or not.
pub(crate) fn routes(state: &AppState) -> Router<AppState> {
    let open = Router::new().route("/admin/sign-in", get(sign_in::page).post(sign_in::sign_in)).merge(files::routes());
    let closed = Router::new()
        .route("/admin", get(drops::list))
        .route("/admin/drops", post(drop_form::create))
        .route("/admin/drops/new", get(drop_form::new))
        .route("/admin/drops/preview", post(drop_form::preview))
        .route("/admin/drops/{id}", get(drop::page))
        .route("/admin/drops/{id}/edit", get(drop_form::edit).post(drop_form::save))
        .route("/admin/drops/{id}/proof", get(proof::page))
        .route("/admin/drops/{id}/proof.json", get(proof::download))
        .route("/admin/drops/{id}/purchases.csv", get(exports::purchases))
        .route("/admin/drops/{id}/reservations.csv", get(exports::reservations))
        .route("/admin/drops/{id}/stock", post(drop::move_pairs))
        .route("/admin/drops/{id}/{action}", post(drop::act))
        .route("/admin/sign-out", post(sign_in::sign_out))
        .merge(purchases::routes())
        .merge(log::routes())
        .route("/admin/{*path}", any(no_such_path))
        .layer(from_fn_with_state(state.clone(), guard::require_session));
    open.merge(closed).layer(from_fn_with_state(state.clone(), guard::require_own_page))
}

async fn no_such_path(State(state): State<AppState>, method: Method) -> Response {
    let error = DropError::NotFound(Missing::Path);
    if guard::asks_for_a_page(&method) { error_page(&state, &error) } else { error.into_response() }
}
