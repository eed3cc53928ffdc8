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
    /// Of the last edit that `drop` has.
    pub(super) edit_version: i64,
    /// Newest first, at most [`LISTED_PURCHASERS`]; the first few are also in `drop`.
    pub(super) purchasers: Vec<Purchaser>,
    /// The version as of which `purchasers` was read from the database.
    listed_at: i64,
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
    pub(super) fn new(mut drop: SneakerDrop, edit_version: i64) -> Self {
        let purchasers = drop.latest_purchasers.clone();
        drop.latest_purchasers.truncate(LATEST_PURCHASERS);
        let pending = Pending { is_new: true, ..Pending::default() };
        Self { listed_at: drop.version, drop, edit_version, purchasers, customers: Customers::default(), pending }
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
        let StockChange { version, held, reason, .. } = change;
        if version > self.drop.version {
            let is_next = version == self.drop.version + 1;
            self.customers.apply(&change, self.drop.limit_per_user.is_some(), is_next);
            self.set_stock(version, change.sizes, held);
            self.pending.reason = Some(reason);
        }
        change.purchasers.into_iter().for_each(|purchaser| self.add_purchaser(purchaser));
    }

    /// Takes in what an edit or another node committed, or this one without receiving the reply: fields that can be edited by
    /// their version, stock by its own, as commits of this node may have come in between. Returns the users who bought since.
    pub(super) fn merge(&mut self, read: SneakerDrop, edit_version: i64, last_purchase_id: i64) -> Vec<i64> {
        let bought = if read.version < self.listed_at {
            vec![]
        } else {
            self.listed_at = read.version;
            self.list(&read.latest_purchasers, last_purchase_id)
        };
        if read.version > self.drop.version {
            let sold = |drop: &SneakerDrop| drop.total_stock - drop.available_stock - drop.held_stock;
            self.pending.reason = Some(if sold(&read) > sold(&self.drop) {
                Reason::Purchased
            } else if read.available_stock < self.drop.available_stock {
                Reason::Reserved
            } else {
                Reason::Released
            });
            self.set_stock(read.version, read.sizes.clone(), read.held_stock);
        }
        if edit_version > self.edit_version {
            self.edit_version = edit_version;
            self.pending.is_edited = true;
            let known = std::mem::replace(&mut self.drop, read);
            self.drop.set_stock(&known);
            self.drop.latest_purchasers = known.latest_purchasers;
        }
        bought
    }

    fn set_stock(&mut self, version: i64, sizes: Vec<Size>, held: i32) {
        self.mark_changed_sizes(&sizes, version == self.drop.version + 1);
        self.drop.version = version;
        self.drop.total_stock = sizes.iter().map(|size| size.total_stock).sum();
        self.drop.available_stock = sizes.iter().map(|size| size.available_stock).sum();
        self.drop.held_stock = held;
        self.drop.sizes = sizes;
    }

    /// Makes the list what the database has, and keeps those who bought later than what was read: ids of purchases rise with
    /// the versions of their drop. Returns the users who are new in it.
    fn list(&mut self, read: &[Purchaser], last_purchase_id: i64) -> Vec<i64> {
        let later = self.purchasers.iter().filter(|known| known.purchase_id > last_purchase_id);
        let mut newest: Vec<_> = later.chain(read).cloned().collect();
        newest.truncate(LISTED_PURCHASERS);
        let is_known = |new: &&Purchaser| self.purchasers.iter().any(|known| known.purchase_id == new.purchase_id);
        let bought = newest.iter().filter(|new| !is_known(new)).map(|new| new.id).collect();
        let listed = self.purchasers.len();
        remove_cancelled(&mut self.purchasers, &newest, LISTED_PURCHASERS);
        remove_cancelled(&mut self.pending.purchases, &newest, LISTED_PURCHASERS);
        self.pending.is_edited |= self.purchasers.len() < listed;
        for purchaser in newest.into_iter().rev() {
            self.add_purchaser(purchaser);
        }
        self.drop.latest_purchasers = self.purchasers.iter().take(LATEST_PURCHASERS).cloned().collect();
        bought
    }

    /// Marks the sizes that a newer state changes. If it does not directly follow, any size may have changed and changed back,
    /// so all are marked. Other sizes, and other totals of them, are an edit's.
    fn mark_changed_sizes(&mut self, sizes: &[Size], is_next: bool) {
        let is_same =
            |before: &Size, after: &Size| before.label == after.label && before.total_stock == after.total_stock;
        self.pending.is_edited |= self.drop.sizes.len() != sizes.len()
            || std::iter::zip(&self.drop.sizes, sizes).any(|(before, after)| !is_same(before, after));
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

#[cfg(test)]
mod tests {
    use super::*;

    fn purchaser(purchase_id: i64) -> Purchaser {
        let username = format!("user{purchase_id}");
        Purchaser { id: purchase_id, username, purchase_id, purchased_at: DateTime::<Utc>::UNIX_EPOCH.into() }
    }

    /// A drop of which these were bought, as it is in this version.
    fn drop(version: i64, price_cents: i32, bought: &[i64]) -> SneakerDrop {
        let available_stock = 100 - version as i32;
        SneakerDrop {
            id: 1,
            name: "Volt Runner".into(),
            description: String::new(),
            price_cents,
            image_url: None,
            limit_per_user: None,
            version,
            starts_at: DateTime::<Utc>::UNIX_EPOCH.into(),
            ends_at: None,
            paused: false,
            total_stock: 100,
            available_stock,
            held_stock: 0,
            sizes: vec![Size { label: "US 9".into(), total_stock: 100, available_stock }],
            latest_purchasers: bought.iter().rev().copied().map(purchaser).collect(),
        }
    }

    /// A commit of this node, which sold these.
    fn commit(version: i64, bought: &[i64]) -> StockChange {
        StockChange {
            drop_id: 1,
            version,
            sizes: drop(version, 0, &[]).sizes,
            held: 0,
            reason: Reason::Purchased,
            purchasers: bought.iter().copied().map(purchaser).collect(),
            settled_user_ids: vec![],
            new_holders: vec![],
        }
    }

    fn listed(entry: &Entry) -> Vec<i64> {
        entry.purchasers.iter().rev().map(|purchaser| purchaser.purchase_id).collect()
    }

    #[test]
    fn edit_is_taken_in_although_the_sale_went_on() {
        let mut entry = Entry::new(drop(5, 100, &[1, 2]), 1);
        entry.flush(DateTime::UNIX_EPOCH);
        entry.apply(commit(7, &[4]));
        // The edit was version 6 and cancelled nothing; somebody bought before it on another node.
        entry.merge(drop(6, 200, &[1, 2, 3]), 2, 3);
        assert_eq!((entry.drop.version, entry.drop.price_cents, entry.drop.available_stock), (7, 200, 93));
        assert_eq!(listed(&entry), [1, 2, 3, 4]);
        let events = entry.flush(DateTime::UNIX_EPOCH);
        assert!(
            matches!(&events[0], ServerEvent::DropUpdated(updated) if updated.drop.price_cents == 200),
            "{events:?}"
        );
    }

    #[test]
    fn what_was_read_earlier_undoes_nothing() {
        let mut entry = Entry::new(drop(5, 100, &[1, 2]), 1);
        entry.merge(drop(7, 300, &[2]), 3, 2);
        entry.merge(drop(6, 200, &[1, 2]), 2, 2);
        assert_eq!((entry.drop.version, entry.drop.price_cents), (7, 300));
        assert_eq!(listed(&entry), [2]);
    }

    #[test]
    fn list_is_what_the_database_lists_and_who_bought_since() {
        for (cancelled, since, expected) in
            [(1, vec![], vec![2, 3, 4]), (3, vec![5], vec![1, 2, 4, 5]), (4, vec![5, 6], vec![1, 2, 3, 5, 6])]
        {
            let mut entry = Entry::new(drop(5, 100, &[1, 2, 3, 4]), 1);
            entry.flush(DateTime::UNIX_EPOCH);
            entry.apply(commit(7, &since));
            let left: Vec<_> = (1..=4).filter(|id| *id != cancelled).collect();
            entry.merge(drop(6, 100, &left), 1, 4);
            assert_eq!(listed(&entry), expected);
            let events = entry.flush(DateTime::UNIX_EPOCH);
            assert!(matches!(&events[0], ServerEvent::DropUpdated(_)), "{events:?}");
        }
    }
}
