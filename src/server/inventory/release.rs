use super::{Decision, LockedDrop, uncancelled};
use crate::{
    domain::{Reason, Reservation, ReservationStatus},
    error::DropError,
    server::AppState,
};

/// A pair that is back on the shelf.
pub(crate) struct Released {
    /// What became of it: cancelled, or lapsed before that.
    pub(crate) reservation: Reservation,
    /// Pairs of the drop that can be reserved.
    pub(crate) new_stock: i32,
}

/// Gives back the pair that a user holds of a drop. Repeated after it went back, by this call or by time, it says so
/// again: a retry after a lost answer is safe.
pub(crate) async fn release(state: &AppState, user_id: i64, drop_id: i64) -> Result<Released, DropError> {
    let state = state.clone();
    uncancelled(async move {
        let mut drop = LockedDrop::lock(&state, drop_id, user_id).await?;
        let decision = cancel(&mut drop, user_id).await;
        drop.settle(decision).await
    })
    .await
}

async fn cancel(drop: &mut LockedDrop, user_id: i64) -> Decision<Released> {
    let cancelled = sqlx::query!(
        "update reservations set status = 'cancelled', settled_at = $3
         where user_id = $1 and drop_id = $2 and status = 'active'
         returning id, size_id, expires_at, created_at",
        user_id,
        drop.id,
        drop.now
    );
    if let Some(row) = cancelled.fetch_optional(drop.transaction.connection()).await? {
        let size = drop.move_stock(row.size_id, 1, -1, Reason::Released);
        let (drop_id, status) = (drop.id, ReservationStatus::Cancelled);
        let (expires_at, created_at) = (row.expires_at, row.created_at);
        let reservation = Reservation { id: row.id, drop_id, user_id, size, status, expires_at, created_at };
        drop.told.push((reservation.clone(), None));
        return Ok(Ok(Released { reservation, new_stock: drop.available() }));
    }
    let latest = sqlx::query_as!(
        Reservation,
        r#"select r.id, r.drop_id, r.user_id, s.label as size, r.expires_at, r.created_at,
                  r.status as "status: ReservationStatus"
           from reservations r join drop_sizes s on s.id = r.size_id
           where r.user_id = $1 and r.drop_id = $2 order by r.id desc limit 1"#,
        user_id,
        drop.id
    );
    Ok(match latest.fetch_optional(drop.transaction.connection()).await? {
        Some(reservation)
            if matches!(reservation.status, ReservationStatus::Cancelled | ReservationStatus::Expired) =>
        {
            Ok(Released { reservation, new_stock: drop.available() })
        }
        _ => Err(DropError::NoActiveReservation),
    })
}
