//! The pool and the settings of its sessions.

use deadpool::managed::{self, Metrics, Object, PoolError, QueueMode, RecycleError, RecycleResult};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, postgres::PgConnectOptions};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

/// The connections of one node; a clone is another handle on the same pool. It connects when first used, and again after the
/// database was unavailable.
///
/// sqlx's own pool pings every connection that returns to it, without a time limit. In a rush, with one transaction after
/// the other, that is one round trip in four.
#[derive(Clone)]
pub struct Pool {
    connections: managed::Pool<Manager>,
    /// Everything but the sale takes one of these first, so that the sale always finds a connection.
    shares: Arc<Semaphore>,
}

/// What a connection is needed for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Transactions on a locked drop, what their callers' answers need, and what this node must hear to sell.
    Sale,
    /// Pages, lists and accounts, which anybody may ask for.
    Other,
}

impl Pool {
    /// Each session prepares `statements` when it connects, so the schema must be current.
    pub fn new(options: PgConnectOptions, statements: &[&str]) -> Self {
        let statements = [SESSION, &statements.join(";")].concat();
        let connections = managed::Pool::builder(Manager { options: portable(options), statements })
            .max_size(MAX_CONNECTIONS)
            // The connection that was used last has the newest plans, and those that are not needed stay idle.
            .queue_mode(QueueMode::Lifo)
            .build()
            .expect("a pool without time limits of its own needs no runtime");
        Self { connections, shares: Arc::new(Semaphore::new(MAX_OTHER_CONNECTIONS)) }
    }

    /// Waits at most [`ACQUIRE_TIMEOUT`] for a connection that works, and returns it with its share, if it needs one.
    pub(super) async fn acquire(&self, purpose: Purpose) -> Result<Acquired, sqlx::Error> {
        let acquire = async {
            let share = match purpose {
                Purpose::Sale => None,
                Purpose::Other => self.shares.clone().acquire_owned().await.ok(),
            };
            Ok((self.connections.get().await?, share))
        };
        match timeout(ACQUIRE_TIMEOUT, acquire).await {
            Ok(Ok(acquired)) => Ok(acquired),
            Ok(Err(PoolError::Backend(error))) => Err(error),
            Ok(Err(PoolError::Closed)) => Err(sqlx::Error::PoolClosed),
            Ok(Err(_)) | Err(_) => Err(sqlx::Error::PoolTimedOut),
        }
    }

    /// Closes the idle connections; new ones are opened when they are needed.
    pub(crate) fn close_idle(&self) {
        self.connections.retain(|_, _| false);
    }

    /// Closes idle connections now and the others when they return.
    pub fn close(&self) {
        self.connections.close();
    }
}

pub(super) type Acquired = (Object<Manager>, Option<OwnedSemaphorePermit>);

/// Connections of one node. More would only wait for the same row lock inside PostgreSQL.
pub(crate) const MAX_CONNECTIONS: usize = 20;

/// How many of them may be in use for anything but the sale.
const MAX_OTHER_CONNECTIONS: usize = 8;

/// How long a request waits for a connection before it is answered with 503.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);

/// A connection that was taken longer ago is pinged before it is used again, and a ping may take no longer either: the peer
/// may be unreachable. A younger one is used without this round trip.
const MAX_IDLE: Duration = Duration::from_secs(1);

/// A connection is replaced after this time, which frees what its PostgreSQL process has accumulated.
const MAX_AGE: Duration = Duration::from_secs(30 * 60);

/// The settings of each session. They are statements and not parameters of the connection, which PgBouncer refuses or, if
/// told so, ignores.
///
/// PostgreSQL enforces limits, so that nothing holds a drop's lock for long: for a statement, for the wait for a lock, and
/// for a transaction whose node stopped sending.
///
/// The statements find a few rows each, so compiling them (`jit`) costs more than running them. Planning each time is worth
/// its cost: a cached plan lives until statistics are gathered, up to minutes later, and one that was made while a table
/// was nearly empty scans all of it. Batches choose otherwise, see [`PoolGuard::begin_with`](super::guard::PoolGuard::begin_with).
///
/// The triggers that raise the versions of drops for those who edit by SQL leave this session alone.
const SESSION: &str = "
    set statement_timeout = '5s';
    set lock_timeout = '4s';
    set idle_in_transaction_session_timeout = '10s';
    set jit = off;
    set plan_cache_mode = force_custom_plan;
    set sneakdrop.writes_versions = on;";

/// Options without parameters that PgBouncer refuses.
pub(super) fn portable(options: PgConnectOptions) -> PgConnectOptions {
    options.extra_float_digits(None).application_name("sneakdrop")
}

/// Opens and checks connections.
pub(super) struct Manager {
    options: PgConnectOptions,
    statements: String,
}

pub(super) struct PooledConnection {
    pub(super) connection: PgConnection,
    /// Batches begun since the connection last idled.
    pub(super) batches: u32,
}

impl managed::Manager for Manager {
    type Type = PooledConnection;
    type Error = sqlx::Error;

    async fn create(&self) -> Result<PooledConnection, sqlx::Error> {
        let mut connection = self.options.connect().await?;
        sqlx::raw_sql(AssertSqlSafe(&*self.statements)).execute(&mut connection).await?;
        Ok(PooledConnection { connection, batches: 0 })
    }

    async fn recycle(&self, pooled: &mut PooledConnection, metrics: &Metrics) -> RecycleResult<sqlx::Error> {
        if metrics.age() > MAX_AGE {
            return Err(RecycleError::message("replaced because of its age"));
        }
        if metrics.last_used() > MAX_IDLE {
            pooled.batches = 0;
            let ping = timeout(MAX_IDLE, pooled.connection.ping()).await;
            ping.map_err(|_| RecycleError::message("the ping was not answered in time"))??;
        }
        Ok(())
    }
}
