//! The query of an address.

use axum::{extract::Query, http::Uri};
use std::collections::HashMap;

/// Its fields; none if it cannot be read.
pub(super) fn query(uri: &Uri) -> HashMap<String, String> {
    Query::try_from_uri(uri).map(|Query(query)| query).unwrap_or_default()
}
