//! What the users of a batch have going on in its drop.

use super::LockedDrop;
use crate::domain::{Reservation, ReservationStatus, User};
use chrono::{DateTime, Utc};
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

/// Looks up every user of a batch with one statement.
pub(super) async fn standings(drop: &mut LockedDrop, user_ids: &[i64]) -> Result<Standings, sqlx::Error> {
    let drop_id = drop.id;
    let rows = sqlx::query!(
        r#"select u.id, u.username, r.id as "reservation_id?", r.size_id as "size_id?",
                  r.status as "status?: ReservationStatus", r.expires_at as "expires_at?", r.created_at as "created_at?",
                  case when $3 then (select count(*) from purchases where user_id = u.id and drop_id = $1) else 0 end
                      as "bought!"
           from unnest($2::bigint[]) as wanted (id)
           cross join lateral (select id, username from users where id = wanted.id limit 1) u
           left join lateral (
               select id, size_id, status, expires_at, created_at from reservations
               where user_id = wanted.id and drop_id = $1 order by id desc limit 1
           ) r on true"#,
        drop_id,
        user_ids,
        drop.limit_per_user.is_some()
    )
    .fetch_all(drop.connection())
    .await?;
    let standings = rows.into_iter().map(|row| {
        let latest = match (row.reservation_id, row.size_id, row.status, row.expires_at, row.created_at) {
            (Some(id), Some(size_id), Some(status), Some(expires_at), Some(created_at)) => {
                let (user_id, size) = (row.id, drop.label(size_id));
                let reservation = Reservation { id, drop_id, user_id, size, status, expires_at, created_at };
                Some(Latest { size_id, reservation })
            }
            _ => None,
        };
        (row.id, Standing { user: User { id: row.id, username: row.username }, latest, bought: row.bought })
    });
    Ok(standings.collect())
}
