//! What a committed transaction changed, for the catalog and for the users concerned.

use crate::domain::{Purchase, Purchaser, Reservation, Size, event::Reason};
use chrono::{DateTime, Utc};

/// The stock of a drop after a commit: absolute counts with their version, never differences.
pub(crate) struct StockChange {
    pub(crate) drop_id: i64,
    pub(crate) version: i64,
    pub(crate) sizes: Vec<Size>,
    pub(crate) held: i32,
    pub(crate) reason: Reason,
    pub(crate) purchasers: Vec<Purchaser>,
    /// Users whose reservations left `active`.
    pub(crate) settled_user_ids: Vec<i64>,
    /// Users with new reservations, and when those expire.
    pub(crate) new_holders: Vec<(i64, DateTime<Utc>)>,
}

/// Something that concerns one user, sent to the connections of that user after the commit.
pub(crate) enum Notification {
    /// A reservation was made or left `active`; `purchase` if it was completed.
    Reservation { reservation: Reservation, purchase: Option<Purchase> },
    /// The user's connections must read their state again: the outcome of a transaction is unknown, or an edit concerns them.
    Outdated { user_id: i64 },
}
