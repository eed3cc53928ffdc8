//! `/api/drops/{dropId}/proof`

use super::{acting_user::Admin, body::DropId};
use crate::{
    domain::error::DropError,
    server::{
        inventory::{self, Proof},
        state::AppState,
    },
};
use axum::{Json, Router, extract::State, routing::get};

pub(super) fn routes() -> Router<AppState> {
    Router::new().route("/api/drops/{drop_id}/proof", get(prove))
}

async fn prove(State(state): State<AppState>, DropId(drop_id): DropId, _: Admin) -> Result<Json<Proof>, DropError> {
    inventory::prove(&state.pool, drop_id).await.map(Json)
}
