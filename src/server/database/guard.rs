//! A connection while it is used.

use futures_util::TryStreamExt;
use sqlx::{AssertSqlSafe, Either, PgConnection, PgPool, Postgres, pool::PoolConnection, postgres::PgRow};
use std::{
    mem::take,
    ops::{Deref, DerefMut},
    time::Instant,
};

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
    pub(super) used_at: Instant,
}

impl PoolGuard {
    /// Waits for a connection of the pool.
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
