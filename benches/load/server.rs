//! The server under load, with the processes whose resources are measured.

use crate::{
    database::{Database, SESSION_KEY},
    processes::Processes,
    server_process::ServerProcess,
};
use sqlx::postgres::PgConnectOptions;
use std::net::SocketAddr;

/// A running server; its process is killed on drop.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) processes: Processes,
    _process: ServerProcess,
}

const ADMIN_TOKEN: &str = "an admin token for benchmarks";

/// Longer than any measurement, so that no reservation expires during one.
const RESERVATION_TTL_SECONDS: &str = "86400";

impl Server {
    /// Starts the server on a port that the system chooses. `options` is how it connects to `database`.
    pub(crate) async fn start(database: &Database, options: &PgConnectOptions, arguments: &[&str]) -> Self {
        let environment = [
            ("ADMIN_TOKEN", ADMIN_TOKEN),
            ("SESSION_KEY", SESSION_KEY),
            ("RESERVATION_TTL_SECONDS", RESERVATION_TTL_SECONDS),
        ];
        let process = ServerProcess::start(options, arguments, &environment).await;
        let backend_pid = sqlx::query_scalar("select pg_backend_pid()").fetch_one(&database.pool).await;
        let processes = Processes::new(process.process_id(), backend_pid.expect("PostgreSQL accepts connections"));
        Self { address: process.address, processes, _process: process }
    }
}
