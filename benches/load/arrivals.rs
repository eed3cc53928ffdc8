//! Records when stock changes of one drop arrive at many sockets.

use crate::client::find_bytes;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering::Relaxed};
use tokio::time::{Duration, Instant};

/// Shared by all sockets of a measurement.
pub(crate) struct Arrivals {
    /// Occurs in the events of the measured drop only.
    drop_pattern: Vec<u8>,
    /// The drop's version before the first change.
    base_version: i64,
    epoch: Instant,
    /// In order: the n-th change makes `base_version + n + 1`.
    changes: Vec<ChangeArrival>,
    /// By socket index.
    latest: Vec<LatestStock>,
    received_bytes: AtomicU64,
}

/// The sockets that one change has reached.
#[derive(Default)]
struct ChangeArrival {
    sockets: AtomicUsize,
    /// When it reached the last of them, in nanoseconds since the epoch.
    last_ns: AtomicU64,
}

/// The latest version that one socket has received, and its stock.
struct LatestStock {
    version: AtomicI64,
    available: AtomicI64,
}

impl Arrivals {
    pub(crate) fn new(drop_id: i64, base_version: i64, changes: usize, sockets: usize) -> Self {
        let latest = || LatestStock { version: AtomicI64::new(base_version), available: AtomicI64::new(-1) };
        Self {
            drop_pattern: format!("\"dropId\":{drop_id},").into_bytes(),
            base_version,
            epoch: Instant::now(),
            changes: (0..changes).map(|_| ChangeArrival::default()).collect(),
            latest: (0..sockets).map(|_| latest()).collect(),
            received_bytes: AtomicU64::new(0),
        }
    }

    /// Records an event that a socket received, if it is a stock update of the measured drop. Instead of parsing the
    /// event, its version and stock are searched for.
    ///
    /// Snapshots are sent in fragments and are ignored: a socket that fell behind catches up with the next change.
    pub(crate) fn record_event(&self, socket_index: usize, event: &[u8]) {
        if event.starts_with(b"{\"type\":\"stockUpdated\"")
            && find_bytes(event, &self.drop_pattern).is_some()
            && let Some(version) = number_after(event, b"\"version\":")
            && let Some(available) = number_after(event, b"\"newStock\":")
        {
            self.record_stock(socket_index, version, available);
        }
    }

    pub(crate) fn record_bytes(&self, bytes: usize) {
        self.received_bytes.fetch_add(bytes as u64, Relaxed);
    }

    pub(crate) fn received_bytes(&self) -> u64 {
        self.received_bytes.load(Relaxed)
    }

    /// For each change, when it reached the last socket; `None` while it has not reached all.
    pub(crate) fn last_arrivals(&self) -> impl Iterator<Item = Option<Instant>> {
        self.changes.iter().map(|change| {
            let is_complete = change.sockets.load(Relaxed) == self.latest.len();
            is_complete.then(|| self.epoch + Duration::from_nanos(change.last_ns.load(Relaxed)))
        })
    }

    /// How many sockets have this version and stock as their latest.
    pub(crate) fn count_converged(&self, version: i64, available: i64) -> usize {
        let is_converged = |latest: &&LatestStock| {
            (latest.version.load(Relaxed), latest.available.load(Relaxed)) == (version, available)
        };
        self.latest.iter().filter(is_converged).count()
    }

    fn record_stock(&self, socket_index: usize, version: i64, available: i64) {
        let latest = &self.latest[socket_index];
        let previous_version = latest.version.load(Relaxed);
        if version < previous_version {
            return;
        }
        latest.version.store(version, Relaxed);
        latest.available.store(available, Relaxed);
        let now_ns = self.epoch.elapsed().as_nanos() as u64;
        // A flush may skip versions: the skipped changes arrive with this one.
        for skipped in previous_version..version {
            if let Some(change) = self.changes.get((skipped - self.base_version) as usize) {
                change.last_ns.fetch_max(now_ns, Relaxed);
                change.sockets.fetch_add(1, Relaxed);
            }
        }
    }
}

fn number_after(text: &[u8], pattern: &[u8]) -> Option<i64> {
    let rest = &text[find_bytes(text, pattern)? + pattern.len()..];
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    str::from_utf8(&rest[..digits]).ok()?.parse().ok()
}
