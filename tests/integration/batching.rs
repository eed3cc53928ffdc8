//! Commands of one drop that share a transaction.

use crate::support::{
    Action, Answer, Node, Person, count_status, create_people, id_of, join_calls, lock_drop, new_drop, query_number,
    spawn_call, spawn_single_reserve, until_a_transaction_waits_for_a_lock,
};
use serde_json::json;
use sqlx::PgPool;
use tokio::task::JoinHandle;

#[sqlx::test]
async fn commands_queued_behind_a_lock_share_one_transaction(db: PgPool) {
    let node = Node::start(&db).await;
    let drop_id = node.create_open_drop(30).await;
    let version = query_number(&db, "select version from drops").await;
    let people = create_people(&db, 41).await;
    let answers = reserve_in_one_batch(&node, &db, drop_id, &people).await;
    assert_eq!(count_status(&answers, 201), 30);
    assert_eq!(answers.iter().filter(|answer| answer.code() == "sold_out").count(), 11);
    // One version for the first command, which was alone in its batch, and one for all that were queued behind it.
    assert_eq!(query_number(&db, "select version from drops").await, version + 2);
    assert_eq!(query_number(&db, "select count(distinct created_at) from reservations").await, 2);

    let (buyers, releasers) = people.split_at(15);
    let lock = lock_drop(&db, drop_id).await;
    let first = spawn_call(&node, &people[0], drop_id, Action::Release);
    until_a_transaction_waits_for_a_lock(&db).await;
    let purchases: Vec<_> = buyers.iter().map(|person| spawn_call(&node, person, drop_id, Action::Purchase)).collect();
    let releases: Vec<_> = releasers.iter().map(|person| spawn_call(&node, person, drop_id, Action::Release)).collect();
    node.until_queued(15 + 26).await;
    lock.rollback().await.expect("the transaction can be rolled back");
    first.await.expect("the task does not panic").expect_status(200);
    assert_eq!(
        count_status(&join_calls(purchases).await, 200) as i64,
        query_number(&db, "select count(*) from purchases").await
    );
    join_calls(releases).await;
    assert_eq!(query_number(&db, "select count(distinct settled_at) from reservations").await, 2);
    node.until_catalog_matches_database().await;
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn one_bad_command_fails_alone(db: PgPool) {
    let (at_insert, at_commit) = ("before insert on", "after insert on");
    for (when, fault, status, code) in [
        (at_insert, "raise 'broken'", 500, "internal"),
        (at_commit, "raise 'broken'", 500, "internal"),
        (at_insert, "raise deadlock_detected", 503, "unavailable"),
        (at_insert, "raise lock_not_available", 503, "unavailable"),
        (at_commit, "raise lock_not_available", 503, "unavailable"),
    ] {
        let node = Node::start(&db).await;
        let drop_id = node.create_open_drop(40).await;
        let people = create_people(&db, 30).await;
        let failing_user_id = people[20].id;
        let (kind, deferred) =
            if when == at_commit { ("constraint trigger", "deferrable initially deferred") } else { ("trigger", "") };
        let sql = format!(
            "create or replace function fail() returns trigger language plpgsql as $$ begin {fault}; end $$;
             create {kind} fail {when} reservations {deferred}
             for each row when (new.user_id = {failing_user_id}) execute function fail()"
        );
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&db).await.expect("the trigger is valid");

        let answers = reserve_in_one_batch(&node, &db, drop_id, &people).await;
        for (person, answer) in people.iter().zip(answers) {
            if person.id == failing_user_id {
                answer.expect_error(status, code);
            } else {
                answer.expect_status(201);
            }
        }
        sqlx::raw_sql("drop trigger fail on reservations").execute(&db).await.expect("the trigger exists");
        node.reserve(&people[20], drop_id).await.expect_status(201);
        node.until_catalog_matches_database().await;
        node.stop_and_assert_invariants().await;
    }
}

