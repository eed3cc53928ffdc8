//! The list of drops at `/admin`.

use crate::support::{Desk, Node, create_people, id_of, new_drop, send};
use reqwest::Method;
use serde_json::json;
use sqlx::PgPool;

#[sqlx::test]
async fn empty_shop_leads_to_the_first_drop(db: PgPool) {
    let node = Node::start(&db).await;
    let desk = Desk::sign_in(&node).await;
    let page = desk.get("/admin").await.expect_status(200).text;
    assert!(page.contains("There is no drop yet."), "{page}");
    assert!(page.contains("href=\"/admin/drops/new\" class=\"primary\"") && !page.contains("<table"), "{page}");
    for query in ["show=draft", "before=1"] {
        let page = desk.get(&format!("/admin?{query}")).await.expect_status(200).text;
        assert!(page.contains("No drop matches.") && !page.contains("There is no drop yet."), "{page}");
    }
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn every_drop_is_listed_with_its_status_and_under_one_filter(db: PgPool) {
    let node = Node::start(&db).await;
    let drops = [
        ("draft", "Draft", "status = 'draft'"),
        ("archived", "Archived", "status = 'archived', ends_at = starts_at + interval '1 second'"),
        ("upcoming", "Upcoming", "starts_at = now() + interval '1 day'"),
        ("upcoming", "Paused", "starts_at = now() + interval '1 day', is_paused = true"),
        ("live", "Live", "ends_at = now() + interval '1 day'"),
        ("live", "Paused", "is_paused = true"),
        ("over", "Ended", "starts_at = now() - interval '2 years', ends_at = now() - interval '1 year'"),
        ("over", "Sold out", "sold_out_since = now()"),
    ];
    let mut expected = vec![];
    for (index, (filter, status, change)) in drops.into_iter().enumerate() {
        let name = format!("Drop {index}");
        let id = id_of(&node.create_drop(new_drop(&json!({ "name": name }))).await);
        let update = format!("update drops set {change} where id = {id}");
        sqlx::query(sqlx::AssertSqlSafe(update)).execute(&db).await.expect("the change is valid");
        expected.push((filter, format!("{name}: {status}")));
    }
    expected.reverse();
    let desk = Desk::sign_in(&node).await;
    for show in ["", "draft", "live", "upcoming", "over", "archived", "nonsense"] {
        let listed = listed(&desk.get(&format!("/admin?show={show}")).await.expect_status(200).text);
        let is_all = ["", "nonsense"].contains(&show);
        let expected: Vec<_> =
            expected.iter().filter(|(filter, _)| is_all || *filter == show).map(|(_, drop)| drop.clone()).collect();
        assert_eq!(listed, expected, "{show}");
    }
    node.stop().await;
}

#[sqlx::test]
async fn list_shows_the_price_the_start_and_the_stock_of_all_sizes(db: PgPool) {
    let node = Node::start(&db).await;
    let sizes = json!([{ "label": "US 8", "stock": 1_000 }, { "label": "US 9", "stock": 234 }]);
    let start = "2026-01-15T18:00:00Z";
    let changes = json!({ "name": "<b>Court</b> & \"76\"", "sizes": sizes, "totalStock": null, "startsAt": start });
    let drop_id = id_of(&node.create_drop(new_drop(&changes)).await);
    let people = create_people(&db, 3).await;
    for person in &people {
        node.reserve_size(person, drop_id, "US 9").await.expect_status(201);
    }
    node.purchase(&people[0], drop_id).await.expect_status(200);
    let page = Desk::sign_in(&node).await.get("/admin").await.expect_status(200).text;
    let link = format!("<a href=\"/admin/drops/{drop_id}\"><bdi>&lt;b&gt;Court&lt;/b&gt; &amp; \"76\"</bdi></a>");
    assert!(page.contains(&link), "{page}");
    let time = format!("<time datetime=\"{start}\">Thu 15 Jan 2026, 18:00 UTC</time>");
    assert!(page.contains(&time), "{page}");
    let cell = |column: &str| text_after(&page, &format!("data-column=\"{column}\""));
    assert_eq!(["Available", "Held", "Sold", "Total"].map(cell), ["1,231", "2", "1", "1,234"]);
    assert!(page.contains(">$129</td>"), "{page}");
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn pages_of_the_list_have_each_drop_once_and_end(db: PgPool) {
    let node = Node::start(&db).await;
    let insert = "with new as (
            insert into drops (name, price_cents, status)
            select 'Drop ' || i, 100, case when i % 2 = 0 then 'draft' else 'published' end
            from generate_series(1, 200) i order by i returning id
        )
        insert into drop_sizes (drop_id, label, position, total_stock, available_stock)
        select id, 'One size', 1, 1, 1 from new";
    sqlx::query(insert).execute(&db).await.expect("the drops are valid");
    let desk = Desk::sign_in(&node).await;
    for (path, step) in [("/admin", 1), ("/admin?show=draft", 2)] {
        let (mut names, mut pages, mut next) = (vec![], 0, Some(path.to_owned()));
        while let Some(page) = next {
            let html = desk.get(&page).await.expect_status(200).text;
            names.extend(listed(&html).iter().map(|drop| drop.split(':').next().unwrap_or_default().to_owned()));
            pages += 1;
            let older = html.split_once("href=\"/admin?before=").map(|(_, rest)| rest);
            next = older.map(|rest| format!("/admin?before={}", rest.split('"').next().unwrap_or_default()));
            next = next.map(|next| next.replace("&amp;", "&"));
        }
        let expected: Vec<_> = (1..=200).rev().step_by(step).map(|index| format!("Drop {index}")).collect();
        assert_eq!(names, expected, "{path}");
        assert_eq!(pages, expected.len() / 50, "{path}");
    }
    for bad in ["x", "-", "99999999999999999999", "1-2"] {
        desk.get(&format!("/admin?before={bad}")).await.expect_status(404);
    }
    node.stop().await;
}

/// The names of the listed drops, each with its status.
fn listed(page: &str) -> Vec<String> {
    let rows = page.split("role=\"rowheader\"").skip(1);
    rows.map(|row| format!("{}: {}", text_after(row, "<bdi"), text_after(row, "data-status="))).collect()
}

/// The text of the element that has this in its tag.
fn text_after<'a>(html: &'a str, attribute: &str) -> &'a str {
    let (_, element) = html.split_once(attribute).unwrap_or_else(|| panic!("no {attribute}: {html}"));
    let (_, text) = element.split_once('>').expect("the tag ends");
    text.split('<').next().unwrap_or_default()
}

