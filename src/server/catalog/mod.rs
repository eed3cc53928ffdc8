//! This node's view of every drop, in memory: reads cost no query.
//!
//! It is loaded from the database and updated with every commit of this node. [`Catalog::reconcile`] reads what other nodes
//! committed, and what this node committed without receiving the reply. Versions decide: an older state never replaces a
//! newer one.

pub(crate) mod change;
mod customers;
mod entry;
mod reconcile;

use super::clock::CLOCK_TOLERANCE;
use crate::domain::{Purchaser, SneakerDrop, event::ServerEvent};
use change::StockChange;
use chrono::{DateTime, Utc};
use entry::Entry;
use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::Notify;

/// Every drop by its id, and what of it must still be sent.
#[derive(Default)]
pub struct Catalog {
    drops: RwLock<BTreeMap<i64, Entry>>,
    changed: Notify,
    revision: AtomicU64,
    /// When the database was last asked and everything it has was known here.
    verified_at: Mutex<Option<Instant>>,
}

impl Catalog {
    /// In the order of their start.
    pub fn drops(&self) -> Vec<SneakerDrop> {
        let mut drops: Vec<_> = self.read().values().map(|entry| entry.drop.clone()).collect();
        drops.sort_by_key(|drop| (drop.starts_at, drop.id));
        drops
    }

    pub fn get(&self, drop_id: i64) -> Option<SneakerDrop> {
        self.read().get(&drop_id).map(|entry| entry.drop.clone())
    }

    /// The newest purchasers of a drop, at most [`LISTED_PURCHASERS`].
    pub fn purchasers(&self, drop_id: i64) -> Option<Vec<Purchaser>> {
        self.read().get(&drop_id).map(|entry| entry.purchasers.clone())
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
        let drops = self.read();
        let Some(Entry { drop, customers, .. }) = drops.get(&drop_id) else { return false };
        let size = size.and_then(|label| drop.sizes.iter().find(|size| size.label == label));
        (drop.available_stock == 0 || size.is_some_and(|size| size.available_stock == 0))
            && drop.is_open(now)
            && customers.rule_out(user_id, now + CLOCK_TOLERANCE)
    }

    /// Records that the catalog agreed with the database when it was asked.
    pub(crate) fn mark_verified(&self, requested_at: Instant) {
        *self.verified_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(requested_at);
    }

    /// Records that the outcome of a transaction is unknown, so that retries are decided by the database.
    pub(crate) fn mark_uncertain(&self, drop_id: i64) {
        if let Some(entry) = self.write().get_mut(&drop_id) {
            entry.customers.uncertain_until = Some(Instant::now() + UNCERTAIN_FOR);
        }
    }

    /// Whether the drop may have this size; a drop that is not in the catalog may.
    pub(crate) fn may_have_size(&self, drop_id: i64, label: &str) -> bool {
        self.read().get(&drop_id).is_none_or(|entry| entry.drop.sizes.iter().any(|size| size.label == label))
    }

    pub(crate) fn has(&self, drop_id: i64) -> bool {
        self.read().contains_key(&drop_id)
    }

    /// Applies a commit of this node.
    pub(crate) fn apply(&self, change: StockChange) {
        if let Some(entry) = self.write().get_mut(&change.drop_id) {
            entry.apply(change);
        }
        self.mark_changed();
    }

    /// Adds a drop that this node created.
    pub(crate) fn insert(&self, drop: SneakerDrop) {
        self.write().entry(drop.id).or_insert_with(|| {
            let mut entry = Entry::new(drop, vec![]);
            entry.customers.is_complete = true;
            entry
        });
        self.mark_changed();
    }

    /// Waits until there is something to [`flush`](Self::flush).
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// The events since the last flush: for each drop that changed its latest state and its new purchases.
    pub(crate) fn flush(&self, now: DateTime<Utc>) -> Vec<ServerEvent> {
        self.write().values_mut().flat_map(|entry| entry.flush(now)).collect()
    }

    fn mark_changed(&self) {
        self.revision.fetch_add(1, Ordering::SeqCst);
        self.changed.notify_one();
    }

    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<i64, Entry>> {
        self.drops.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, BTreeMap<i64, Entry>> {
        self.drops.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long after a verification reservations may be refused from memory. The job verifies twice a second.
const VERIFIED_FOR: Duration = Duration::from_secs(2);

/// How long a transaction with an unknown outcome may take to show: longer than PostgreSQL lets a transaction live.
const UNCERTAIN_FOR: Duration = Duration::from_secs(12);
