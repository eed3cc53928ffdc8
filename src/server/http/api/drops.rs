//! `/api/drops`: the list, and creating one.

use super::{
    acting_user::Admin,
    body::{Body, one_of, required},
};
use crate::{
    domain::{SneakerDrop, error::DropError},
    server::{
        config::Dialect,
        inventory::{
            self, Created, Dollars, DropName, IdempotencyKey, ImageUrl, NewDrop, NewSize, NewSizes, Pairs, PriceCents,
            SaleTime, SaleWindow,
        },
        state::AppState,
    },
};
use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

pub(super) fn routes() -> Router<AppState> {
    Router::new().route("/api/drops", get(list_drops).post(create_drop))
}

async fn list_drops(State(state): State<AppState>, headers: HeaderMap) -> Response {
    list(&state, &headers, state.config.dialect)
}

/// The list in the shape of one of the two systems.
pub(super) fn list(state: &AppState, headers: &HeaderMap, dialect: Dialect) -> Response {
    let (body, etag) = state.listing.get(dialect, &state.catalog, state.clock.now());
    let known = headers.get_all(header::IF_NONE_MATCH).iter().any(|known| is_listed(known, &etag));
    let headers = [(header::ETAG, etag), (header::CACHE_CONTROL, HeaderValue::from_static("no-cache"))];
    if known {
        (StatusCode::NOT_MODIFIED, headers).into_response()
    } else {
        (headers, [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response()
    }
}

/// Whether an `If-None-Match` names the tag.
fn is_listed(known: &HeaderValue, etag: &HeaderValue) -> bool {
    let (Ok(known), Ok(etag)) = (known.to_str(), etag.to_str()) else { return false };
    known.split(',').any(|known| ["*", etag].contains(&known.trim()))
}

/// The second spellings are those of the systems that this one replaces.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct CreateDropRequest {
    name: DropName,
    price_cents: Option<PriceCents>,
    #[serde(rename = "price_cents")]
    price_cents_snake: Option<PriceCents>,
    price: Option<Dollars>,
    image_url: Option<ImageUrl>,
    #[serde(rename = "image_url")]
    image_url_snake: Option<ImageUrl>,
    /// Without one there is no limit.
    limit_per_user: Option<Pairs>,
    #[serde(rename = "limit_per_user")]
    limit_per_user_snake: Option<Pairs>,
    /// Without one the drop starts now.
    starts_at: Option<SaleTime>,
    #[serde(rename = "starts_at")]
    starts_at_snake: Option<SaleTime>,
    start_time: Option<SaleTime>,
    #[serde(rename = "start_time")]
    start_time_snake: Option<SaleTime>,
    ends_at: Option<SaleTime>,
    #[serde(rename = "ends_at")]
    ends_at_snake: Option<SaleTime>,
    end_time: Option<SaleTime>,
    #[serde(rename = "end_time")]
    end_time_snake: Option<SaleTime>,
    /// Either this or `sizes`.
    total_stock: Option<Pairs>,
    #[serde(rename = "total_stock")]
    total_stock_snake: Option<Pairs>,
    sizes: Option<Vec<NewSize>>,
}

impl CreateDropRequest {
    fn into_new_drop(self, idempotency_key: Option<IdempotencyKey>, now: DateTime<Utc>) -> Result<NewDrop, DropError> {
        let price = one_of([
            ("priceCents", self.price_cents),
            ("price_cents", self.price_cents_snake),
            ("price", self.price.map(|Dollars(price)| price)),
        ])?;
        let image_url = one_of([("imageUrl", self.image_url), ("image_url", self.image_url_snake)])?;
        let limit = one_of([("limitPerUser", self.limit_per_user), ("limit_per_user", self.limit_per_user_snake)])?;
        let starts_at = one_of([
            ("startsAt", self.starts_at),
            ("starts_at", self.starts_at_snake),
            ("startTime", self.start_time),
            ("start_time", self.start_time_snake),
        ])?;
        let ends_at = one_of([
            ("endsAt", self.ends_at),
            ("ends_at", self.ends_at_snake),
            ("endTime", self.end_time),
            ("end_time", self.end_time_snake),
        ])?;
        let total_stock = one_of([("totalStock", self.total_stock), ("total_stock", self.total_stock_snake)])?;
        Ok(NewDrop {
            idempotency_key,
            name: self.name,
            price: required(price)?,
            image_url: image_url.1,
            limit_per_user: limit.1,
            sale: SaleWindow::new(starts_at.1, ends_at.1, now)
                .map_err(|expected| DropError::invalid(ends_at.0, expected))?,
            sizes: match (total_stock, self.sizes) {
                (total_stock, None) => NewSizes::one(required(total_stock)?),
                ((_, None), Some(sizes)) => sizes.try_into()?,
                ((field, Some(_)), Some(_)) => {
                    return Err(DropError::invalid(field, "is the sum of sizes; send one or the other"));
                }
            },
        })
    }
}

#[derive(Serialize)]
struct CreateDropResponse {
    drop: SneakerDrop,
}

/// 201 for a new drop; 200 for the one that the same `Idempotency-Key` created.
async fn create_drop(
    State(state): State<AppState>,
    _: Admin,
    headers: HeaderMap,
    Body(request): Body<CreateDropRequest>,
) -> Result<(StatusCode, Json<CreateDropResponse>), DropError> {
    let Created { drop, is_new } = create(&state, &headers, request).await?;
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(CreateDropResponse { drop })))
}

pub(super) async fn create(
    state: &AppState,
    headers: &HeaderMap,
    request: CreateDropRequest,
) -> Result<Created, DropError> {
    let key = headers.get(IDEMPOTENCY_KEY).map(|key| IdempotencyKey::try_from(key.to_str().unwrap_or_default()));
    let key = key.transpose().map_err(|expected| DropError::invalid("Idempotency-Key", expected))?;
    let new = request.into_new_drop(key, state.clock.now())?;
    inventory::create(&state.inventory, new).await
}

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
