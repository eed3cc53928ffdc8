//! A pair is set aside for one user.

use super::{
    Inventory,
    batcher::{self, Command, Reply},
    transaction::LockedDrop,
    user_state::UserStates,
};
use crate::domain::{Reservation, error::DropError};
use std::collections::HashMap;

/// Reserves one pair for a user. A user who holds one already gets the same reservation, whatever size they name, so a retry
/// after a lost answer is safe.
pub(crate) async fn reserve(
    inventory: &Inventory,
    user_id: i64,
    drop_id: i64,
    size: Option<String>,
) -> Result<Granted, DropError> {
    if inventory.is_sold_out_for(user_id, drop_id, size.as_deref()) {
        return Err(DropError::SoldOut);
    }
    // Sizes that don't exist become one, so that they are repetitions of one command and cannot fill a queue.
    let size = size.map(|label| if inventory.catalog.may_have_size(drop_id, &label) { label } else { String::new() });
    batcher::submit(inventory, drop_id, user_id, size, |queues| &mut queues.reserves).await
}

#[derive(Clone)]
pub(crate) struct Granted {
    pub(crate) reservation: Reservation,
    /// Available pairs of the drop.
    pub(crate) new_stock: i32,
    /// Whether the user held it before this command: a retry, or a second tab.
    pub(crate) was_held: bool,
}

impl Reply for Granted {
    fn repeated(&self) -> Self {
        Self { was_held: true, ..self.clone() }
    }
}

/// The parameter is the size; `None` is the only one.
pub(super) type Reserve = Command<Option<String>, Granted>;

/// Decides in the order of arrival while stock lasts. Grants are recorded, to be written by the commit.
pub(super) fn decide(
    drop: &mut LockedDrop,
    user_states: &UserStates,
    commands: &[Reserve],
) -> Vec<Result<Decision, DropError>> {
    let decide = |command| {
        let decision = decide_one(drop, user_states, command)?;
        if let Decision::Grant { size_id } = decision {
            drop.grant(command.user_id, size_id);
        }
        Ok(decision)
    };
    commands.iter().map(decide).collect()
}

/// The replies after the commit; `created` are the new reservations by their users.
pub(super) fn replies(
    commands: &[Reserve],
    decisions: Vec<Result<Decision, DropError>>,
    mut created: HashMap<i64, Reservation>,
) -> Vec<Result<Granted, DropError>> {
    let reply_to = |(command, decision): (&Reserve, Result<Decision, DropError>)| {
        let (reservation, was_held) = match decision? {
            Decision::Held(reservation) => (reservation, true),
            Decision::Grant { .. } => (created.remove(&command.user_id).ok_or(DropError::Unknown)?, false),
        };
        Ok(Granted { reservation, new_stock: 0, was_held })
    };
    std::iter::zip(commands, decisions).map(reply_to).collect()
}

pub(super) enum Decision {
    /// The user holds this one already.
    Held(Reservation),
    Grant {
        size_id: i64,
    },
}

fn decide_one(drop: &LockedDrop, user_states: &UserStates, command: &Reserve) -> Result<Decision, DropError> {
    let user_state = user_states.get(&command.user_id).ok_or(DropError::Unauthorized)?;
    if let Some(held) = user_state.held(drop.now) {
        return Ok(Decision::Held(held.reservation.clone()));
    }
    if drop.now < drop.starts_at {
        return Err(DropError::NotStarted { starts_at: drop.starts_at });
    }
    if drop.ends_at.is_some_and(|ends_at| ends_at <= drop.now) {
        return Err(DropError::Ended);
    }
    if let Some(limit) = drop.limit_per_user.filter(|limit| user_state.bought >= i64::from(*limit)) {
        return Err(DropError::LimitReached { limit });
    }
    choose(drop, command.parameters.as_deref()).map(|size_id| Decision::Grant { size_id })
}

/// The id of the named size, or of the only one, if it has stock.
fn choose(drop: &LockedDrop, label: Option<&str>) -> Result<i64, DropError> {
    if drop.available() <= 0 {
        return Err(DropError::SoldOut);
    }
    let left = drop.sizes.iter().filter(|locked| locked.size.available_stock > 0);
    let sizes_left = || left.map(|locked| locked.size.label.clone()).collect();
    let chosen = match (label, &drop.sizes[..]) {
        (None, [only]) => only,
        (None, _) => return Err(DropError::SizeRequired { sizes_left: sizes_left() }),
        (Some(label), sizes) => match sizes.iter().find(|locked| locked.size.label == label) {
            Some(chosen) => chosen,
            None => return Err(DropError::UnknownSize { sizes_left: sizes_left() }),
        },
    };
    if chosen.size.available_stock > 0 { Ok(chosen.id) } else { Err(DropError::SoldOut) }
}
