//! Reservations that are refused as sold out from memory, without a query.

use crate::support::{
    Action, Node, Proxy, ProxyMode, Settings, id_of, lock_drop, spawn_call, until, until_a_transaction_waits_for_a_lock,
};
use serde_json::json;
use sqlx::PgPool;
use std::time::Duration;

#[sqlx::test]
async fn sold_out_is_refused_without_a_query_until_stock_returns(db: PgPool) {
    let node = Node::start(&db).await;
    let sizes = json!([{ "label": "S", "stock": 1 }, { "label": "M", "stock": 1 }]);
    let drop_id = id_of(&node.create_drop(json!({ "name": "Slab Skate", "priceCents": 1, "sizes": sizes })).await);
    let [alice, bob, carol] = [node.sign_in("alice").await, node.sign_in("bob").await, node.sign_in("carol").await];
    let held = node.reserve_size(&alice, drop_id, "S").await.expect_status(201);
    until("the catalog is verified", async || node.refuses_from_memory(bob.id, drop_id, Some("S")).then_some(())).await;

    let lock = lock_drop(&db, drop_id).await;
    // While the drop is locked, only a refusal from memory is answered.
    node.reserve_size(&bob, drop_id, "S").await.expect_error(409, "sold_out");
    let other_size = spawn_call(&node, &bob, drop_id, Action::ReserveSize("M"));
    until_a_transaction_waits_for_a_lock(&db).await;
    let retry = spawn_call(&node, &alice, drop_id, Action::Reserve);
    node.until_queued(1).await;
    lock.rollback().await.expect("the transaction can be rolled back");
    other_size.await.expect("the task does not panic").expect_status(201);
    assert_eq!(
        retry.await.expect("the task does not panic").expect_status(200).reservation_id(),
        held.reservation_id()
    );

    // Every size is sold out until a pair is released.
    node.reserve(&carol, drop_id).await.expect_error(409, "sold_out");
    assert!(node.refuses_from_memory(carol.id, drop_id, None));
    node.release(&alice, drop_id).await.expect_status(200);
    node.reserve_size(&carol, drop_id, "S").await.expect_status(201);
    node.purchase(&carol, drop_id).await.expect_status(200);
    node.purchase(&bob, drop_id).await.expect_status(200);
    node.reserve(&alice, drop_id).await.expect_error(409, "sold_out");
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn expired_pair_can_be_reserved_after_sold_out(db: PgPool) {
    let settings = Settings { reservation_ttl: Duration::from_secs(2), ..Settings::default() };
    let node = Node::start_with(&db, settings).await;
    let drop_id = node.create_open_drop(1).await;
    let [alice, bob] = [node.sign_in("alice").await, node.sign_in("bob").await];
    node.reserve(&alice, drop_id).await.expect_status(201);
    until("bob reserves the expired pair", async || {
        let answer = node.reserve(&bob, drop_id).await;
        if answer.status != 201 {
            answer.expect_error(409, "sold_out");
            return None;
        }
        Some(())
    })
    .await;
    node.purchase(&bob, drop_id).await.expect_status(200);
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn pair_released_on_another_node_can_be_reserved_again(db: PgPool) {
    let first_node = Node::start(&db).await;
    let second_node = first_node.start_another(Settings::default()).await;
    let drop_id = first_node.create_open_drop(1).await;
    let [alice, bob] = [first_node.sign_in("alice").await, first_node.sign_in("bob").await];
    let held = first_node.reserve(&alice, drop_id).await.expect_status(201);
    for node in [&first_node, &second_node] {
        until("the catalog is verified", async || node.refuses_from_memory(bob.id, drop_id, None).then_some(())).await;
        // The other node also knows who holds the pair.
        assert!(!node.refuses_from_memory(alice.id, drop_id, None));
        assert_eq!(node.reserve(&alice, drop_id).await.expect_status(200).reservation_id(), held.reservation_id());
    }
    first_node.release(&alice, drop_id).await.expect_status(200);
    until("the other node knows of the release", async || {
        (second_node.reserve(&bob, drop_id).await.status == 201).then_some(())
    })
    .await;
    second_node.stop_and_assert_invariants().await;
    first_node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn unverified_catalog_refuses_nothing(db: PgPool) {
    let proxy = Proxy::start(&db).await;
    let node = Node::start_with(&db, Settings::through(&proxy)).await;
    let drop_id = node.create_open_drop(1).await;
    let [alice, bob] = [node.sign_in("alice").await, node.sign_in("bob").await];
    node.reserve(&alice, drop_id).await.expect_status(201);
    let is_refused = || node.refuses_from_memory(bob.id, drop_id, None);
    until("the catalog is verified", async || is_refused().then_some(())).await;
    proxy.set_mode(ProxyMode::Reset);
    until("the catalog is uncertain", async || (!is_refused()).then_some(())).await;
    proxy.set_mode(ProxyMode::Forwarding);
    until("the catalog is verified again", async || is_refused().then_some(())).await;
    node.stop_and_assert_invariants().await;
}
