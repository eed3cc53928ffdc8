//! A drop under its lock: every change of stock is one of these transactions.

use super::{
    state::{ActiveReservation, DropState, LockedSize},
    statements::{self, Changes, LockMode},
};
use crate::{
    domain::{Purchase, Purchaser, Reservation, ReservationStatus, Size, User, error::DropError, event::Reason},
    server::{
        catalog::change::{Notification, StockChange},
        database::{
            Pool, Purpose,
            error::{commit_fault, fault, is_contention, is_lock_timeout, is_refusal, is_transient},
            guard::PoolGuard,
        },
        identity::Identity,
    },
};
use sqlx::PgConnection;
use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

/// A drop whose row this transaction has locked, after everything due was expired.
///
/// Decisions are recorded with [`grant`](Self::grant), [`complete`](Self::complete) and [`cancel`](Self::cancel), and
/// written together by [`write`](Self::write) or [`commit`](Self::commit). A `LockedDrop` that is dropped instead rolls back.
pub(super) struct LockedDrop {
    transaction: PoolGuard,
    id: i64,
    /// After the decisions so far.
    pub(super) state: DropState,
    /// By size, what was added to its available and held pairs.
    moved: BTreeMap<i64, (i32, i32)>,
    /// Why stock changes; `None` as long as there is nothing to write.
    reason: Option<Reason>,
    /// New reservations: user and size.
    granted: Vec<(i64, i64)>,
    /// Reservations that left `active`.
    expired: Vec<Reservation>,
    cancelled: Vec<Reservation>,
    completed: Vec<Reservation>,
}

/// What a transaction committed.
#[derive(Default)]
pub(super) struct Committed {
    /// `None` if there was nothing to write.
    pub(super) change: Option<StockChange>,
    pub(super) notifications: Vec<Notification>,
    /// The new reservations by their users.
    pub(super) granted: HashMap<i64, Reservation>,
    /// The new purchases by their users.
    pub(super) purchases: HashMap<i64, (Purchase, User)>,
    /// Available pairs of the drop.
    pub(super) new_stock: i32,
}

/// Why a transaction failed.
pub(super) enum BatchError {
    /// The drop's lock was not granted in time. No command is to blame.
    DropLocked(sqlx::Error),
    /// Another lock was not granted in time, or a deadlock was ended, and everything rolled back.
    Contention(sqlx::Error),
    /// A statement failed and everything rolled back. One bad command may be to blame.
    Statement(sqlx::Error),
    /// Every command of the batch gets this error.
    Fatal(DropError),
}

/// How long a transaction may take. PostgreSQL's own limits are shorter; this one covers a connection that goes silent.
pub(super) const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(10);

/// How many due reservations one transaction expires, besides those of its own users. It bounds how long the lock is held.
const MAX_EXPIRED: i64 = 500;

impl LockedDrop {
    /// Begins a transaction, locks the drop, reads the state of the users and expires what is due, first the users' own.
    /// `Ok(None)` if there is no such drop, or if it is locked and the mode skips it.
    pub(super) async fn enter(
        pool: &Pool,
        drop_id: i64,
        users: &[Identity],
        mode: LockMode,
    ) -> Result<Option<Self>, BatchError> {
        let locked_out = |error| match error {
            error if is_lock_timeout(&error) => BatchError::DropLocked(error),
            error if is_contention(&error) => BatchError::Contention(error),
            error => BatchError::Fatal(fault(error)),
        };
        let mut transaction = PoolGuard::acquire_for(Purpose::Sale, pool).await.map_err(locked_out)?;
        let Some(state) = statements::lock(&mut transaction, drop_id, users, mode).await.map_err(locked_out)? else {
            transaction.rollback().await.map_err(locked_out)?;
            transaction.put_back();
            return Ok(None);
        };
        let mut drop = Self {
            transaction,
            id: drop_id,
            state,
            moved: BTreeMap::new(),
            reason: None,
            granted: vec![],
            expired: vec![],
            cancelled: vec![],
            completed: vec![],
        };
        if drop.state.first_expiry.is_some_and(|expires_at| expires_at <= drop.state.now) {
            drop.expire_due(&users.iter().map(|user| user.id).collect::<Vec<_>>()).await?;
        }
        Ok(Some(drop))
    }

    /// Stock returns only for rows that the UPDATE changed.
    async fn expire_due(&mut self, user_ids: &[i64]) -> Result<(), sqlx::Error> {
        let rows = sqlx::query!(
            r#"update reservations set status = 'expired', settled_at = $2
               where status = 'active' and id in (
                   select id from reservations
                   where drop_id = $1 and status = 'active' and expires_at <= $2
                   order by user_id = any($4) desc, expires_at limit $3
               )
               returning id, user_id, size_id, price_cents, expires_at, created_at"#,
            self.id,
            self.state.now,
            MAX_EXPIRED + user_ids.len() as i64,
            user_ids
        );
        for row in rows.fetch_all(&mut *self.transaction).await? {
            self.move_stock(row.size_id, 1, -1, Reason::Expired);
            self.expired.push(Reservation {
                id: row.id,
                drop_id: self.id,
                user_id: row.user_id,
                size: self.state.label(row.size_id),
                price_cents: row.price_cents,
                status: ReservationStatus::Expired,
                expires_at: row.expires_at.into(),
                created_at: row.created_at.into(),
            });
        }
        Ok(())
    }

