//! A drop under its lock: every change of stock is one of these transactions.

use super::{
    Inventory,
    statements::{LockedSizeRow, Written, array},
    user_state::{self, UserStates},
};
use crate::{
    domain::{Purchase, Purchaser, Reservation, ReservationStatus, Size, error::DropError, event::Reason},
    server::{
        catalog::change::{Notification, StockChange},
        database::{
            error::{commit_fault, fault, is_refusal, is_transient},
            guard::PoolGuard,
        },
    },
};
use chrono::{DateTime, Utc};
use sqlx::{FromRow, PgConnection};
use std::{collections::HashMap, time::Duration};

/// A drop whose row this transaction has locked, after everything due was expired.
///
/// Decisions are recorded with [`grant`](Self::grant), [`move_stock`](Self::move_stock), [`settle`](Self::settle) and
/// [`add_purchaser`](Self::add_purchaser), and written together by [`commit`](Self::commit). A `LockedDrop` that is dropped
/// instead rolls back and closes its connection.
pub(super) struct LockedDrop {
    inventory: Inventory,
    transaction: PoolGuard,
    pub(super) id: i64,
    pub(super) price_cents: i32,
    pub(super) limit_per_user: Option<i32>,
    pub(super) starts_at: DateTime<Utc>,
    pub(super) ends_at: Option<DateTime<Utc>>,
    /// The database's clock, read after the lock was granted.
    pub(super) now: DateTime<Utc>,
    pub(super) sizes: Vec<LockedSize>,
    /// Why stock changes; `None` as long as there is nothing to write.
    reason: Option<Reason>,
    /// New reservations: user and size.
    grants: Vec<(i64, i64)>,
    /// Reservations that left `active`, with the purchase of those that were completed.
    settled: Vec<(Reservation, Option<Purchase>)>,
    purchasers: Vec<Purchaser>,
}

/// A size as this transaction has changed it so far, and by how much.
pub(super) struct LockedSize {
    pub(super) id: i64,
    pub(super) size: Size,
    held: i32,
    available_delta: i32,
    held_delta: i32,
}

/// How to take the drop's lock.
#[derive(Clone, Copy)]
pub(super) enum LockMode<'a> {
    /// Wait for it, and read the state of these users. Their own due reservations are expired however many others are due.
    Wait(&'a [i64]),
    /// Skip a drop that is locked: the transaction that holds the lock expires what is due.
    SkipLocked,
}

/// Why a transaction failed.
pub(super) enum BatchError {
    /// A statement failed and everything rolled back. One bad command may be to blame, so each is retried alone.
    RetrySingly(sqlx::Error),
    /// Every command of the batch gets this error.
    Fatal(DropError),
}

/// What a transaction committed.
#[derive(Default)]
pub(super) struct Committed {
    /// The new reservations by their users.
    pub(super) created: HashMap<i64, Reservation>,
    pub(super) notifications: Vec<Notification>,
}

/// How long a transaction may take. PostgreSQL's own limits are shorter; this one covers a connection that goes silent.
pub(super) const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(10);

/// How many due reservations one transaction expires, besides those of its own users. It bounds how long the lock is held.
const MAX_EXPIRED: i64 = 500;

