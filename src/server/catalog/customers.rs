//! Who holds or owns a pair of a drop.

use super::change::StockChange;
use chrono::{DateTime, Utc};
use std::{
    collections::{BTreeSet, HashMap, HashSet},
    time::Instant,
};

/// The users who hold or bought a pair of a drop, as far as this node knows.
#[derive(Default)]
pub(super) struct Customers {
    /// Users with an active reservation, and when it expires.
    held_until: HashMap<i64, DateTime<Utc>>,
    /// The same in the order of expiry.
    by_expiry: BTreeSet<(DateTime<Utc>, i64)>,
    /// Users who bought; kept only for a drop with a limit. One whose purchase was cancelled stays: the database then decides.
    buyers: HashSet<i64>,
    /// The newest purchase in `buyers`. Purchases are numbered under the drop's lock, so in the order of their commits.
    pub(super) last_purchase_id: i64,
    /// Whether this is complete as of the drop's version.
    pub(super) is_complete: bool,
    /// Until then a transaction with an unknown outcome may have been committed.
    pub(super) uncertain_until: Option<Instant>,
}

impl Customers {
    /// Whether it is certain that the user neither holds nor, with a limit, bought a pair, and that no reservation expires
    /// before `soon`.
    pub(super) fn rule_out(&self, user_id: i64, soon: DateTime<Utc>) -> bool {
        self.is_complete
            && self.uncertain_until.is_none_or(|until| until < Instant::now())
            && !self.held_until.contains_key(&user_id)
            && !self.buyers.contains(&user_id)
            && self.by_expiry.first().is_none_or(|(expires_at, _)| *expires_at > soon)
    }

    /// Replaces the holders and adds the purchases (user and id) since `last_purchase_id`.
    pub(super) fn complete(&mut self, held_until: HashMap<i64, DateTime<Utc>>, purchases: Vec<(i64, i64)>) {
        self.by_expiry = held_until.iter().map(|(user_id, until)| (*until, *user_id)).collect();
        self.held_until = held_until;
        self.add_buyers(purchases);
        self.is_complete = true;
    }

    /// The users whose reservations differ from `held_until`.
    pub(super) fn changed_users(&self, held_until: &HashMap<i64, DateTime<Utc>>) -> Vec<i64> {
        let came = held_until.iter().filter(|(user_id, until)| self.held_until.get(user_id) != Some(until));
        let went = self.held_until.keys().filter(|user_id| !held_until.contains_key(user_id));
        came.map(|(user_id, _)| *user_id).chain(went.copied()).collect()
    }

    /// Everybody who bought, as far as this node knows.
    pub(super) fn buyers(&self) -> impl Iterator<Item = i64> {
        self.buyers.iter().copied()
    }

    /// Applies a commit of this node; `is_next` if its version directly follows the known one.
    pub(super) fn apply(&mut self, change: &StockChange, is_limited: bool, is_next: bool) {
        self.is_complete &= is_next;
        for user_id in &change.settled_user_ids {
            if let Some(until) = self.held_until.remove(user_id) {
                self.by_expiry.remove(&(until, *user_id));
            }
        }
        for (user_id, until) in &change.new_holders {
            if let Some(before) = self.held_until.insert(*user_id, *until) {
                self.by_expiry.remove(&(before, *user_id));
            }
            self.by_expiry.insert((*until, *user_id));
        }
        // Otherwise purchases before these may be missing.
        if is_limited && self.is_complete {
            self.add_buyers(change.purchasers.iter().map(|purchaser| (purchaser.id, purchaser.purchase_id)));
        }
    }

    fn add_buyers(&mut self, purchases: impl IntoIterator<Item = (i64, i64)>) {
        for (user_id, purchase_id) in purchases {
            self.buyers.insert(user_id);
            self.last_purchase_id = self.last_purchase_id.max(purchase_id);
        }
    }
}
