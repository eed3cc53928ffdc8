//! The SQL of the hot path: what a batch runs by name, several statements in one round trip.
//!
//! sqlx checks a statement at compile time only if it is sent alone, so these are not checked then.

use crate::domain::ReservationStatus;
use chrono::{DateTime, Utc};
use sqlx::{FromRow, postgres::PgRow};
use std::fmt::Display;

/// Each session prepares these when it connects.
pub const PREPARED: &[&str] = &[LOCKED_SIZES, USER_STATES, WRITE];

/// The drop and its sizes. It is a statement after the one that locks, which reads the state from before its wait.
const LOCKED_SIZES: &str = "prepare locked_sizes (bigint) as
    select d.price_cents, d.limit_per_user, d.starts_at, d.ends_at, clock_timestamp() as now,
           -- The first expiry, not whether any is due: the plan of `exists` reads all of them if none is.
           (select expires_at from reservations where drop_id = $1 and status = 'active'
            order by expires_at limit 1) as first_expiry,
           s.id, s.label, s.total_stock, s.available_stock, s.held_stock
    from drops d join drop_sizes s on s.drop_id = d.id
    where d.id = $1 order by s.position";

#[derive(FromRow)]
pub(super) struct LockedSizeRow {
    pub(super) price_cents: i32,
    pub(super) limit_per_user: Option<i32>,
    pub(super) starts_at: DateTime<Utc>,
    pub(super) ends_at: Option<DateTime<Utc>>,
    pub(super) now: DateTime<Utc>,
    pub(super) first_expiry: Option<DateTime<Utc>>,
    pub(super) id: i64,
    pub(super) label: String,
    pub(super) total_stock: i32,
    pub(super) available_stock: i32,
    pub(super) held_stock: i32,
}

/// The users of a batch with their latest reservation of the drop. Users who do not exist are missing.
const USER_STATES: &str = "prepare user_states (bigint, bigint[]) as
    select u.id, u.username,
           case when (select limit_per_user from drops where id = $1) is null then 0
                else (select count(*) from purchases where user_id = u.id and drop_id = $1) end as bought,
           r.id as reservation_id, r.size_id, r.price_cents, r.status, r.expires_at, r.created_at
    from unnest($2) as wanted (id)
    cross join lateral (select id, username from users where id = wanted.id limit 1) u
    left join lateral (
        select id, size_id, price_cents, status, expires_at, created_at from reservations
        where user_id = wanted.id and drop_id = $1 order by id desc limit 1
    ) r on true";

#[derive(FromRow)]
pub(super) struct UserStateRow {
    pub(super) id: i64,
    pub(super) username: String,
    pub(super) bought: i64,
    pub(super) reservation_id: Option<i64>,
    pub(super) size_id: Option<i64>,
    pub(super) price_cents: Option<i32>,
    pub(super) status: Option<ReservationStatus>,
    pub(super) expires_at: Option<DateTime<Utc>>,
    pub(super) created_at: Option<DateTime<Utc>>,
}

/// Writes new reservations, the stock of sizes and the next version of the drop.
const WRITE: &str = "prepare write
    (bigint, bigint[], integer[], integer[], bigint[], bigint[], integer, timestamptz, timestamptz) as
    with moved as (
        update drop_sizes s
        set available_stock = s.available_stock + m.available, held_stock = s.held_stock + m.held
        from unnest($2, $3, $4) as m (size_id, available, held)
        where s.id = m.size_id
    ), granted as (
        insert into reservations (drop_id, size_id, user_id, price_cents, expires_at, created_at)
        select $1, size_id, user_id, $7, $8, $9
        from unnest($5, $6) with ordinality as new (size_id, user_id, position)
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

/// What [`WRITE`] returns.
pub(super) struct Written {
    pub(super) version: i64,
    /// The ids of the new reservations, their sizes and their users.
    pub(super) granted: Vec<(i64, i64, i64)>,
}

impl Written {
    pub(super) fn read(results: Vec<Vec<PgRow>>) -> Result<Self, sqlx::Error> {
        let rows: Vec<_> = results.iter().flatten().map(WrittenRow::from_row).collect::<Result<_, _>>()?;
        let version = rows.first().ok_or(sqlx::Error::RowNotFound)?.version;
        let granted = rows.into_iter().filter_map(|row| Some((row.id?, row.size_id?, row.user_id?)));
        Ok(Self { version, granted: granted.collect() })
    }
}

/// An array literal of numbers.
pub(super) fn array(numbers: impl IntoIterator<Item = impl Display>) -> String {
    let numbers: Vec<_> = numbers.into_iter().map(|number| number.to_string()).collect();
    format!("'{{{}}}'", numbers.join(","))
}
