//! The real server, started in a process of its own.

use crate::{
    database::{Database, SESSION_KEY},
    processes::Processes,
};
use sqlx::{ConnectOptions, postgres::PgConnectOptions};
use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};
use tokio::{sync::oneshot, time::timeout};

/// A running server; its process is killed on drop.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) processes: Processes,
    child: Child,
}

const ADMIN_TOKEN: &str = "an admin token for benchmarks";

/// Longer than any measurement, so that no reservation expires during one.
const RESERVATION_TTL_SECONDS: &str = "86400";

const START_TIMEOUT: Duration = Duration::from_secs(60);

/// How many warnings and errors of the server's log are printed; an overloaded server repeats the same one thousands of
/// times.
const MAX_PRINTED_LOG_ENTRIES: usize = 5;

impl Server {
    /// Starts the server on a port that the system chooses. `options` is how it connects to `database`.
    pub(crate) async fn start(database: &Database, options: &PgConnectOptions, arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_sneakdrop"))
            .args(arguments)
            .env("DATABASE_URL", options.to_url_lossy().as_str())
            .envs([("ADMIN_TOKEN", ADMIN_TOKEN), ("SESSION_KEY", SESSION_KEY)])
            .envs([("LISTEN_HOST", "127.0.0.1"), ("PORT", "0"), ("RUST_LOG", "info"), ("NO_COLOR", "1")])
            .env("RESERVATION_TTL_SECONDS", RESERVATION_TTL_SECONDS)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the server's binary is built");
        let log = BufReader::new(child.stderr.take().expect("stderr is piped"));
        let (sender, address) = oneshot::channel();
        // Reads the log to its end: a process that writes to a full pipe blocks.
        thread::spawn(move || {
            let mut sender = Some(sender);
            let mut printed = 0;
            for entry in log.lines().map_while(Result::ok) {
                if let Some((_, address)) = entry.split_once("listening on http://")
                    && let Some(sender) = sender.take()
                {
                    let _ = sender.send(address.trim().parse().expect("an address and a port"));
                } else if !entry.contains(" INFO ") && printed < MAX_PRINTED_LOG_ENTRIES {
                    printed += 1;
                    eprintln!("    server: {entry}");
                }
            }
        });
        let address = timeout(START_TIMEOUT, address).await;
        let address = address.expect("the server starts within its timeout").expect("the server does not exit early");
        let backend_pid = sqlx::query_scalar("select pg_backend_pid()").fetch_one(&database.pool).await;
        let processes = Processes::new(child.id(), backend_pid.expect("PostgreSQL accepts connections"));
        Self { address, processes, child }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
