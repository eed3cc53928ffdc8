//! A holder gives a pair back.

use super::{
    command::Released,
    transaction::{Committed, LockedDrop},
};
use crate::domain::error::DropError;

/// Cancels the reservation that the user holds.
///
/// # Errors
/// `NoActiveReservation` if the user holds none, or not the one with this id. It may be settled already, see
/// [`settled`](super::settled).
pub(super) fn decide(
    drop: &mut LockedDrop,
    user_id: i64,
    reservation_id: Option<i64>,
) -> Result<impl FnOnce(&Committed) -> Released + use<>, DropError> {
    let held = drop.state.held(user_id, reservation_id)?;
    let reservation = drop.cancel(held);
    Ok(move |committed: &Committed| Released { reservation, new_stock: committed.new_stock })
}
