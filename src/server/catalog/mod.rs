//! This node's view of every drop, in memory: reads cost no query.
//!
//! It is loaded from the database and updated with every commit of this node. [`Catalog::reconcile`] reads what other nodes
//! committed, and what this node committed without receiving the reply. Versions decide: an older state never replaces a
//! newer one.

mod cancellations;
pub(crate) mod change;
mod customers;
mod entry;
mod history;
mod managed;
mod past;
mod reconcile;

pub(crate) use managed::{DropStatus, ManagedDrop};
pub(crate) use past::PastCursor;
pub use reconcile::Outdated;
pub(crate) use reconcile::ReadDrop;

use super::clock::CLOCK_TOLERANCE;
use crate::domain::{
    Purchaser, SneakerDrop,
    event::{DropRemoved, ServerEvent},
};
use cancellations::Cancellations;
use change::StockChange;
use chrono::{DateTime, Utc};
use entry::Entry;
use history::History;
use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::Notify;

/// Every drop, and what of it must still be sent.
#[derive(Default)]
pub struct Catalog {
    known: RwLock<Known>,
    changed: Notify,
    /// Wakes the job that reconciles.
    outdated: Notify,
    revision: AtomicU64,
    /// When the database was last asked and everything it has was known here.
    verified_at: Mutex<Option<Instant>>,
}

#[derive(Default)]
struct Known {
    /// By the id of the drop.
    drops: BTreeMap<i64, Entry>,
    /// Versions and edit versions of drops that no page could read, so that they are not read again all the time.
    unreadable: BTreeMap<i64, (i64, i64)>,
    cancellations: Cancellations,
    /// Removed since the last flush.
    removed: Vec<DropRemoved>,
    history: History,
    /// Whether the database went back, and everything must be read anew.
    is_doubted: bool,
}

impl Known {
    /// In the order of their start.
    fn drops(&self) -> Vec<SneakerDrop> {
        let mut drops: Vec<_> = self.drops.values().map(|entry| entry.drop.clone()).collect();
        drops.sort_by_key(|drop| (drop.starts_at, drop.id));
        drops
    }

    fn remove(&mut self, drop_id: i64) {
        if let Some(entry) = self.drops.remove(&drop_id) {
            self.removed.push(DropRemoved { drop_id, version: entry.drop.version + 1 });
        }
    }
}

impl Catalog {
    /// In the order of their start.
    pub fn drops(&self) -> Vec<SneakerDrop> {
        self.read().drops()
    }

    /// The epoch of the database, and the drops as they are in it.
    pub(crate) fn snapshot(&self) -> (String, Vec<SneakerDrop>) {
        let known = self.read();
        (known.history.epoch(), known.drops())
    }

    /// Whether another server in the place of the database's would be recognised.
    pub(crate) fn knows_server(&self) -> bool {
        self.read().history.knows_server()
    }

    pub fn get(&self, drop_id: i64) -> Option<SneakerDrop> {
        self.read().drops.get(&drop_id).map(|entry| entry.drop.clone())
    }

    /// For each drop how many of a user's purchases matter: as many as its limit, or one.
    pub(crate) fn limits(&self) -> (Vec<i64>, Vec<i64>) {
        let limit = |entry: &Entry| i64::from(entry.drop.limit_per_user.unwrap_or(1));
        self.read().drops.iter().map(|(id, entry)| (*id, limit(entry))).unzip()
    }

    /// The newest purchasers of a drop, at most [`LISTED_PURCHASERS`].
    pub fn purchasers(&self, drop_id: i64) -> Option<Vec<Purchaser>> {
        self.read().drops.get(&drop_id).map(|entry| entry.purchasers.clone())
    }

    /// Grows with every change, so that what was computed from the catalog can be cached until then.
    pub(crate) fn revision(&self) -> u64 {
        self.revision.load(Ordering::SeqCst)
    }

