//! The REST API: JSON in, JSON out, the same commands as the pages.
//!
//! Bodies are read leniently in shape (both spellings of each field) and strictly in value: a bad value is answered with
//! the field's name as the caller spelled it, before anything is changed.

mod acting_user;
mod body;
mod drops;
mod error;
pub(crate) mod listing;
mod new_drop;
mod purchases;
mod reservations;
mod users;

use crate::{
    domain::error::{DropError, Missing},
    server::state::AppState,
};
use axum::Router;

/// Every route under `/api`.
pub(crate) fn routes() -> Router<AppState> {
    Router::new()
        .merge(drops::routes())
        .merge(reservations::routes())
        .merge(purchases::routes())
        .merge(users::routes())
        .fallback(async || DropError::NotFound(Missing::Path))
        .method_not_allowed_fallback(async || DropError::MethodNotAllowed)
}
