//! `/api/drops/{dropId}/purchase` and `/api/drops/purchase`

use super::{
    acting_user::acting_user,
    body::{DropId, Fields},
};
use crate::{
    domain::{Purchase, error::DropError},
    server::{
        auth::caller::Caller,
        inventory::{self, Purchased, Target},
        state::AppState,
    },
};
use axum::{Json, Router, extract::State, routing::post};
use serde_json::{Value, json};

pub(super) fn routes() -> Router<AppState> {
    Router::new().route("/drops/purchase", post(purchase)).route("/drops/{drop_id}/purchase", post(purchase_of_drop))
}

async fn purchase_of_drop(
    State(state): State<AppState>,
    DropId(drop_id): DropId,
    caller: Caller,
    body: Fields,
) -> Result<Json<Value>, DropError> {
    let user_id = acting_user(&state, &caller, &body).await?;
    buy(&state, user_id, Target::Drop(drop_id)).await
}

async fn purchase(State(state): State<AppState>, caller: Caller, body: Fields) -> Result<Json<Value>, DropError> {
    let user_id = acting_user(&state, &caller, &body).await?;
    let reservation_id = body.required("reservationId", body.id(&["reservationId", "reservation_id"])?)?;
    buy(&state, user_id, Target::Reservation(reservation_id)).await
}

async fn buy(state: &AppState, user_id: i64, target: Target) -> Result<Json<Value>, DropError> {
    let Purchased { purchase, new_stock, purchaser } = inventory::purchase(&state.inventory, user_id, target).await?;
    let purchase: Purchase = purchase;
    Ok(Json(json!({ "purchase": purchase, "newStock": new_stock, "purchaser": purchaser })))
}
