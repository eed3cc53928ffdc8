//! The heart: the only code that changes stock.
//!
//! Requests for a drop are gathered by its [`Combiner`] and decided a batch at a time. Every batch takes the same way:
//! [`LockedDrop::enter`] opens a transaction, takes the drop's row lock, reads the database's clock, and first gives back
//! the pairs of reservations that have lapsed by then; `release`, `purchase` and `reserve` decide with what they find;
//! [`LockedDrop::commit`] writes reservations, stock and version, commits, and only then tells the catalog. Whoever holds the
//! lock sees a drop in which nothing is overdue, so that no sweeper is needed for correctness, and no two of them can differ
//! about the last pair.
//!
//! Callers don't know whether their transaction was shared. Transactions run in tasks of their own: a caller that goes
//! away cannot stop one between COMMIT and telling.

mod batch;
mod combine;
mod create;
mod expire;
mod locked;
mod purchase;
mod release;
mod reserve;
mod standing;

pub use combine::{Combiner, Strategy};
pub(crate) use create::{NewDrop, NewSize, create, insert};
pub(crate) use expire::expire;
pub(crate) use purchase::{Purchased, Target, purchase};
pub(crate) use release::{Released, release};
pub(crate) use reserve::{Granted, reserve};

use crate::{
    domain::error::DropError,
    domain::event::Reason,
    domain::{Purchaser, Size},
};
use chrono::{DateTime, Utc};
use locked::LockedDrop;
use std::time::Duration;
use tokio::time::timeout;

/// The statements that a batch runs by their names, several in one round trip; each session prepares them when it connects.
/// They are not checked as the server compiles, which takes a statement to itself.
pub(crate) const PREPARED: [&str; 3] = [locked::SHELF, standing::STANDINGS, locked::WRITE];

/// How long a transaction may take. PostgreSQL's own limits come first; this one is for when it is silent.
const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(10);

/// The stock of a drop after a commit: absolute counts with their version.
pub(crate) struct StockChange {
    pub(crate) drop_id: i64,
    pub(crate) version: i64,
    pub(crate) sizes: Vec<Size>,
    pub(crate) held: i32,
    pub(crate) reason: Reason,
    pub(crate) purchasers: Vec<Purchaser>,
    /// Whose reservations ended.
    pub(crate) let_go: Vec<i64>,
    /// Who holds a pair since, and until when.
    pub(crate) holders: Vec<(i64, DateTime<Utc>)>,
}

impl StockChange {
    /// Pairs of the drop that can be reserved.
    pub(crate) fn available(&self) -> i32 {
        self.sizes.iter().map(|size| size.available_stock).sum()
    }
}

/// Runs a transaction to its end whatever becomes of the caller, in with_timeout time.
async fn uncancelled<T: Send + 'static>(
    transaction: impl Future<Output = Result<T, DropError>> + Send + 'static,
) -> Result<T, DropError> {
    let with_timeout = async { timeout(TRANSACTION_TIMEOUT, transaction).await.unwrap_or(Err(DropError::Unknown)) };
    tokio::spawn(with_timeout).await.unwrap_or_else(|panic| {
        tracing::error!(%panic, "a transaction panicked");
        Err(DropError::Internal)
    })
}
