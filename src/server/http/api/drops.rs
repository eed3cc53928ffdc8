//! `/api/drops`: the list, creating a drop, and what those who run one do with it.

use super::{
    acting_user::Admin,
    body::{Body, DropId, PurchaseId, one_of, read_query, required},
};
use crate::{
    domain::{
        SneakerDrop,
        edit::EditError,
        error::{DropError, Missing},
    },
    server::{
        catalog::{Catalog, ManagedDrop},
        config::Dialect,
        http::etag::unless_known,
        inventory::{
            self, Action, Actor, Change, Changes, Created, Description, Dollars, DropName, Edit, Fields,
            IdempotencyKey, ImageUrl, Label, Move, NewDrop, NewSize, NewSizes, Pairs, PairsMoved, PriceCents, SaleTime,
            SaleWindow, Wanted,
        },
        state::AppState,
        whole_number::Id,
    },
};
use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use chrono::{DateTime, Utc};
use headers::{CacheControl, HeaderMapExt};
use serde::{Deserialize, Deserializer, Serialize};

pub(super) fn routes() -> Router<AppState> {
    let action = |action: fn() -> Action| {
        post(async move |State(state): State<AppState>, id: DropId, _: Admin, request: Body<ActionRequest>| {
            edit(&state, id.0, request.0.edit_version, action()).await
        })
    };
    Router::new()
        .route("/api/drops", get(list_drops).post(create_drop))
        .route("/api/drops/{drop_id}", get(managed_drop).patch(change_drop))
        .route("/api/drops/{drop_id}/changes", get(list_changes))
        .route("/api/drops/{drop_id}/publish", action(|| Action::Publish))
        .route("/api/drops/{drop_id}/unpublish", action(|| Action::Unpublish))
        .route("/api/drops/{drop_id}/pause", action(|| Action::Pause))
        .route("/api/drops/{drop_id}/resume", action(|| Action::Resume))
        .route("/api/drops/{drop_id}/end", action(|| Action::EndNow))
        .route("/api/drops/{drop_id}/archive", action(|| Action::Archive))
        .route("/api/drops/{drop_id}/stock", post(move_pairs))
        .route("/api/drops/{drop_id}/purchases/{purchase_id}/cancel", post(cancel_purchase))
}

async fn list_drops(State(state): State<AppState>, headers: HeaderMap) -> Response {
    list(&state, &headers, state.config.dialect)
}

/// The list in the shape of one of the two systems.
pub(super) fn list(state: &AppState, headers: &HeaderMap, dialect: Dialect) -> Response {
    let (body, etag) = state.listing.get(dialect, &state.catalog, state.clock.now());
    let content_type = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    let mut response = unless_known(headers, etag, || (content_type, body).into_response());
    response.headers_mut().typed_insert(CacheControl::new().with_no_cache());
    response
}

/// The second spellings are those of the systems that this one replaces.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct CreateDropRequest {
    name: DropName,
    description: Option<Description>,
    /// A draft is shown to nobody until it is published.
    draft: Option<bool>,
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
            description: self.description.unwrap_or_default(),
            is_draft: self.draft.unwrap_or_default(),
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
    inventory::create(&state.inventory, new, Actor::Token).await
}

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

#[derive(Serialize)]
struct ManagedDropResponse {
    drop: ManagedDrop,
}

async fn managed_drop(
    State(state): State<AppState>,
    DropId(drop_id): DropId,
    _: Admin,
) -> Result<Json<ManagedDropResponse>, DropError> {
    let drop = Catalog::managed(&state.pool, drop_id).await?.ok_or(DropError::NotFound(Missing::Drop))?;
    Ok(Json(ManagedDropResponse { drop }))
}

#[derive(Deserialize)]
struct ListChangesRequest {
    /// A change's id: older ones are listed.
    before: Option<Id>,
}

/// A page of the audit log.
#[derive(Serialize)]
struct ListChangesResponse {
    /// Newest first.
    changes: Vec<Change>,
}

async fn list_changes(
    State(state): State<AppState>,
    DropId(drop_id): DropId,
    _: Admin,
    uri: Uri,
) -> Result<Json<ListChangesResponse>, DropError> {
    let ListChangesRequest { before } = read_query(&uri)?;
    let wanted = Wanted { drop_id: Some(drop_id), before: before.map(Id::get), ..Wanted::default() };
    let Changes { changes, .. } = inventory::changes(&state.pool, wanted).await?;
    Ok(Json(ListChangesResponse { changes }))
}

