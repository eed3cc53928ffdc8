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
use crate::domain::{
    ReservationStatus,
    error::{DropError, Missing},
};
use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;
use std::iter;
use timeline::Change;

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
    let stored = read_stored(&state.pool, drop_id).await?.ok_or(DropError::NotFound(Missing::Drop))?;
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

/// What the database has of a drop.
struct Stored {
    drop: DropRow,
    sizes: Vec<SizeRow>,
    reservations: Vec<ReservationsRow>,
    cancelled: Vec<CancelledRow>,
    restocked: Vec<RestockedRow>,
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

/// The reservations of one size with one status: when they were made, and in the same order when they were settled.
struct ReservationsRow {
    size_id: i64,
    status: ReservationStatus,
    made_at: Vec<DateTime<Utc>>,
    settled_at: Vec<DateTime<Utc>>,
}

/// A purchase that was cancelled.
struct CancelledRow {
    size_id: i64,
    at: DateTime<Utc>,
}

/// An edit that changed total stock.
struct RestockedRow {
    at: DateTime<Utc>,
    added: i64,
    /// Whether it is the first that the log has of these sizes.
    is_first: bool,
}

async fn read_stored(pool: &Pool, drop_id: i64) -> Result<Option<Stored>, DropError> {
    let mut connection = PoolGuard::begin_snapshot(pool).await.map_err(fault)?;
    let stored = with_timeout(async {
        let Some(drop) = query_drop(&mut connection, drop_id).await? else { return Ok(None) };
        let sizes = query_sizes(&mut connection, drop_id).await?;
        let reservations = query_reservations(&mut connection, drop_id).await?;
        let cancelled = query_cancelled(&mut connection, drop_id).await?;
        let restocked = query_restocked(&mut connection, drop_id).await?;
        Ok(Some(Stored { drop, sizes, reservations, cancelled, restocked }))
    });
    let stored = stored.await?;
    connection.rollback().await.map_err(fault)?;
    connection.put_back();
    Ok(stored)
}

async fn query_drop(connection: &mut PgConnection, drop_id: i64) -> Result<Option<DropRow>, sqlx::Error> {
    let drop = sqlx::query_as!(
        DropRow,
        r#"select name, greatest(starts_at, created_at) as "opened_at!", over_since, clock_timestamp() as "now!",
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

/// In arrays, because a row for each reservation would take as long again. Each reservation is read once; the medians and steps
/// in SQL would sort and read all of them several times.
async fn query_reservations(connection: &mut PgConnection, drop_id: i64) -> Result<Vec<ReservationsRow>, sqlx::Error> {
    // In two halves, each with its own index.
    let reservations = sqlx::query_as!(
        ReservationsRow,
        r#"select size_id as "size_id!", status as "status!: ReservationStatus", array_agg(created_at) as "made_at!",
                  coalesce(array_agg(settled_at) filter (where settled_at is not null), '{}') as "settled_at!"
           from (
               select size_id, status, created_at, settled_at from reservations where drop_id = $1 and status <> 'active'
               union all
               select size_id, status, created_at, settled_at from reservations where drop_id = $1 and status = 'active'
           ) r
           group by size_id, status"#,
        drop_id
    );
    reservations.fetch_all(connection).await
}

async fn query_cancelled(connection: &mut PgConnection, drop_id: i64) -> Result<Vec<CancelledRow>, sqlx::Error> {
    let cancelled = sqlx::query_as!(
        CancelledRow,
        r#"select size_id, cancelled_at as "at!" from purchases where drop_id = $1 and status = 'cancelled'"#,
        drop_id
    );
    cancelled.fetch_all(connection).await
}

async fn query_restocked(connection: &mut PgConnection, drop_id: i64) -> Result<Vec<RestockedRow>, sqlx::Error> {
    let restocked = sqlx::query_as!(
        RestockedRow,
        r#"select created_at as at, not before ? 'sizes' as "is_first!",
                  (select coalesce(sum(value::bigint), 0) from jsonb_each_text(after -> 'sizes'))::bigint
                      - (select coalesce(sum(value::bigint), 0) from jsonb_each_text(before -> 'sizes'))::bigint as "added!"
           from drop_changes
           -- What a drop or the log began with had been there from the start.
           where drop_id = $1 and (before ? 'sizes' or after ? 'sizes') and action not in ('created', 'recorded')"#,
        drop_id
    );
    restocked.fetch_all(connection).await
}

impl Stored {
    fn board(self, drop_id: i64, period: Period, node: NodeFigures) -> Board {
        let sizes: Vec<_> = self.sizes.iter().map(|size| (size.label.clone(), self.figures(Some(size)))).collect();
        let sale = self.sale();
        Board {
            drop_id,
            read_at: self.drop.now,
            period,
            periods: sale.map(|(first, last)| Period::shorter_than(last - first)).unwrap_or_default(),
            timeline: sale.map(|(first, last)| self.timeline(period.between(first, last))),
            all: self.figures(None),
            sizes,
            pruned_until: self.drop.pruned_until,
            node,
            drop_name: self.drop.name,
        }
    }

    /// Of one size, or of all together.
    fn figures(&self, only: Option<&SizeRow>) -> Figures {
        let is_of = |size_id: i64| only.is_none_or(|only| only.id == size_id);
        let reservations = || self.reservations.iter().filter(|row| is_of(row.size_id));
        let count = |status| {
            let settled = reservations().filter(|row| row.status == status);
            settled.map(|row| row.settled_at.len() as i64).sum()
        };
        let completed = reservations().filter(|row| row.status == ReservationStatus::Completed);
        let durations = completed.flat_map(|row| iter::zip(&row.made_at, &row.settled_at));
        Figures {
            stock: self
                .sizes
                .iter()
                .filter(|size| is_of(size.id))
                .map(SizeRow::stock)
                .fold(Stock::default(), Stock::plus),
            completed: count(ReservationStatus::Completed),
            expired: count(ReservationStatus::Expired),
            released: count(ReservationStatus::Cancelled),
            purchases_cancelled: self.cancelled.iter().filter(|purchase| is_of(purchase.size_id)).count() as i64,
            median_seconds: median(durations.map(|(made_at, settled_at)| *settled_at - *made_at).collect()),
        }
    }

    /// From the first event to now, or to the last one of a drop that is over; `None` before the first.
    fn sale(&self) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
        let DropRow { opened_at, over_since, now, .. } = self.drop;
        let first = self.first_reservation().map_or(opened_at, |at| at.min(opened_at));
        if first > now {
            return None;
        }
        let last = self.changes().map(|(at, _)| at).max().unwrap_or(first).max(first);
        // A clock that was set back must not cut off what happened.
        let until = match over_since.filter(|since| *since <= now && self.stock().held == 0) {
            Some(over_since) => last.max(over_since),
            None => last.max(now),
        };
        Some((first, until))
    }

    fn timeline(&self, (from, until): (DateTime<Utc>, DateTime<Utc>)) -> Timeline {
        Timeline::new(from, until, self.stock(), self.changes())
    }

    fn first_reservation(&self) -> Option<DateTime<Utc>> {
        self.reservations.iter().flat_map(|row| &row.made_at).min().copied()
    }

    fn stock(&self) -> Stock {
        self.sizes.iter().map(SizeRow::stock).fold(Stock::default(), Stock::plus)
    }

    fn changes(&self) -> impl Iterator<Item = (DateTime<Utc>, Change)> {
        // A drop gets its sizes a moment after it is created, and some perhaps later, but before anybody reserves.
        let unsold_until = self.first_reservation().unwrap_or(self.drop.now);
        let restocked = self.restocked.iter().filter(move |edit| !edit.is_first || edit.at > unsold_until);
        let restocked = restocked.map(|edit| (edit.at, Change::Restocked(edit.added)));
        let cancelled = self.cancelled.iter().map(|purchase| (purchase.at, Change::PurchaseCancelled));
        self.reservations.iter().flat_map(ReservationsRow::changes).chain(cancelled).chain(restocked)
    }
}

impl SizeRow {
    fn stock(&self) -> Stock {
        let [available, held] = [self.available_stock, self.held_stock].map(i64::from);
        Stock { available, held, sold: i64::from(self.total_stock) - available - held }
    }
}

impl ReservationsRow {
    /// A purchase has the time at which its reservation was completed.
    fn changes(&self) -> impl Iterator<Item = (DateTime<Utc>, Change)> {
        let settled = match self.status {
            ReservationStatus::Completed => Change::Bought,
            _ => Change::Returned,
        };
        let made = self.made_at.iter().map(|at| (*at, Change::Reserved));
        made.chain(self.settled_at.iter().map(move |at| (*at, settled)))
    }
}

/// As `percentile_cont(0.5)` of PostgreSQL: of an even number the mean of the two in the middle.
fn median(mut durations: Vec<TimeDelta>) -> Option<f64> {
    let middle = durations.len() / 2;
    let is_even = durations.len().is_multiple_of(2);
    if durations.is_empty() {
        return None;
    }
    let (lower, upper, _) = durations.select_nth_unstable(middle);
    let seconds = |duration: TimeDelta| duration.as_seconds_f64();
    let upper = seconds(*upper);
    let below = lower.iter().max().copied().filter(|_| is_even);
    Some(below.map_or(upper, |below| (seconds(below) + upper) / 2.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_or_the_mean_of_the_two_in_the_middle() {
        let of = |seconds: &[i64]| median(seconds.iter().map(|seconds| TimeDelta::seconds(*seconds)).collect());
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[7]), Some(7.0));
        assert_eq!(of(&[9, 1, 5]), Some(5.0));
        assert_eq!(of(&[9, 1, 6, 5]), Some(5.5));
    }
}
