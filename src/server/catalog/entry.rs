//! One drop in the catalog, and what of it was not sent yet.

use super::{change::StockChange, customers::Customers};
use crate::domain::{
    LATEST_PURCHASERS, LISTED_PURCHASERS, Purchaser, Size, SneakerDrop, User, add_purchaser,
    event::{DropCreated, DropUpdated, PurchaseCompleted, Reason, ServerEvent, SizeLevel, StockUpdate},
    remove_cancelled,
};
use chrono::{DateTime, Utc};
use std::collections::BTreeSet;

/// A drop and what of it must still be sent.
pub(super) struct Entry {
    pub(super) drop: SneakerDrop,
    /// Newest first, at most [`LISTED_PURCHASERS`]; the first few are also in `drop`.
    pub(super) purchasers: Vec<Purchaser>,
    pub(super) customers: Customers,
    pending: Pending,
}

/// What changed since the last flush.
#[derive(Default)]
struct Pending {
    is_new: bool,
    /// Whether something else than stock changed.
    is_edited: bool,
    reason: Option<Reason>,
    /// Labels of the sizes whose stock changed, even if it changed back: a page may have seen the state in between.
    changed_sizes: BTreeSet<String>,
    purchases: Vec<Purchaser>,
}

impl Entry {
    pub(super) fn new(mut drop: SneakerDrop, purchasers: Vec<Purchaser>) -> Self {
        drop.latest_purchasers = purchasers.iter().take(LATEST_PURCHASERS).cloned().collect();
        let pending = Pending { is_new: true, ..Pending::default() };
        Self { drop, purchasers, customers: Customers::default(), pending }
    }

    /// Forgets what must still be sent, because every connection gets a snapshot.
    pub(super) fn skip_events(&mut self) {
        self.pending = Pending::default();
    }

    /// The version as of which this entry is complete; 0 if something is missing.
    pub(super) fn known_version(&self) -> i64 {
        if self.customers.is_complete { self.drop.version } else { 0 }
    }

    pub(super) fn apply(&mut self, change: StockChange) {
        if change.version > self.drop.version {
            let is_next = change.version == self.drop.version + 1;
            self.customers.apply(&change, self.drop.limit_per_user.is_some(), is_next);
            self.mark_changed_sizes(&change.sizes, is_next);
            self.drop.version = change.version;
            // An edit before this commit added pairs or took some back, and is read later.
            let total_stock = change.sizes.iter().map(|size| size.total_stock).sum();
            self.pending.is_edited |= total_stock != self.drop.total_stock;
            self.drop.total_stock = total_stock;
            self.drop.available_stock = change.available();
            self.drop.held_stock = change.held;
            self.drop.sizes = change.sizes;
            self.pending.reason = Some(change.reason);
        }
        change.purchasers.into_iter().for_each(|purchaser| self.add_purchaser(purchaser));
    }

    /// Takes in a state that another node committed, or this one without receiving the reply. The reason follows from the
    /// counts. Returns the users who bought since.
    pub(super) fn replace(&mut self, drop: SneakerDrop, purchasers: Vec<Purchaser>) -> Vec<i64> {
        let is_known = |new: &Purchaser| self.purchasers.iter().any(|known| known.purchase_id == new.purchase_id);
        let bought = purchasers.iter().filter(|new| !is_known(new)).map(|new| new.id).collect();
        if drop.version > self.drop.version {
            let listed = self.purchasers.len();
            remove_cancelled(&mut self.purchasers, &purchasers);
            remove_cancelled(&mut self.pending.purchases, &purchasers);
            self.pending.is_edited |= self.purchasers.len() < listed;
            self.drop.latest_purchasers = self.purchasers.iter().take(LATEST_PURCHASERS).cloned().collect();
        }
        for purchaser in purchasers.into_iter().rev() {
            self.add_purchaser(purchaser);
        }
        if drop.version >= self.drop.version {
            // A commit of this node may have brought the version of an edit before the edit itself was read.
            self.pending.is_edited |= is_edited(&self.drop, &drop);
        }
        if drop.version > self.drop.version {
            self.mark_changed_sizes(&drop.sizes, drop.version == self.drop.version + 1);
            let sold = |drop: &SneakerDrop| drop.total_stock - drop.available_stock - drop.held_stock;
            self.pending.reason = Some(if sold(&drop) > sold(&self.drop) {
                Reason::Purchased
            } else if drop.available_stock < self.drop.available_stock {
                Reason::Reserved
            } else {
                Reason::Released
            });
        }
        if drop.version >= self.drop.version {
            self.drop = SneakerDrop { latest_purchasers: std::mem::take(&mut self.drop.latest_purchasers), ..drop };
        }
        bought
    }

