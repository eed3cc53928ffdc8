//! Logs how large batches were.

use crate::server::state::AppState;
use std::time::Duration;
use tokio::time::interval;

/// Logs the sizes of the batches since the last time, until the shutdown.
pub(super) async fn run(state: AppState) {
    let mut ticks = interval(REPORT_INTERVAL);
    while state.shutdown.run_until_cancelled(ticks.tick()).await.is_some() {
        let batch_sizes = state.inventory.batcher.take_batch_sizes();
        if !batch_sizes.is_empty() {
            tracing::info!(
                batch_sizes,
                waiting = state.inventory.waiting_callers(),
                "sizes of batches and how many there were"
            );
        }
    }
}

const REPORT_INTERVAL: Duration = Duration::from_secs(10);
