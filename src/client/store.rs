//! The page's live state: the snapshot that the page was rendered from, updated by events and answers.
//!
//! Each drop has a signal of its own, so that a change rerenders one card. Drops carry a version, and one that is not
//! newer changes nothing: events may be repeated or arrive in any order.

use crate::{
    client::clock::Clock,
    client::toasts::Toasts,
    domain::{
        LATEST_PURCHASERS, LISTED_PURCHASERS, Purchase, Purchaser, Reservation, ReservationStatus, Snapshot,
        SneakerDrop, User, Visitor,
        error::DropError,
        event::{
            DropCreated, DropRemoved, DropUpdated, DropsSnapshot, Heartbeat, PurchaseCompleted, ReservationChange,
            ServerEvent, VisitorState,
        },
    },
    text,
};
use leptos::prelude::*;

/// The state that all components share. Created once, with the page.
#[derive(Clone, Copy)]
pub struct Store {
    pub clock: Clock,
    /// `None` when signed out.
    pub user: RwSignal<Option<User>>,
    /// The visitor's active reservations, at most one for each drop; the one that ends first first.
    pub reservations: RwSignal<Vec<Reservation>>,
    /// The visitor's purchases, newest first.
    pub purchases: RwSignal<Vec<Purchase>>,
    /// The size that the visitor reserved or looked for last.
    pub size: RwSignal<Option<String>>,
    pub connection: RwSignal<ConnectionStatus>,
    /// The number of snapshots received. After each, data that is not part of one is fetched again.
    pub resyncs: RwSignal<u32>,
    /// Drops with their ids, ordered by start.
    drops: RwSignal<Vec<(i64, ArcRwSignal<SneakerDrop>)>>,
    /// Why the page was rendered without a snapshot; `None` once there is one.
    pub failure: RwSignal<Option<DropError>>,
    pub toasts: Toasts,
    /// Set after signing in, until the server says who it takes the visitor for.
    pub has_just_signed_in: RwSignal<bool>,
    memory: StoredValue<Memory>,
}

/// What nothing is rendered from.
#[derive(Default)]
struct Memory {
    /// The drop whose own page is open.
    own_page: Option<i64>,
    /// To which history of the database the versions of the drops belong.
    epoch: String,
    /// Ids of reservations that are no longer active, so that an answer that arrives late does not restore one.
    ended_reservations: Vec<i64>,
}

/// How the page hears of changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionStatus {
    /// As rendered by the server: no snapshot has been received yet.
    Initial,
    Live,
    /// No connection can be opened; the page asks every few seconds.
    Slower,
    /// The connection was lost; another attempt follows.
    Reconnecting,
    /// The device has no network.
    Offline,
    /// The server is of a newer build, whose events this page cannot read.
    Outdated,
}

impl Store {
    /// From the snapshot that the page is rendered from, or the reason why there is none.
    pub fn new(toasts: Toasts, snapshot: Result<Snapshot, DropError>, size: Option<String>) -> Self {
        let store = Self {
            clock: Clock::new(),
            user: RwSignal::new(None),
            reservations: RwSignal::default(),
            purchases: RwSignal::default(),
            size: RwSignal::new(size),
            connection: RwSignal::new(ConnectionStatus::Initial),
            resyncs: RwSignal::new(0),
            drops: RwSignal::default(),
            failure: RwSignal::new(None),
            has_just_signed_in: RwSignal::new(false),
            memory: StoredValue::default(),
            toasts,
        };
        match snapshot {
            Ok(Snapshot { now, epoch, drops, visitor, .. }) => {
                store.clock.set(*now);
                store.set_snapshot(epoch, &drops);
                store.set_visitor(visitor);
            }
            Err(error) => store.failure.set(Some(error)),
        }
        store
    }

    /// The signal of a drop, if it exists.
    pub fn get(self, drop_id: i64) -> Option<ArcRwSignal<SneakerDrop>> {
        self.drops.with(|drops| find(drops, drop_id))
    }

