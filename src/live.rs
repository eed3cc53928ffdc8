//! The browser's live state: the snapshot that the page came with, kept current by the socket.
//!
//! One signal per drop, so that a change redraws one card. Frames carry versions, so that order and repetition do not
//! matter: whatever is older than what is known changes nothing.

use crate::{
    api,
    clock::Clock,
    components::toasts::Toasts,
    domain::{
        Frame, LISTED_PURCHASERS, Purchase, Purchaser, Reservation, ReservationStatus, Snapshot, SneakerDrop, User,
        Visitor,
    },
    error::DropError,
    words,
};
use chrono::{DateTime, Utc};
use gloo_timers::future::TimeoutFuture;
use leptos::{prelude::*, task::spawn_local};
use std::{
    cell::RefCell,
    collections::{BTreeMap, HashSet},
};
use wasm_bindgen::{JsCast, JsValue, closure::Closure};
use web_sys::{Event, MessageEvent, WebSocket};

/// What is true in the shop right now, for every component.
#[derive(Clone, Copy)]
pub struct Live {
    /// The server's clock.
    pub clock: Clock,
    /// Who is signed in.
    pub user: RwSignal<Option<User>>,
    /// The visitor's active reservations by drop.
    pub reservations: RwSignal<BTreeMap<i64, Reservation>>,
    /// What the visitor bought, newest first.
    pub purchases: RwSignal<Vec<Purchase>>,
    /// Whether what the page shows is current.
    pub connection: RwSignal<Connection>,
    /// How many snapshots the socket brought: what is not part of them is fetched again after each.
    pub resyncs: RwSignal<u32>,
    /// Scheme and host of the site.
    pub origin: StoredValue<String>,
    /// The snapshot that the page is rendered from.
    pub first: OnceResource<Result<Snapshot, DropError>>,
    drops: RwSignal<BTreeMap<i64, ArcRwSignal<SneakerDrop>>>,
    is_loaded: StoredValue<bool>,
    /// Reservations known to be over, so that a late answer does not bring one back.
    settled: StoredValue<HashSet<i64>>,
    toasts: Toasts,
    reconnect_at_once: StoredValue<bool>,
}

/// How current the page is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connection {
    /// Rendered by the server, not live yet.
    Still,
    /// Every change arrives at once.
    Live,
    /// The socket is gone and being brought back.
    Reconnecting,
    /// The device has no network.
    Offline,
}

impl Live {
    /// Asks for the first snapshot. Call once, in the root component.
    pub fn new(toasts: Toasts) -> Self {
        Self {
            clock: Clock::new(),
            user: RwSignal::new(None),
            reservations: RwSignal::default(),
            purchases: RwSignal::default(),
            connection: RwSignal::new(Connection::Still),
            resyncs: RwSignal::new(0),
            origin: StoredValue::default(),
            first: OnceResource::new_blocking(api::snapshot()),
            drops: RwSignal::default(),
            is_loaded: StoredValue::new(false),
            settled: StoredValue::default(),
            toasts,
            reconnect_at_once: StoredValue::new(false),
        }
    }

    /// Takes in the snapshot that the page is rendered from; later ones come by socket.
    pub fn load(self, snapshot: &Snapshot) {
        if !self.is_loaded.get_value() {
            self.is_loaded.set_value(true);
            self.clock.set(snapshot.now);
            self.origin.set_value(snapshot.origin.clone());
            self.set_drops(&snapshot.drops);
            self.set_visitor(snapshot.visitor.clone());
        }
    }

    /// Starts the clock and the socket; only in the browser, once the page is loaded.
    pub fn start(self) {
        self.clock.start();
        let online = window_event_listener(leptos::ev::online, move |_| self.reconnect());
        let offline = window_event_listener(leptos::ev::offline, move |_| self.reconnect());
        on_cleanup(move || {
            online.remove();
            offline.remove();
        });
        spawn_local(self.stay_connected());
    }

    /// A drop's signal; `None` when there is no such drop.
    pub fn get(self, drop_id: i64) -> Option<ArcRwSignal<SneakerDrop>> {
        self.drops.with(|drops| drops.get(&drop_id).cloned())
    }

    /// Every drop's signal, in the order of their start.
    pub fn drops(self) -> Vec<ArcRwSignal<SneakerDrop>> {
        let mut drops: Vec<_> = self.drops.with(|drops| drops.values().cloned().collect());
        drops.sort_by_key(|drop| drop.with_untracked(|drop| (drop.starts_at, drop.id)));
        drops
    }

