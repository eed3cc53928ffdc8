//! `/admin/drops/{id}/purchases.csv` and `reservations.csv`

use super::{document::error_page, drop_id::DropId};
use crate::server::{
    http::exports::{Table, download},
    state::AppState,
};
use axum::{extract::State, response::Response};

pub(super) async fn purchases(State(state): State<AppState>, DropId(id): DropId) -> Response {
    export(&state, id, Table::Purchases).await
}

pub(super) async fn reservations(State(state): State<AppState>, DropId(id): DropId) -> Response {
    export(&state, id, Table::Reservations).await
}

async fn export(state: &AppState, drop_id: i64, table: Table) -> Response {
    download(&state.pool, drop_id, table).await.unwrap_or_else(|error| error_page(state, &error))
}
