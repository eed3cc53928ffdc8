//! Expires reservations on time: a timer for the next one, and an interval for those that the timer does not know of, such
//! as the reservations of another node.

use crate::server::{inventory, state::AppState};
use std::time::Duration;
use tokio::time::{Instant, sleep_until, timeout};

/// Runs until the shutdown.
pub(super) async fn run(state: AppState) {
    let timer = &state.inventory.expiry_timer;
    loop {
        timer.reset();
        // An error is logged where it arises, and the next run tries again. The timeout is for a connection that goes silent.
        if let Ok(Ok(Some(next))) = timeout(RUN_TIMEOUT, inventory::expire(&state.inventory)).await {
            timer.set_at_most(next);
        }
        let latest = Instant::now() + state.config.expiry_interval;
        loop {
            tokio::select! {
                () = sleep_until(next_run(&state).min(latest)) => break,
                // The timer changed, so that the wait is another; nothing is due yet.
                () = timer.earlier() => {}
                () = state.shutdown.cancelled() => return,
            }
        }
    }
}

/// When the first reservation is due that the timer knows of.
fn next_run(state: &AppState) -> Instant {
    let next_ms = state.inventory.expiry_timer.next_ms();
    // One millisecond more: timestamps have microseconds, which are cut off here.
    let until_next_ms = next_ms.saturating_sub(state.clock.now().timestamp_millis()).saturating_add(1);
    Instant::now() + Duration::from_millis(until_next_ms.clamp(1, ONE_DAY_MS).unsigned_abs())
}

/// How long one run may take; the next one continues.
const RUN_TIMEOUT: Duration = Duration::from_secs(30);

/// Longer than any wait, and short enough to be added to an `Instant`.
const ONE_DAY_MS: i64 = 86_400_000;
