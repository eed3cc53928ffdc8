//! The drops that are over, of which memory holds only the newest.

use super::Catalog;
use crate::{
    domain::{LISTED_ON_A_PAGE, PastDrop, PastDrops, error::DropError},
    server::database::{
        Pool,
        error::{fault, with_timeout},
        guard::PoolGuard,
    },
};
use chrono::{DateTime, Utc};

/// Where a page of past drops begins: after the drop that was over at this time and has this id.
#[derive(Clone, Copy)]
pub(crate) struct PastCursor {
    over_since: DateTime<Utc>,
    id: i64,
}

impl PastCursor {
    /// Reads a cursor as it is in an address: `<microseconds>-<id>`.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let (over_since, id) = text.rsplit_once('-')?;
        Some(Self { over_since: DateTime::from_timestamp_micros(over_since.parse().ok()?)?, id: id.parse().ok()? })
    }
}

impl Catalog {
    /// One page of the drops that are over, latest first.
    pub(crate) async fn past_drops(pool: &Pool, after: Option<PastCursor>) -> Result<PastDrops, DropError> {
        let rows = sqlx::query!(
            r#"select d.id, d.name, d.price_cents, d.image_url, d.past_since as "over_since!", s.total as "total!",
                      s.sold as "sold!"
               from drops d cross join lateral (
                   select sum(total_stock)::integer as total,
                          sum(total_stock - available_stock - held_stock)::integer as sold
                   from drop_sizes where drop_id = d.id
               ) s
               where d.past_since <= now() and d.status = 'published'
                   and ($1::timestamptz is null or (d.past_since, d.id) < ($1, $2::bigint))
               order by d.past_since desc, d.id desc limit $3"#,
            after.map(|cursor| cursor.over_since),
            after.map(|cursor| cursor.id),
            LISTED_ON_A_PAGE as i64 + 1
        );
        let mut connection = PoolGuard::acquire(pool).await.map_err(fault)?;
        let mut rows = with_timeout(rows.fetch_all(&mut *connection)).await?;
        connection.put_back();
        let has_older = rows.len() > LISTED_ON_A_PAGE;
        rows.truncate(LISTED_ON_A_PAGE);
        let cursor = |over_since: DateTime<Utc>, id: i64| format!("before={}-{id}", over_since.timestamp_micros());
        let older = rows.last().filter(|_| has_older).map(|row| cursor(row.over_since, row.id));
        let drops = rows.into_iter().map(|row| PastDrop {
            id: row.id,
            name: row.name,
            price_cents: row.price_cents,
            image_url: row.image_url,
            total_stock: row.total,
            sold_stock: row.sold,
            over_since: row.over_since.into(),
        });
        Ok(PastDrops { drops: drops.collect(), older })
    }
}
