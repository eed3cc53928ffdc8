//! Completes the users of an earlier release.

use crate::server::{auth::accounts, state::AppState};
use std::time::Duration;
use tokio::time::sleep;

/// Runs until the shutdown, as every job, although it is done sooner. An error is logged where it arises, and another try
/// follows.
pub(super) async fn run(state: AppState) {
    while accounts::complete_usernames(&state.pool).await.is_err() {
        if state.shutdown.run_until_cancelled(sleep(RETRY_DELAY)).await.is_none() {
            return;
        }
    }
    state.shutdown.cancelled().await;
}

const RETRY_DELAY: Duration = Duration::from_secs(5);
