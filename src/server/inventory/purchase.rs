use super::{
    LockedDrop,
    combine::{self, Order, Outcome},
    standing::{Latest, Standings},
};
use crate::{
    domain::error::{DropError, Missing},
    domain::event::Reason,
    domain::{self, Purchaser, ReservationStatus, User},
    server::{
        AppState,
        database::{PoolGuard, fault, with_timeout},
    },
};
use sqlx::PgPool;
use std::collections::HashMap;

/// A pair that the caller owns now.
#[derive(Clone)]
pub(crate) struct Purchased {
    pub(crate) purchase: domain::Purchase,
    /// Pairs of the drop that can be reserved.
    pub(crate) new_stock: i32,
    pub(crate) purchaser: User,
}

impl Outcome for Purchased {}

/// What to buy.
#[derive(Clone, Copy)]
pub(crate) enum Target {
    /// The pair that the user holds of a drop.
    Drop(i64),
    /// The pair of a reservation.
    Reservation(i64),
}

/// A wish to buy the pair that is held, or that of a reservation of the user's.
pub(super) type Purchase = Order<Option<i64>, Purchased>;

/// Sells a user the pair that they hold. Repeated after it was sold, it returns the same purchase: a retry after a lost
/// answer is safe.
pub(crate) async fn purchase(state: &AppState, user_id: i64, target: Target) -> Result<Purchased, DropError> {
    let (drop_id, reservation_id) = match target {
        Target::Drop(drop_id) => (drop_id, None),
        // Whose reservation it is and of which drop never changes, so that it can be read without the lock.
        Target::Reservation(id) => (drop_of(&state.pool, user_id, id).await?, Some(id)),
    };
    combine::ask(state, drop_id, user_id, reservation_id, |queues| &mut queues.purchases).await
}

async fn drop_of(pool: &PgPool, user_id: i64, reservation_id: i64) -> Result<i64, DropError> {
    let drop_id =
        sqlx::query_scalar!("select drop_id from reservations where id = $1 and user_id = $2", reservation_id, user_id);
    let mut connection = PoolGuard::acquire(pool).await.map_err(fault)?;
    let drop_id = with_timeout(drop_id.fetch_optional(&mut *connection)).await?;
    connection.put_back();
    drop_id.ok_or(DropError::NotFound(Missing::Reservation))
}

/// Sells what is held.
pub(super) async fn sell(
    drop: &mut LockedDrop,
    standings: &mut Standings,
    orders: &[Purchase],
) -> Result<Vec<Result<Purchased, DropError>>, sqlx::Error> {
    let (mut held, mut settled_ids) = (vec![], vec![]);
    let mut decisions = vec![];
    for order in orders {
        let decision = decide(drop, standings, order);
        match &decision {
            Ok(Decision::Sell(latest, purchaser)) => held.push((latest.clone(), purchaser.clone())),
            Ok(Decision::Look(reservation_id, _)) => settled_ids.push(*reservation_id),
            Err(_) => {}
        }
        decisions.push(decision);
    }
    let mut purchases = insert(drop, held).await?;
    purchases.extend(look_up(drop, &settled_ids).await?);
    let outcome_of = |decision| {
        let (reservation_id, purchaser) = match decision? {
            Decision::Sell(latest, purchaser) => (latest.reservation.id, purchaser),
            Decision::Look(reservation_id, purchaser) => (reservation_id, purchaser),
        };
        let purchase = purchases.remove(&reservation_id).unwrap_or(Err(DropError::NoActiveReservation))?;
        Ok(Purchased { purchase, new_stock: 0, purchaser })
    };
    Ok(decisions.into_iter().map(outcome_of).collect())
}

enum Decision {
    /// Sell the pair of this reservation.
    Sell(Latest, User),
    /// See what became of a reservation that is over.
    Look(i64, User),
}

/// The user's latest reservation tells what a purchase means that is repeated: bought, lapsed or given back.
fn decide(drop: &LockedDrop, standings: &mut Standings, order: &Purchase) -> Result<Decision, DropError> {
    let standing = standings.get_mut(&order.user_id).ok_or(DropError::Unauthorized)?;
    let purchaser = standing.user.clone();
    let is_held = standing.held(drop.now).is_some();
    let latest = standing.latest.as_mut().ok_or(DropError::NoActiveReservation)?;
    match order.wish {
        Some(earlier_id) if earlier_id != latest.reservation.id => Ok(Decision::Look(earlier_id, purchaser)),
        _ if is_held => {
            latest.reservation.status = ReservationStatus::Completed;
            standing.bought += 1;
            Ok(Decision::Sell(latest.clone(), purchaser))
        }
        _ => Ok(Decision::Look(latest.reservation.id, purchaser)),
    }
}

