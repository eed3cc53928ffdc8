//! What a visitor does about a drop, and what becomes of the answer.
//!
//! Actions live as long as the page, not as long as a card: a card that moves to another section while the server answers
//! is a new card, and the answer must find both state and toast.

use crate::{
    api,
    call::Call,
    domain::{Purchase, Reservation, ReservationStatus},
    error::DropError,
    live::Live,
    words,
};
use leptos::{prelude::*, server_fn::ServerFn};
use serde::de::DeserializeOwned;
use web_sys::SubmitEvent;

/// The actions of every drop.
#[derive(Clone, Copy)]
pub struct Actions {
    known: StoredValue<Vec<DropActions>>,
    owner: StoredValue<Owner>,
    live: Live,
}

/// The three things to do about one drop.
#[derive(Clone, Copy)]
pub struct DropActions {
    /// Sets a pair aside.
    pub reserve: Call,
    /// Buys it.
    pub purchase: Call,
    /// Gives it back.
    pub give_back: Call,
    /// Whether the visitor has just used one of them, so that focus should go to the next.
    pub was_used: StoredValue<bool>,
    drop_id: i64,
    live: Live,
}

impl Actions {
    /// None yet. Call once, in the root component, which owns all that is made later.
    pub fn new(live: Live) -> Self {
        let owner = Owner::current().expect("a component has an owner");
        Self { known: StoredValue::default(), owner: StoredValue::new(owner), live }
    }

    /// The actions of a drop.
    pub fn of(self, drop_id: i64) -> DropActions {
        if let Some(known) = self.known.with_value(|known| known.iter().find(|known| known.drop_id == drop_id).copied())
        {
            return known;
        }
        let new = self.owner.with_value(|owner| owner.with(|| DropActions::new(drop_id, self.live)));
        self.known.update_value(|known| known.push(new));
        new
    }

    /// Settles what has lapsed by the page's clock, without waiting for the server; but not what is being bought, for
    /// which the server's answer decides.
    pub fn lapse(self) {
        let now = self.live.clock.now();
        let is_over = |reservation: &Reservation| {
            !reservation.is_held(now) && !self.of(reservation.drop_id).purchase.pending.get_untracked()
        };
        self.live.lapse(is_over);
    }
}

impl DropActions {
    fn new(drop_id: i64, live: Live) -> Self {
        Self {
            reserve: Call::new(api::Reserve::PATH),
            purchase: Call::new(api::Purchase::PATH),
            give_back: Call::new(api::GiveBack::PATH),
            was_used: StoredValue::new(false),
            drop_id,
            live,
        }
    }

    /// Whether any of them is under way.
    pub fn is_busy(self) -> bool {
        [self.reserve, self.purchase, self.give_back].iter().any(|call| call.pending.get())
    }

    /// Sends the form that sets a pair aside.
    pub fn send_reserve(self, event: &SubmitEvent) {
        let live = self.live;
        self.send(self.reserve, event, move |reservation: Reservation| {
            live.toasts.success(words::reserved(&reservation));
            live.apply(reservation, None);
        });
    }

    /// Sends the form that buys it.
    pub fn send_purchase(self, event: &SubmitEvent) {
        let live = self.live;
        self.send(self.purchase, event, move |purchase: Purchase| {
            live.toasts.success(words::bought(&purchase));
            live.add_purchase(purchase);
        });
    }

    /// Sends the form that gives it back.
    pub fn send_give_back(self, event: &SubmitEvent) {
        let live = self.live;
        self.send(self.give_back, event, move |reservation: Reservation| {
            if reservation.status == ReservationStatus::Cancelled {
                live.toasts.success(words::GIVEN_BACK.into());
            }
            live.apply(reservation, None);
        });
    }

    fn send<T: DeserializeOwned>(self, call: Call, event: &SubmitEvent, done: impl FnOnce(T) + 'static) {
        self.was_used.set_value(true);
        call.send(event, move |answer| match answer {
            Ok(answer) => done(answer),
            Err(error) => self.refused(error),
        });
    }

    fn refused(self, error: DropError) {
        let Self { drop_id, live, .. } = self;
        match error {
            DropError::Unauthorized => live.change_visitor(None),
            DropError::ReservationExpired => live.lapse(|reservation| reservation.drop_id == drop_id),
            _ => {}
        }
        live.toasts.error(error.to_string());
    }
}
