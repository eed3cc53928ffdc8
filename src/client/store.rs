//! The browser's live state: the snapshot that the page came with, kept current by the socket.
//!
//! One signal per drop, so that a change redraws one card. Frames carry versions, so that order and repetition do not
//! matter: whatever is older than what is known changes nothing.

use crate::{
    client::clock::{Clock, page_timer_ms},
    client::json::read,
    domain::error::DropError,
    domain::event::ServerEvent,
    domain::{
        LISTED_PURCHASERS, Purchase, Purchaser, Reservation, ReservationStatus, Snapshot, SneakerDrop, User, Visitor,
    },
    text,
    ui::components::toasts::Toasts,
};
use gloo_timers::callback::{Interval, Timeout};
use leptos::{ev, leptos_dom::helpers::WindowListenerHandle, prelude::*, task::spawn_local};
use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};
use wasm_bindgen::{JsCast, JsValue, closure::Closure};
use wasm_bindgen_futures::JsFuture;
use web_sys::{Event, MessageEvent, WebSocket};

/// What is true in the shop right now, for every component.
#[derive(Clone, Copy)]
pub struct Store {
    /// The server's clock.
    pub clock: Clock,
    /// Who is signed in.
    pub user: RwSignal<Option<User>>,
    /// The visitor's active reservations, at most one a drop.
    pub reservations: RwSignal<Vec<Reservation>>,
    /// What the visitor bought, newest first.
    pub purchases: RwSignal<Vec<Purchase>>,
    /// Whether what the page shows is current.
    pub connection: RwSignal<Connection>,
    /// How many snapshots the socket brought: what is not part of them is fetched again after each.
    pub resyncs: RwSignal<u32>,
    /// Every drop with its id, in the order of their start.
    drops: RwSignal<Vec<(i64, ArcRwSignal<SneakerDrop>)>>,
    /// Why there is nothing to show; `None` as soon as there is.
    pub failure: RwSignal<Option<DropError>>,
    /// Where to tell the visitor what happened by itself.
    pub toasts: Toasts,
    /// Reservations known to be over, so that a late answer does not bring one back.
    settled: StoredValue<Vec<i64>>,
    is_woken: StoredValue<bool>,
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

impl Store {
    /// Takes in the snapshot that the page is rendered from; later ones come by socket. FormPost once, in the root component.
    pub fn new(toasts: Toasts, snapshot: Result<Snapshot, DropError>) -> Self {
        let store = Self {
            clock: Clock::new(),
            user: RwSignal::new(None),
            reservations: RwSignal::default(),
            purchases: RwSignal::default(),
            connection: RwSignal::new(Connection::Still),
            resyncs: RwSignal::new(0),
            drops: RwSignal::default(),
            failure: RwSignal::new(None),
            settled: StoredValue::default(),
            toasts,
            is_woken: StoredValue::new(false),
        };
        match snapshot {
            Ok(Snapshot { now, drops, visitor, .. }) => {
                store.clock.set(now);
                store.set_drops(&drops);
                store.set_visitor(visitor);
            }
            Err(error) => store.failure.set(Some(error)),
        }
        store
    }

    /// Starts the clock and the socket; only in the browser, once the page is there.
    pub fn start(self) {
        self.clock.start();
        let listeners = [
            window_event_listener(ev::online, move |_| self.reconnect()),
            window_event_listener(ev::offline, move |_| self.reconnect()),
            // Another tab of this browser signed in or out.
            window_event_listener(ev::storage, move |_| self.reconnect()),
        ];
        on_cleanup(move || listeners.into_iter().for_each(WindowListenerHandle::remove));
        spawn_local(self.stay_connected());
    }

    /// A drop's signal; `None` when there is no such drop.
    pub fn get(self, drop_id: i64) -> Option<ArcRwSignal<SneakerDrop>> {
        self.drops.with(|drops| find(drops, drop_id))
    }

    /// Every drop's signal, in the order of their start.
    pub fn drops(self) -> Vec<ArcRwSignal<SneakerDrop>> {
        self.drops.with(|drops| drops.iter().map(|(_, drop)| drop.clone()).collect())
    }

    /// The visitor's reservation of a drop, as last heard of; whether it has lapsed is for the clock to say.
    pub fn reservation(self, drop_id: i64) -> Option<Reservation> {
        self.reservations.with(|held| held.iter().find(|held| held.drop_id == drop_id).cloned())
    }

    /// The visitor's purchases of a drop, newest first.
    pub fn purchases_of(self, drop_id: i64) -> Vec<Purchase> {
        let of_drop = |purchases: &Vec<Purchase>| {
            purchases.iter().filter(|purchase| purchase.drop_id == drop_id).cloned().collect()
        };
        self.purchases.with(of_drop)
    }

