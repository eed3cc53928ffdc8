//! What the people who run a drop do with it, while it sells.

use crate::support::{
    ADMIN_TOKEN, Answer, Api, Node, Settings, Subscriber, concurrently, create_people, id_of, new_drop, query_number,
    send, until,
};
use chrono::{DateTime, Utc};
use reqwest::Method;
use serde_json::{Value, json};
use sneakdrop::domain::event::ServerEvent;
use sqlx::PgPool;

/// Calls the API as the admin, again while the answer is `unavailable`: nothing was changed then, and a slow machine may be busy.
async fn steer(api: &Api, method: Method, path: &str, body: Value) -> Answer {
    until("the answer is not unavailable", async || {
        let answer = send(api.request(method.clone(), path).bearer_auth(ADMIN_TOKEN).json(&body)).await;
        (answer.code() != "unavailable").then_some(answer)
    })
    .await
}

async fn act(api: &Api, drop_id: i64, action: &str) -> Answer {
    steer(api, Method::POST, &format!("/api/drops/{drop_id}/{action}"), json!({})).await
}

async fn managed(api: &Api, drop_id: i64) -> Value {
    let answer = steer(api, Method::GET, &format!("/api/drops/{drop_id}"), json!({})).await;
    answer.expect_status(200).json["drop"].take()
}

/// Changes fields of the drop as it is now.
async fn change(api: &Api, drop_id: i64, fields: Value) -> Answer {
    let mut body = fields;
    body["editVersion"] = managed(api, drop_id).await["editVersion"].clone();
    steer(api, Method::PATCH, &format!("/api/drops/{drop_id}"), body).await
}

async fn add(api: &Api, drop_id: i64, size: &str, pairs: i32) -> Answer {
    steer(api, Method::POST, &format!("/api/drops/{drop_id}/stock"), json!({ "size": size, "add": pairs })).await
}

async fn cancel(api: &Api, drop_id: i64, purchase_id: i64) -> Answer {
    let path = format!("/api/drops/{drop_id}/purchases/{purchase_id}/cancel");
    steer(api, Method::POST, &path, json!({ "reason": "Paid twice" })).await
}

