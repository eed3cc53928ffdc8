//! The board of a drop: its figures for those who run it, derived from what is stored when somebody looks. Nothing is written
//! for it on the way of a reservation.

mod period;
mod timeline;

pub use period::Period;
pub(crate) use timeline::round_durations;
pub use timeline::{BusySecond, Step, Stock, Timeline};

use super::{
    database::{
        Pool,
        error::{fault, with_timeout},
        guard::PoolGuard,
    },
    state::AppState,
};
use crate::domain::error::{DropError, Missing};
use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use timeline::{Grid, Moved};

#[derive(Debug)]
pub struct Board {
    pub drop_id: i64,
    pub drop_name: String,
    /// By the database's clock.
    pub read_at: DateTime<Utc>,
    pub period: Period,
    /// Those that can be chosen; none if there is no choice.
    pub periods: Vec<Period>,
    /// Of the period; `None` before the first event.
    pub timeline: Option<Timeline>,
    pub all: Figures,
    /// With their labels, in display order.
    pub sizes: Vec<(String, Figures)>,
    /// Of the reservations that were made until then, some that were not completed were deleted.
    pub pruned_until: Option<DateTime<Utc>>,
    pub node: NodeFigures,
}

/// Of a drop or one of its sizes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Figures {
    pub stock: Stock,
    /// Of what became of reservations. Those that are still active are `stock.held`.
    pub completed: i64,
    pub expired: i64,
    pub released: i64,
    /// Of the purchases of completed reservations.
    pub purchases_cancelled: i64,
    /// Between a reservation and its purchase.
    pub median_seconds: Option<f64>,
}

/// What only this node's memory has, since it started.
#[derive(Debug)]
pub struct NodeFigures {
    pub since: DateTime<Utc>,
    /// Open WebSockets of pages, whatever drop they show.
    pub pages: usize,
    /// Clients of `/socket.io`.
    pub socket_io_clients: usize,
    /// Of this drop: the code of each error with which requests were refused, and how often; the most frequent first.
    pub refusals: Vec<(&'static str, u64)>,
}

/// Reads the board of a drop in one snapshot, with the timeline of a period.
pub async fn read(state: &AppState, drop_id: i64, period: Period) -> Result<Board, DropError> {
    let stored = read_stored(&state.pool, drop_id, period).await?.ok_or(DropError::NotFound(Missing::Drop))?;
    let node = NodeFigures {
        since: state.inventory.refusals.since,
        pages: state.broadcast.connections(),
        socket_io_clients: state.socket_io.as_ref().map_or(0, |socket_io| socket_io.clients()),
        refusals: state.inventory.refusals.of_drop(drop_id),
    };
    Ok(stored.board(drop_id, period, node))
}

impl Figures {
    /// The share of settled reservations that were completed.
    pub fn conversion(&self) -> Option<f64> {
        let settled = self.completed + self.expired + self.released;
        (settled > 0).then(|| self.completed as f64 / settled as f64)
    }

