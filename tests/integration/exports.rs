//! The purchases and reservations of a drop as CSV.

use crate::support::{
    ADMIN_TOKEN, Answer, Api, Desk, Node, create_people, expire_now, id_of, new_drop, query_number, send, soon,
};
use reqwest::{Method, RequestBuilder, Response};
use serde_json::json;
use sqlx::{AssertSqlSafe, PgPool, Row};
use std::io::{Cursor, Read};

fn request(api: &Api, drop_id: i64, table: &str) -> RequestBuilder {
    api.request(Method::GET, &format!("/api/drops/{drop_id}/{table}.csv")).bearer_auth(ADMIN_TOKEN)
}

/// Begins to read an export: the header and the first rows.
async fn begin(api: &Api, drop_id: i64, table: &str) -> (Response, Vec<u8>) {
    let mut response = request(api, drop_id, table).send().await.expect("the server answers");
    assert_eq!(response.status(), 200);
    let mut begun = vec![];
    while begun.len() < 1_000 {
        begun.extend(response.chunk().await.expect("it goes on").expect("there are rows"));
    }
    (response, begun)
}

/// The rest of an export that began.
async fn rest((mut response, mut read): (Response, Vec<u8>)) -> Result<Vec<u8>, reqwest::Error> {
    while let Some(chunk) = response.chunk().await? {
        read.extend(chunk);
    }
    Ok(read)
}

/// The columns, then the rows.
fn parse(csv: &[u8]) -> Vec<Vec<String>> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(csv);
    let rows = reader.records().map(|row| row.expect("all rows have the same columns"));
    rows.map(|row| row.iter().map(str::to_owned).collect()).collect()
}

/// The rows of a query whose columns are text.
async fn query_rows(db: &PgPool, sql: &str) -> Vec<Vec<String>> {
    let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(db).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    let columns = |row: &sqlx::postgres::PgRow| (0..row.len()).map(|column| row.get(column)).collect();
    rows.iter().map(columns).collect()
}

/// Inserts reservations of one buyer, each with a cancelled purchase that has a long reason. Those of several drops alternate.
async fn insert_purchases(db: &PgPool, count: i32, drops: &[i64]) {
    create_people(db, 1).await;
    let insert = "with bought as (
            insert into reservations (drop_id, size_id, user_id, price_cents, status, expires_at, settled_at)
            select s.drop_id, s.id, (select max(id) from users), n, 'completed', now() + interval '1 hour', now()
            from generate_series(1, $1) n join drop_sizes s on s.drop_id = any($2) order by n, s.drop_id
            returning *
        )
        insert into purchases (drop_id, size_id, user_id, reservation_id, price_cents, status, cancelled_at, cancel_reason)
        select drop_id, size_id, user_id, id, price_cents, 'cancelled', now(), repeat('👟', 100) from bought order by id";
    sqlx::query(insert).bind(count).bind(drops).execute(db).await.expect("the purchases are valid");
}

