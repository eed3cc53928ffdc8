//! The SQL of the hot path: what a batch runs by name, several statements in one round trip.
//!
//! A batch is three round trips: begin, lock and read; write; commit. With bound parameters it would be six, because sqlx
//! awaits the reply to each statement. So these are prepared once in each session and then run as text. sqlx checks a
//! statement at compile time only if it is sent alone; a test below prepares them against the schema instead.

use super::state::{ActiveReservation, DropState, LockedSize, UserState};
use crate::{
    domain::{Reservation, ReservationStatus, Size, error::DropError},
    server::{database::guard::PoolGuard, identity::Identity},
};
use chrono::{DateTime, Utc};
use sqlx::{FromRow, Row, postgres::PgRow};
use std::{collections::HashMap, fmt::Display};
use uuid::Uuid;

/// Each session prepares these when it connects.
pub const PREPARED: &[&str] = &[LOCKED_SIZES, LOCKED_USERS, USER_STATES, CANCEL, COMPLETE, WRITE];

/// How to take a drop's lock.
#[derive(Clone, Copy)]
pub(super) enum LockMode {
    Wait,
    /// Skip a drop that is locked: the transaction that holds the lock expires what is due.
    SkipLocked,
}

/// Begins a transaction, locks the drop, and reads it with these users. `Ok(None)` if there is no such drop, or if it is
/// locked and the mode skips it; the transaction has begun nevertheless.
pub(super) async fn lock(
    transaction: &mut PoolGuard,
    drop_id: i64,
    users: &[Identity],
    mode: LockMode,
) -> Result<Option<DropState>, sqlx::Error> {
    let skip = match mode {
        LockMode::Wait => "",
        LockMode::SkipLocked => "skip locked",
    };
    let user_ids = array(users.iter().map(|user| user.id));
    let statements = format!(
        "select id from drops where id = {drop_id} for no key update {skip};
         execute locked_sizes({drop_id}); execute locked_users({user_ids});
         execute user_states({drop_id}, {user_ids});"
    );
    let results = transaction.begin_with(&statements).await?;
    let [.., locked, sizes, locked_users, states] = &results[..] else { return Err(sqlx::Error::RowNotFound) };
    if locked.is_empty() {
        return Ok(None);
    }
    let mut state = read_drop(sizes)?;
    let LockedUsersRow { ids, public_ids } =
        LockedUsersRow::from_row(locked_users.first().ok_or(sqlx::Error::RowNotFound)?)?;
    let public_ids: HashMap<_, _> = std::iter::zip(ids, public_ids).collect();
    let existing = users.iter().filter(|user| public_ids.get(&user.id) == Some(&user.public_id));
    state.users.extend(existing.map(|user| (user.id, Ok(UserState::default()))));
    for row in states {
        let row = UserStateRow::from_row(row)?;
        let (user_id, user) = (row.user_id, row.read(drop_id, &state));
        state.users.entry(user_id).and_modify(|locked| *locked = Ok(user));
    }
    if public_ids.len() < users.len() {
        let others: Vec<_> = users.iter().map(|user| user.id).filter(|id| !public_ids.contains_key(id)).collect();
        mark_locked_users(transaction, &others, &mut state).await?;
    }
    Ok(Some(state))
}

/// The drop and its sizes. It is a statement after the one that locks, which reads the state from before its wait.
const LOCKED_SIZES: &str = "prepare locked_sizes (bigint) as
    select d.price_cents, d.limit_per_user, d.starts_at, d.ends_at, d.status = 'published' as is_published, d.is_paused,
           clock_timestamp() as now,
           -- The first expiry, not whether any is due: the plan of `exists` reads all of them if none is.
           (select expires_at from reservations where drop_id = $1 and status = 'active'
            order by expires_at limit 1) as first_expiry,
           s.id, s.label, s.total_stock, s.available_stock, s.held_stock
    from drops d join drop_sizes s on s.drop_id = d.id
    where d.id = $1 order by s.position";

