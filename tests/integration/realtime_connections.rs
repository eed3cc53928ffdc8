//! Connections to `/ws` that are slow, stalled, lost, flooding or of a foreign origin.

use crate::support::{
    DEADLINE, Node, Proxy, ProxyMode, Settings, Subscriber, concurrently, open_websocket, query_number, shown_stock,
    stored_stock, until,
};
use chrono::{DateTime, Utc};
use futures_util::future::join_all;
use serde_json::{Value, json};
use sneakdrop::domain::event::Reason;
use sqlx::PgPool;
use std::time::Duration;
use tokio::{
    io::AsyncWriteExt,
    time::{Instant, timeout},
};
use tokio_tungstenite::tungstenite::{self, Message, http::header, protocol::frame::coding::CloseCode};

#[sqlx::test]
async fn connection_survives_a_database_outage(db: PgPool) {
    let proxy = Proxy::start(&db).await;
    let node = Node::start_with(&db, Settings::through(&proxy)).await;
    let other_node = node.start_another(Settings::default()).await;
    let drop_id = node.create_open_drop(5).await;
    other_node.until_catalog_matches_database().await;
    let alice = other_node.sign_in("alice").await;
    let mut before = Subscriber::connect(&node, None).await;

    proxy.set_mode(ProxyMode::Reset);
    until("the node is not ready", async || (node.get("/readyz").await.status == 503).then_some(())).await;
    let mut during = Subscriber::connect(&node, None).await;
    other_node.reserve(&alice, drop_id).await.expect_status(201);
    proxy.set_mode(ProxyMode::Forwarding);
    let stored = stored_stock(&db).await;
    before.until_stock_is(&stored).await;
    during.until_stock_is(&stored).await;
    other_node.stop_and_assert_invariants().await;
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn slow_connection_skips_to_a_new_snapshot_and_delays_no_other(db: PgPool) {
    let node = Node::start(&db).await;
    create_many_drops(&node).await;
    let mut fast = Subscriber::connect(&node, None).await;
    let mut slow = Subscriber::connect(&node, None).await;

    // Enough to fill every buffer on the way and the send queue of the connection.
    for _ in 0..11 {
        let version = change_every_drop(&node, &db).await;
        fast.until_version(version).await;
    }
    assert_eq!(fast.snapshots, 1, "a connection that keeps up gets no second snapshot");
    slow.until_version(fast.drops.values().map(|drop| drop.version).max().expect("drops were created")).await;
    assert_eq!(shown_stock(slow.drops.into_values()), shown_stock(fast.drops.into_values()));
    assert_eq!(slow.snapshots, 2, "{} events instead of {}", slow.events, fast.events);
    assert!(slow.events < fast.events, "{} events instead of {}", slow.events, fast.events);
    node.stop().await;
}

#[sqlx::test]
async fn connection_that_reads_nothing_is_closed(db: PgPool) {
    let node = Node::start(&db).await;
    create_many_drops(&node).await;
    let mut fast = Subscriber::connect(&node, None).await;
    let tasks_before = node.running_tasks();
    let stalled = Subscriber::connect(&node, None).await;
    assert_eq!(node.running_tasks(), tasks_before + 1);

    until("the server closes the connection", async || {
        let version = change_every_drop(&node, &db).await;
        fast.until_version(version).await;
        (node.running_tasks() == tasks_before).then_some(())
    })
    .await;
    drop(stalled);
    node.stop().await;
}

#[sqlx::test]
async fn connection_without_pongs_is_closed_and_one_with_pongs_is_kept(db: PgPool) {
    let node = Node::start(&db).await;
    let drop_id = node.create_open_drop(5).await;
    let alice = node.sign_in("alice").await;
    let mut other = Subscriber::connect(&node, None).await;
    // Reads every byte and never answers, as if the program hung while its kernel kept the connection open.
    let mut unresponsive = open_websocket(&node, []).await.expect("the handshake succeeds").into_inner();
    let opened_at = Instant::now();
    let mut sink = tokio::io::sink();
    let events_before = other.events;
    let closed = timeout(2 * DEADLINE, tokio::io::copy(&mut unresponsive, &mut sink));
    tokio::select! {
        // The server may reset the connection, so that the copy ends with an error.
        result = closed => drop(result.expect("the server closes the connection in time")),
        event = other.next() => panic!("an event without a change: {event:?}"),
    }
    // The first ping is sent within one interval of ten seconds, and two may stay unanswered.
    let lifetime = opened_at.elapsed();
    assert!(lifetime >= Duration::from_secs(19), "it was closed after {lifetime:?}");
    assert!(other.events > events_before, "no heartbeat was sent");
    node.reserve(&alice, drop_id).await.expect_status(201);
    other.expect_stock_update(Reason::Reserved, (4, 1), &[("One size", 4)]).await;
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn page_that_asks_gets_a_heartbeat_at_once(db: PgPool) {
    let node = Node::start(&db).await;
    let mut subscriber = Subscriber::connect(&node, None).await;
    for text in ["heartbeat", "", "?"] {
        subscriber.send(Message::text(text)).await.expect("the connection is open");
        let Some(Ok(Message::Text(answer))) = subscriber.next_message().await else { panic!("no text") };
        let answer: serde_json::Value = serde_json::from_str(&answer).expect("an event");
        assert_eq!(answer["type"], "heartbeat");
        let now = answer["now"].as_str().and_then(|now| now.parse::<DateTime<Utc>>().ok()).expect("a time");
        assert!((Utc::now() - now).num_seconds().abs() < 60, "{now}");
    }
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn task_of_a_lost_connection_ends(db: PgPool) {
    let node = Node::start(&db).await;
    let alice = node.sign_in("alice").await;
    let tasks_before = node.running_tasks();
    let subscribers = join_all((0..20).map(|_| Subscriber::connect(&node, Some(&alice)))).await;
    assert_eq!(node.running_tasks(), tasks_before + 20);
    // Closes the sockets without a close frame.
    drop(subscribers);
    until("the tasks end", async || (node.running_tasks() == tasks_before).then_some(())).await;
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn handshake_from_a_foreign_origin_is_forbidden(db: PgPool) {
    let node = Node::start(&db).await;
    let own = node.url("");
    for origin in [None, Some(own.as_str())] {
        let headers = origin.map(|origin| (header::ORIGIN, origin));
        assert!(open_websocket(&node, headers).await.is_ok(), "{origin:?}");
    }
    for foreign in ["http://evil.test", "https://evil.test", "null", &format!("{own}.evil.test"), "http://127.0.0.1"] {
        match open_websocket(&node, [(header::ORIGIN, foreign)]).await {
            Err(tungstenite::Error::Http(response)) => assert_eq!(response.status(), 403, "{foreign}"),
            outcome => panic!("{foreign}: {outcome:?}"),
        }
    }
    let plain = node.get("/ws").await;
    assert!((400..500).contains(&plain.status), "{plain:?}");
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn stopping_server_closes_every_connection_with_going_away(db: PgPool) {
    let node = Node::start(&db).await;
    let alice = node.sign_in("alice").await;
    let mut subscribers = [Subscriber::connect(&node, None).await, Subscriber::connect(&node, Some(&alice)).await];
    node.begin_shutdown();
    for subscriber in &mut subscribers {
        let close_frame = loop {
            match subscriber.next_message().await {
                Some(Ok(Message::Close(frame))) => break frame.expect("the close frame has a code"),
                Some(Ok(_)) => {}
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(close_frame.code, CloseCode::Away);
    }
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn oversized_message_closes_only_its_own_connection(db: PgPool) {
    let node = Node::start(&db).await;
    let drop_id = node.create_open_drop(5).await;
    let alice = node.sign_in("alice").await;
    let mut other = Subscriber::connect(&node, Some(&alice)).await;
    let mut oversized = Subscriber::connect(&node, Some(&alice)).await;
    // Larger than any that a page sends, and ignored.
    other.send(Message::binary(vec![0; 1_000])).await.expect("the connection is open");
    other.send(Message::Ping("hello".into())).await.expect("the connection is open");
    assert!(matches!(other.next_message().await, Some(Ok(Message::Pong(data))) if data == "hello"));

    // The server may close the connection before all of it is sent, and then the send fails.
    let _ = oversized.send(Message::binary(vec![0; 1_000_000])).await;
    while let Some(Ok(message)) = oversized.next_message().await {
        assert!(!message.is_text(), "{message:?}");
    }
    node.reserve(&alice, drop_id).await.expect_status(201);
    other.expect_stock_update(Reason::Reserved, (4, 1), &[("One size", 4)]).await;
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn connections_that_flood_pings_delay_no_other(db: PgPool) {
    let node = Node::start(&db).await;
    let drop_id = node.create_open_drop(5).await;
    let alice = node.sign_in("alice").await;
    let mut other = Subscriber::connect(&node, None).await;
    // Two connections for each thread of the node send pings faster than it can answer them.
    let mut floods = vec![];
    for _ in 0..4 {
        let (mut read, mut write) =
            open_websocket(&node, []).await.expect("the handshake succeeds").into_inner().into_split();
        floods.push(tokio::spawn(async move { drop(tokio::io::copy(&mut read, &mut tokio::io::sink()).await) }));
        floods.push(tokio::spawn(async move {
            let pings = [0x89, 0x80, 0, 0, 0, 0].repeat(10_000);
            while write.write_all(&pings).await.is_ok() {}
        }));
    }
    for _ in 0..10 {
        node.reserve(&alice, drop_id).await.expect_status(201);
        other.expect_stock_update(Reason::Reserved, (4, 1), &[("One size", 4)]).await;
        node.release(&alice, drop_id).await.expect_status(200);
        other.expect_stock_update(Reason::Released, (5, 0), &[("One size", 5)]).await;
    }
    floods.iter().for_each(|task| task.abort());
    node.stop_and_assert_invariants().await;
}

/// Fewer than the events in a connection's send queue. Each drop has many sizes, so that its events are long.
const MANY_DROPS: usize = 200;

async fn create_many_drops(node: &Node) {
    let sizes: Vec<Value> = (0..50).map(|index| json!({ "label": format!("US {index:017}"), "stock": 10 })).collect();
    let new = json!({ "name": "Court 76", "priceCents": 1, "sizes": sizes });
    concurrently(10, (0..MANY_DROPS).map(|_| node.create_drop(new.clone()))).await;
    node.until_catalog_matches_database().await;
}

/// Changes every size of every drop in the database, as another node would, and returns the new version of the drops.
async fn change_every_drop(node: &Node, db: &PgPool) -> i64 {
    let change = "begin; set local sneakdrop.writes_versions = on;
                  update drop_sizes set available_stock = (available_stock + 1) % 10;
                  update drops set version = version + 1; commit";
    sqlx::raw_sql(change).execute(db).await.expect("the counts stay within the total");
    node.reconcile_now().await;
    query_number(db, "select min(version) from drops").await
}
