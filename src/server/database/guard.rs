//! A connection while it is used.

use super::pool::{Manager, Pool};
use deadpool::managed::Object;
use futures_util::TryStreamExt;
use sqlx::{AssertSqlSafe, Either, PgConnection, postgres::PgRow};
use std::{
    mem::take,
    ops::{Deref, DerefMut},
};

/// A connection of the pool, with the transaction that runs on it, if any.
///
/// [`put_back`](Self::put_back) returns it to the pool and must be called when nothing is under way on it. A guard that is
/// dropped instead (an error, a time limit, a cancelled task) closes its connection, so that PostgreSQL rolls back.
pub(crate) struct PoolGuard {
    /// `None` only while it is being dropped.
    pooled: Option<Object<Manager>>,
}

impl PoolGuard {
    /// Waits for a connection of the pool.
    pub(crate) async fn acquire(pool: &Pool) -> Result<Self, sqlx::Error> {
        Ok(Self { pooled: Some(pool.acquire().await?) })
    }

    /// Acquires a connection and begins a transaction on it.
    pub(crate) async fn begin(pool: &Pool) -> Result<Self, sqlx::Error> {
        let mut guard = Self::acquire(pool).await?;
        guard.run("begin isolation level read committed").await?;
        Ok(guard)
    }

    /// Acquires a connection and begins a read-only transaction in which every statement sees the same state.
    pub(crate) async fn begin_snapshot(pool: &Pool) -> Result<Self, sqlx::Error> {
        let mut guard = Self::acquire(pool).await?;
        guard.run("begin isolation level repeatable read read only").await?;
        Ok(guard)
    }

    /// Begins a transaction and runs its first statements, all in one round trip. Returns the rows of each statement; those
    /// of `begin` and the settings before it come first and are empty.
    pub(crate) async fn begin_with(&mut self, statements: &str) -> Result<Vec<Vec<PgRow>>, sqlx::Error> {
        let batches = &mut self.pooled.as_mut().expect(CONNECTED).batches;
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
        self.run("commit").await.map(drop)
    }

    pub(crate) async fn rollback(&mut self) -> Result<(), sqlx::Error> {
        self.run("rollback").await.map(drop)
    }

    /// Returns the connection to the pool. Nothing may be under way on it.
    pub(crate) fn put_back(mut self) {
        self.pooled = None;
    }
}

impl Deref for PoolGuard {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.pooled.as_ref().expect(CONNECTED).connection
    }
}

impl DerefMut for PoolGuard {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.pooled.as_mut().expect(CONNECTED).connection
    }
}

const CONNECTED: &str = "a guard has its connection until it is consumed";

impl Drop for PoolGuard {
    fn drop(&mut self) {
        if let Some(pooled) = self.pooled.take() {
            drop(Object::take(pooled));
        }
    }
}
