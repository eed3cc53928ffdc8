//! Waiting for conditions instead of sleeping.

use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// How long anything that must happen may take. Only a failing test waits this long.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// Polls until the condition returns a value; panics after [`DEADLINE`].
pub(crate) async fn until<T>(what: &str, mut condition: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        assert!(Instant::now() < deadline, "{what}: not within {DEADLINE:?}");
        sleep(Duration::from_millis(5)).await;
    }
}

/// Waits for a future; panics after [`DEADLINE`].
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(DEADLINE, future).await.unwrap_or_else(|_| panic!("{what}: not within {DEADLINE:?}"))
}
