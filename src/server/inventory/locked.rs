//! A drop under its lock: the frame that every change of stock takes place in.

use super::{
    StockChange,
    standing::{self, Standings},
};
use crate::{
    domain::error::DropError,
    domain::event::{Reason, ServerEvent},
    domain::{Purchase, Purchaser, Reservation, ReservationStatus, Size},
    server::{
        AppState,
        database::{PoolGuard, commit_fault, fault, is_refusal, is_transient},
    },
};
use chrono::{DateTime, Utc};
use sqlx::{FromRow, PgConnection, postgres::PgRow};
use std::{collections::HashMap, fmt::Display};

/// How many lapsed reservations one transaction gives back, besides those of its own users. It bounds how long it holds
/// the lock.
const LAPSED_BATCH: i64 = 500;

/// A drop whose row lock this transaction holds, with everything lapsed already given back.
pub(super) struct LockedDrop {
    state: AppState,
    transaction: PoolGuard,
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
    /// Reservations that this transaction settled, for their holders.
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
        if is_transient(&error) { Self::Everyones(fault(error)) } else { Self::Anyones(error) }
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

/// The drop and its sizes. A statement of its own, as the one that waited for the lock sees the database as it was before.
pub(super) const SHELF: &str = "prepare shelf (bigint) as
    select d.price_cents, d.limit_per_user, d.starts_at, d.ends_at, clock_timestamp() as now,
           -- The first to lapse, and not whether any has: that plan would read all of them when none has.
           (select expires_at from reservations where drop_id = $1 and status = 'active'
            order by expires_at limit 1) as first_to_lapse,
           s.id, s.label, s.total_stock, s.available_stock, s.held_stock
    from drops d join drop_sizes s on s.drop_id = d.id
    where d.id = $1 order by s.position";

#[derive(FromRow)]
struct ShelfRow {
    price_cents: i32,
    limit_per_user: Option<i32>,
    starts_at: DateTime<Utc>,
    ends_at: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
    first_to_lapse: Option<DateTime<Utc>>,
    id: i64,
    label: String,
    total_stock: i32,
    available_stock: i32,
    held_stock: i32,
}

/// Pairs that are set aside, the shelf, and the drop's new version.
pub(super) const WRITE: &str = "prepare write
    (bigint, bigint[], integer[], integer[], bigint[], bigint[], timestamptz, timestamptz) as
    with moved as (
        update drop_sizes s
        set available_stock = s.available_stock + m.available, held_stock = s.held_stock + m.held
        from unnest($2, $3, $4) as m (size_id, available, held)
        where s.id = m.size_id
    ), granted as (
        insert into reservations (drop_id, size_id, user_id, expires_at, created_at)
        select $1, size_id, user_id, $7, $8
        from unnest($5, $6) with ordinality as noted (size_id, user_id, position)
        order by position
        returning id, size_id, user_id
    ), changed as (
        update drops set version = version + 1 where id = $1 returning version
    )
    select version, granted.id, size_id, user_id from changed left join granted on true";

#[derive(FromRow)]
struct WrittenRow {
    version: i64,
    id: Option<i64>,
    size_id: Option<i64>,
    user_id: Option<i64>,
}

/// The drop's new version, and its new reservations with their sizes and users.
struct Written {
    version: i64,
    granted: Vec<(i64, i64, i64)>,
}

impl Written {
    fn read(results: Vec<Vec<PgRow>>) -> Result<Self, sqlx::Error> {
        let rows: Vec<_> = results.iter().flatten().map(WrittenRow::from_row).collect::<Result<_, _>>()?;
        let version = rows.first().ok_or(sqlx::Error::RowNotFound)?.version;
        let granted = rows.into_iter().filter_map(|row| Some((row.id?, row.size_id?, row.user_id?)));
        Ok(Self { version, granted: granted.collect() })
    }
}

impl LockedDrop {
    /// Opens a transaction on the drop, and tells where the users who enter stand in it; `Ok(None)` when there is no such
    /// drop, or none that is free for a sweeper.
    pub(super) async fn enter(
        state: &AppState,
        drop_id: i64,
        entrant: Entrant<'_>,
    ) -> Result<Option<(Self, Standings)>, sqlx::Error> {
        let (user_ids, skip) = match entrant {
            Entrant::Users(user_ids) => (user_ids, ""),
            Entrant::Sweeper => (&[][..], "skip locked"),
        };
        let statements = format!(
            "select id from drops where id = {drop_id} for no key update {skip};
             execute shelf({drop_id}); execute standings({drop_id}, {});",
            array(user_ids)
        );
        let mut transaction = state.warm.acquire(&state.pool).await?;
        let results = transaction.begin_with(&statements).await?;
        let [.., locked, shelf, standings] = &results[..] else { return Err(sqlx::Error::RowNotFound) };
        if locked.is_empty() {
            transaction.rollback().await?;
            state.warm.keep(transaction);
            return Ok(None);
        }
        let rows: Vec<_> = shelf.iter().map(ShelfRow::from_row).collect::<Result<_, _>>()?;
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
        };
        let standings = standing::read(&drop, standings)?;
        if has_lapsed {
            drop.release_lapsed(user_ids).await?;
        }
        Ok(Some((drop, standings)))
    }