#[sqlx::test]
async fn every_row_is_exported_as_the_database_has_it_and_no_formula_runs(db: PgPool) {
    let node = Node::start(&db).await;
    let sizes = json!([{ "label": "=9", "stock": 20 }, { "label": "8½, \"wide\"", "stock": 20 }]);
    let drop_id = id_of(&node.create_drop(new_drop(&json!({ "totalStock": null, "sizes": sizes }))).await);
    let names = [
        ("=cmd|'x'!A1", "'=cmd|'x'!A1"),
        ("+1", "'+1"),
        ("-2+3", "'-2+3"),
        ("@SUM(1)", "'@SUM(1)"),
        ("a;=1+1;b", "a;'=1+1;b"),
        ("\"quoted\", comma", "\"quoted\", comma"),
        ("it's =1", "it's =1"),
        ("سارة", "سارة"),
        ("👟🦊", "👟🦊"),
    ];
    for (index, (name, _)) in names.into_iter().enumerate() {
        let person = node.sign_in(name).await;
        let size = if index % 2 == 0 { "=9" } else { "8½, \"wide\"" };
        let reserved = node.reserve_size(&person, drop_id, size).await.expect_status(201).reservation_id();
        match index {
            0 => drop(node.release(&person, drop_id).await.expect_status(200)),
            1 => expire_now(&db, reserved).await,
            _ => {}
        }
        node.reserve_size(&person, drop_id, size).await;
        if index < 8 {
            node.purchase(&person, drop_id).await.expect_status(200);
        }
    }
    let cancelled = query_number(&db, "select min(id) from purchases").await;
    let path = format!("/api/drops/{drop_id}/purchases/{cancelled}/cancel");
    node.post(&path, ADMIN_TOKEN, json!({ "reason": "@now, \"paid twice\"" })).await.expect_status(200);
    // What no door lets in.
    let tab = "update users set username = E'\t=1', username_key = 'tab' where username = '+1'";
    sqlx::query(tab).execute(&db).await.expect("the name is free");
    let cell = |name: &str| match name {
        "\t=1" => "'\t'=1".to_owned(),
        name => names.iter().find(|(known, _)| *known == name).map_or(name, |(_, cell)| cell).to_owned(),
    };
    let time = |column: &str| {
        format!("coalesce(to_char({column} at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'), '')")
    };
    let price = "to_char(x.price_cents / 100.0, 'FM9999990.00')";
    let purchases = format!(
        "select lpad(x.id::text, 6, '0'), x.status, username, x.user_id::text, label, {price}, {}, {}, {}, coalesce(cancel_reason, '')
         from purchases x join reservations r on r.id = reservation_id join users u on u.id = x.user_id
         join drop_sizes s on s.id = x.size_id order by x.id",
        time("r.created_at"),
        time("x.created_at"),
        time("cancelled_at")
    );
    let reservations = format!(
        "select x.id::text, x.status, username, x.user_id::text, label, {price}, {}, {}, {}
         from reservations x join users u on u.id = x.user_id join drop_sizes s on s.id = x.size_id order by x.id",
        time("x.created_at"),
        time("expires_at"),
        time("settled_at")
    );
    let desk = Desk::sign_in(&node).await;
    for (table, sql, columns) in [
        (
            "purchases",
            purchases,
            "order,status,username,user_id,size,price_usd,reserved_at,bought_at,cancelled_at,reason",
        ),
        ("reservations", reservations, "id,status,username,user_id,size,price_usd,reserved_at,expires_at,settled_at"),
    ] {
        let answer = send(request(&node, drop_id, table)).await.expect_status(200);
        assert_eq!(answer.header("content-type"), "text/csv; charset=utf-8; header=present");
        let file = format!("attachment; filename=\"drop-{drop_id}-{table}.csv\"");
        assert_eq!(answer.header("content-disposition"), file);
        assert!(answer.text.starts_with(&format!("\u{feff}{columns}\r\n")), "{}", answer.text);
        assert!(answer.text.ends_with("\r\n") && !answer.text.replace("\r\n", "").contains('\n'), "{}", answer.text);
        let mut expected = query_rows(&db, &sql).await;
        assert!(expected.len() >= 7);
        for row in &mut expected {
            row[2] = cell(&row[2]);
            row[4] = row[4].replace("=9", "'=9");
            if let Some(reason) = row.get_mut(9) {
                *reason = reason.replace('@', "'@");
            }
        }
        assert_eq!(parse(answer.text.as_bytes())[1..], expected, "{table}");
        let on_the_desk = desk.get(&format!("/admin/drops/{drop_id}/{table}.csv")).await.expect_status(200);
        assert_eq!(on_the_desk.text, answer.text);
    }
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn rows_are_read_while_the_network_takes_them_and_all_come_in_their_order(db: PgPool) {
    const ROWS: i32 = 50_000;
    let node = Node::start(&db).await;
    let drops = [node.create_open_drop(5).await, node.create_open_drop(5).await];
    insert_purchases(&db, ROWS, &drops).await;
    let begun = begin(&node, drops[0], "purchases").await;
    // 20 MB are more than the network keeps for a reader who waits, so the last rows have not been read yet.
    let update =
        "update purchases set cancel_reason = 'Late' where id = (select max(id) from purchases where drop_id = $1)";
    sqlx::query(update).bind(drops[0]).execute(&db).await.expect("the reason is valid");
    let rows = parse(&rest(begun).await.expect("nothing fails"));
    assert_eq!((rows.len(), &*rows[ROWS as usize][9]), (ROWS as usize + 1, "Late"));
    let ids = async |table: &str, drop_id: i64| {
        query_rows(&db, &format!("select id::text from {table} where drop_id = {drop_id} order by {table}.id"))
            .await
            .concat()
    };
    let first = |rows: &[Vec<String>]| rows[1..].iter().map(|row| row[0].clone()).collect::<Vec<_>>();
    let orders = ids("purchases", drops[0]).await.into_iter().map(|id| format!("{id:0>6}"));
    assert!(first(&rows) == orders.collect::<Vec<_>>());

    // A drop whose reservations are far from each other.
    let rare = node.create_open_drop(5).await;
    let alice = node.sign_in("alice").await;
    node.reserve(&alice, rare).await.expect_status(201);
    insert_purchases(&db, 3_000, &drops).await;
    node.release(&alice, rare).await.expect_status(200);
    node.reserve(&alice, rare).await.expect_status(201);
    for drop_id in [drops[1], rare] {
        let csv =
            rest((request(&node, drop_id, "reservations").send().await.expect("the server answers"), vec![])).await;
        assert!(first(&parse(&csv.expect("nothing fails"))) == ids("reservations", drop_id).await);
    }
    node.stop().await;
}

#[sqlx::test]
async fn fault_in_the_middle_breaks_off_the_download(db: PgPool) {
    let node = Node::start(&db).await;
    let drop_id = node.create_open_drop(5).await;
    insert_purchases(&db, 25_000, &[drop_id]).await;
    let begun = begin(&node, drop_id, "purchases").await;
    // 10 MB are more than the network keeps for a reader who waits.
    sqlx::query("alter table users rename to people").execute(&db).await.expect("the table exists");
    let broken = rest(begun).await.expect_err("the end does not come");
    assert!(broken.is_body() || broken.is_decode(), "{broken:?}");
    sqlx::query("alter table people rename to users").execute(&db).await.expect("the table exists");
    node.stop().await;
}

#[sqlx::test]
async fn slow_readers_keep_no_connection_of_the_pool(db: PgPool) {
    let node = Node::start(&db).await;
    let drop_id = node.create_open_drop(5).await;
    insert_purchases(&db, 25_000, &[drop_id]).await;
    let mut slow = vec![];
    // More than the pool has connections.
    for _ in 0..25 {
        slow.push(begin(&node, drop_id, "purchases").await);
    }
    let alice = node.sign_in("alice").await;
    soon("somebody else is served", node.reserve(&alice, drop_id)).await.expect_status(201);
    // And nobody lost what comes after.
    let last = slow.pop().expect("there are slow readers");
    drop(slow);
    assert_eq!(parse(&rest(last).await.expect("nothing fails")).len(), 25_001);
    node.stop().await;
}

#[sqlx::test]
async fn only_the_admin_exports_and_a_drop_without_rows_has_only_columns(db: PgPool) {
    let node = Node::start(&db).await;
    let drop_id = node.create_open_drop(5).await;
    let alice = node.sign_in("alice").await;
    for table in ["purchases", "reservations"] {
        let path = format!("/api/drops/{drop_id}/{table}.csv");
        node.get(&path).await.expect_error(401, "unauthorized");
        send(node.request(Method::GET, &path).bearer_auth(&alice.token)).await.expect_error(401, "unauthorized");
        send(request(&node, drop_id + 1, table)).await.expect_error(404, "not_found");
        node.get(&format!("/admin/drops/{drop_id}/{table}.csv")).await.expect_status(303);
        let desk = Desk::sign_in(&node).await;
        desk.get(&format!("/admin/drops/{}/{table}.csv", drop_id + 1)).await.expect_status(404);
        let empty: Answer = send(request(&node, drop_id, table)).await.expect_status(200);
        assert_eq!(parse(empty.text.as_bytes()).len(), 1, "{}", empty.text);
    }
    node.reserve(&alice, drop_id).await.expect_status(201);
    let one = send(request(&node, drop_id, "reservations")).await.expect_status(200);
    assert_eq!(parse(one.text.as_bytes())[1][1..3], ["active", "alice"]);
    node.stop_and_assert_invariants().await;
}

/// The rows of the only sheet of a workbook, each cell with its type: `t` for text, `n` for a number, `f` for a formula.
fn cells(workbook: &[u8]) -> Vec<Vec<String>> {
    let mut archive = zip::ZipArchive::new(Cursor::new(workbook)).expect("a workbook is a ZIP file");
    let mut sheet = String::new();
    let mut file = archive.by_name("xl/worksheets/sheet1.xml").expect("a sheet");
    file.read_to_string(&mut sheet).expect("its text");
    let between = |text: &str, begin: &str, end: &str| {
        text.split_once(begin).and_then(|(_, rest)| rest.split_once(end)).map(|(text, _)| text.to_owned())
    };
    let cell =
        |cell: &str| match (between(cell, "<f", "</f>"), between(cell, "<t", "</t>"), between(cell, "<v>", "</v>")) {
            (Some(formula), ..) => format!("f {formula}"),
            (_, Some(text), _) => format!("t {}", text.split_once('>').map_or("", |(_, text)| text)),
            (.., Some(number)) => format!("n {number}"),
            _ => "t ".to_owned(),
        };
    sheet.split("<row ").skip(1).map(|row| row.split("<c ").skip(1).map(cell).collect()).collect()
}

#[sqlx::test]
async fn workbook_has_what_people_wrote_as_text_and_prices_as_numbers(db: PgPool) {
    let node = Node::start(&db).await;
    let desk = Desk::sign_in(&node).await;
    let labels = ["10-11", "5/6", "=1+1", "1e5", "3 Dec"];
    let sizes: Vec<_> = labels.iter().map(|label| json!({ "label": label, "stock": 1 })).collect();
    let drop_id = id_of(&node.create_drop(new_drop(&json!({ "totalStock": null, "sizes": sizes }))).await);
    let names = ["007", "a;=1+1;b", ";=cmd|'/c calc'!A0;", "=HYPERLINK(1)", "TRUE"];
    for (name, label) in names.iter().zip(labels) {
        let person = node.sign_in(name).await;
        node.reserve_size(&person, drop_id, label).await.expect_status(201);
        node.purchase(&person, drop_id).await.expect_status(200);
    }
    for table in ["purchases", "reservations"] {
        let answer = node.request(Method::GET, &format!("/api/drops/{drop_id}/{table}.xlsx")).bearer_auth(ADMIN_TOKEN);
        let answer = answer.send().await.expect("the server answers");
        assert_eq!(answer.status(), 200);
        let file = format!("attachment; filename=\"drop-{drop_id}-{table}.xlsx\"");
        assert_eq!(answer.headers()["content-disposition"], *file);
        let media_type = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";
        assert_eq!(answer.headers()["content-type"], media_type);
        let rows = cells(&answer.bytes().await.expect("all of it"));
        assert_eq!(rows.len(), 6, "{rows:?}");
        for (row, (name, label)) in rows[1..].iter().zip(names.iter().zip(labels)) {
            let expected = [format!("t {name}"), format!("t {label}"), "n 129".to_owned()];
            assert_eq!([&row[2], &row[4], &row[5]], expected.each_ref(), "{row:?}");
        }
        let csv = send(request(&node, drop_id, table)).await.expect_status(200).text;
        let first = parse(csv.as_bytes())[1][0].clone();
        assert_eq!(rows[1][0], format!("t {first}"), "the same number as in the CSV");
        node.get(&format!("/api/drops/{drop_id}/{table}.xlsx")).await.expect_error(401, "unauthorized");
        node.get(&format!("/admin/drops/{drop_id}/{table}.xlsx")).await.expect_status(303);
        desk.get(&format!("/admin/drops/99/{table}.xlsx")).await.expect_status(404);
        let list = desk.get(&format!("/admin/drops/{drop_id}/purchases")).await.expect_status(200).text;
        assert!(list.contains(&format!("href=\"/admin/drops/{drop_id}/{table}.xlsx\"")), "{list}");
    }
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn workbook_has_all_rows_also_of_many_pages(db: PgPool) {
    let node = Node::start(&db).await;
    let drop_id = node.create_open_drop(5).await;
    insert_purchases(&db, 5_000, &[drop_id]).await;
    let request = node.request(Method::GET, &format!("/api/drops/{drop_id}/purchases.xlsx")).bearer_auth(ADMIN_TOKEN);
    let workbook = request.send().await.expect("the server answers").bytes().await.expect("all of it");
    assert_eq!(cells(&workbook).len(), 5_001);
    let empty = node.create_open_drop(5).await;
    let request = node.request(Method::GET, &format!("/api/drops/{empty}/purchases.xlsx")).bearer_auth(ADMIN_TOKEN);
    let workbook = request.send().await.expect("the server answers").bytes().await.expect("all of it");
    assert_eq!(cells(&workbook).len(), 1, "the columns");
    node.stop().await;
}
