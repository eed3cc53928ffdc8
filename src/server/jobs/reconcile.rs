//! Asks the database twice a second what other nodes committed.

use crate::server::{catalog::Outdated, state::AppState};
use std::time::{Duration, Instant};
use tokio::time::{Interval, MissedTickBehavior, interval, timeout};

/// Reconciles the catalog until the shutdown.
pub(super) async fn run(state: AppState) {
    let mut ticks = interval(RECONCILE_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let next = async |ticks: &mut Interval| {
        tokio::select! {
            _ = ticks.tick() => {}
            () = state.catalog.outdated() => {}
        }
    };
    while state.shutdown.run_until_cancelled(next(&mut ticks)).await.is_some() {
        let requested_at = Instant::now();
        // An error is logged where it arises, and the next tick tries again. The timeout is for a connection that goes silent.
        if let Ok(Ok(outdated)) = timeout(RECONCILE_TIMEOUT, state.catalog.reconcile(&state.pool, &state.clock)).await {
            state.catalog.mark_verified(requested_at);
            match outdated {
                Outdated::Users(ids) => ids.into_iter().for_each(|user_id| state.broadcast.resync_user(user_id)),
                Outdated::Everybody => {
                    state.broadcast.resync_everybody();
                    state.socket_io.iter().for_each(|socket_io| socket_io.resync());
                }
            }
        }
    }
}

/// Half of the second within which every screen must show what the database has.
const RECONCILE_INTERVAL: Duration = Duration::from_millis(500);

/// How long one reconciliation may take.
const RECONCILE_TIMEOUT: Duration = Duration::from_secs(10);
