//! The requests that a visitor makes about a drop, and how their answers are applied.
//!
//! Actions live as long as the page, not as long as a card. A drop that moves to another section of the dashboard gets
//! a new card, and a pending answer must still update the state and show its toast.

use crate::{
    client::forms::FormPost,
    client::socket,
    client::store::Store,
    domain::{Reservation, ReservationStatus, error::DropError},
    rpc, text,
};
use leptos::{prelude::*, server_fn::ServerFn};
use serde::de::DeserializeOwned;
use web_sys::SubmitEvent;

/// The actions of all drops. Created once, in the root component.
#[derive(Clone, Copy)]
pub struct Actions {
    /// Those requested so far.
    by_drop: StoredValue<Vec<DropActions>>,
    owner: StoredValue<Owner>,
    store: Store,
}

/// The actions of one drop.
#[derive(Clone, Copy)]
pub struct DropActions {
    pub reserve: FormPost<rpc::Reserve>,
    pub purchase: FormPost<rpc::Purchase>,
    pub release: FormPost<rpc::Release>,
    /// Set when an action is used. Its button is about to disappear, so the card then moves focus to the next one.
    pub should_move_focus: StoredValue<bool>,
    drop_id: i64,
    store: Store,
}

impl Actions {
    /// The calling component becomes the owner of every drop's signals.
    pub fn new(store: Store) -> Self {
        let owner = Owner::current().expect("a component has an owner");
        Self { by_drop: StoredValue::default(), owner: StoredValue::new(owner), store }
    }

    /// Returns the same actions on every call for a drop.
    pub fn of(self, drop_id: i64) -> DropActions {
        let find = |actions: &Vec<DropActions>| actions.iter().find(|actions| actions.drop_id == drop_id).copied();
        if let Some(actions) = self.by_drop.with_value(find) {
            return actions;
        }
        let new = self.owner.with_value(|owner| owner.with(|| DropActions::new(drop_id, self.store)));
        self.by_drop.update_value(|actions| actions.push(new));
        new
    }

    /// Removes reservations that are expired by the page's clock, without waiting for the server. Subscribes to the
    /// clock. A reservation with a pending purchase is kept, because the server's answer decides about it.
    pub fn expire(self) {
        let now = self.store.clock.now();
        let is_expired = |reservation: &Reservation| {
            !reservation.is_held(now) && !self.of(reservation.drop_id).purchase.pending.get_untracked()
        };
        self.store.expire(is_expired);
    }
}

impl DropActions {
    fn new(drop_id: i64, store: Store) -> Self {
        Self {
            reserve: FormPost::default(),
            purchase: FormPost::default(),
            release: FormPost::default(),
            should_move_focus: StoredValue::new(false),
            drop_id,
            store,
        }
    }

    /// Whether a request is pending; subscribes to it.
    pub fn is_busy(self) -> bool {
        [self.reserve.pending, self.purchase.pending, self.release.pending].iter().any(|pending| pending.get())
    }

    pub fn send_reserve(self, event: &SubmitEvent) {
        let store = self.store;
        self.send(self.reserve, event, move |reservation| {
            store.toasts.success(text::reservation_granted(&reservation));
            store.apply(reservation, None);
        });
    }

    pub fn send_purchase(self, event: &SubmitEvent) {
        let store = self.store;
        self.send(self.purchase, event, move |purchase| {
            store.toasts.success(text::purchase_completed(&purchase));
            store.add_purchase(purchase);
        });
    }

    pub fn send_release(self, event: &SubmitEvent) {
        let store = self.store;
        self.send(self.release, event, move |reservation| {
            if reservation.status == ReservationStatus::Cancelled {
                store.toasts.success(text::RELEASED.into());
            }
            store.apply(reservation, None);
        });
    }

    fn send<F>(self, action: FormPost<F>, event: &SubmitEvent, on_success: impl FnOnce(F::Output) + 'static)
    where
        F: ServerFn<Output: DeserializeOwned, Error = DropError> + 'static,
    {
        self.should_move_focus.set_value(true);
        action.send(event, move |answer| match answer {
            Ok(answer) => on_success(answer),
            Err(error) => self.on_error(error),
        });
    }

    fn on_error(self, error: DropError) {
        let Self { drop_id, store, .. } = self;
        match error {
            DropError::Unauthorized => socket::change_visitor(store, None),
            DropError::ReservationExpired => store.expire(|reservation| reservation.drop_id == drop_id),
            _ => {}
        }
        store.toasts.error(error.to_string());
    }
}
