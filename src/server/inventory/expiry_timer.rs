//! When the expiry job runs next.

use chrono::{DateTime, Utc};
use std::sync::atomic::{AtomicI64, Ordering};
use tokio::sync::Notify;

/// The earliest expiry that this node knows of.
pub(crate) struct ExpiryTimer {
    /// Milliseconds since the Unix epoch; `i64::MAX` if none is known.
    next_ms: AtomicI64,
    is_earlier: Notify,
}

impl ExpiryTimer {
    /// Takes in a new reservation and wakes the expiry job if it is the first to expire.
    pub(crate) fn expect(&self, expires_at: DateTime<Utc>) {
        let expires_at_ms = expires_at.timestamp_millis();
        if self.next_ms.fetch_min(expires_at_ms, Ordering::Relaxed) > expires_at_ms {
            self.is_earlier.notify_one();
        }
    }

    /// Forgets everything, before the expiry job asks the database.
    pub(crate) fn reset(&self) {
        self.next_ms.store(i64::MAX, Ordering::Relaxed);
    }

    /// Takes in what the expiry job found. Not [`expect`](Self::expect): it would wake this same job.
    pub(crate) fn set_at_most(&self, expires_at: DateTime<Utc>) {
        self.next_ms.fetch_min(expires_at.timestamp_millis(), Ordering::Relaxed);
    }

    pub(crate) fn next_ms(&self) -> i64 {
        self.next_ms.load(Ordering::Relaxed)
    }

    /// Waits until a reservation expires earlier than all known before.
    pub(crate) async fn earlier(&self) {
        self.is_earlier.notified().await;
    }
}

impl Default for ExpiryTimer {
    fn default() -> Self {
        Self { next_ms: AtomicI64::new(i64::MAX), is_earlier: Notify::new() }
    }
}
