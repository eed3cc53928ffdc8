use crate::support::{Node, Settings, concurrently, end_every_drop, query_number, send};
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::PgPool;
use std::collections::HashSet;

#[sqlx::test]
async fn purchasing_again_returns_the_same_purchase_and_sells_once(db: PgPool) {
    let node = Node::start(&db).await;
    let drop_id = node.create_open_drop(5).await;
    let alice = node.sign_in("alice").await;
    let reservation_id = node.reserve(&alice, drop_id).await.expect_status(201).reservation_id();

    let purchases = concurrently(
        20,
        (0..20).map(|call| {
            let (node, alice) = (&node, &alice);
            async move {
                if call % 2 == 0 {
                    node.purchase(alice, drop_id).await
                } else {
                    node.purchase_reservation(alice, reservation_id).await
                }
            }
        }),
    )
    .await;
    let bought: HashSet<i64> = purchases.into_iter().map(|answer| answer.expect_status(200).purchase_id()).collect();
    assert_eq!(bought.len(), 1, "{bought:?}");

    // A retry is answered even after the drop has ended.
    end_every_drop(&db).await;
    let again = node.purchase(&alice, drop_id).await.expect_status(200);
    assert_eq!(
        (again.json["purchase"]["reservation_id"].as_i64(), &again.json["newStock"]),
        (Some(reservation_id), &json!(4))
    );
    assert_eq!(query_number(&db, "select count(*) from purchases").await, 1);
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn purchase_costs_the_price_at_which_the_pair_was_reserved(db: PgPool) {
    let node = Node::start(&db).await;
    let drop_id = node.create_open_drop(5).await;
    let alice = node.sign_in("alice").await;
    let held = node.reserve(&alice, drop_id).await.expect_status(201);
    assert_eq!(held.json["reservation"]["price_cents"], 19_900);
    sqlx::query("update drops set price_cents = 5").execute(&db).await.expect("the price is valid");
    assert_eq!(node.reserve(&alice, drop_id).await.expect_status(200).json, held.json);
    assert_eq!(node.purchase(&alice, drop_id).await.expect_status(200).json["purchase"]["price_cents"], 19_900);
    assert_eq!(node.reserve(&alice, drop_id).await.expect_status(201).json["reservation"]["price_cents"], 5);
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn purchase_of_an_earlier_reservation_returns_what_became_of_it(db: PgPool) {
    let node = Node::start(&db).await;
    let drop_id = node.create_open_drop(5).await;
    let alice = node.sign_in("alice").await;
    let bought = node.reserve(&alice, drop_id).await.expect_status(201).reservation_id();
    let purchase = node.purchase(&alice, drop_id).await.expect_status(200).purchase_id();
    let held = node.reserve(&alice, drop_id).await.expect_status(201).reservation_id();
    let again = node.purchase_reservation(&alice, bought).await.expect_status(200);
    assert_eq!(again.purchase_id(), purchase);
    assert_eq!(query_number(&db, "select count(*) from purchases").await, 1);
    node.release(&alice, drop_id).await.expect_status(200);
    node.purchase_reservation(&alice, held).await.expect_error(410, "no_active_reservation");
    node.purchase(&alice, drop_id).await.expect_error(409, "no_active_reservation");
    assert_eq!(node.purchase_reservation(&alice, bought).await.expect_status(200).purchase_id(), purchase);
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn refused_purchases_and_releases_keep_the_database_connection(db: PgPool) {
    let node = Node::start_with(&db, Settings::without_jobs()).await;
    let drop_id = node.create_open_drop(5).await;
    let alice = node.sign_in("alice").await;
    let sessions = "select coalesce(sum(pid), 0) from pg_stat_activity
                    where datname = current_database() and application_name = 'sneakdrop'";
    let before = query_number(&db, sessions).await;
    for _ in 0..3 {
        node.purchase(&alice, drop_id).await.expect_error(409, "no_active_reservation");
        node.release(&alice, drop_id).await.expect_error(409, "no_active_reservation");
        node.purchase_reservation(&alice, 1).await.expect_error(404, "not_found");
    }
    assert_ne!(before, 0);
    assert_eq!(query_number(&db, sessions).await, before);
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn late_copy_that_names_its_reservation_is_about_no_other_pair(db: PgPool) {
    let node = Node::start(&db).await;
    let drop_id = node.create_open_drop(5).await;
    let alice = node.sign_in("alice").await;
    let reservation = format!("/api/drops/{drop_id}/reservation");
    let purchase = format!("/api/drops/{drop_id}/purchase");
    let call = async |method: Method, path: &str, body: Value| {
        send(node.request(method, path).bearer_auth(&alice.token).json(&body)).await
    };
    let bought = node.reserve(&alice, drop_id).await.expect_status(201).reservation_id();
    let first = call(Method::POST, &purchase, json!({ "reservationId": bought })).await.expect_status(200);
    let released = node.reserve(&alice, drop_id).await.expect_status(201).reservation_id();
    call(Method::DELETE, &reservation, json!({ "reservation_id": released })).await.expect_status(200);
    let held = node.reserve(&alice, drop_id).await.expect_status(201).reservation_id();
    for (name, in_query) in [("reservationId", false), ("reservation_id", false), ("reservationId", true)] {
        let path = |path: &str, id: i64| if in_query { format!("{path}?{name}={id}") } else { path.to_owned() };
        let body = |id: i64| if in_query { json!({}) } else { json!({ name: id }) };
        let again = call(Method::POST, &path(&purchase, bought), body(bought)).await.expect_status(200);
        assert_eq!(again.purchase_id(), first.purchase_id());
        let late = call(Method::POST, &path(&purchase, released), body(released)).await;
        late.expect_error(409, "no_active_reservation");
        let late = call(Method::DELETE, &path(&reservation, bought), body(bought)).await;
        late.expect_error(409, "no_active_reservation");
        call(Method::DELETE, &path(&reservation, released), body(released)).await.expect_status(200);
        assert_eq!(query_number(&db, "select sum(held_stock) from drop_sizes").await, 1, "{held} is held");
    }
    for method in [Method::POST, Method::DELETE] {
        let path = if method == Method::POST { &purchase } else { &reservation };
        for (body, field) in [
            (json!({ "reservationId": 0 }), "reservationId"),
            (json!({ "reservation_id": "x" }), "reservation_id"),
            (json!({ "reservationId": held, "reservation_id": held }), "reservation_id"),
        ] {
            let refused = call(method.clone(), path, body).await.expect_error(400, "invalid_field");
            assert_eq!(refused.json["field"], field);
        }
        let path = format!("{path}?reservation_id={held}");
        let both = call(method, &path, json!({ "reservationId": bought }));
        assert_eq!(both.await.expect_error(400, "invalid_field").json["field"], "reservation_id");
    }
    assert_eq!(query_number(&db, "select sum(held_stock) from drop_sizes").await, 1);
    node.stop_and_assert_invariants().await;
}
