use super::{
    LockedDrop,
    locked::{Entrant, Failure},
};
use crate::{
    domain::error::DropError,
    server::{
        AppState,
        database::{PoolGuard, fault, with_timeout},
    },
};
use chrono::{DateTime, TimeDelta, Utc};

/// When to look again after a drop was locked by someone else, or had more than one batch.
const SOON: TimeDelta = TimeDelta::milliseconds(50);

/// Gives back every pair whose reservation has lapsed; returns when the next one will. Several nodes may run it at once:
/// a drop that someone has locked is skipped, for whoever locks it gives back its lapsed pairs first anyway.
pub(crate) async fn expire(state: &AppState) -> Result<Option<DateTime<Utc>>, DropError> {
    for drop_id in first_to_lapse(state).await?.due {
        // One drop in trouble keeps no other from getting its pairs back.
        if let Err(error) = release_lapsed(state, drop_id).await {
            tracing::warn!(%error, drop_id, "lapsed reservations wait for the next sweep");
        }
    }
    Ok(first_to_lapse(state).await?.next)
}

/// What there is to give back.
struct FirstToLapse {
    /// The drops that have lapsed reservations.
    due: Vec<i64>,
    /// When to look again.
    next: Option<DateTime<Utc>>,
}

async fn first_to_lapse(state: &AppState) -> Result<FirstToLapse, DropError> {
    let rows = sqlx::query!(
        r#"select id, expires_at, clock_timestamp() as "now!"
           from drops cross join lateral (
               select expires_at from reservations where drop_id = drops.id and status = 'active'
               order by expires_at limit 1
           ) first_of_drop"#
    );
    let mut connection = PoolGuard::acquire(&state.pool).await.map_err(fault)?;
    let rows = with_timeout(rows.fetch_all(&mut *connection)).await?;
    connection.put_back();
    Ok(FirstToLapse {
        due: rows.iter().filter(|row| row.expires_at <= row.now).map(|row| row.id).collect(),
        next: rows.iter().map(|row| row.expires_at.max(row.now + SOON)).min(),
    })
}

async fn release_lapsed(state: &AppState, drop_id: i64) -> Result<(), DropError> {
    if let Some((drop, _)) = LockedDrop::enter(state, drop_id, Entrant::Sweeper).await.map_err(Failure::from)? {
        drop.commit().await?.news.tell(state);
    }
    Ok(())
}