    /// Every reservation that was made.
    pub fn reservations(&self) -> i64 {
        self.stock.held + self.completed + self.expired + self.released
    }
}

/// What the database has of a drop: counts, so that however much was sold, the node's memory has little of it.
struct Stored {
    drop: DropRow,
    sizes: Vec<SizeRow>,
    /// Of each size, and of all under no size.
    figures: Vec<FiguresRow>,
    /// When its first event was and when the last, or now.
    sale: Option<(DateTime<Utc>, DateTime<Utc>)>,
    timeline: Option<Timeline>,
}

struct DropRow {
    name: String,
    /// When its first reservation could be made.
    opened_at: DateTime<Utc>,
    over_since: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
    pruned_until: Option<DateTime<Utc>>,
}

struct SizeRow {
    id: i64,
    label: String,
    total_stock: i32,
    available_stock: i32,
    held_stock: i32,
}

struct FiguresRow {
    size_id: Option<i64>,
    completed: i64,
    expired: i64,
    released: i64,
    median_seconds: Option<f64>,
    first_made_at: Option<DateTime<Utc>>,
    last_made_at: Option<DateTime<Utc>>,
    last_settled_at: Option<DateTime<Utc>>,
    purchases_cancelled: i64,
}

async fn read_stored(pool: &Pool, drop_id: i64, period: Period) -> Result<Option<Stored>, DropError> {
    let mut connection = PoolGuard::begin_snapshot(pool).await.map_err(fault)?;
    let stored = with_timeout(async {
        // Whoever looks at a board that takes longer is not there any more, and the sale needs the database.
        connection.run("set local statement_timeout = '3s'").await?;
        let Some(drop) = query_drop(&mut connection, drop_id).await? else { return Ok(None) };
        let sizes = query_sizes(&mut connection, drop_id).await?;
        let figures = query_figures(&mut connection, drop_id).await?;
        let mut stored = Stored { drop, sizes, figures, sale: None, timeline: None };
        stored.sale = stored.sale(query_last_edit(&mut connection, drop_id, stored.unsold_until()).await?);
        if let Some((first, last)) = stored.sale {
            let (from, until) = period.between(first, last);
            let grid = Grid::new(from, until);
            let moved = query_moved(&mut connection, drop_id, &grid, stored.unsold_until()).await?;
            let mut timeline = Timeline::new(&grid, stored.stock(), &moved);
            (timeline.busiest_to_reserve, timeline.busiest_to_buy) =
                query_busiest(&mut connection, drop_id, &grid).await?;
            stored.timeline = Some(timeline);
        }
        Ok(Some(stored))
    });
    let stored = stored.await?;
    Ok(stored)
}

async fn query_drop(connection: &mut PgConnection, drop_id: i64) -> Result<Option<DropRow>, sqlx::Error> {
    let drop = sqlx::query_as!(
        DropRow,
        r#"select name, greatest(starts_at, created_at) as "opened_at!", past_since as over_since, clock_timestamp() as "now!",
                  (select max(latest) from pruned_reservations where drop_id = $1) as pruned_until
           from drops where id = $1"#,
        drop_id
    );
    drop.fetch_optional(connection).await
}

async fn query_sizes(connection: &mut PgConnection, drop_id: i64) -> Result<Vec<SizeRow>, sqlx::Error> {
    let sizes = sqlx::query_as!(
        SizeRow,
        "select id, label, total_stock, available_stock, held_stock from drop_sizes where drop_id = $1 order by position",
        drop_id
    );
    sizes.fetch_all(connection).await
}

/// Here and below, reservations are read in two halves, each with its own index.
async fn query_figures(connection: &mut PgConnection, drop_id: i64) -> Result<Vec<FiguresRow>, sqlx::Error> {
    let figures = sqlx::query_as!(
        FiguresRow,
        r#"with reserved as (
               select size_id, count(*) filter (where status = 'completed') as completed,
                      count(*) filter (where status = 'expired') as expired,
                      count(*) filter (where status = 'cancelled') as released,
                      percentile_cont(0.5) within group (order by extract(epoch from settled_at - created_at)::float8)
                          filter (where status = 'completed') as median_seconds,
                      min(created_at) as first_made_at, max(created_at) as last_made_at,
                      max(settled_at) as last_settled_at
               from (
                   select size_id, status, created_at, settled_at from reservations
                   where drop_id = $1 and status <> 'active'
                   union all
                   select size_id, status, created_at, settled_at from reservations
                   where drop_id = $1 and status = 'active'
               ) r
               group by grouping sets ((size_id), ())
           ), cancelled as (
               select size_id, count(*) as purchases_cancelled, max(cancelled_at) as last_cancelled_at
               from purchases where drop_id = $1 and status = 'cancelled' group by grouping sets ((size_id), ())
           )
           select r.size_id, r.completed as "completed!", r.expired as "expired!", r.released as "released!",
                  r.median_seconds, r.first_made_at, r.last_made_at,
                  greatest(r.last_settled_at, c.last_cancelled_at) as last_settled_at,
                  coalesce(c.purchases_cancelled, 0) as "purchases_cancelled!"
           from reserved r left join cancelled c on c.size_id is not distinct from r.size_id"#,
        drop_id
    );
    figures.fetch_all(connection).await
}

/// When total stock was last changed. What a drop or the log began with had been there from the start: it gets its sizes a
/// moment after it is created, and some perhaps later, but before anybody reserves.
async fn query_last_edit(
    connection: &mut PgConnection,
    drop_id: i64,
    unsold_until: DateTime<Utc>,
) -> Result<Option<DateTime<Utc>>, sqlx::Error> {
    let last = sqlx::query_scalar!(
        "select max(created_at) from drop_changes
         where drop_id = $1 and action not in ('created', 'recorded')
           and (before ? 'sizes' or after ? 'sizes' and created_at > $2)",
        drop_id,
        unsold_until
    );
    last.fetch_one(connection).await
}

/// What moved in each step of a timeline, and after it.
async fn query_moved(
    connection: &mut PgConnection,
    drop_id: i64,
    grid: &Grid,
    unsold_until: DateTime<Utc>,
) -> Result<Vec<Moved>, sqlx::Error> {
    let moved = sqlx::query_as!(
        Moved,
        r#"with reserved as (
               select status, created_at, settled_at from reservations where drop_id = $1 and status <> 'active'
               union all
               select status, created_at, settled_at from reservations where drop_id = $1 and status = 'active'
           ), changes (at, kind, pairs) as (
               select created_at, 'reserved', 1 from reserved
               union all
               select settled_at, case status when 'completed' then 'bought' else 'returned' end, 1 from reserved
               union all
               select cancelled_at, 'cancelled', 1 from purchases where drop_id = $1 and status = 'cancelled'
               union all
               select created_at, 'restocked',
                      (select coalesce(sum(value::bigint), 0) from jsonb_each_text(after -> 'sizes'))
                          - (select coalesce(sum(value::bigint), 0) from jsonb_each_text(before -> 'sizes'))
               from drop_changes
               where drop_id = $1 and action not in ('created', 'recorded')
                 and (before ? 'sizes' or after ? 'sizes' and created_at > $6)
           )
           select case when at <= $3 then least(floor(extract(epoch from at - $2) / $4::bigint), $5::integer)::integer end as step,
                  coalesce(sum(pairs) filter (where kind = 'reserved'), 0)::bigint as "reserved!",
                  coalesce(sum(pairs) filter (where kind = 'bought'), 0)::bigint as "bought!",
                  coalesce(sum(pairs) filter (where kind = 'returned'), 0)::bigint as "returned!",
                  coalesce(sum(pairs) filter (where kind = 'cancelled'), 0)::bigint as "purchases_cancelled!",
                  coalesce(sum(pairs) filter (where kind = 'restocked'), 0)::bigint as "restocked!"
           from changes
           -- What was before is part of the start.
           where at >= $2
           group by 1"#,
        drop_id,
        grid.from,
        grid.until,
        grid.step.num_seconds(),
        grid.last() as i32,
        unsold_until
    );
    moved.fetch_all(connection).await
}

