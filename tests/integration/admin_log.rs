//! The audit log at `/admin/log` and `/admin/drops/{id}/log`.

use crate::support::{ADMIN_TOKEN, Answer, Api, Desk, Node, id_of, new_drop, query_number, send};
use reqwest::{Method, header};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgPool};

/// Calls the REST API as the admin.
async fn call(api: &Api, method: Method, path: &str, body: Value) -> Answer {
    send(api.request(method, path).bearer_auth(ADMIN_TOKEN).json(&body)).await.expect_status(200)
}

/// The entries of a page from the first to the last, each as who did it and what, in the words of the page.
fn entries(page: &Answer) -> Vec<String> {
    let rows = page.text.split("<th scope=\"row\"").skip(1);
    let entry = |row: &str| {
        let (_, row) = row.split_once("class=\"actor\">").expect("somebody did it");
        let (actor, row) = row.split_once("</td>").expect("the cell ends");
        let (_, what) = row.split_once("class=\"what\">").expect("something was done");
        let what = what.split_once("</td>").expect("the cell ends").0;
        format!("{}: {}", text_of(actor), what.split("</li>").map(text_of).collect::<Vec<_>>().join("; "))
    };
    rows.map(|row| entry(row).trim_end_matches("; ").to_owned()).collect()
}

/// What is between the tags.
fn text_of(html: &str) -> String {
    html.split('<').map(|part| part.split_once('>').map_or(part, |(_, text)| text)).collect()
}

