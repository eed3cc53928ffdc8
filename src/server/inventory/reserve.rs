use super::{
    LockedDrop,
    combine::{self, Order, Outcome},
    standing::Standings,
};
use crate::{domain::Reservation, domain::error::DropError, server::AppState};
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

/// Grants in the order of arrival while stock lasts; to be written with everything else.
pub(super) fn decide(
    drop: &mut LockedDrop,
    standings: &Standings,
    orders: &[Reserve],
) -> Vec<Result<Decision, DropError>> {
    let decide = |order| {
        let decision = decide_one(drop, standings, order)?;
        if let Decision::Grant { size_id } = decision {
            drop.grant(order.user_id, size_id);
        }
        Ok(decision)
    };
    orders.iter().map(decide).collect()
}

/// What everyone is told, with the reservations that were made, by their users.
pub(super) fn outcomes(
    orders: &[Reserve],
    decisions: Vec<Result<Decision, DropError>>,
    mut made: HashMap<i64, Reservation>,
) -> Vec<Result<Granted, DropError>> {
    let outcome_of = |(order, decision): (&Reserve, Result<Decision, DropError>)| {
        let (reservation, was_held) = match decision? {
            Decision::Held(reservation) => (reservation, true),
            Decision::Grant { .. } => (made.remove(&order.user_id).ok_or(DropError::Unknown)?, false),
        };
        Ok(Granted { reservation, new_stock: 0, was_held })
    };
    std::iter::zip(orders, decisions).map(outcome_of).collect()
}

/// What becomes of a wish.
pub(super) enum Decision {
    /// They have one already.
    Held(Reservation),
    /// They get one of this size.
    Grant { size_id: i64 },
}

fn decide_one(drop: &LockedDrop, standings: &Standings, order: &Reserve) -> Result<Decision, DropError> {
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