/// The seconds of the clock in which most was reserved and bought within a timeline; the first of several.
async fn query_busiest(
    connection: &mut PgConnection,
    drop_id: i64,
    grid: &Grid,
) -> Result<(Option<BusySecond>, Option<BusySecond>), sqlx::Error> {
    let reserved = sqlx::query_as!(
        BusySecond,
        r#"select date_trunc('second', created_at) as "at!", count(*) as "count!"
           from (
               select created_at from reservations where drop_id = $1 and status <> 'active'
               union all
               select created_at from reservations where drop_id = $1 and status = 'active'
           ) r
           where created_at between $2 and $3
           group by 1 order by 2 desc, 1 limit 1"#,
        drop_id,
        grid.from,
        grid.until
    );
    let reserved = reserved.fetch_optional(&mut *connection).await?;
    let bought = sqlx::query_as!(
        BusySecond,
        r#"select date_trunc('second', settled_at) as "at!", count(*) as "count!"
           from reservations
           where drop_id = $1 and status <> 'active' and status = 'completed' and settled_at between $2 and $3
           group by 1 order by 2 desc, 1 limit 1"#,
        drop_id,
        grid.from,
        grid.until
    );
    Ok((reserved, bought.fetch_optional(connection).await?))
}

impl Stored {
    fn board(self, drop_id: i64, period: Period, node: NodeFigures) -> Board {
        let sizes: Vec<_> = self.sizes.iter().map(|size| (size.label.clone(), self.figures(Some(size)))).collect();
        Board {
            drop_id,
            read_at: self.drop.now,
            period,
            periods: self.sale.map(|(first, last)| Period::shorter_than(last - first)).unwrap_or_default(),
            all: self.figures(None),
            sizes,
            pruned_until: self.drop.pruned_until,
            node,
            timeline: self.timeline,
            drop_name: self.drop.name,
        }
    }

    /// Of one size, or of all together.
    fn figures(&self, size: Option<&SizeRow>) -> Figures {
        let stock = size.map_or_else(|| self.stock(), SizeRow::stock);
        match self.figures.iter().find(|row| row.size_id == size.map(|size| size.id)) {
            Some(row) => Figures {
                stock,
                completed: row.completed,
                expired: row.expired,
                released: row.released,
                purchases_cancelled: row.purchases_cancelled,
                median_seconds: row.median_seconds,
            },
            None => Figures { stock, ..Figures::default() },
        }
    }

    fn all(&self) -> Option<&FiguresRow> {
        self.figures.iter().find(|row| row.size_id.is_none())
    }

    /// Until the first reservation, or now if there is none.
    fn unsold_until(&self) -> DateTime<Utc> {
        self.all().and_then(|all| all.first_made_at).unwrap_or(self.drop.now)
    }

    /// From the first event to now, or to the last one of a drop that is over; `None` before the first.
    fn sale(&self, last_edit: Option<DateTime<Utc>>) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
        let DropRow { opened_at, over_since, now, .. } = self.drop;
        let first = self.all().and_then(|all| all.first_made_at).map_or(opened_at, |at| at.min(opened_at));
        if first > now {
            return None;
        }
        let latest = self.all().map(|all| [all.last_made_at, all.last_settled_at]).into_iter().flatten();
        let last = latest.chain([last_edit]).flatten().fold(first, DateTime::max);
        // A clock that was set back must not cut off what happened.
        let until = match over_since.filter(|since| *since <= now && self.stock().held == 0) {
            Some(over_since) => last.max(over_since),
            None => last.max(now),
        };
        Some((first, until))
    }

    fn stock(&self) -> Stock {
        self.sizes.iter().map(SizeRow::stock).fold(Stock::default(), Stock::plus)
    }
}

impl SizeRow {
    fn stock(&self) -> Stock {
        let [available, held] = [self.available_stock, self.held_stock].map(i64::from);
        Stock { available, held, sold: i64::from(self.total_stock) - available - held }
    }
}
