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
use std::{collections::HashMap, mem::take};

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
    /// Users with the sizes that they get a pair of.
    grants: Vec<(i64, i64)>,
    /// Reservations that this transaction made or settled, for their holders.
    told: Vec<(Reservation, Option<Purchase>)>,
    purchasers: Vec<Purchaser>,
    /// The drop's new version, once all was written.
    version: Option<i64>,
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
        let wait = matches!(entrant, Entrant::Users(_));
        let Some(mut transaction) = Loan::begin_with_lock(&state.pool, drop_id, wait).await? else { return Ok(None) };
        // A statement of its own, as the one that waited for the lock sees the database as it was before.
        let rows = sqlx::query!(
            // The first to lapse, and not whether any has: that plan would read all of them when none has.
            r#"select d.price_cents, d.limit_per_user, d.starts_at, d.ends_at, clock_timestamp() as "now!",
                      (select expires_at from reservations where drop_id = $1 and status = 'active'
                       order by expires_at limit 1) as first_to_lapse,
                      s.id, s.label, s.total_stock, s.available_stock, s.held_stock
               from drops d join drop_sizes s on s.drop_id = d.id
               where d.id = $1 order by s.position"#,
            drop_id
        );
        let rows = rows.fetch_all(transaction.connection()).await?;
        let row = rows.first().ok_or(sqlx::Error::RowNotFound)?;
        let has_lapsed = row.first_to_lapse.is_some_and(|lapses_at| lapses_at <= row.now);
        let mut drop = Self {
            state: state.clone(),
            transaction,
            id: drop_id,
            price_cents: row.price_cents,
            limit_per_user: row.limit_per_user,
            starts_at: row.starts_at,
            ends_at: row.ends_at,
            now: row.now,
            shelf: rows
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
            grants: vec![],
            told: vec![],
            purchasers: vec![],
            version: None,
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

    /// Notes a pair that is set aside for a user.
    pub(super) fn grant(&mut self, user_id: i64, size_id: i64) {
        self.move_stock(size_id, -1, 1, Reason::Reserved);
        self.grants.push((user_id, size_id));
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

    /// The connection that the transaction runs on.
    pub(super) fn connection(&mut self) -> &mut PgConnection {
        self.transaction.connection()
    }

    /// Writes what was noted: pairs that are set aside, the shelf, and the drop's new version. Returns the reservations that
    /// it made, by their users.
    pub(super) async fn write(&mut self) -> Result<HashMap<i64, Reservation>, sqlx::Error> {
        let mut reservations = HashMap::new();
        if self.reason.is_none() {
            return Ok(reservations);
        }
        let mut moved_ids = vec![];
        let (mut available_deltas, mut held_deltas) = (vec![], vec![]);
        for shelf in self.shelf.iter().filter(|shelf| shelf.available_delta != 0 || shelf.held_delta != 0) {
            moved_ids.push(shelf.id);
            available_deltas.push(shelf.available_delta);
            held_deltas.push(shelf.held_delta);
        }
        let (user_ids, size_ids): (Vec<i64>, Vec<i64>) = take(&mut self.grants).into_iter().unzip();
        let (drop_id, created_at) = (self.id, self.now);
        let expires_at = created_at + self.state.config.reservation_ttl;
        let rows = sqlx::query!(
            r#"with moved as (
                   update drop_sizes s
                   set available_stock = s.available_stock + m.available, held_stock = s.held_stock + m.held
                   from unnest($2::bigint[], $3::integer[], $4::integer[]) as m (size_id, available, held)
                   where s.id = m.size_id
               ), granted as (
                   insert into reservations (drop_id, size_id, user_id, expires_at, created_at)
                   select $1, size_id, user_id, $7, $8
                   from unnest($5::bigint[], $6::bigint[]) with ordinality as noted (size_id, user_id, position)
                   order by position
                   returning id, size_id, user_id
               ), changed as (
                   update drops set version = version + 1 where id = $1 returning version
               )
               select version as "version!", granted.id as "id?", size_id as "size_id?", user_id as "user_id?"
               from changed left join granted on true"#,
            drop_id,
            &moved_ids,
            &available_deltas,
            &held_deltas,
            &size_ids,
            &user_ids,
            expires_at,
            created_at
        );
        for row in rows.fetch_all(self.transaction.connection()).await? {
            self.version = Some(row.version);
            if let (Some(id), Some(size_id), Some(user_id)) = (row.id, row.size_id, row.user_id) {
                let (size, status) = (self.label(size_id), ReservationStatus::Active);
                let reservation = Reservation { id, drop_id, user_id, size, status, expires_at, created_at };
                self.tell(reservation.clone(), None);
                reservations.insert(user_id, reservation);
            }
        }
        Ok(reservations)
    }

    /// Ends the transaction: commits what was written, and publishes it after the COMMIT. One that is dropped instead rolls
    /// back, and takes its connection with it.
    pub(super) async fn commit(self) -> Result<(), Failure> {
        let (Some(version), Some(reason)) = (self.version, self.reason) else {
            // Nothing to keep. Waiting for the end frees the lock before the answers go out; if it fails, the
            // connection is closed, and the lock is free all the same.
            let _ = self.transaction.rollback().await;
            return Ok(());
        };
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
}

const SIZE_IS_KNOWN: &str = "a foreign key ties a reservation's size to its drop, and the lock keeps its sizes";