    /// Records a new reservation.
    pub(super) fn grant(&mut self, user_id: i64, size_id: i64) {
        self.move_stock(size_id, -1, 1, Reason::Reserved);
        self.granted.push((user_id, size_id));
    }

    /// Records that a held pair was bought.
    pub(super) fn complete(&mut self, held: ActiveReservation) {
        self.move_stock(held.size_id, 0, -1, Reason::Purchased);
        self.completed.push(Reservation { status: ReservationStatus::Completed, ..held.reservation });
    }

    /// Records that a held pair was given back; returns its cancelled reservation.
    pub(super) fn cancel(&mut self, held: ActiveReservation) -> Reservation {
        self.move_stock(held.size_id, 1, -1, Reason::Released);
        let reservation = Reservation { status: ReservationStatus::Cancelled, ..held.reservation };
        self.cancelled.push(reservation.clone());
        reservation
    }

    /// Records that a purchase was cancelled, whose pair is available again.
    pub(super) fn take_back(&mut self, size_id: i64) {
        self.move_stock(size_id, 1, 0, Reason::Edited);
    }

    /// Takes the pair of a purchase that was cancelled out of its size, which is an edit; returns the size's label and new total.
    pub(super) async fn take_out(&mut self, size_id: i64) -> Result<(String, i32), sqlx::Error> {
        sqlx::query!(
            "with edited as (update drops set edit_version = edit_version + 1 where id = $1)
             update drop_sizes set total_stock = total_stock - 1 where id = $2",
            self.id,
            size_id
        )
        .execute(&mut *self.transaction)
        .await?;
        self.mark_edited();
        let size = &mut self.state.size(size_id).size;
        size.total_stock -= 1;
        Ok((size.label.clone(), size.total_stock))
    }

    /// Records that the caller edits the drop, by statements of its own on [`connection`](Self::connection).
    pub(super) fn mark_edited(&mut self) {
        self.reason = Some(Reason::Edited);
    }

    /// Takes in the sizes that the caller wrote, with their total stock.
    pub(super) fn set_totals(&mut self, totals: &[(String, i32)]) {
        self.state.sizes.retain(|locked| totals.iter().any(|(label, _)| *label == locked.size.label));
        for (label, total) in totals {
            match self.state.sizes.iter_mut().find(|locked| locked.size.label == *label) {
                Some(LockedSize { size, .. }) => {
                    size.available_stock += total - size.total_stock;
                    size.total_stock = *total;
                }
                // Nothing else of this transaction concerns it, so its number is not needed.
                None => {
                    let size = Size { label: label.clone(), total_stock: *total, available_stock: *total };
                    self.state.sizes.push(LockedSize { id: 0, size, held: 0 });
                }
            }
        }
    }

    pub(super) fn connection(&mut self) -> &mut PgConnection {
        &mut self.transaction
    }

    fn move_stock(&mut self, size_id: i64, available: i32, held: i32, reason: Reason) {
        let locked = self.state.size(size_id);
        locked.size.available_stock += available;
        locked.held += held;
        let moved = self.moved.entry(size_id).or_default();
        *moved = (moved.0 + available, moved.1 + held);
        self.reason = Some(reason);
    }

    /// Writes what was recorded. A new reservation is held for `reservation_ttl`.
    pub(super) async fn write(mut self, reservation_ttl: Duration) -> Result<WrittenDrop, BatchError> {
        let written = match self.reason {
            Some(reason) => Some(self.write_changes(reservation_ttl, reason).await?),
            None => None,
        };
        Ok(WrittenDrop { drop: self, written })
    }

    /// Writes what was recorded and commits.
    pub(super) async fn commit(self, reservation_ttl: Duration) -> Result<Committed, BatchError> {
        self.write(reservation_ttl).await?.commit().await
    }

