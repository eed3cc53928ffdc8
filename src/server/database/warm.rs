//! Connections that stay out of the pool between two transactions.

use super::{guard::PoolGuard, pool::MAX_IDLE};
use sqlx::{Connection, PgPool};
use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};
use tokio::time::timeout;

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
