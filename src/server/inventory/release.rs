//! A holder gives a pair back.

use super::{
    command::Released,
    transaction::{Committed, LockedDrop},
};
use crate::domain::{ReservationStatus, error::DropError};

/// Cancels the reservation that the user holds. Releasing again returns the same reservation, also after it expired, so a
/// retry after a lost answer is safe.
pub(super) fn decide(
    drop: &mut LockedDrop,
    user_id: i64,
) -> Result<impl FnOnce(&Committed) -> Released + use<>, DropError> {
    let reservation = match drop.state.held_by(user_id)?.cloned() {
        Some(held) => drop.cancel(held),
        None => match &drop.state.user(user_id)?.latest {
            Some(latest) if latest.reservation.status != ReservationStatus::Completed => latest.reservation.clone(),
            _ => return Err(DropError::NoActiveReservation),
        },
    };
    Ok(move |committed: &Committed| Released { reservation, new_stock: committed.new_stock })
}
