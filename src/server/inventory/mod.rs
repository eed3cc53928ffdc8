//! The heart: the only code that changes stock.
//!
//! Commands for a drop gather in the [`Batcher`](batcher::Batcher), and each batch is one transaction.
//! [`LockedDrop::enter`](transaction::LockedDrop::enter) begins it, locks the drop's row, reads the database's clock and
//! expires what is due. [`release`], [`purchase`] and [`reserve`] decide each command against that state.
//! [`LockedDrop::commit`](transaction::LockedDrop::commit) writes reservations, purchases, stock and version, and commits.
//! [`Inventory::publish`] then tells the catalog, the callers and the connections. So whoever holds the lock sees a drop in
//! which nothing is overdue: correctness does not depend on the expiry job, and no two transactions decide about the same
//! last pair.
//!
//! A transaction runs in a task of its own. A caller that goes away cannot stop one between its commit and its publication.

mod batcher;
mod command;
mod create;
mod expire;
mod expiry_timer;
mod purchase;
mod release;
mod reserve;
mod state;
mod statements;
mod submit;
mod transaction;
mod worker;

pub use batcher::Strategy;
pub(crate) use command::{Granted, Purchased, Released};
pub(crate) use create::{NewDrop, NewSize, create, insert};
pub(crate) use expire::expire;
pub use statements::PREPARED;
pub(crate) use submit::{Target, purchase, release, reserve};

use super::{
    catalog::{Catalog, change::Notification},
    clock::DatabaseClock,
    database::Pool,
};
use batcher::Batcher;
use expiry_timer::ExpiryTimer;
use std::{ops::Deref, sync::Arc, time::Duration};
use tokio_util::task::TaskTracker;
use transaction::Committed;

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
    pool: Pool,
    clock: Arc<DatabaseClock>,
    catalog: Arc<Catalog>,
    pub(crate) batcher: Batcher,
    pub(crate) expiry_timer: ExpiryTimer,
    /// Sends what concerns single users after a commit; the inventory does not know how.
    notify: Notify,
    reservation_ttl: Duration,
    tasks: TaskTracker,
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
    fn publish(&self, mut committed: Committed, answers: Vec<AnswerCallers<'_>>) {
        if let Some(change) = committed.change.take() {
            if let Some((_, expires_at)) = change.new_holders.first() {
                self.expiry_timer.expect(*expires_at);
            }
            self.catalog.apply(change);
        }
        answers.into_iter().for_each(|answer| answer(&committed));
        (self.notify)(committed.notifications);
    }

    /// Makes the catalog and the users' connections ask the database, because a transaction may have been committed.
    fn publish_unknown(&self, drop_id: i64, user_ids: impl Iterator<Item = i64>) {
        self.catalog.mark_uncertain(drop_id);
        (self.notify)(user_ids.map(|user_id| Notification::UnknownOutcome { user_id }).collect());
    }
}

/// Answers the callers of a command with what was committed.
type AnswerCallers<'a> = Box<dyn FnOnce(&Committed) + Send + 'a>;
