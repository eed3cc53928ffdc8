//! The server's process ends by itself: after an orderly stop, or because it cannot start. The load test only kills it.

use super::{people::SESSION_KEY, server_process::ServerProcess};
use sqlx::{ConnectOptions, postgres::PgConnectOptions};
use std::{
    process::{Command, ExitStatus, Output},
    time::{Duration, Instant},
};
use tokio::time::sleep;

/// How long a stop may take; longer than the server's own limit for requests in flight.
const EXIT_TIMEOUT: Duration = Duration::from_secs(30);

impl ServerProcess {
    /// Sends SIGTERM, which asks for an orderly stop.
    pub(crate) fn terminate(&self) {
        let kill = Command::new("kill").args(["-TERM", &self.process_id().to_string()]).status();
        assert!(kill.expect("the system has a kill command").success());
    }

    /// Waits until the process exits by itself.
    pub(crate) async fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + EXIT_TIMEOUT;
        loop {
            if let Some(status) = self.child.try_wait().expect("a child process can be waited for") {
                return status;
            }
            assert!(Instant::now() < deadline, "the server did not exit within {EXIT_TIMEOUT:?}");
            sleep(Duration::from_millis(5)).await;
        }
    }
}

/// Runs the server's binary on a database with which it must not start, and returns what it said.
pub(crate) async fn output_of_failed_start(database: &PgConnectOptions) -> Output {
    let url = database.to_url_lossy();
    let started = tokio::task::spawn_blocking(move || {
        Command::new(env!("CARGO_BIN_EXE_sneakdrop"))
            .envs([("DATABASE_URL", url.as_str()), ("SESSION_KEY", SESSION_KEY), ("PORT", "0"), ("RUST_LOG", "warn")])
            .output()
            .expect("cargo builds the binary before the tests")
    });
    started.await.expect("the task does not panic")
}
