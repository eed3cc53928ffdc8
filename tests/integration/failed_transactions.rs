//! Transactions that fail: what is rolled back, what is unknown, and what a retry returns.

use crate::support::{
    Action, Answer, Gate, Node, Proxy, ProxyMode, Settings, assert_invariants, concurrently, count_status,
    create_people, join_calls, lock_drop, query_number, spawn_call, until_a_transaction_waits_for_a_lock,
};
use serde_json::json;
use sqlx::PgPool;
use std::collections::HashSet;

#[sqlx::test]
async fn connection_lost_before_commit_changes_nothing(db: PgPool) {
    let node = Node::start(&db).await;
    let drop_id = node.create_open_drop(3).await;
    let alice = node.sign_in("alice").await;
    let gate = Gate::before_commit(&db).await;

    let path = format!("/api/drops/{drop_id}/reserve");
    let (answer, ()) = tokio::join!(node.post(&path, &alice.token, json!({})), gate.terminate_blocked_backend());
    answer.expect_error(503, "unavailable");
    assert_eq!(query_number(&db, "select count(*) from reservations").await, 0);
    assert_invariants(&db).await;
    gate.open().await;
    node.reserve(&alice, drop_id).await.expect_status(201);
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn connection_lost_during_commit_is_unknown_and_a_retry_resolves_it(db: PgPool) {
    let node = Node::start(&db).await;
    let drop_id = node.create_open_drop(3).await;
    let alice = node.sign_in("alice").await;
    let gate = Gate::during_commit(&db).await;

    let (answer, ()) = tokio::join!(node.reserve(&alice, drop_id), gate.terminate_blocked_backend());
    answer.expect_error(503, "unknown");
    gate.open().await;
    let retry = node.reserve(&alice, drop_id).await;
    assert!([200, 201].contains(&retry.status), "{retry:?}");
    assert_eq!(retry.json["newStock"], 2);
    node.until_catalog_matches_database().await;
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn failed_statement_rolls_everything_back(db: PgPool) {
    let node = Node::start(&db).await;
    let drop_id = node.create_open_drop(3).await;
    let [alice, bob] = [node.sign_in("alice").await, node.sign_in("bob").await];
    node.reserve(&alice, drop_id).await.expect_status(201);
    let failing_trigger = "create function fail() returns trigger language plpgsql as $$ begin raise 'broken'; end $$;
                 create trigger fail before update on drops for each row execute function fail()";
    sqlx::raw_sql(failing_trigger).execute(&db).await.expect("the trigger is valid");

    node.reserve(&bob, drop_id).await.expect_error(500, "internal");
    node.purchase(&alice, drop_id).await.expect_error(500, "internal");
    node.release(&alice, drop_id).await.expect_error(500, "internal");
    assert_eq!(query_number(&db, "select count(*) from reservations where status = 'active'").await, 1);
    assert_eq!(query_number(&db, "select count(*) from reservations").await, 1);
    assert_eq!(query_number(&db, "select count(*) from purchases").await, 0);
    node.until_catalog_matches_database().await;
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn lost_commit_of_a_batch_is_unknown_to_all_and_retries_resolve_it(db: PgPool) {
    for is_committed in [false, true] {
        let proxy = Proxy::start(&db).await;
        let node = Node::start_with(&db, Settings::through(&proxy)).await;
        let drop_id = node.create_open_drop(20).await;
        let people = create_people(&db, 20).await;
        let lock = lock_drop(&db, drop_id).await;
        let first = spawn_call(&node, &people[0], drop_id, Action::Release);
        until_a_transaction_waits_for_a_lock(&db).await;
        let calls: Vec<_> = people.iter().map(|person| spawn_call(&node, person, drop_id, Action::Reserve)).collect();
        node.until_queued(20).await;
        let gate = Gate::during_commit(&db).await;
        lock.rollback().await.expect("the transaction can be rolled back");
        first.await.expect("the task does not panic").expect_error(409, "no_active_reservation");
        if is_committed {
            // PostgreSQL completes the COMMIT and cannot send its answer.
            gate.until_reached().await;
            proxy.set_mode(ProxyMode::Reset);
        } else {
            gate.terminate_blocked_backend().await;
        }
        for answer in join_calls(calls).await {
            answer.expect_error(503, "unknown");
        }
        gate.open().await;
        proxy.set_mode(ProxyMode::Forwarding);

        let retries = concurrently(20, people.iter().map(|person| node.reserve(person, drop_id))).await;
        if is_committed {
            assert_eq!(count_status(&retries, 200), 20, "{retries:?}");
        }
        let ids: HashSet<_> = retries.iter().map(Answer::reservation_id).collect();
        assert_eq!(ids.len(), 20);
        assert_eq!(query_number(&db, "select min(available_stock)::bigint from drop_sizes").await, 0);
        node.until_catalog_matches_database().await;
        node.stop_and_assert_invariants().await;
        Gate::remove(&db).await;
    }
}

#[sqlx::test]
async fn reservation_of_unknown_outcome_is_never_refused_as_sold_out(db: PgPool) {
    let proxy = Proxy::start(&db).await;
    let node = Node::start_with(&db, Settings::through(&proxy)).await;
    let drop_id = node.create_open_drop(2).await;
    let [alice, bob, carol] = [node.sign_in("alice").await, node.sign_in("bob").await, node.sign_in("carol").await];
    node.reserve(&carol, drop_id).await.expect_status(201);
    let lock = lock_drop(&db, drop_id).await;
    let last = spawn_call(&node, &bob, drop_id, Action::Reserve);
    until_a_transaction_waits_for_a_lock(&db).await;
    // When this batch begins, the catalog knows that the drop is sold out.
    let release = spawn_call(&node, &carol, drop_id, Action::Release);
    let reserve = spawn_call(&node, &alice, drop_id, Action::Reserve);
    node.until_queued(2).await;
    let gate = Gate::during_commit_for_user(&db, alice.id).await;
    lock.rollback().await.expect("the transaction can be rolled back");
    last.await.expect("the task does not panic").expect_status(201);
    gate.until_reached().await;
    proxy.set_mode(ProxyMode::Reset);
    release.await.expect("the task does not panic").expect_error(503, "unknown");
    reserve.await.expect("the task does not panic").expect_error(503, "unknown");
    gate.open().await;
    proxy.set_mode(ProxyMode::Forwarding);
    node.reserve(&alice, drop_id).await.expect_status(200);
    node.until_catalog_matches_database().await;
    node.stop_and_assert_invariants().await;
}
