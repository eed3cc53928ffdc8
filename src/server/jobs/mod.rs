//! What runs beside requests, on every node.

mod batch_report;
mod expiry;
mod reconcile;

use super::{realtime::broadcast, state::AppState};

/// Starts the jobs, which run until the shutdown.
pub fn spawn(state: &AppState) {
    let (broadcast, catalog) = (state.broadcast.clone(), state.catalog.clone());
    state.tasks.spawn(broadcast::run(broadcast, catalog, state.clock.clone(), state.shutdown.clone()));
    state.tasks.spawn(expiry::run(state.clone()));
    state.tasks.spawn(reconcile::run(state.clone()));
    state.tasks.spawn(batch_report::run(state.clone()));
}
