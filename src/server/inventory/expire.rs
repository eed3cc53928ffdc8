//! Due reservations expire and their pairs return to stock.

use super::{handle::Inventory, statements::LockMode, transaction::LockedDrop};
use crate::{
    domain::error::DropError,
    server::database::{
        Purpose,
        error::{fault, with_timeout},
        guard::PoolGuard,
    },
};
use chrono::{DateTime, TimeDelta, Utc};

/// Expires what is due in every drop and returns when to run next. Several nodes may run it at the same time: a drop that
/// is locked is skipped, as the transaction that holds the lock expires what is due.
pub(crate) async fn expire(inventory: &Inventory) -> Result<Option<DateTime<Utc>>, DropError> {
    for drop_id in due_drops(inventory).await?.due {
        // Neither an error nor a panic in one drop may keep the others from expiring.
        match tokio::spawn(expire_drop(inventory.clone(), drop_id)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(%error, drop_id, "due reservations wait for the next run of the expiry job");
            }
            Err(panic) => tracing::error!(%panic, drop_id, "expiring reservations panicked"),
        }
    }
    Ok(due_drops(inventory).await?.next)
}

/// When to run again after a drop was locked, or had more due reservations than one transaction expires.
const RETRY_DELAY: TimeDelta = TimeDelta::milliseconds(50);

struct DueDrops {
    /// Drops with due reservations.
    due: Vec<i64>,
    /// When the next reservation is due.
    next: Option<DateTime<Utc>>,
}

async fn due_drops(inventory: &Inventory) -> Result<DueDrops, DropError> {
    // From one drop with active reservations to the next: drops without are not looked at.
    let rows = sqlx::query!(
        r#"with recursive first_of_drop as (
               (select drop_id, expires_at from reservations where status = 'active'
                order by drop_id, expires_at limit 1)
               union all
               select next.* from first_of_drop before cross join lateral (
                   select drop_id, expires_at from reservations where status = 'active' and drop_id > before.drop_id
                   order by drop_id, expires_at limit 1
               ) next
           )
           select drop_id as "id!", expires_at as "expires_at!", clock_timestamp() as "now!" from first_of_drop"#
    );
    let mut connection = PoolGuard::acquire_for(Purpose::Sale, &inventory.pool).await.map_err(fault)?;
    let rows = with_timeout(rows.fetch_all(&mut *connection)).await?;
    connection.put_back();
    Ok(DueDrops {
        due: rows.iter().filter(|row| row.expires_at <= row.now).map(|row| row.id).collect(),
        next: rows.iter().map(|row| row.expires_at.max(row.now + RETRY_DELAY)).min(),
    })
}

async fn expire_drop(inventory: Inventory, drop_id: i64) -> Result<(), DropError> {
    let known_version = inventory.catalog.version(drop_id);
    if let Some(drop) = LockedDrop::enter(&inventory.pool, drop_id, &[], LockMode::SkipLocked).await? {
        inventory.publish(drop.commit(inventory.reservation_ttl).await?, known_version, vec![]);
    }
    Ok(())
}
