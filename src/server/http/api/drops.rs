//! `/api/drops`: the list, and creating one.

use super::{body::Fields, new_drop::new_drop};
use crate::{
    domain::{SneakerDrop, error::DropError},
    server::{auth::caller::Caller, inventory, state::AppState},
};
use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::json;

pub(super) fn routes() -> Router<AppState> {
    Router::new().route("/drops", get(list_drops).post(create_drop)).route("/drops/create", post(create_drop))
}

async fn list_drops(State(state): State<AppState>, headers: HeaderMap) -> Response {
    let (body, etag) = state.listing.get(&state.catalog, state.clock.now());
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

async fn create_drop(State(state): State<AppState>, caller: Caller, body: Fields) -> Result<Response, DropError> {
    if !caller.is_admin {
        return Err(DropError::Unauthorized);
    }
    let drop: SneakerDrop = inventory::create(&state.inventory, new_drop(&body, state.clock.now())?).await?;
    Ok((StatusCode::CREATED, Json(json!({ "drop": drop }))).into_response())
}