#[sqlx::test]
async fn batch_that_runs_into_a_deadlock_is_tried_once_more(db: PgPool) {
    let node = Node::start(&db).await;
    let drop_id = node.create_open_drop(40).await;
    let people = create_people(&db, 30).await;
    // A sequence is not rolled back, so only the first attempt fails.
    let sql = format!(
        "create sequence attempts;
         create function fail() returns trigger language plpgsql as
         $$ begin if nextval('attempts') = 1 then raise deadlock_detected; end if; return new; end $$;
         create trigger fail before insert on reservations
         for each row when (new.user_id = {}) execute function fail()",
        people[20].id
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&db).await.expect("the trigger is valid");
    let answers = reserve_in_one_batch(&node, &db, drop_id, &people).await;
    assert_eq!(count_status(&answers, 201), 30, "{answers:?}");
    // The first command was a batch of its own.
    assert_eq!(query_number(&db, "select count(distinct created_at) from reservations").await, 2);
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn commands_of_disconnected_clients_are_skipped(db: PgPool) {
    let node = Node::start(&db).await;
    let drop_id = node.create_open_drop(5).await;
    let people = create_people(&db, 21).await;
    let lock = lock_drop(&db, drop_id).await;
    let first = spawn_call(&node, &people[20], drop_id, Action::Reserve);
    until_a_transaction_waits_for_a_lock(&db).await;
    let mut calls: Vec<_> =
        people[..20].iter().map(|person| spawn_call(&node, person, drop_id, Action::Reserve)).collect();
    node.until_queued(20).await;
    // The last four stay connected. Without the abort, the others would take the four pairs that are left.
    let connected_calls = calls.split_off(16);
    calls.iter().for_each(JoinHandle::abort);
    node.until_queued(4).await;
    lock.rollback().await.expect("the transaction can be rolled back");
    first.await.expect("the task does not panic").expect_status(201);
    assert_eq!(count_status(&join_calls(connected_calls).await, 201), 4);
    assert_eq!(query_number(&db, "select count(*) from reservations").await, 5);
    node.stop_and_assert_invariants().await;
}

/// Lets all people reserve, the first in a batch of its own and the others in the next batch, and returns the answers.
async fn reserve_in_one_batch(node: &Node, db: &PgPool, drop_id: i64, people: &[Person]) -> Vec<Answer> {
    let lock = lock_drop(db, drop_id).await;
    let mut calls = vec![spawn_single_reserve(node, &people[0], drop_id)];
    until_a_transaction_waits_for_a_lock(db).await;
    calls.extend(people[1..].iter().map(|person| spawn_single_reserve(node, person, drop_id)));
    node.until_queued(people.len() - 1).await;
    lock.rollback().await.expect("the transaction can be rolled back");
    join_calls(calls).await
}

/// One account sends as much as it can.
#[sqlx::test]
async fn requests_of_one_user_take_nobody_elses_place(db: PgPool) {
    let node = Node::start(&db).await;
    let sizes: Vec<_> = (0..50).map(|size| json!({ "label": format!("US {size}"), "stock": 1 })).collect();
    let drop_id = id_of(&node.create_drop(new_drop(&json!({ "totalStock": null, "sizes": sizes }))).await);
    let [greedy, alice, bob] = [node.sign_in("greedy").await, node.sign_in("alice").await, node.sign_in("bob").await];
    let path = format!("/api/drops/{drop_id}/reserve");
    let lock = lock_drop(&db, drop_id).await;
    let reserve = |person: &Person, size: &str| {
        let (node, path, token, body) = (node.clone(), path.clone(), person.token.clone(), json!({ "size": size }));
        tokio::spawn(async move { node.post(&path, &token, body).await })
    };
    let first = reserve(&bob, "US 0");
    until_a_transaction_waits_for_a_lock(&db).await;
    let repeated: Vec<_> = (0..200).map(|_| reserve(&greedy, "US 1")).collect();
    node.until_queued(200).await;
    let different: Vec<_> = (2..50).map(|size| reserve(&greedy, &format!("US {size}"))).collect();
    node.until_queued(203).await;
    let other = reserve(&alice, "US 49");
    node.until_queued(204).await;
    lock.rollback().await.expect("the transaction can be rolled back");

    for call in [first, other] {
        call.await.expect("the task does not panic").expect_status(201);
    }
    let answers = join_calls(repeated).await;
    assert_eq!((count_status(&answers, 201), count_status(&answers, 200)), (1, 199));
    let answers = join_calls(different).await;
    let refused: Vec<_> = answers.iter().filter(|answer| answer.code() == "too_many_requests").collect();
    assert_eq!((refused.len(), count_status(&answers, 200)), (45, 3));
    assert!(refused.iter().all(|answer| answer.status == 429 && answer.header("retry-after") == "1"));
    node.stop_and_assert_invariants().await;
}
