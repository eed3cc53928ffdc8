//! A held pair is bought.

use super::{
    Inventory,
    batcher::{self, Command, Reply},
    transaction::LockedDrop,
    user_state::{LatestReservation, UserStates},
};
use crate::{
    domain::{
        self, Purchaser, ReservationStatus, User,
        error::{DropError, Missing},
        event::Reason,
    },
    server::database::{
        Pool,
        error::{fault, with_timeout},
        guard::PoolGuard,
    },
};
use std::collections::HashMap;

/// Sells a user the pair that they hold. Purchasing again returns the same purchase, so a retry after a lost answer is safe.
pub(crate) async fn purchase(inventory: &Inventory, user_id: i64, target: Target) -> Result<Purchased, DropError> {
    let (drop_id, reservation_id) = match target {
        Target::Drop(drop_id) => (drop_id, None),
        // The user and the drop of a reservation never change, so they can be read without the lock.
        Target::Reservation(id) => (drop_of(&inventory.pool, user_id, id).await?, Some(id)),
    };
    batcher::submit(inventory, drop_id, user_id, reservation_id, |queues| &mut queues.purchases).await
}

/// What to buy.
#[derive(Clone, Copy)]
pub(crate) enum Target {
    /// The pair that the user holds of this drop.
    Drop(i64),
    /// The pair of this reservation.
    Reservation(i64),
}

#[derive(Clone)]
pub(crate) struct Purchased {
    pub(crate) purchase: domain::Purchase,
    /// Available pairs of the drop.
    pub(crate) new_stock: i32,
    pub(crate) purchaser: User,
}

impl Reply for Purchased {}

/// The parameter is a reservation of the user; `None` is the one that they hold.
pub(super) type Purchase = Command<Option<i64>, Purchased>;

async fn drop_of(pool: &Pool, user_id: i64, reservation_id: i64) -> Result<i64, DropError> {
    let drop_id =
        sqlx::query_scalar!("select drop_id from reservations where id = $1 and user_id = $2", reservation_id, user_id);
    let mut connection = PoolGuard::acquire(pool).await.map_err(fault)?;
    let drop_id = with_timeout(drop_id.fetch_optional(&mut *connection)).await?;
    connection.put_back();
    drop_id.ok_or(DropError::NotFound(Missing::Reservation))
}

/// Sells the pairs that are held and replies to each command.
pub(super) async fn sell(
    drop: &mut LockedDrop,
    user_states: &mut UserStates,
    commands: &[Purchase],
) -> Result<Vec<Result<Purchased, DropError>>, sqlx::Error> {
    let (mut held, mut settled_ids) = (vec![], vec![]);
    let mut decisions = vec![];
    for command in commands {
        let decision = decide(drop, user_states, command);
        match &decision {
            Ok(Decision::Sell(latest, purchaser)) => held.push((latest.clone(), purchaser.clone())),
            Ok(Decision::LookUp(reservation_id, _)) => settled_ids.push(*reservation_id),
            Err(_) => {}
        }
        decisions.push(decision);
    }
    let mut purchases = insert(drop, held).await?;
    purchases.extend(look_up(drop, &settled_ids).await?);
    let reply_to = |decision| {
        let (reservation_id, purchaser) = match decision? {
            Decision::Sell(latest, purchaser) => (latest.reservation.id, purchaser),
            Decision::LookUp(reservation_id, purchaser) => (reservation_id, purchaser),
        };
        let purchase = purchases.remove(&reservation_id).unwrap_or(Err(DropError::NoActiveReservation))?;
        Ok(Purchased { purchase, new_stock: 0, purchaser })
    };
    Ok(decisions.into_iter().map(reply_to).collect())
}

enum Decision {
    Sell(LatestReservation, User),
    /// The reservation is not active: look up its purchase, or why there is none.
    LookUp(i64, User),
}

/// Decides by the latest reservation of the user. If it is not active, the command repeats an earlier one, or comes too late.
fn decide(drop: &LockedDrop, user_states: &mut UserStates, command: &Purchase) -> Result<Decision, DropError> {
    let user_state = user_states.get_mut(&command.user_id).ok_or(DropError::Unauthorized)?;
    let purchaser = user_state.user.clone();
    let is_held = user_state.held(drop.now).is_some();
    let latest = user_state.latest.as_mut().ok_or(DropError::NoActiveReservation)?;
    match command.parameters {
        Some(earlier_id) if earlier_id != latest.reservation.id => Ok(Decision::LookUp(earlier_id, purchaser)),
        _ if is_held => {
            latest.reservation.status = ReservationStatus::Completed;
            user_state.bought += 1;
            Ok(Decision::Sell(latest.clone(), purchaser))
        }
        _ => Ok(Decision::LookUp(latest.reservation.id, purchaser)),
    }
}

/// Completes reservations and writes their purchases, which are returned by their reservation.
async fn insert(
    drop: &mut LockedDrop,
    held: Vec<(LatestReservation, User)>,
) -> Result<HashMap<i64, Result<domain::Purchase, DropError>>, sqlx::Error> {
    if held.is_empty() {
        return Ok(HashMap::new());
    }
    let reservation_ids: Vec<i64> = held.iter().map(|(latest, _)| latest.reservation.id).collect();
    let (drop_id, created_at) = (drop.id, drop.now);
    // A row that the conditional UPDATE does not change gets no purchase, which is an error below.
    let rows = sqlx::query!(
        "with completed as (
             update reservations set status = 'completed', settled_at = $2
             where id = any($1) and status = 'active' and expires_at > $2
             returning id, drop_id, size_id, user_id, price_cents
         )
         insert into purchases (drop_id, size_id, user_id, reservation_id, price_cents, created_at)
         select drop_id, size_id, user_id, reservation_id, price_cents, $2
         from unnest($1::bigint[]) with ordinality as sold (reservation_id, position)
         join completed on completed.id = reservation_id
         order by position
         returning id, reservation_id",
        &reservation_ids,
        created_at
    );
    let rows = rows.fetch_all(drop.connection()).await?;
    let mut ids: HashMap<i64, i64> = rows.into_iter().map(|row| (row.reservation_id, row.id)).collect();
    let mut purchases = HashMap::new();
    for (LatestReservation { size_id, reservation }, User { id: user_id, username }) in held {
        let (reservation_id, size, price_cents) = (reservation.id, reservation.size.clone(), reservation.price_cents);
        let id = ids.remove(&reservation_id).ok_or(sqlx::Error::RowNotFound)?;
        let purchase = domain::Purchase { id, drop_id, user_id, reservation_id, size, price_cents, created_at };
        drop.move_stock(size_id, 0, -1, Reason::Purchased);
        drop.add_purchaser(Purchaser { id: user_id, username, purchase_id: id, purchased_at: created_at });
        drop.settle(reservation, Some(purchase.clone()));
        purchases.insert(reservation_id, Ok(purchase));
    }
    Ok(purchases)
}

/// The purchases of reservations that are not active, or why there are none.
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
    let replies = rows.into_iter().map(|row| {
        let reply = match (row.id, row.price_cents, row.created_at) {
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
        (row.reservation_id, reply)
    });
    Ok(replies.collect())
}
