//! The pool, its time limits, and what PostgreSQL's errors mean to us.

use crate::{error::DropError, server::inventory};
use futures_util::TryStreamExt;
use sqlx::{
    AssertSqlSafe, Connection, Either, PgConnection, PgPool, Postgres,
    pool::PoolConnection,
    postgres::{PgConnectOptions, PgPoolOptions, PgRow},
};
use std::{
    mem::take,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::time::timeout;

/// Connections of one node. More would only queue at the same row lock, inside PostgreSQL instead of here.
pub(crate) const MAX_CONNECTIONS: u32 = 20;

/// How long a request waits for a connection before it is told that the shop is busy.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);

/// How long a connection that came back passes for alive. It was asked when it came back, and asking is a round trip.
const FRESH: Duration = Duration::from_secs(1);

/// Limits that PostgreSQL enforces on each of our sessions, so that nothing holds a drop's lock for long: a statement,
/// the wait for a lock, and a transaction whose node went silent.
const SESSION_LIMITS: [(&str, &str); 3] =
    [("statement_timeout", "5s"), ("lock_timeout", "4s"), ("idle_in_transaction_session_timeout", "10s")];

/// Our statements find a few rows each: compiling them costs more than running them. Planning them is worth it each time:
/// PostgreSQL keeps a plan for all parameters until statistics are gathered, up to minutes later, and one that was made while
/// a table was all but empty reads the whole of it. (Batches have a way of their own: see [`Loan::begin_with`].)
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
                if idle.idle_for > FRESH {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
        .connect_lazy_with(options.options(SESSION_LIMITS).options(SESSION_PLANS).application_name("sneakdrop"))
}

/// A connection on loan from the pool.
///
/// It goes back only in words, by [`give_back`](Self::give_back). One that is dropped is in the middle of something, perhaps
/// on a line that went silent; it is closed on the spot, and PostgreSQL rolls back what it had begun. The pool's own way,
/// asking such a connection whether it is well, would wait for its answer forever and keep its place.
pub(crate) struct Loan {
    connection: Option<PoolConnection<Postgres>>,
    /// How many it has opened since it was borrowed.
    transactions: u32,
    used_at: Instant,
}

impl Loan {
    /// Borrows a connection.
    pub(crate) async fn take(pool: &PgPool) -> Result<Self, sqlx::Error> {
        Ok(Self { connection: Some(pool.acquire().await?), transactions: 0, used_at: Instant::now() })
    }

    /// Borrows a connection and opens a transaction on it.
    pub(crate) async fn begin(pool: &PgPool) -> Result<Self, sqlx::Error> {
        let mut loan = Self::take(pool).await?;
        loan.run("begin isolation level read committed").await?;
        Ok(loan)
    }

    /// Opens a transaction and runs its first statements, all in one round trip; returns the rows of each statement, of the
    /// one that opens the transaction among them.
    pub(crate) async fn begin_with(&mut self, statements: &str) -> Result<Vec<Vec<PgRow>>, sqlx::Error> {
        self.transactions += 1;
        // One plan for all, made anew whenever this session has done as much again as before: a rush may fill the tables.
        let discard = if self.transactions.is_power_of_two() { "discard plans; " } else { "" };
        let begin = "begin isolation level read committed; set local plan_cache_mode = force_generic_plan;";
        self.run(&format!("{discard}{begin} {statements}")).await
    }

    /// Runs statements in one round trip, and returns the rows of each. Nothing may be in them but numbers, moments and
    /// words of ours: they have no parameters.
    pub(crate) async fn run(&mut self, statements: &str) -> Result<Vec<Vec<PgRow>>, sqlx::Error> {
        let mut results = sqlx::raw_sql(AssertSqlSafe(statements)).fetch_many(self.connection());
        let (mut all, mut rows) = (vec![], vec![]);
        while let Some(result) = results.try_next().await? {
            match result {
                Either::Right(row) => rows.push(row),
                Either::Left(_) => all.push(take(&mut rows)),
            }
        }
        Ok(all)
    }

    /// Borrows a connection and opens a transaction that reads, whose statements all see the same moment.
    pub(crate) async fn begin_snapshot(pool: &PgPool) -> Result<Self, sqlx::Error> {
        let mut loan = Self::take(pool).await?;
        loan.run("begin isolation level repeatable read read only").await?;
        Ok(loan)
    }

    /// The connection, for a query.
    pub(crate) fn connection(&mut self) -> &mut PgConnection {
        self.connection.as_mut().expect("there until it is given back")
    }

    /// Ends the transaction and keeps what it did.
    pub(crate) async fn commit(&mut self) -> Result<(), sqlx::Error> {
        self.run("commit").await.map(drop)
    }

    /// Ends a transaction that wrote nothing.
    pub(crate) async fn rollback(&mut self) -> Result<(), sqlx::Error> {
        self.run("rollback").await.map(drop)
    }

    /// Returns a connection on which nothing is under way.
    pub(crate) fn give_back(mut self) {
        self.connection = None;
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            drop(connection.detach());
        }
    }
}

/// Connections that transactions just ran on, for the next to run on.
///
/// The pool asks each connection that comes back whether it is well. In a rush, with a transaction after the other, that is
/// one round trip in four, and plans that are made anew all the time.
pub(crate) struct WarmLoans {
    loans: Mutex<Vec<Loan>>,
    most: usize,
}

impl WarmLoans {
    /// None yet, and at most so many: as many transactions as may be under way, so that none waits at the pool for one that
    /// the next transaction finds here.
    pub(crate) fn new(most: usize) -> Self {
        Self { loans: Mutex::default(), most }
    }

    /// The connection that was used last, if that was just now, or one of the pool's.
    pub(crate) async fn take(&self, pool: &PgPool) -> Result<Loan, sqlx::Error> {
        self.cool();
        let last = self.lock().pop();
        match last {
            Some(loan) => Ok(loan),
            None => Loan::take(pool).await,
        }
    }

    /// Keeps a connection on which nothing is under way.
    pub(crate) fn keep(&self, mut loan: Loan) {
        loan.used_at = Instant::now();
        let mut loans = self.lock();
        if loans.len() < self.most {
            loans.push(loan);
        } else {
            loan.give_back();
        }
    }

    /// Lets go of those that were not used just now.
    pub(crate) fn cool(&self) {
        let is_cold = |loan: &mut Loan| loan.used_at.elapsed() >= FRESH;
        for mut loan in self.lock().extract_if(.., is_cold) {
            // The pool would ask it for ever whether it is well; its line may have gone silent meanwhile.
            tokio::spawn(async move {
                if let Ok(Ok(())) = timeout(FRESH, loan.connection().ping()).await {
                    loan.give_back();
                }
            });
        }
    }

    /// Returns all of them to the pool.
    pub(crate) fn clear(&self) {
        self.lock().drain(..).for_each(Loan::give_back);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Loan>> {
        self.loans.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long a query may take in all: for a line that went silent, where PostgreSQL's own limits don't reach us.
const QUERY_TIMEOUT: Duration = Duration::from_secs(8);

/// Runs queries in bounded time, and says what their faults mean.
pub(crate) async fn bounded<T>(queries: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, DropError> {
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
        _ => is_passing(&error).then_some(DropError::Unavailable),
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
pub(crate) fn is_passing(error: &sqlx::Error) -> bool {
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
