//! What sqlx's errors mean, and how long a query may take.

use crate::domain::error::DropError;
use std::time::Duration;
use tokio::time::timeout;

/// Runs queries within [`QUERY_TIMEOUT`] and maps their errors.
pub(crate) async fn with_timeout<T>(queries: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, DropError> {
    match timeout(QUERY_TIMEOUT, queries).await {
        Ok(outcome) => outcome.map_err(fault),
        Err(_) => {
            tracing::error!("the database did not answer in time");
            Err(DropError::Unavailable)
        }
    }
}

/// What a caller learns of an error; the cause is logged. Constraints are recognised by their name.
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

/// What a caller learns of an error during COMMIT. An error that PostgreSQL reported is a fault like any other; after a broken
/// connection, or one that PostgreSQL shut down, it is unknown whether the transaction was committed.
pub(crate) fn commit_fault(error: sqlx::Error) -> DropError {
    if is_refusal(&error) {
        return fault(error);
    }
    tracing::error!(%error, "the answer to a COMMIT was lost");
    DropError::Unknown
}

/// Whether PostgreSQL reported that it rolled back, so that nothing was committed.
pub(crate) fn is_refusal(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Database(error) if !error.code().is_some_and(|code| code.starts_with("57P")))
}

/// Whether a retry may succeed: the database is unreachable, or reports a connection error (08), a serialisation failure or
/// deadlock (40), too many connections (53), a timeout of a transaction, lock or statement (25P03, 55P03, 57014), that it is
/// read-only (25006), as during a switchover, or that it is stopping or starting (57P).
pub(crate) fn is_transient(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        // A load balancer that accepts a connection while no database is behind it.
        | sqlx::Error::Protocol(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => true,
        sqlx::Error::Database(error) => error.code().is_some_and(|code| {
            ["25006", "25P03", "55P03", "57014"].contains(&&*code)
                || ["08", "40", "53", "57P"].iter().any(|class| code.starts_with(class))
        }),
        _ => false,
    }
}

/// Whether PostgreSQL ended a deadlock (40P01) or a wait for a lock (55P03), and rolled back.
pub(crate) fn is_contention(error: &sqlx::Error) -> bool {
    is_lock_timeout(error) || has_code(error, "40P01")
}

/// Whether a lock was not granted in time (55P03).
pub(crate) fn is_lock_timeout(error: &sqlx::Error) -> bool {
    has_code(error, "55P03")
}

fn has_code(error: &sqlx::Error, code: &str) -> bool {
    error.as_database_error().and_then(|error| error.code()).is_some_and(|found| found == code)
}

/// How long a query may take in all. PostgreSQL's own limits are shorter; this one covers a connection that goes silent.
const QUERY_TIMEOUT: Duration = Duration::from_secs(8);