#[sqlx::test]
async fn draft_is_invisible_until_it_is_published(db: PgPool) {
    let node = Node::start(&db).await;
    let other = node.start_another(Settings::default()).await;
    let alice = node.sign_in("alice").await;
    let mut page = Subscriber::connect(&other, None).await;
    let drop_id = id_of(&node.create_drop(new_drop(&json!({ "draft": true }))).await);
    let listed = async || node.get("/api/drops").await.json["drops"].as_array().expect("a list").len();
    node.reconcile_now().await;
    assert_eq!(listed().await, 0);
    node.get(&format!("/drops/{drop_id}")).await.expect_status(404);
    node.get(&format!("/drops/{drop_id}.ics")).await.expect_status(404);
    node.reserve(&alice, drop_id).await.expect_error(404, "not_found");
    change(&node, drop_id, json!({ "sizes": [{ "label": "S", "stock": 2 }, { "label": "M", "stock": 1 }] }))
        .await
        .expect_status(200);
    act(&node, drop_id, "publish").await.expect_status(200);
    page.until(|page| page.drops.contains_key(&drop_id)).await;
    assert_eq!(page.drops[&drop_id].sizes.len(), 2);
    until("the list has it", async || (listed().await == 1).then_some(())).await;
    node.reserve_size(&alice, drop_id, "S").await.expect_status(201);
    act(&node, drop_id, "unpublish").await.expect_error(409, "has_started");
    other.stop().await;
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn drop_that_became_a_draft_or_was_archived_leaves_every_page(db: PgPool) {
    let node = Node::start(&db).await;
    let upcoming = id_of(&node.create_drop(new_drop(&json!({ "startsAt": "2100-01-01T00:00:00Z" }))).await);
    let live = node.create_open_drop(1).await;
    let alice = node.sign_in("alice").await;
    let mut page = Subscriber::connect(&node, None).await;
    act(&node, upcoming, "unpublish").await.expect_status(200);
    page.until(|page| !page.drops.contains_key(&upcoming)).await;
    act(&node, live, "archive").await.expect_error(409, "not_over");
    node.reserve(&alice, live).await.expect_status(201);
    act(&node, live, "end").await.expect_status(200);
    act(&node, live, "archive").await.expect_error(409, "not_over");
    node.purchase(&alice, live).await.expect_status(200);
    act(&node, live, "archive").await.expect_status(200);
    page.until(|page| page.drops.is_empty()).await;
    node.get(&format!("/drops/{live}")).await.expect_status(404);
    assert!(!node.get("/drops/past").await.expect_status(200).text.contains("Volt Runner"));
    // What was bought stays bought.
    node.purchase(&alice, live).await.expect_status(200);
    act(&node, live, "publish").await.expect_status(200);
    page.until(|page| page.drops.contains_key(&live)).await;
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn edits_reach_every_page_as_one_event_and_holders_keep_their_price(db: PgPool) {
    let node = Node::start(&db).await;
    let other = node.start_another(Settings::default()).await;
    let drop_id = node.create_open_drop(5).await;
    let alice = node.sign_in("alice").await;
    node.reserve(&alice, drop_id).await.expect_status(201);
    let mut pages = [Subscriber::connect(&node, None).await, Subscriber::connect(&other, None).await];
    for page in &mut pages {
        page.until(|page| page.drops.get(&drop_id).is_some_and(|drop| drop.held_stock == 1)).await;
    }
    let fields = json!({
        "name": "Volt Runner II", "description": " First. \n\n\n Second. ", "priceCents": 100, "limitPerUser": 2,
        "imageUrl": "/shoes/x.svg", "endsAt": "2100-01-01T00:00:00Z",
    });
    let before = managed(&node, drop_id).await;
    let after = change(&node, drop_id, fields).await.expect_status(200).json["drop"].take();
    assert_eq!(after["version"].as_i64(), before["version"].as_i64().map(|version| version + 1));
    assert_eq!(after["editVersion"].as_i64(), before["editVersion"].as_i64().map(|version| version + 1));
    for page in &mut pages {
        // Whatever tells of this version is the whole drop.
        let event = loop {
            let event = page.next().await;
            if page.drops[&drop_id].version >= after["version"].as_i64().expect("a number") {
                break event;
            }
        };
        assert!(matches!(&event, ServerEvent::DropUpdated(updated) if updated.drop.id == drop_id), "{event:?}");
        let drop = &page.drops[&drop_id];
        assert_eq!((&*drop.name, &*drop.description, drop.price_cents), ("Volt Runner II", "First.\n\nSecond.", 100));
    }
    assert_eq!(node.purchase(&alice, drop_id).await.expect_status(200).json["purchase"]["price_cents"], 19_900);
    change(&node, drop_id, json!({ "description": "", "imageUrl": null, "limitPerUser": null, "endsAt": null }))
        .await
        .expect_status(200);
    for page in &mut pages {
        page.until(|page| page.drops[&drop_id].description.is_empty()).await;
        let drop = &page.drops[&drop_id];
        assert_eq!((&drop.image_url, drop.limit_per_user, drop.ends_at), (&None, None, None));
    }
    other.stop().await;
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn paused_drop_sells_only_what_is_held(db: PgPool) {
    let node = Node::start(&db).await;
    let drop_id = node.create_open_drop(2).await;
    let [alice, bob] = [node.sign_in("alice").await, node.sign_in("bob").await];
    let mut page = Subscriber::connect(&node, None).await;
    node.reserve(&alice, drop_id).await.expect_status(201);
    act(&node, drop_id, "pause").await.expect_status(200);
    page.until(|page| page.drops[&drop_id].paused).await;
    node.reserve(&bob, drop_id).await.expect_error(409, "paused");
    assert_eq!(node.get("/api/drops").await.json["drops"][0]["paused"], true);
    assert_eq!(node.get("/dialect2/api/drops").await.json[0]["paused"], true);
    // Retries change nothing.
    let version = managed(&node, drop_id).await["version"].clone();
    assert_eq!(act(&node, drop_id, "pause").await.expect_status(200).json["drop"]["version"], version);
    node.reserve(&alice, drop_id).await.expect_status(200);
    node.purchase(&alice, drop_id).await.expect_status(200);
    act(&node, drop_id, "resume").await.expect_status(200);
    page.until(|page| !page.drops[&drop_id].paused).await;
    node.reserve(&bob, drop_id).await.expect_status(201);
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn pairs_come_and_go_but_never_held_or_sold_ones(db: PgPool) {
    let node = Node::start(&db).await;
    let sizes = json!([{ "label": "S", "stock": 2 }, { "label": "M", "stock": 1 }]);
    let drop_id = id_of(&node.create_drop(new_drop(&json!({ "totalStock": null, "sizes": sizes }))).await);
    let [alice, bob] = [node.sign_in("alice").await, node.sign_in("bob").await];
    let stock = format!("/api/drops/{drop_id}/stock");
    node.reserve_size(&alice, drop_id, "S").await.expect_status(201);
    let take = async |pairs| steer(&node, Method::POST, &stock, json!({ "size": "S", "takeBack": pairs })).await;
    let refused = take(2).await.expect_error(409, "not_available");
    assert_eq!(refused.json["available"], 1);
    take(1).await.expect_status(200);
    node.reserve_size(&bob, drop_id, "S").await.expect_error(409, "sold_out");
    let added = add(&node, drop_id, "S", 10).await.expect_status(200);
    assert_eq!(added.json["drop"]["sizes"][0], json!({ "label": "S", "total_stock": 11, "available_stock": 10 }));
    add(&node, drop_id, "L", 1).await.expect_error(409, "no_such_size");
    let new_size = json!({ "size": "L", "add": 3, "newSize": true });
    steer(&node, Method::POST, &stock, new_size.clone()).await.expect_status(200);
    steer(&node, Method::POST, &stock, new_size).await.expect_error(409, "size_exists");
    for same in ["l", "\u{ff2c}", "L\u{fe0f}"] {
        let new_size = json!({ "size": same, "add": 3, "newSize": true });
        steer(&node, Method::POST, &stock, new_size).await.expect_error(409, "size_exists");
    }
    until("the node knows the size", async || {
        (node.reserve_size(&bob, drop_id, "L").await.status == 201).then_some(())
    })
    .await;
    for (body, field) in [
        (json!({ "size": "S" }), "add"),
        (json!({ "size": "S", "add": 0 }), "add"),
        (json!({ "size": "S", "add": 1_000_000 }), "add"),
        (json!({ "size": "XL", "add": 999_999, "newSize": true }), "add"),
        (json!({ "size": "S", "takeBack": 1, "newSize": true }), "takeBack"),
        (json!({ "size": "S", "take_back": 1 }), "take_back"),
        (json!({ "size": "S", "add": 1, "takeBack": 1 }), "takeBack"),
        (json!({ "add": 1 }), "size"),
        (json!({ "size": "S", "add": 1, "colour": "red" }), "colour"),
    ] {
        let refused = steer(&node, Method::POST, &stock, body.clone()).await.expect_error(400, "invalid_field");
        assert_eq!(refused.json["field"], field, "{body}");
    }
    // A repetition of what names the edit version moves pairs once.
    let once = json!({ "size": "M", "add": 5, "editVersion": managed(&node, drop_id).await["editVersion"] });
    steer(&node, Method::POST, &stock, once.clone()).await.expect_status(200);
    steer(&node, Method::POST, &stock, once).await.expect_error(409, "edited_meanwhile");
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn added_pair_of_a_sold_out_drop_can_be_reserved_on_every_node(db: PgPool) {
    let node = Node::start(&db).await;
    let other = node.start_another(Settings::default()).await;
    let drop_id = node.create_open_drop(1).await;
    let [alice, bob, carol] = [node.sign_in("alice").await, node.sign_in("bob").await, node.sign_in("carol").await];
    node.reserve(&alice, drop_id).await.expect_status(201);
    node.purchase(&alice, drop_id).await.expect_status(200);
    for node in [&node, &other] {
        until("it is sold out from memory", async || node.refuses_from_memory(bob.id, drop_id, None).then_some(()))
            .await;
    }
    add(&node, drop_id, "One size", 2).await.expect_status(200);
    for (node, person) in [(&node, &bob), (&other, &carol)] {
        until("a pair is there", async || (node.reserve(person, drop_id).await.status == 201).then_some(())).await;
    }
    other.stop().await;
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn cancelled_purchase_gives_its_pair_back_and_its_buyer_another_chance(db: PgPool) {
    let node = Node::start(&db).await;
    let other = node.start_another(Settings::default()).await;
    let drop_id = id_of(&node.create_drop(new_drop(&json!({ "totalStock": 1, "limitPerUser": 1 }))).await);
    let [alice, bob] = [node.sign_in("alice").await, node.sign_in("bob").await];
    let mut pages = [Subscriber::connect(&other, Some(&alice)).await, Subscriber::connect(&node, Some(&alice)).await];
    node.reserve(&alice, drop_id).await.expect_status(201);
    let purchase_id = node.purchase(&alice, drop_id).await.expect_status(200).purchase_id();
    for page in &mut pages {
        page.until(|page| page.drops.get(&drop_id).is_some_and(|drop| drop.is_sold_out())).await;
    }
    cancel(&node, drop_id, purchase_id + 1).await.expect_error(409, "no_such_purchase");
    cancel(&node, drop_id, purchase_id).await.expect_status(200);
    cancel(&node, drop_id, purchase_id).await.expect_status(200);
    for page in &mut pages {
        page.until(|page| page.drops[&drop_id].available_stock == 1).await;
        assert!(page.drops[&drop_id].latest_purchasers.is_empty());
        page.until_visitor(|visitor| visitor.cancelled_purchases == [purchase_id]).await;
        assert!(page.visitor.as_ref().is_some_and(|visitor| visitor.purchases.is_empty()));
    }
    node.purchase(&alice, drop_id).await.expect_error(409, "cancelled");
    assert_eq!(query_number(&db, "select count(*) from drops where sold_out_since is not null").await, 0);
    let order = send(node.request(Method::GET, &format!("/purchases/{purchase_id}")).bearer_auth(&alice.token)).await;
    let order = order.expect_status(200).text;
    assert!(order.contains("Cancelled") && order.contains("Paid twice"), "{order}");
    node.reserve(&alice, drop_id).await.expect_status(201);
    node.purchase(&alice, drop_id).await.expect_status(200);
    node.reserve(&bob, drop_id).await.expect_error(409, "sold_out");
    other.stop().await;
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn second_of_two_editors_sees_that_the_drop_was_edited(db: PgPool) {
    let node = Node::start(&db).await;
    let drop_id = node.create_open_drop(5).await;
    let alice = node.sign_in("alice").await;
    let path = format!("/api/drops/{drop_id}");
    let seen = managed(&node, drop_id).await["editVersion"].clone();
    // Sales are no edits.
    node.reserve(&alice, drop_id).await.expect_status(201);
    node.purchase(&alice, drop_id).await.expect_status(200);
    let first = json!({ "editVersion": seen, "name": "First" });
    steer(&node, Method::PATCH, &path, first).await.expect_status(200);
    let second = json!({ "editVersion": seen, "name": "Second" });
    let refused = steer(&node, Method::PATCH, &path, second).await.expect_error(409, "edited_meanwhile");
    assert_eq!(refused.json["editVersion"], managed(&node, drop_id).await["editVersion"]);
    assert_eq!(managed(&node, drop_id).await["name"], "First");
    let missing = steer(&node, Method::PATCH, &path, json!({ "name": "Third" })).await;
    assert_eq!(missing.expect_error(400, "invalid_field").json["field"], "editVersion");
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn every_action_reads_its_body_like_every_call_of_the_admin(db: PgPool) {
    let node = Node::start(&db).await;
    let drop_id = node.create_open_drop(5).await;
    let seen = managed(&node, drop_id).await["editVersion"].clone();
    change(&node, drop_id, json!({ "name": "Edited" })).await.expect_status(200);
    let before = managed(&node, drop_id).await;
    for action in ["publish", "unpublish", "pause", "resume", "end", "archive"] {
        let path = format!("/api/drops/{drop_id}/{action}");
        let send_text = async |content_type: &str, body: &'static str| {
            let request = node.request(Method::POST, &path).bearer_auth(ADMIN_TOKEN);
            send(request.header("content-type", content_type).body(body)).await
        };
        for malformed in ["{", "nonsense", "[]", "null", "\"text\"", "{\"editVersion\":}", "{}{}"] {
            send_text("application/json", malformed).await.expect_error(400, "malformed_body");
        }
        send_text("text/plain", "{}").await.expect_error(415, "wrong_content_type");
        for (body, field) in [
            (json!({ "colour": "red" }), "colour"),
            (json!({ "edit_version": 1 }), "edit_version"),
            (json!({ "editVersion": seen, "expected": 1 }), "expected"),
            (json!({ "editVersion": "first" }), "editVersion"),
            (json!({ "editVersion": 0 }), "editVersion"),
            (json!({ "editVersion": [] }), "editVersion"),
        ] {
            let refused = steer(&node, Method::POST, &path, body).await.expect_error(400, "invalid_field");
            assert_eq!(refused.json["field"], field, "{action}");
        }
        let refused = steer(&node, Method::POST, &path, json!({ "editVersion": seen })).await;
        assert_eq!(refused.expect_error(409, "edited_meanwhile").json["editVersion"], before["editVersion"]);
    }
    assert_eq!(managed(&node, drop_id).await, before);
    let act_with = async |action: &str, body: Value| {
        let path = format!("/api/drops/{drop_id}/{action}");
        steer(&node, Method::POST, &path, body).await.expect_status(200).json["drop"].take()
    };
    assert_eq!(act_with("pause", json!({ "editVersion": before["editVersion"] })).await["paused"], true);
    assert_eq!(act_with("resume", json!({ "editVersion": null })).await["paused"], false);
    let empty = node.request(Method::POST, &format!("/api/drops/{drop_id}/pause")).bearer_auth(ADMIN_TOKEN);
    assert_eq!(send(empty).await.expect_status(200).json["drop"]["paused"], true);
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn refusal_names_what_the_request_has(db: PgPool) {
    let node = Node::start(&db).await;
    let window = json!({ "startsAt": "2100-01-01T00:00:00Z", "endsAt": "2101-01-01T00:00:00Z" });
    let upcoming = id_of(&node.create_drop(new_drop(&window)).await);
    for (fields, field) in [
        (json!({ "startsAt": "2101-01-01T00:00:00Z" }), "startsAt"),
        (json!({ "startsAt": "2102-01-01T00:00:00Z" }), "startsAt"),
        (json!({ "endsAt": "2099-01-01T00:00:00Z" }), "endsAt"),
        (json!({ "startsAt": "2103-01-01T00:00:00Z", "endsAt": "2102-01-01T00:00:00Z" }), "endsAt"),
    ] {
        let refused = change(&node, upcoming, fields.clone()).await.expect_error(400, "invalid_field");
        assert_eq!(refused.json["field"], field, "{fields}");
    }
    // A request to publish has no end.
    let over = json!({ "draft": true, "startsAt": "2001-01-01T00:00:00Z", "endsAt": "2002-01-01T00:00:00Z" });
    let over = id_of(&node.create_drop(new_drop(&over)).await);
    act(&node, over, "publish").await.expect_error(409, "ended");
    for (second_spelling, field) in [("end_time", "end_time"), ("endTime", "endTime"), ("ends_at", "ends_at")] {
        let body = new_drop(&json!({ second_spelling: "2001-01-01T00:00:00Z" }));
        for path in ["/api/drops", "/api/drops/create"] {
            let refused = node.post(path, ADMIN_TOKEN, body.clone()).await.expect_error(400, "invalid_field");
            assert_eq!(refused.json["field"], field, "{path}");
        }
    }
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn window_of_a_sale_changes_only_ahead(db: PgPool) {
    let node = Node::start(&db).await;
    let live = node.create_open_drop(5).await;
    let upcoming = id_of(&node.create_drop(new_drop(&json!({ "startsAt": "2100-01-01T00:00:00Z" }))).await);
    change(&node, live, json!({ "startsAt": "2100-01-01T00:00:00Z" })).await.expect_error(409, "has_started");
    let past = change(&node, live, json!({ "endsAt": "2001-01-01T00:00:00Z" })).await;
    assert_eq!(past.expect_error(400, "invalid_field").json["field"], "endsAt");
    change(&node, upcoming, json!({ "startsAt": "2101-01-01T00:00:00Z" })).await.expect_status(200);
    let before_start = change(&node, upcoming, json!({ "endsAt": "2100-06-01T00:00:00Z" })).await;
    assert_eq!(before_start.expect_error(400, "invalid_field").json["field"], "endsAt");
    act(&node, upcoming, "end").await.expect_error(409, "not_started");
    let ended = act(&node, live, "end").await.expect_status(200).json["drop"].take();
    assert_eq!(act(&node, live, "end").await.expect_status(200).json["drop"]["ends_at"], ended["ends_at"]);
    change(&node, live, json!({ "endsAt": null })).await.expect_error(409, "ended");
    change(&node, live, json!({ "sizes": [{ "label": "S", "stock": 2 }] })).await.expect_error(409, "not_a_draft");
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn only_the_admin_steers(db: PgPool) {
    let node = Node::start(&db).await;
    let drop_id = node.create_open_drop(5).await;
    let alice = node.sign_in("alice").await;
    let actions = ["publish", "unpublish", "pause", "resume", "end", "archive", "stock", "purchases/1/cancel"];
    for action in actions {
        node.post(&format!("/api/drops/{drop_id}/{action}"), &alice.token, json!({}))
            .await
            .expect_error(401, "unauthorized");
        act(&node, drop_id + 1, action).await.expect_status(if action.len() > 9 || action == "stock" {
            400
        } else {
            404
        });
    }
    for (method, path) in [(Method::PATCH, ""), (Method::GET, ""), (Method::GET, "/changes")] {
        let path = format!("/api/drops/{drop_id}{path}");
        send(node.request(method, &path).bearer_auth(&alice.token)).await.expect_error(401, "unauthorized");
    }
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn log_tells_who_changed_what_and_cannot_be_changed(db: PgPool) {
    let node = Node::start(&db).await;
    let drop_id = node.create_open_drop(5).await;
    let alice = node.sign_in("alice").await;
    change(&node, drop_id, json!({ "name": "Second name", "priceCents": 19_900 })).await.expect_status(200);
    add(&node, drop_id, "One size", 2).await.expect_status(200);
    sqlx::query("update drops set price_cents = 5").execute(&db).await.expect("a valid price");
    node.reserve(&alice, drop_id).await.expect_status(201);
    let purchase_id = node.purchase(&alice, drop_id).await.expect_status(200).purchase_id();
    cancel(&node, drop_id, purchase_id).await.expect_status(200);
    let path = format!("/api/drops/{drop_id}/changes");
    let log = steer(&node, Method::GET, &path, json!({})).await.expect_status(200).json["changes"].take();
    let told: Vec<_> = log.as_array().expect("a list").iter().rev().collect();
    let summary: Vec<_> =
        told.iter().map(|change| json!([change["action"], change["before"], change["after"]])).collect();
    assert_eq!(told[0]["action"], "created");
    assert_eq!(told[0]["after"]["sizes"], json!({ "One size": 5 }));
    assert_eq!(
        summary[1..],
        [
            json!(["edited", { "name": "Volt Runner" }, { "name": "Second name" }]),
            json!(["stock", { "sizes": { "One size": 5 } }, { "sizes": { "One size": 7 } }]),
            json!(["edited", { "price_cents": 19_900 }, { "price_cents": 5 }]),
            json!(["cancelled", {}, {}]),
        ]
    );
    let actors: Vec<_> = told.iter().map(|change| change["actor"].as_str().unwrap_or_default()).collect();
    assert_eq!([actors[0], actors[1], actors[2], actors[4]], ["token"; 4]);
    assert!(actors[3].starts_with("sql "), "{actors:?}");
    assert_eq!((&told[4]["purchaseId"], &told[4]["reason"]), (&json!(purchase_id), &json!("Paid twice")));
    let (newest, older) = (log[0]["id"].clone(), log.as_array().expect("a list").len() - 1);
    let page = steer(&node, Method::GET, &format!("{path}?before={newest}"), json!({})).await.expect_status(200);
    assert_eq!(page.json["changes"].as_array().map(Vec::len), Some(older));
    for forgery in ["update drop_changes set actor = 'nobody'", "delete from drop_changes", "truncate drop_changes"] {
        let refused = sqlx::query(forgery).execute(&db).await.expect_err("the log is append-only");
        assert_eq!(refused.as_database_error().and_then(|error| error.constraint()), Some("drop_changes_append_only"));
    }
    node.stop_and_assert_invariants().await;
}

/// Edits, stock changes, pauses and cancellations race reservations, purchases and expiries on two nodes.
#[sqlx::test]
async fn no_acknowledged_change_is_lost_while_the_drop_sells(db: PgPool) {
    let settings = Settings { reservation_ttl: std::time::Duration::from_millis(300), ..Settings::default() };
    let node = Node::start_with(&db, settings.clone()).await;
    let other = node.start_another(settings).await;
    let drop_id = node.create_open_drop(40).await;
    let people = create_people(&db, 120).await;
    let shop = async {
        concurrently(
            40,
            people.iter().enumerate().map(|(index, person)| {
                let (node, other) = if index % 2 == 0 { (&node, &other) } else { (&other, &node) };
                async move {
                    node.reserve(person, drop_id).await;
                    if index % 3 > 0 {
                        other.purchase(person, drop_id).await;
                    }
                }
            }),
        )
        .await
    };
    let run = async {
        let (mut added, mut taken, mut cancelled, mut names) = (0, 0, 0, 0);
        for round in 0..30_i64 {
            let api: &Api = if round % 2 == 0 { &node } else { &other };
            added += i64::from(add(api, drop_id, "One size", 2).await.status == 200);
            let take = json!({ "size": "One size", "takeBack": 1 });
            let taken_back = steer(api, Method::POST, &format!("/api/drops/{drop_id}/stock"), take).await;
            taken += i64::from(taken_back.status == 200);
            names += i64::from(change(api, drop_id, json!({ "name": format!("Round {round}") })).await.status == 200);
            act(api, drop_id, if round % 2 == 0 { "pause" } else { "resume" }).await.expect_status(200);
            let newest =
                query_number(&db, "select coalesce(max(id), 0) from purchases where status = 'completed'").await;
            if newest > 0 {
                cancel(api, drop_id, newest).await.expect_status(200);
                cancelled += 1;
            }
        }
        (added, taken, cancelled, names)
    };
    let ((added, taken, cancelled, names), _) = tokio::join!(run, shop);
    assert_eq!(query_number(&db, "select sum(total_stock) from drop_sizes").await, 40 + 2 * added - taken);
    assert_eq!(query_number(&db, "select count(*) from purchases where status = 'cancelled'").await, cancelled);
    let logged = "select count(*) from drop_changes where after ? 'name' and action = 'edited'";
    assert_eq!(query_number(&db, logged).await, names);
    node.until_catalog_matches_database().await;
    other.until_catalog_matches_database().await;
    other.stop().await;
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn draft_whose_start_has_passed_opens_at_the_moment_of_publishing(db: PgPool) {
    let node = Node::start(&db).await;
    let starts_at = async |drop_id| {
        let drop = managed(&node, drop_id).await;
        drop["starts_at"].as_str().and_then(|at| at.parse::<DateTime<Utc>>().ok()).expect("a time")
    };
    let past = id_of(&node.create_drop(new_drop(&json!({ "draft": true, "startsAt": "2001-01-01T00:00:00Z" }))).await);
    let none = id_of(&node.create_drop(new_drop(&json!({ "draft": true }))).await);
    let archived = id_of(&node.create_drop(new_drop(&json!({ "draft": true }))).await);
    act(&node, archived, "archive").await.expect_status(200);
    for drop_id in [past, none, archived] {
        let before = starts_at(drop_id).await;
        let saved: DateTime<Utc> = sqlx::query_scalar("select clock_timestamp()").fetch_one(&db).await.expect("a time");
        act(&node, drop_id, "publish").await.expect_status(200);
        let opened = starts_at(drop_id).await;
        assert!(before < saved && saved.timestamp_millis() <= opened.timestamp_millis(), "{before} {saved} {opened}");
        act(&node, drop_id, "publish").await.expect_status(200);
        assert_eq!(starts_at(drop_id).await, opened, "it is published already");
        assert_eq!(managed(&node, drop_id).await["status"], "published");
    }
    let future =
        id_of(&node.create_drop(new_drop(&json!({ "draft": true, "startsAt": "2100-01-01T00:00:00Z" }))).await);
    act(&node, future, "publish").await.expect_status(200);
    assert_eq!(managed(&node, future).await["starts_at"], "2100-01-01T00:00:00Z");
    // What was sold was sold after its opening.
    let sold = node.create_open_drop(1).await;
    let alice = node.sign_in("alice").await;
    node.reserve(&alice, sold).await.expect_status(201);
    node.purchase(&alice, sold).await.expect_status(200);
    let opened = starts_at(sold).await;
    act(&node, sold, "archive").await.expect_status(200);
    act(&node, sold, "publish").await.expect_status(200);
    assert_eq!(starts_at(sold).await, opened);
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn what_has_ended_stays_ended(db: PgPool) {
    let node = Node::start(&db).await;
    let alice = node.sign_in("alice").await;
    let drop_id = node.create_open_drop(3).await;
    let ended = act(&node, drop_id, "end").await.expect_status(200).json["drop"]["ends_at"].take();
    for action in ["archive", "publish", "archive"] {
        act(&node, drop_id, action).await.expect_status(200);
        for ends_at in [json!(null), json!("2100-01-01T00:00:00Z")] {
            change(&node, drop_id, json!({ "endsAt": ends_at })).await.expect_error(409, "ended");
        }
        change(&node, drop_id, json!({ "startsAt": "2099-01-01T00:00:00Z" })).await.expect_error(409, "has_started");
        act(&node, drop_id, "unpublish").await.expect_status(409);
        assert_eq!(managed(&node, drop_id).await["ends_at"], ended);
    }
    act(&node, drop_id, "publish").await.expect_status(200);
    add(&node, drop_id, "One size", 5).await.expect_status(200);
    node.reserve(&alice, drop_id).await.expect_error(409, "ended");
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn drop_that_was_paused_when_it_became_a_draft_opens(db: PgPool) {
    let node = Node::start(&db).await;
    let drop_id = id_of(&node.create_drop(new_drop(&json!({ "startsAt": "2100-01-01T00:00:00Z" }))).await);
    act(&node, drop_id, "pause").await.expect_status(200);
    assert_eq!(act(&node, drop_id, "unpublish").await.expect_status(200).json["drop"]["paused"], false);
    assert_eq!(act(&node, drop_id, "publish").await.expect_status(200).json["drop"]["paused"], false);
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn upcoming_drop_of_which_all_pairs_were_taken_back_is_not_over(db: PgPool) {
    let node = Node::start(&db).await;
    let drop_id =
        id_of(&node.create_drop(new_drop(&json!({ "startsAt": "2100-01-01T00:00:00Z", "totalStock": 3 }))).await);
    let mut page = Subscriber::connect(&node, None).await;
    let stock = format!("/api/drops/{drop_id}/stock");
    let all = json!({ "size": "One size", "takeBack": 3 });
    steer(&node, Method::POST, &stock, all).await.expect_status(200);
    page.until(|page| page.drops.get(&drop_id).is_some_and(|drop| drop.available_stock == 0)).await;
    assert_eq!(query_number(&db, "select count(*) from drops where past_since <= now()").await, 0);
    assert!(!node.get("/drops/past").await.expect_status(200).text.contains("Volt Runner"));
    act(&node, drop_id, "archive").await.expect_error(409, "not_over");
    // An opening without pairs is the end of it.
    sqlx::query("update drops set starts_at = now() - interval '1 minute'").execute(&db).await.expect("a valid start");
    assert_eq!(query_number(&db, "select count(*) from drops where past_since <= now()").await, 1);
    node.stop_and_assert_invariants().await;
}
