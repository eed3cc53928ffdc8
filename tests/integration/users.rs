//! Accounts and their usernames.

use crate::support::{ADMIN_TOKEN, Answer, Api, Node, concurrently, query_number, send, until};
use reqwest::{Method, header};
use serde_json::{Value, json};
use sqlx::PgPool;

#[sqlx::test]
async fn username_is_one_account_in_any_case_or_composition(db: PgPool) {
    let node = Node::start(&db).await;
    let names = ["Zoë", "李小龍", "🦊 fox", "o'hara-2", &"é".repeat(32)];
    for name in names {
        let person = node.sign_in(&format!("  {name}\u{3000}")).await;
        assert_eq!(person.username, name);
        for same in [name.to_uppercase(), name.to_lowercase(), name.replace('ë', "e\u{308}")] {
            let answer = get_or_create_user(&node, json!({ "username": same })).await.expect_status(200);
            assert_eq!(answer.json, json!({ "user": { "id": person.id, "username": name } }), "{same}");
        }
    }
    for bad in [
        json!(null),
        json!(""),
        json!("   "),
        json!("x".repeat(33)),
        json!("a\nb"),
        json!("a\0b"),
        json!("\u{200b}"),
        json!("evil\u{202e}ecila"),
        json!(5),
        json!(["alice"]),
        json!({}),
    ] {
        let answer = get_or_create_user(&node, json!({ "username": bad })).await.expect_error(400, "invalid_field");
        assert_eq!(answer.json["field"], "username", "{bad}");
    }
    get_or_create_user(&node, json!({})).await.expect_error(400, "invalid_field");
    assert_eq!(query_number(&db, "select count(*) from users").await, names.len() as i64);
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn concurrent_claims_of_a_username_create_one_account(db: PgPool) {
    let node = Node::start(&db).await;
    let claims = (0..30).map(|index| {
        let (node, name) = (&node, if index % 2 == 0 { "alice" } else { "ALICE" });
        // An overloaded node may refuse; the retry is answered.
        until("the node answers", async move || {
            let answer = get_or_create_user(node, json!({ "username": name })).await;
            (answer.code() != "unavailable").then(|| answer.expect_status(200))
        })
    });
    let answers = concurrently(30, claims).await;
    assert_eq!(answers.iter().filter(|answer| answer.json["token"].is_string()).count(), 1);
    assert_eq!(query_number(&db, "select count(*) from users").await, 1);
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn only_the_claimer_gets_the_session_of_an_account(db: PgPool) {
    let node = Node::start(&db).await;
    let alice = node.sign_in("alice").await;
    let claimed = json!({ "username": "Alice" });
    let user = json!({ "id": alice.id, "username": "alice" });

    let own = node.post("/api/users/get-or-create", &alice.token, claimed.clone()).await.expect_status(200);
    assert_eq!(own.json, json!({ "user": user, "token": alice.token }));
    let bob = node.sign_in("bob").await;
    for stranger in ["", &*bob.token, ADMIN_TOKEN] {
        let answer = node.post("/api/users/get-or-create", stranger, claimed.clone()).await.expect_status(200);
        assert_eq!(answer.json, json!({ "user": user }));
        assert_eq!(answer.headers.get_all(header::SET_COOKIE).iter().count(), 0);
    }
    node.stop_and_assert_invariants().await;
}

/// Requests an account without credentials.
async fn get_or_create_user(api: &Api, body: Value) -> Answer {
    send(api.request(Method::POST, "/api/users/get-or-create").json(&body)).await
}
