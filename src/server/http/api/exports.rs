//! `/api/drops/{dropId}/purchases.csv` and `reservations.csv`, and both as `.xlsx`

use super::{acting_user::Admin, body::DropId};
use crate::server::{
    http::exports::{Format, Table, download},
    state::AppState,
};
use axum::{
    Router,
    extract::State,
    routing::{MethodRouter, get},
};

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route("/api/drops/{drop_id}/purchases.csv", export(Table::Purchases, Format::Csv))
        .route("/api/drops/{drop_id}/purchases.xlsx", export(Table::Purchases, Format::Xlsx))
        .route("/api/drops/{drop_id}/reservations.csv", export(Table::Reservations, Format::Csv))
        .route("/api/drops/{drop_id}/reservations.xlsx", export(Table::Reservations, Format::Xlsx))
}

fn export(table: Table, format: Format) -> MethodRouter<AppState> {
    get(async move |State(state): State<AppState>, DropId(drop_id): DropId, _: Admin| {
        download(&state.pool, drop_id, table, format).await
    })
}
