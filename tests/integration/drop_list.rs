//! `GET /api/drops`.

use crate::support::{Node, Settings, create_people, id_of, new_drop, send, until};
use reqwest::{Method, header};
use serde_json::{Value, json};
use sqlx::PgPool;

#[sqlx::test]
async fn list_is_sent_again_only_after_a_change(db: PgPool) {
    let node = Node::start(&db).await;
    let drop_id = node.create_open_drop(5).await;
    let alice = node.sign_in("alice").await;
    let list_unless =
        async |known: &str| send(node.request(Method::GET, "/api/drops").header(header::IF_NONE_MATCH, known)).await;
    let first = node.get("/api/drops").await.expect_status(200);
    let tag = first.header("etag");
    // A proxy may make the tag a strong one.
    let strong = tag.trim_start_matches("W/");
    for known in [tag, strong, "*", &format!("\"other\", {tag}"), &format!("\"a,b\",{strong} , W/\"c\"")] {
        let again = list_unless(known).await.expect_status(304);
        assert_eq!((again.header("etag"), again.text.as_str()), (tag, ""));
        assert_eq!(again.header("vary"), first.header("vary"));
    }
    let lines = node.request(Method::GET, "/api/drops").header(header::IF_NONE_MATCH, "\"other\"");
    send(lines.header(header::IF_NONE_MATCH, tag)).await.expect_status(304);
    for unknown in ["\"other\"", "W/\"\"", &tag[..tag.len() - 1], ""] {
        list_unless(unknown).await.expect_status(200);
    }
    node.reserve(&alice, drop_id).await.expect_status(201);
    let second = list_unless(tag).await.expect_status(200);
    assert_eq!(second.json["drops"][0]["available_stock"], 4);
    assert_ne!(second.header("etag"), tag);
    // Nodes with the same drops send the same tag.
    let other = node.start_another(Settings::default()).await;
    assert_eq!(other.get("/api/drops").await.expect_status(200).header("etag"), second.header("etag"));
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn list_has_reservable_drops_and_latest_purchasers(db: PgPool) {
    let node = Node::start(&db).await;
    let people = create_people(&db, 4).await;
    let now = chrono::Utc::now();
    let in_seconds = |seconds| (now + chrono::TimeDelta::seconds(seconds)).to_rfc3339();
    let create = async |changes: Value| id_of(&node.create_drop(new_drop(&changes)).await);

    let open = create(json!({ "totalStock": 9, "startsAt": in_seconds(-60) })).await;
    let sold_out = create(json!({ "totalStock": 1 })).await;
    create(json!({ "startsAt": in_seconds(3_600) })).await;
    create(json!({ "startsAt": in_seconds(-3_600), "endsAt": in_seconds(-1_800) })).await;
    let opening = create(json!({ "startsAt": in_seconds(1) })).await;
    let closing = create(json!({ "startsAt": in_seconds(-30), "endsAt": in_seconds(1) })).await;
    node.reserve(&people[0], sold_out).await.expect_status(201);
    for person in &people {
        node.reserve(person, open).await.expect_status(201);
        node.purchase(person, open).await.expect_status(200);
    }

    let list = until("one drop opens and one ends", async || {
        let list = node.get("/api/drops").await.expect_status(200).json["drops"].take();
        let ids: Vec<_> = list.as_array().expect("a list").iter().map(id_of).collect();
        (ids.contains(&opening) && !ids.contains(&closing)).then_some(list)
    })
    .await;
    let ids: Vec<_> = list.as_array().expect("a list").iter().map(id_of).collect();
    assert_eq!(ids, [open, opening]);
    assert_eq!((&list[0]["total_stock"], &list[0]["available_stock"]), (&json!(9), &json!(5)));
    let newest: Vec<_> = people.iter().rev().take(3).map(|person| (person.id, &*person.username)).collect();
    let listed = list[0]["latest_purchasers"].as_array().expect("a list").iter();
    let listed: Vec<_> =
        listed.map(|purchaser| (id_of(purchaser), purchaser["username"].as_str().expect("a name"))).collect();
    assert_eq!(listed, newest);

    // The release of its only pair puts the drop back on the list.
    node.release(&people[0], sold_out).await.expect_status(200);
    let list = node.get("/api/drops").await.expect_status(200).json;
    assert!(list["drops"].as_array().expect("a list").iter().any(|drop| id_of(drop) == sold_out), "{list}");
    node.stop_and_assert_invariants().await;
}
