//! `/api/drops/{dropId}/purchase`

use super::{
    acting_user::{acting_user, named_user},
    body::{Body, DropId},
    timed::Timed,
};
use crate::{
    domain::{Purchase, User, error::DropError},
    server::{
        auth::caller::Caller,
        inventory::{self, Purchased, Target},
        state::AppState,
        whole_number::Id,
    },
};
use axum::{Json, Router, extract::State, http::Uri, routing::post};
use serde::{Deserialize, Serialize};

pub(super) fn routes() -> Router<AppState> {
    Router::new().route("/api/drops/{drop_id}/purchase", post(purchase))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PurchaseRequest {
    user_id: Option<Id>,
    #[serde(rename = "user_id")]
    user_id_snake: Option<Id>,
}

async fn purchase(
    State(state): State<AppState>,
    DropId(drop_id): DropId,
    caller: Caller,
    uri: Uri,
    Body(request): Body<PurchaseRequest>,
) -> Result<Json<PurchaseResponse>, DropError> {
    let user_id = named_user([request.user_id, request.user_id_snake], &uri)?;
    let user = acting_user(&state, &caller, user_id).await?;
    let target = Target::Drop(drop_id, None);
    let Purchased { purchase, new_stock, purchaser } = inventory::purchase(&state.inventory, user, target).await?;
    Ok(Json(PurchaseResponse { purchase: purchase.into(), new_stock, purchaser }))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PurchaseResponse {
    purchase: Timed<Purchase>,
    /// Available pairs of the drop.
    new_stock: i32,
    purchaser: User,
}
