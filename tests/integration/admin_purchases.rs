//! The purchases of a drop at `/admin/drops/{id}/purchases`, and cancelling them.

use crate::support::{
    ADMIN_TOKEN, Answer, Desk, Node, Person, Settings, create_people, id_of, new_drop, query_number, send, until,
};
use reqwest::{Method, header};
use serde_json::json;
use sqlx::PgPool;

/// Reserves and purchases a pair, and returns the purchase's id.
async fn buy(node: &Node, person: &Person, drop_id: i64) -> i64 {
    node.reserve(person, drop_id).await.expect_status(201);
    node.purchase(person, drop_id).await.expect_status(200).purchase_id()
}

/// The list that a search finds.
async fn search(desk: &Desk<'_>, drop_id: i64, text: &str) -> Answer {
    let request = desk.request(Method::GET, &format!("/admin/drops/{drop_id}/purchases"));
    send(request.query(&[("search", text)])).await.expect_status(200)
}

fn cancel_path(drop_id: i64, purchase_id: i64) -> String {
    format!("/admin/drops/{drop_id}/purchases/{purchase_id}/cancel")
}

/// The listed purchases, each as its buyer and status, from the first row to the last.
fn listed(page: &Answer) -> Vec<String> {
    let rows = page.text.split("<tr role=\"row\" id=\"order-").skip(1);
    let cells = rows.map(|row| {
        let text_after = |mark: &str| row.split_once(mark).and_then(|(_, text)| text.split('<').next());
        format!("{} {}", text_after("<bdi>").unwrap_or_default(), text_after("<strong>").unwrap_or_default())
    });
    cells.collect()
}

