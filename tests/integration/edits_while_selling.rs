//! What those who run a drop change while it sells: pages, lists and buyers have it at once, and no answer is wrong about it.

use crate::support::{
    ADMIN_TOKEN, Answer, Api, Node, Person, Settings, Subscriber, id_of, new_drop, query_number, send, soon, until,
};
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgPool};

/// Runs `work` while these people reserve and release without a pause, each of a drop on a node.
async fn while_selling<T>(buyers: &[(&Node, &Person, i64, &str)], work: impl Future<Output = T>) -> T {
    let sale = join_all(buyers.iter().map(async |(node, person, drop_id, size)| {
        loop {
            node.reserve_size(person, *drop_id, size).await;
            node.release(person, *drop_id).await;
        }
    }));
    tokio::select! {
        result = work => result,
        _ = sale => unreachable!("the sale goes on"),
    }
}

async fn steer(api: &Api, method: Method, path: &str, body: Value) -> Answer {
    send(api.request(method, path).bearer_auth(ADMIN_TOKEN).json(&body)).await
}

async fn act(api: &Api, drop_id: i64, action: &str) -> Answer {
    steer(api, Method::POST, &format!("/api/drops/{drop_id}/{action}"), json!({})).await.expect_status(200)
}

async fn change(api: &Api, drop_id: i64, fields: Value) -> Answer {
    let path = format!("/api/drops/{drop_id}");
    let mut body = fields;
    body["editVersion"] = steer(api, Method::GET, &path, json!({})).await.json["drop"]["editVersion"].clone();
    steer(api, Method::PATCH, &path, body).await.expect_status(200)
}

async fn cancel(api: &Api, drop_id: i64, purchase_id: i64) -> Answer {
    let path = format!("/api/drops/{drop_id}/purchases/{purchase_id}/cancel");
    steer(api, Method::POST, &path, json!({ "reason": "Paid twice" })).await
}

/// The drop as it is in a node's list.
async fn listed(node: &Node, drop_id: i64) -> Option<Value> {
    let drops = node.get("/api/drops").await.json["drops"].take();
    drops.as_array()?.iter().find(|drop| drop["id"] == drop_id).cloned()
}

/// A person's only purchase of a drop, made now.
async fn buy(node: &Node, person: &Person, drop_id: i64) -> i64 {
    node.reserve(person, drop_id).await.expect_status(201);
    node.purchase(person, drop_id).await.expect_status(200).purchase_id()
}

