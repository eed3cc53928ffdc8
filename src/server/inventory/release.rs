use super::{Decision, LockedDrop, uncancelled};
use crate::{
    domain::{Reason, Reservation, ReservationStatus},
    error::DropError,
    server::AppState,
};

/// Gives back the pair that a user holds of a drop; returns how many can be reserved now. Repeated after it went back, by
/// this call or by time, it says so again: a retry after a lost answer is safe.
pub(crate) async fn release(state: &AppState, user_id: i64, drop_id: i64) -> Result<i32, DropError> {
    let state = state.clone();
    uncancelled(async move {
        let mut drop = LockedDrop::lock(&state, drop_id, user_id).await?;
        let decision = cancel(&mut drop, user_id).await;
        drop.settle(decision).await
    })
    .await
}

async fn cancel(drop: &mut LockedDrop, user_id: i64) -> Decision<i32> {
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
        drop.told.push((Reservation { id: row.id, drop_id, user_id, size, status, expires_at, created_at }, None));
        return Ok(Ok(drop.available()));
    }
    let latest = sqlx::query_scalar!(
        r#"select status as "status: ReservationStatus" from reservations
           where user_id = $1 and drop_id = $2 order by id desc limit 1"#,
        user_id,
        drop.id
    );
    Ok(match latest.fetch_optional(drop.transaction.connection()).await? {
        Some(ReservationStatus::Cancelled | ReservationStatus::Expired) => Ok(drop.available()),
        _ => Err(DropError::NoActiveReservation),
    })
}
