//! `GET /snapshot`: what pages ask for to which no socket can be opened.

use crate::support::{
    ADMIN_TOKEN, Answer, Node, Person, Proxy, ProxyMode, Settings, expire_now, open_websocket, send, until,
};
use chrono::{DateTime, Utc};
use futures_util::StreamExt;
use reqwest::{Method, header};
use serde_json::{Value, json};
use sqlx::PgPool;

const NO_TAG: &str = "";

async fn ask(node: &Node, person: Option<&Person>, known: &str) -> Answer {
    let request = node.request(Method::GET, "/snapshot").header(header::IF_NONE_MATCH, known);
    send(person.iter().fold(request, |request, person| request.bearer_auth(&person.token))).await
}

/// The time of an answer by the database's clock.
fn now_of(answer: &Answer) -> DateTime<Utc> {
    serde_json::from_str(answer.header("sneakdrop-now")).expect("a time")
}

fn without_time(event: &str) -> Value {
    let mut event: Value = serde_json::from_str(event).expect("an event");
    event["now"].take();
    event
}

/// Asserts that somebody is told what a socket of theirs begins with, and nothing more until it changes. Returns the tag.
async fn expect_news(node: &Node, person: Option<&Person>, known: &str) -> String {
    let answer = ask(node, person, known).await.expect_status(200);
    let authorization = person.map(|person| format!("Bearer {}", person.token));
    let headers = authorization.as_deref().map(|value| (header::AUTHORIZATION, value));
    let told: Vec<_> = answer.text.lines().map(without_time).collect();
    // A socket's snapshot may be as old as the latest flush.
    until("a socket begins with the same", async || {
        let socket = open_websocket(node, headers.clone()).await.expect("the handshake succeeds");
        let first: Vec<_> = socket.take(2).map(|message| message.expect("a message")).collect().await;
        let first = first.iter().map(|message| without_time(message.to_text().expect("an event")));
        first.eq(told.iter().cloned()).then_some(())
    })
    .await;

    let tag = answer.header("etag").to_owned();
    let again = ask(node, person, &tag).await.expect_status(304);
    assert_eq!((again.text.as_str(), again.header("etag")), ("", &*tag));
    assert!(now_of(&answer) <= now_of(&again) && (Utc::now() - now_of(&again)).num_seconds().abs() < 60);
    for answer in [&answer, &again] {
        assert_eq!(answer.header("cache-control"), "no-store");
    }
    tag
}

#[sqlx::test]
async fn whoever_asks_is_told_what_a_socket_begins_with_once(db: PgPool) {
    let node = Node::start(&db).await;
    let drop_id = node.create_open_drop(5).await;
    let (alice, bob) = (node.sign_in("alice").await, node.sign_in("bob").await);
    let mut stranger = expect_news(&node, None, NO_TAG).await;
    let mut holder = expect_news(&node, Some(&alice), &stranger).await;
    let held = node.reserve(&alice, drop_id).await.expect_status(201);
    for change in 0..6 {
        match change {
            0 => drop(node.reserve(&bob, drop_id).await.expect_status(201)),
            1 => drop(node.release(&bob, drop_id).await.expect_status(200)),
            2 => {
                expire_now(&db, held.reservation_id()).await;
                node.reserve(&bob, drop_id).await.expect_status(201);
            }
            3 => drop(node.purchase(&bob, drop_id).await.expect_status(200)),
            4 => drop(node.create_open_drop(1).await),
            _ => {
                let path = format!("/api/drops/{drop_id}/pause");
                node.post(&path, ADMIN_TOKEN, json!({})).await.expect_status(200);
            }
        }
        let known = (stranger, holder);
        stranger = expect_news(&node, None, &known.0).await;
        holder = expect_news(&node, Some(&alice), &known.1).await;
        assert_ne!(stranger, holder);
    }
    // Nodes with the same drops send the same tag.
    let other = node.start_another(Settings::default()).await;
    ask(&other, None, &stranger).await.expect_status(304);
    ask(&other, Some(&alice), &holder).await.expect_status(304);
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn what_only_the_visitor_has_is_news_to_the_visitor_alone(db: PgPool) {
    let node = Node::start_with(&db, Settings::without_jobs()).await;
    let drop_id = node.create_open_drop(5).await;
    let alice = node.sign_in("alice").await;
    let held = node.reserve(&alice, drop_id).await.expect_status(201);
    let stranger = expect_news(&node, None, NO_TAG).await;
    let holder = expect_news(&node, Some(&alice), NO_TAG).await;
    // No job runs that would return the pair.
    expire_now(&db, held.reservation_id()).await;
    ask(&node, None, &stranger).await.expect_status(304);
    expect_news(&node, Some(&alice), &holder).await;
    node.stop().await;
}

#[sqlx::test]
async fn without_a_database_a_visitor_is_told_nothing_rather_than_that_nothing_is_held(db: PgPool) {
    let proxy = Proxy::start(&db).await;
    let node = Node::start_with(&db, Settings::through(&proxy)).await;
    let drop_id = node.create_open_drop(5).await;
    let alice = node.sign_in("alice").await;
    node.reserve(&alice, drop_id).await.expect_status(201);
    let known = expect_news(&node, Some(&alice), NO_TAG).await;
    proxy.set_mode(ProxyMode::Reset);
    for known in [&*known, NO_TAG] {
        let answer = ask(&node, Some(&alice), known).await.expect_error(503, "unavailable");
        assert_eq!((answer.header("etag"), answer.header("sneakdrop-now")), ("", ""));
    }
    proxy.set_mode(ProxyMode::Forwarding);
    until("the database is back", async || (ask(&node, Some(&alice), &known).await.status == 304).then_some(())).await;
    node.stop_and_assert_invariants().await;
}