/// Completes reservations and writes their purchases; returns these by their reservation.
async fn insert(
    drop: &mut LockedDrop,
    held: Vec<(Latest, User)>,
) -> Result<HashMap<i64, Result<domain::Purchase, DropError>>, sqlx::Error> {
    if held.is_empty() {
        return Ok(HashMap::new());
    }
    let reservation_ids: Vec<i64> = held.iter().map(|(latest, _)| latest.reservation.id).collect();
    let size_ids: Vec<i64> = held.iter().map(|(latest, _)| latest.size_id).collect();
    let user_ids: Vec<i64> = held.iter().map(|(_, purchaser)| purchaser.id).collect();
    let (drop_id, price_cents, created_at) = (drop.id, drop.price_cents, drop.now);
    // The conditional UPDATE is a reservation's one way out of `active`; what it leaves has no purchase, which below is an
    // error.
    let rows = sqlx::query!(
        "with completed as (
             update reservations set status = 'completed', settled_at = $6
             where id = any($4) and status = 'active' and expires_at > $6
             returning id
         )
         insert into purchases (drop_id, size_id, user_id, reservation_id, price_cents, created_at)
         select $1, size_id, user_id, reservation_id, $5, $6
         from unnest($2::bigint[], $3::bigint[], $4::bigint[]) with ordinality
             as sold (size_id, user_id, reservation_id, position)
         join completed on completed.id = reservation_id
         order by position
         returning id, reservation_id",
        drop_id,
        &size_ids,
        &user_ids,
        &reservation_ids,
        price_cents,
        created_at
    );
    let rows = rows.fetch_all(drop.connection()).await?;
    let mut ids: HashMap<i64, i64> = rows.into_iter().map(|row| (row.reservation_id, row.id)).collect();
    let mut purchases = HashMap::new();
    for (Latest { size_id, reservation }, User { id: user_id, username }) in held {
        let (reservation_id, size) = (reservation.id, reservation.size.clone());
        let id = ids.remove(&reservation_id).ok_or(sqlx::Error::RowNotFound)?;
        let purchase = domain::Purchase { id, drop_id, user_id, reservation_id, size, price_cents, created_at };
        drop.move_stock(size_id, 0, -1, Reason::Purchased);
        drop.sold_to(Purchaser { id: user_id, username, purchase_id: id, purchased_at: created_at });
        drop.tell(reservation, Some(purchase.clone()));
        purchases.insert(reservation_id, Ok(purchase));
    }
    Ok(purchases)
}

/// What became of reservations that are over: their purchases, or why there are none.
async fn look_up(
    drop: &mut LockedDrop,
    reservation_ids: &[i64],
) -> Result<HashMap<i64, Result<domain::Purchase, DropError>>, sqlx::Error> {
    if reservation_ids.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = sqlx::query!(
        r#"select r.id as "reservation_id!", r.drop_id as "drop_id!", r.user_id as "user_id!", r.size_id as "size_id!",
                  r.status as "status!: ReservationStatus",
                  p.id as "id?", p.price_cents as "price_cents?", p.created_at as "created_at?"
           from reservations r left join purchases p on p.reservation_id = r.id
           where r.id = any($1)"#,
        reservation_ids
    );
    let rows = rows.fetch_all(drop.connection()).await?;
    let outcomes = rows.into_iter().map(|row| {
        let outcome = match (row.id, row.price_cents, row.created_at) {
            (Some(id), Some(price_cents), Some(created_at)) => Ok(domain::Purchase {
                id,
                drop_id: row.drop_id,
                user_id: row.user_id,
                reservation_id: row.reservation_id,
                size: drop.label(row.size_id),
                price_cents,
                created_at,
            }),
            _ if row.status == ReservationStatus::Expired => Err(DropError::ReservationExpired),
            _ => Err(DropError::NoActiveReservation),
        };
        (row.reservation_id, outcome)
    });
    Ok(outcomes.collect())
}
