use crate::support::{
    Answer, Node, concurrently, count_status, create_people, end_every_drop, expire_now, id_of, new_drop, query_number,
};
use serde_json::{Value, json};
use sqlx::PgPool;
use std::collections::HashSet;

#[sqlx::test]
async fn concurrent_requests_of_one_user_reserve_one_pair(db: PgPool) {
    let node = Node::start(&db).await;
    let drop_id = node.create_open_drop(60).await;
    let alice = node.sign_in("alice").await;

    let answers = concurrently(50, (0..50).map(|_| node.reserve(&alice, drop_id))).await;
    assert_eq!(count_status(&answers, 201), 1);
    assert_eq!(count_status(&answers, 200), 49);
    let ids: HashSet<_> = answers.iter().map(Answer::reservation_id).collect();
    assert_eq!(ids.len(), 1);
    assert_eq!(query_number(&db, "select count(*) from reservations").await, 1);
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn limit_per_user_holds_under_concurrent_requests(db: PgPool) {
    let node = Node::start(&db).await;
    let new = json!({ "name": "Halo Air", "priceCents": 1, "totalStock": 50, "limitPerUser": 2 });
    let drop_id = id_of(&node.create_drop(new).await);
    let alice = node.sign_in("alice").await;

    let reserve_and_purchase = async || {
        for _ in 0..5 {
            let reserved = node.reserve(&alice, drop_id).await;
            let bought = node.purchase(&alice, drop_id).await;
            assert!([200, 201].contains(&reserved.status) || reserved.code() == "limit_reached", "{reserved:?}");
            assert!(bought.status == 200 || bought.code() == "no_active_reservation", "{bought:?}");
        }
    };
    concurrently(20, (0..20).map(|_| reserve_and_purchase())).await;
    assert_eq!(query_number(&db, "select count(*) from purchases").await, 2);
    let refusal = node.reserve(&alice, drop_id).await.expect_error(409, "limit_reached");
    assert_eq!(refusal.json["limit"], 2);
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn reservation_counts_towards_the_limit_only_while_held(db: PgPool) {
    let node = Node::start(&db).await;
    let new = json!({ "name": "Halo Air", "priceCents": 1, "totalStock": 50, "limitPerUser": 1 });
    let drop_id = id_of(&node.create_drop(new).await);
    let alice = node.sign_in("alice").await;

    node.reserve(&alice, drop_id).await.expect_status(201);
    node.release(&alice, drop_id).await.expect_status(200);
    let second = node.reserve(&alice, drop_id).await.expect_status(201);
    expire_now(&db, second.reservation_id()).await;
    node.reserve(&alice, drop_id).await.expect_status(201);
    node.purchase(&alice, drop_id).await.expect_status(200);
    node.reserve(&alice, drop_id).await.expect_error(409, "limit_reached");
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn reserving_again_returns_the_same_reservation(db: PgPool) {
    let node = Node::start(&db).await;
    let sizes = json!([{ "label": "S", "stock": 1 }, { "label": "M", "stock": 1 }]);
    let drop_id = id_of(&node.create_drop(json!({ "name": "Slab Skate", "priceCents": 1, "sizes": sizes })).await);
    let alice = node.sign_in("alice").await;
    let bob = node.sign_in("bob").await;

    let first = node.reserve_size(&alice, drop_id, "S").await.expect_status(201);
    let assert_same =
        |answer: Answer| assert_eq!(answer.expect_status(200).json["reservation"], first.json["reservation"]);
    assert_same(node.reserve_size(&alice, drop_id, "S").await);
    assert_same(node.reserve_size(&alice, drop_id, "M").await);
    assert_same(node.reserve(&alice, drop_id).await);

    node.reserve_size(&bob, drop_id, "M").await.expect_status(201);
    assert_same(node.reserve(&alice, drop_id).await);
    end_every_drop(&db).await;
    assert_same(node.reserve(&alice, drop_id).await);
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn both_spellings_reserve_purchase_and_release(db: PgPool) {
    let node = Node::start(&db).await;
    let drop_id = node.create_open_drop(5).await;
    let alice = node.sign_in("alice").await;
    let (alice_id, token) = (alice.id, &*alice.token);

    let reserve = format!("/api/drops/{drop_id}/reserve");
    let first = node.post(&reserve, token, json!({ "userId": alice_id, "size": "One size" })).await.expect_status(201);
    let reservation = &first.json["reservation"];
    let expected = json!({
        "id": reservation["id"], "drop_id": drop_id, "user_id": alice_id, "size": "One size",
        "price_cents": 19_900, "status": "active", "expires_at": reservation["expires_at"], "created_at": reservation["created_at"],
        "createdAt": reservation["created_at"], "updatedAt": reservation["created_at"],
    });
    assert_eq!(first.json, json!({ "reservation": expected, "newStock": 4 }));
    let again = node.post(&reserve, token, json!({})).await.expect_status(200);
    assert_eq!(again.json, first.json);

    let purchase = format!("/api/drops/{drop_id}/purchase");
    let bought = node.post(&purchase, token, json!({ "userId": alice_id })).await.expect_status(200);
    let expected = json!({
        "id": bought.purchase_id(), "drop_id": drop_id, "user_id": alice_id, "reservation_id": reservation["id"],
        "size": "One size", "price_cents": 19_900, "created_at": bought.json["purchase"]["created_at"],
        "createdAt": bought.json["purchase"]["created_at"], "updatedAt": bought.json["purchase"]["created_at"],
    });
    let purchaser = json!({ "id": alice_id, "username": "alice" });
    assert_eq!(bought.json, json!({ "purchase": expected, "newStock": 4, "purchaser": purchaser }));
    let by_reservation = json!({ "reservationId": reservation["id"], "userId": alice_id });
    let again = node.post("/api/drops/purchase", token, by_reservation).await.expect_status(200);
    assert_eq!(again.purchase_id(), bought.purchase_id());

    let second = node.post(&reserve, token, json!({})).await.expect_status(201);
    assert_ne!(second.reservation_id(), first.reservation_id());
    assert_eq!(node.release(&alice, drop_id).await.expect_status(200).json, json!({ "newStock": 4 }));
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn every_refusal_of_a_sale_has_its_code(db: PgPool) {
    let node = Node::start(&db).await;
    let [alice, bob] = [node.sign_in("alice").await, node.sign_in("bob").await];
    let create = async |changes: Value| id_of(&node.create_drop(new_drop(&changes)).await);

    let single = create(json!({ "totalStock": 1, "limitPerUser": 1 })).await;
    node.purchase(&alice, single).await.expect_error(409, "no_active_reservation");
    node.release(&alice, single).await.expect_error(409, "no_active_reservation");
    let held = node.reserve(&alice, single).await.expect_status(201).reservation_id();
    node.reserve(&bob, single).await.expect_error(409, "sold_out");
    node.purchase_reservation(&bob, held).await.expect_error(404, "not_found");
    expire_now(&db, held).await;
    node.purchase_reservation(&alice, held).await.expect_error(410, "reservation_expired");
    let held = node.reserve(&alice, single).await.expect_status(201).reservation_id();
    node.purchase_reservation(&alice, held).await.expect_status(200);
    assert_eq!(node.reserve(&alice, single).await.expect_error(409, "limit_reached").json["limit"], 1);

    let upcoming = create(json!({ "startsAt": "2100-01-01T00:00:00Z" })).await;
    let answer = node.reserve(&alice, upcoming).await.expect_error(409, "not_started");
    assert_eq!(answer.json["starts_at"], "2100-01-01T00:00:00Z");
    let over = create(json!({ "startsAt": "2000-01-01T00:00:00Z", "endsAt": "2000-01-02T00:00:00Z" })).await;
    node.reserve(&alice, over).await.expect_error(409, "ended");
    assert_eq!(query_number(&db, "select count(*) from reservations where status = 'active'").await, 0);
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn drop_with_sizes_requires_a_size_and_lists_those_left(db: PgPool) {
    let node = Node::start(&db).await;
    let people = create_people(&db, 3).await;
    let sizes = json!([{ "label": "M", "stock": 1 }, { "label": "S", "stock": 1 }]);
    let new = json!({ "totalStock": null, "sizes": sizes });
    let drop_id = id_of(&node.create_drop(new_drop(&new)).await);

    let answer = node.reserve(&people[0], drop_id).await.expect_error(422, "size_required");
    assert_eq!(answer.json["sizes_left"], json!(["M", "S"]));
    node.reserve_size(&people[0], drop_id, "M").await.expect_status(201);
    for unknown in ["m", "XL", "", "\0"] {
        let answer = node.reserve_size(&people[1], drop_id, unknown).await.expect_error(422, "unknown_size");
        assert_eq!(answer.json["sizes_left"], json!(["S"]), "{unknown:?}");
    }
    node.reserve_size(&people[1], drop_id, "M").await.expect_error(409, "sold_out");
    node.reserve_size(&people[1], drop_id, "S").await.expect_status(201);
    node.reserve(&people[2], drop_id).await.expect_error(409, "sold_out");
    node.stop_and_assert_invariants().await;
}