    /// The signals of all drops, ordered by start.
    pub fn drops(self) -> Vec<ArcRwSignal<SneakerDrop>> {
        self.drops.with(|drops| drops.iter().map(|(_, drop)| drop.clone()).collect())
    }

    /// The visitor's reservation of a drop. Its time may be over already; see [`Reservation::is_held`].
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

    /// Replaces the visitor with their reservations and purchases; `None` when signed out.
    pub(crate) fn set_visitor(self, visitor: Option<Visitor>) {
        let (user, reservations, mut purchases, cancelled) = match visitor {
            Some(visitor) => (Some(visitor.user), visitor.reservations, visitor.purchases, visitor.cancelled_purchases),
            None => (None, vec![], vec![], vec![]),
        };
        // What the visitor bought of a drop that is over long ago comes with its page alone.
        let now = self.clock.now_untracked();
        let is_over = |drop_id| {
            self.drops
                .with_untracked(|drops| find(drops, drop_id))
                .is_some_and(|drop| drop.with_untracked(|drop| drop.is_over(now)))
        };
        let is_kept = |known: &&Purchase| {
            if cancelled.contains(&known.id) {
                self.toasts.notice(text::order_cancelled(known));
                return false;
            }
            user.as_ref().is_some_and(|user| user.id == known.user_id)
                && !purchases.iter().any(|purchase| purchase.drop_id == known.drop_id)
                && is_over(known.drop_id)
        };
        let kept: Vec<_> = self.purchases.with_untracked(|known| known.iter().filter(is_kept).cloned().collect());
        purchases.extend(kept);
        if self.user.with_untracked(|known| *known != user) {
            self.user.set(user);
        }
        self.notify_expired(&reservations);
        self.reservations.set(reservations);
        self.purchases.set(purchases);
    }

    /// Applies a sign-in or sign-out of this page. Whether the browser kept its cookie shows when the page connects again.
    pub(crate) fn change_visitor(self, visitor: Option<Visitor>) {
        self.has_just_signed_in.set(visitor.is_some());
        self.set_visitor(visitor);
    }

    /// A page that is outdated stays so until it is loaded anew, whatever it can read of what follows.
    pub(crate) fn set_connection(self, status: ConnectionStatus) {
        self.connection
            .maybe_update(|known| *known != ConnectionStatus::Outdated && std::mem::replace(known, status) != status);
    }

    /// Whom the page shows as signed in.
    pub fn user_id(self) -> Option<i64> {
        self.user.with_untracked(|user| user.as_ref().map(|user| user.id))
    }

    /// Whether the page shows this user as signed in. What belongs to another one came too late.
    pub fn is_visitor(self, user_id: i64) -> bool {
        self.user_id() == Some(user_id)
    }

    /// Applies the new state of a reservation, from an answer or an event, with its purchase if it was completed.
    pub fn apply(self, reservation: Reservation, purchase: Option<Purchase>) {
        if !self.is_visitor(reservation.user_id) {
            return;
        }
        if reservation.status == ReservationStatus::Active {
            if !self.memory.with_value(|memory| memory.ended_reservations.contains(&reservation.id)) {
                self.reservations.update(|held| {
                    held.retain(|held| held.drop_id != reservation.drop_id);
                    held.push(reservation);
                });
            }
            return;
        }
        self.memory.update_value(|memory| memory.ended_reservations.push(reservation.id));
        if self.reservations.with_untracked(|held| held.iter().any(|held| held.id == reservation.id)) {
            self.reservations.update(|held| held.retain(|held| held.id != reservation.id));
            if reservation.status == ReservationStatus::Expired {
                self.toasts.notice(text::reservation_expired(&reservation));
            }
        }
        if let Some(purchase) = purchase {
            self.add_purchase(purchase);
        }
    }