    /// Gives back the pairs of this drop's lapsed reservations: those rows, and only those, that the UPDATE changed.
    async fn release_lapsed(&mut self, first_of: &[i64]) -> Result<(), sqlx::Error> {
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
        .fetch_all(&mut *self.transaction)
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

    /// Notes a pair to be set aside for a user.
    pub(super) fn grant(&mut self, user_id: i64, size_id: i64) {
        self.move_stock(size_id, -1, 1, Reason::Reserved);
        self.grants.push((user_id, size_id));
    }

    /// Notes a reservation that was settled, to be told to its holder after the COMMIT.
    pub(super) fn tell(&mut self, reservation: Reservation, purchase: Option<Purchase>) {
        self.told.push((reservation, purchase));
    }

    /// Notes a purchaser, to be told to everyone after the COMMIT.
    pub(super) fn sold_to(&mut self, purchaser: Purchaser) {
        self.purchasers.push(purchaser);
    }

    /// The label of a size.
    pub(super) fn label(&self, size_id: i64) -> String {
        label(&self.shelf, size_id)
    }

    /// Pairs that can be reserved.
    pub(super) fn available(&self) -> i32 {
        self.shelf.iter().map(|shelf| shelf.size.available_stock).sum()
    }

    /// The connection that the transaction runs on.
    pub(super) fn connection(&mut self) -> &mut PgConnection {
        &mut self.transaction
    }

    /// Writes what was noted, commits it, and publishes it after the COMMIT. One that is dropped instead rolls back, and takes
    /// its connection with it.
    pub(super) async fn commit(mut self) -> Result<Committed, Failure> {
        let Some(reason) = self.reason else {
            // Nothing to keep. Waiting for the end frees the lock before the answers go out; if it fails, the
            // connection is closed, and the lock is free all the same.
            if self.transaction.rollback().await.is_ok() {
                self.state.warm.keep(self.transaction);
            }
            return Ok(Committed::default());
        };
        let expires_at = self.now + self.state.config.reservation_ttl;
        let statement = self.statement(expires_at);
        let written = self.transaction.run(&statement).await.and_then(Written::read)?;
        let made = written.granted.into_iter().map(|(id, size_id, user_id)| Reservation {
            id,
            drop_id: self.id,
            user_id,
            size: label(&self.shelf, size_id),
            status: ReservationStatus::Active,
            expires_at,
            created_at: self.now,
        });
        let made: HashMap<_, _> = made.map(|reservation| (reservation.user_id, reservation)).collect();
        if let Err(error) = self.transaction.commit().await {
            let users = self.told.iter().map(|(reservation, _)| &reservation.user_id).chain(made.keys());
            users.for_each(|user_id| self.state.broadcast.resync_user(*user_id));
            return Err(if is_refusal(&error) { error.into() } else { Failure::Everyones(commit_fault(error)) });
        }
        self.state.warm.keep(self.transaction);
        self.state.catalog.apply(StockChange {
            drop_id: self.id,
            version: written.version,
            held: self.shelf.iter().map(|shelf| shelf.held).sum(),
            sizes: self.shelf.into_iter().map(|shelf| shelf.size).collect(),
            reason,
            purchasers: self.purchasers,
            let_go: self.told.iter().map(|(reservation, _)| reservation.user_id).collect(),
            holders: made.keys().map(|user_id| (*user_id, expires_at)).collect(),
        });
        let mut news = self.told;
        news.extend(made.values().map(|reservation| (reservation.clone(), None)));
        Ok(Committed { made, news: News(news) })
    }

    /// The statement that writes what was noted.
    fn statement(&self, expires_at: DateTime<Utc>) -> String {
        let moved = || self.shelf.iter().filter(|shelf| shelf.available_delta != 0 || shelf.held_delta != 0);
        format!(
            "execute write({}, {}, {}, {}, {}, {}, '{}', '{}')",
            self.id,
            array(moved().map(|shelf| shelf.id)),
            array(moved().map(|shelf| shelf.available_delta)),
            array(moved().map(|shelf| shelf.held_delta)),
            array(self.grants.iter().map(|(_, size_id)| size_id)),
            array(self.grants.iter().map(|(user_id, _)| user_id)),
            expires_at.to_rfc3339(),
            self.now.to_rfc3339(),
        )
    }
}

/// What a transaction did.
#[derive(Default)]
pub(super) struct Committed {
    /// Reservations that were made, by their users.
    pub(super) made: HashMap<i64, Reservation>,
    pub(super) news: News,
}

/// What became of reservations, for the sockets of their holders.
#[derive(Default)]
pub(super) struct News(Vec<(Reservation, Option<Purchase>)>);

impl News {
    pub(super) fn tell(self, state: &AppState) {
        for (reservation, purchase) in self.0 {
            state.broadcast.send_to(reservation.user_id, || ServerEvent::Reservation { reservation, purchase });
        }
    }
}

fn label(shelf: &[ShelfSize], size_id: i64) -> String {
    shelf.iter().find(|shelf| shelf.id == size_id).expect(SIZE_IS_KNOWN).size.label.clone()
}

/// An array of numbers as PostgreSQL reads it.
fn array(numbers: impl IntoIterator<Item = impl Display>) -> String {
    let numbers: Vec<_> = numbers.into_iter().map(|number| number.to_string()).collect();
    format!("'{{{}}}'", numbers.join(","))
}

const SIZE_IS_KNOWN: &str = "a reservation's size is one of its drop, and the lock keeps its sizes";
