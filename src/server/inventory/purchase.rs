//! A held pair is bought.

use super::{
    command::Purchased,
    transaction::{Committed, LockedDrop},
};
use crate::{
    domain::{Purchase, ReservationStatus, User, error::DropError},
    server::database::{
        Pool,
        error::{fault, with_timeout},
        guard::PoolGuard,
    },
};

/// Sells the pair that the user holds.
///
/// # Errors
/// `NoActiveReservation` if the user holds none, or not the one with this id. It may have been bought already: see
/// [`settled`].
pub(super) fn decide(
    drop: &mut LockedDrop,
    user_id: i64,
    reservation_id: Option<i64>,
) -> Result<impl FnOnce(&Committed) -> Purchased + use<>, DropError> {
    let held = drop.state.held_by(user_id)?.ok_or(DropError::NoActiveReservation)?.clone();
    if reservation_id.is_some_and(|id| id != held.reservation.id) {
        return Err(DropError::NoActiveReservation);
    }
    drop.complete(held);
    Ok(move |committed: &Committed| {
        let (purchase, purchaser) = committed.purchases[&user_id].clone();
        Purchased { purchase, new_stock: committed.new_stock, purchaser }
    })
}

/// The purchase of a reservation that is not active, or why there is none: of this reservation, or of the user's latest of
/// the drop. What is settled never changes, so it is read without the drop's lock.
pub(super) async fn settled(
    pool: &Pool,
    user_id: i64,
    drop_id: i64,
    reservation_id: Option<i64>,
) -> Result<Purchased, DropError> {
    let row = sqlx::query!(
        r#"select r.id as reservation_id, r.status as "status: ReservationStatus", s.label as size, u.username,
                  p.id as "id?", p.price_cents as "price_cents?", p.created_at as "created_at?",
                  (select sum(available_stock) from drop_sizes where drop_id = $2)::integer as "new_stock!"
           from reservations r
           join users u on u.id = r.user_id
           join drop_sizes s on s.id = r.size_id
           left join purchases p on p.reservation_id = r.id
           where r.user_id = $1 and r.drop_id = $2 and ($3::bigint is null or r.id = $3) and r.status <> 'active'
           order by r.id desc limit 1"#,
        user_id,
        drop_id,
        reservation_id
    );
    let mut connection = PoolGuard::acquire(pool).await.map_err(fault)?;
    let row = with_timeout(row.fetch_optional(&mut *connection)).await?.ok_or(DropError::NoActiveReservation)?;
    connection.put_back();
    let (Some(id), Some(price_cents), Some(created_at)) = (row.id, row.price_cents, row.created_at) else {
        let has_expired = row.status == ReservationStatus::Expired;
        return Err(if has_expired { DropError::ReservationExpired } else { DropError::NoActiveReservation });
    };
    let (reservation_id, size, created_at) = (row.reservation_id, row.size, created_at.into());
    Ok(Purchased {
        purchase: Purchase { id, drop_id, user_id, reservation_id, size, price_cents, created_at },
        new_stock: row.new_stock,
        purchaser: User { id: user_id, username: row.username },
    })
}
