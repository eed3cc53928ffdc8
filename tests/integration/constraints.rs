//! Constraints of the database: what they refuse, and whom they hold up.

use crate::support::{
    Node, Settings, count_status, create_people, join_calls, lock_drop, query_number, spawn_single_reserve,
    until_a_transaction_waits_for_a_lock,
};
use sqlx::PgPool;

#[sqlx::test]
async fn constraints_refuse_to_oversell(db: PgPool) {
    let node = Node::start_with(&db, Settings::without_jobs()).await;
    let drop_id = node.create_open_drop(2).await;
    let other_drop_id = node.create_open_drop(2).await;
    let alice = node.sign_in("alice").await;
    let held = node.reserve(&alice, drop_id).await.expect_status(201).reservation_id();
    let [drop, other, user, held] = [drop_id, other_drop_id, alice.id, held].map(|id| id.to_string());

    let purchase_twice = format!(
        "insert into purchases (drop_id, size_id, user_id, reservation_id, price_cents)
         select drop_id, size_id, user_id, id, price_cents from reservations, generate_series(1, 2) where id = {held}"
    );
    let reserve = |drop: &str, size_of: &str, user: &str| {
        format!(
            "insert into reservations (drop_id, size_id, user_id, price_cents, expires_at)
             select {drop}, id, {user}, 1, clock_timestamp() from drop_sizes where drop_id = {size_of}"
        )
    };
    for (statement, constraint) in [
        ("update drop_sizes set available_stock = -1".into(), "drop_sizes_available_within_total"),
        ("update drop_sizes set available_stock = 3".into(), "drop_sizes_available_within_total"),
        (format!("update drop_sizes set available_stock = 2 where drop_id = {drop}"), "drop_sizes_held_within_total"),
        ("update drop_sizes set held_stock = -1".into(), "drop_sizes_held_within_total"),
        ("update drop_sizes set total_stock = 1000001".into(), "drop_sizes_total_range"),
        (reserve(&drop, &drop, &user), "reservations_one_active"),
        (reserve(&other, &drop, &user), "reservations_size_of_drop"),
        (reserve(&other, &other, "0"), "reservations_user_exists"),
        (purchase_twice, "purchases_once_per_reservation"),
        (
            format!("update reservations set status = 'sold', settled_at = now() where id = {held}"),
            "reservations_status_known",
        ),
        (format!("update reservations set status = 'expired' where id = {held}"), "reservations_settled_once"),
        (format!("update reservations set settled_at = now() where id = {held}"), "reservations_settled_once"),
        ("update drops set starts_at = '-infinity'".into(), "drops_in_readable_years"),
        ("update drops set starts_at = '1999-12-31'".into(), "drops_in_readable_years"),
        ("update drops set ends_at = 'infinity'".into(), "drops_in_readable_years"),
        ("update drops set ends_at = '10000-01-02'".into(), "drops_in_readable_years"),
        ("update reservations set expires_at = 'infinity'".into(), "reservations_in_readable_years"),
    ] {
        assert_refused_by(&db, &statement, constraint).await;
    }
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn referenced_rows_cannot_be_deleted_or_renumbered(db: PgPool) {
    let node = Node::start_with(&db, Settings::without_jobs()).await;
    let drop_id = node.create_open_drop(3).await;
    let [alice, bob] = [node.sign_in("alice").await, node.sign_in("bob").await];
    node.reserve(&alice, drop_id).await.expect_status(201);
    node.purchase(&alice, drop_id).await.expect_status(200);
    node.reserve(&alice, drop_id).await.expect_status(201);
    for (statement, constraint) in [
        ("delete from users", "reservations_user_exists"),
        ("delete from drops", "reservations_size_of_drop"),
        ("delete from drop_sizes", "reservations_size_of_drop"),
        ("delete from reservations", "purchases_of_reservation"),
        ("update users set id = default", "reservations_user_exists"),
        ("update drop_sizes set id = default", "reservations_size_of_drop"),
        ("update reservations set id = default", "purchases_of_reservation"),
        ("update reservations set user_id = 0", "reservations_user_exists"),
        ("update reservations set drop_id = 0", "reservations_size_of_drop"),
        ("update purchases set user_id = 0", "purchases_user_exists"),
        ("update purchases set size_id = 0", "purchases_size_of_drop"),
        ("update purchases set reservation_id = 0", "purchases_of_reservation"),
    ] {
        assert_refused_by(&db, statement, constraint).await;
    }
    // No row refers to bob.
    sqlx::raw_sql("delete from users where username = 'bob'").execute(&db).await.expect("bob can be deleted");
    node.reserve(&bob, drop_id).await.expect_error(401, "unauthorized");
    node.stop_and_assert_invariants().await;
}

/// Each statement is executed in a transaction that stays open while the node must answer.
#[sqlx::test]
async fn open_transaction_on_one_user_holds_up_only_that_user(db: PgPool) {
    let node = Node::start(&db).await;
    let drop_id = node.create_open_drop(50).await;
    let people = create_people(&db, 12).await;
    let [first, held_up, others @ ..] = &people[..] else { unreachable!("there are more people") };
    let user_id = held_up.id;
    for (statement, is_held_up) in [
        ("delete from users where false".into(), false),
        ("delete from reservations where false".into(), false),
        ("delete from drop_sizes where false".into(), false),
        (format!("update users set username = username where id = {user_id}"), false),
        (format!("delete from users where id = {user_id}"), true),
        (format!("update users set username = 'm', username_key = 'm' where id = {user_id}"), true),
    ] {
        let mut transaction = db.begin().await.expect("a free connection");
        sqlx::raw_sql(sqlx::AssertSqlSafe(statement.clone())).execute(&mut *transaction).await.expect(&statement);
        // All but the first gather behind the drop's lock, so that they share a batch.
        let lock = lock_drop(&db, drop_id).await;
        let first = spawn_single_reserve(&node, first, drop_id);
        until_a_transaction_waits_for_a_lock(&db).await;
        let held_up = spawn_single_reserve(&node, held_up, drop_id);
        let calls: Vec<_> = others.iter().map(|person| spawn_single_reserve(&node, person, drop_id)).collect();
        node.until_queued(1 + others.len()).await;
        lock.rollback().await.expect("the transaction can be rolled back");
        first.await.expect("the task does not panic").expect_status(201);
        let answers = join_calls(calls).await;
        assert_eq!(count_status(&answers, 201), others.len(), "{statement}: {answers:?}");
        let answer = held_up.await.expect("the task does not panic");
        if is_held_up {
            answer.expect_error(503, "unavailable");
        } else {
            answer.expect_status(201);
        }
        transaction.rollback().await.expect("the transaction can be rolled back");
        for person in &people {
            node.reserve(person, drop_id).await;
            node.release(person, drop_id).await.expect_status(200);
        }
        sqlx::raw_sql("delete from reservations").execute(&db).await.expect("none was completed");
    }
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn settled_reservations_can_be_pruned_while_the_drop_sells(db: PgPool) {
    let node = Node::start(&db).await;
    let drop_id = node.create_open_drop(2).await;
    let [alice, bob, carol] = [node.sign_in("alice").await, node.sign_in("bob").await, node.sign_in("carol").await];
    node.reserve(&alice, drop_id).await.expect_status(201);
    node.release(&alice, drop_id).await.expect_status(200);
    node.reserve(&bob, drop_id).await.expect_status(201);
    node.purchase(&bob, drop_id).await.expect_status(200);
    let mut pruning = db.begin().await.expect("a free connection");
    let pruned = sqlx::query("delete from reservations where status in ('expired', 'cancelled')")
        .execute(&mut *pruning)
        .await
        .expect("nothing refers to a reservation that was not completed");
    assert_eq!(pruned.rows_affected(), 1);
    node.reserve(&alice, drop_id).await.expect_status(201);
    node.purchase(&alice, drop_id).await.expect_status(200);
    node.reserve(&carol, drop_id).await.expect_error(409, "sold_out");
    pruning.commit().await.expect("the transaction can be committed");
    assert_eq!(query_number(&db, "select count(*) from reservations").await, 2);
    node.stop_and_assert_invariants().await;
}

/// Asserts that a constraint of this name refuses a statement.
async fn assert_refused_by(db: &PgPool, statement: &str, constraint: &str) {
    let outcome = sqlx::raw_sql(sqlx::AssertSqlSafe(statement.to_owned())).execute(db).await;
    let refused_by = match &outcome {
        Err(sqlx::Error::Database(error)) => error.constraint(),
        _ => None,
    };
    assert!(refused_by == Some(constraint), "{statement}: {outcome:?}");
}