    /// The visitor's reservation of a drop, if it has not lapsed.
    pub fn reservation(self, drop_id: i64) -> Option<Reservation> {
        self.reservations.with(|reservations| reservations.get(&drop_id).cloned())
    }

    /// The visitor's purchases of a drop, newest first.
    pub fn purchases_of(self, drop_id: i64) -> Vec<Purchase> {
        let of_drop = |purchases: &Vec<Purchase>| {
            purchases.iter().filter(|purchase| purchase.drop_id == drop_id).cloned().collect()
        };
        self.purchases.with(of_drop)
    }

    /// Someone signed in, or nobody is any more.
    pub fn set_visitor(self, visitor: Option<Visitor>) {
        let (user, reservations, purchases) = match visitor {
            Some(visitor) => (Some(visitor.user), visitor.reservations, visitor.purchases),
            None => (None, vec![], vec![]),
        };
        let by_drop = reservations.into_iter().map(|reservation| (reservation.drop_id, reservation)).collect();
        if self.user.with_untracked(|known| *known != user) {
            self.user.set(user);
        }
        self.tell_what_lapsed(&by_drop);
        self.reservations.set(by_drop);
        self.purchases.set(purchases);
    }

    /// Takes in a reservation in its new state, from the answer to a click or from the socket.
    pub fn apply(self, reservation: Reservation, purchase: Option<Purchase>) {
        if reservation.status == ReservationStatus::Active {
            if !self.settled.with_value(|settled| settled.contains(&reservation.id)) {
                self.reservations.update(|held| {
                    held.insert(reservation.drop_id, reservation);
                });
            }
            return;
        }
        self.settled.update_value(|settled| {
            settled.insert(reservation.id);
        });
        let held = self.reservations.with_untracked(|held| held.get(&reservation.drop_id).map(|held| held.id));
        if held == Some(reservation.id) {
            self.reservations.update(|held| {
                held.remove(&reservation.drop_id);
            });
            if reservation.status == ReservationStatus::Expired {
                self.toasts.notice(words::lapsed(&reservation));
            }
        }
        if let Some(purchase) = purchase {
            self.add_purchase(purchase);
        }
    }

    /// Takes in a purchase, from the answer to a click or from the socket.
    pub fn add_purchase(self, purchase: Purchase) {
        self.settled.update_value(|settled| {
            settled.insert(purchase.reservation_id);
        });
        self.reservations.update(|held| held.retain(|_, held| held.id != purchase.reservation_id));
        if !self.purchases.with_untracked(|known| known.iter().any(|known| known.id == purchase.id)) {
            self.purchases.update(|purchases| purchases.insert(0, purchase));
        }
    }

    /// The visitor gave the pair of a drop back.
    pub fn give_back(self, drop_id: i64) {
        if let Some(reservation) = self.reservations.with_untracked(|held| held.get(&drop_id).cloned()) {
            self.apply(Reservation { status: ReservationStatus::Cancelled, ..reservation }, None);
        }
    }

    /// Settles what has lapsed by the clock, without waiting for the server.
    pub fn lapse(self, now: DateTime<Utc>) {
        let lapsed: Vec<_> = self
            .reservations
            .with_untracked(|held| held.values().filter(|reservation| !reservation.is_held(now)).cloned().collect());
        for reservation in lapsed {
            self.apply(Reservation { status: ReservationStatus::Expired, ..reservation }, None);
        }
    }

    /// Adds purchasers that the snapshot does not list.
    pub fn add_purchasers(self, drop_id: i64, purchasers: Vec<Purchaser>) {
        if let Some(drop) = self.drops.with_untracked(|drops| drops.get(&drop_id).cloned()) {
            drop.update(|drop| {
                purchasers.into_iter().for_each(|purchaser| drop.add_purchaser(purchaser, LISTED_PURCHASERS))
            });
        }
    }

    /// Closes the socket and opens another at once: whose it is has changed, or the network has.
    pub fn reconnect(self) {
        self.reconnect_at_once.set_value(true);
        SOCKET.with_borrow(|socket| {
            if let Some(socket) = socket {
                // Closing a socket without a code has no way to fail.
                let _ = socket.close();
            }
        });
    }

