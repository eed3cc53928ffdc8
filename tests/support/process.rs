//! The real program in a process of its own, to be killed.

use super::{ADMIN_TOKEN, Api, SESSION_KEY, soon, until};
use sqlx::{ConnectOptions, PgPool};
use std::{
    io::{BufRead, BufReader},
    ops::Deref,
    process::{Child, Command, ExitStatus, Stdio},
};
use tokio::sync::oneshot;

/// A running server; killed when it is dropped.
pub(crate) struct Process {
    api: Api,
    child: Child,
}

impl Process {
    pub(crate) async fn start(db: &PgPool) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_sneakdrop"))
            .env("DATABASE_URL", db.connect_options().to_url_lossy().as_str())
            .envs([("ADMIN_TOKEN", ADMIN_TOKEN), ("SESSION_KEY", SESSION_KEY)])
            .envs([("LISTEN_HOST", "127.0.0.1"), ("PORT", "0"), ("RUST_LOG", "info"), ("NO_COLOR", "1")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program is built");
        let log = BufReader::new(child.stderr.take().expect("stderr is piped"));
        let (said, address) = oneshot::channel();
        // Reads to the end, as a program whose log nobody reads would stop at a full pipe.
        std::thread::spawn(move || {
            let mut said = Some(said);
            let mut log_so_far = String::new();
            for line in log.lines().map_while(Result::ok) {
                if let Some((_, address)) = line.split_once("listening on http://")
                    && let Some(said) = said.take()
                {
                    let _ = said.send(address.trim().parse().expect("an address and a port"));
                }
                log_so_far.push_str(&line);
                log_so_far.push('\n');
            }
            if said.is_some() {
                eprintln!("the program ended before it listened:\n{log_so_far}");
            }
        });
        let address = soon("the program listens", address).await.expect("it listens before it ends");
        Self { api: Api::new(address), child }
    }

    /// SIGKILL: nothing in the process runs any more.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("it is our child");
        self.child.wait().expect("it is our child");
    }

    /// SIGTERM: the polite way.
    pub(crate) fn terminate(&self) {
        let kill = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        assert!(kill.expect("kill is everywhere").success());
    }

    /// How the process ended.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        until("the program ends", async || self.child.try_wait().expect("it is our child")).await
    }
}

impl Deref for Process {
    type Target = Api;

    fn deref(&self) -> &Api {
        &self.api
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
