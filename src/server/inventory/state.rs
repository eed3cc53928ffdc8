//! What a transaction reads of a drop under its lock.

use crate::domain::{Reservation, Size, error::DropError};
use chrono::{DateTime, Utc};
use std::collections::HashMap;

/// A drop with the users of a batch, as of the moment at which its lock was granted.
pub(super) struct DropState {
    pub(super) price_cents: i32,
    pub(super) limit_per_user: Option<i32>,
    pub(super) starts_at: DateTime<Utc>,
    pub(super) ends_at: Option<DateTime<Utc>>,
    pub(super) is_published: bool,
    pub(super) is_paused: bool,
    /// The database's clock, read after the lock was granted.
    pub(super) now: DateTime<Utc>,
    /// When the first of its active reservations expires.
    pub(super) first_expiry: Option<DateTime<Utc>>,
    /// In display order; the transaction changes them as it decides.
    pub(super) sizes: Vec<LockedSize>,
    /// By user id; see [`user`](Self::user).
    pub(super) users: HashMap<i64, Result<UserState, DropError>>,
}

pub(super) struct LockedSize {
    pub(super) id: i64,
    pub(super) size: Size,
    pub(super) held: i32,
}

/// What a user holds and has bought of the drop.
#[derive(Default)]
pub(super) struct UserState {
    /// It may be due, and is then expired by this transaction.
    pub(super) active: Option<ActiveReservation>,
    /// Pairs bought; 0 if the drop has no limit.
    pub(super) bought: i64,
}

#[derive(Clone)]
pub(super) struct ActiveReservation {
    pub(super) size_id: i64,
    pub(super) reservation: Reservation,
}

impl DropState {
    /// # Errors
    /// `Unauthorized` if there is no such user, `Unavailable` if another transaction is deleting or renaming them.
    pub(super) fn user(&self, user_id: i64) -> Result<&UserState, DropError> {
        self.users.get(&user_id).map_or(Err(DropError::Unauthorized), |user| user.as_ref().map_err(Clone::clone))
    }

    /// The reservation that the user holds.
    pub(super) fn held_by(&self, user_id: i64) -> Result<Option<&ActiveReservation>, DropError> {
        let active = self.user(user_id)?.active.as_ref();
        Ok(active.filter(|active| active.reservation.is_held(self.now)))
    }

    /// The reservation that the user holds, if it is this one or none is given.
    pub(super) fn held(&self, user_id: i64, reservation_id: Option<i64>) -> Result<ActiveReservation, DropError> {
        let held = self.held_by(user_id)?.ok_or(DropError::NoActiveReservation)?;
        if reservation_id.is_some_and(|id| id != held.reservation.id) {
            return Err(DropError::NoActiveReservation);
        }
        Ok(held.clone())
    }

    pub(super) fn size(&mut self, size_id: i64) -> &mut LockedSize {
        self.sizes.iter_mut().find(|locked| locked.id == size_id).expect(SIZE_IS_KNOWN)
    }

    pub(super) fn label(&self, size_id: i64) -> String {
        self.sizes.iter().find(|locked| locked.id == size_id).expect(SIZE_IS_KNOWN).size.label.clone()
    }

    /// Available pairs of all sizes.
    pub(super) fn available(&self) -> i32 {
        self.sizes.iter().map(|locked| locked.size.available_stock).sum()
    }
}

const SIZE_IS_KNOWN: &str = "a reservation's size is one of its drop, and the lock keeps its sizes";
