//! The drop in the path of a desk's page.

use super::document::error_page;
use crate::{
    domain::error::{DropError, Missing},
    server::state::AppState,
};
use axum::{
    extract::{FromRequestParts, RawPathParams},
    http::request::Parts,
    response::Response,
};

/// The `{id}` of a path. What is no number is the id of no drop.
pub(super) struct DropId(pub(super) i64);

impl FromRequestParts<AppState> for DropId {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Response> {
        let params = RawPathParams::from_request_parts(parts, state).await;
        let id = params.ok().and_then(|params| params.iter().find(|(name, _)| *name == "id")?.1.parse().ok());
        id.map(Self).ok_or_else(|| error_page(state, &DropError::NotFound(Missing::Drop)))
    }
}
