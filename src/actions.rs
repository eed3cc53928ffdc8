//! What a visitor does about a drop, and what becomes of the answer.
//!
//! Actions live as long as the page, not as long as a card: a card that moves to another section while the server answers
//! is a new card, and the answer must find both state and toast.

use crate::{
    api,
    domain::{Reservation, ReservationStatus},
    error::DropError,
    live::Live,
    words,
};
use leptos::prelude::*;
use std::collections::HashMap;

/// The actions of every drop.
#[derive(Clone, Copy)]
pub struct Actions {
    by_drop: StoredValue<HashMap<i64, DropActions>>,
    owner: StoredValue<Owner>,
    live: Live,
}

/// The three things to do about one drop, and whether each is under way.
#[derive(Clone, Copy)]
pub struct DropActions {
    /// Sets a pair aside.
    pub reserve: ServerAction<api::Reserve>,
    /// Buys it.
    pub purchase: ServerAction<api::Purchase>,
    /// Gives it back.
    pub give_back: ServerAction<api::GiveBack>,
    /// The server answers to `reserve`.
    pub reserving: Memo<bool>,
    /// The server answers to `purchase`.
    pub purchasing: Memo<bool>,
    /// The server answers to `give_back`.
    pub giving_back: Memo<bool>,
    /// Whether the visitor has just used one of them, so that focus should go to the next.
    pub was_used: StoredValue<bool>,
}

impl Actions {
    /// None yet. Call once, in the root component, which owns all that is made later.
    pub fn new(live: Live) -> Self {
        let owner = Owner::current().expect("a component has an owner");
        Self { by_drop: StoredValue::default(), owner: StoredValue::new(owner), live }
    }

    /// The actions of a drop.
    pub fn of(self, drop_id: i64) -> DropActions {
        if let Some(known) = self.by_drop.with_value(|by_drop| by_drop.get(&drop_id).copied()) {
            return known;
        }
        let new = self.owner.with_value(|owner| owner.with(|| DropActions::new(drop_id, self.live)));
        self.by_drop.update_value(|by_drop| {
            by_drop.insert(drop_id, new);
        });
        new
    }

    /// Settles what has lapsed by the page's clock, without waiting for the server; but not what is being bought, for
    /// which the server's answer decides.
    pub fn lapse(self) {
        let now = self.live.clock.now();
        let is_over = |reservation: &Reservation| {
            !reservation.is_held(now) && !self.of(reservation.drop_id).purchasing.get_untracked()
        };
        self.live.lapse(is_over);
    }
}

impl DropActions {
    fn new(drop_id: i64, live: Live) -> Self {
        let (reserve, purchase, give_back) = (ServerAction::new(), ServerAction::new(), ServerAction::new());
        let actions = Self {
            reserve,
            purchase,
            give_back,
            reserving: reserve.pending(),
            purchasing: purchase.pending(),
            giving_back: give_back.pending(),
            was_used: StoredValue::new(false),
        };
        Effect::new(move || {
            if actions.is_busy() {
                actions.was_used.set_value(true);
            }
        });
        actions.answer(drop_id, live);
        actions
    }

    /// Whether any of them is under way.
    pub fn is_busy(self) -> bool {
        self.reserving.get() || self.purchasing.get() || self.giving_back.get()
    }

    /// Turns the server's answers into state and toasts.
    fn answer(self, drop_id: i64, live: Live) {
        let toasts = live.toasts;
        let refused = move |error: DropError| {
            match error {
                DropError::Unauthorized => live.change_visitor(None),
                DropError::ReservationExpired => live.lapse(|reservation| reservation.drop_id == drop_id),
                _ => {}
            }
            toasts.error(error.to_string());
        };
        Effect::new(move || match self.reserve.value().get() {
            Some(Ok(reservation)) => {
                toasts.success(words::reserved(&reservation));
                live.apply(reservation, None);
            }
            Some(Err(error)) => refused(error),
            None => {}
        });
        Effect::new(move || match self.purchase.value().get() {
            Some(Ok(purchase)) => {
                toasts.success(words::bought(&purchase));
                live.add_purchase(purchase);
            }
            Some(Err(error)) => refused(error),
            None => {}
        });
        Effect::new(move || match self.give_back.value().get() {
            Some(Ok(reservation)) => {
                if reservation.status == ReservationStatus::Cancelled {
                    toasts.success(words::GIVEN_BACK.into());
                }
                live.apply(reservation, None);
            }
            Some(Err(error)) => refused(error),
            None => {}
        });
    }
}
