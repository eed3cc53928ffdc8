use super::{Decision, LockedDrop, uncancelled};
use crate::{
    domain::{Purchase, Purchaser, Reason, Reservation, ReservationStatus, User},
    error::{DropError, Missing},
    server::{
        AppState,
        database::{Loan, bounded, fault},
    },
};
use sqlx::PgPool;

/// A pair that the caller owns now.
pub(crate) struct Purchased {
    pub(crate) purchase: Purchase,
    /// Pairs of the drop that can be reserved.
    pub(crate) new_stock: i32,
    pub(crate) purchaser: User,
}

/// What to buy.
#[derive(Clone, Copy)]
pub(crate) enum Target {
    /// The pair that the user holds of a drop.
    Drop(i64),
    /// The pair of a reservation.
    Reservation(i64),
}

/// Sells a user the pair that they hold. Repeated after it was sold, it returns the same purchase: a retry after a lost
/// answer is safe.
pub(crate) async fn purchase(state: &AppState, user_id: i64, target: Target) -> Result<Purchased, DropError> {
    let state = state.clone();
    uncancelled(async move {
        let drop_id = match target {
            Target::Drop(drop_id) => drop_id,
            // Whose reservation it is and of which drop never changes, so that it can be read without the lock.
            Target::Reservation(id) => drop_of(&state.pool, user_id, id).await?,
        };
        let mut drop = LockedDrop::lock(&state, drop_id, user_id).await?;
        let decision = sell(&mut drop, user_id, target).await;
        drop.settle(decision).await
    })
    .await
}

async fn drop_of(pool: &PgPool, user_id: i64, reservation_id: i64) -> Result<i64, DropError> {
    let drop_id =
        sqlx::query_scalar!("select drop_id from reservations where id = $1 and user_id = $2", reservation_id, user_id);
    let mut loan = Loan::take(pool).await.map_err(fault)?;
    let drop_id = bounded(drop_id.fetch_optional(loan.connection())).await?;
    loan.give_back();
    drop_id.ok_or(DropError::NotFound(Missing::Reservation))
}

async fn sell(drop: &mut LockedDrop, user_id: i64, target: Target) -> Decision<Purchased> {
    // The user's latest reservation tells what a repeated purchase means: bought, lapsed or given back.
    let reservation_id = match target {
        Target::Drop(_) => None,
        Target::Reservation(id) => Some(id),
    };
    let reservation = sqlx::query!(
        r#"select r.id, r.size_id, s.label as size, r.status as "status: ReservationStatus", r.expires_at, r.created_at,
                  u.username
           from reservations r join drop_sizes s on s.id = r.size_id join users u on u.id = r.user_id
           where r.user_id = $1 and r.drop_id = $2 and ($3::bigint is null or r.id = $3)
           order by r.id desc limit 1"#,
        user_id,
        drop.id,
        reservation_id
    );
    let Some(held) = reservation.fetch_optional(drop.transaction.connection()).await? else {
        return Ok(Err(DropError::NoActiveReservation));
    };
    let purchaser = User { id: user_id, username: held.username };
    match held.status {
        ReservationStatus::Active => {}
        ReservationStatus::Expired => return Ok(Err(DropError::ReservationExpired)),
        ReservationStatus::Cancelled => return Ok(Err(DropError::NoActiveReservation)),
        ReservationStatus::Completed => {
            let purchase = sqlx::query_as!(
                Purchase,
                "select p.id, p.drop_id, p.user_id, p.reservation_id, s.label as size, p.price_cents, p.created_at
                 from purchases p join drop_sizes s on s.id = p.size_id where p.reservation_id = $1",
                held.id
            );
            let purchase = purchase.fetch_one(drop.transaction.connection()).await?;
            return Ok(Ok(Purchased { purchase, new_stock: drop.available(), purchaser }));
        }
    }
    // The one transition: `expires_at` is checked here too, as a batch of lapsed reservations may have left this one.
    let completed = sqlx::query!(
        "update reservations set status = 'completed', settled_at = $2
         where id = $1 and status = 'active' and expires_at > $2",
        held.id,
        drop.now
    );
    if completed.execute(drop.transaction.connection()).await?.rows_affected() == 0 {
        return Ok(Err(DropError::ReservationExpired));
    }
    let id = sqlx::query_scalar!(
        "insert into purchases (drop_id, size_id, user_id, reservation_id, price_cents, created_at)
         values ($1, $2, $3, $4, $5, $6) returning id",
        drop.id,
        held.size_id,
        user_id,
        held.id,
        drop.price_cents,
        drop.now
    );
    let id = id.fetch_one(drop.transaction.connection()).await?;
    let size = drop.move_stock(held.size_id, 0, -1, Reason::Purchased);
    let (drop_id, price_cents, created_at) = (drop.id, drop.price_cents, drop.now);
    let purchase = Purchase { id, drop_id, user_id, reservation_id: held.id, size: held.size, price_cents, created_at };
    let reservation = Reservation {
        id: held.id,
        drop_id,
        user_id,
        size,
        status: ReservationStatus::Completed,
        expires_at: held.expires_at,
        created_at: held.created_at,
    };
    drop.told.push((reservation, Some(purchase.clone())));
    let username = purchaser.username.clone();
    drop.purchaser = Some(Purchaser { id: user_id, username, purchase_id: id, purchased_at: created_at });
    Ok(Ok(Purchased { purchase, new_stock: drop.available(), purchaser }))
}