    /// Someone signed in here, or nobody is any more: the socket belongs to somebody else, and so do other tabs.
    pub fn change_visitor(self, visitor: Option<Visitor>) {
        self.set_visitor(visitor);
        self.reconnect();
        if let Ok(Some(storage)) = window().local_storage() {
            // Where storage is not to be had, other tabs learn of it when they reconnect.
            let _ = storage.set_item(VISITOR_CHANGED, &((page_timer_ms() * 1000.0) as i64).to_string());
        }
    }

    fn set_visitor(self, visitor: Option<Visitor>) {
        let (user, reservations, purchases) = match visitor {
            Some(visitor) => (Some(visitor.user), visitor.reservations, visitor.purchases),
            None => (None, vec![], vec![]),
        };
        if self.user.with_untracked(|known| *known != user) {
            self.user.set(user);
        }
        self.notify_expired(&reservations);
        self.reservations.set(reservations);
        self.purchases.set(purchases);
    }

    /// Takes in a reservation in its new state, from the answer to a click or from the socket.
    pub fn apply(self, reservation: Reservation, purchase: Option<Purchase>) {
        if reservation.status == ReservationStatus::Active {
            if !self.settled.with_value(|settled| settled.contains(&reservation.id)) {
                self.reservations.update(|held| {
                    held.retain(|held| held.drop_id != reservation.drop_id);
                    held.push(reservation);
                });
            }
            return;
        }
        self.settled.update_value(|settled| settled.push(reservation.id));
        if self.reservations.with_untracked(|held| held.iter().any(|held| held.id == reservation.id)) {
            self.reservations.update(|held| held.retain(|held| held.id != reservation.id));
            if reservation.status == ReservationStatus::Expired {
                self.toasts.notice(text::expired(&reservation));
            }
        }
        if let Some(purchase) = purchase {
            self.add_purchase(purchase);
        }
    }

    /// Takes in a purchase, from the answer to a click or from the socket.
    pub fn add_purchase(self, purchase: Purchase) {
        self.settled.update_value(|settled| settled.push(purchase.reservation_id));
        self.reservations.update(|held| held.retain(|held| held.id != purchase.reservation_id));
        if !self.purchases.with_untracked(|known| known.iter().any(|known| known.id == purchase.id)) {
            self.purchases.update(|purchases| purchases.insert(0, purchase));
        }
    }

    /// Lets go of reservations that are over although the server has not said so.
    pub fn expire(self, is_over: impl Fn(&Reservation) -> bool) {
        let over: Vec<_> =
            self.reservations.with_untracked(|held| held.iter().filter(|held| is_over(held)).cloned().collect());
        for reservation in over {
            self.reservations.update(|held| held.retain(|held| held.id != reservation.id));
            self.toasts.notice(text::expired(&reservation));
        }
    }

    /// Adds purchasers that the snapshot does not list.
    pub fn add_purchasers(self, drop_id: i64, purchasers: Vec<Purchaser>) {
        if let Some(drop) = self.drops.with_untracked(|drops| find(drops, drop_id)) {
            drop.update(|drop| {
                purchasers.into_iter().for_each(|purchaser| drop.add_purchaser(purchaser, LISTED_PURCHASERS))
            });
        }
    }

    /// Opens another socket at once: whose it is has changed, or the network has.
    pub fn reconnect(self) {
        self.is_woken.set_value(true);
        wake();
    }

    fn receive(self, event: ServerEvent) {
        match event {
            ServerEvent::Snapshot { now, drops } => {
                self.clock.restart(now);
                self.set_drops(&drops);
                // What is shown already is not rendered anew.
                self.failure.maybe_update(|failure| failure.take().is_some());
                self.connection.set(Connection::Live);
                self.resyncs.update(|resyncs| *resyncs += 1);
            }
            ServerEvent::Heartbeat { now } => self.clock.read(now),
            ServerEvent::StockUpdated(update) => {
                if let Some(drop) = self.drops.with_untracked(|drops| find(drops, update.drop_id)) {
                    let was_sold_out = drop.with_untracked(SneakerDrop::is_sold_out);
                    drop.maybe_update(|drop| update.apply_to(drop));
                    if !was_sold_out && drop.with_untracked(SneakerDrop::is_sold_out) {
                        self.toasts.notice(drop.with_untracked(|drop| text::sold_out(&drop.name)));
                    }
                }
            }
            ServerEvent::PurchaseCompleted { drop_id, purchase_id, purchaser, purchased_at, .. } => {
                let User { id, username } = purchaser;
                self.add_purchasers(drop_id, vec![Purchaser { id, username, purchase_id, purchased_at }]);
            }
            ServerEvent::DropCreated { drop } => self.set_drops(&[drop]),
            ServerEvent::Reservation { reservation, purchase } => self.apply(reservation, purchase),
            ServerEvent::Visitor { visitor } => self.set_visitor(visitor),
        }
    }

