//! A drop under its lock: the frame that every change of stock takes place in.

use super::StockChange;
use crate::{
    domain::{Frame, Purchase, Purchaser, Reason, Reservation, ReservationStatus, Size},
    error::DropError,
    server::{
        AppState,
        database::{Loan, commit_fault, fault, is_passing, is_refusal},
    },
};
use chrono::{DateTime, Utc};
use sqlx::PgConnection;

/// How many lapsed reservations one transaction gives back, besides those of its own users. It bounds how long it holds
/// the lock.
const LAPSED_BATCH: i64 = 500;

/// A drop whose row lock this transaction holds, with everything lapsed already given back.
pub(super) struct LockedDrop {
    state: AppState,
    transaction: Loan,
    pub(super) id: i64,
    pub(super) price_cents: i32,
    pub(super) limit_per_user: Option<i32>,
    pub(super) starts_at: DateTime<Utc>,
    pub(super) ends_at: Option<DateTime<Utc>>,
    /// The database's clock, read after the lock was granted.
    pub(super) now: DateTime<Utc>,
    pub(super) shelf: Vec<ShelfSize>,
    reason: Option<Reason>,
    /// Reservations that this transaction made or settled, for their holders.
    told: Vec<(Reservation, Option<Purchase>)>,
    purchasers: Vec<Purchaser>,
}

/// A size as it stands in this transaction, and how the transaction has moved it.
pub(super) struct ShelfSize {
    pub(super) id: i64,
    pub(super) size: Size,
    held: i32,
    available_delta: i32,
    held_delta: i32,
}

/// Why a transaction came to nothing.
pub(super) enum Failure {
    /// Something that any of its orders may have caused, and perhaps only one. Nothing was committed.
    Anyones(sqlx::Error),
    /// What everyone in it is told.
    Everyones(DropError),
}

impl From<Failure> for DropError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Anyones(error) => fault(error),
            Failure::Everyones(error) => error,
        }
    }
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        if is_passing(&error) { Self::Everyones(fault(error)) } else { Self::Anyones(error) }
    }
}

/// Who wants the lock.
#[derive(Clone, Copy)]
pub(super) enum Entrant<'a> {
    /// Wait their turn. Their own lapsed reservations are given back, however many others lapsed before.
    Users(&'a [i64]),
    /// Skips what is locked: whoever has the lock gives back what has lapsed anyway.
    Sweeper,
}

impl LockedDrop {
    /// Opens a transaction on the drop; `Ok(None)` when there is none, or none that is free for a sweeper.
    pub(super) async fn enter(
        state: &AppState,
        drop_id: i64,
        entrant: Entrant<'_>,
    ) -> Result<Option<Self>, sqlx::Error> {
        let mut transaction = Loan::begin(&state.pool).await?;
        if let Entrant::Sweeper = entrant {
            let free = sqlx::query_scalar!("select id from drops where id = $1 for no key update skip locked", drop_id);
            if free.fetch_optional(transaction.connection()).await?.is_none() {
                transaction.rollback().await?;
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
        let Some(row) = row.fetch_optional(transaction.connection()).await? else {
            transaction.rollback().await?;
            return Ok(None);
        };
        let sizes = sqlx::query!(
            // The first to lapse, and not whether any has: that plan would read all of them when none has.
            r#"select id, label, total_stock, available_stock, held_stock, coalesce(
                          (select expires_at from reservations where drop_id = $1 and status = 'active'
                           order by expires_at limit 1) <= $2,
                          false
                      ) as "has_lapsed!"
               from drop_sizes where drop_id = $1 order by position"#,
            drop_id,
            row.now
        );
        let sizes = sizes.fetch_all(transaction.connection()).await?;
        let has_lapsed = sizes.first().is_some_and(|size| size.has_lapsed);
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
            purchasers: vec![],
        };
        if has_lapsed {
            drop.release_lapsed(entrant).await?;
        }
        Ok(Some(drop))
    }

    /// Gives back the pairs of this drop's lapsed reservations: those rows, and only those, that the UPDATE changed.
    async fn release_lapsed(&mut self, entrant: Entrant<'_>) -> Result<(), sqlx::Error> {
        let first_of = match entrant {
            Entrant::Users(user_ids) => user_ids,
            Entrant::Sweeper => &[],
        };
        let lapsed = sqlx::query!(
            r#"update reservations set status = 'expired', settled_at = $2
               where status = 'active' and id in (
                   select id from reservations
                   where drop_id = $1 and status = 'active' and expires_at <= $2
                   order by user_id = any($4) desc, expires_at limit $3
               )
               returning id, user_id, size_id, expires_at, created_at"#,
            self.id,
            self.now,
            LAPSED_BATCH + first_of.len() as i64,
            first_of
        )
        .fetch_all(self.transaction.connection())
        .await?;
        for row in lapsed {
            let reservation = Reservation {
                id: row.id,
                drop_id: self.id,
                user_id: row.user_id,
                size: self.label(row.size_id),
                status: ReservationStatus::Expired,
                expires_at: row.expires_at,
                created_at: row.created_at,
            };
            self.move_stock(row.size_id, 1, -1, Reason::Expired);
            self.tell(reservation, None);
        }
        Ok(())
    }

