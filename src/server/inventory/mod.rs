//! The heart: the only code that changes stock.
//!
//! Every change takes the same way: [`LockedDrop::lock`] opens a transaction, takes the drop's row lock, reads the
//! database's clock, and first gives back the pairs of reservations that have lapsed by then; the operation decides with
//! what it finds; [`LockedDrop::settle`] writes stock and version, commits, and only then tells the catalog. Whoever holds
//! the lock sees a drop in which nothing is overdue, so that no sweeper is needed for correctness, and no two of them
//! can differ about the last pair.
//!
//! The transaction runs in a task of its own: a caller that goes away cannot stop it between COMMIT and telling.

mod create;
mod expire;
mod purchase;
mod release;
mod reserve;

pub(crate) use create::{NewDrop, NewSize, create, insert};
pub(crate) use expire::expire;
pub(crate) use purchase::{Purchased, Target, purchase};
pub(crate) use release::{Released, release};
pub(crate) use reserve::{Granted, reserve};

use super::{
    AppState,
    database::{Loan, commit_fault, fault},
};
use crate::{
    domain::{Frame, Purchase, Purchaser, Reason, Reservation, ReservationStatus, Size},
    error::{DropError, Missing},
};
use chrono::{DateTime, Utc};
use std::time::Duration;
use tokio::time::timeout;

/// How many lapsed reservations one transaction gives back at most, which bounds how long it holds the lock.
const LAPSED_BATCH: i64 = 500;

/// How long a transaction may take. PostgreSQL's own limits come first; this one is for when it is silent.
const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(10);

/// The stock of a drop after a commit: absolute counts with their version.
pub(crate) struct StockChange {
    pub(crate) drop_id: i64,
    pub(crate) version: i64,
    pub(crate) sizes: Vec<Size>,
    pub(crate) held: i32,
    pub(crate) reason: Reason,
    pub(crate) purchaser: Option<Purchaser>,
}

impl StockChange {
    /// Pairs of the drop that can be reserved.
    pub(crate) fn available(&self) -> i32 {
        self.sizes.iter().map(|size| size.available_stock).sum()
    }
}

/// A drop whose row lock this transaction holds, with everything lapsed already given back.
struct LockedDrop {
    state: AppState,
    transaction: Loan,
    id: i64,
    price_cents: i32,
    limit_per_user: Option<i32>,
    starts_at: DateTime<Utc>,
    ends_at: Option<DateTime<Utc>>,
    /// The database's clock, read after the lock was granted.
    now: DateTime<Utc>,
    shelf: Vec<ShelfSize>,
    reason: Option<Reason>,
    /// Reservations that this transaction made or settled, for their holders.
    told: Vec<(Reservation, Option<Purchase>)>,
    purchaser: Option<Purchaser>,
}

/// A size as it stood when the lock was granted, and how this transaction moves it.
struct ShelfSize {
    id: i64,
    size: Size,
    held: i32,
    available_delta: i32,
    held_delta: i32,
}

/// Who wants the lock.
#[derive(Clone, Copy)]
enum Entrant {
    /// Waits its turn. The user's own lapsed reservation is given back first, whatever the batch's bound.
    User(i64),
    /// Skips what is locked: whoever has the lock gives back what has lapsed anyway.
    Sweeper,
}

/// What an operation decided: a refusal is a value that is committed like any other, `Err` rolls everything back.
type Decision<T> = Result<Result<T, DropError>, sqlx::Error>;

impl LockedDrop {
    /// Opens a transaction on the drop for a user.
    async fn lock(state: &AppState, drop_id: i64, user_id: i64) -> Result<Self, DropError> {
        let drop = Self::enter(state, drop_id, Entrant::User(user_id)).await?;
        drop.ok_or(DropError::NotFound(Missing::Drop))
    }