#[derive(FromRow)]
struct LockedSizeRow {
    price_cents: i32,
    limit_per_user: Option<i32>,
    starts_at: DateTime<Utc>,
    ends_at: Option<DateTime<Utc>>,
    is_published: bool,
    is_paused: bool,
    now: DateTime<Utc>,
    first_expiry: Option<DateTime<Utc>>,
    id: i64,
    label: String,
    total_stock: i32,
    available_stock: i32,
    held_stock: i32,
}

fn read_drop(rows: &[PgRow]) -> Result<DropState, sqlx::Error> {
    let rows: Vec<_> = rows.iter().map(LockedSizeRow::from_row).collect::<Result<_, _>>()?;
    let row = rows.first().ok_or(sqlx::Error::RowNotFound)?;
    Ok(DropState {
        price_cents: row.price_cents,
        limit_per_user: row.limit_per_user,
        starts_at: row.starts_at,
        ends_at: row.ends_at,
        is_published: row.is_published,
        is_paused: row.is_paused,
        now: row.now,
        first_expiry: row.first_expiry,
        users: HashMap::new(),
        sizes: rows
            .into_iter()
            .map(|row| LockedSize {
                id: row.id,
                size: Size { label: row.label, total_stock: row.total_stock, available_stock: row.available_stock },
                held: row.held_stock,
            })
            .collect(),
    })
}

/// The users of a batch, in one row of arrays. Their rows are locked as a foreign key would lock them later, but users whom another
/// transaction is deleting or renaming are skipped, so that nobody else waits for it.
const LOCKED_USERS: &str = "prepare locked_users (bigint[]) as
    select coalesce(array_agg(id), '{}') as ids, coalesce(array_agg(public_id), '{}') as public_ids
    from (select id, public_id from users where id = any($1) for key share skip locked) locked";

#[derive(FromRow)]
struct LockedUsersRow {
    ids: Vec<i64>,
    public_ids: Vec<Uuid>,
}

/// What the users of a batch hold and have bought of the drop; no row for those with neither, which is most often all.
const USER_STATES: &str = "prepare user_states (bigint, bigint[]) as
    select wanted.id as user_id, bought, r.id, r.size_id, r.price_cents, r.expires_at, r.created_at
    from unnest($2) as wanted (id)
    -- Without statistics, the planner finds an index by drop as good as one by user, and would read all of the drop for each
    -- user. `drop_id + 0` rules that out; `limit` rules out a join of all active reservations.
    cross join lateral (
        select case when (select limit_per_user from drops where id = $1) is null then 0
                    else (select count(*) from purchases
                          where user_id = wanted.id and drop_id + 0 = $1 and status = 'completed') end as bought
    ) p
    left join lateral (
        select * from reservations where user_id = wanted.id and drop_id + 0 = $1 and status = 'active' limit 1
    ) r on true
    where bought > 0 or r.id is not null";

#[derive(FromRow)]
struct UserStateRow {
    user_id: i64,
    bought: i64,
    id: Option<i64>,
    size_id: Option<i64>,
    price_cents: Option<i32>,
    expires_at: Option<DateTime<Utc>>,
    created_at: Option<DateTime<Utc>>,
}

impl UserStateRow {
    fn read(self, drop_id: i64, drop: &DropState) -> UserState {
        let columns = (self.id, self.size_id, self.price_cents, self.expires_at, self.created_at);
        let (Some(id), Some(size_id), Some(price_cents), Some(expires_at), Some(created_at)) = columns else {
            return UserState { active: None, bought: self.bought };
        };
        let reservation = Reservation {
            id,
            drop_id,
            user_id: self.user_id,
            size: drop.label(size_id),
            price_cents,
            status: ReservationStatus::Active,
            expires_at: expires_at.into(),
            created_at: created_at.into(),
        };
        UserState { active: Some(ActiveReservation { size_id, reservation }), bought: self.bought }
    }
}

/// Users who exist although they were not read are locked by another transaction.
async fn mark_locked_users(
    transaction: &mut PoolGuard,
    user_ids: &[i64],
    state: &mut DropState,
) -> Result<(), sqlx::Error> {
    let existing = sqlx::query_scalar!("select id from users where id = any($1)", user_ids);
    for user_id in existing.fetch_all(&mut **transaction).await? {
        state.users.entry(user_id).or_insert(Err(DropError::Unavailable));
    }
    Ok(())
}