async fn edit(
    state: &AppState,
    drop_id: i64,
    expected: Option<Id>,
    action: Action,
) -> Result<Json<ManagedDropResponse>, EditError> {
    let seen = expected.map(Id::get).into();
    let drop =
        inventory::edit(&state.inventory, drop_id, Edit { actor: Actor::Token, seen, key: None, action }).await?;
    Ok(Json(ManagedDropResponse { drop }))
}

/// What is done is in the path.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ActionRequest {
    /// That of the drop which the caller saw.
    edit_version: Option<Id>,
}

/// A field that is not there stays as it is; `null` clears one that may be absent.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ChangeDropRequest {
    /// That of the drop which the caller saw.
    edit_version: Id,
    name: Option<DropName>,
    description: Option<Description>,
    price_cents: Option<PriceCents>,
    price: Option<Dollars>,
    #[serde(default, deserialize_with = "nullable")]
    image_url: Option<Option<ImageUrl>>,
    #[serde(default, deserialize_with = "nullable")]
    limit_per_user: Option<Option<Pairs>>,
    starts_at: Option<SaleTime>,
    #[serde(default, deserialize_with = "nullable")]
    ends_at: Option<Option<SaleTime>>,
    /// Of a draft.
    sizes: Option<Vec<NewSize>>,
}

/// Tells `null` from a field that is not there.
fn nullable<'de, T: Deserialize<'de>, D: Deserializer<'de>>(value: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(value).map(Some)
}

async fn change_drop(
    State(state): State<AppState>,
    DropId(drop_id): DropId,
    _: Admin,
    Body(request): Body<ChangeDropRequest>,
) -> Result<Json<ManagedDropResponse>, EditError> {
    let price = one_of([("priceCents", request.price_cents), ("price", request.price.map(|Dollars(price)| price))])?;
    let fields = Fields {
        name: request.name,
        description: request.description,
        price: price.1,
        image_url: request.image_url,
        limit_per_user: request.limit_per_user,
        starts_at: request.starts_at,
        ends_at: request.ends_at,
        sizes: request.sizes.map(NewSizes::try_from).transpose()?,
    };
    edit(&state, drop_id, Some(request.edit_version), Action::Change(Box::new(fields))).await
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct MovePairsRequest {
    /// With it, a repetition of the request moves no more pairs.
    edit_version: Option<Id>,
    size: Label<20>,
    /// Either this or `take_back`.
    add: Option<Pairs>,
    take_back: Option<Pairs>,
    /// Whether the drop does not have the size yet.
    new_size: Option<bool>,
}

async fn move_pairs(
    State(state): State<AppState>,
    DropId(drop_id): DropId,
    _: Admin,
    Body(request): Body<MovePairsRequest>,
) -> Result<Json<ManagedDropResponse>, EditError> {
    let is_taken = request.take_back.is_some();
    let (field, pairs) = one_of([("add", request.add), ("takeBack", request.take_back)])?;
    let pairs = required((field, pairs))?;
    let kind = match (is_taken, request.new_size.unwrap_or_default()) {
        (true, true) => return Err(DropError::invalid("takeBack", "is not for a new size").into()),
        (true, false) => Move::TakeBack,
        (false, true) => Move::AddSize,
        (false, false) => Move::Add,
    };
    let moved = PairsMoved { size: request.size, pairs, kind };
    edit(&state, drop_id, request.edit_version, Action::Stock(moved)).await.map_err(|error| match error {
        // The caller has them in one of two fields.
        EditError::Drop(DropError::Invalid { field: pairs, expected }) if pairs == "pairs" => {
            DropError::invalid(field, expected).into()
        }
        error => error,
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CancelRequest {
    /// For the buyer and the audit log.
    reason: Label<200>,
    /// Whether the pair is sold again. If not, it leaves the total.
    restock: Option<bool>,
}

async fn cancel_purchase(
    State(state): State<AppState>,
    DropId(drop_id): DropId,
    PurchaseId(purchase_id): PurchaseId,
    _: Admin,
    Body(request): Body<CancelRequest>,
) -> Result<Json<ManagedDropResponse>, EditError> {
    let restock = request.restock.unwrap_or(true);
    edit(&state, drop_id, None, Action::Cancel { purchase_id, reason: request.reason, restock }).await
}
