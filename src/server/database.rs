//! The pool, its time limits, and what PostgreSQL's errors mean to us.

use crate::{domain::error::DropError, server::inventory};
use futures_util::TryStreamExt;
use sqlx::{
    AssertSqlSafe, Connection, Either, PgConnection, PgPool, Postgres,
    pool::PoolConnection,
    postgres::{PgConnectOptions, PgPoolOptions, PgRow},
};
use std::{
    mem::take,
    ops::{Deref, DerefMut},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::time::timeout;

/// Connections of one node. More would only queue at the same row lock, inside PostgreSQL instead of here.
pub(crate) const MAX_CONNECTIONS: u32 = 20;

/// How long a request waits for a connection before it is told that the shop is busy.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);

/// How long a connection that came back passes for alive. It was asked when it came back, and asking is a round trip.
const MAX_IDLE: Duration = Duration::from_secs(1);

/// Limits that PostgreSQL enforces on each of our sessions, so that nothing holds a drop's lock for long: a statement,
/// the wait for a lock, and a transaction whose node went silent.
const SESSION_LIMITS: [(&str, &str); 3] =
    [("statement_timeout", "5s"), ("lock_timeout", "4s"), ("idle_in_transaction_session_timeout", "10s")];

/// Our statements find a few rows each: compiling them costs more than running them. Planning them is worth it each time:
/// PostgreSQL keeps a plan for all parameters until statistics are gathered, up to minutes later, and one that was made while
/// a table was all but empty reads the whole of it. (Batches have a way of their own: see [`PoolGuard::begin_with`].)
const SESSION_PLANS: [(&str, &str); 2] = [("jit", "off"), ("plan_cache_mode", "force_custom_plan")];

/// The pool; connects when first used, and again by itself after the database was away. The schema must be current: each
/// session prepares the statements that a batch runs by their names.
pub fn pool(options: PgConnectOptions) -> PgPool {
    PgPoolOptions::new()
        .max_connections(MAX_CONNECTIONS)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .test_before_acquire(false)
        .after_connect(|connection, _| {
            Box::pin(async move {
                sqlx::raw_sql(AssertSqlSafe(inventory::PREPARED.join(";"))).execute(connection).await?;
                Ok(())
            })
        })
        .before_acquire(|connection, idle| {
            Box::pin(async move {
                if idle.idle_for > MAX_IDLE {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
        .connect_lazy_with(options.options(SESSION_LIMITS).options(SESSION_PLANS).application_name("sneakdrop"))
}

/// A connection of the pool, with the transaction that runs on it, if any.
///
/// [`put_back`](Self::put_back) returns it to the pool and must be called when nothing is under way on it. A guard that is
/// dropped instead (an error, a time limit, a cancelled task) closes its connection, so that PostgreSQL rolls back. sqlx
/// would rather ping such a connection without a time limit, and an unreachable peer would occupy its place for ever.
pub(crate) struct PoolGuard {
    /// `None` only while it is being dropped.
    connection: Option<PoolConnection<Postgres>>,
    /// Batches begun since the connection was acquired.
    batches: u32,
    used_at: Instant,
}

impl PoolGuard {
    /// Waits for a connection, for at most [`ACQUIRE_TIMEOUT`].
    pub(crate) async fn acquire(pool: &PgPool) -> Result<Self, sqlx::Error> {
        Ok(Self { connection: Some(pool.acquire().await?), batches: 0, used_at: Instant::now() })
    }

    /// Acquires a connection and begins a transaction on it.
    pub(crate) async fn begin(pool: &PgPool) -> Result<Self, sqlx::Error> {
        let mut guard = Self::acquire(pool).await?;
        guard.run("begin isolation level read committed").await?;
        Ok(guard)
    }

    /// Acquires a connection and begins a read-only transaction in which every statement sees the same state.
    pub(crate) async fn begin_snapshot(pool: &PgPool) -> Result<Self, sqlx::Error> {
        let mut guard = Self::acquire(pool).await?;
        guard.run("begin isolation level repeatable read read only").await?;
        Ok(guard)
    }

    /// Begins a transaction and runs its first statements, all in one round trip. Returns the rows of each statement; those
    /// of `begin` and the settings before it come first and are empty.
    pub(crate) async fn begin_with(&mut self, statements: &str) -> Result<Vec<Vec<PgRow>>, sqlx::Error> {
        self.batches += 1;
        // Prepared statements run with a generic plan. It was made for the tables as they were, and a rush fills them, so
        // plan again whenever this connection has run twice as many batches.
        let discard = if self.batches.is_power_of_two() { "discard plans; " } else { "" };
        let begin = "begin isolation level read committed; set local plan_cache_mode = force_generic_plan;";
        self.run(&format!("{discard}{begin} {statements}")).await
    }

    /// Runs statements in one round trip by the simple protocol and returns the rows of each. There are no parameters, so
    /// the text may only contain numbers, timestamps and literals of our own.
    pub(crate) async fn run(&mut self, statements: &str) -> Result<Vec<Vec<PgRow>>, sqlx::Error> {
        let mut results = sqlx::raw_sql(AssertSqlSafe(statements)).fetch_many(&mut **self);
        let (mut all, mut rows) = (vec![], vec![]);
        while let Some(result) = results.try_next().await? {
            match result {
                Either::Right(row) => rows.push(row),
                Either::Left(_) => all.push(take(&mut rows)),
            }
        }
        Ok(all)
    }

    pub(crate) async fn commit(&mut self) -> Result<(), sqlx::Error> {
        self.run("commit").await.map(drop)
    }

    pub(crate) async fn rollback(&mut self) -> Result<(), sqlx::Error> {
        self.run("rollback").await.map(drop)
    }

    /// Returns the connection to the pool. Nothing may be under way on it.
    pub(crate) fn put_back(mut self) {
        self.connection = None;
    }
}

impl Deref for PoolGuard {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        self.connection.as_ref().expect(CONNECTED)
    }
}

impl DerefMut for PoolGuard {
    fn deref_mut(&mut self) -> &mut PgConnection {
        self.connection.as_mut().expect(CONNECTED)
    }
}

const CONNECTED: &str = "a guard has its connection until it is consumed";

impl Drop for PoolGuard {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            drop(connection.detach());
        }
    }
}

/// Connections on which a transaction has just ended, kept for the next transaction.
///
/// sqlx pings every connection that returns to its pool. In a rush, with one transaction after the other, that is one
/// round trip in four, and each connection's generic plans are made again all the time.
pub(crate) struct WarmConnections {
    guards: Mutex<Vec<PoolGuard>>,
    capacity: usize,
}

impl WarmConnections {
    /// Keeps at most `capacity` connections: as many as there may be transactions at the same time, so that none waits at
    /// the pool for a connection that lies here unused.
    pub(crate) fn new(capacity: usize) -> Self {
        Self { guards: Mutex::default(), capacity }
    }

    /// The connection that was used last if it is still warm, otherwise one from the pool.
    pub(crate) async fn acquire(&self, pool: &PgPool) -> Result<PoolGuard, sqlx::Error> {
        self.put_back_idle();
        let last = self.lock().pop();
        match last {
            Some(guard) => Ok(guard),
            None => PoolGuard::acquire(pool).await,
        }
    }

    /// Keeps a connection on which nothing is under way.
    pub(crate) fn keep(&self, mut guard: PoolGuard) {
        guard.used_at = Instant::now();
        let mut guards = self.lock();
        if guards.len() < self.capacity {
            guards.push(guard);
        } else {
            guard.put_back();
        }
    }

    /// Returns connections that have idled for [`MAX_IDLE`] to the pool.
    pub(crate) fn put_back_idle(&self) {
        let is_idle = |guard: &mut PoolGuard| guard.used_at.elapsed() >= MAX_IDLE;
        for mut guard in self.lock().extract_if(.., is_idle) {
            // sqlx pings on release without a timeout; ping first with one, in case the peer is unreachable.
            tokio::spawn(async move {
                if let Ok(Ok(())) = timeout(MAX_IDLE, guard.ping()).await {
                    guard.put_back();
                }
            });
        }
    }

    /// Returns all connections to the pool, for the shutdown.
    pub(crate) fn clear(&self) {
        self.lock().drain(..).for_each(PoolGuard::put_back);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<PoolGuard>> {
        self.guards.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long a query may take in all: for a line that went silent, where PostgreSQL's own limits don't reach us.
const QUERY_TIMEOUT: Duration = Duration::from_secs(8);

/// Runs queries in with_timeout time, and says what their faults mean.
pub(crate) async fn with_timeout<T>(queries: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, DropError> {
    match timeout(QUERY_TIMEOUT, queries).await {
        Ok(outcome) => outcome.map_err(fault),
        Err(_) => {
            tracing::error!("the database did not answer in time");
            Err(DropError::Unavailable)
        }
    }
}

/// A fault of the database as the caller may know it; the log keeps the cause. Constraints are told by their name.
pub(crate) fn fault(error: sqlx::Error) -> DropError {
    let known = match error.as_database_error().and_then(|error| error.constraint()) {
        Some("reservations_user_exists") => Some(DropError::Unauthorized),
        Some("drop_sizes_available_within_total") => Some(DropError::SoldOut),
        Some("drops_ends_after_start") => Some(DropError::invalid("endsAt", "must be after the start")),
        _ => is_transient(&error).then_some(DropError::Unavailable),
    };
    let outcome = known.unwrap_or(DropError::Internal);
    if outcome.status() >= 500 {
        tracing::error!(%error, code = outcome.code(), "database fault");
    }
    outcome
}

/// The meaning of an error during COMMIT. A refusal by PostgreSQL is a fault like any other; a broken connection, or one
/// that PostgreSQL shut down, leaves open whether the transaction took place.
pub(crate) fn commit_fault(error: sqlx::Error) -> DropError {
    if is_refusal(&error) {
        return fault(error);
    }
    tracing::error!(%error, "the answer to a COMMIT was lost");
    DropError::Unknown
}

/// Whether it was PostgreSQL that ended the transaction, so that nothing of it took place.
pub(crate) fn is_refusal(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Database(error) if !error.code().is_some_and(|code| code.starts_with("57P")))
}

/// Whether an error goes away by itself: the database cannot be reached, or answers with connection trouble (08), a
/// serialisation failure or deadlock (40), too many connections (53), a transaction, lock or statement that took too
/// long (25P03, 55P03, 57014), or that it stops or starts (57P).
pub(crate) fn is_transient(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        // A balancer that takes a connection and has nobody to give it to.
        | sqlx::Error::Protocol(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => true,
        sqlx::Error::Database(error) => error.code().is_some_and(|code| {
            ["25P03", "55P03", "57014"].contains(&&*code)
                || ["08", "40", "53", "57P"].iter().any(|class| code.starts_with(class))
        }),
        _ => false,
    }
}