#[sqlx::test]
async fn edits_reach_every_page_and_list_while_the_drop_sells(db: PgPool) {
    let node = Node::start(&db).await;
    let other = node.start_another(Settings::default()).await;
    let sizes = json!([{ "label": "S", "stock": 9 }, { "label": "M", "stock": 9 }]);
    let drop_id = id_of(&node.create_drop(new_drop(&json!({ "totalStock": null, "sizes": sizes }))).await);
    let [alice, bob, carol] = [node.sign_in("alice").await, node.sign_in("bob").await, node.sign_in("carol").await];
    let mut pages = [Subscriber::connect(&node, None).await, Subscriber::connect(&other, None).await];
    for page in &mut pages {
        soon("every page has it", page.until(|page| page.drops.contains_key(&drop_id))).await;
    }
    let buyers = [(&node, &alice, drop_id, "S"), (&node, &bob, drop_id, "M"), (&other, &carol, drop_id, "M")];
    // An account that loops on the node of the edit or on the other one, and several people on both.
    for buyers in [&buyers[..1], &buyers[2..], &buyers] {
        while_selling(buyers, async {
            for (editor, price) in [(&node, 100), (&other, 200)] {
                let fields = json!({
                    "name": "Court 77", "priceCents": price, "limitPerUser": 3, "endsAt": "2100-01-01T00:00:00Z",
                    "description": "New.",
                });
                let shown = json!({
                    "name": "Court 77", "price_cents": price, "limit_per_user": 3, "ends_at": "2100-01-01T00:00:00Z",
                    "description": "New.",
                });
                let answer = change(editor, drop_id, fields).await;
                assert!(shows(&answer.json["drop"], &shown), "{}", answer.text);
                assert_shown(&mut pages, [&node, &other], drop_id, &shown).await;
                change(editor, drop_id, json!({ "name": "Court 76", "limitPerUser": null, "endsAt": null })).await;
                let shown = json!({ "name": "Court 76", "limit_per_user": null, "ends_at": null });
                assert_shown(&mut pages, [&node, &other], drop_id, &shown).await;
                for (action, paused) in [("pause", true), ("resume", false)] {
                    act(editor, drop_id, action).await;
                    assert_shown(&mut pages, [&node, &other], drop_id, &json!({ "paused": paused })).await;
                }
                let price = 1_000 + query_number(&db, "select version from drops").await;
                let sql = format!("update drops set price_cents = {price}");
                sqlx::query(AssertSqlSafe(sql)).execute(&db).await.expect("a valid price");
                assert_shown(&mut pages, [&node, &other], drop_id, &json!({ "price_cents": price })).await;
            }
        })
        .await;
    }
    let buyer = &buyers[..1];
    while_selling(buyer, async {
        let stock = format!("/api/drops/{drop_id}/stock");
        let size = json!({ "size": "L", "add": 3, "newSize": true });
        steer(&node, Method::POST, &stock, size).await.expect_status(200);
        for page in &mut pages {
            soon(
                "every page has it",
                page.until(|page| page.drops[&drop_id].sizes.iter().any(|size| size.label == "L")),
            )
            .await;
            assert_eq!(page.drops[&drop_id].total_stock, 21);
        }
    })
    .await;
    node.until_catalog_matches_database().await;
    other.until_catalog_matches_database().await;
    other.stop().await;
    node.stop_and_assert_invariants().await;
}

fn shows(drop: &Value, fields: &Value) -> bool {
    fields.as_object().expect("an object").iter().all(|(field, value)| drop[field] == *value)
}

/// Every page and every list shows these fields.
async fn assert_shown(pages: &mut [Subscriber], nodes: [&Node; 2], drop_id: i64, fields: &Value) {
    for page in pages {
        soon("every page has it", page.until(|page| shows(&json!(page.drops[&drop_id]), fields))).await;
    }
    for node in nodes {
        until(&format!("the list has {fields}"), async || {
            listed(node, drop_id).await.filter(|drop| shows(drop, fields)).map(drop)
        })
        .await;
    }
}

#[sqlx::test]
async fn drops_come_and_go_while_another_sells(db: PgPool) {
    let node = Node::start(&db).await;
    let other = node.start_another(Settings::default()).await;
    let selling = node.create_open_drop(5).await;
    let [alice, bob] = [node.sign_in("alice").await, node.sign_in("bob").await];
    let mut pages = [Subscriber::connect(&node, None).await, Subscriber::connect(&other, None).await];
    while_selling(&[(&node, &alice, selling, "One size"), (&other, &bob, selling, "One size")], async {
        let upcoming = json!({ "startsAt": "2100-01-01T00:00:00Z", "draft": true });
        let drop_id = id_of(&node.create_drop(new_drop(&upcoming)).await);
        for action in ["publish", "unpublish", "publish", "unpublish", "archive"] {
            let answer = act(&node, drop_id, action).await;
            let is_published = answer.json["drop"]["status"] == "published";
            for page in &mut pages {
                soon("every page has it", page.until(|page| page.drops.contains_key(&drop_id) == is_published)).await;
            }
        }
    })
    .await;
    other.stop().await;
    node.stop_and_assert_invariants().await;
}

