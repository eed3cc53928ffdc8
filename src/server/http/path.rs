//! Ids in the paths of requests.

use crate::domain::read_id;
use axum::{
    extract::{FromRequestParts, RawPathParams},
    http::request::Parts,
};

/// The id that stands in a path in the place of this parameter. What is spelled otherwise is the id of nothing.
pub(super) async fn id_in_path(parts: &mut Parts, parameter: &str) -> Option<i64> {
    let parameters = RawPathParams::from_request_parts(parts, &()).await.ok()?;
    let (_, id) = parameters.iter().find(|(name, _)| *name == parameter)?;
    read_id(id)
}
