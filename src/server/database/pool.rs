//! The pool and the settings of its sessions.

use sqlx::{
    AssertSqlSafe, Connection, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use std::time::Duration;

/// The pool. It connects when first used, and again after the database was unavailable. Each session prepares `statements`
/// when it connects, so the schema must be current.
pub fn pool(options: PgConnectOptions, statements: &[&str]) -> PgPool {
    let statements = statements.join(";");
    PgPoolOptions::new()
        .max_connections(MAX_CONNECTIONS)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .test_before_acquire(false)
        .after_connect(move |connection, _| {
            let statements = statements.clone();
            Box::pin(async move {
                sqlx::raw_sql(AssertSqlSafe(statements)).execute(connection).await?;
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

/// Connections of one node. More would only wait for the same row lock inside PostgreSQL.
pub(crate) const MAX_CONNECTIONS: u32 = 20;

/// How long a request waits for a connection before it is answered with 503.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);

/// A connection that idled for longer is pinged before it is used. sqlx pings each connection when it returns to the pool,
/// so a younger one is known to work, and a ping is a round trip.
pub(super) const MAX_IDLE: Duration = Duration::from_secs(1);

/// Limits that PostgreSQL enforces on each session, so that nothing holds a drop's lock for long: for a statement, for the
/// wait for a lock, and for a transaction whose node stopped sending.
const SESSION_LIMITS: [(&str, &str); 3] =
    [("statement_timeout", "5s"), ("lock_timeout", "4s"), ("idle_in_transaction_session_timeout", "10s")];

/// The statements find a few rows each, so compiling them (`jit`) costs more than running them. Planning each time is worth
/// its cost: a cached plan lives until statistics are gathered, up to minutes later, and one that was made while a table
/// was nearly empty scans all of it. Batches choose otherwise, see [`PoolGuard::begin_with`](super::guard::PoolGuard::begin_with).
const SESSION_PLANS: [(&str, &str); 2] = [("jit", "off"), ("plan_cache_mode", "force_custom_plan")];
