//! How often which requests were refused, for those who run a drop.

use crate::{domain::error::DropError, server::catalog::Catalog};
use chrono::{DateTime, Utc};
use std::{
    collections::HashMap,
    sync::{
        PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

/// The refusals of this node since it started, by drop and reason. Only drops of the catalog are counted, and those that left it
/// are forgotten when another drop or reason is counted for the first time.
pub struct Refusals {
    pub since: DateTime<Utc>,
    counts: RwLock<HashMap<(i64, &'static str), AtomicU64>>,
}

impl Refusals {
    pub(super) fn new(since: DateTime<Utc>) -> Self {
        Self { since, counts: RwLock::default() }
    }

    /// In a rush nearly all refusals are of a drop and reason that were counted before, and cost one lookup.
    pub(super) fn count(&self, catalog: &Catalog, drop_id: i64, error: &DropError) {
        let reason = (drop_id, error.code());
        if let Some(count) = self.counts.read().unwrap_or_else(PoisonError::into_inner).get(&reason) {
            count.fetch_add(1, Ordering::Relaxed);
            return;
        }
        if catalog.has(drop_id) {
            let mut counts = self.counts.write().unwrap_or_else(PoisonError::into_inner);
            counts.retain(|(drop_id, _), _| catalog.has(*drop_id));
            counts.entry(reason).or_default().fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The codes of the errors with which requests of a drop were refused, and how often; the most frequent first.
    pub fn of_drop(&self, drop_id: i64) -> Vec<(&'static str, u64)> {
        let counts = self.counts.read().unwrap_or_else(PoisonError::into_inner);
        let of_drop = counts.iter().filter(|((of, _), _)| *of == drop_id);
        let mut refusals: Vec<_> = of_drop.map(|((_, code), count)| (*code, count.load(Ordering::Relaxed))).collect();
        refusals.sort_by_key(|(code, count)| (std::cmp::Reverse(*count), *code));
        refusals
    }
}
