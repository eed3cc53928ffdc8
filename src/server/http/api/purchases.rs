//! `/api/drops/{dropId}/purchase`

use super::{
    acting_user::{Named, acting_user, named_reservation, named_user},
    body::{Body, DropId},
    timed::Timed,
};
use crate::{
    domain::{Purchase, User, error::DropError},
    server::{
        auth::caller::Caller,
        inventory::{self, Purchased, Target},
        state::AppState,
    },
};
use axum::{Json, Router, extract::State, http::Uri, routing::post};
use serde::Serialize;

pub(super) fn routes() -> Router<AppState> {
    Router::new().route("/api/drops/{drop_id}/purchase", post(purchase))
}

/// With `reservationId`, a late copy buys no other pair.
async fn purchase(
    State(state): State<AppState>,
    DropId(drop_id): DropId,
    caller: Caller,
    uri: Uri,
    Body(named): Body<Named>,
) -> Result<Json<PurchaseResponse>, DropError> {
    let user_id = named_user([named.user_id, named.user_id_snake], &uri)?;
    let reservation_id = named_reservation([named.reservation_id, named.reservation_id_snake], &uri)?;
    let user = acting_user(&state, &caller, user_id).await?;
    let target = Target::Drop(drop_id, reservation_id);
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
