//! `/api/drops/{dropId}/reserve` and `/api/drops/{dropId}/reservation`

use super::{
    acting_user::{Named, acting_user, named_reservation, named_user},
    body::{Body, DropId},
    timed::Timed,
};
use crate::{
    domain::{Reservation, error::DropError},
    server::{
        auth::caller::Caller,
        inventory::{self, Granted, Released},
        state::AppState,
        whole_number::Id,
    },
};
use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, Uri},
    routing::{delete, post},
};
use serde::{Deserialize, Serialize};
use serde_json::Number;

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route("/api/drops/{drop_id}/reserve", post(reserve))
        .route("/api/drops/{drop_id}/reservation", delete(release))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReserveRequest {
    user_id: Option<Id>,
    #[serde(rename = "user_id")]
    user_id_snake: Option<Id>,
    /// The size's label; required if the drop has several.
    size: Option<SizeLabel>,
}

/// 201 for a new reservation; 200 for the one that the user holds already.
async fn reserve(
    State(state): State<AppState>,
    DropId(drop_id): DropId,
    caller: Caller,
    uri: Uri,
    Body(request): Body<ReserveRequest>,
) -> Result<(StatusCode, Json<ReserveResponse>), DropError> {
    let user_id = named_user([request.user_id, request.user_id_snake], &uri)?;
    let user = acting_user(&state, &caller, user_id).await?;
    let Granted { reservation, new_stock, was_held } =
        inventory::reserve(&state.inventory, user, drop_id, request.size.map(String::from)).await?;
    let status = if was_held { StatusCode::OK } else { StatusCode::CREATED };
    Ok((status, Json(ReserveResponse { reservation: reservation.into(), new_stock })))
}

/// A size's label, as text or as a number.
#[derive(Deserialize)]
#[serde(untagged, expecting = "must be text")]
pub(super) enum SizeLabel {
    Text(String),
    Number(Number),
}

impl From<SizeLabel> for String {
    fn from(label: SizeLabel) -> Self {
        match label {
            SizeLabel::Text(label) => label,
            SizeLabel::Number(label) => label.to_string(),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ReserveResponse {
    reservation: Timed<Reservation>,
    /// Available pairs of the drop.
    new_stock: i32,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ReleaseResponse {
    /// Available pairs of the drop.
    new_stock: i32,
}

/// With `reservationId`, a late copy gives back no other pair.
async fn release(
    State(state): State<AppState>,
    DropId(drop_id): DropId,
    caller: Caller,
    uri: Uri,
    Body(named): Body<Named>,
) -> Result<Json<ReleaseResponse>, DropError> {
    let user_id = named_user([named.user_id, named.user_id_snake], &uri)?;
    let reservation_id = named_reservation([named.reservation_id, named.reservation_id_snake], &uri)?;
    let user = acting_user(&state, &caller, user_id).await?;
    let Released { new_stock, .. } = inventory::release(&state.inventory, user, drop_id, reservation_id).await?;
    Ok(Json(ReleaseResponse { new_stock }))
}
