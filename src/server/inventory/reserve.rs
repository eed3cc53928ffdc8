//! A pair is set aside for one user.

use super::{
    command::Granted,
    state::DropState,
    transaction::{Committed, LockedDrop},
};
use crate::domain::error::{DropError, Missing};

/// Grants a pair of the named size while stock lasts. A user who holds one already gets the same reservation, whatever size
/// they name, so a retry after a lost answer is safe.
pub(super) fn decide(
    drop: &mut LockedDrop,
    user_id: i64,
    size: Option<&str>,
) -> Result<impl FnOnce(&Committed) -> Granted + use<>, DropError> {
    let held = drop.state.held_by(user_id)?.map(|held| held.reservation.clone());
    if held.is_none() {
        let size_id = available_size(&drop.state, user_id, size)?;
        drop.grant(user_id, size_id);
    }
    Ok(move |committed: &Committed| Granted {
        was_held: held.is_some(),
        reservation: held.unwrap_or_else(|| committed.granted[&user_id].clone()),
        new_stock: committed.new_stock,
    })
}

fn available_size(drop: &DropState, user_id: i64, size: Option<&str>) -> Result<i64, DropError> {
    if !drop.is_published {
        return Err(DropError::NotFound(Missing::Drop));
    }
    if drop.now < drop.starts_at {
        return Err(DropError::NotStarted { starts_at: drop.starts_at.into() });
    }
    if drop.ends_at.is_some_and(|ends_at| ends_at <= drop.now) {
        return Err(DropError::Ended);
    }
    if drop.is_paused {
        return Err(DropError::Paused);
    }
    let bought = drop.user(user_id)?.bought;
    if let Some(limit) = drop.limit_per_user.filter(|limit| bought >= i64::from(*limit)) {
        return Err(DropError::LimitReached { limit });
    }
    if drop.available() <= 0 {
        return Err(DropError::SoldOut);
    }
    let left = drop.sizes.iter().filter(|locked| locked.size.available_stock > 0);
    let sizes_left = || left.map(|locked| locked.size.label.clone()).collect();
    let mut shown = drop.sizes.iter().filter(|locked| locked.size.total_stock > 0);
    let chosen = match size {
        None => match (shown.next(), shown.next()) {
            (Some(only), None) => only,
            _ => return Err(DropError::SizeRequired { sizes_left: sizes_left() }),
        },
        Some(label) => match shown.find(|locked| locked.size.label == label) {
            Some(chosen) => chosen,
            None => return Err(DropError::UnknownSize { sizes_left: sizes_left() }),
        },
    };
    if chosen.size.available_stock > 0 { Ok(chosen.id) } else { Err(DropError::SoldOut) }
}