#[sqlx::test]
async fn every_action_is_said_in_words(db: PgPool) {
    let node = Node::start(&db).await;
    let desk = Desk::sign_in(&node).await;
    let sizes = json!([{ "label": "US 9", "stock": 10 }]);
    let body = json!({ "draft": true, "startsAt": "2100-01-01T18:00:00Z", "sizes": sizes, "totalStock": null });
    let drop_id = id_of(&node.create_drop(new_drop(&body)).await);
    let path = format!("/api/drops/{drop_id}");
    let act = async |action: &str, body: Value| call(&node, Method::POST, &format!("{path}/{action}"), body).await;
    let change = async |fields: Value| {
        let drop = call(&node, Method::GET, &path, json!({})).await;
        let mut body = fields;
        body["editVersion"] = drop.json["drop"]["editVersion"].clone();
        call(&node, Method::PATCH, &path, body).await;
    };
    let sql = async |statement: &str| {
        let statement = format!(
            "{statement} where {} = {drop_id}",
            if statement.contains("drop_sizes") { "drop_id" } else { "id" }
        );
        sqlx::query(AssertSqlSafe(statement)).execute(&db).await.expect("the change is valid");
    };
    change(json!({ "sizes": [{ "label": "US 10", "stock": 3 }, { "label": "US 9", "stock": 10 }] })).await;
    change(json!({ "sizes": [{ "label": "US 9", "stock": 10 }, { "label": "US 10", "stock": 3 }] })).await;
    act("publish", json!({})).await;
    act("unpublish", json!({})).await;
    act("publish", json!({})).await;
    change(json!({ "name": "<b>Court</b> \"77\"", "description": "One.", "priceCents": 18_950, "limitPerUser": 2 }))
        .await;
    change(json!({ "imageUrl": "/a.svg", "startsAt": "2020-01-01T00:00:00Z", "endsAt": "2101-01-01T19:30:00+01:00" }))
        .await;
    act("stock", json!({ "size": "US 9", "add": 10 })).await;
    act("stock", json!({ "size": "US 9", "takeBack": 1 })).await;
    act("stock", json!({ "size": "US 11", "add": 1, "newSize": true })).await;
    act("pause", json!({})).await;
    act("resume", json!({})).await;
    let alice = node.sign_in("alice").await;
    node.reserve_size(&alice, drop_id, "US 9").await.expect_status(201);
    let purchase_id = node.purchase(&alice, drop_id).await.expect_status(200).purchase_id();
    let cancel = format!("/admin/drops/{drop_id}/purchases/{purchase_id}/cancel");
    desk.post(&cancel, &[("reason", "\"Paid\" <twice>")]).await.expect_status(303);
    sql("update drops set price_cents = 0, limit_per_user = null").await;
    sql("update drop_sizes set total_stock = total_stock + 1, available_stock = available_stock + 1").await;
    act("end", json!({})).await;
    act("archive", json!({})).await;

    let page = desk.get(&format!("/admin/drops/{drop_id}/log")).await.expect_status(200);
    let mut entries = entries(&page);
    entries.reverse();
    let expected = [
        "REST token: Created; Draft; Name: Court 76; Price: $129; Start: Fri 1 Jan 2100, 18:00 UTC; US 9: 10 pairs",
        "REST token: US 10: none → 3 pairs",
        "REST token: Order of the sizes: US 10, US 9 → US 9, US 10",
        "REST token: Published",
        "REST token: Unpublished",
        "REST token: Published",
        "REST token: Name: Court 76 → &lt;b&gt;Court&lt;/b&gt; \"77\"; Description: none → One.; Price: $129 → $189.50; \
         Limit: none → 2 per person",
        "REST token: Picture: none → /a.svg; Start: Fri 1 Jan 2100, 18:00 UTC → Wed 1 Jan 2020, 00:00 UTC; \
         End: none → Sat 1 Jan 2101, 18:30 UTC",
        "REST token: US 9: 10 → 20 pairs",
        "REST token: US 9: 20 → 19 pairs",
        "REST token: US 11: none → 1 pair",
        "REST token: Paused",
        "REST token: Resumed",
        &format!("Desk session 1: Order {purchase_id:06} cancelled: \"Paid\" &lt;twice&gt;"),
        "SQL as sneakdrop: Price: $189.50 → Free; Limit: 2 per person → none",
        "SQL as sneakdrop: US 9: 19 → 20 pairs",
        "SQL as sneakdrop: US 10: 3 → 4 pairs",
        "SQL as sneakdrop: US 11: 1 → 2 pairs",
    ];
    assert_eq!(entries[..expected.len()], expected);
    let [ended, archived] = &entries[expected.len()..] else { panic!("{entries:#?}") };
    assert!(ended.starts_with("REST token: Ended; End: Sat 1 Jan 2101, 18:30 UTC → "), "{ended}");
    assert_eq!(archived, "REST token: Archived");
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn log_of_one_drop_and_of_all_lead_to_each_other(db: PgPool) {
    let node = Node::start(&db).await;
    let desk = Desk::sign_in(&node).await;
    let empty = desk.get("/admin/log").await.expect_status(200).text;
    assert!(empty.contains("Nothing was changed yet.") && !empty.contains("<table"), "{empty}");
    assert!(empty.contains("<a href=\"/admin/log\" aria-current=\"page\">Log</a>"), "{empty}");
    let name = "<b>Court</b> & \"76\"";
    let first = id_of(&node.create_drop(new_drop(&json!({ "name": name }))).await);
    let second = node.create_open_drop(5).await;
    let deleted = node.create_open_drop(5).await;
    sqlx::query("delete from drops where id = $1").bind(deleted).execute(&db).await.expect("nobody has a pair");

    let all = desk.get("/admin/log").await.expect_status(200);
    let link = |id: i64, name: &str| format!("<a href=\"/admin/log?drop={id}\"><bdi>{name}</bdi></a>");
    let escaped = "&lt;b&gt;Court&lt;/b&gt; &amp; \"76\"";
    let gone = format!("Drop {deleted}, deleted");
    for part in [&link(first, escaped), &link(second, "Volt Runner"), &link(deleted, &gone)] {
        assert!(all.text.contains(part), "{part}: {}", all.text);
    }
    assert!(all.text.contains("<option value=\"\" selected>All drops</option>"), "{}", all.text);
    for (drop, name, count) in [(first, escaped, 1), (second, "Volt Runner", 1), (deleted, "", 1)] {
        let page = desk.get(&format!("/admin/log?drop={drop}")).await.expect_status(200);
        assert_eq!(entries(&page).len(), count, "{}", page.text);
        let label = if drop == deleted { gone.clone() } else { format!("{drop} · \u{2068}{name}\u{2069}") };
        let chosen = format!("<option value=\"{drop}\" selected>{label}</option>");
        assert!(page.text.contains(&chosen) && page.text.matches(" selected").count() == 1, "{}", page.text);
    }
    let page = desk.get(&format!("/admin/drops/{first}/log")).await.expect_status(200).text;
    assert!(page.contains(&format!("<a href=\"/admin/drops/{first}\"><bdi>{escaped}</bdi></a>")), "{page}");
    assert!(page.contains(&format!("<title>Log · \u{2068}{}\u{2069} · Sneakdrop desk</title>", escaped)), "{page}");
    let missing =
        ["/admin/log?drop=99", "/admin/log?drop=x", "/admin/log?drop=0", "/admin/drops/99/log", "/admin/drops/x/log"];
    for path in missing.map(str::to_owned).into_iter().chain([format!("/admin/drops/{deleted}/log")]) {
        let page = desk.get(&path).await.expect_status(404);
        assert!(page.text.contains("There is no such drop."), "{path}: {}", page.text);
    }
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn pages_of_the_log_have_each_change_once_while_more_are_made(db: PgPool) {
    let node = Node::start(&db).await;
    let desk = Desk::sign_in(&node).await;
    let (drop_id, other) = (node.create_open_drop(5).await, node.create_open_drop(5).await);
    let edit = async |drop: i64, times: i32| {
        for _ in 0..times {
            let edit = "update drops set price_cents = price_cents + 100 where id = $1";
            sqlx::query(edit).bind(drop).execute(&db).await.expect("a valid price");
        }
    };
    // With its creation, these are two full pages.
    edit(drop_id, 99).await;
    edit(other, 99).await;
    for (path, count) in [
        (format!("/admin/drops/{drop_id}/log"), 100),
        (format!("/admin/log?drop={drop_id}"), 110),
        ("/admin/log".into(), 220_usize),
    ] {
        let (mut prices, mut pages, mut next) = (vec![], 0, Some(path.clone()));
        while let Some(path) = next {
            let page = desk.get(&path).await.expect_status(200);
            prices.extend(entries(&page));
            pages += 1;
            if pages == 1 {
                edit(drop_id, 10).await;
            }
            let links = page.text.split("href=\"").skip(1).map(|rest| rest.split('"').next().unwrap_or_default());
            next = links.map(|link| link.replace("&amp;", "&")).find(|link| link.contains("before="));
        }
        assert_eq!((prices.len(), pages), (count, count.div_ceil(50)), "{path}");
    }
    let stored = query_number(&db, "select count(*) from drop_changes").await;
    assert_eq!(stored, 230);
    for bad in ["x", "", "99999999999999999999"] {
        desk.get(&format!("/admin/log?before={bad}")).await.expect_status(404);
    }
    let beyond = desk.get("/admin/log?before=1").await.expect_status(200).text;
    assert!(beyond.contains("There are no older changes."), "{beyond}");
    node.stop_and_assert_invariants().await;
}

/// Of an older or newer server, or of whoever wrote it by SQL.
#[sqlx::test]
async fn what_the_server_does_not_know_is_shown_as_it_is(db: PgPool) {
    let node = Node::start(&db).await;
    let desk = Desk::sign_in(&node).await;
    let drop_id = node.create_open_drop(5).await;
    let long = "Long. ".repeat(300);
    let insert = "insert into drop_changes (drop_id, edit_version, actor, action, before, after, reason) values
        ($1, 9, 'robot 7', '<boosted>', '{\"colour\": \"<red>\"}', '{\"colour\": [1, null], \"price_cents\": \"x\"}', 'نورة'),
        ($1, 9, '', '', '[]', 'null', null),
        ($1, 9, 'session', 'edited', '{\"sizes\": 5, \"ends_at\": \"infinity\"}', '{\"sizes\": {}, \"ends_at\": 1e99}', null),
        ($1, 9, 'token', 'edited', '{\"description\": \"\"}', jsonb_build_object('description', $2::text), null)";
    sqlx::query(insert).bind(drop_id).bind(&long).execute(&db).await.expect("the log takes anything");
    let page = desk.get(&format!("/admin/drops/{drop_id}/log")).await.expect_status(200);
    let entries = entries(&page);
    let beginning = &long[..100];
    assert_eq!(entries[0], format!("REST token: Description: none → {beginning}…{long}"));
    assert_eq!(entries[1], "session: End: infinity → 1e+99; Size: 5 → {}");
    assert_eq!(entries[2].trim(), ":");
    let expected = "robot 7: &lt;boosted&gt;: نورة; Price: none → x; colour: &lt;red&gt; → [1,null]";
    assert_eq!(entries[3], expected);
    assert_eq!(entries.len(), 5);
    // The long one is folded behind its beginning.
    let folded = format!("<details><summary><bdi>{beginning}…</bdi></summary><p dir=\"auto\">{long}</p></details>");
    assert!(page.text.contains(&folded), "{}", page.text);
    // The totals of no size follow from such a log.
    node.stop().await;
}

#[sqlx::test]
async fn nobody_but_the_admin_on_this_site_reads_the_log(db: PgPool) {
    let node = Node::start(&db).await;
    let desk = Desk::sign_in(&node).await;
    let drop_id = node.create_open_drop(5).await;
    for path in ["/admin/log", &format!("/admin/drops/{drop_id}/log")] {
        desk.get(path).await.expect_status(200);
        let page = node.get(path).await.expect_status(303);
        assert!(!page.text.contains("REST token"), "{}", page.text);
        send(node.request(Method::POST, path)).await.expect_error(401, "unauthorized");
        let foreign = desk.request(Method::GET, path).header(header::ORIGIN, "http://evil.test");
        send(foreign).await.expect_error(403, "foreign_origin");
    }
    node.stop_and_assert_invariants().await;
}
