use super::{Decision, LockedDrop, uncancelled};
use crate::{
    domain::{Reason, Reservation, ReservationStatus},
    error::DropError,
    server::AppState,
};

/// A reservation that the caller holds now.
pub(crate) struct Granted {
    pub(crate) reservation: Reservation,
    /// Pairs of the drop that can still be reserved.
    pub(crate) new_stock: i32,
    /// Whether it was theirs before they asked: a retry, or a second tab.
    pub(crate) was_held: bool,
}

/// Sets one pair aside for a user. Whoever holds one already gets the same one again, whatever size they name: a retry
/// after a lost answer is safe.
pub(crate) async fn reserve(
    state: &AppState,
    user_id: i64,
    drop_id: i64,
    size: Option<String>,
) -> Result<Granted, DropError> {
    let state = state.clone();
    uncancelled(async move {
        let mut drop = LockedDrop::lock(&state, drop_id, user_id).await?;
        let decision = grant(&mut drop, user_id, size.as_deref()).await;
        let granted = drop.settle(decision).await?;
        if !granted.was_held {
            state.expiry.expect(granted.reservation.expires_at);
        }
        Ok(granted)
    })
    .await
}

async fn grant(drop: &mut LockedDrop, user_id: i64, size: Option<&str>) -> Decision<Granted> {
    let held = sqlx::query_as!(
        Reservation,
        r#"select r.id, r.drop_id, r.user_id, s.label as size, r.expires_at, r.created_at,
                  r.status as "status: ReservationStatus"
           from reservations r join drop_sizes s on s.id = r.size_id
           where r.user_id = $1 and r.drop_id = $2 and r.status = 'active' and r.expires_at > $3"#,
        user_id,
        drop.id,
        drop.now
    );
    if let Some(reservation) = held.fetch_optional(drop.transaction.connection()).await? {
        return Ok(Ok(Granted { reservation, new_stock: drop.available(), was_held: true }));
    }
    if drop.now < drop.starts_at {
        return Ok(Err(DropError::NotStarted { starts_at: drop.starts_at }));
    }
    if drop.ends_at.is_some_and(|ends_at| ends_at <= drop.now) {
        return Ok(Err(DropError::Ended));
    }
    if let Some(limit) = drop.limit_per_user {
        let bought = sqlx::query_scalar!(
            r#"select count(*) as "count!" from purchases where user_id = $1 and drop_id = $2"#,
            user_id,
            drop.id
        );
        if bought.fetch_one(drop.transaction.connection()).await? >= i64::from(limit) {
            return Ok(Err(DropError::LimitReached { limit }));
        }
    }
    let (size_id, size) = match choose(drop, size) {
        Ok(chosen) => chosen,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let expires_at = drop.now + drop.state.config.reservation_ttl;
    let id = sqlx::query_scalar!(
        "insert into reservations (drop_id, size_id, user_id, expires_at, created_at) values ($1, $2, $3, $4, $5)
         returning id",
        drop.id,
        size_id,
        user_id,
        expires_at,
        drop.now
    );
    let id = id.fetch_one(drop.transaction.connection()).await?;
    let (status, drop_id, created_at) = (ReservationStatus::Active, drop.id, drop.now);
    let reservation = Reservation { id, drop_id, user_id, size, status, expires_at, created_at };
    drop.move_stock(size_id, -1, 1, Reason::Reserved);
    drop.told.push((reservation.clone(), None));
    Ok(Ok(Granted { reservation, new_stock: drop.available(), was_held: false }))
}

/// The size to take a pair of: the one named, or the only one.
fn choose(drop: &LockedDrop, label: Option<&str>) -> Result<(i64, String), DropError> {
    if drop.available() <= 0 {
        return Err(DropError::SoldOut);
    }
    let shelf = match (label, &drop.shelf[..]) {
        (None, [only]) => only,
        (None, _) => return Err(DropError::SizeRequired { sizes_left: drop.sizes_left() }),
        (Some(label), shelf) => shelf
            .iter()
            .find(|shelf| shelf.size.label == label)
            .ok_or_else(|| DropError::UnknownSize { sizes_left: drop.sizes_left() })?,
    };
    if shelf.size.available_stock <= 0 {
        return Err(DropError::SoldOut);
    }
    Ok((shelf.id, shelf.size.label.clone()))
}
