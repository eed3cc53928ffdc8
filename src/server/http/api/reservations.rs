//! `/api/drops/{dropId}/reserve` and `/api/drops/{dropId}/reservation`

use super::{
    acting_user::acting_user,
    body::{DropId, Fields},
};
use crate::{
    domain::{Reservation, error::DropError},
    server::{
        auth::caller::Caller,
        inventory::{self, Granted, Released},
        state::AppState,
    },
};
use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{delete, post},
};
use serde_json::{Value, json};

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route("/drops/reserve", post(reserve))
        .route("/drops/{drop_id}/reserve", post(reserve_of_drop))
        .route("/drops/{drop_id}/reservation", delete(release))
}

async fn reserve_of_drop(
    State(state): State<AppState>,
    DropId(drop_id): DropId,
    caller: Caller,
    body: Fields,
) -> Result<Response, DropError> {
    let user_id = acting_user(&state, &caller, &body).await?;
    let size = body.text(&["size"])?.map(str::to_owned);
    let Granted { reservation, new_stock, was_held } =
        inventory::reserve(&state.inventory, user_id, drop_id, size).await?;
    let reservation: Reservation = reservation;
    let status = if was_held { StatusCode::OK } else { StatusCode::CREATED };
    Ok((status, Json(json!({ "reservation": reservation, "newStock": new_stock }))).into_response())
}

async fn reserve(state: State<AppState>, caller: Caller, body: Fields) -> Result<Response, DropError> {
    let drop_id = body.required("dropId", body.id(&["dropId", "drop_id"])?)?;
    reserve_of_drop(state, DropId(drop_id), caller, body).await
}

async fn release(
    State(state): State<AppState>,
    DropId(drop_id): DropId,
    caller: Caller,
    body: Fields,
) -> Result<Json<Value>, DropError> {
    let user_id = acting_user(&state, &caller, &body).await?;
    let Released { new_stock, .. } = inventory::release(&state.inventory, user_id, drop_id).await?;
    Ok(Json(json!({ "newStock": new_stock })))
}
