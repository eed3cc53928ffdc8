//! A real PgBouncer before the test's database.

use super::wait::until;
use sqlx::{
    ConnectOptions, PgPool,
    postgres::{PgConnectOptions, PgSslMode},
};
use std::{
    fs,
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    process::{Child, Command, Stdio},
};
use tokio::net::TcpStream;

/// A running PgBouncer; it is killed when this is dropped.
pub(crate) struct PgBouncer {
    process: Child,
    directory: PathBuf,
    address: SocketAddr,
    database: PgConnectOptions,
}

impl PgBouncer {
    /// Starts one with these settings. It accepts anybody, on loopback, and connects as the test does.
    pub(crate) async fn start(db: &PgPool, settings: &str) -> Self {
        let database = (*db.connect_options()).clone();
        let port =
            TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port").port();
        let url = database.to_url_lossy();
        let name = database.get_database().expect("the test has a database");
        let directory = std::env::temp_dir().join(format!("sneakdrop-pgbouncer-{port}"));
        fs::create_dir_all(&directory).expect("a temporary directory");
        let configuration = directory.join("pgbouncer.ini");
        let contents = format!(
            "[databases]\n{name} = host={} port={} user={} password={}\n\
             [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n{settings}\n",
            database.get_host(),
            database.get_port(),
            url.username(),
            url.password().unwrap_or_default(),
        );
        fs::write(&configuration, contents).expect("the configuration can be written");
        let mut command = Command::new("pgbouncer");
        command.arg("--quiet").arg(&configuration).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        // It refuses to run as root.
        if fs::metadata("/proc/self").is_ok_and(|process| std::os::unix::fs::MetadataExt::uid(&process) == 0) {
            command.arg("--user=postgres");
        }
        let process = command.spawn().expect("script/setup installs PgBouncer");
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        until("PgBouncer listens", async || TcpStream::connect(address).await.ok()).await;
        Self { process, directory, address, database }
    }

    pub(crate) fn connect_options(&self) -> PgConnectOptions {
        let address = &self.address;
        self.database.clone().host(&address.ip().to_string()).port(address.port()).ssl_mode(PgSslMode::Disable)
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        // What is left of either is no reason for a test to fail.
        let _ = self.process.kill().and_then(|()| self.process.wait());
        let _ = fs::remove_dir_all(&self.directory);
    }
}
