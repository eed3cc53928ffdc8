//! What the users of a batch hold and own of its drop.

use super::statements::UserStateRow;
use crate::domain::{Reservation, ReservationStatus, User};
use chrono::{DateTime, Utc};
use sqlx::{FromRow, postgres::PgRow};
use std::collections::HashMap;

/// By user id. A user who does not exist is missing.
pub(super) type UserStates = HashMap<i64, UserState>;

/// One user and this drop, under the lock and after the decisions of this transaction so far.
pub(super) struct UserState {
    pub(super) user: User,
    /// An active reservation is always the latest.
    pub(super) latest: Option<LatestReservation>,
    /// Pairs bought; 0 if the drop has no limit.
    pub(super) bought: i64,
}

#[derive(Clone)]
pub(super) struct LatestReservation {
    pub(super) size_id: i64,
    pub(super) reservation: Reservation,
}

impl UserState {
    /// The reservation that the user holds.
    pub(super) fn held(&self, now: DateTime<Utc>) -> Option<&LatestReservation> {
        self.latest.as_ref().filter(|latest| latest.reservation.is_held(now))
    }
}

/// Reads rows of the statement `user_states`; `label_of` gives the label of a size.
pub(super) fn read(
    rows: &[PgRow],
    drop_id: i64,
    now: DateTime<Utc>,
    label_of: impl Fn(i64) -> String,
) -> Result<UserStates, sqlx::Error> {
    let read_one = |row| {
        let row = UserStateRow::from_row(row)?;
        let latest =
            match (row.reservation_id, row.size_id, row.price_cents, row.status, row.expires_at, row.created_at) {
                (Some(id), Some(size_id), Some(price_cents), Some(status), Some(expires_at), Some(created_at)) => {
                    // The transaction is about to expire it.
                    let is_due = status == ReservationStatus::Active && expires_at <= now;
                    let status = if is_due { ReservationStatus::Expired } else { status };
                    let (user_id, size) = (row.id, label_of(size_id));
                    let reservation =
                        Reservation { id, drop_id, user_id, size, price_cents, status, expires_at, created_at };
                    Some(LatestReservation { size_id, reservation })
                }
                _ => None,
            };
        Ok((row.id, UserState { user: User { id: row.id, username: row.username }, latest, bought: row.bought }))
    };
    rows.iter().map(read_one).collect()
}
