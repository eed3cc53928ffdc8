//! The calls of the second replaced system, answered in its shapes: bare objects and status 200.
//!
//! Its list of drops has the address of ours, so that all of its calls are also under `/dialect2`.

use super::{
    acting_user::{Admin, acting_user},
    body::{Body, one_of, required},
    drops::{self, CreateDropRequest},
    reservations::SizeLabel,
};
use crate::{
    domain::{
        self, Purchaser, Reservation, ReservationStatus, SneakerDrop, Timestamp,
        error::{DropError, Missing},
    },
    server::{
        auth::{accounts, caller::Caller},
        config::Dialect,
        inventory::{self, Granted, Purchased, Target},
        state::AppState,
        whole_number::Id,
    },
    text,
};
use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::{Deserialize, Serialize};

pub(super) fn routes() -> Router<AppState> {
    ["/api", "/dialect2/api"]
        .into_iter()
        .fold(Router::new(), |router, base| {
            router
                .route(&format!("{base}/drops/create"), post(create))
                .route(&format!("{base}/drops/reserve"), post(reserve))
                .route(&format!("{base}/drops/purchase"), post(purchase))
        })
        .route("/dialect2/api/drops", get(list))
}

async fn list(State(state): State<AppState>, headers: HeaderMap) -> Response {
    drops::list(&state, &headers, Dialect::Two)
}

#[derive(Serialize)]
pub(super) struct Drop {
    id: i64,
    name: String,
    /// In dollars.
    price: f64,
    total_stock: i32,
    available_stock: i32,
    start_time: Timestamp,
    paused: bool,
    image_url: Option<String>,
    /// The newest three.
    purchases: Vec<ListedPurchase>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ListedPurchase {
    /// Of the purchase.
    id: i64,
    username: String,
    created_at: Timestamp,
}

impl From<SneakerDrop> for Drop {
    fn from(drop: SneakerDrop) -> Self {
        let listed = |purchaser: Purchaser| ListedPurchase {
            id: purchaser.purchase_id,
            username: purchaser.username,
            created_at: purchaser.purchased_at,
        };
        Self {
            id: drop.id,
            name: drop.name,
            price: f64::from(drop.price_cents) / 100.0,
            total_stock: drop.total_stock,
            available_stock: drop.available_stock,
            start_time: drop.starts_at,
            paused: drop.paused,
            image_url: drop.image_url,
            purchases: drop.latest_purchasers.into_iter().map(listed).collect(),
        }
    }
}

async fn create(
    State(state): State<AppState>,
    _: Admin,
    headers: HeaderMap,
    Body(request): Body<CreateDropRequest>,
) -> Result<Json<Drop>, DropError> {
    Ok(Json(drops::create(&state, &headers, request).await?.drop.into()))
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

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ReserveResponse {
    id: i64,
    drop_id: i64,
    user_id: i64,
    status: ReservationStatus,
    #[serde(rename = "expires_at")]
    expires_at: Timestamp,
    created_at: Timestamp,
}

async fn reserve(
    State(state): State<AppState>,
    caller: Caller,
    Body(request): Body<ReserveRequest>,
) -> Result<Json<ReserveResponse>, Refusal> {
    let drop_id = required(one_of([("dropId", request.drop_id), ("drop_id", request.drop_id_snake)])?)?;
    let user_id = one_of([("userId", request.user_id), ("user_id", request.user_id_snake)])?;
    let user = acting_user(&state, &caller, user_id).await?;
    let size = request.size.map(String::from);
    let Granted { reservation, .. } = inventory::reserve(&state.inventory, user, drop_id.get(), size).await?;
    let Reservation { id, drop_id, user_id, status, expires_at, created_at, .. } = reservation;
    Ok(Json(ReserveResponse { id, drop_id, user_id, status, expires_at, created_at }))
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

#[derive(Serialize)]
struct PurchaseResponse {
    message: &'static str,
    purchase: Purchase,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Purchase {
    id: i64,
    drop_id: i64,
    user_id: i64,
    created_at: Timestamp,
}

/// With the admin token and without `userId`, for whoever holds the pair.
async fn purchase(
    State(state): State<AppState>,
    caller: Caller,
    Body(request): Body<PurchaseRequest>,
) -> Result<Json<PurchaseResponse>, Refusal> {
    let reservation_id =
        one_of([("reservationId", request.reservation_id), ("reservation_id", request.reservation_id_snake)])?;
    let user_id = one_of([("userId", request.user_id), ("user_id", request.user_id_snake)])?;
    let user = match user_id {
        (_, None) if caller.is_admin => {
            let holder = accounts::holder_of(&state.pool, required(reservation_id)?.get()).await?;
            holder.ok_or(DropError::NotFound(Missing::Reservation))?
        }
        _ => acting_user(&state, &caller, user_id).await?,
    };
    let target = Target::Reservation(required(reservation_id)?.get());
    let Purchased { purchase, .. } = inventory::purchase(&state.inventory, user, target).await?;
    let domain::Purchase { id, drop_id, user_id, created_at, .. } = purchase;
    Ok(Json(PurchaseResponse { message: text::PURCHASE_DONE, purchase: Purchase { id, drop_id, user_id, created_at } }))
}

/// An error with the status that this system gave it.
struct Refusal(DropError);

impl From<DropError> for Refusal {
    fn from(error: DropError) -> Self {
        Self(error)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = match &self.0 {
            DropError::ReservationExpired | DropError::NoActiveReservation => Some(StatusCode::GONE),
            DropError::SizeRequired { .. } | DropError::UnknownSize { .. } => Some(StatusCode::BAD_REQUEST),
            _ => None,
        };
        let mut response = self.0.into_response();
        if let Some(status) = status {
            *response.status_mut() = status;
        }
        response
    }
}