    /// Notes a movement of stock, to be written with all others at the end.
    pub(super) fn move_stock(&mut self, size_id: i64, available: i32, held: i32, reason: Reason) {
        let shelf = self.shelf.iter_mut().find(|shelf| shelf.id == size_id).expect(SIZE_IS_KNOWN);
        shelf.available_delta += available;
        shelf.held_delta += held;
        shelf.size.available_stock += available;
        shelf.held += held;
        self.reason = Some(reason);
    }

    /// Notes a reservation that was made or settled, to be told to its holder after the COMMIT.
    pub(super) fn tell(&mut self, reservation: Reservation, purchase: Option<Purchase>) {
        self.told.push((reservation, purchase));
    }

    /// Notes a purchaser, to be told to everyone after the COMMIT.
    pub(super) fn sold_to(&mut self, purchaser: Purchaser) {
        self.purchasers.push(purchaser);
    }

    /// The label of a size.
    pub(super) fn label(&self, size_id: i64) -> String {
        let shelf = self.shelf.iter().find(|shelf| shelf.id == size_id).expect(SIZE_IS_KNOWN);
        shelf.size.label.clone()
    }

    /// Pairs that can be reserved.
    pub(super) fn available(&self) -> i32 {
        self.shelf.iter().map(|shelf| shelf.size.available_stock).sum()
    }

    /// How long a reservation holds its pair.
    pub(super) fn reserved_until(&self) -> DateTime<Utc> {
        self.now + self.state.config.reservation_ttl
    }

    /// The connection that the transaction runs on.
    pub(super) fn connection(&mut self) -> &mut PgConnection {
        self.transaction.connection()
    }

    /// Ends the transaction: commits what was noted, and publishes it after the COMMIT. One that is dropped instead rolls
    /// back, and takes its connection with it.
    pub(super) async fn settle(mut self) -> Result<(), Failure> {
        let Some(reason) = self.reason else {
            // Nothing to write. Waiting for the end frees the lock before the answers go out; if it fails, the
            // connection is closed, and the lock is free all the same.
            let _ = self.transaction.rollback().await;
            return Ok(());
        };
        let version = self.write().await?;
        let reservations = || self.told.iter().map(|(reservation, _)| reservation);
        let is_active = |reservation: &&Reservation| reservation.status == ReservationStatus::Active;
        let change = StockChange {
            drop_id: self.id,
            version,
            held: self.shelf.iter().map(|shelf| shelf.held).sum(),
            sizes: self.shelf.into_iter().map(|shelf| shelf.size).collect(),
            reason,
            purchasers: self.purchasers,
            let_go: reservations().filter(|it| !is_active(it)).map(|it| it.user_id).collect(),
            holders: reservations().filter(is_active).map(|it| (it.user_id, it.expires_at)).collect(),
        };
        if let Err(error) = self.transaction.commit().await {
            for (reservation, _) in &self.told {
                self.state.feed.resync_user(reservation.user_id);
            }
            return Err(if is_refusal(&error) { error.into() } else { Failure::Everyones(commit_fault(error)) });
        }
        self.state.catalog.apply(change);
        for (reservation, purchase) in self.told {
            let user_id = reservation.user_id;
            self.state.feed.send_to(user_id, || Frame::Reservation { reservation, purchase });
        }
        Ok(())
    }

    /// Writes what was noted to the shelf; returns the drop's new version.
    async fn write(&mut self) -> Result<i64, sqlx::Error> {
        let moved = self.shelf.iter().filter(|shelf| shelf.available_delta != 0 || shelf.held_delta != 0);
        let mut size_ids = vec![];
        let (mut available_deltas, mut held_deltas) = (vec![], vec![]);
        for shelf in moved {
            size_ids.push(shelf.id);
            available_deltas.push(shelf.available_delta);
            held_deltas.push(shelf.held_delta);
        }
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
        version.fetch_one(self.transaction.connection()).await
    }
}

const SIZE_IS_KNOWN: &str = "a foreign key ties a reservation's size to its drop, and the lock keeps its sizes";
