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
    http::{Method, Uri},
    middleware::from_fn_with_state,
    response::{IntoResponse, Redirect, Response},
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
        .route("/admin/drops/preview", get(async || Redirect::to("/admin/drops/new")).post(drop_form::preview))
        .route("/admin/drops/{id}", get(drop::page))
        .route("/admin/drops/{id}/edit", get(drop_form::edit).post(drop_form::save))
        .route("/admin/drops/{id}/proof", get(proof::page))
        .route("/admin/drops/{id}/proof.json", get(proof::download))
        .route("/admin/drops/{id}/stock", post(drop::move_pairs))
        .route("/admin/drops/{id}/{action}", get(drop::to_the_buttons).post(drop::act))
        .route("/admin/sign-out", post(sign_in::sign_out))
        .merge(exports::routes())
        .merge(purchases::routes())
        .merge(log::routes())
        .route("/admin/{*path}", any(no_such_path))
        .method_not_allowed_fallback(lead_to_page)
        .layer(from_fn_with_state(state.clone(), guard::require_session));
    open.merge(closed).layer(from_fn_with_state(state.clone(), guard::require_own_page))
}

async fn no_such_path(State(state): State<AppState>, method: Method) -> Response {
    let error = DropError::NotFound(Missing::Path);
    if guard::asks_for_a_page(&method) { error_page(&state, &error) } else { error.into_response() }
}

/// An address that only takes forms leads to the page that has them, the one above it.
async fn lead_to_page(method: Method, uri: Uri) -> Response {
    match uri.path().rsplit_once('/') {
        Some((page, _)) if guard::asks_for_a_page(&method) => Redirect::to(page).into_response(),
        _ => DropError::MethodNotAllowed.into_response(),
    }
}
