//! Gives back lapsed reservations on time: a timer set to the next one, with an interval as the safety net for whatever
//! the timer does not know of, such as reservations of another node.

use super::{AppState, inventory};
use chrono::{DateTime, Utc};
use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};
use tokio::{
    sync::Notify,
    time::{Instant, timeout},
};

/// When the sweeper means to run next, and the bell that wakes it earlier.
pub struct ExpiryTimer {
    next_ms: AtomicI64,
    earlier: Notify,
}

impl Default for ExpiryTimer {
    fn default() -> Self {
        Self { next_ms: AtomicI64::new(i64::MAX), earlier: Notify::new() }
    }
}

impl ExpiryTimer {
    /// Tells the sweeper of a new reservation. It is woken only for one that lapses before all that it knows.
    pub(crate) fn expect(&self, expires_at: DateTime<Utc>) {
        let expires_at_ms = expires_at.timestamp_millis();
        if self.next_ms.fetch_min(expires_at_ms, Ordering::Relaxed) > expires_at_ms {
            self.earlier.notify_one();
        }
    }
}

/// How long one sweep may take; what it has not done by then the next one does.
const SWEEP_TIMEOUT: Duration = Duration::from_secs(30);

/// Longer than any wait, and short enough to be added to a moment.
const A_DAY_MS: i64 = 86_400_000;

/// Sweeps until the shutdown.
pub(crate) async fn run(state: AppState) {
    loop {
        state.expiry.next_ms.store(i64::MAX, Ordering::Relaxed);
        // The log has the cause; the next sweep tries again. A line that went silent is left behind.
        if let Ok(Ok(Some(next))) = timeout(SWEEP_TIMEOUT, inventory::expire(&state)).await {
            // Not `expect`, which would ring the bell for whoever rings it.
            state.expiry.next_ms.fetch_min(next.timestamp_millis(), Ordering::Relaxed);
        }
        let latest = Instant::now() + state.config.expiry_interval;
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(next_sweep(&state).min(latest)) => break,
                // Somebody reserved, who may be the first to lapse: that asks for another wait, and not yet for a sweep.
                () = state.expiry.earlier.notified() => {}
                () = state.shutdown.cancelled() => return,
            }
        }
    }
}

/// When the first reservation lapses that the timer knows of.
fn next_sweep(state: &AppState) -> Instant {
    let next_ms = state.expiry.next_ms.load(Ordering::Relaxed);
    // A millisecond more, as timestamps have microseconds and this arithmetic has not.
    let until_next_ms = next_ms.saturating_sub(state.catalog.now().timestamp_millis()).saturating_add(1);
    Instant::now() + Duration::from_millis(until_next_ms.clamp(1, A_DAY_MS).unsigned_abs())
}
