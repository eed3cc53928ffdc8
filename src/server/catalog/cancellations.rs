//! Which purchases were cancelled lately, so that every node tells their buyers, whatever drop it was.

use chrono::{DateTime, TimeDelta, Utc};
use std::collections::HashSet;

/// The cancellations of which the buyers were told already.
#[derive(Default)]
pub(super) struct Cancellations {
    told: HashSet<i64>,
    /// The database's time when they were read.
    read_at: Option<DateTime<Utc>>,
}

impl Cancellations {
    /// Since when those must be read that may be new. A transaction has the time at which it got its lock, and commits later. The
    /// clock may be another server's, and earlier than before.
    pub(super) fn since(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        self.read_at.map_or(now, |read_at| read_at.min(now)) - LONGEST_TRANSACTION
    }

    /// Takes in all cancellations since then, as purchases with their buyers; returns the buyers who were not told.
    pub(super) fn take(&mut self, now: DateTime<Utc>, read: &[(i64, i64)]) -> Vec<i64> {
        let new = read.iter().filter(|(purchase_id, _)| !self.told.contains(purchase_id));
        let buyers = new.map(|(_, user_id)| *user_id).collect();
        self.told = read.iter().map(|(purchase_id, _)| *purchase_id).collect();
        self.read_at = Some(now);
        buyers
    }
}

/// Longer than a transaction may take.
const LONGEST_TRANSACTION: TimeDelta = TimeDelta::seconds(30);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buyers_are_told_once_also_of_what_was_committed_late() {
        let at = |seconds: i64| DateTime::from_timestamp(1_800_000_000 + seconds, 0).expect("in range");
        let mut cancellations = Cancellations::default();
        assert_eq!(cancellations.since(at(100)), at(70));
        assert_eq!(cancellations.take(at(100), &[(1, 10)]), [10]);
        // Numbered before the first, committed after it.
        assert_eq!(cancellations.take(at(101), &[(1, 10), (0, 20)]), [20]);
        assert_eq!(cancellations.since(at(500)), at(71), "nothing is missed while the database is away");
        assert_eq!(cancellations.since(at(40)), at(10), "nor after its clock was set back");
        assert_eq!(cancellations.take(at(500), &[(0, 20), (7, 10)]), [10]);
        assert!(cancellations.take(at(501), &[]).is_empty());
    }
}
