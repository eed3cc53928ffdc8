//! What runs beside requests, on every node.

mod batch_report;
mod expiry;
mod reconcile;
mod usernames;

use super::{realtime::broadcast, state::AppState};
use std::{pin::Pin, time::Duration};
use tokio::time::sleep;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Starts the jobs, which run until the shutdown.
pub fn spawn(state: &AppState) {
    let start = |name, job: fn(AppState) -> Job| {
        let state = state.clone();
        supervise(&state.tasks.clone(), state.shutdown.clone(), name, move || job(state.clone()));
    };
    start("broadcast", |state| {
        let (broadcast, catalog) = (state.broadcast.clone(), state.catalog.clone());
        let (clock, socket_io) = (state.clock.clone(), state.socket_io.clone());
        Box::pin(broadcast::run(broadcast, catalog, clock, socket_io, state.shutdown.clone()))
    });
    start("expiry", |state| Box::pin(expiry::run(state)));
    start("reconcile", |state| Box::pin(reconcile::run(state)));
    start("usernames", |state| Box::pin(usernames::run(state)));
    start("batch report", |state| Box::pin(batch_report::run(state)));
}

type Job = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Runs a job until it ends by itself. One that panics is started again, so that one bad value does not end it for good.
fn supervise(
    tasks: &TaskTracker,
    shutdown: CancellationToken,
    name: &'static str,
    job: impl Fn() -> Job + Send + 'static,
) {
    tasks.spawn(async move {
        while let Err(panic) = tokio::spawn(job()).await {
            tracing::error!(%panic, name, "a job panicked and is started again");
            if shutdown.run_until_cancelled(sleep(RESTART_DELAY)).await.is_none() {
                return;
            }
        }
    });
}

/// How long a job that panicked pauses, so that one that always panics does not keep a core busy.
const RESTART_DELAY: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    };

    #[tokio::test]
    async fn job_that_panics_is_started_again_until_it_ends() {
        let (tasks, starts) = (TaskTracker::new(), Arc::new(AtomicU32::new(0)));
        let job = {
            let starts = starts.clone();
            move || {
                let start = starts.fetch_add(1, Ordering::SeqCst);
                Box::pin(async move { assert_eq!(start, 1, "the first run panics") }) as Job
            }
        };
        supervise(&tasks, CancellationToken::new(), "test", job);
        tasks.close();
        tasks.wait().await;
        assert_eq!(starts.load(Ordering::SeqCst), 2);
    }
}