    fn set_drops(self, fresh: &[SneakerDrop]) {
        let mut new = vec![];
        for drop in fresh {
            match self.drops.with_untracked(|drops| find(drops, drop.id)) {
                Some(known) => known.update(|known| known.merge(drop)),
                None => new.push(drop.clone()),
            }
        }
        if !new.is_empty() {
            self.drops.update(|drops| {
                for drop in new {
                    let starts_first = |(_, known): &(_, ArcRwSignal<SneakerDrop>)| {
                        known.with_untracked(|known| (known.starts_at, known.id) < (drop.starts_at, drop.id))
                    };
                    let at = drops.partition_point(starts_first);
                    drops.insert(at, (drop.id, ArcRwSignal::new(drop)));
                }
            });
        }
    }

    /// While the socket was away a reservation may have lapsed; that is news to its holder.
    fn notify_expired(self, current: &[Reservation]) {
        let now = self.clock.now_untracked();
        let gone: Vec<_> = self.reservations.with_untracked(|held| {
            let is_current = |held: &Reservation| current.iter().any(|current| current.drop_id == held.drop_id);
            let is_gone = |held: &&Reservation| !held.is_held(now) && !is_current(held);
            held.iter().filter(is_gone).cloned().collect()
        });
        for reservation in gone {
            self.toasts.notice(text::expired(&reservation));
        }
    }

    async fn stay_connected(self) {
        let mut attempt = 0;
        loop {
            self.is_woken.set_value(false);
            let was_live = self.connect().await;
            attempt = if was_live { 0 } else { attempt + 1 };
            let is_online = window().navigator().on_line();
            if self.is_woken.get_value() && is_online {
                // Another socket was asked for; nothing is wrong with the line.
                continue;
            }
            self.connection.set(if is_online { Connection::Reconnecting } else { Connection::Offline });
            let milliseconds = backoff_ms(attempt, js_sys::Math::random());
            // Dropped when something else wakes us first: it would end the next socket's life.
            let mut pause = None;
            until_woken(|| pause = Some(Timeout::new(milliseconds, wake))).await;
        }
    }

    /// Opens a socket and feeds on it until it closes, falls silent, or another is wanted. Returns whether it ever
    /// brought a snapshot.
    async fn connect(self) -> bool {
        // `http` becomes `ws`, and `https` becomes `wss`.
        let origin = window().location().origin().unwrap_or_default();
        let url = format!("ws{}/ws", origin.trim_start_matches("http"));
        let Ok(socket) = WebSocket::new(&url) else { return false };
        let before = self.resyncs.get_untracked();
        let heard_ms = Rc::new(Cell::new(page_timer_ms()));
        let on_message = {
            let heard_ms = heard_ms.clone();
            Closure::<dyn FnMut(MessageEvent)>::new(move |event: MessageEvent| {
                heard_ms.set(page_timer_ms());
                match event.data().as_string().and_then(|json| read(&json)) {
                    Some(event) => self.receive(event),
                    // A newer server may say more than this page understands; what it knows it keeps.
                    None => web_sys::console::warn_2(&"unknown event".into(), &event.data()),
                }
            })
        };
        let on_close = Closure::<dyn FnMut(Event)>::new(|_| wake());
        socket.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
        // A line can die without a word; the server's heartbeat tells a quiet one from a dead one.
        let watchdog = Interval::new(WATCHDOG_MS, move || {
            if page_timer_ms() - heard_ms.get() > SILENCE_MS {
                wake();
            }
        });
        until_woken(|| socket.set_onclose(Some(on_close.as_ref().unchecked_ref()))).await;
        drop(watchdog);
        socket.set_onmessage(None);
        socket.set_onclose(None);
        // Closing a socket without a code has no way to fail.
        let _ = socket.close();
        self.resyncs.get_untracked() != before
    }
}

fn find(drops: &[(i64, ArcRwSignal<SneakerDrop>)], id: i64) -> Option<ArcRwSignal<SneakerDrop>> {
    drops.iter().find(|(known, _)| *known == id).map(|(_, drop)| drop.clone())
}

/// The server says something every ten seconds; after more than two missed turns the line is dead.
const SILENCE_MS: f64 = 25_000.0;

/// How often a page listens for that silence.
const WATCHDOG_MS: u32 = 5_000;

/// The key in the browser's storage that tells its tabs of each other's signing in and out.
const VISITOR_CHANGED: &str = "sneakdrop.visitor-changed";

thread_local! {
    /// Ends what [`Store::stay_connected`] waits for: a socket's life, or the pause before the next. Not in [`Store`],
    /// which the server makes too and drops on another thread.
    static WAKE: RefCell<Option<js_sys::Function>> = const { RefCell::new(None) };
}

fn wake() {
    if let Some(resolve) = WAKE.take() {
        // A promise's own resolve function does not throw.
        let _ = resolve.call0(&JsValue::NULL);
    }
}

/// Waits for [`wake`], once `arm` has made sure that it will come.
async fn until_woken(arm: impl FnOnce()) {
    let woken = js_sys::Promise::new(&mut |resolve, _| WAKE.set(Some(resolve)));
    arm();
    // This promise is never rejected.
    let _ = JsFuture::from(woken).await;
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
