//! An orderly stop of the server's process; the load test only kills it.

use super::server_process::ServerProcess;
use std::{
    process::{Command, ExitStatus},
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