impl LockedDrop {
    /// Begins a transaction, locks the drop, reads the state of the mode's users and expires what is due. `Ok(None)` if there
    /// is no such drop, or if it is locked and the mode skips it.
    pub(super) async fn enter(
        inventory: &Inventory,
        drop_id: i64,
        mode: LockMode<'_>,
    ) -> Result<Option<(Self, UserStates)>, sqlx::Error> {
        let (user_ids, skip) = match mode {
            LockMode::Wait(user_ids) => (user_ids, ""),
            LockMode::SkipLocked => (&[][..], "skip locked"),
        };
        let statements = format!(
            "select id from drops where id = {drop_id} for no key update {skip};
             execute locked_sizes({drop_id}); execute user_states({drop_id}, {});",
            array(user_ids)
        );
        let mut transaction = PoolGuard::acquire(&inventory.pool).await?;
        let results = transaction.begin_with(&statements).await?;
        let [.., locked, sizes, user_states] = &results[..] else { return Err(sqlx::Error::RowNotFound) };
        if locked.is_empty() {
            transaction.rollback().await?;
            transaction.put_back();
            return Ok(None);
        }
        let rows: Vec<_> = sizes.iter().map(LockedSizeRow::from_row).collect::<Result<_, _>>()?;
        let row = rows.first().ok_or(sqlx::Error::RowNotFound)?;
        let is_due = row.first_expiry.is_some_and(|expires_at| expires_at <= row.now);
        let mut drop = Self {
            inventory: inventory.clone(),
            transaction,
            id: drop_id,
            price_cents: row.price_cents,
            limit_per_user: row.limit_per_user,
            starts_at: row.starts_at,
            ends_at: row.ends_at,
            now: row.now,
            sizes: rows
                .into_iter()
                .map(|row| LockedSize {
                    id: row.id,
                    size: Size { label: row.label, total_stock: row.total_stock, available_stock: row.available_stock },
                    held: row.held_stock,
                    available_delta: 0,
                    held_delta: 0,
                })
                .collect(),
            reason: None,
            grants: vec![],
            settled: vec![],
            purchasers: vec![],
        };
        let user_states = user_state::read(user_states, drop.id, drop.now, |size_id| drop.label(size_id))?;
        if is_due {
            drop.expire_due(user_ids).await?;
        }
        Ok(Some((drop, user_states)))
    }

    /// Expires due reservations, those of `user_ids` first. Stock returns only for rows that the UPDATE changed.
    async fn expire_due(&mut self, user_ids: &[i64]) -> Result<(), sqlx::Error> {
        let expired = sqlx::query!(
            r#"update reservations set status = 'expired', settled_at = $2
               where status = 'active' and id in (
                   select id from reservations
                   where drop_id = $1 and status = 'active' and expires_at <= $2
                   order by user_id = any($4) desc, expires_at limit $3
               )
               returning id, user_id, size_id, price_cents, expires_at, created_at"#,
            self.id,
            self.now,
            MAX_EXPIRED + user_ids.len() as i64,
            user_ids
        )
        .fetch_all(&mut *self.transaction)
        .await?;
        for row in expired {
            let reservation = Reservation {
                id: row.id,
                drop_id: self.id,
                user_id: row.user_id,
                size: self.label(row.size_id),
                price_cents: row.price_cents,
                status: ReservationStatus::Expired,
                expires_at: row.expires_at,
                created_at: row.created_at,
            };
            self.move_stock(row.size_id, 1, -1, Reason::Expired);
            self.settle(reservation, None);
        }
        Ok(())
    }

    /// Records a change of a size's stock.
    pub(super) fn move_stock(&mut self, size_id: i64, available: i32, held: i32, reason: Reason) {
        let locked = self.sizes.iter_mut().find(|locked| locked.id == size_id).expect(SIZE_IS_KNOWN);
        locked.available_delta += available;
        locked.held_delta += held;
        locked.size.available_stock += available;
        locked.held += held;
        self.reason = Some(reason);
    }

    /// Records a new reservation.
    pub(super) fn grant(&mut self, user_id: i64, size_id: i64) {
        self.move_stock(size_id, -1, 1, Reason::Reserved);
        self.grants.push((user_id, size_id));
    }

    /// Records that a reservation left `active`, for its holder.
    pub(super) fn settle(&mut self, reservation: Reservation, purchase: Option<Purchase>) {
        self.settled.push((reservation, purchase));
    }

    /// Records a purchaser, for everyone.
    pub(super) fn add_purchaser(&mut self, purchaser: Purchaser) {
        self.purchasers.push(purchaser);
    }

    pub(super) fn label(&self, size_id: i64) -> String {
        label(&self.sizes, size_id)
    }