    /// Adds a purchase, from an answer or an event, and removes its reservation.
    pub fn add_purchase(self, purchase: Purchase) {
        if !self.is_visitor(purchase.user_id) {
            return;
        }
        self.memory.update_value(|memory| memory.ended_reservations.push(purchase.reservation_id));
        self.reservations.update(|held| held.retain(|held| held.id != purchase.reservation_id));
        if !self.purchases.with_untracked(|known| known.iter().any(|known| known.id == purchase.id)) {
            self.purchases.update(|purchases| purchases.insert(0, purchase));
        }
    }

    /// Removes the reservations for which `is_expired`, before the server reports it, and notifies the visitor.
    pub fn expire(self, is_expired: impl Fn(&Reservation) -> bool) {
        let expired: Vec<_> =
            self.reservations.with_untracked(|held| held.iter().filter(|held| is_expired(held)).cloned().collect());
        for reservation in expired {
            self.reservations.update(|held| held.retain(|held| held.id != reservation.id));
            self.toasts.notice(text::reservation_expired(&reservation));
        }
    }

    /// Takes in the newest purchasers of a drop, of which a snapshot contains only those on a card. Who bought since is kept.
    pub fn set_purchasers(self, drop_id: i64, purchasers: Vec<Purchaser>) {
        let newest = purchasers.first().map_or(0, |newest| newest.purchase_id);
        self.update_purchasers(drop_id, purchasers, |known| known.purchase_id > newest);
    }

    fn update_purchasers(self, drop_id: i64, purchasers: Vec<Purchaser>, is_kept: impl Fn(&Purchaser) -> bool) {
        if let Some(drop) = self.drops.with_untracked(|drops| find(drops, drop_id)) {
            drop.update(|drop| {
                drop.latest_purchasers.retain(is_kept);
                purchasers.into_iter().for_each(|purchaser| drop.add_purchaser(purchaser, LISTED_PURCHASERS))
            });
        }
    }

    /// Applies an event.
    pub(crate) fn receive(self, event: ServerEvent) {
        match event {
            ServerEvent::Snapshot(DropsSnapshot { now, epoch, drops, .. }) => {
                self.clock.read(*now);
                self.set_snapshot(epoch, &drops);
                // Notifies only on a change: every part that waits for the snapshot would render again.
                self.failure.maybe_update(|failure| failure.take().is_some());
                self.resyncs.update(|resyncs| *resyncs += 1);
            }
            ServerEvent::Heartbeat(Heartbeat { now }) => self.clock.read(*now),
            ServerEvent::StockUpdated(update) => {
                self.clock.read(*update.now);
                if let Some(drop) = self.drops.with_untracked(|drops| find(drops, update.drop_id)) {
                    drop.maybe_update(|drop| update.apply_to(drop));
                }
            }
            ServerEvent::PurchaseCompleted(completed) => {
                let PurchaseCompleted { drop_id, purchase_id, purchaser: User { id, username }, purchased_at, .. } =
                    completed;
                let purchaser = Purchaser { id, username, purchase_id, purchased_at };
                self.update_purchasers(drop_id, vec![purchaser], |_| true);
            }
            ServerEvent::DropCreated(DropCreated { drop }) => self.set_drops(&[drop], LATEST_PURCHASERS),
            ServerEvent::DropUpdated(DropUpdated { drop }) => self.set_drops(&[drop], LISTED_PURCHASERS),
            ServerEvent::DropRemoved(DropRemoved { drop_id, .. }) => self.remove(drop_id),
            ServerEvent::Reservation(ReservationChange { reservation, purchase }) => self.apply(reservation, purchase),
            ServerEvent::Visitor(VisitorState { visitor }) => {
                if visitor.is_none() && self.has_just_signed_in.get_untracked() {
                    self.toasts.error(text::COOKIES_NEEDED.into());
                }
                self.has_just_signed_in.maybe_update(std::mem::take);
                self.set_visitor(visitor);
            }
        }
    }

