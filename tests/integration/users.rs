//! Accounts and their usernames.

use crate::support::{
    ADMIN_TOKEN, Answer, Api, Node, Settings, concurrently, id_of, new_drop, query_number, send, until,
};
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
        json!("\u{1d173}"),
        json!("\u{1bca0}\u{1bca3}"),
        json!("\u{200d}\u{fe0f}"),
        json!("🦊".repeat(17)),
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

#[sqlx::test]
async fn every_name_that_can_be_seen_is_allowed(db: PgPool) {
    let node = Node::start(&db).await;
    let names = ["I ❤️ kicks", "🤷‍♀️", "1️⃣", "🇯🇵", "👨‍👩‍👧‍👦 club", "نامه\u{200c}ها", "葛\u{e0100}城", "क्\u{200d}ष", "🏴󠁧󠁢󠁥󠁮󠁧󠁿"];
    for name in names {
        assert_eq!(node.sign_in(name).await.username, name);
        let drop = node.create_drop(new_drop(&json!({ "name": name }))).await;
        assert_eq!(drop["name"], name);
    }
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn names_that_look_the_same_are_one_account_or_refused(db: PgPool) {
    let node = Node::start(&db).await;
    for (name, same) in [
        ("straße", "STRASSE"),
        ("ǰon", "J̌ON"),
        ("ΟΔΟΣ", "οδος"),
        ("ﬁona", "FIONA"),
        ("love ❤️", "love ❤"),
        ("x\u{200d}", "X"),
    ] {
        let id = node.sign_in(name).await.id;
        let answer = get_or_create_user(&node, json!({ "username": same })).await.expect_status(200);
        assert_eq!((id_of(&answer.json["user"]), &answer.json["token"]), (id, &Value::Null), "{same}");
    }
    for (name, invisible) in [
        ("bob", "bob\u{1d173}"),
        ("bob", "bob\u{1d17a}"),
        ("bob", "\u{1bca0}bob"),
        ("bob", "b\u{1bca3}ob"),
        ("bob", "bob\u{2800}"),
    ] {
        get_or_create_user(&node, json!({ "username": name })).await.expect_status(200);
        get_or_create_user(&node, json!({ "username": invisible })).await.expect_error(400, "invalid_field");
    }
    // Of another script.
    for (name, lookalike) in [("alice", "аlice"), ("scope", "ѕсоре"), ("HELLO", "Ηello"), ("Вова", "BoBa")] {
        node.sign_in(name).await;
        get_or_create_user(&node, json!({ "username": lookalike })).await.expect_error(409, "username_taken");
    }
    // Within a script.
    for name in ["1l", "ll", "Il", "modern", "modem", "0k", "Ok"] {
        node.sign_in(name).await;
    }
    node.stop_and_assert_invariants().await;
}

/// Names of `l` and `1` all look the same, and anybody may claim more of them.
#[sqlx::test]
async fn claiming_a_name_reads_no_more_the_more_names_look_like_it(db: PgPool) {
    let node = Node::start_with(&db, Settings::without_jobs()).await;
    for first in ["l1", "\u{430}1"] {
        let shown = node.sign_in(first).await.username;
        sqlx::query(
            "insert into users (username, username_key, username_skeletons, username_scripts)
             select username, username || n, username_skeletons, username_scripts
             from users, generate_series(1, 20000) n where username = $1",
        )
        .bind(&shown)
        .execute(&db)
        .await
        .expect("the keys are unique");
    }
    assert_eq!(query_number(&db, "select count(distinct username_scripts) from users").await, 2);
    for statement in ["analyze users", "select pg_stat_force_next_flush()", "select pg_stat_reset()"] {
        sqlx::raw_sql(statement).execute(&db).await.expect("the statistics are the test's own");
    }
    node.sign_in("1l").await;
    get_or_create_user(&node, json!({ "username": "\u{430}l" })).await.expect_error(409, "username_taken");
    node.stop().await;
    let connections =
        "select count(*) from pg_stat_activity where datname = current_database() and application_name = 'sneakdrop'";
    until("the connections have ended", async || (query_number(&db, connections).await == 0).then_some(())).await;
    let read =
        "select (seq_tup_read + coalesce(idx_tup_fetch, 0))::bigint from pg_stat_user_tables where relname = 'users'";
    let read = query_number(&db, read).await;
    assert!(read < 100, "{read} rows");
}

/// An earlier release knew fewer names to be the same.
#[sqlx::test]
async fn users_of_an_earlier_release_are_completed(db: PgPool) {
    let earlier = r"insert into users (username, username_key) values
                    ('Straße', 'straße'), ('alice', 'alice'), (E'\u01F0on', E'\u01F0on'), (E'J\u030CON', E'j\u030Con')";
    sqlx::query(earlier).execute(&db).await.expect("the names are unique");
    let node = Node::start(&db).await;
    let uncompleted = "select count(*) from users where username_skeletons is null";
    until("the users are completed", async || (query_number(&db, uncompleted).await == 0).then_some(())).await;
    let user_id = async |name: &str| {
        let answer = get_or_create_user(&node, json!({ "username": name })).await.expect_status(200);
        assert_eq!(answer.json["token"], Value::Null, "{name}");
        id_of(&answer.json["user"])
    };
    assert_eq!((user_id("STRASSE").await, user_id("Alice").await), (1, 2));
    // Who had the name first could not be told; both keep their account.
    assert_eq!(user_id("J\u{30c}ON").await, 3);
    get_or_create_user(&node, json!({ "username": "аlice" })).await.expect_error(409, "username_taken");
    assert_eq!(query_number(&db, "select count(*) from users").await, 4);
    node.stop_and_assert_invariants().await;
}