/// What a transaction writes.
pub(super) struct Changes<'a> {
    /// When it was decided.
    pub(super) now: DateTime<Utc>,
    /// Reservations whose pairs were given back.
    pub(super) cancelled: &'a [Reservation],
    /// Reservations whose pairs were bought.
    pub(super) completed: &'a [Reservation],
    /// Sizes, and what is added to their available and held pairs.
    pub(super) stock: Vec<(i64, i32, i32)>,
    /// New reservations: users and their sizes.
    pub(super) granted: &'a [(i64, i64)],
    /// Of the new reservations.
    pub(super) price_cents: i32,
    pub(super) expires_at: DateTime<Utc>,
    /// Whether no pair is left that could be reserved or come back.
    pub(super) is_sold_out: bool,
}

/// What a transaction has written.
pub(super) struct Written {
    /// The drop's new version.
    pub(super) version: i64,
    /// The ids of the new reservations by their users.
    pub(super) granted: HashMap<i64, i64>,
    /// The ids of the new purchases and the purchasers' names, by their users.
    pub(super) bought: HashMap<i64, (i64, String)>,
}

/// Writes what became of reservations, new ones, the stock of sizes and the next version of the drop, in one round trip.
pub(super) async fn write(
    transaction: &mut PoolGuard,
    drop_id: i64,
    changes: &Changes<'_>,
) -> Result<Written, sqlx::Error> {
    let now = changes.now.to_rfc3339();
    let settle = |statement, reservations: &[Reservation]| match reservations {
        [] => String::new(),
        _ => format!("execute {statement}({}, '{now}');", array(reservations.iter().map(|settled| settled.id))),
    };
    let statements = format!(
        "{} {} execute write({drop_id}, {}, {}, {}, {}, {}, {}, '{}', '{now}', {})",
        settle("cancel", changes.cancelled),
        settle("complete", changes.completed),
        array(changes.stock.iter().map(|(size_id, ..)| size_id)),
        array(changes.stock.iter().map(|(_, available, _)| available)),
        array(changes.stock.iter().map(|(.., held)| held)),
        array(changes.granted.iter().map(|(_, size_id)| size_id)),
        array(changes.granted.iter().map(|(user_id, _)| user_id)),
        changes.price_cents,
        changes.expires_at.to_rfc3339(),
        changes.is_sold_out,
    );
    let results = transaction.run(&statements).await?;
    let mut rows = results.iter().flatten();
    let mut row = || rows.next().ok_or(sqlx::Error::RowNotFound);
    let cancelled = if changes.cancelled.is_empty() { 0 } else { row()?.try_get::<i64, _>(0)? as usize };
    let bought = if changes.completed.is_empty() { BoughtRow::default() } else { BoughtRow::from_row(row()?)? };
    // Stock moves only for reservations that changed. If one did not, the error rolls everything back.
    if (cancelled, bought.ids.len()) != (changes.cancelled.len(), changes.completed.len()) {
        return Err(sqlx::Error::RowNotFound);
    }
    let written = WrittenRow::from_row(row()?)?;
    let purchases = std::iter::zip(bought.ids, bought.usernames);
    Ok(Written {
        version: written.version,
        granted: std::iter::zip(written.user_ids, written.ids).collect(),
        bought: std::iter::zip(bought.user_ids, purchases).collect(),
    })
}

/// Returns how many reservations it changed.
const CANCEL: &str = "prepare cancel (bigint[], timestamptz) as
    with cancelled as (
        update reservations set status = 'cancelled', settled_at = $2
        where id = any($1) and status = 'active' and expires_at > $2
        returning id
    )
    select count(*) from cancelled";

/// One row of arrays instead of a row for each purchase.
const COMPLETE: &str = "prepare complete (bigint[], timestamptz) as
    with completed as (
        update reservations set status = 'completed', settled_at = $2
        where id = any($1) and status = 'active' and expires_at > $2
        returning id, drop_id, size_id, user_id, price_cents
    ), bought as (
        insert into purchases (drop_id, size_id, user_id, reservation_id, price_cents, created_at)
        select drop_id, size_id, user_id, id, price_cents, $2 from completed
        returning id, user_id
    )
    select coalesce(array_agg(bought.id), '{}') as ids, coalesce(array_agg(user_id), '{}') as user_ids,
           coalesce(array_agg(username), '{}') as usernames
    from bought join users on users.id = user_id";

