//! A connection while it is used.

use super::pool::{Acquired, Pool, Purpose};
use deadpool::managed::Object;
use futures_util::TryStreamExt;
use sqlx::{AssertSqlSafe, Connection, Either, Executor, PgConnection, postgres::PgRow};
use std::{
    mem::take,
    ops::{Deref, DerefMut},
    time::Duration,
};
use tokio::{runtime::Handle, time::timeout};

/// A connection of the pool, with the transaction that runs on it, if any.
///
/// [`put_back`](Self::put_back) returns it to the pool at once, if nothing is under way on it. A guard that is dropped instead
/// (an error, a time limit, a client that went away) returns it when PostgreSQL has answered what was asked, and has rolled
/// back: a new connection would cost more, and those that were left behind would not count. Only one that does not answer is
/// closed.
pub(crate) struct PoolGuard {
    /// `None` only while it is being dropped.
    acquired: Option<Acquired>,
    is_in_transaction: bool,
}

impl PoolGuard {
    /// Waits for a connection of the pool.
    pub(crate) async fn acquire(pool: &Pool) -> Result<Self, sqlx::Error> {
        Self::acquire_for(Purpose::Other, pool).await
    }

    pub(crate) async fn acquire_for(purpose: Purpose, pool: &Pool) -> Result<Self, sqlx::Error> {
        Ok(Self { acquired: Some(pool.acquire(purpose).await?), is_in_transaction: false })
    }

    /// Acquires a connection and begins a transaction on it.
    pub(crate) async fn begin(pool: &Pool) -> Result<Self, sqlx::Error> {
        let mut guard = Self::acquire(pool).await?;
        guard.begin_on("isolation level read committed").await?;
        Ok(guard)
    }

    /// Acquires a connection and begins a read-only transaction in which every statement sees the same state. Nobody needs to wait
    /// for its end: the guard is dropped.
    pub(crate) async fn begin_snapshot(pool: &Pool) -> Result<Self, sqlx::Error> {
        Self::begin_snapshot_for(Purpose::Other, pool).await
    }

    pub(crate) async fn begin_snapshot_for(purpose: Purpose, pool: &Pool) -> Result<Self, sqlx::Error> {
        let mut guard = Self::acquire_for(purpose, pool).await?;
        guard.begin_on("isolation level repeatable read read only").await?;
        Ok(guard)
    }

    /// Begins a transaction on this connection, which may have gone silent.
    pub(crate) async fn begin_on(&mut self, mode: &str) -> Result<(), sqlx::Error> {
        self.is_in_transaction = true;
        let begun = timeout(BEGIN_TIMEOUT, self.run(&format!("begin {mode}"))).await;
        begun.unwrap_or(Err(sqlx::Error::PoolTimedOut)).map(drop)
    }

    /// Begins a transaction and runs its first statements, all in one round trip. Returns the rows of each statement; those
    /// of `begin` and the settings before it come first and are empty.
    pub(crate) async fn begin_with(&mut self, statements: &str) -> Result<Vec<Vec<PgRow>>, sqlx::Error> {
        self.is_in_transaction = true;
        let batches = &mut self.acquired.as_mut().expect(CONNECTED).0.batches;
        *batches += 1;
        // Prepared statements run with a generic plan. It was made for the tables as they were, and a rush fills them, so
        // plan again whenever this connection has run twice as many batches without idling.
        let discard = if batches.is_power_of_two() { "discard plans; " } else { "" };
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
        self.end("commit").await
    }

    pub(crate) async fn rollback(&mut self) -> Result<(), sqlx::Error> {
        self.end("rollback").await
    }

    async fn end(&mut self, statement: &str) -> Result<(), sqlx::Error> {
        self.run(statement).await?;
        self.is_in_transaction = false;
        Ok(())
    }

    /// Returns the connection to the pool. Nothing may be under way on it.
    pub(crate) fn put_back(mut self) {
        self.acquired = None;
    }
}

impl Deref for PoolGuard {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.acquired.as_ref().expect(CONNECTED).0.connection
    }
}

impl DerefMut for PoolGuard {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.acquired.as_mut().expect(CONNECTED).0.connection
    }
}

const CONNECTED: &str = "a guard has its connection until it is consumed";

impl Drop for PoolGuard {
    fn drop(&mut self) {
        let Some((mut pooled, share)) = self.acquired.take() else { return };
        let is_in_transaction = self.is_in_transaction;
        let settle = async move {
            let connection = &mut pooled.connection;
            let mut settle = async || match is_in_transaction {
                true => connection.execute("rollback").await.map(drop),
                false => connection.ping().await,
            };
            // sqlx first reads what is still to come of an answer, which may be that PostgreSQL refused what was asked.
            let settled = timeout(SETTLE_TIMEOUT, async {
                match settle().await {
                    Err(sqlx::Error::Database(_)) => settle().await,
                    settled => settled,
                }
            });
            if !matches!(settled.await, Ok(Ok(()))) {
                drop(Object::take(pooled));
            }
            drop(share);
        };
        // Without a runtime, the process ends.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(settle);
        }
    }
}

/// How long a connection may take to begin a transaction.
const BEGIN_TIMEOUT: Duration = Duration::from_secs(3);

/// Longer than PostgreSQL lets a statement run.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(6);
