//! Nodes whose database is unreachable, silent or locked.

use crate::support::{
    ADMIN_TOKEN, Node, Person, Proxy, ProxyMode, Settings, assert_invariants, concurrently, count_waits, create_people,
    new_drop, query_number, send, transactions_waiting_for_a_lock, until,
};
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::json;
use sqlx::{AssertSqlSafe, PgPool, Postgres, Transaction};
use tokio::{io::AsyncWriteExt, net::TcpStream};

/// How many transactions a node runs at the same time.
const MAX_TRANSACTIONS: i64 = 10;

#[sqlx::test]
async fn node_recovers_when_database_connections_are_reset(db: PgPool) {
    let proxy = Proxy::start(&db).await;
    let node = Node::start_with(&db, Settings::through(&proxy)).await;
    let other_node = node.start_another(Settings::default()).await;
    let drop_id = node.create_open_drop(5).await;
    let [alice, bob] = [node.sign_in("alice").await, node.sign_in("bob").await];
    other_node.until_catalog_matches_database().await;

    proxy.set_mode(ProxyMode::Reset);
    assert_unavailable(&node, drop_id, &alice).await;
    // The other node still reaches the database.
    other_node.reserve(&bob, drop_id).await.expect_status(201);
    proxy.set_mode(ProxyMode::Forwarding);
    assert_sells_again(&node, drop_id, &alice).await;
    node.until_catalog_matches_database().await;
    other_node.stop_and_assert_invariants().await;
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn node_recovers_when_the_database_goes_silent(db: PgPool) {
    let proxy = Proxy::start(&db).await;
    let node = Node::start_with(&db, Settings::through(&proxy)).await;
    let drop_id = node.create_open_drop(5).await;
    let alice = node.sign_in("alice").await;

    proxy.set_mode(ProxyMode::Silent);
    assert_unavailable(&node, drop_id, &alice).await;
    proxy.set_mode(ProxyMode::Forwarding);
    assert_sells_again(&node, drop_id, &alice).await;
    node.until_catalog_matches_database().await;
    node.crash();
    assert_invariants(&db).await;
}

#[sqlx::test]
async fn node_is_unavailable_while_database_connections_are_closed(db: PgPool) {
    let proxy = Proxy::start(&db).await;
    let node = Node::start_with(&db, Settings::through(&proxy)).await;
    let drop_id = node.create_open_drop(5).await;
    let alice = node.sign_in("alice").await;
    let path = format!("/api/drops/{drop_id}/reserve");

    proxy.set_mode(ProxyMode::Closed);
    let answers = concurrently(8, (0..8).map(|_| node.post(&path, &alice.token, json!({})))).await;
    for answer in answers {
        assert_eq!(answer.status, 503, "{}", answer.text);
    }
    proxy.set_mode(ProxyMode::Forwarding);
    assert_sells_again(&node, drop_id, &alice).await;
    node.stop_and_assert_invariants().await;
}

/// Every transaction that the node may run at the same time waits for a lock when its connection goes silent, so that
/// none of them ever gets an answer.
#[sqlx::test]
async fn node_recovers_after_every_transaction_went_silent(db: PgPool) {
    let proxy = Proxy::start(&db).await;
    let node = Node::start_with(&db, Settings::through(&proxy)).await;
    let drop_ids = concurrently(10, (0..30).map(|_| node.create_open_drop(1))).await;
    let people = create_people(&db, 30).await;
    let mut lock = db.begin().await.expect("a free connection");
    sqlx::query("select from drops for update").execute(&mut *lock).await.expect("the lock is free");

    let calls = people.iter().zip(&drop_ids).map(|(person, drop_id)| {
        let (node, path) = (&node, format!("/api/drops/{drop_id}/reserve"));
        async move { node.post(&path, &person.token, json!({})).await }
    });
    let calls = concurrently(30, calls);
    let go_silent = async {
        until("every transaction waits for a lock", async || {
            (transactions_waiting_for_a_lock(&db).await == MAX_TRANSACTIONS).then_some(())
        })
        .await;
        proxy.set_mode(ProxyMode::Silent);
        lock.rollback().await.expect("the transaction can be rolled back");
    };
    let (answers, ()) = tokio::join!(calls, go_silent);
    assert!(answers.iter().all(|answer| answer.status == 503), "no reservation was acknowledged");

    proxy.set_mode(ProxyMode::Forwarding);
    until("the node is ready", async || (node.get("/readyz").await.status == 200).then_some(())).await;
    for (person, drop_id) in people.iter().zip(drop_ids) {
        assert!([200, 201].contains(&node.reserve(person, drop_id).await.status));
    }
    node.until_catalog_matches_database().await;
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn drop_that_stays_locked_is_unavailable_and_others_sell(db: PgPool) {
    let node = Node::start(&db).await;
    let (locked, free) = (node.create_open_drop(5).await, node.create_open_drop(5).await);
    let alice = node.sign_in("alice").await;
    let mut lock = db.begin().await.expect("a free connection");
    sqlx::query("select from drops where id = $1 for update")
        .bind(locked)
        .execute(&mut *lock)
        .await
        .expect("the lock is free");

    let path = format!("/api/drops/{locked}/reserve");
    let refused = count_waits(&db, node.post(&path, &alice.token, json!({})));
    let ((refused, waits), other) = tokio::join!(refused, node.reserve(&alice, free));
    let refused = refused.expect_error(503, "unavailable");
    assert_eq!(waits, 1, "it is refused after one time limit");
    assert_eq!(refused.header("retry-after"), "1");
    other.expect_status(201);
    lock.rollback().await.expect("the transaction can be rolled back");
    node.reserve(&alice, locked).await.expect_status(201);
    node.stop_and_assert_invariants().await;
}

/// What is read while nobody waits for it any more must neither close connections nor let others be opened.
#[sqlx::test]
async fn clients_that_go_away_while_they_read_leave_nothing_behind(db: PgPool) {
    let node = Node::start_with(&db, Settings::without_jobs()).await;
    let drop_id = node.create_open_drop(5).await;
    let alice = node.sign_in("alice").await;
    let backends = "select count(distinct pid) from pg_stat_activity
                    where datname = current_database() and application_name = 'sneakdrop'";
    // For whoever reads a drop that is not current. Sales go on.
    let lock = lock_table(&db, "drop_descriptions").await;
    for _ in 0..4 {
        let clients = join_all((0..30).map(|_| send_and_leave(&node, "/drops/999999"))).await;
        until_reads_wait_for_a_lock(&db).await;
        drop(clients);
        node.get("/healthz").await.expect_status(200);
    }
    let answer = node.post(&format!("/api/drops/{drop_id}/reserve"), &alice.token, json!({})).await;
    answer.expect_status(201);
    let while_locked = query_number(&db, backends).await;
    assert!(while_locked <= 20, "{while_locked} connections to PostgreSQL");
    lock.rollback().await.expect("the transaction can be rolled back");
    until("reads are answered again", async || (node.get("/drops/999999").await.status == 404).then_some(())).await;
    let before: Vec<i32> = connected(&db).await;
    for _ in 0..20 {
        drop(join_all((0..10).map(|_| send_and_leave(&node, "/drops/999999"))).await);
        node.get("/drops/999999").await.expect_status(404);
    }
    let after = connected(&db).await;
    assert!(before.iter().all(|pid| after.contains(pid)), "connections were closed: {before:?}, then {after:?}");
    node.stop_and_assert_invariants().await;
}

/// What PostgreSQL refuses when nobody waits for it any more is no fault of its connection.
#[sqlx::test]
async fn reads_that_are_given_up_keep_their_connections_also_when_they_are_refused(db: PgPool) {
    let node = Node::start_with(&db, Settings::without_jobs()).await;
    let lock = lock_table(&db, "drop_descriptions").await;
    let read = async || {
        let clients = join_all((0..8).map(|_| send_and_leave(&node, "/drops/999999"))).await;
        until_reads_wait_for_a_lock(&db).await;
        clients
    };
    drop(read().await);
    let before = connected(&db).await;
    until("the locks were not granted in time", async || {
        (transactions_waiting_for_a_lock(&db).await == 0).then_some(())
    })
    .await;
    // These wait until those before have ended.
    let clients = read().await;
    let after = connected(&db).await;
    assert!(before.iter().all(|pid| after.contains(pid)), "connections were closed: {before:?}, then {after:?}");
    drop(clients);
    lock.rollback().await.expect("the transaction can be rolled back");
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn reads_that_wait_leave_connections_for_the_sale(db: PgPool) {
    let node = Node::start_with(&db, Settings::without_jobs()).await;
    let drop_id = node.create_open_drop(5).await;
    let [alice, bob] = [node.sign_in("alice").await, node.sign_in("bob").await];
    // For the calendars, and for nothing that is sold.
    let lock = lock_table(&db, "shop").await;
    let calendar = format!("/drops/{drop_id}.ics");
    let clients = join_all((0..60).map(|_| send_and_leave(&node, &calendar))).await;
    until_reads_wait_for_a_lock(&db).await;
    node.get("/healthz").await.expect_status(200);
    node.get("/readyz").await.expect_status(200);
    for (method, status) in [("reserve", 201), ("purchase", 200), ("purchase", 200)] {
        node.post(&format!("/api/drops/{drop_id}/{method}"), &alice.token, json!({})).await.expect_status(status);
    }
    // As the front ends of the replaced systems do.
    let for_bob = json!({ "userId": bob.id });
    let reserved = node.post(&format!("/api/drops/{drop_id}/reserve"), ADMIN_TOKEN, for_bob).await.expect_status(201);
    let purchase = json!({ "reservationId": reserved.json["reservation"]["id"] });
    node.post("/dialect2/api/drops/purchase", ADMIN_TOKEN, purchase).await.expect_status(200);
    // What others sell is heard of as well.
    sqlx::query("update drops set price_cents = 1 where id = $1")
        .bind(drop_id)
        .execute(&db)
        .await
        .expect("the drop is not locked");
    node.reconcile_now().await;
    assert_eq!(node.get("/api/drops").await.expect_status(200).json["drops"][0]["price_cents"], 1);
    assert!(transactions_waiting_for_a_lock(&db).await >= 8, "the reads still wait");
    drop(clients);
    lock.rollback().await.expect("the transaction can be rolled back");
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn nothing_waits_for_ever_for_a_silent_database(db: PgPool) {
    let proxy = Proxy::start(&db).await;
    let node = Node::start_with(&db, Settings { has_jobs: false, ..Settings::through(&proxy) }).await;
    let drop_id = node.create_open_drop(5).await;
    let read = async |path: &str| {
        send(node.request(Method::GET, &format!("/api/drops/{drop_id}{path}")).bearer_auth(ADMIN_TOKEN)).await
    };
    for path in ["", "/proof", "/changes"] {
        read(path).await.expect_status(200);
    }
    proxy.set_mode(ProxyMode::Silent);
    let (drop, proof, changes) = tokio::join!(read(""), read("/proof"), read("/changes"));
    for answer in [drop, proof, changes] {
        answer.expect_error(503, "unavailable");
    }
    proxy.set_mode(ProxyMode::Forwarding);
    until("the drop can be read again", async || (read("/proof").await.status == 200).then_some(())).await;
    node.stop_and_assert_invariants().await;
}

/// Whoever reads the table waits until this ends.
async fn lock_table(db: &PgPool, table: &str) -> Transaction<'static, Postgres> {
    let mut lock = db.begin().await.expect("a free connection");
    let statement = format!("lock table {table} in access exclusive mode");
    sqlx::query(AssertSqlSafe(statement)).execute(&mut *lock).await.expect("the lock is free");
    lock
}

async fn until_reads_wait_for_a_lock(db: &PgPool) {
    until("reads wait", async || (transactions_waiting_for_a_lock(db).await >= 8).then_some(())).await;
}

async fn connected(db: &PgPool) -> Vec<i32> {
    let pids = "select pid from pg_stat_activity
                where datname = current_database() and application_name = 'sneakdrop'";
    sqlx::query_scalar(pids).fetch_all(db).await.expect("the view can be read")
}

/// A request whose sender goes away when the connection is dropped.
async fn send_and_leave(node: &Node, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(node.address).await.expect("the server listens");
    let request = format!("GET {path} HTTP/1.1\r\nhost: shop.test\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("the connection is open");
    stream
}

/// Asserts that a node without database refuses every change and still serves its catalog.
async fn assert_unavailable(node: &Node, drop_id: i64, person: &Person) {
    let token = &*person.token;
    let calls = [
        (format!("/api/drops/{drop_id}/reserve"), json!({})),
        (format!("/api/drops/{drop_id}/purchase"), json!({})),
        ("/api/drops/purchase".into(), json!({ "reservationId": 1 })),
        ("/api/users/get-or-create".into(), json!({ "username": "carol" })),
    ];
    let calls = calls.into_iter().map(|(path, body)| async move {
        let answer = node.post(&path, token, body).await;
        assert_eq!((answer.status, answer.header("retry-after")), (503, "1"), "{path}: {}", answer.text);
        assert!(["unavailable", "unknown"].contains(&answer.code()), "{path}: {}", answer.text);
    });
    concurrently(4, calls).await;
    node.post("/api/drops", ADMIN_TOKEN, new_drop(&json!({}))).await.expect_error(503, "unavailable");
    node.get("/readyz").await.expect_error(503, "unavailable");
    node.get("/healthz").await.expect_status(200);
    assert_eq!(node.get("/api/drops").await.expect_status(200).json["drops"][0]["id"], drop_id);
}

/// Asserts that a node recovers by itself when the database is available again.
async fn assert_sells_again(node: &Node, drop_id: i64, person: &Person) {
    until("the node is ready", async || (node.get("/readyz").await.status == 200).then_some(())).await;
    until("the node sells again", async || {
        let answer = node.reserve(person, drop_id).await;
        [200, 201].contains(&answer.status).then_some(())
    })
    .await;
    node.purchase(person, drop_id).await.expect_status(200);
}
