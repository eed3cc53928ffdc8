//! The purchases and the reservations of a drop as CSV (RFC 4180), for programs, and as a workbook, for spreadsheets: in a CSV they
//! take names for dates, numbers and formulas, each country in its own way.
//!
//! A page of rows is read when the network has taken the page before. So a million rows need no more memory than a page, a reader
//! who goes away ends the export, and a slow one keeps no connection of the pool. A fault in the middle breaks off the
//! connection, so that nobody takes what came for all there is. Pages follow each other by id, which no row changes: each row
//! comes at most once, and one that is made during the export may be missing.
//!
//! A workbook is complete before its first byte can be sent. Its rows go to a file of the system's while they are read, so the
//! memory that it needs is what is sent: about 60 bytes for a row.

use crate::{
    domain::error::{DropError, Missing},
    server::database::{
        Pool,
        error::{fault, with_timeout},
        guard::PoolGuard,
    },
    text::desk,
};
use axum::{
    body::Body,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use chrono::{DateTime, SecondsFormat, Utc};
use csv::{Terminator, WriterBuilder};
use futures_util::{StreamExt, future::ready, stream};
use rust_xlsxwriter::{Workbook, Worksheet, XlsxError};
use sqlx::PgConnection;
use std::convert::identity;
use tokio::{
    sync::{Semaphore, mpsc},
    task::spawn_blocking,
};

/// What of a drop is exported.
#[derive(Clone, Copy)]
pub(crate) enum Table {
    Purchases,
    Reservations,
}

#[derive(Clone, Copy)]
pub(crate) enum Format {
    Csv,
    /// A workbook of Excel.
    Xlsx,
}

/// The columns of a row, as text.
type Row = Vec<String>;

/// Answers with all rows of the drop, the first ones first.
pub(crate) async fn download(pool: &Pool, drop_id: i64, table: Table, format: Format) -> Result<Response, DropError> {
    let mut connection = PoolGuard::acquire(pool).await.map_err(fault)?;
    let ids = with_timeout(table.ids(&mut connection, drop_id)).await?;
    connection.put_back();
    let (first, last) = ids.ok_or(DropError::NotFound(Missing::Drop))?;
    let (name, columns) = match table {
        Table::Purchases => ("purchases", PURCHASE_COLUMNS.map(String::from).to_vec()),
        Table::Reservations => ("reservations", RESERVATION_COLUMNS.map(String::from).to_vec()),
    };
    let export = Export { pool: pool.clone(), drop_id, table, after: first - 1, last };
    let (extension, media_type, body) = match format {
        Format::Csv => {
            let head = [BYTE_ORDER_MARK, &csv(vec![columns])].concat();
            let rows = stream::try_unfold(export, Export::next).map(|rows| rows.map(csv));
            let body = Body::from_stream(stream::once(ready(Ok(head))).chain(rows));
            ("csv", "text/csv; charset=utf-8; header=present", body)
        }
        Format::Xlsx => ("xlsx", XLSX, Body::from(workbook(columns, export).await?)),
    };
    let disposition = format!("attachment; filename=\"drop-{drop_id}-{name}.{extension}\"");
    let disposition = HeaderValue::try_from(disposition).expect("a number fits into a header");
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(media_type)),
        (header::CONTENT_DISPOSITION, disposition),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    Ok((headers, body).into_response())
}

const XLSX: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";

/// Without it, Excel reads the names in the encoding of its country. Readers of CSV skip it.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

const PURCHASE_COLUMNS: [&str; 10] =
    ["order", "status", "username", "user_id", "size", PRICE, "reserved_at", "bought_at", "cancelled_at", "reason"];

const RESERVATION_COLUMNS: [&str; 9] =
    ["id", "status", "username", "user_id", "size", PRICE, "reserved_at", "expires_at", "settled_at"];

/// How many rows one query reads.
const PAGE_ROWS: i64 = 2_000;

/// Of the pages of all exports, so many are read at a time; the others wait as long as it takes. Whoever looks at the shop needs
/// the same connections.
static TURNS: Semaphore = Semaphore::const_new(2);

/// An export that is under way.
struct Export {
    pool: Pool,
    drop_id: i64,
    table: Table,
    /// The rows up to this id are written.
    after: i64,
    /// The id of the last row.
    last: i64,
}