/// Reading the drop back would fail as soon as the edit is committed.
#[sqlx::test]
async fn edit_is_answered_with_what_it_committed_itself(db: PgPool) {
    let node = Node::start_with(&db, Settings::without_jobs()).await;
    let drop_id = node.create_open_drop(5).await;
    let alice = node.sign_in("alice").await;
    let purchase_id = buy(&node, &alice, drop_id).await;
    let hide_at_commit = "create function hide() returns trigger language plpgsql as $$
        begin alter table drop_descriptions rename to hidden; return null; end $$;
        create constraint trigger hide after insert on drop_changes deferrable initially deferred
            for each row execute function hide()";
    sqlx::raw_sql(hide_at_commit).execute(&db).await.expect("the trigger is valid");
    let stock = json!({ "size": "One size", "add": 100 });
    for (method, path, body, field, value) in [
        (Method::PATCH, "", json!({ "editVersion": 1, "name": "Court 77" }), "name", json!("Court 77")),
        (Method::POST, "/stock", stock.clone(), "total_stock", json!(105)),
        (Method::POST, "/stock", stock, "total_stock", json!(205)),
        (Method::POST, "/pause", json!({}), "paused", json!(true)),
        (Method::POST, "/resume", json!({}), "paused", json!(false)),
        (
            Method::POST,
            &format!("/purchases/{purchase_id}/cancel"),
            json!({ "reason": "Paid twice" }),
            "available_stock",
            json!(205),
        ),
    ] {
        let answer = steer(&node, method, &format!("/api/drops/{drop_id}{path}"), body).await;
        assert_eq!(answer.expect_status(200).json["drop"][field], value, "{path}");
        sqlx::query("alter table hidden rename to drop_descriptions").execute(&db).await.expect("it was committed");
    }
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn cancelled_purchaser_of_any_age_leaves_every_list(db: PgPool) {
    let node = Node::start(&db).await;
    let other = node.start_another(Settings::default()).await;
    let drop_id = node.create_open_drop(30).await;
    let mut purchases = vec![];
    let mut people = vec![];
    for index in 0..6 {
        let person = node.sign_in(&format!("buyer {index}")).await;
        purchases.push(buy(&node, &person, drop_id).await);
        people.push(person);
    }
    let dan = node.sign_in("dan").await;
    other.until_catalog_matches_database().await;
    let mut pages = [Subscriber::connect(&node, None).await, Subscriber::connect(&other, None).await];
    let ids = |page: &Subscriber| -> Vec<i64> {
        let listed = page.drops.get(&drop_id).into_iter().flat_map(|drop| &drop.latest_purchasers);
        listed.map(|purchaser| purchaser.purchase_id).collect()
    };
    // The oldest, one in the middle, the newest, until nobody is left.
    for (index, is_selling) in [(0, false), (1, true), (3, false), (1, true), (0, false), (0, false)] {
        let cancelled = purchases.remove(index.min(purchases.len() - 1));
        let expected: Vec<_> = purchases.iter().rev().copied().collect();
        let follow = async {
            cancel(&node, drop_id, cancelled).await.expect_status(200);
            for (page, node) in pages.iter_mut().zip([&node, &other]) {
                soon(&format!("{expected:?} is listed"), page.until(|page| ids(page) == expected)).await;
                let body = [("drop_id", drop_id.to_string())];
                until("the page's list has nobody else", async || {
                    let listed = send(node.request(Method::POST, "/rpc/purchasers").form(&body)).await;
                    let ids: Vec<_> =
                        listed.json.as_array()?.iter().filter_map(|row| row["purchase_id"].as_i64()).collect();
                    (ids == expected).then_some(())
                })
                .await;
            }
        };
        match is_selling {
            true => while_selling(&[(&node, &dan, drop_id, "One size")], follow).await,
            false => follow.await,
        }
    }
    other.stop().await;
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn buyers_hear_of_a_limit_that_is_set_later(db: PgPool) {
    let node = Node::start(&db).await;
    let other = node.start_another(Settings::default()).await;
    let drop_id = node.create_open_drop(30).await;
    let alice = node.sign_in("alice").await;
    for _ in 0..3 {
        buy(&node, &alice, drop_id).await;
    }
    let mut pages = [Subscriber::connect(&node, Some(&alice)).await, Subscriber::connect(&other, Some(&alice)).await];
    for limit in [2, 3, 1] {
        change(&node, drop_id, json!({ "limitPerUser": limit })).await;
        for page in &mut pages {
            soon("the buyer hears of it", page.until_visitor(|visitor| visitor.purchases.len() == limit)).await;
        }
        node.reserve(&alice, drop_id).await.expect_error(409, "limit_reached");
    }
    other.stop().await;
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn buyer_of_an_older_past_drop_hears_of_a_cancellation(db: PgPool) {
    let node = Node::start(&db).await;
    let other = node.start_another(Settings::default()).await;
    let drop_id = node.create_open_drop(30).await;
    let alice = node.sign_in("alice").await;
    let purchases = [buy(&node, &alice, drop_id).await, buy(&node, &alice, drop_id).await];
    let past = "with new as (
            insert into drops (name, price_cents, starts_at, sold_out_since)
            select 'Past ' || n, 100, now() - interval '1 year', now() - interval '1 month' from generate_series(1, 12) n
            returning id
        )
        insert into drop_sizes (drop_id, label, position, total_stock, available_stock)
        select id, 'One size', 1, 0, 0 from new";
    sqlx::query(past).execute(&db).await.expect("the drops are valid");
    sqlx::query(
        "update drops set starts_at = now() - interval '3 years', ends_at = now() - interval '2 years' where id = $1",
    )
    .bind(drop_id)
    .execute(&db)
    .await
    .expect("a valid window");
    for node in [&node, &other] {
        until("it is not current", async || {
            let page = Subscriber::connect(node, None).await;
            (page.drops.len() == 12 && !page.drops.contains_key(&drop_id)).then_some(())
        })
        .await;
    }
    let mut pages = [Subscriber::connect(&node, Some(&alice)).await, Subscriber::connect(&other, Some(&alice)).await];
    for purchase_id in purchases {
        cancel(&node, drop_id, purchase_id).await.expect_status(200);
        for page in &mut pages {
            soon(
                "the buyer hears of it",
                page.until_visitor(|visitor| visitor.cancelled_purchases.contains(&purchase_id)),
            )
            .await;
        }
    }
    other.stop().await;
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn draft_is_like_a_drop_that_does_not_exist(db: PgPool) {
    let node = Node::start(&db).await;
    // An id whose digits stand nowhere else on a page.
    sqlx::query("alter sequence drops_id_seq restart with 770077").execute(&db).await.expect("the sequence");
    let draft = id_of(&node.create_drop(new_drop(&json!({ "draft": true }))).await);
    let unknown = draft + 1_000;
    let alice = node.sign_in("alice").await;
    for (method, path) in [
        (Method::POST, "/api/drops/ID/reserve"),
        (Method::POST, "/api/drops/ID/purchase"),
        (Method::DELETE, "/api/drops/ID/reservation"),
        (Method::GET, "/drops/ID"),
        (Method::GET, "/drops/ID.ics"),
        (Method::POST, "/rpc/reserve?drop_id=ID"),
        (Method::POST, "/rpc/purchase?drop_id=ID"),
        (Method::POST, "/rpc/release?drop_id=ID"),
        (Method::POST, "/rpc/purchasers?drop_id=ID"),
        (Method::POST, "/api/drops/reserve?drop_id=ID"),
    ] {
        let [draft, unknown] = [draft, unknown].map(async |id| {
            let id = id.to_string();
            let path = path.replace("ID", &id);
            let (path, query) = path.split_once('?').unwrap_or((&path, ""));
            let request = node.request(method.clone(), path).bearer_auth(&alice.token);
            let request = match query {
                "" => request,
                _ if path.starts_with("/rpc") => {
                    request.form(&[("drop_id", id.clone()), ("user_id", alice.id.to_string())])
                }
                _ => request.json(&json!({ "drop_id": id.parse::<i64>().expect("a number") })),
            };
            let answer = send(request).await;
            (answer.status, answer.code().to_owned(), answer.text.replace(&id, "ID").len())
        });
        let (draft, unknown) = (draft.await, unknown.await);
        assert_eq!((draft.0, &draft.1), (404, &unknown.1), "{method} {path}");
        assert_eq!(unknown.0, 404, "{method} {path}");
        // Times have more or fewer digits.
        assert!(draft.2.abs_diff(unknown.2) < 20, "{method} {path}: {} and {} bytes", draft.2, unknown.2);
    }
    node.stop_and_assert_invariants().await;
}
