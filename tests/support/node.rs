//! A node of the shop inside the test's process. Tests reach the server's internals only through this file, `people.rs` and
//! `invariants.rs`.

use super::{
    api::{ADMIN_TOKEN, Api},
    invariants::assert_invariants,
    people::SESSION_KEY,
    proxy::Proxy,
    stock::{shown_stock, stored_stock},
    wait::until,
};
use sneakdrop::{
    domain::error::DropError,
    server::{
        auth::origin::Origins,
        board::{self, Board, Period},
        config::{Config, Dialect},
        database::Pool,
        inventory::{PREPARED, Strategy},
        jobs, serve,
        state::AppState,
    },
};
use sqlx::{PgPool, postgres::PgConnectOptions};
use std::{net::SocketAddr, ops::Deref, sync::Arc, time::Duration};
use tokio::{
    net::TcpListener,
    runtime::{Builder, Runtime},
    sync::{Semaphore, SemaphorePermit, oneshot},
    task::JoinHandle,
};

/// A running node on a port of its own, called through its [`Api`].
///
/// It has two threads of its own, so that a test may block its own thread or crash the node. Dropping it ends its tasks
/// at once, as a crash does; [`Node::stop`] is an orderly shutdown.
pub(crate) struct Node {
    state: AppState,
    db: PgPool,
    api: Api,
    /// Taken when the node is dropped.
    runtime: Option<Runtime>,
    server: JoinHandle<()>,
    slot: Arc<SemaphorePermit<'static>>,
}

/// The configuration that differs between tests.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) reservation_ttl: Duration,
    pub(crate) expiry_interval: Duration,
    /// Whether expiry, broadcast and reconciliation run beside the requests.
    pub(crate) has_jobs: bool,
    /// How the node connects to the database, if not as the test does.
    pub(crate) database: Option<PgConnectOptions>,
    pub(crate) admin_token: Option<&'static str>,
    pub(crate) session_key: &'static str,
    pub(crate) origins: Origins,
    pub(crate) has_socket_io: bool,
    pub(crate) dialect: Dialect,
}

/// How many tests may have nodes at the same time. Three tests with two nodes of 20 connections each stay within
/// PostgreSQL's limit of connections.
static TEST_SLOTS: Semaphore = Semaphore::const_new(3);

impl Default for Settings {
    fn default() -> Self {
        Self {
            reservation_ttl: Duration::from_secs(60),
            expiry_interval: Duration::from_secs(5),
            has_jobs: true,
            database: None,
            admin_token: Some(ADMIN_TOKEN),
            session_key: SESSION_KEY,
            origins: Origins::default(),
            has_socket_io: true,
            dialect: Dialect::One,
        }
    }
}

impl Settings {
    /// Connects to the database through a proxy.
    pub(crate) fn through(proxy: &Proxy) -> Self {
        Self { database: Some(proxy.connect_options()), ..Self::default() }
    }

    /// Runs no jobs: reservations expire only when a request takes the drop's lock.
    pub(crate) fn without_jobs() -> Self {
        Self { has_jobs: false, ..Self::default() }
    }
}

impl Node {
    pub(crate) async fn start(db: &PgPool) -> Self {
        Self::start_with(db, Settings::default()).await
    }

    pub(crate) async fn start_with(db: &PgPool, settings: Settings) -> Self {
        let slot = TEST_SLOTS.acquire().await.expect("the semaphore is never closed");
        Self::start_in_slot(db, settings, Arc::new(slot)).await
    }

    /// Starts another node on the same database.
    pub(crate) async fn start_another(&self, settings: Settings) -> Self {
        Self::start_in_slot(&self.db, settings, self.slot.clone()).await
    }

    async fn start_in_slot(db: &PgPool, settings: Settings, slot: Arc<SemaphorePermit<'static>>) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("threads can start");
        let config = Config {
            database: settings.database.unwrap_or_else(|| (*db.connect_options()).clone()),
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            reservation_ttl: settings.reservation_ttl,
            expiry_interval: settings.expiry_interval,
            admin_token: settings.admin_token.map(Into::into),
            session_key: settings.session_key.into(),
            origins: settings.origins,
            has_socket_io: settings.has_socket_io,
            dialect: settings.dialect,
            seed: false,
            strategy: Strategy::Batched,
        };
        let (started_sender, started) = oneshot::channel();
        let server = runtime.spawn(async move {
            let (listen, pool) = (config.listen, Pool::new(config.database.clone(), PREPARED));
            let state = AppState::load(config, pool.clone()).await.expect("the catalog can be loaded");
            if settings.has_jobs {
                jobs::spawn(&state);
            }
            let listener = TcpListener::bind(listen).await.expect("a free port");
            let address = listener.local_addr().expect("a bound listener has an address");
            started_sender.send((address, state.clone())).map_err(drop).expect("the test waits for the address");
            serve(listener, state).await;
            pool.close();
        });
        let (address, state) = started.await.expect("the node starts");
        Self { state, db: db.clone(), api: Api::new(address), runtime: Some(runtime), server, slot }
    }

    /// Stops in order, then asserts the invariants of the database.
    pub(crate) async fn stop_and_assert_invariants(self) {
        self.stop().await;
        assert_invariants(&self.db).await;
    }

    /// Stops in order: requests in flight finish, and connections are closed.
    pub(crate) async fn stop(&self) {
        self.begin_shutdown();
        until("the node stops", async || self.server.is_finished().then_some(())).await;
    }

    /// Begins an orderly stop without waiting for its end.
    pub(crate) fn begin_shutdown(&self) {
        self.state.shutdown.cancel();
    }

    /// Ends every task of the node between two of its instructions.
    pub(crate) fn crash(self) {
        drop(self);
    }

    /// Waits until the catalog has the same stock as the database.
    pub(crate) async fn until_catalog_matches_database(&self) {
        until("the catalog matches the database", async || {
            let stored = stored_stock(&self.db).await;
            (shown_stock(self.state.catalog.drops()) == stored).then_some(())
        })
        .await;
    }

    /// Compares the catalog with the database now, as the job does twice a second.
    pub(crate) async fn reconcile_now(&self) {
        let outdated = self.state.catalog.reconcile(&self.state.pool, &self.state.clock).await;
        outdated.expect("the database is available");
    }

    /// Whether the node would refuse this reservation as sold out without a query.
    pub(crate) fn refuses_from_memory(&self, user_id: i64, drop_id: i64, size: Option<&str>) -> bool {
        self.state.inventory.is_sold_out_for(user_id, drop_id, size)
    }

    /// Waits until this many commands are queued behind the batches that are being committed.
    pub(crate) async fn until_queued(&self, commands: usize) {
        let what = format!("{commands} commands are queued");
        until(&what, async || (self.state.inventory.waiting_callers() == commands).then_some(())).await;
    }

    /// The board of a drop, as the desk shows it.
    pub(crate) async fn board(&self, drop_id: i64) -> Result<Board, DropError> {
        board::read(&self.state, drop_id, Period::All).await
    }

    /// How many jobs and WebSocket connections are running.
    pub(crate) fn running_tasks(&self) -> usize {
        self.state.tasks.len()
    }
}

impl Deref for Node {
    type Target = Api;

    fn deref(&self) -> &Api {
        &self.api
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
