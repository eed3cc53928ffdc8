//! The stock proof of a drop: that each size has as many pairs as it should, worked out in two ways.
//!
//! *By the tables* is what is stored as such: the total, available and held pairs of `drop_sizes`, and the purchases by their
//! status. *By the log* is what happened: the total is what the audit log ends with, what is held are the active reservations,
//! what is sold are the completed reservations without those whose purchase the audit log says was cancelled, and what is
//! available is the rest. A number that was changed on one side alone shows.
//!
//! Reservations that were not completed may have been deleted (see ARCHITECTURE.md, "References"), so no equation needs those that
//! expired or were released.

use super::invariants::{self, Checked};
use crate::{
    domain::{
        Timestamp,
        error::{DropError, Missing},
    },
    server::database::{
        Pool,
        error::{fault, with_timeout},
        guard::PoolGuard,
    },
};
use serde::Serialize;
use serde_json::Value;
use sqlx::PgConnection;
use std::collections::BTreeMap;

/// Whether the stock of a drop adds up. It is also the response to `GET /api/drops/{dropId}/proof`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Proof {
    /// Whether every size is balanced and every invariant holds.
    pub(crate) balanced: bool,
    /// The database's time, when everything was as the proof says.
    pub(crate) proved_at: Timestamp,
    pub(crate) drop_id: i64,
    pub(crate) name: String,
    pub(crate) version: i64,
    pub(crate) edit_version: i64,
    /// In display order, then those that are only in the log.
    pub(crate) sizes: Vec<SizeProof>,
    pub(crate) invariants: Vec<Checked>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SizeProof {
    pub(crate) label: String,
    /// Whether both numbers of each step agree, and each change of the total begins where the one before ended.
    pub(crate) balanced: bool,
    pub(crate) steps: [Step; 7],
    /// The total in the log: its first value and each change, in their order.
    pub(crate) totals: Vec<LoggedTotal>,
    pub(crate) reservations: ReservationCounts,
    pub(crate) purchases: PurchaseCounts,
}

/// One number, worked out in two ways.
#[derive(Serialize)]
pub(crate) struct Step {
    pub(crate) step: StepName,
    pub(crate) tables: i64,
    pub(crate) log: i64,
    pub(crate) agrees: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum StepName {
    /// That of the size; the last one of the log.
    Total,
    /// Those of the size; the active reservations.
    Held,
    /// All purchases, also cancelled ones; the completed reservations.
    Purchases,
    /// The purchases with this status; those that the log says were cancelled.
    Cancelled,
    /// The completed purchases; the completed reservations without the cancellations of the log.
    Sold,
    /// Those of the size; the total of the log without what is held and sold by the log.
    Available,
    /// Available, held and sold together, by the tables; the total of the log.
    Balance,
}

/// The total of a size before and after an entry of the audit log; `None` where there was no such size.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LoggedTotal {
    pub(crate) change_id: i64,
    pub(crate) at: Timestamp,
    pub(crate) actor: String,
    pub(crate) action: String,
    pub(crate) before: Option<i64>,
    pub(crate) after: Option<i64>,
    /// Whether `before` is what the entry before it ended with.
    pub(crate) agrees: bool,
}

/// The reservations that are stored, by their status; those that were not completed may have been deleted.
#[derive(Default, Serialize)]
pub(crate) struct ReservationCounts {
    pub(crate) stored: i64,
    pub(crate) active: i64,
    pub(crate) completed: i64,
    pub(crate) expired: i64,
    /// Given back by their holders.
    pub(crate) released: i64,
}

/// The purchases, by their status.
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PurchaseCounts {
    pub(crate) made: i64,
    pub(crate) completed: i64,
    pub(crate) cancelled: i64,
    pub(crate) cancelled_in_log: i64,
}

/// Proves the stock of a drop as it is now. It reads one snapshot and waits for no lock, so the drop goes on selling.
pub(crate) async fn prove(pool: &Pool, drop_id: i64) -> Result<Proof, DropError> {
    let mut transaction = PoolGuard::begin_snapshot(pool).await.map_err(fault)?;
    let proof = with_timeout(read(&mut transaction, drop_id)).await?;
    proof.ok_or(DropError::NotFound(Missing::Drop))
}

async fn read(connection: &mut PgConnection, drop_id: i64) -> Result<Option<Proof>, sqlx::Error> {
    let drop = sqlx::query!(
        r#"select name, version, edit_version, clock_timestamp() as "now!" from drops where id = $1"#,
        drop_id
    );
    let Some(drop) = drop.fetch_optional(&mut *connection).await? else { return Ok(None) };
    let mut logged = read_logged_totals(connection, drop_id).await?;
    let sizes = read_sizes(connection, drop_id).await?;
    let mut proved: Vec<_> = sizes
        .into_iter()
        .map(|size| {
            let totals = logged.remove(&size.label).unwrap_or_default();
            size.prove(totals)
        })
        .collect();
    // A size that was removed by the log is nothing to prove.
    let lost = logged.into_iter().filter(|(_, totals)| last(totals).is_some());
    proved.extend(lost.map(|(label, totals)| SizeRow { label, ..SizeRow::default() }.prove(totals)));
    let invariants = invariants::check(connection, Some(drop_id)).await?;
    Ok(Some(Proof {
        balanced: proved.iter().all(|size| size.balanced) && invariants.iter().all(|checked| checked.holds),
        proved_at: drop.now.into(),
        drop_id,
        name: drop.name,
        version: drop.version,
        edit_version: drop.edit_version,
        sizes: proved,
        invariants,
    }))
}