    /// Opens a transaction on the drop; `Ok(None)` when there is none, or none that is free for a sweeper.
    async fn enter(state: &AppState, drop_id: i64, entrant: Entrant) -> Result<Option<Self>, DropError> {
        let mut transaction = Loan::begin(&state.pool).await.map_err(fault)?;
        if let Entrant::Sweeper = entrant {
            let free = sqlx::query_scalar!("select id from drops where id = $1 for no key update skip locked", drop_id);
            if free.fetch_optional(transaction.connection()).await.map_err(fault)?.is_none() {
                transaction.rollback().await.map_err(fault)?;
                return Ok(None);
            }
        }
        // The clock must be read after the lock is granted, and `select …, clock_timestamp() … for update` reads it
        // before: hence the outer select. Sizes and reservations must be read by statements of their own, as this one
        // sees the database as it was before it waited.
        let row = sqlx::query!(
            r#"with locked as materialized (
                   select price_cents, limit_per_user, starts_at, ends_at from drops where id = $1 for no key update
               )
               select price_cents, limit_per_user, starts_at, ends_at, clock_timestamp() as "now!" from locked"#,
            drop_id
        );
        let Some(row) = row.fetch_optional(transaction.connection()).await.map_err(fault)? else {
            transaction.rollback().await.map_err(fault)?;
            return Ok(None);
        };
        let sizes = sqlx::query!(
            "select id, label, total_stock, available_stock, held_stock from drop_sizes
             where drop_id = $1 order by position",
            drop_id
        );
        let sizes = sizes.fetch_all(transaction.connection()).await.map_err(fault)?;
        let mut drop = Self {
            state: state.clone(),
            transaction,
            id: drop_id,
            price_cents: row.price_cents,
            limit_per_user: row.limit_per_user,
            starts_at: row.starts_at,
            ends_at: row.ends_at,
            now: row.now,
            shelf: sizes
                .into_iter()
                .map(|row| ShelfSize {
                    id: row.id,
                    size: Size { label: row.label, total_stock: row.total_stock, available_stock: row.available_stock },
                    held: row.held_stock,
                    available_delta: 0,
                    held_delta: 0,
                })
                .collect(),
            reason: None,
            told: vec![],
            purchaser: None,
        };
        drop.release_lapsed(entrant).await.map_err(fault)?;
        Ok(Some(drop))
    }

    /// Gives back the pairs of this drop's lapsed reservations: those rows, and only those, that the UPDATE changed.
    async fn release_lapsed(&mut self, entrant: Entrant) -> Result<(), sqlx::Error> {
        let first_of = match entrant {
            Entrant::User(user_id) => Some(user_id),
            Entrant::Sweeper => None,
        };
        let lapsed = sqlx::query!(
            r#"update reservations set status = 'expired', settled_at = $2
               where status = 'active' and id in (
                   select id from reservations
                   where drop_id = $1 and status = 'active' and expires_at <= $2
                   order by user_id = $4 desc, expires_at limit $3
               )
               returning id, user_id, size_id, expires_at, created_at"#,
            self.id,
            self.now,
            LAPSED_BATCH,
            first_of
        )
        .fetch_all(self.transaction.connection())
        .await?;
        for row in lapsed {
            let size = self.move_stock(row.size_id, 1, -1, Reason::Expired);
            let (drop_id, status) = (self.id, ReservationStatus::Expired);
            let (expires_at, created_at) = (row.expires_at, row.created_at);
            let reservation =
                Reservation { id: row.id, drop_id, user_id: row.user_id, size, status, expires_at, created_at };
            self.told.push((reservation, None));
        }
        Ok(())
    }

    /// Notes a movement of stock, to be written with all others at the end. Returns the size's label.
    fn move_stock(&mut self, size_id: i64, available: i32, held: i32, reason: Reason) -> String {
        self.reason = Some(reason);
        let shelf = self.shelf.iter_mut().find(|shelf| shelf.id == size_id);
        let shelf = shelf.expect("a foreign key ties a reservation's size to its drop, and the lock keeps its sizes");
        shelf.available_delta += available;
        shelf.held_delta += held;
        shelf.size.available_stock += available;
        shelf.held += held;
        shelf.size.label.clone()
    }

    /// Labels of the sizes with stock.
    fn sizes_left(&self) -> Vec<String> {
        let left = self.shelf.iter().filter(|shelf| shelf.size.available_stock > 0);
        left.map(|shelf| shelf.size.label.clone()).collect()
    }

    fn available(&self) -> i32 {
        self.shelf.iter().map(|shelf| shelf.size.available_stock).sum()
    }

    /// Ends the transaction. A decision, refusals included, is committed together with what had lapsed, and published
    /// after the COMMIT; a fault rolls everything back.
    async fn settle<T>(mut self, decision: Decision<T>) -> Result<T, DropError> {
        // A transaction that is dropped rolls back, and takes its connection with it.
        let outcome = decision.map_err(fault)?;
        let Some(reason) = self.reason else {
            // Nothing to write. Waiting for the end frees the lock before the answer goes out; if it fails, the
            // connection is closed, and the lock is free all the same.
            let _ = self.transaction.rollback().await;
            return outcome;
        };
        let moved: Vec<_> =
            self.shelf.iter().filter(|shelf| shelf.available_delta != 0 || shelf.held_delta != 0).collect();
        let size_ids: Vec<i64> = moved.iter().map(|shelf| shelf.id).collect();
        let available_deltas: Vec<i32> = moved.iter().map(|shelf| shelf.available_delta).collect();
        let held_deltas: Vec<i32> = moved.iter().map(|shelf| shelf.held_delta).collect();
        let version = sqlx::query_scalar!(
            "with moved as (
                 update drop_sizes s
                 set available_stock = s.available_stock + m.available, held_stock = s.held_stock + m.held
                 from unnest($2::bigint[], $3::integer[], $4::integer[]) as m (size_id, available, held)
                 where s.id = m.size_id
             )
             update drops set version = version + 1 where id = $1 returning version",
            self.id,
            &size_ids,
            &available_deltas,
            &held_deltas
        );
        let version = version.fetch_one(self.transaction.connection()).await.map_err(fault)?;
        let change = StockChange {
            drop_id: self.id,
            version,
            held: self.shelf.iter().map(|shelf| shelf.held).sum(),
            sizes: self.shelf.into_iter().map(|shelf| shelf.size).collect(),
            reason,
            purchaser: self.purchaser,
        };
        if let Err(error) = self.transaction.commit().await {
            for (reservation, _) in &self.told {
                self.state.feed.resync_user(reservation.user_id);
            }
            return Err(commit_fault(error));
        }
        self.state.catalog.apply(&change);
        for (reservation, purchase) in self.told {
            let user_id = reservation.user_id;
            self.state.feed.send_to(user_id, &Frame::Reservation { reservation, purchase });
        }
        outcome
    }
}

/// Runs a transaction to its end whatever becomes of the caller, in bounded time.
async fn uncancelled<T: Send + 'static>(
    transaction: impl Future<Output = Result<T, DropError>> + Send + 'static,
) -> Result<T, DropError> {
    let bounded = async { timeout(TRANSACTION_TIMEOUT, transaction).await.unwrap_or(Err(DropError::Unknown)) };
    tokio::spawn(bounded).await.unwrap_or_else(|panic| {
        tracing::error!(%panic, "a transaction panicked");
        Err(DropError::Internal)
    })
}
