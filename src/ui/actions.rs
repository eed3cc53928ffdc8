//! What a visitor does about a drop, and what becomes of the answer.
//!
//! Actions live as long as the page, not as long as a card: a card that moves to another section while the server answers
//! is a new card, and the answer must find both state and toast.

use crate::{
    client::forms::FormPost,
    client::store::Store,
    domain::error::DropError,
    domain::{Purchase, Reservation, ReservationStatus},
    rpc, text,
};
use leptos::{prelude::*, server_fn::ServerFn};
use serde::de::DeserializeOwned;
use web_sys::SubmitEvent;

/// The actions of every drop.
#[derive(Clone, Copy)]
pub struct Actions {
    known: StoredValue<Vec<DropActions>>,
    owner: StoredValue<Owner>,
    store: Store,
}

/// The three things to do about one drop.
#[derive(Clone, Copy)]
pub struct DropActions {
    /// Sets a pair aside.
    pub reserve: FormPost,
    /// Buys it.
    pub purchase: FormPost,
    /// Gives it back.
    pub release: FormPost,
    /// Whether the visitor has just used one of them, so that focus should go to the next.
    pub was_used: StoredValue<bool>,
    drop_id: i64,
    store: Store,
}

impl Actions {
    /// None yet. FormPost once, in the root component, which owns all that is made later.
    pub fn new(store: Store) -> Self {
        let owner = Owner::current().expect("a component has an owner");
        Self { known: StoredValue::default(), owner: StoredValue::new(owner), store }
    }

    /// The actions of a drop.
    pub fn of(self, drop_id: i64) -> DropActions {
        if let Some(known) = self.known.with_value(|known| known.iter().find(|known| known.drop_id == drop_id).copied())
        {
            return known;
        }
        let new = self.owner.with_value(|owner| owner.with(|| DropActions::new(drop_id, self.store)));
        self.known.update_value(|known| known.push(new));
        new
    }

    /// Settles what has lapsed by the page's clock, without waiting for the server; but not what is being bought, for
    /// which the server's answer decides.
    pub fn expire(self) {
        let now = self.store.clock.now();
        let is_over = |reservation: &Reservation| {
            !reservation.is_held(now) && !self.of(reservation.drop_id).purchase.pending.get_untracked()
        };
        self.store.expire(is_over);
    }
}

impl DropActions {
    fn new(drop_id: i64, store: Store) -> Self {
        Self {
            reserve: FormPost::new(rpc::Reserve::PATH),
            purchase: FormPost::new(rpc::Purchase::PATH),
            release: FormPost::new(rpc::Release::PATH),
            was_used: StoredValue::new(false),
            drop_id,
            store,
        }
    }

    /// Whether any of them is under way.
    pub fn is_busy(self) -> bool {
        [self.reserve, self.purchase, self.release].iter().any(|call| call.pending.get())
    }

    /// Sends the form that sets a pair aside.
    pub fn send_reserve(self, event: &SubmitEvent) {
        let store = self.store;
        self.send(self.reserve, event, move |reservation: Reservation| {
            store.toasts.success(text::reserved(&reservation));
            store.apply(reservation, None);
        });
    }

    /// Sends the form that buys it.
    pub fn send_purchase(self, event: &SubmitEvent) {
        let store = self.store;
        self.send(self.purchase, event, move |purchase: Purchase| {
            store.toasts.success(text::bought(&purchase));
            store.add_purchase(purchase);
        });
    }

    /// Sends the form that gives it back.
    pub fn send_release(self, event: &SubmitEvent) {
        let store = self.store;
        self.send(self.release, event, move |reservation: Reservation| {
            if reservation.status == ReservationStatus::Cancelled {
                store.toasts.success(text::GIVEN_BACK.into());
            }
            store.apply(reservation, None);
        });
    }

    fn send<T: DeserializeOwned>(self, call: FormPost, event: &SubmitEvent, done: impl FnOnce(T) + 'static) {
        self.was_used.set_value(true);
        call.send(event, move |answer| match answer {
            Ok(answer) => done(answer),
            Err(error) => self.refused(error),
        });
    }

    fn refused(self, error: DropError) {
        let Self { drop_id, store, .. } = self;
        match error {
            DropError::Unauthorized => store.change_visitor(None),
            DropError::ReservationExpired => store.expire(|reservation| reservation.drop_id == drop_id),
            _ => {}
        }
        store.toasts.error(error.to_string());
    }
}
