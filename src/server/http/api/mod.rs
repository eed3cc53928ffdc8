//! The REST API: JSON in, JSON out, the same commands as the pages.
//!
//! Each resource has a file with its routes, and each request and response is a struct. Bodies are read leniently in shape
//! (every spelling of a field) and strictly in value: a bad value is answered with the field's name as the caller spelled
//! it, before anything is changed.

mod acting_user;
mod body;
mod dialect2;
mod drops;
mod error;
mod exports;
pub(crate) mod listing;
mod proof;
mod purchases;
mod reservations;
mod timed;
mod users;

use crate::{
    domain::error::{DropError, Missing},
    server::state::AppState,
};
use axum::{Router, routing::any};

/// Every route under `/api`. `nest` would rewrite the address of each request.
pub(crate) fn routes() -> Router<AppState> {
    Router::new()
        .merge(drops::routes())
        .merge(proof::routes())
        .merge(exports::routes())
        .merge(reservations::routes())
        .merge(purchases::routes())
        .merge(users::routes())
        .merge(dialect2::routes())
        .route("/api", any(no_such_path))
        .route("/api/{*path}", any(no_such_path))
        .route("/dialect2/{*path}", any(no_such_path))
}

async fn no_such_path() -> DropError {
    DropError::NotFound(Missing::Path)
}