    /// Marks the sizes that a newer state changes. If it does not directly follow, any size may have changed and changed back,
    /// so all are marked.
    fn mark_changed_sizes(&mut self, sizes: &[Size], is_next: bool) {
        for (before, after) in std::iter::zip(&self.drop.sizes, sizes) {
            if !is_next || before.available_stock != after.available_stock {
                self.pending.changed_sizes.insert(after.label.clone());
            }
        }
    }

    fn add_purchaser(&mut self, purchaser: Purchaser) {
        if !self.purchasers.iter().any(|known| known.purchase_id == purchaser.purchase_id) {
            add_purchaser(&mut self.pending.purchases, purchaser.clone(), LISTED_PURCHASERS);
            self.drop.add_purchaser(purchaser.clone(), LATEST_PURCHASERS);
            add_purchaser(&mut self.purchasers, purchaser, LISTED_PURCHASERS);
        }
    }

    pub(super) fn flush(&mut self, now: DateTime<Utc>) -> Vec<ServerEvent> {
        let drop = &self.drop;
        let Pending { is_new, is_edited, reason, changed_sizes, purchases } = std::mem::take(&mut self.pending);
        let reason = if is_new { Some(Reason::Created) } else { reason };
        let mut events = vec![];
        if is_new {
            events.push(ServerEvent::DropCreated(DropCreated { drop: drop.clone() }));
        } else if is_edited {
            // With all whom a page may list, so that it sees whose purchase was cancelled.
            let drop = SneakerDrop { latest_purchasers: self.purchasers.clone(), ..drop.clone() };
            events.push(ServerEvent::DropUpdated(DropUpdated { drop }));
        }
        if let Some(reason) = reason.filter(|_| is_new || !is_edited) {
            let changed = drop.sizes.iter().filter(|size| is_new || changed_sizes.contains(&size.label));
            events.push(ServerEvent::StockUpdated(StockUpdate {
                now: now.into(),
                drop_id: drop.id,
                new_stock: drop.available_stock,
                held: drop.held_stock,
                sizes: changed
                    .map(|size| SizeLevel { label: size.label.clone(), available: size.available_stock })
                    .collect(),
                version: drop.version,
                reason,
            }));
        }
        let completed = purchases.into_iter().rev().map(|purchase| PurchaseCompleted {
            drop_id: drop.id,
            new_stock: drop.available_stock,
            purchase_id: purchase.purchase_id,
            purchaser: User { id: purchase.id, username: purchase.username },
            purchased_at: purchase.purchased_at,
            version: drop.version,
        });
        events.extend(completed.map(ServerEvent::PurchaseCompleted));
        events
    }
}

/// Whether something else than stock differs.
fn is_edited(before: &SneakerDrop, after: &SneakerDrop) -> bool {
    let shown = |drop: &SneakerDrop| {
        let SneakerDrop { name, description, price_cents, image_url, limit_per_user, .. } = drop.clone();
        let SneakerDrop { starts_at, ends_at, paused, sizes, .. } = drop.clone();
        let sizes: Vec<_> = sizes.into_iter().map(|size| (size.label, size.total_stock)).collect();
        (name, description, price_cents, image_url, limit_per_user, starts_at, ends_at, paused, sizes)
    };
    shown(before) != shown(after)
}
