//! Behind PgBouncer.

use crate::support::{
    Api, Node, PgBouncer, SESSION_KEY, ServerProcess, Settings, count_waits, lock_drop, output_of_failed_start,
};
use serde_json::json;
use sqlx::PgPool;

/// PgBouncer as it comes, and told to ignore what it does not know of a connection's parameters.
const SESSION_POOLS: [&str; 2] =
    ["pool_mode = session", "pool_mode = session\nignore_startup_parameters = options,extra_float_digits"];

#[sqlx::test]
async fn session_pooling_works_and_keeps_the_time_limits(db: PgPool) {
    for settings in SESSION_POOLS {
        let pgbouncer = PgBouncer::start(&db, settings).await;
        let database = pgbouncer.connect_options();
        let process = ServerProcess::start(&database, &[], &[("SESSION_KEY", SESSION_KEY)]).await;
        Api::new(process.address).get("/readyz").await.expect_status(200);
        drop(process);

        let node = Node::start_with(&db, Settings { database: Some(database), ..Settings::default() }).await;
        let drop_id = node.create_open_drop(5).await;
        let alice = node.sign_in(&format!("alice {drop_id}")).await;
        let lock = lock_drop(&db, drop_id).await;
        let path = format!("/api/drops/{drop_id}/reserve");
        // Without a limit of its own, PostgreSQL would wait for as long as the lock is held.
        let (answer, waits) = count_waits(&db, node.post(&path, &alice.token, json!({}))).await;
        answer.expect_error(503, "unavailable");
        assert_eq!(waits, 1, "a drop that stays locked is refused after one time limit");
        lock.rollback().await.expect("the transaction can be rolled back");
        node.reserve(&alice, drop_id).await.expect_status(201);
        node.purchase(&alice, drop_id).await.expect_status(200);
        node.stop_and_assert_invariants().await;
    }
}

#[sqlx::test]
async fn pool_without_sessions_is_refused_with_one_line(db: PgPool) {
    for settings in
        ["pool_mode = transaction", "pool_mode = statement", "pool_mode = transaction\ndefault_pool_size = 1"]
    {
        let pgbouncer = PgBouncer::start(&db, settings).await;
        let output = output_of_failed_start(&pgbouncer.connect_options()).await;
        let stderr = String::from_utf8(output.stderr).expect("the message is text");
        assert_eq!(output.status.code(), Some(1), "{settings}: {stderr}");
        assert_eq!(stderr.lines().count(), 1, "{settings}: {stderr}");
        assert!(stderr.contains("pool_mode = session"), "{settings}: {stderr}");
    }
}
