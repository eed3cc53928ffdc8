use super::{
    LockedDrop,
    locked::{Entrant, Failure},
};
use crate::{
    error::DropError,
    server::{
        AppState,
        database::{Loan, bounded, fault},
    },
};
use chrono::{DateTime, TimeDelta, Utc};

/// When to look again after a drop was locked by someone else, or had more than one batch.
const SOON: TimeDelta = TimeDelta::milliseconds(50);

/// Gives back every pair whose reservation has lapsed; returns when the next one will. Several nodes may run it at once:
/// a drop that someone has locked is skipped, for whoever locks it gives back its lapsed pairs first anyway.
pub(crate) async fn expire(state: &AppState) -> Result<Option<DateTime<Utc>>, DropError> {
    let due = sqlx::query_scalar!(
        "select distinct drop_id from reservations where status = 'active' and expires_at <= clock_timestamp()"
    );
    let mut loan = Loan::take(&state.pool).await.map_err(fault)?;
    let due = bounded(due.fetch_all(loan.connection())).await?;
    loan.give_back();
    for drop_id in due {
        // One drop in trouble keeps no other from getting its pairs back.
        if let Err(error) = release_lapsed(state, drop_id).await {
            tracing::warn!(%error, drop_id, "lapsed reservations wait for the next sweep");
        }
    }
    let next = sqlx::query!(
        r#"select min(expires_at) as expires_at, clock_timestamp() as "now!" from reservations where status = 'active'"#
    );
    let mut loan = Loan::take(&state.pool).await.map_err(fault)?;
    let next = bounded(next.fetch_one(loan.connection())).await?;
    loan.give_back();
    Ok(next.expires_at.map(|expires_at| expires_at.max(next.now + SOON)))
}

async fn release_lapsed(state: &AppState, drop_id: i64) -> Result<(), DropError> {
    match LockedDrop::enter(state, drop_id, Entrant::Sweeper).await.map_err(Failure::from)? {
        Some(drop) => Ok(drop.settle().await?),
        None => Ok(()),
    }
}
