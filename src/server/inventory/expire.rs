use super::{Entrant, LAPSED_BATCH, LockedDrop};
use crate::{
    error::DropError,
    server::{AppState, database::fault},
};
use chrono::{DateTime, TimeDelta, Utc};

/// When to look again after a drop was locked by someone else, or had more than one batch.
const SOON: TimeDelta = TimeDelta::milliseconds(20);

/// Gives back every pair whose reservation has lapsed; returns when the next one will. Several nodes may run it at once:
/// a drop that someone has locked is skipped, for whoever locks it gives back its lapsed pairs first anyway.
pub(crate) async fn expire(state: &AppState) -> Result<Option<DateTime<Utc>>, DropError> {
    let due = sqlx::query_scalar!(
        r#"select distinct drop_id as "drop_id!" from (
               select drop_id from reservations where status = 'active' and expires_at <= clock_timestamp()
               order by expires_at limit $1
           ) lapsed"#,
        LAPSED_BATCH
    );
    let mut failed = None;
    for drop_id in due.fetch_all(&state.pool).await.map_err(fault)? {
        // One drop in trouble keeps no other from getting its pairs back.
        failed = release_lapsed(state, drop_id).await.err().or(failed);
    }
    if let Some(error) = failed {
        return Err(error);
    }
    let next = sqlx::query!(
        r#"select min(expires_at) as expires_at, clock_timestamp() as "now!" from reservations where status = 'active'"#
    );
    let next = next.fetch_one(&state.pool).await.map_err(fault)?;
    Ok(next.expires_at.map(|expires_at| expires_at.max(next.now + SOON)))
}

async fn release_lapsed(state: &AppState, drop_id: i64) -> Result<(), DropError> {
    match LockedDrop::enter(state, drop_id, Entrant::Sweeper).await? {
        Some(drop) => drop.settle(Ok(Ok(()))).await,
        None => Ok(()),
    }
}