#[sqlx::test]
async fn address_that_only_takes_forms_leads_to_its_page(db: PgPool) {
    let node = Node::start(&db).await;
    let drop_id = node.create_open_drop(1).await;
    let desk = Desk::sign_in(&node).await;
    let page = format!("/admin/drops/{drop_id}");
    for (path, page) in [
        ("/admin/drops", "/admin"),
        ("/admin/drops/preview", "/admin/drops/new"),
        ("/admin/sign-out", "/admin"),
        (&*format!("{page}/stock"), &*page),
        (&format!("{page}/publish"), &page),
        (&format!("{page}/unpublish"), &page),
        (&format!("{page}/pause"), &page),
        (&format!("{page}/resume"), &page),
        (&format!("{page}/end"), &page),
        (&format!("{page}/archive"), &page),
        (&format!("{page}/purchases/7/cancel"), &format!("{page}/purchases")),
    ] {
        for method in [Method::GET, Method::HEAD] {
            let answer = send(desk.request(method, path)).await.expect_status(303);
            assert_eq!(answer.header("location"), page, "{path}");
        }
        send(desk.request(Method::PUT, path)).await.expect_error(405, "method_not_allowed");
    }
    for nothing in ["nothing", "pauses", "stock/1"] {
        let answer = desk.get(&format!("{page}/{nothing}")).await.expect_status(404);
        assert!(answer.header("content-type").starts_with("text/html"), "{nothing}");
    }
    node.stop_and_assert_invariants().await;
}
