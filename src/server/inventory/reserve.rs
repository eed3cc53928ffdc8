use super::{
    LockedDrop,
    combine::{self, Order, Outcome},
    standing::Standings,
};
use crate::{
    domain::{Reason, Reservation, ReservationStatus},
    error::DropError,
    server::AppState,
};
use std::collections::HashMap;

/// A reservation that the caller holds now.
#[derive(Clone)]
pub(crate) struct Granted {
    pub(crate) reservation: Reservation,
    /// Pairs of the drop that can still be reserved.
    pub(crate) new_stock: i32,
    /// Whether it was theirs before they asked: a retry, or a second tab.
    pub(crate) was_held: bool,
}

impl Outcome for Granted {
    fn repeated(&self) -> Self {
        Self { was_held: true, ..self.clone() }
    }
}

/// A wish for a pair of a size; of the only one, if none is named.
pub(super) type Reserve = Order<Option<String>, Granted>;

/// Sets one pair aside for a user. Whoever holds one already gets the same one again, whatever size they name: a retry
/// after a lost answer is safe.
pub(crate) async fn reserve(
    state: &AppState,
    user_id: i64,
    drop_id: i64,
    size: Option<String>,
) -> Result<Granted, DropError> {
    if state.catalog.is_sold_out_for(user_id, drop_id, size.as_deref()) {
        return Err(DropError::SoldOut);
    }
    // All that do not exist are the same wish: nobody fills a queue with them.
    let size = size.map(|label| if state.catalog.may_have_size(drop_id, &label) { label } else { String::new() });
    combine::ask(state, drop_id, user_id, size, |queues| &mut queues.reserves).await
}

/// Grants in the order of arrival while stock lasts.
pub(super) async fn grant(
    drop: &mut LockedDrop,
    standings: &Standings,
    orders: &[Reserve],
) -> Result<Vec<Result<Granted, DropError>>, sqlx::Error> {
    let mut decisions = vec![];
    let (mut user_ids, mut size_ids) = (vec![], vec![]);
    for order in orders {
        let decision = decide(drop, standings, order);
        if let Ok(Decision::Grant { size_id }) = decision {
            drop.move_stock(size_id, -1, 1, Reason::Reserved);
            user_ids.push(order.user_id);
            size_ids.push(size_id);
        }
        decisions.push(decision);
    }
    let mut granted = insert(drop, &user_ids, &size_ids).await?;
    let outcome_of = |(order, decision): (&Reserve, Result<Decision, DropError>)| {
        let (reservation, was_held) = match decision {
            Err(refusal) => return Ok(Err(refusal)),
            Ok(Decision::Held(reservation)) => (reservation, true),
            Ok(Decision::Grant { .. }) => (granted.remove(&order.user_id).ok_or(sqlx::Error::RowNotFound)?, false),
        };
        Ok(Ok(Granted { reservation, new_stock: 0, was_held }))
    };
    std::iter::zip(orders, decisions).map(outcome_of).collect()
}

enum Decision {
    Held(Reservation),
    Grant { size_id: i64 },
}

fn decide(drop: &LockedDrop, standings: &Standings, order: &Reserve) -> Result<Decision, DropError> {
    let standing = standings.get(&order.user_id).ok_or(DropError::Unauthorized)?;
    if let Some(held) = standing.held(drop.now) {
        return Ok(Decision::Held(held.reservation.clone()));
    }
    if drop.now < drop.starts_at {
        return Err(DropError::NotStarted { starts_at: drop.starts_at });
    }
    if drop.ends_at.is_some_and(|ends_at| ends_at <= drop.now) {
        return Err(DropError::Ended);
    }
    if let Some(limit) = drop.limit_per_user.filter(|limit| standing.bought >= i64::from(*limit)) {
        return Err(DropError::LimitReached { limit });
    }
    choose(drop, order.wish.as_deref()).map(|size_id| Decision::Grant { size_id })
}

/// The size to take a pair of: the one named, or the only one.
fn choose(drop: &LockedDrop, label: Option<&str>) -> Result<i64, DropError> {
    if drop.available() <= 0 {
        return Err(DropError::SoldOut);
    }
    let left = drop.shelf.iter().filter(|shelf| shelf.size.available_stock > 0);
    let sizes_left = || left.map(|shelf| shelf.size.label.clone()).collect();
    let shelf = match (label, &drop.shelf[..]) {
        (None, [only]) => only,
        (None, _) => return Err(DropError::SizeRequired { sizes_left: sizes_left() }),
        (Some(label), shelf) => match shelf.iter().find(|shelf| shelf.size.label == label) {
            Some(shelf) => shelf,
            None => return Err(DropError::UnknownSize { sizes_left: sizes_left() }),
        },
    };
    if shelf.size.available_stock > 0 { Ok(shelf.id) } else { Err(DropError::SoldOut) }
}

/// Writes reservations; returns them by their user.
async fn insert(
    drop: &mut LockedDrop,
    user_ids: &[i64],
    size_ids: &[i64],
) -> Result<HashMap<i64, Reservation>, sqlx::Error> {
    if user_ids.is_empty() {
        return Ok(HashMap::new());
    }
    let (drop_id, created_at, expires_at) = (drop.id, drop.now, drop.reserved_until());
    let rows = sqlx::query!(
        "insert into reservations (drop_id, size_id, user_id, expires_at, created_at)
         select $1, size_id, user_id, $4, $5
         from unnest($2::bigint[], $3::bigint[]) with ordinality as granted (size_id, user_id, position) order by position
         returning id, user_id, size_id",
        drop_id,
        size_ids,
        user_ids,
        expires_at,
        created_at
    );
    let rows = rows.fetch_all(drop.connection()).await?;
    let mut granted = HashMap::new();
    for row in rows {
        let (id, user_id, status) = (row.id, row.user_id, ReservationStatus::Active);
        let size = drop.label(row.size_id);
        let reservation = Reservation { id, drop_id, user_id, size, status, expires_at, created_at };
        drop.tell(reservation.clone(), None);
        granted.insert(user_id, reservation);
    }
    Ok(granted)
}