/// The totals of each size in the log, by its label.
async fn read_logged_totals(
    connection: &mut PgConnection,
    drop_id: i64,
) -> Result<BTreeMap<String, Vec<LoggedTotal>>, sqlx::Error> {
    let changes = sqlx::query!(
        r#"select id, created_at, actor, action, before -> 'sizes' as before, after -> 'sizes' as after
           from drop_changes where drop_id = $1 and (before ? 'sizes' or after ? 'sizes') order by id"#,
        drop_id
    );
    let mut logged = BTreeMap::<String, Vec<LoggedTotal>>::new();
    for change in changes.fetch_all(connection).await? {
        let total = |sizes: &Option<Value>, label: &str| sizes.as_ref()?.get(label)?.as_i64();
        let labels = [&change.before, &change.after].into_iter().flatten().filter_map(Value::as_object);
        let mut labels: Vec<_> = labels.flat_map(|sizes| sizes.keys()).collect();
        labels.sort();
        labels.dedup();
        for label in labels {
            let (before, after) = (total(&change.before, label), total(&change.after, label));
            let totals = logged.entry(label.clone()).or_default();
            totals.push(LoggedTotal {
                change_id: change.id,
                at: change.created_at.into(),
                actor: change.actor.clone(),
                action: change.action.clone(),
                before,
                after,
                agrees: before == last(totals),
            });
        }
    }
    Ok(logged)
}

/// The total that the log ends with.
fn last(totals: &[LoggedTotal]) -> Option<i64> {
    totals.last().and_then(|total| total.after)
}

/// A size as the tables have it.
#[derive(Default)]
struct SizeRow {
    label: String,
    total: i64,
    available: i64,
    held: i64,
    reservations: ReservationCounts,
    purchases: PurchaseCounts,
}

async fn read_sizes(connection: &mut PgConnection, drop_id: i64) -> Result<Vec<SizeRow>, sqlx::Error> {
    let sizes = sqlx::query!(
        r#"select s.label, s.total_stock, s.available_stock, s.held_stock,
                  coalesce(r.stored, 0) as "stored!", coalesce(r.active, 0) as "active!",
                  coalesce(r.completed, 0) as "completed!", coalesce(r.expired, 0) as "expired!",
                  coalesce(r.cancelled, 0) as "released!",
                  coalesce(p.made, 0) as "made!", coalesce(p.completed, 0) as "bought!",
                  coalesce(p.cancelled, 0) as "cancelled!", coalesce(c.cancelled, 0) as "cancelled_in_log!"
           from drop_sizes s
           left join (
               select size_id, count(*) as stored, count(*) filter (where status = 'active') as active,
                      count(*) filter (where status = 'completed') as completed,
                      count(*) filter (where status = 'expired') as expired,
                      count(*) filter (where status = 'cancelled') as cancelled
               -- Each reservation is in one of two indexes by drop, if the database has both.
               from reservations where drop_id = $1 and (status = 'active' or status <> 'active') group by size_id
           ) r on r.size_id = s.id
           left join (
               select size_id, count(*) as made, count(*) filter (where status = 'completed') as completed,
                      count(*) filter (where status = 'cancelled') as cancelled
               from purchases where drop_id = $1 group by size_id
           ) p on p.size_id = s.id
           left join (
               select p.size_id, count(*) as cancelled
               from drop_changes c join purchases p on (p.id, p.drop_id) = (c.purchase_id, c.drop_id)
               where c.drop_id = $1 and c.action = 'cancelled' group by p.size_id
           ) c on c.size_id = s.id
           where s.drop_id = $1 order by s.position"#,
        drop_id
    );
    let sizes = sizes.fetch_all(connection).await?.into_iter().map(|row| SizeRow {
        label: row.label,
        total: row.total_stock.into(),
        available: row.available_stock.into(),
        held: row.held_stock.into(),
        reservations: ReservationCounts {
            stored: row.stored,
            active: row.active,
            completed: row.completed,
            expired: row.expired,
            released: row.released,
        },
        purchases: PurchaseCounts {
            made: row.made,
            completed: row.bought,
            cancelled: row.cancelled,
            cancelled_in_log: row.cancelled_in_log,
        },
    });
    Ok(sizes.collect())
}

impl SizeRow {
    fn prove(self, totals: Vec<LoggedTotal>) -> SizeProof {
        let Self { label, total, available, held, reservations, purchases } = self;
        let logged_total = last(&totals).unwrap_or_default();
        let logged_sold = reservations.completed - purchases.cancelled_in_log;
        let step = |step, tables, log| Step { step, tables, log, agrees: tables == log };
        let steps = [
            step(StepName::Total, total, logged_total),
            step(StepName::Held, held, reservations.active),
            step(StepName::Purchases, purchases.made, reservations.completed),
            step(StepName::Cancelled, purchases.cancelled, purchases.cancelled_in_log),
            step(StepName::Sold, purchases.completed, logged_sold),
            step(StepName::Available, available, logged_total - reservations.active - logged_sold),
            step(StepName::Balance, available + held + purchases.completed, logged_total),
        ];
        let balanced = steps.iter().all(|step| step.agrees) && totals.iter().all(|total| total.agrees);
        SizeProof { label, balanced, steps, totals, reservations, purchases }
    }
}