#[sqlx::test]
async fn purchases_are_listed_with_what_was_paid_and_counted(db: PgPool) {
    let node = Node::start(&db).await;
    let desk = Desk::sign_in(&node).await;
    let sizes = json!([{ "label": "US 9", "stock": 1 }, { "label": "<i>\"10\"</i>", "stock": 3 }]);
    let name = "<b>Court</b> & \"76\"";
    let drop_id =
        id_of(&node.create_drop(new_drop(&json!({ "name": name, "sizes": sizes, "totalStock": null }))).await);
    let path = format!("/admin/drops/{drop_id}/purchases");
    let page = desk.get(&path).await.expect_status(200);
    assert!(page.text.contains("No pair of this drop is sold yet.") && !page.text.contains("<table"), "{}", page.text);
    assert!(page.text.contains("<p>0 completed, 0 cancelled</p>"), "{}", page.text);
    let [alice, bob, carol] =
        [node.sign_in("alice").await, node.sign_in("<u>bob</u>").await, node.sign_in("carol").await];
    for (person, size) in [(&alice, "US 9"), (&bob, "<i>\"10\"</i>")] {
        node.reserve_size(person, drop_id, size).await.expect_status(201);
    }
    let first = node.purchase(&alice, drop_id).await.expect_status(200).purchase_id();
    let second = node.purchase(&bob, drop_id).await.expect_status(200).purchase_id();
    // A held pair is not sold, and what was sold elsewhere is not listed here.
    node.reserve_size(&carol, drop_id, "<i>\"10\"</i>").await.expect_status(201);
    let elsewhere = node.create_open_drop(1).await;
    buy(&node, &carol, elsewhere).await;

    let bought = "update purchases set created_at = '2026-01-15T18:00:59Z'";
    sqlx::query(bought).execute(&db).await.expect("any time before the reservation's end is valid");

    let page = desk.get(&path).await.expect_status(200);
    assert_eq!(listed(&page), ["&lt;u&gt;bob&lt;/u&gt; Completed", "alice Completed"]);
    for part in [
        format!("<a href=\"/admin/drops/{drop_id}\"><bdi>&lt;b&gt;Court&lt;/b&gt; &amp; \"76\"</bdi></a>"),
        "<title>Purchases · \u{2068}&lt;b&gt;Court&lt;/b&gt; &amp; \"76\"\u{2069} · Sneakdrop desk</title>".into(),
        "<p>2 completed, 0 cancelled</p>".into(),
        format!("data-column=\"Order\">{first:06}</th>"),
        format!("data-column=\"Order\">{second:06}</th>"),
        "<bdi>&lt;i&gt;\"10\"&lt;/i&gt;</bdi>".into(),
        ">$129</td>".into(),
        "<time datetime=\"2026-01-15T18:00:59Z\">Thu 15 Jan 2026, 18:00 UTC</time>".into(),
        format!("href=\"{path}.csv\""),
        format!("href=\"/admin/drops/{drop_id}/reservations.csv\""),
    ] {
        assert!(page.text.contains(&part), "{part}: {}", page.text);
    }
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn search_finds_an_order_by_its_number_and_names_by_how_they_begin(db: PgPool) {
    let node = Node::start(&db).await;
    let desk = Desk::sign_in(&node).await;
    let drop_id = node.create_open_drop(20).await;
    let names = ["Alice", "ALBERT", "Zoë", "100%", "a_b", "back\\slash", "نورة", "١٢٣", "Straße", "Order 66", "#1 fan"];
    let mut purchases = vec![];
    for name in names {
        purchases.push(buy(&node, &node.sign_in(name).await, drop_id).await);
    }
    let elsewhere = node.create_open_drop(5).await;
    let other = buy(&node, &node.sign_in("alien").await, elsewhere).await;
    let found = async |text: &str| {
        let page = search(&desk, drop_id, text).await;
        assert_eq!(page.text.contains("No order and no name matches"), listed(&page).is_empty(), "{text}");
        listed(&page).into_iter().map(|row| row.trim_end_matches(" Completed").to_owned()).collect::<Vec<_>>()
    };

    let third = purchases[2];
    for text in [format!("{third}"), format!("{third:06}"), format!("#{third}"), format!(" order  {third:06} ")] {
        assert_eq!(found(&text).await, ["Zoë"], "{text}");
    }
    for (text, expected) in [
        ("alice", vec!["Alice"]),
        ("AL", vec!["ALBERT", "Alice"]),
        ("zoe\u{308}", vec!["Zoë"]),
        ("ZOË", vec!["Zoë"]),
        ("strass", vec!["Straße"]),
        ("نور", vec!["نورة"]),
        ("١٢", vec!["١٢٣"]),
        ("order", vec!["Order 66"]),
        ("#", vec!["#1 fan"]),
        // Nothing in it is a pattern.
        ("100%", vec!["100%"]),
        ("a_", vec!["a_b"]),
        ("back\\", vec!["back\\slash"]),
        ("%", vec![]),
        ("_", vec![]),
        ("\\", vec![]),
        (".*", vec![]),
        ("'; drop table users; --", vec![]),
        ("lice", vec![]),
        ("alien", vec![]),
        ("<b>", vec![]),
        (&"x".repeat(300), vec![]),
        ("al\0ice", vec![]),
        ("99999999999999999999", vec![]),
    ] {
        assert_eq!(found(text).await, expected, "{text}");
    }
    assert!(found(&other.to_string()).await.is_empty(), "the order of another drop");
    for text in ["", " ", "\u{200b}"] {
        assert_eq!(found(text).await.len(), names.len(), "{text:?}");
    }
    // What was typed stays in the field, as it was typed.
    let page = search(&desk, drop_id, "\"><script>").await;
    assert!(page.text.contains("type=\"search\" value=\"&quot;&gt;&lt;script&gt;\""), "{}", page.text);
    assert!(page.text.contains("matches “\u{2068}\"&gt;&lt;script&gt;\u{2069}”."), "{}", page.text);
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn digits_find_both_an_order_and_a_name_once_each(db: PgPool) {
    let node = Node::start(&db).await;
    let desk = Desk::sign_in(&node).await;
    let drop_id = node.create_open_drop(5).await;
    // The first order's buyer has its number for a name, and somebody else a name that begins so.
    for name in ["1", "19", "2", "alice"] {
        buy(&node, &node.sign_in(name).await, drop_id).await;
    }
    assert_eq!(listed(&search(&desk, drop_id, "1").await), ["19 Completed", "1 Completed"]);
    assert_eq!(listed(&search(&desk, drop_id, "000001").await), ["1 Completed"]);
    assert_eq!(listed(&search(&desk, drop_id, "4").await), ["alice Completed"]);
    node.stop_and_assert_invariants().await;
}

/// Inserts purchases as if they were made, by buyers of whom every other has a name that begins with `even`.
async fn insert_purchases(db: &PgPool, drop_id: i64, count: i32) {
    let insert = "with
        buyers as (
            insert into users (username, username_key)
            select name, name from (
                select case when i % 2 = 0 then 'even ' else 'odd ' end || nextval('users_id_seq') as name
                from generate_series(1, $2) i
            ) names
            returning id
        ),
        size as (
            update drop_sizes set available_stock = available_stock - $2 where drop_id = $1 returning id
        ),
        completed as (
            insert into reservations (drop_id, size_id, user_id, price_cents, status, expires_at, settled_at)
            select $1, size.id, buyers.id, 19900, 'completed', now() + interval '1 minute', now()
            from size, buyers order by buyers.id returning *
        )
        insert into purchases (drop_id, size_id, user_id, reservation_id, price_cents)
        select drop_id, size_id, user_id, id, price_cents from completed order by id";
    sqlx::query(insert).bind(drop_id).bind(count).execute(db).await.expect("there is enough stock");
}

#[sqlx::test]
async fn pages_have_each_purchase_once_while_more_are_made(db: PgPool) {
    let node = Node::start(&db).await;
    let desk = Desk::sign_in(&node).await;
    let drop_id = node.create_open_drop(1_000).await;
    let elsewhere = node.create_open_drop(1_000).await;
    for drop in [drop_id, elsewhere, drop_id] {
        insert_purchases(&db, drop, 100).await;
    }
    for (query, count) in [("", 200), ("search=even", 100)] {
        let (mut rows, mut pages, mut next) = (vec![], 0, Some(format!("/admin/drops/{drop_id}/purchases?{query}")));
        while let Some(path) = next {
            let page = desk.get(&path).await.expect_status(200);
            rows.extend(listed(&page));
            pages += 1;
            insert_purchases(&db, drop_id, 10).await;
            let links = page.text.split("href=\"").skip(1).map(|rest| rest.split('"').next().unwrap_or_default());
            next = links.map(|link| link.replace("&amp;", "&")).find(|link| link.contains("before="));
        }
        assert_eq!((rows.len(), pages), (count, count / 50), "{query}");
        let mut numbers: Vec<i64> = rows.iter().filter_map(|row| row.split(' ').nth(1)?.parse().ok()).collect();
        assert!(numbers.is_sorted_by(|newer, older| newer > older), "newest first: {numbers:?}");
        numbers.dedup();
        assert_eq!(numbers.len(), count);
        // What the first walk inserted is not in the way of the second.
        let delete = "delete from purchases where id > 300";
        sqlx::query(delete).execute(&db).await.expect("nothing refers to purchases");
    }
    let beyond = desk.get(&format!("/admin/drops/{drop_id}/purchases?before=1")).await.expect_status(200);
    assert!(beyond.text.contains("There are no older purchases."), "{}", beyond.text);
    for bad in ["before=x", "before=", "before=0", "before=-1", "before=99999999999999999999", "search=a&search=b"] {
        desk.get(&format!("/admin/drops/{drop_id}/purchases?{bad}")).await.expect_status(404);
    }
    node.stop().await;
}

#[sqlx::test]
async fn cancelling_returns_the_pair_and_is_logged_with_the_session(db: PgPool) {
    let node = Node::start(&db).await;
    // So that this is not the first session.
    Desk::sign_in(&node).await;
    let desk = Desk::sign_in(&node).await;
    let drop_id = node.create_open_drop(1).await;
    let [alice, bob] = [node.sign_in("alice").await, node.sign_in("bob").await];
    let purchase_id = buy(&node, &alice, drop_id).await;
    node.reserve(&bob, drop_id).await.expect_error(409, "sold_out");
    let list = desk.get(&format!("/admin/drops/{drop_id}/purchases")).await.expect_status(200).text;
    let path = cancel_path(drop_id, purchase_id);
    assert!(list.contains(&format!("<form method=\"post\" action=\"{path}\">")), "{list}");
    assert!(list.contains(&format!(">Cancel order {purchase_id:06}</button>")), "{list}");

    // Whatever is in it is the reason: quotes, HTML, and another direction.
    let reason = "\"Paid\" <b>twice</b> & 'نورة' said so";
    let form = [("reason", reason), ("search", "al&x=#é"), ("before", "50")];
    let answer = desk.post(&path, &form).await.expect_status(303);
    let address = format!("/admin/drops/{drop_id}/purchases?search=al%26x%3D%23%C3%A9&before=50");
    assert_eq!(answer.header("location"), format!("{address}&done#order-{purchase_id}"));
    let page = desk.get(&address).await.expect_status(200);
    assert!(page.text.contains("value=\"al&amp;x=#é\""), "{}", page.text);

    let page = search(&desk, drop_id, "alice").await;
    assert_eq!(listed(&page), ["alice Cancelled"]);
    let shown = "<p dir=\"auto\" class=\"reason\">\"Paid\" &lt;b&gt;twice&lt;/b&gt; &amp; 'نورة' said so</p>";
    assert!(page.text.contains(shown) && !page.text.contains(&path), "{}", page.text);
    assert!(page.text.contains("<p>0 completed, 1 cancelled</p>"), "{}", page.text);
    let changes = node.request(Method::GET, &format!("/api/drops/{drop_id}/changes")).bearer_auth(ADMIN_TOKEN);
    let changes = send(changes).await.expect_status(200).json;
    let change = &changes["changes"][0];
    assert_eq!((&change["action"], &change["actor"]), (&json!("cancelled"), &json!("session 2")));
    assert_eq!((&change["reason"], &change["purchaseId"]), (&json!(reason), &json!(purchase_id)));
    let order = node.request(Method::GET, &format!("/purchases/{purchase_id}"));
    let order = send(order.header(header::COOKIE, format!("sneakdrop={}", alice.token))).await.expect_status(200).text;
    assert!(order.contains("Cancelled") && order.contains("\"Paid\" &lt;b&gt;twice&lt;/b&gt;"), "{order}");

    // A repetition changes nothing, and the first reason stays.
    desk.post(&path, &[("reason", "Another")]).await.expect_status(303);
    assert_eq!(query_number(&db, "select count(*) from drop_changes where action = 'cancelled'").await, 1);
    assert!(search(&desk, drop_id, "").await.text.contains(shown));
    node.reserve(&bob, drop_id).await.expect_status(201);
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn bad_reason_is_kept_with_the_list_and_the_problem(db: PgPool) {
    let node = Node::start(&db).await;
    let desk = Desk::sign_in(&node).await;
    let drop_id = node.create_open_drop(5).await;
    let people = create_people(&db, 3).await;
    let mut purchases = vec![];
    for person in &people {
        purchases.push(buy(&node, person, drop_id).await);
    }
    let path = cancel_path(drop_id, purchases[0]);
    let before = (purchases[2]).to_string();
    let long = "x".repeat(201);
    for (reason, shown) in [
        ("", ""),
        ("  ", "  "),
        ("\u{202e}esrever", "\u{202e}esrever"),
        ("\"a\"\n<b>", "&quot;a&quot;\n&lt;b&gt;"),
        (&*long, &*long),
    ] {
        let page =
            desk.post(&path, &[("reason", reason), ("search", "guest"), ("before", &before)]).await.expect_status(400);
        assert_eq!(listed(&page).len(), 2, "the same page: {}", page.text);
        assert_eq!(page.text.matches("<details open>").count(), 1, "{}", page.text);
        let (_, form) = page.text.split_once("<details open>").expect("an open form");
        let form = form.split_once("</details>").expect("it ends").0;
        let error =
            format!("id=\"error-{}\" role=\"alert\" class=\"field-error\">The reason must be 1 to 200", purchases[0]);
        for part in
            [&*path, &error, "aria-invalid=\"true\"", "name=\"search\" value=\"guest\"", "name=\"before\" value="]
        {
            assert!(form.contains(part), "{part}: {form}");
        }
        assert!(reason.is_empty() || form.contains(&format!("value=\"{shown}\"")), "{form}");
    }
    assert_eq!(desk.post(&path, &[]).await.expect_status(400).text.matches("<details open>").count(), 1);
    desk.post(&path, &[("reason", "fine"), ("before", "x")]).await.expect_error(400, "malformed_body");
    assert_eq!(query_number(&db, "select count(*) from purchases where status = 'completed'").await, 3);
    let exact = "é".repeat(200);
    desk.post(&path, &[("reason", &exact)]).await.expect_status(303);
    assert!(search(&desk, drop_id, "").await.text.contains(&exact));
    // Who reloads the address of the refused form is back at the list.
    let list = format!("/admin/drops/{drop_id}/purchases");
    assert_eq!(desk.get(&path).await.expect_status(303).header("location"), list);
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn what_is_not_there_is_said_in_words(db: PgPool) {
    let node = Node::start(&db).await;
    let desk = Desk::sign_in(&node).await;
    let (drop_id, other) = (node.create_open_drop(5).await, node.create_open_drop(5).await);
    let purchase_id = buy(&node, &node.sign_in("alice").await, drop_id).await;
    for drop in ["99", "x", "0", "-1", "99999999999999999999"] {
        let page = desk.get(&format!("/admin/drops/{drop}/purchases")).await.expect_status(404);
        assert!(page.text.contains("There is no such drop."), "{}", page.text);
        for reason in ["fine", ""] {
            let path = format!("/admin/drops/{drop}/purchases/{purchase_id}/cancel");
            let page = desk.post(&path, &[("reason", reason)]).await.expect_status(404);
            assert!(page.text.contains("There is no such drop."), "{}", page.text);
        }
    }
    for path in [
        cancel_path(drop_id, 99),
        cancel_path(other, purchase_id),
        format!("/admin/drops/{drop_id}/purchases/x/cancel"),
    ] {
        let page = desk.post(&path, &[("reason", "fine")]).await.expect_status(409);
        assert!(page.text.contains("The drop has no such purchase."), "{}", page.text);
    }
    assert_eq!(query_number(&db, "select count(*) from purchases where status = 'completed'").await, 1);
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn nobody_but_the_admin_on_this_site_sees_or_cancels_purchases(db: PgPool) {
    let node = Node::start(&db).await;
    let desk = Desk::sign_in(&node).await;
    let drop_id = node.create_open_drop(5).await;
    let alice = node.sign_in("alice").await;
    let purchase_id = buy(&node, &alice, drop_id).await;
    let (list, cancel) = (format!("/admin/drops/{drop_id}/purchases"), cancel_path(drop_id, purchase_id));
    let form = [("reason", "fine")];
    for path in [&list, &cancel] {
        let page = node.get(path).await.expect_status(303);
        assert!(!page.text.contains("alice"), "{}", page.text);
    }
    send(node.request(Method::POST, &cancel).form(&form)).await.expect_error(401, "unauthorized");
    let as_alice = node.request(Method::POST, &cancel).header(header::COOKIE, format!("sneakdrop={}", alice.token));
    send(as_alice.form(&form)).await.expect_error(401, "unauthorized");
    for origin in ["http://evil.test", "null"] {
        let foreign = desk.request(Method::POST, &cancel).header(header::ORIGIN, origin);
        send(foreign.form(&form)).await.expect_error(403, "foreign_origin");
        let foreign = desk.request(Method::GET, &list).header(header::ORIGIN, origin);
        send(foreign).await.expect_error(403, "foreign_origin");
    }
    assert_eq!(query_number(&db, "select count(*) from purchases where status = 'completed'").await, 1);
    node.stop_and_assert_invariants().await;
}

/// An index finds the names that are few, and the drop's newest purchases have the others.
#[sqlx::test]
async fn search_reads_neither_all_users_nor_all_purchases(db: PgPool) {
    // Its jobs would read as well.
    let node = Node::start_with(&db, Settings::without_jobs()).await;
    let desk = Desk::sign_in(&node).await;
    let (drop_id, elsewhere) = (node.create_open_drop(100).await, node.create_open_drop(100_000).await);
    for (drop, count) in [(elsewhere, 10_000), (drop_id, 60), (elsewhere, 10_000)] {
        insert_purchases(&db, drop, count).await;
    }
    sqlx::raw_sql("analyze users; analyze purchases").execute(&db).await.expect("tables can be analysed");
    // What the test itself has read is counted before the count begins anew.
    for statement in ["select pg_stat_force_next_flush()", "select pg_stat_reset()"] {
        sqlx::raw_sql(statement).execute(&db).await.expect("the statistics are the test's own");
    }
    for (drop, text, count) in [
        (drop_id, "", 50),
        (drop_id, "nobody", 0),
        (drop_id, "10001", 1),
        (elsewhere, "even", 50),
        (drop_id, "even", 30),
    ] {
        assert_eq!(listed(&search(&desk, drop, text).await).len(), count, "{text}");
    }
    // PostgreSQL counts at the latest when a connection ends.
    node.stop().await;
    let connections =
        "select count(*) from pg_stat_activity where datname = current_database() and application_name = 'sneakdrop'";
    until("the connections have ended", async || (query_number(&db, connections).await == 0).then_some(())).await;
    let read = "select sum(seq_tup_read + coalesce(idx_tup_fetch, 0))::bigint from pg_stat_user_tables
                where relname in ('users', 'purchases')";
    let read = query_number(&db, read).await;
    assert!((300..5_000).contains(&read), "{read} rows");
}

#[sqlx::test]
async fn pair_of_a_cancelled_order_goes_back_on_sale_only_if_the_box_is_ticked(db: PgPool) {
    let node = Node::start(&db).await;
    let desk = Desk::sign_in(&node).await;
    let [alice, bob, carol] = [node.sign_in("alice").await, node.sign_in("bob").await, node.sign_in("carol").await];
    for (restock, by_rest, total, sold_again) in [
        (&[("asked", "restock"), ("restock", "on")][..], json!({ "restock": true }), 2, 201),
        (&[("asked", "restock")][..], json!({ "restock": false }), 0, 409),
        (&[][..], json!({}), 2, 201),
    ] {
        let drop_id = node.create_open_drop(2).await;
        let [by_form, by_call] = [buy(&node, &alice, drop_id).await, buy(&node, &bob, drop_id).await];
        let list = desk.get(&format!("/admin/drops/{drop_id}/purchases")).await.expect_status(200).text;
        let (_, box_and_more) = list.split_once("name=\"restock\" type=\"checkbox\" checked").expect("a ticked box");
        assert!(box_and_more.contains(">Put the pair back on sale</label>"), "{list}");
        let form = [&[("reason", "Paid twice")], restock].concat();
        desk.post(&cancel_path(drop_id, by_form), &form).await.expect_status(303);
        let mut body = by_rest;
        body["reason"] = json!("Paid twice");
        let path = format!("/api/drops/{drop_id}/purchases/{by_call}/cancel");
        let drop = node.post(&path, ADMIN_TOKEN, body).await.expect_status(200).json["drop"].take();
        assert_eq!((&drop["total_stock"], &drop["available_stock"]), (&json!(total), &json!(total)), "{drop}");
        let reserve = async || (node.reserve(&carol, drop_id).await.status == sold_again).then_some(());
        until("what is on sale is what can be reserved", reserve).await;
        let proof = node.request(Method::GET, &format!("/api/drops/{drop_id}/proof")).bearer_auth(ADMIN_TOKEN);
        let proof = send(proof).await.expect_status(200).json;
        assert_eq!(proof["balanced"], json!(true), "{proof}");
        let log = node.request(Method::GET, &format!("/api/drops/{drop_id}/changes")).bearer_auth(ADMIN_TOKEN);
        let newest = send(log).await.expect_status(200).json["changes"][0].take();
        let sizes = |total| if sold_again == 201 { json!({}) } else { json!({ "sizes": { "One size": total } }) };
        assert_eq!((&newest["before"], &newest["after"]), (&sizes(1), &sizes(0)), "{newest}");
        desk.get(&format!("/admin/drops/{drop_id}")).await.expect_status(200);
    }
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn order_is_found_by_its_number_without_its_drop(db: PgPool) {
    let node = Node::start(&db).await;
    let desk = Desk::sign_in(&node).await;
    let drops = [node.create_open_drop(1).await, node.create_open_drop(1).await];
    let alice = node.sign_in("alice").await;
    for drop_id in drops {
        let order = buy(&node, &alice, drop_id).await;
        for search in [format!("{order}"), format!("{order:06}"), format!("%23{order}"), format!("Order+{order:06}")] {
            let found = desk.get(&format!("/admin/orders?search={search}")).await.expect_status(303);
            let path = format!("/admin/drops/{drop_id}/purchases?search={order:06}");
            assert_eq!(found.header("location"), format!("{path}#order-{order}"));
            assert_eq!(listed(&desk.get(&path).await), ["alice Completed"]);
        }
    }
    for unknown in ["99", "alice", "", "99999999999999999999", "%3Cb%3E"] {
        let page = desk.get(&format!("/admin/orders?search={unknown}")).await.expect_status(404);
        assert!(page.text.contains("No order has the number") && !page.text.contains("<b>"), "{}", page.text);
    }
    let list = desk.get("/admin").await.expect_status(200).text;
    assert!(list.contains("action=\"/admin/orders\""), "{list}");
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn reason_can_be_removed_and_the_log_keeps_who_removed_it(db: PgPool) {
    let node = Node::start(&db).await;
    let desk = Desk::sign_in(&node).await;
    let drop_id = node.create_open_drop(2).await;
    let alice = node.sign_in("alice").await;
    let order = buy(&node, &alice, drop_id).await;
    let path = format!("/admin/drops/{drop_id}/purchases/{order}/remove-reason");
    desk.post(&path, &[]).await.expect_status(303);
    let reason = "Called +49 30 1234567";
    desk.post(&cancel_path(drop_id, order), &[("reason", reason)]).await.expect_status(303);
    let blank = "update drop_changes set reason = null where reason is not null";
    let refused = sqlx::query(blank).execute(&db).await.expect_err("nobody says who removes it");
    assert_eq!(refused.as_database_error().and_then(|error| error.constraint()), Some("drop_changes_append_only"));

    let list = desk.get(&format!("/admin/drops/{drop_id}/purchases")).await.text;
    assert!(list.contains(reason) && list.contains(&path), "{list}");
    for _ in 0..2 {
        let done = desk.post(&path, &[("search", "alice")]).await.expect_status(303);
        let address = format!("/admin/drops/{drop_id}/purchases?search=alice&done#order-{order}");
        assert_eq!(done.header("location"), address);
    }
    let receipt = node.request(Method::GET, &format!("/purchases/{order}")).bearer_auth(&alice.token);
    for page in [
        desk.get(&format!("/admin/drops/{drop_id}/purchases")).await,
        desk.get(&format!("/admin/drops/{drop_id}/log")).await,
        desk.get(&format!("/admin/drops/{drop_id}/purchases.csv")).await,
        send(receipt).await,
    ] {
        let page = page.expect_status(200).text;
        assert!(!page.contains("1234567") && page.to_lowercase().contains("cancelled"), "{page}");
    }
    let log = desk.get(&format!("/admin/drops/{drop_id}/log")).await.text;
    assert_eq!(log.matches(&format!("Reason of order {order:06} removed")).count(), 1, "{log}");
    assert!(log.contains("Desk session 1"), "{log}");
    let reasons = "select count(cancel_reason) + (select count(reason) from drop_changes) from purchases";
    assert_eq!(query_number(&db, reasons).await, 0);
    // It opens nothing else of the log.
    for forgery in [
        "update drop_changes set actor = 'nobody', reason = null",
        "update drop_changes set reason = 'Another' where action = 'cancelled'",
        "update drop_changes set user_id = null where action = 'cancelled'",
        "delete from drop_changes where action = 'cancelled'",
    ] {
        let refused = sqlx::query(forgery).execute(&db).await.expect_err("the log is append-only");
        assert_eq!(refused.as_database_error().and_then(|error| error.constraint()), Some("drop_changes_append_only"));
    }
    desk.post(&format!("/admin/drops/{drop_id}/purchases/99/remove-reason"), &[]).await.expect_status(409);
    node.stop_and_assert_invariants().await;
}
