//! A holder gives a pair back.

use super::{
    Inventory,
    batcher::{self, Command, Reply},
    transaction::LockedDrop,
    user_state::UserStates,
};
use crate::domain::{Reservation, ReservationStatus, error::DropError, event::Reason};

/// Releases the pair that a user holds of a drop. Releasing again returns the same reservation, also after it expired, so a
/// retry after a lost answer is safe.
pub(crate) async fn release(inventory: &Inventory, user_id: i64, drop_id: i64) -> Result<Released, DropError> {
    batcher::submit(inventory, drop_id, user_id, (), |queues| &mut queues.releases).await
}

#[derive(Clone)]
pub(crate) struct Released {
    /// Cancelled, or expired before it could be.
    pub(crate) reservation: Reservation,
    /// Available pairs of the drop.
    pub(crate) new_stock: i32,
}

impl Reply for Released {}

pub(super) type Release = Command<(), Released>;

/// Cancels the reservations that are held and replies to each command.
pub(super) async fn cancel(
    drop: &mut LockedDrop,
    user_states: &mut UserStates,
    commands: &[Release],
) -> Result<Vec<Result<Released, DropError>>, sqlx::Error> {
    let mut replies = vec![];
    let mut cancelled = vec![];
    for command in commands {
        let Some(user_state) = user_states.get_mut(&command.user_id) else {
            replies.push(Err(DropError::Unauthorized));
            continue;
        };
        let is_held = user_state.held(drop.now).is_some();
        replies.push(match &mut user_state.latest {
            Some(latest) if is_held => {
                latest.reservation.status = ReservationStatus::Cancelled;
                cancelled.push(latest.reservation.id);
                drop.move_stock(latest.size_id, 1, -1, Reason::Released);
                drop.settle(latest.reservation.clone(), None);
                Ok(latest.reservation.clone())
            }
            Some(latest) if latest.reservation.status != ReservationStatus::Completed => Ok(latest.reservation.clone()),
            _ => Err(DropError::NoActiveReservation),
        });
    }
    write_cancelled(drop, &cancelled).await?;
    let replies = replies.into_iter();
    Ok(replies.map(|reply| reply.map(|reservation| Released { reservation, new_stock: 0 })).collect())
}

/// Writes that reservations are cancelled. A row that the conditional UPDATE does not change is an error, which rolls back
/// the batch: stock returns only for rows that changed.
async fn write_cancelled(drop: &mut LockedDrop, reservation_ids: &[i64]) -> Result<(), sqlx::Error> {
    if reservation_ids.is_empty() {
        return Ok(());
    }
    let now = drop.now;
    let update = sqlx::query!(
        "update reservations set status = 'cancelled', settled_at = $2
         where id = any($1) and status = 'active' and expires_at > $2",
        reservation_ids,
        now
    );
    match update.execute(drop.connection()).await?.rows_affected() {
        changed if changed == reservation_ids.len() as u64 => Ok(()),
        _ => Err(sqlx::Error::RowNotFound),
    }
}
