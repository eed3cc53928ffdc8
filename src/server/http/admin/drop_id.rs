//! The drop in the path of a desk's page.

use super::document::error_page;
use crate::{
    domain::error::{DropError, Missing},
    server::{http::path::id_in_path, state::AppState},
};
use axum::{extract::FromRequestParts, http::request::Parts, response::Response};

/// The `{id}` of a path.
pub(super) struct DropId(pub(super) i64);

impl FromRequestParts<AppState> for DropId {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Response> {
        let id = id_in_path(parts, "id").await;
        id.map(Self).ok_or_else(|| error_page(state, &DropError::NotFound(Missing::Drop)))
    }
}
