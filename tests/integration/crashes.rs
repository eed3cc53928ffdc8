//! Servers that are killed or stopped, and clients that disconnect, during a request.

use crate::support::{
    ADMIN_TOKEN, Action, Api, Gate, Node, Person, SESSION_KEY, ServerProcess, assert_invariants, create_people,
    query_number, spawn_call, until,
};
use serde_json::json;
use sqlx::PgPool;
use std::time::Duration;
use tokio::{net::TcpStream, time::sleep};

#[sqlx::test]
async fn server_killed_before_commit_loses_nothing(db: PgPool) {
    let other_node = Node::start(&db).await;
    let drop_id = other_node.create_open_drop(1).await;
    let [alice, bob] = [other_node.sign_in("alice").await, other_node.sign_in("bob").await];
    let (mut server, server_api) = start_server(&db).await;
    let gate = Gate::before_commit(&db).await;

    let call = tokio::spawn(send_reserve(&server_api, &alice, drop_id));
    gate.until_reached().await;
    server.kill();
    assert!(call.await.expect("the task does not panic").is_err(), "a killed server sends no answer");
    // The drop stays locked until PostgreSQL notices, when it sends its next answer, that the connection is closed.
    let waiting = spawn_call(&other_node, &bob, drop_id, Action::Reserve);
    gate.open().await;

    waiting.await.expect("the task does not panic").expect_status(201);
    assert_eq!(query_number(&db, "select count(*) from reservations").await, 1);
    other_node.reserve(&alice, drop_id).await.expect_error(409, "sold_out");
    other_node.until_catalog_matches_database().await;
    other_node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn server_killed_during_commit_leaves_a_reservation_that_a_retry_finds(db: PgPool) {
    let other_node = Node::start(&db).await;
    let drop_id = other_node.create_open_drop(3).await;
    let alice = other_node.sign_in("alice").await;
    let (mut server, server_api) = start_server(&db).await;
    let gate = Gate::during_commit(&db).await;

    let call = tokio::spawn(send_reserve(&server_api, &alice, drop_id));
    gate.until_reached().await;
    server.kill();
    assert!(call.await.expect("the task does not panic").is_err(), "a killed server sends no answer");
    gate.open().await;

    // PostgreSQL completes a COMMIT that it has received, so that the retry finds the reservation.
    let answer = other_node.reserve(&alice, drop_id).await.expect_status(200);
    assert_eq!(answer.json["newStock"], 2);
    other_node.purchase(&alice, drop_id).await.expect_status(200);
    other_node.until_catalog_matches_database().await;
    other_node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn client_disconnecting_during_commit_gets_all_or_nothing(db: PgPool) {
    let node = Node::start(&db).await;
    let drop_id = node.create_open_drop(3).await;
    let alice = node.sign_in("alice").await;
    let gate = Gate::during_commit(&db).await;

    let call = tokio::spawn(send_reserve(&node, &alice, drop_id));
    gate.until_reached().await;
    call.abort();
    gate.open().await;
    until("the transaction ends", async || {
        (query_number(&db, "select count(*) from reservations").await == 1).then_some(())
    })
    .await;
    node.until_catalog_matches_database().await;
    assert_eq!(node.reserve(&alice, drop_id).await.expect_status(200).json["newStock"], 2);
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn clients_disconnecting_at_any_time_get_all_or_nothing(db: PgPool) {
    let node = Node::start(&db).await;
    let drop_id = node.create_open_drop(60).await;
    let people = create_people(&db, 60).await;
    let calls: Vec<_> = people
        .iter()
        .enumerate()
        .map(|(index, person)| {
            let call = tokio::spawn(send_reserve(&node, person, drop_id));
            tokio::spawn(async move {
                sleep(Duration::from_millis(index as u64)).await;
                call.abort();
                call.await.ok()
            })
        })
        .collect();
    for call in calls {
        call.await.expect("the task does not panic");
    }
    // Some requests may still be running; the stop waits for them.
    node.stop().await;
    node.until_catalog_matches_database().await;
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn request_in_flight_is_answered_while_the_server_stops(db: PgPool) {
    let (mut server, api) = start_server(&db).await;
    let drop_id = api.create_open_drop(5).await;
    let alice = api.sign_in("alice").await;
    let gate = Gate::before_commit(&db).await;

    let call = spawn_call(&api, &alice, drop_id, Action::Reserve);
    gate.until_reached().await;
    server.terminate();
    until("new connections are refused", async || TcpStream::connect(server.address).await.is_err().then_some(()))
        .await;
    gate.open().await;
    call.await.expect("the task does not panic").expect_status(201);
    assert!(server.wait().await.success());
    assert_invariants(&db).await;
    assert_eq!(query_number(&db, "select count(*) from reservations where status = 'active'").await, 1);
}

/// Sends one request and may be aborted or fail; [`Api::reserve`] would panic or retry.
fn send_reserve(
    api: &Api,
    person: &Person,
    drop_id: i64,
) -> impl Future<Output = reqwest::Result<reqwest::Response>> + Send + 'static {
    let path = format!("/api/drops/{drop_id}/reserve");
    api.request(reqwest::Method::POST, &path).bearer_auth(&person.token).json(&json!({})).send()
}

async fn start_server(db: &PgPool) -> (ServerProcess, Api) {
    let environment = [("ADMIN_TOKEN", ADMIN_TOKEN), ("SESSION_KEY", SESSION_KEY)];
    let server = ServerProcess::start(&db.connect_options(), &[], &environment).await;
    let api = Api::new(server.address);
    (server, api)
}
