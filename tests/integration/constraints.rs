//! Constraints and triggers of the database, which refuse statements that would break the stock or a reference.

use crate::support::{Node, Person, Settings, until_a_transaction_waits_for_a_lock};
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
         select drop_id, size_id, user_id, id, 1 from reservations, generate_series(1, 2) where id = {held}"
    );
    let reserve = |drop: &str, size_of: &str, user: &str| {
        format!(
            "insert into reservations (drop_id, size_id, user_id, expires_at)
             select {drop}, id, {user}, clock_timestamp() from drop_sizes where drop_id = {size_of}"
        )
    };
    for (statement, constraint) in [
        ("update drop_sizes set available_stock = -1".into(), "drop_sizes_available_within_total"),
        ("update drop_sizes set available_stock = 3".into(), "drop_sizes_available_within_total"),
        (format!("update drop_sizes set available_stock = 2 where drop_id = {drop}"), "drop_sizes_held_within_total"),
        ("update drop_sizes set held_stock = -1".into(), "drop_sizes_held_within_total"),
        ("update drop_sizes set total_stock = 0, available_stock = 0, held_stock = 0".into(), "drop_sizes_total_range"),
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
    let held = node.reserve(&alice, drop_id).await.expect_status(201).reservation_id();
    let buy_for_bob = format!(
        "insert into purchases (drop_id, size_id, user_id, reservation_id, price_cents)
         select drop_id, size_id, {}, id, 1 from reservations where id = {held}",
        bob.id
    );
    for (statement, constraint) in [
        ("delete from users", "reservations_user_exists"),
        ("delete from drops", "reservations_size_of_drop"),
        ("delete from drop_sizes", "reservations_size_of_drop"),
        ("delete from reservations", "purchases_of_reservation"),
        (buy_for_bob.as_str(), "purchases_of_reservation"),
    ] {
        assert_refused_by(&db, statement, constraint).await;
    }
    for statement in [
        "update users set id = default",
        "update drop_sizes set id = default",
        "update reservations set id = default",
        "update reservations set user_id = user_id + 1",
        "update purchases set reservation_id = reservation_id + 1",
        "update drop_sizes set drop_id = drop_id + 1",
        "truncate users cascade",
        "truncate reservations",
    ] {
        let outcome = sqlx::raw_sql(statement).execute(&db).await;
        let code = outcome.as_ref().err().and_then(|error| error.as_database_error()?.code());
        assert!(code.is_some_and(|code| code == "23000"), "{statement}: {outcome:?}");
    }
    // The triggers do not see references that were committed after the snapshot of a repeatable read transaction.
    let repeatable_read = "begin isolation level repeatable read; delete from users where username = 'bob'";
    let mut connection = db.acquire().await.expect("a free connection");
    let outcome = sqlx::raw_sql(repeatable_read).execute(&mut *connection).await;
    sqlx::raw_sql("rollback").execute(&mut *connection).await.expect("the transaction has begun");
    drop(connection);
    assert!(outcome.is_err_and(|error| error.to_string().contains("read committed")));
    // No row refers to bob.
    sqlx::raw_sql("delete from users where username = 'bob'").execute(&db).await.expect("bob can be deleted");
    node.reserve(&bob, drop_id).await.expect_error(401, "unauthorized");
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn user_is_not_deleted_while_a_reference_is_written(db: PgPool) {
    let node = Node::start_with(&db, Settings::without_jobs()).await;
    let drop_id = node.create_open_drop(3).await;
    let [alice, bob] = [node.sign_in("alice").await, node.sign_in("bob").await];
    let insert_reference = |person: &Person| {
        format!(
            "insert into reservations (drop_id, size_id, user_id, expires_at, status, settled_at)
             select drop_id, id, {}, now(), 'expired', now() from drop_sizes where drop_id = {drop_id}",
            person.id
        )
    };
    let delete = |person: &Person| format!("delete from users where id = {}", person.id);
    for (first, second) in [(insert_reference(&alice), delete(&alice)), (delete(&bob), insert_reference(&bob))] {
        let mut transaction = db.begin().await.expect("a free connection");
        sqlx::raw_sql(sqlx::AssertSqlSafe(first)).execute(&mut *transaction).await.expect("the statement succeeds");
        let refused = tokio::spawn({
            let db = db.clone();
            async move { assert_refused_by(&db, &second, "reservations_user_exists").await }
        });
        until_a_transaction_waits_for_a_lock(&db).await;
        transaction.commit().await.expect("the transaction can be committed");
        refused.await.expect("the task does not panic");
    }
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
