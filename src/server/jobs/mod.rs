//! What runs beside requests, on every node.

mod batch_report;
mod expiry;
mod reconcile;

use super::{realtime::broadcast, state::AppState};

/// Starts the jobs, which run until the shutdown.
pub fn spawn(state: &AppState) {
    state.tasks.spawn(broadcast::run(state.clone()));
    state.tasks.spawn(broadcast::deliver_notifications(state.clone()));
    state.tasks.spawn(expiry::run(state.clone()));
    state.tasks.spawn(reconcile::run(state.clone()));
    state.tasks.spawn(batch_report::run(state.clone()));
}
