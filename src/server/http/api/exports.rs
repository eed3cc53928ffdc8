//! `/api/drops/{dropId}/purchases.csv` and `reservations.csv`

use super::{acting_user::Admin, body::DropId};
use crate::server::{
    http::exports::{Table, download},
    state::AppState,
};
use axum::{
    Router,
    extract::State,
    routing::{MethodRouter, get},
};

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route("/api/drops/{drop_id}/purchases.csv", export(Table::Purchases))
        .route("/api/drops/{drop_id}/reservations.csv", export(Table::Reservations))
}

fn export(table: Table) -> MethodRouter<AppState> {
    get(async move |State(state): State<AppState>, DropId(drop_id): DropId, _: Admin| {
        download(&state.pool, drop_id, table).await
    })
}
