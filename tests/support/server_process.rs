//! The server's own binary in a process of its own, shared by the integration tests and the load test.

use sqlx::{ConnectOptions, postgres::PgConnectOptions};
use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Child, ChildStderr, Command, Stdio},
    thread,
    time::Duration,
};
use tokio::{sync::oneshot, time::timeout};

/// A running server; it is killed when this is dropped.
pub(crate) struct ServerProcess {
    pub(crate) address: SocketAddr,
    pub(crate) child: Child,
}

/// How long a start may take: migrations, connections, loading the catalog.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// How many warnings and errors of its log are shown; an overloaded server may repeat one thousands of times.
const LINES_SHOWN: usize = 5;

impl ServerProcess {
    /// Starts the server on a free port of localhost and waits until it listens.
    ///
    /// `environment` adds variables to those that name the database, the port and the log level, and overrides them.
    pub(crate) async fn start(database: &PgConnectOptions, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        Self::run(Command::new(env!("CARGO_BIN_EXE_sneakdrop")).args(arguments), database, environment).await
    }

    /// Runs the server by a command and waits until it listens.
    pub(crate) async fn run(command: &mut Command, database: &PgConnectOptions, environment: &[(&str, &str)]) -> Self {
        let mut child = command
            .env("DATABASE_URL", database.to_url_lossy().as_str())
            .envs([("LISTEN_HOST", "127.0.0.1"), ("PORT", "0"), ("RUST_LOG", "info"), ("NO_COLOR", "1")])
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("cargo builds the binary before the tests and benches");
        let log = child.stderr.take().expect("stderr is piped");
        let (address_sender, address) = oneshot::channel();
        thread::spawn(|| read_log(log, address_sender));
        let address = timeout(START_TIMEOUT, address).await.expect("the server starts within the timeout");
        Self { address: address.expect("the server listens before it exits"), child }
    }

    pub(crate) fn process_id(&self) -> u32 {
        self.child.id()
    }

    /// Sends SIGKILL, so that no code of the process runs any more, and waits until it is gone.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("a child process can be killed");
        self.child.wait().expect("a child process can be waited for");
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Sends the address that the server logs when it listens, and shows the log's first warnings and errors.
///
/// Reads until the process exits: a full pipe would block the server.
fn read_log(log: ChildStderr, address_sender: oneshot::Sender<SocketAddr>) {
    let mut address_sender = Some(address_sender);
    let mut log_before_listening = String::new();
    let mut shown = 0;
    for entry in BufReader::new(log).lines().map_while(Result::ok) {
        if address_sender.is_some() {
            log_before_listening += &entry;
            log_before_listening.push('\n');
        }
        if let Some((_, address)) = entry.split_once("listening on http://")
            && let Some(address_sender) = address_sender.take()
        {
            // Fails if the start has timed out.
            let _ = address_sender.send(address.trim().parse().expect("an IP address and a port"));
        } else if !entry.contains(" INFO ") && shown < LINES_SHOWN {
            shown += 1;
            eprintln!("    server: {entry}");
        }
    }
    if address_sender.is_some() {
        eprintln!("the server exited before it listened:\n{log_before_listening}");
    }
}
