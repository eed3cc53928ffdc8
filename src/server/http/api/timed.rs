//! Rows with their times under the names that the first replaced system gave them.

use crate::domain::{Purchase, Reservation, Timestamp};
use serde::Serialize;

/// A row that was just written, or is as it was when it was written.
#[derive(Serialize)]
pub(super) struct Timed<T> {
    #[serde(flatten)]
    row: T,
    #[serde(rename = "createdAt")]
    created_at: Timestamp,
    #[serde(rename = "updatedAt")]
    updated_at: Timestamp,
}

impl From<Reservation> for Timed<Reservation> {
    fn from(row: Reservation) -> Self {
        Self { created_at: row.created_at, updated_at: row.created_at, row }
    }
}

impl From<Purchase> for Timed<Purchase> {
    fn from(row: Purchase) -> Self {
        Self { created_at: row.created_at, updated_at: row.created_at, row }
    }
}