impl Export {
    /// The next rows; `None` after the last.
    async fn next(mut self) -> Result<Option<(Vec<Row>, Self)>, DropError> {
        while self.after < self.last {
            let _turn = TURNS.acquire().await;
            let mut connection = PoolGuard::acquire(&self.pool).await.map_err(fault)?;
            let Self { drop_id, after, last, .. } = self;
            let page = async {
                let until = self.table.page_end(&mut connection, drop_id, after, last).await?.unwrap_or(last);
                let rows = match self.table {
                    Table::Purchases => purchases(&mut connection, drop_id, after, until).await?,
                    Table::Reservations => reservations(&mut connection, drop_id, after, until).await?,
                };
                Ok((rows, until))
            };
            let (rows, until) = with_timeout(page).await?;
            connection.put_back();
            self.after = until;
            if !rows.is_empty() {
                return Ok(Some((rows, self)));
            }
        }
        Ok(None)
    }
}

impl Table {
    /// The ids of the drop's first and last rows, 1 and 0 if there are none; `None` if there is no such drop.
    async fn ids(self, connection: &mut PgConnection, drop_id: i64) -> Result<Option<(i64, i64)>, sqlx::Error> {
        match self {
            Self::Purchases => {
                let ids = sqlx::query!(
                    r#"select coalesce((select min(id) from purchases where drop_id = $1), 1) as "first!",
                              coalesce((select max(id) from purchases where drop_id = $1), 0) as "last!"
                       from drops where id = $1"#,
                    drop_id
                );
                Ok(ids.fetch_optional(connection).await?.map(|ids| (ids.first, ids.last)))
            }
            Self::Reservations => {
                // Each reservation is in one of two indexes by drop, if the database has both. `offset 0` keeps the planner from
                // looking for the first and the last one among those of all drops.
                let ids = sqlx::query!(
                    r#"select coalesce(min(r.id), 1) as "first!", coalesce(max(r.id), 0) as "last!"
                       from drops d left join (
                           select id, drop_id from reservations
                           where drop_id = $1 and (status = 'active' or status <> 'active') offset 0
                       ) r on r.drop_id = d.id
                       where d.id = $1 group by d.id"#,
                    drop_id
                );
                Ok(ids.fetch_optional(connection).await?.map(|ids| (ids.first, ids.last)))
            }
        }
    }

    /// The id up to which a query finds few enough rows; `None` if there are no more.
    ///
    /// Reservations are found by their ids: no index has the settled ones of a drop in their order, and those of all drops are
    /// nearly all its own while it sells.
    async fn page_end(
        self,
        connection: &mut PgConnection,
        drop_id: i64,
        after: i64,
        last: i64,
    ) -> Result<Option<i64>, sqlx::Error> {
        match self {
            Self::Purchases => {
                let end = sqlx::query_scalar!(
                    "select max(id) from (
                         select id from purchases where drop_id = $1 and id > $2 and id <= $3 order by id limit $4
                     ) page",
                    drop_id,
                    after,
                    last,
                    PAGE_ROWS
                );
                end.fetch_one(connection).await
            }
            Self::Reservations => {
                let end = sqlx::query_scalar!(
                    "select max(id) from (
                         select id from reservations where id > $1 and id <= $2 order by id limit $3
                     ) page",
                    after,
                    last,
                    PAGE_ROWS
                );
                end.fetch_one(connection).await
            }
        }
    }
}

/// Those with an id after the one and up to the other. What they refer to is read by subqueries, because a join may be planned
/// as a scan of all users.
async fn purchases(
    connection: &mut PgConnection,
    drop_id: i64,
    after: i64,
    until: i64,
) -> Result<Vec<Row>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select id, status, user_id, price_cents, created_at, cancelled_at, cancel_reason,
                  (select username from users where id = p.user_id) as "username!",
                  (select label from drop_sizes where id = p.size_id) as "size!",
                  (select created_at from reservations where id = p.reservation_id) as "reserved_at!"
           from purchases p where drop_id = $1 and id > $2 and id <= $3 order by id"#,
        drop_id,
        after,
        until
    );
    let rows = rows.fetch_all(connection).await?.into_iter().map(|row| {
        vec![
            desk::order_number(row.id),
            row.status,
            row.username,
            row.user_id.to_string(),
            row.size,
            dollars(row.price_cents),
            time(row.reserved_at),
            time(row.created_at),
            row.cancelled_at.map(time).unwrap_or_default(),
            row.cancel_reason.unwrap_or_default(),
        ]
    });
    Ok(rows.collect())
}

/// As [`purchases`].
async fn reservations(
    connection: &mut PgConnection,
    drop_id: i64,
    after: i64,
    until: i64,
) -> Result<Vec<Row>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select id, status, user_id, price_cents, created_at, expires_at, settled_at,
                  (select username from users where id = r.user_id) as "username!",
                  (select label from drop_sizes where id = r.size_id) as "size!"
           from reservations r where drop_id = $1 and id > $2 and id <= $3 order by id"#,
        drop_id,
        after,
        until
    );
    let rows = rows.fetch_all(connection).await?.into_iter().map(|row| {
        vec![
            row.id.to_string(),
            row.status,
            row.username,
            row.user_id.to_string(),
            row.size,
            dollars(row.price_cents),
            time(row.created_at),
            time(row.expires_at),
            row.settled_at.map(time).unwrap_or_default(),
        ]
    });
    Ok(rows.collect())
}