#[derive(Default, FromRow)]
struct BoughtRow {
    ids: Vec<i64>,
    user_ids: Vec<i64>,
    usernames: Vec<String>,
}

/// One row of arrays instead of a row for each reservation.
const WRITE: &str = "prepare write
    (bigint, bigint[], integer[], integer[], bigint[], bigint[], integer, timestamptz, timestamptz, boolean) as
    with moved as (
        update drop_sizes s
        set available_stock = s.available_stock + m.available, held_stock = s.held_stock + m.held
        from unnest($2, $3, $4) as m (size_id, available, held)
        where s.id = m.size_id
    ), granted as (
        insert into reservations (drop_id, size_id, user_id, price_cents, expires_at, created_at)
        select $1, size_id, user_id, $7, $8, $9 from unnest($5, $6) as new (size_id, user_id)
        returning id, user_id
    ), changed as (
        update drops set version = version + 1, sold_out_since = case when $10 then coalesce(sold_out_since, $9) end
        where id = $1 returning version
    )
    select version, coalesce(ids, '{}') as ids, coalesce(user_ids, '{}') as user_ids
    from changed, (select array_agg(id) as ids, array_agg(user_id) as user_ids from granted) granted";

#[derive(FromRow)]
struct WrittenRow {
    version: i64,
    ids: Vec<i64>,
    user_ids: Vec<i64>,
}

/// An array literal of numbers.
fn array(numbers: impl IntoIterator<Item = impl Display>) -> String {
    let numbers: Vec<_> = numbers.into_iter().map(|number| number.to_string()).collect();
    format!("'{{{}}}'", numbers.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;
    use sqlx::PgPool;

    #[sqlx::test]
    async fn every_statement_can_be_prepared_and_returns_what_is_read(db: PgPool) {
        let mut connection = db.acquire().await.expect("a free connection");
        for statement in PREPARED {
            let prepared = sqlx::raw_sql(*statement).execute(&mut *connection).await;
            prepared.unwrap_or_else(|error| panic!("{statement}: {error}"));
        }
        let sample = "insert into users (username, username_key) values ('alice', 'alice');
             insert into drops (name, price_cents, limit_per_user) values ('Volt Runner', 19900, 1);
             insert into drop_sizes (drop_id, label, position, total_stock, available_stock)
                 values (1, 'US 9', 1, 2, 2)";
        sqlx::raw_sql(sample).execute(&mut *connection).await.expect("the sample is valid");
        let execute = "execute locked_sizes(1); execute locked_users('{1,2}');
             execute write(1, '{1}', '{-1}', '{1}', '{1}', '{1}', 19900, '2030-01-01', '2029-01-01', false);
             execute user_states(1, '{1,2}'); execute complete('{1}', '2029-06-01'); execute cancel('{1}', '2029-06-01')";
        let rows = sqlx::raw_sql(execute).fetch_all(&mut *connection).await.expect("the statements run");
        let [size, users, written, state, bought, cancelled] = &rows[..] else {
            panic!("one row of each statement: {rows:?}")
        };
        assert_eq!(LockedSizeRow::from_row(size).expect("readable").available_stock, 2);
        assert_eq!(LockedUsersRow::from_row(users).expect("readable").ids, [1]);
        let written = WrittenRow::from_row(written).expect("readable");
        assert_eq!((written.version, &written.ids, &written.user_ids), (2, &vec![1], &vec![1]));
        let state = UserStateRow::from_row(state).expect("readable");
        assert_eq!((state.user_id, state.id, state.price_cents, state.bought), (1, Some(1), Some(19_900), 0));
        let bought = BoughtRow::from_row(bought).expect("readable");
        assert_eq!((bought.ids, bought.user_ids, bought.usernames), (vec![1], vec![1], vec!["alice".to_owned()]));
        assert_eq!(cancelled.try_get::<i64, _>(0).expect("readable"), 0);
    }
}
