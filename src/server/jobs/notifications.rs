//! Sends what concerns single users to their connections.

use crate::server::state::AppState;

/// Runs until the shutdown.
pub(super) async fn run(state: AppState) {
    let mut notifications = state.notifications.lock().await;
    while let Some(Some(batch)) = state.shutdown.run_until_cancelled(notifications.recv()).await {
        state.broadcast.notify(batch);
    }
}