    /// Takes in all drops. In another epoch they replace what was known, as versions of different epochs cannot be compared.
    fn set_snapshot(self, epoch: String, received: &[SneakerDrop]) {
        if self.memory.with_value(|memory| memory.epoch != epoch) {
            self.memory.update_value(|memory| memory.epoch = epoch);
            for drop in received {
                if let Some(known) = self.drops.with_untracked(|drops| find(drops, drop.id)) {
                    known.set(drop.clone());
                }
            }
        }
        self.set_drops(received, LATEST_PURCHASERS);
        // What is over long ago is in no snapshot. Its own page keeps it, and asks whether it is still there.
        let own = self.memory.with_value(|memory| memory.own_page);
        self.retain_drops(|drop| received.iter().any(|received| received.id == drop.id) || own == Some(drop.id));
    }

    /// Keeps a drop while its own page is open.
    pub fn keep_while_open(self, drop_id: i64) {
        self.memory.update_value(|memory| memory.own_page = Some(drop_id));
        let forget = move |memory: &mut Memory| memory.own_page = memory.own_page.filter(|own| *own != drop_id);
        on_cleanup(move || self.memory.update_value(forget));
    }

    /// Removes a drop that is not shown any more.
    pub fn remove(self, drop_id: i64) {
        if let Some(drop) = self.drops.with_untracked(|drops| find(drops, drop_id)) {
            // Its card may be kept for a moment.
            drop.update(|drop| (drop.available_stock, drop.held_stock) = (0, 0));
        }
        self.retain_drops(|drop| drop.id != drop_id);
    }

    /// Takes in drops, each with at most `listed` of its purchasers.
    fn set_drops(self, received: &[SneakerDrop], listed: usize) {
        let mut new = vec![];
        for drop in received {
            match self.drops.with_untracked(|drops| find(drops, drop.id)) {
                Some(known) => known.update(|known| known.merge(drop, listed)),
                None => new.push((drop.id, ArcRwSignal::new(drop.clone()))),
            }
        }
        let position = |(id, drop): &(i64, ArcRwSignal<SneakerDrop>)| (drop.with_untracked(|drop| drop.starts_at), *id);
        if !new.is_empty() || !self.drops.with_untracked(|drops| drops.is_sorted_by_key(position)) {
            self.drops.update(|drops| {
                drops.append(&mut new);
                // They are almost sorted, and the standard library's sorting is 3 kB of code.
                for sorted in 1..drops.len() {
                    let mut at = sorted;
                    while at > 0 && position(&drops[at - 1]) > position(&drops[at]) {
                        drops.swap(at - 1, at);
                        at -= 1;
                    }
                }
            });
        }
    }

    fn retain_drops(self, is_kept: impl Fn(&SneakerDrop) -> bool) {
        self.drops.maybe_update(|drops| {
            let before = drops.len();
            drops.retain(|(_, drop)| drop.with_untracked(&is_kept));
            drops.len() != before
        });
    }

    /// Notifies the visitor of reservations that expired while the page was disconnected: they are not among `active`.
    fn notify_expired(self, active: &[Reservation]) {
        let now = self.clock.now_untracked();
        let expired: Vec<_> = self.reservations.with_untracked(|held| {
            let is_active = |held: &Reservation| active.iter().any(|active| active.drop_id == held.drop_id);
            let is_expired = |held: &&Reservation| !held.is_held(now) && !is_active(held);
            held.iter().filter(is_expired).cloned().collect()
        });
        for reservation in expired {
            self.toasts.notice(text::reservation_expired(&reservation));
        }
    }
}

fn find(drops: &[(i64, ArcRwSignal<SneakerDrop>)], id: i64) -> Option<ArcRwSignal<SneakerDrop>> {
    drops.iter().find(|(known, _)| *known == id).map(|(_, drop)| drop.clone())
}