fn csv(rows: Vec<Row>) -> Vec<u8> {
    let mut writer = WriterBuilder::new().terminator(Terminator::CRLF).from_writer(vec![]);
    for row in rows {
        writer.write_record(row.into_iter().map(text)).expect("memory can be written, and each row has all columns");
    }
    writer.into_inner().expect("memory can be written")
}

/// The workbook with all rows, which are written on a thread of their own while the next are read.
async fn workbook(columns: Row, mut export: Export) -> Result<Vec<u8>, DropError> {
    let (pages, written) = mpsc::channel(1);
    let writer = spawn_blocking(move || write_workbook(&columns, written));
    while let Some((rows, rest)) = export.next().await? {
        export = rest;
        if pages.send(rows).await.is_err() {
            break;
        }
    }
    drop(pages);
    let workbook = writer.await.map_err(|panic| panic.to_string());
    workbook.map(|workbook| workbook.map_err(|error| error.to_string())).and_then(identity).map_err(|error| {
        tracing::error!(error, "a workbook was not written");
        DropError::Internal
    })
}

fn write_workbook(columns: &[String], mut pages: mpsc::Receiver<Vec<Row>>) -> Result<Vec<u8>, XlsxError> {
    let mut workbook = Workbook::new();
    let price = columns.iter().position(|column| column == PRICE);
    let mut sheet = new_sheet(&mut workbook, columns)?;
    let mut next = 1;
    while let Some(rows) = pages.blocking_recv() {
        for row in rows {
            if next == SHEET_ROWS {
                sheet = new_sheet(&mut workbook, columns)?;
                next = 1;
            }
            for (column, cell) in (0..).zip(row) {
                match cell.parse::<f64>() {
                    Ok(dollars) if price == Some(column.into()) => sheet.write_number(next, column, dollars)?,
                    _ => sheet.write_string(next, column, cell)?,
                };
            }
            next += 1;
        }
    }
    workbook.save_to_buffer()
}

fn new_sheet<'a>(workbook: &'a mut Workbook, columns: &[String]) -> Result<&'a mut Worksheet, XlsxError> {
    let sheet = workbook.add_worksheet_with_constant_memory()?;
    for (column, name) in (0..).zip(columns) {
        sheet.write_string(0, column, name)?;
    }
    Ok(sheet)
}

/// The column that is a number, which can be added up. Everything else stays the text that it is.
const PRICE: &str = "price_usd";

/// How many rows a sheet has, with that of the columns' names; Excel's have 1,048,576.
const SHEET_ROWS: u32 = 1_000_001;

/// Text that somebody chose. A spreadsheet would run what begins as a formula, and does not show an apostrophe before it. In
/// countries whose lists have semicolons a cell begins after each of them as well, and quotes do not keep it together.
fn text(text: String) -> String {
    let begins_formula = |cell: &str| cell.trim_start_matches(['"', ' ']).starts_with(FORMULA);
    let cells = text.split_inclusive([';', '\t', '\r', '\n']);
    cells.flat_map(|cell| [if begins_formula(cell) { "'" } else { "" }, cell]).collect()
}

/// What a formula begins with.
const FORMULA: [char; 11] = ['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'];

/// `1250.00`
fn dollars(cents: i32) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}

fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Micros, true)
}

#[cfg(test)]
mod tests {
    use super::text;

    #[test]
    fn no_cell_begins_as_a_formula_whatever_separates_the_cells() {
        for (chosen, cell) in [
            ("=1+1", "'=1+1"),
            ("a;=1+1;b", "a;'=1+1;b"),
            (";=cmd|'/c calc'!A0;", ";'=cmd|'/c calc'!A0;"),
            ("a\t@SUM(1)", "a\t'@SUM(1)"),
            ("\t=1", "'\t'=1"),
            ("a;;+1", "a;;'+1"),
            ("a; -1", "a;' -1"),
            ("a;\"=1+1\"", "a;'\"=1+1\""),
            ("a\n＝1", "a\n'＝1"),
            ("it's a;b = c", "it's a;b = c"),
            ("10-11", "10-11"),
            ("", ""),
        ] {
            assert_eq!(text(chosen.into()), cell, "{chosen:?}");
        }
    }
}