    async fn write_changes(&mut self, reservation_ttl: Duration, reason: Reason) -> Result<Written, sqlx::Error> {
        // A pair that expired and was granted again moves nothing.
        let moved = self.moved.iter().filter(|(_, moved)| **moved != (0, 0));
        let changes = Changes {
            now: self.state.now,
            cancelled: &self.cancelled,
            completed: &self.completed,
            stock: moved.map(|(size_id, (available, held))| (*size_id, *available, *held)).collect(),
            granted: &self.granted,
            price_cents: self.state.price_cents,
            expires_at: self.state.now + reservation_ttl,
            is_sold_out: self.state.sizes.iter().all(|locked| locked.size.available_stock == 0 && locked.held == 0),
        };
        let mut written = statements::write(&mut self.transaction, self.id, &changes).await?;
        let reservation_of = |(user_id, size_id): &(i64, i64)| {
            let reservation = Reservation {
                id: *written.granted.get(user_id).ok_or(sqlx::Error::RowNotFound)?,
                drop_id: self.id,
                user_id: *user_id,
                size: self.state.label(*size_id),
                price_cents: changes.price_cents,
                status: ReservationStatus::Active,
                expires_at: changes.expires_at.into(),
                created_at: changes.now.into(),
            };
            Ok((*user_id, reservation))
        };
        let granted = self.granted.iter().map(reservation_of).collect::<Result<_, sqlx::Error>>()?;
        let purchase_of = |reservation: &Reservation| {
            let user_id = reservation.user_id;
            let (id, username) = written.bought.remove(&user_id).ok_or(sqlx::Error::RowNotFound)?;
            let purchase = Purchase {
                id,
                drop_id: self.id,
                user_id,
                reservation_id: reservation.id,
                size: reservation.size.clone(),
                price_cents: reservation.price_cents,
                created_at: changes.now.into(),
            };
            Ok((user_id, (purchase, User { id: user_id, username })))
        };
        let purchases = self.completed.iter().map(purchase_of).collect::<Result<_, sqlx::Error>>()?;
        Ok(Written { reason, version: written.version, granted, purchases })
    }
}

/// A locked drop after everything was written.
pub(super) struct WrittenDrop {
    drop: LockedDrop,
    /// `None` if there was nothing to write.
    written: Option<Written>,
}

struct Written {
    reason: Reason,
    /// The drop's new version.
    version: i64,
    /// The new reservations by their users.
    granted: HashMap<i64, Reservation>,
    /// The new purchases by their users.
    purchases: HashMap<i64, (Purchase, User)>,
}

impl WrittenDrop {
    pub(super) fn connection(&mut self) -> &mut PgConnection {
        self.drop.connection()
    }

    pub(super) async fn commit(self) -> Result<Committed, BatchError> {
        let LockedDrop { id, mut transaction, state, expired, cancelled, completed, .. } = self.drop;
        let Some(Written { reason, version, granted, purchases }) = self.written else {
            // Waiting for the rollback releases the lock before the replies are sent. If it fails, the connection is
            // closed, which releases the lock as well.
            if transaction.rollback().await.is_ok() {
                transaction.put_back();
            }
            return Ok(Committed { new_stock: state.available(), ..Committed::default() });
        };
        if let Err(error) = transaction.commit().await {
            return Err(if is_refusal(&error) { error.into() } else { BatchError::Fatal(commit_fault(error)) });
        }
        transaction.put_back();

        let settled: Vec<_> = expired.into_iter().chain(cancelled).chain(completed).collect();
        let purchase_of = |reservation: &Reservation| match reservation.status {
            ReservationStatus::Completed => purchases.get(&reservation.user_id),
            _ => None,
        };
        let purchaser = |(purchase, user): &(Purchase, User)| Purchaser {
            id: user.id,
            username: user.username.clone(),
            purchase_id: purchase.id,
            purchased_at: purchase.created_at,
        };
        let notifications = settled.iter().chain(granted.values()).map(|reservation| Notification::Reservation {
            reservation: reservation.clone(),
            purchase: purchase_of(reservation).map(|(purchase, _)| purchase.clone()),
        });
        Ok(Committed {
            new_stock: state.available(),
            notifications: notifications.collect(),
            change: Some(StockChange {
                drop_id: id,
                version,
                held: state.sizes.iter().map(|locked| locked.held).sum(),
                sizes: Size::shown(state.sizes.into_iter().map(|locked| locked.size).collect()),
                reason,
                purchasers: settled.iter().filter_map(purchase_of).map(purchaser).collect(),
                settled_user_ids: settled.iter().map(|reservation| reservation.user_id).collect(),
                new_holders: granted.iter().map(|(user_id, reservation)| (*user_id, *reservation.expires_at)).collect(),
            }),
            granted,
            purchases,
        })
    }
}

impl From<sqlx::Error> for BatchError {
    fn from(error: sqlx::Error) -> Self {
        if is_contention(&error) {
            Self::Contention(error)
        } else if is_transient(&error) {
            Self::Fatal(fault(error))
        } else {
            Self::Statement(error)
        }
    }
}

impl From<BatchError> for DropError {
    fn from(error: BatchError) -> Self {
        match error {
            BatchError::DropLocked(error) | BatchError::Contention(error) | BatchError::Statement(error) => {
                fault(error)
            }
            BatchError::Fatal(error) => error,
        }
    }
}