    /// Whether a reservation can be refused as sold out from memory alone: the catalog was verified lately, the drop is open
    /// and empty, the user has no pair of it (they would get the same reservation again, or hear of the limit), and no
    /// reservation is about to expire. A pair that another node returns is known here half a second later.
    pub(crate) fn is_sold_out_for(&self, now: DateTime<Utc>, user_id: i64, drop_id: i64, size: Option<&str>) -> bool {
        let verified_at = *self.verified_at.lock().unwrap_or_else(PoisonError::into_inner);
        if verified_at.is_none_or(|verified_at| verified_at.elapsed() > VERIFIED_FOR) {
            return false;
        }
        let known = self.read();
        let Some(Entry { drop, customers, .. }) = known.drops.get(&drop_id) else { return false };
        let size = size.and_then(|label| drop.sizes.iter().find(|size| size.label == label));
        (drop.available_stock == 0 || size.is_some_and(|size| size.available_stock == 0))
            && drop.is_open(now)
            && !drop.paused
            && customers.rule_out(user_id, now + CLOCK_TOLERANCE)
    }

    /// Records that the catalog agreed with the database when it was asked.
    pub(crate) fn mark_verified(&self, requested_at: Instant) {
        *self.verified_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(requested_at);
    }

    /// Records that the outcome of a transaction is unknown, so that retries are decided by the database.
    pub(crate) fn mark_uncertain(&self, drop_id: i64) {
        if let Some(entry) = self.write().drops.get_mut(&drop_id) {
            entry.customers.uncertain_until = Some(Instant::now() + UNCERTAIN_FOR);
        }
    }

    /// Whether the drop may have this size; a drop that is not in the catalog may.
    pub(crate) fn may_have_size(&self, drop_id: i64, label: &str) -> bool {
        self.read().drops.get(&drop_id).is_none_or(|entry| entry.drop.sizes.iter().any(|size| size.label == label))
    }

    pub(crate) fn has(&self, drop_id: i64) -> bool {
        self.read().drops.contains_key(&drop_id)
    }

    /// The version of a drop in memory, 0 if it is not there.
    pub(crate) fn version(&self, drop_id: i64) -> i64 {
        self.read().drops.get(&drop_id).map_or(0, |entry| entry.drop.version)
    }

    /// Applies a commit of this node. `known_version` is what [`version`](Self::version) was before its transaction began:
    /// the transaction must have found that one or a later one, or the database went back.
    pub(crate) fn apply(&self, change: StockChange, known_version: i64) {
        let mut known = self.write();
        known.is_doubted |= change.version <= known_version;
        if let Some(entry) = known.drops.get_mut(&change.drop_id) {
            entry.apply(change);
        }
        drop(known);
        self.mark_changed();
    }

    /// Takes in a drop as a transaction of this node edited it; `known_version` as for [`apply`](Self::apply). Returns the users
    /// whose connections must read their state again.
    pub(crate) fn apply_edit(&self, read: ReadDrop, known_version: i64) -> Vec<i64> {
        let mut known = self.write();
        known.is_doubted |= read.managed.drop.version <= known_version;
        let users = read.merge_into(&mut known);
        drop(known);
        self.mark_changed();
        users
    }

    /// Adds a drop that this node created.
    pub(crate) fn insert(&self, drop: SneakerDrop) {
        self.write().drops.entry(drop.id).or_insert_with(|| {
            // Nothing of it was edited.
            let mut entry = Entry::new(drop, 1);
            entry.customers.is_complete = true;
            entry
        });
        self.mark_changed();
    }

    /// Asks for a reconciliation now: after an edit on this node, other drops may be current, and a buyer may have to hear of a
    /// cancellation.
    pub(crate) fn reconcile_soon(&self) {
        self.outdated.notify_one();
    }

    /// Waits until a reconciliation is asked for.
    pub(crate) async fn outdated(&self) {
        self.outdated.notified().await;
    }

    /// Waits until there is something to [`flush`](Self::flush).
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// The events since the last flush: for each drop that changed its latest state and its new purchases.
    pub(crate) fn flush(&self, now: DateTime<Utc>) -> Vec<ServerEvent> {
        let mut known = self.write();
        let removed: Vec<_> = known.removed.drain(..).map(ServerEvent::DropRemoved).collect();
        removed.into_iter().chain(known.drops.values_mut().flat_map(|entry| entry.flush(now))).collect()
    }

    fn mark_changed(&self) {
        self.revision.fetch_add(1, Ordering::SeqCst);
        self.changed.notify_one();
    }

    fn read(&self) -> RwLockReadGuard<'_, Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Known> {
        self.known.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long after a verification reservations may be refused from memory. The job verifies twice a second.
const VERIFIED_FOR: Duration = Duration::from_secs(2);

/// How long a transaction with an unknown outcome may take to show: longer than PostgreSQL lets a transaction live.
const UNCERTAIN_FOR: Duration = Duration::from_secs(12);