    fn receive(self, frame: Frame) {
        match frame {
            Frame::Snapshot { now, drops } => {
                self.clock.sync(now);
                self.set_drops(&drops);
                self.connection.set(Connection::Live);
                self.resyncs.update(|resyncs| *resyncs += 1);
            }
            Frame::StockUpdated(update) => {
                self.clock.sync(update.now);
                if let Some(drop) = self.drops.with_untracked(|drops| drops.get(&update.drop_id).cloned())
                    && drop.with_untracked(|drop| drop.version < update.version)
                {
                    drop.update(|drop| {
                        drop.apply(&update);
                    });
                }
            }
            Frame::PurchaseCompleted { drop_id, purchase_id, purchaser, purchased_at, .. } => {
                let User { id, username } = purchaser;
                self.add_purchasers(drop_id, vec![Purchaser { id, username, purchase_id, purchased_at }]);
            }
            Frame::DropCreated { drop } => self.set_drops(&[drop]),
            Frame::Reservation { reservation, purchase } => self.apply(reservation, purchase),
            Frame::Visitor { visitor } => self.set_visitor(visitor),
        }
    }

    fn set_drops(self, fresh: &[SneakerDrop]) {
        let mut new = vec![];
        for drop in fresh {
            match self.drops.with_untracked(|drops| drops.get(&drop.id).cloned()) {
                Some(known) => known.update(|known| known.merge(drop)),
                None => new.push(drop.clone()),
            }
        }
        if !new.is_empty() {
            self.drops.update(|drops| drops.extend(new.into_iter().map(|drop| (drop.id, ArcRwSignal::new(drop)))));
        }
    }

    /// While the socket was away a reservation may have lapsed; that is news to its holder.
    fn tell_what_lapsed(self, current: &BTreeMap<i64, Reservation>) {
        let now = self.clock.now_untracked();
        let gone: Vec<_> = self.reservations.with_untracked(|held| {
            let is_gone = |held: &&Reservation| !held.is_held(now) && !current.contains_key(&held.drop_id);
            held.values().filter(is_gone).cloned().collect()
        });
        for reservation in gone {
            self.toasts.notice(words::lapsed(&reservation));
        }
    }

    async fn stay_connected(self) {
        let mut attempt = 0;
        loop {
            let was_live = self.connect().await;
            attempt = if was_live { 0 } else { attempt + 1 };
            let is_online = window().navigator().on_line();
            self.connection.set(if is_online { Connection::Reconnecting } else { Connection::Offline });
            if !self.reconnect_at_once.get_value() || !is_online {
                TimeoutFuture::new(backoff_ms(attempt, js_sys::Math::random())).await;
            }
            self.reconnect_at_once.set_value(false);
        }
    }

    /// Opens a socket and feeds on it until it closes. Returns whether it ever brought a snapshot.
    async fn connect(self) -> bool {
        let url = format!("{}/ws", window().location().origin().unwrap_or_default().replacen("http", "ws", 1));
        let Ok(socket) = WebSocket::new(&url) else { return false };
        let before = self.resyncs.get_untracked();
        let on_message = Closure::<dyn FnMut(MessageEvent)>::new(move |event: MessageEvent| {
            let text = event.data().as_string().unwrap_or_default();
            match serde_json::from_str(&text) {
                Ok(frame) => self.receive(frame),
                // A newer server may say more than this page understands; what it knows it keeps.
                Err(error) => leptos::logging::warn!("unknown frame: {error}"),
            }
        });
        socket.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
        SOCKET.set(Some(socket.clone()));
        let closed = js_sys::Promise::new(&mut |resolve, _| {
            let on_close = Closure::once_into_js(move |_: Event| {
                // A promise's own resolve function does not throw.
                let _ = resolve.call0(&JsValue::NULL);
            });
            socket.set_onclose(Some(on_close.unchecked_ref()));
        });
        // This promise is never rejected.
        let _ = wasm_bindgen_futures::JsFuture::from(closed).await;
        socket.set_onmessage(None);
        SOCKET.set(None);
        self.resyncs.get_untracked() != before
    }
}

thread_local! {
    /// The page's one socket. Not in [`Live`], which the server makes too, and drops on another thread.
    static SOCKET: RefCell<Option<WebSocket>> = const { RefCell::new(None) };
}

/// How long to wait before the next attempt: doubling up to five seconds, spread by `random` in 0..1 so that ten thousand
/// pages do not come back in the same instant.
fn backoff_ms(attempt: u32, random: f64) -> u32 {
    let most = f64::from(250 * 2_u32.pow(attempt.min(5))).min(5_000.0);
    (most * (0.5 + random / 2.0)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_spread_out_and_stay_within_five_seconds() {
        assert_eq!(backoff_ms(0, 0.0), 125);
        assert_eq!(backoff_ms(0, 1.0), 250);
        assert_eq!(backoff_ms(3, 1.0), 2_000);
        assert_eq!(backoff_ms(30, 1.0), 5_000);
    }
}
