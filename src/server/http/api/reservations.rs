//! `/api/drops/{dropId}/reserve`, `/api/drops/reserve` and `/api/drops/{dropId}/reservation`

use super::{
    acting_user::acting_user,
    body::{Body, DropId, one_of, read_query, required},
};
use crate::{
    domain::{Reservation, error::DropError},
    server::{
        auth::caller::Caller,
        identity::Identity,
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
        .route("/api/drops/reserve", post(reserve))
        .route("/api/drops/{drop_id}/reserve", post(reserve_of_drop))
        .route("/api/drops/{drop_id}/reservation", delete(release))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReserveRequest {
    drop_id: Option<Id>,
    #[serde(rename = "drop_id")]
    drop_id_snake: Option<Id>,
    user_id: Option<Id>,
    #[serde(rename = "user_id")]
    user_id_snake: Option<Id>,
    size: Option<SizeLabel>,
}

async fn reserve(
    State(state): State<AppState>,
    caller: Caller,
    Body(request): Body<ReserveRequest>,
) -> Result<(StatusCode, Json<ReserveResponse>), DropError> {
    let drop_id = required(one_of([("dropId", request.drop_id), ("drop_id", request.drop_id_snake)])?)?;
    let user_id = one_of([("userId", request.user_id), ("user_id", request.user_id_snake)])?;
    let user = acting_user(&state, &caller, user_id).await?;
    hold(&state, user, drop_id.get(), request.size.map(String::from)).await
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReserveOfDropRequest {
    user_id: Option<Id>,
    #[serde(rename = "user_id")]
    user_id_snake: Option<Id>,
    /// The size's label; required if the drop has several.
    size: Option<SizeLabel>,
}

async fn reserve_of_drop(
    State(state): State<AppState>,
    DropId(drop_id): DropId,
    caller: Caller,
    Body(request): Body<ReserveOfDropRequest>,
) -> Result<(StatusCode, Json<ReserveResponse>), DropError> {
    let user_id = one_of([("userId", request.user_id), ("user_id", request.user_id_snake)])?;
    let user = acting_user(&state, &caller, user_id).await?;
    hold(&state, user, drop_id, request.size.map(String::from)).await
}

/// A size's label, as text or as a number.
#[derive(Deserialize)]
#[serde(untagged, expecting = "must be text")]
enum SizeLabel {
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
    reservation: Reservation,
    /// Available pairs of the drop.
    new_stock: i32,
}

/// 201 for a new reservation; 200 for the one that the user holds already.
async fn hold(
    state: &AppState,
    user: Identity,
    drop_id: i64,
    size: Option<String>,
) -> Result<(StatusCode, Json<ReserveResponse>), DropError> {
    let Granted { reservation, new_stock, was_held } =
        inventory::reserve(&state.inventory, user, drop_id, size).await?;
    let status = if was_held { StatusCode::OK } else { StatusCode::CREATED };
    Ok((status, Json(ReserveResponse { reservation, new_stock })))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReleaseRequest {
    user_id: Option<Id>,
    #[serde(rename = "user_id")]
    user_id_snake: Option<Id>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ReleaseResponse {
    /// Available pairs of the drop.
    new_stock: i32,
}

async fn release(
    State(state): State<AppState>,
    DropId(drop_id): DropId,
    caller: Caller,
    uri: Uri,
    Body(request): Body<ReleaseRequest>,
) -> Result<Json<ReleaseResponse>, DropError> {
    // Some clients cannot send a body with this method.
    let query: ReleaseRequest = read_query(&uri)?;
    let user_id = one_of([
        ("userId", request.user_id),
        ("user_id", request.user_id_snake),
        ("userId", query.user_id),
        ("user_id", query.user_id_snake),
    ])?;
    let user = acting_user(&state, &caller, user_id).await?;
    let Released { new_stock, .. } = inventory::release(&state.inventory, user, drop_id, None).await?;
    Ok(Json(ReleaseResponse { new_stock }))
}