    /// Available pairs of all sizes.
    pub(super) fn available(&self) -> i32 {
        self.sizes.iter().map(|locked| locked.size.available_stock).sum()
    }

    pub(super) fn connection(&mut self) -> &mut PgConnection {
        &mut self.transaction
    }

    /// Writes what was recorded, commits, and updates the catalog.
    pub(super) async fn commit(mut self) -> Result<Committed, BatchError> {
        let Some(reason) = self.reason else {
            // Nothing to write. Waiting for the rollback releases the lock before the replies are sent; if it fails, the
            // connection is closed, which releases the lock as well.
            if self.transaction.rollback().await.is_ok() {
                self.transaction.put_back();
            }
            return Ok(Committed::default());
        };
        let expires_at = self.now + self.inventory.reservation_ttl;
        let statement = self.write_statement(expires_at);
        let written = self.transaction.run(&statement).await.and_then(Written::read)?;
        let created = written.granted.into_iter().map(|(id, size_id, user_id)| Reservation {
            id,
            drop_id: self.id,
            user_id,
            size: label(&self.sizes, size_id),
            price_cents: self.price_cents,
            status: ReservationStatus::Active,
            expires_at,
            created_at: self.now,
        });
        let created: HashMap<_, _> = created.map(|reservation| (reservation.user_id, reservation)).collect();
        let settled_user_ids: Vec<_> = self.settled.iter().map(|(reservation, _)| reservation.user_id).collect();
        if let Err(error) = self.transaction.commit().await {
            let user_ids = settled_user_ids.iter().chain(created.keys());
            self.inventory.notify(user_ids.map(|user_id| Notification::UnknownOutcome { user_id: *user_id }).collect());
            return Err(if is_refusal(&error) { error.into() } else { BatchError::Fatal(commit_fault(error)) });
        }
        self.transaction.put_back();
        self.inventory.catalog.apply(StockChange {
            drop_id: self.id,
            version: written.version,
            held: self.sizes.iter().map(|locked| locked.held).sum(),
            sizes: self.sizes.into_iter().map(|locked| locked.size).collect(),
            reason,
            purchasers: self.purchasers,
            settled_user_ids,
            new_holders: created.keys().map(|user_id| (*user_id, expires_at)).collect(),
        });
        let granted = created.values().map(|reservation| (reservation.clone(), None));
        let notifications = self.settled.into_iter().chain(granted);
        let notifications =
            notifications.map(|(reservation, purchase)| Notification::Reservation { reservation, purchase }).collect();
        Ok(Committed { created, notifications })
    }

    fn write_statement(&self, expires_at: DateTime<Utc>) -> String {
        let changed = || self.sizes.iter().filter(|locked| locked.available_delta != 0 || locked.held_delta != 0);
        format!(
            "execute write({}, {}, {}, {}, {}, {}, {}, '{}', '{}')",
            self.id,
            array(changed().map(|locked| locked.id)),
            array(changed().map(|locked| locked.available_delta)),
            array(changed().map(|locked| locked.held_delta)),
            array(self.grants.iter().map(|(_, size_id)| size_id)),
            array(self.grants.iter().map(|(user_id, _)| user_id)),
            self.price_cents,
            expires_at.to_rfc3339(),
            self.now.to_rfc3339(),
        )
    }
}

impl From<BatchError> for DropError {
    fn from(error: BatchError) -> Self {
        match error {
            BatchError::RetrySingly(error) => fault(error),
            BatchError::Fatal(error) => error,
        }
    }
}

impl From<sqlx::Error> for BatchError {
    fn from(error: sqlx::Error) -> Self {
        if is_transient(&error) { Self::Fatal(fault(error)) } else { Self::RetrySingly(error) }
    }
}

fn label(sizes: &[LockedSize], size_id: i64) -> String {
    sizes.iter().find(|locked| locked.id == size_id).expect(SIZE_IS_KNOWN).size.label.clone()
}

const SIZE_IS_KNOWN: &str = "a reservation's size is one of its drop, and the lock keeps its sizes";
