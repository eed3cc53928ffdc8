//! `/api/drops/{dropId}/purchase` and `/api/drops/purchase`

use super::{
    acting_user::acting_user,
    body::{Body, DropId, one_of, required},
};
use crate::{
    domain::{Purchase, User, error::DropError},
    server::{
        auth::caller::Caller,
        identity::Identity,
        inventory::{self, Purchased, Target},
        state::AppState,
        whole_number::Id,
    },
};
use axum::{Json, Router, extract::State, routing::post};
use serde::{Deserialize, Serialize};

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route("/api/drops/purchase", post(purchase))
        .route("/api/drops/{drop_id}/purchase", post(purchase_of_drop))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PurchaseRequest {
    reservation_id: Option<Id>,
    #[serde(rename = "reservation_id")]
    reservation_id_snake: Option<Id>,
    user_id: Option<Id>,
    #[serde(rename = "user_id")]
    user_id_snake: Option<Id>,
}

async fn purchase(
    State(state): State<AppState>,
    caller: Caller,
    Body(request): Body<PurchaseRequest>,
) -> Result<Json<PurchaseResponse>, DropError> {
    let user_id = one_of([("userId", request.user_id), ("user_id", request.user_id_snake)])?;
    let user = acting_user(&state, &caller, user_id).await?;
    let reservation_id =
        one_of([("reservationId", request.reservation_id), ("reservation_id", request.reservation_id_snake)])?;
    buy(&state, user, Target::Reservation(required(reservation_id)?.get())).await
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PurchaseOfDropRequest {
    user_id: Option<Id>,
    #[serde(rename = "user_id")]
    user_id_snake: Option<Id>,
}

async fn purchase_of_drop(
    State(state): State<AppState>,
    DropId(drop_id): DropId,
    caller: Caller,
    Body(request): Body<PurchaseOfDropRequest>,
) -> Result<Json<PurchaseResponse>, DropError> {
    let user_id = one_of([("userId", request.user_id), ("user_id", request.user_id_snake)])?;
    let user = acting_user(&state, &caller, user_id).await?;
    buy(&state, user, Target::Drop(drop_id, None)).await
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PurchaseResponse {
    purchase: Purchase,
    /// Available pairs of the drop.
    new_stock: i32,
    purchaser: User,
}

async fn buy(state: &AppState, user: Identity, target: Target) -> Result<Json<PurchaseResponse>, DropError> {
    let Purchased { purchase, new_stock, purchaser } = inventory::purchase(&state.inventory, user, target).await?;
    Ok(Json(PurchaseResponse { purchase, new_stock, purchaser }))
}
