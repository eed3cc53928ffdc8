//! The query of an address.

use crate::domain::error::{DropError, Missing};
use axum::{extract::Query, http::Uri};
use std::collections::HashMap;

/// Its fields; none if it cannot be read.
pub(super) fn query(uri: &Uri) -> HashMap<String, String> {
    Query::try_from_uri(uri).map(|Query(query)| query).unwrap_or_default()
}

/// Its `before`, where a page of a list begins.
pub(super) fn before<T>(uri: &Uri, read: impl Fn(&str) -> Option<T>) -> Result<Option<T>, DropError> {
    let before = query(uri).remove("before");
    before.map(|before| read(&before).ok_or(DropError::NotFound(Missing::Path))).transpose()
}
