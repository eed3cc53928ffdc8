//! What a change of stock needs, and the one place that tells of it.

use super::{
    batcher::{Batcher, Strategy},
    expiry_timer::ExpiryTimer,
    refusals::Refusals,
    transaction::Committed,
};
use crate::server::{
    catalog::{Catalog, ReadDrop, change::Notification},
    clock::DatabaseClock,
    database::Pool,
};
use std::{ops::Deref, sync::Arc, time::Duration};
use tokio_util::task::TaskTracker;

/// Everything that a change of stock needs. A clone is one reference count.
#[derive(Clone)]
pub struct Inventory(Arc<Shared>);

impl Deref for Inventory {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

/// Called after each commit. A channel would wake another task for it.
pub(crate) type Notify = Box<dyn Fn(Vec<Notification>) + Send + Sync>;

/// The parts of [`Inventory`].
pub struct Shared {
    pub(super) pool: Pool,
    clock: Arc<DatabaseClock>,
    pub(super) catalog: Arc<Catalog>,
    pub(crate) batcher: Batcher,
    pub(crate) expiry_timer: ExpiryTimer,
    pub refusals: Refusals,
    /// Sends what concerns single users after a commit; the inventory does not know how.
    notify: Notify,
    pub(super) reservation_ttl: Duration,
    pub(super) tasks: TaskTracker,
}

impl Inventory {
    pub(crate) fn new(
        strategy: Strategy,
        reservation_ttl: Duration,
        pool: Pool,
        clock: Arc<DatabaseClock>,
        catalog: Arc<Catalog>,
        notify: Notify,
        tasks: TaskTracker,
    ) -> Self {
        Self(Arc::new(Shared {
            batcher: Batcher::new(strategy),
            expiry_timer: ExpiryTimer::default(),
            refusals: Refusals::new(clock.now()),
            reservation_ttl,
            pool,
            clock,
            catalog,
            notify,
            tasks,
        }))
    }

    /// Whether a reservation can be refused as sold out from memory alone.
    pub fn is_sold_out_for(&self, user_id: i64, drop_id: i64, size: Option<&str>) -> bool {
        self.catalog.is_sold_out_for(self.clock.now(), user_id, drop_id, size)
    }

    /// How many callers wait for a batch to begin.
    pub fn waiting_callers(&self) -> usize {
        self.batcher.waiting()
    }

    /// Tells the catalog, the callers and the connections what was committed.
    /// `known_version` is the catalog's before the transaction began.
    pub(super) fn publish(&self, mut committed: Committed, known_version: i64, answers: Vec<AnswerCallers<'_>>) {
        if let Some(change) = committed.change.take() {
            if let Some((_, expires_at)) = change.new_holders.first() {
                self.expiry_timer.expect(*expires_at);
            }
            self.catalog.apply(change, known_version);
        }
        answers.into_iter().for_each(|answer| answer(&committed));
        (self.notify)(committed.notifications);
    }

    /// Tells of an edit: of the drop as its transaction read it. `known_version` is the catalog's before that began.
    pub(super) fn publish_edit(&self, mut committed: Committed, read: ReadDrop, known_version: i64) {
        if committed.change.is_some() {
            let outdated = self.catalog.apply_edit(read, known_version);
            committed.notifications.extend(outdated.into_iter().map(|user_id| Notification::Outdated { user_id }));
            self.catalog.reconcile_soon();
        }
        (self.notify)(committed.notifications);
    }

    /// Makes the catalog and the users' connections ask the database, because a transaction may have been committed.
    pub(super) fn publish_unknown(&self, drop_id: i64, user_ids: impl Iterator<Item = i64>) {
        self.catalog.mark_uncertain(drop_id);
        (self.notify)(user_ids.map(|user_id| Notification::Outdated { user_id }).collect());
    }
}

/// Answers the callers of a command with what was committed.
pub(super) type AnswerCallers<'a> = Box<dyn FnOnce(&Committed) + Send + 'a>;
