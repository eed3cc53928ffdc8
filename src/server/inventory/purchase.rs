//! A held pair is bought.

use super::{
    command::Purchased,
    transaction::{Committed, LockedDrop},
};
use crate::domain::error::DropError;

/// Sells the pair that the user holds.
///
/// # Errors
/// `NoActiveReservation` if the user holds none, or not the one with this id. It may be settled already, see
/// [`settled`](super::settled).
pub(super) fn decide(
    drop: &mut LockedDrop,
    user_id: i64,
    reservation_id: Option<i64>,
) -> Result<impl FnOnce(&Committed) -> Purchased + use<>, DropError> {
    let held = drop.state.held(user_id, reservation_id)?;
    drop.complete(held);
    Ok(move |committed: &Committed| {
        let (purchase, purchaser) = committed.purchases[&user_id].clone();
        Purchased { purchase, new_stock: committed.new_stock, purchaser }
    })
}
