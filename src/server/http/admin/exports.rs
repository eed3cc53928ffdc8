//! `/admin/drops/{id}/purchases.csv` and `reservations.csv`, and both as `.xlsx`

use super::{document::error_page, drop_id::DropId};
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
        .route("/admin/drops/{id}/purchases.csv", export(Table::Purchases, Format::Csv))
        .route("/admin/drops/{id}/purchases.xlsx", export(Table::Purchases, Format::Xlsx))
        .route("/admin/drops/{id}/reservations.csv", export(Table::Reservations, Format::Csv))
        .route("/admin/drops/{id}/reservations.xlsx", export(Table::Reservations, Format::Xlsx))
}

fn export(table: Table, format: Format) -> MethodRouter<AppState> {
    get(async move |State(state): State<AppState>, DropId(drop_id): DropId| {
        download(&state.pool, drop_id, table, format).await.unwrap_or_else(|error| error_page(&state, &error))
    })
}
