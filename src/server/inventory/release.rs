use super::{
    LockedDrop,
    combine::{self, Order, Outcome},
    standing::Standings,
};
use crate::{
    domain::error::DropError,
    domain::event::Reason,
    domain::{Reservation, ReservationStatus},
    server::AppState,
};

/// A pair that is back on the shelf.
#[derive(Clone)]
pub(crate) struct Released {
    /// What became of it: cancelled, or lapsed before that.
    pub(crate) reservation: Reservation,
    /// Pairs of the drop that can be reserved.
    pub(crate) new_stock: i32,
}

impl Outcome for Released {}

/// A wish to give a pair back.
pub(super) type Release = Order<(), Released>;

/// Gives back the pair that a user holds of a drop. Repeated after it went back, by this call or by time, it says so
/// again: a retry after a lost answer is safe.
pub(crate) async fn release(state: &AppState, user_id: i64, drop_id: i64) -> Result<Released, DropError> {
    combine::ask(state, drop_id, user_id, (), |queues| &mut queues.releases).await
}

/// Cancels what is held.
pub(super) async fn cancel(
    drop: &mut LockedDrop,
    standings: &mut Standings,
    orders: &[Release],
) -> Result<Vec<Result<Released, DropError>>, sqlx::Error> {
    let mut outcomes = vec![];
    let mut cancelled = vec![];
    for order in orders {
        let Some(standing) = standings.get_mut(&order.user_id) else {
            outcomes.push(Err(DropError::Unauthorized));
            continue;
        };
        let is_held = standing.held(drop.now).is_some();
        outcomes.push(match &mut standing.latest {
            Some(latest) if is_held => {
                latest.reservation.status = ReservationStatus::Cancelled;
                cancelled.push(latest.reservation.id);
                drop.move_stock(latest.size_id, 1, -1, Reason::Released);
                drop.tell(latest.reservation.clone(), None);
                Ok(latest.reservation.clone())
            }
            Some(latest) if latest.reservation.status != ReservationStatus::Completed => Ok(latest.reservation.clone()),
            _ => Err(DropError::NoActiveReservation),
        });
    }
    leave_active(drop, &cancelled).await?;
    let outcomes = outcomes.into_iter();
    Ok(outcomes.map(|outcome| outcome.map(|reservation| Released { reservation, new_stock: 0 })).collect())
}

/// Writes that reservations are cancelled. What the conditional UPDATE did not change is an error, which rolls the batch
/// back, so that stock moves for rows that changed and for no others.
async fn leave_active(drop: &mut LockedDrop, reservation_ids: &[i64]) -> Result<(), sqlx::Error> {
    if reservation_ids.is_empty() {
        return Ok(());
    }
    let now = drop.now;
    let left = sqlx::query!(
        "update reservations set status = 'cancelled', settled_at = $2
         where id = any($1) and status = 'active' and expires_at > $2",
        reservation_ids,
        now
    );
    match left.execute(drop.connection()).await?.rows_affected() {
        changed if changed == reservation_ids.len() as u64 => Ok(()),
        _ => Err(sqlx::Error::RowNotFound),
    }
}
