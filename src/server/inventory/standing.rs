//! What the users of a batch have going on in its drop.

use super::LockedDrop;
use crate::domain::{Reservation, ReservationStatus, User};
use chrono::{DateTime, Utc};
use sqlx::{FromRow, postgres::PgRow};
use std::collections::HashMap;

/// Everyone of a batch, by their identity; users that are not there any more are missing.
pub(super) type Standings = HashMap<i64, Standing>;

/// One user and this drop, as of the lock and of what this transaction has decided since.
pub(super) struct Standing {
    pub(super) user: User,
    /// Their latest reservation. An active one is always the latest.
    pub(super) latest: Option<Latest>,
    /// Pairs they have bought; counted only where the drop has a limit.
    pub(super) bought: i64,
}

/// A reservation, with the identity of its size.
#[derive(Clone)]
pub(super) struct Latest {
    pub(super) size_id: i64,
    pub(super) reservation: Reservation,
}

impl Standing {
    /// The reservation that the user holds.
    pub(super) fn held(&self, now: DateTime<Utc>) -> Option<&Latest> {
        self.latest.as_ref().filter(|latest| latest.reservation.is_held(now))
    }
}

/// Every user of a batch and their latest reservation of the drop.
pub(super) const STANDINGS: &str = "prepare standings (bigint, bigint[]) as
    select u.id, u.username,
           case when (select limit_per_user from drops where id = $1) is null then 0
                else (select count(*) from purchases where user_id = u.id and drop_id = $1) end as bought,
           r.id as reservation_id, r.size_id, r.status, r.expires_at, r.created_at
    from unnest($2) as wanted (id)
    cross join lateral (select id, username from users where id = wanted.id limit 1) u
    left join lateral (
        select id, size_id, status, expires_at, created_at from reservations
        where user_id = wanted.id and drop_id = $1 order by id desc limit 1
    ) r on true";

#[derive(FromRow)]
struct StandingRow {
    id: i64,
    username: String,
    bought: i64,
    reservation_id: Option<i64>,
    size_id: Option<i64>,
    status: Option<ReservationStatus>,
    expires_at: Option<DateTime<Utc>>,
    created_at: Option<DateTime<Utc>>,
}

/// Reads what [`STANDINGS`] found.
pub(super) fn read(drop: &LockedDrop, rows: &[PgRow]) -> Result<Standings, sqlx::Error> {
    let read_one = |row| {
        let row = StandingRow::from_row(row)?;
        let latest = match (row.reservation_id, row.size_id, row.status, row.expires_at, row.created_at) {
            (Some(id), Some(size_id), Some(status), Some(expires_at), Some(created_at)) => {
                // The transaction begins with giving back what has lapsed.
                let has_lapsed = status == ReservationStatus::Active && expires_at <= drop.now;
                let status = if has_lapsed { ReservationStatus::Expired } else { status };
                let (drop_id, user_id, size) = (drop.id, row.id, drop.label(size_id));
                let reservation = Reservation { id, drop_id, user_id, size, status, expires_at, created_at };
                Some(Latest { size_id, reservation })
            }
            _ => None,
        };
        Ok((row.id, Standing { user: User { id: row.id, username: row.username }, latest, bought: row.bought }))
    };
    rows.iter().map(read_one).collect()
}
