//! Whom a request acts for: bearer tokens, cookies, the admin token and the origin of the page.

use crate::support::{
    ADMIN_TOKEN, Browser, Node, Person, SESSION_KEY, Settings, Subscriber, identity_of, query_number, send,
    session_token,
};
use chrono::{TimeDelta, Utc};
use reqwest::{Method, header};
use serde_json::json;
use sneakdrop::server::identity::Identity;
use sqlx::PgPool;

#[sqlx::test]
async fn users_cannot_act_for_each_other(db: PgPool) {
    let node = Node::start(&db).await;
    let drop_id = node.create_open_drop(5).await;
    let [alice, bob] = [node.sign_in("alice").await, node.sign_in("bob").await];
    let held = node.reserve(&bob, drop_id).await.expect_status(201).reservation_id();
    for user_id in [bob.id, i64::MAX] {
        for (path, body) in [
            (format!("/api/drops/{drop_id}/reserve"), json!({ "userId": user_id })),
            ("/api/drops/reserve".into(), json!({ "dropId": drop_id, "user_id": user_id })),
            (format!("/api/drops/{drop_id}/purchase"), json!({ "userId": user_id })),
            ("/api/drops/purchase".into(), json!({ "reservationId": held, "userId": user_id })),
        ] {
            node.post(&path, &alice.token, body.clone()).await.expect_error(403, "forbidden");
            node.post(&path, "invalid token", body).await.expect_error(401, "unauthorized");
        }
    }
    node.purchase_reservation(&alice, held).await.expect_error(404, "not_found");
    let path = format!("/api/drops/{drop_id}/reservation");
    let request = node.request(Method::DELETE, &path).bearer_auth(&alice.token).json(&json!({ "userId": bob.id }));
    send(request).await.expect_error(403, "forbidden");
    send(node.request(Method::DELETE, &path)).await.expect_error(401, "unauthorized");
    assert_eq!(query_number(&db, "select count(*) from reservations where status = 'active'").await, 1);
    node.purchase(&bob, drop_id).await.expect_status(200);
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn admin_acts_for_any_existing_user_and_must_name_one(db: PgPool) {
    let node = Node::start(&db).await;
    let drop_id = node.create_open_drop(5).await;
    let bob = node.sign_in("bob").await;
    let (reserve, purchase) = (format!("/api/drops/{drop_id}/reserve"), format!("/api/drops/{drop_id}/purchase"));

    for path in [&*reserve, &*purchase] {
        let answer = node.post(path, ADMIN_TOKEN, json!({})).await.expect_error(400, "invalid_field");
        assert_eq!(answer.json["field"], "userId");
        node.post(path, ADMIN_TOKEN, json!({ "userId": bob.id + 1 })).await.expect_error(404, "not_found");
    }
    let held = node.post(&reserve, ADMIN_TOKEN, json!({ "userId": bob.id })).await.expect_status(201);
    assert_eq!(held.json["reservation"]["user_id"], bob.id);
    let path = format!("/api/drops/{drop_id}/reservation");
    let request = node.request(Method::DELETE, &path).bearer_auth(ADMIN_TOKEN).json(&json!({ "userId": bob.id }));
    send(request).await.expect_status(200);
    node.post("/api/drops/reserve", ADMIN_TOKEN, json!({ "dropId": drop_id, "userId": bob.id }))
        .await
        .expect_status(200);
    let bought = node.post(&purchase, ADMIN_TOKEN, json!({ "user_id": bob.id })).await.expect_status(200);
    assert_eq!(bought.json["purchaser"], json!({ "id": bob.id, "username": "bob" }));
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn session_is_valid_on_every_node_of_its_database_and_no_other(db: PgPool) {
    let node = Node::start(&db).await;
    let drop_id = node.create_open_drop(5).await;
    let alice = node.sign_in("alice").await;
    node.start_another(Settings::default()).await.reserve(&alice, drop_id).await.expect_status(201);
    // A database in which the same users have the same ids differs in its secret alone.
    sqlx::query("update shop set session_secret = gen_random_uuid()")
        .execute(&db)
        .await
        .expect("the secret can be replaced");
    let rebuilt = node.start_another(Settings::default()).await;
    rebuilt.reserve(&alice, drop_id).await.expect_error(401, "unauthorized");
    rebuilt.purchase(&alice, drop_id).await.expect_error(401, "unauthorized");
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn forged_or_stale_session_is_unauthorized(db: PgPool) {
    let node = Node::start(&db).await;
    let drop_id = node.create_open_drop(5).await;
    let [alice, bob] = [node.sign_in("alice").await, node.sign_in("bob").await];
    let parts: Vec<_> = alice.token.split('.').collect();
    let [version, id, public_id, day, signature] = parts[..] else { panic!("{}", alice.token) };
    let [identity, unknown] = [identity_of(&db, alice.id).await, identity_of(&db, bob.id).await];
    let signed_by_another_key = session_token(&db, "another key", identity, Utc::now()).await;
    let of_unknown_user = session_token(&db, SESSION_KEY, Identity { id: bob.id + 1, ..unknown }, Utc::now()).await;
    let of_reused_number = session_token(&db, SESSION_KEY, Identity { id: bob.id, ..identity }, Utc::now()).await;
    for forged in [
        signed_by_another_key,
        of_unknown_user,
        of_reused_number,
        format!("{version}.{}.{public_id}.{day}.{signature}", bob.id),
        format!("{version}.{id}.{}.{day}.{signature}", bob.token.split('.').nth(2).expect("a public id")),
        format!("{version}.{id}.{public_id}.{day}."),
        format!("{version}.{id}.{public_id}.{day}"),
        format!("{version}.{id}.{public_id}.0.{signature}"),
        format!("{}x", alice.token),
        format!("{id}.{public_id}.{day}.{signature}"),
        "....".into(),
    ] {
        node.post(&format!("/api/drops/{drop_id}/reserve"), &forged, json!({})).await.expect_error(401, "unauthorized");
        for name in ["sneakdrop", "__Host-sneakdrop"] {
            let request = node.request(Method::POST, &format!("/api/drops/{drop_id}/reserve"));
            let answer = send(request.header(header::COOKIE, format!("{name}={forged}"))).await;
            answer.expect_error(401, "unauthorized");
        }
    }
    assert_eq!(query_number(&db, "select count(*) from reservations").await, 0);
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn session_cookie_authenticates_rest_requests(db: PgPool) {
    let node = Node::start(&db).await;
    let drop_id = node.create_open_drop(5).await;
    for (name, scheme, prefix, secure) in [
        ("one", "http", "", ""),
        ("two", "http, https", "", ""),
        ("three", "https", "__Host-", "; Secure"),
        ("four", "HTTPS", "__Host-", "; Secure"),
        ("five", "https, http", "__Host-", "; Secure"),
    ] {
        let body = json!({ "username": name });
        let request = |path: &str| node.request(Method::POST, path).header("x-forwarded-proto", scheme);
        let answer = send(request("/api/users/get-or-create").json(&body)).await.expect_status(200);
        let cookies: Vec<_> =
            answer.headers.get_all(header::SET_COOKIE).iter().map(|cookie| cookie.to_str().expect("text")).collect();
        let token = answer.json["token"].as_str().expect("a token");
        let flags = format!("; Path=/; Max-Age=31536000; HttpOnly; SameSite=Lax{secure}");
        let names = ["sneakdrop", "sneakdrop_names"].map(|name| format!("{prefix}{name}={token}{flags}"));
        assert_eq!(cookies, names);

        let path = format!("/api/drops/{drop_id}/reserve");
        let signed_in = request(&path).header(header::COOKIE, format!("theme=dark; {prefix}sneakdrop={token}"));
        let held = send(signed_in).await.expect_status(201);
        assert_eq!(held.json["reservation"]["user_id"], answer.json["user"]["id"]);
        let names_cookie_alone = request(&path).header(header::COOKIE, format!("{prefix}sneakdrop_names={token}"));
        send(names_cookie_alone).await.expect_error(401, "unauthorized");
    }
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn another_browser_cannot_sign_in_as_alice(db: PgPool) {
    let node = Node::start(&db).await;
    let drop_id = node.create_open_drop(5).await;
    let (alice, other) = (Browser::new(&node), Browser::new(&node));
    let visitor = alice.call("sign_in", "username=alice").await.expect_status(200).json;
    assert_eq!(visitor["user"]["username"], "alice");

    // The claim is confirmed when the browser comes back with its cookie.
    alice.get("/").await.expect_status(200);
    for name in ["alice", "ALICE", "%20Alice+"] {
        let refusal = other.call("sign_in", &format!("username={name}")).await.expect_status(409);
        assert_eq!(refusal.json, json!("username_taken"));
    }
    other.call("reserve", &format!("drop_id={drop_id}")).await.expect_status(401);

    // A browser may sign in again to every account that it has claimed, even after signing out.
    alice.call("sign_in", "username=second").await.expect_status(200);
    alice.call("sign_out", "").await.expect_status(200);
    alice.call("reserve", &format!("drop_id={drop_id}")).await.expect_status(401);
    for name in ["alice", "Second"] {
        alice.call("sign_in", &format!("username={name}")).await.expect_status(200);
    }
    let held = alice.call("reserve", &format!("drop_id={drop_id}")).await.expect_status(200);
    assert_ne!(held.json["user_id"], visitor["user"]["id"], "the latest sign-in decides");
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn cross_site_requests_are_forbidden(db: PgPool) {
    let node = Node::start(&db).await;
    let drop_id = node.create_open_drop(5).await;
    let alice = node.sign_in("alice").await;
    let cookie = format!("sneakdrop={}", alice.token);
    let path = format!("/api/drops/{drop_id}/reserve");
    let server_function = |origin: &str| {
        let request = node.request(Method::POST, "/rpc/reserve").header(header::ORIGIN, origin);
        let form = "application/x-www-form-urlencoded";
        request.header(header::COOKIE, &cookie).header(header::CONTENT_TYPE, form).body(format!("drop_id={drop_id}"))
    };
    let rest =
        |origin: &str| node.request(Method::POST, &path).header(header::ORIGIN, origin).header(header::COOKIE, &cookie);
    let own = node.url("");
    for foreign in
        ["http://evil.test", "https://evil.test", "null", &format!("{own}.evil.test"), "http://127.0.0.1", ""]
    {
        send(server_function(foreign)).await.expect_error(403, "foreign_origin");
        send(rest(foreign)).await.expect_error(403, "foreign_origin");
    }
    // No browser sends a token by itself, but a proxy may add one.
    let with_token = node.request(Method::POST, &path).header(header::ORIGIN, "http://evil.test");
    send(with_token.bearer_auth(&alice.token)).await.expect_error(403, "foreign_origin");
    assert_eq!(query_number(&db, "select count(*) from reservations").await, 0);
    send(server_function(&own)).await.expect_status(200);
    send(rest(&own)).await.expect_status(200);
    node.stop_and_assert_invariants().await;
}

/// A restored backup, or a failover, gives the number of a user who signed up since to somebody else.
#[sqlx::test]
async fn session_of_a_reused_number_is_unauthorized(db: PgPool) {
    let node = Node::start(&db).await;
    let drop_id = node.create_open_drop(5).await;
    let alice = node.sign_in("alice").await;
    sqlx::query("delete from users").execute(&db).await.expect("alice has no pair");
    sqlx::query("alter sequence users_id_seq restart").execute(&db).await.expect("the sequence exists");
    let bob = node.sign_in("bob").await;
    assert_eq!(alice.id, bob.id);
    let held = node.reserve(&bob, drop_id).await.expect_status(201).reservation_id();

    // Alone, and in a batch with the user who has the number now.
    node.reserve(&alice, drop_id).await.expect_error(401, "unauthorized");
    let (reserved, refused) = tokio::join!(node.reserve(&bob, drop_id), node.reserve(&alice, drop_id));
    reserved.expect_status(200);
    refused.expect_error(401, "unauthorized");
    node.purchase_reservation(&alice, held).await.expect_error(401, "unauthorized");
    node.purchase(&alice, drop_id).await.expect_error(401, "unauthorized");
    node.release(&alice, drop_id).await.expect_error(401, "unauthorized");
    node.purchase(&bob, drop_id).await.expect_status(200);
    for path in [format!("/api/drops/{drop_id}/purchase"), format!("/api/drops/{drop_id}/reserve")] {
        node.post(&path, &alice.token, json!({ "userId": bob.id })).await.expect_error(401, "unauthorized");
    }
    assert_signed_out(&node, &alice).await;
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn session_of_a_deleted_user_ends(db: PgPool) {
    let node = Node::start(&db).await;
    let alice = node.sign_in("alice").await;
    sqlx::query("delete from users").execute(&db).await.expect("alice has no pair");
    assert_signed_out(&node, &alice).await;
    node.stop_and_assert_invariants().await;
}

/// Asserts that pages and sockets take the person for signed out, and that the page ends the session.
async fn assert_signed_out(node: &Node, person: &Person) {
    for path in ["/", "/purchases"] {
        let request = node.request(Method::GET, path).header(header::COOKIE, format!("sneakdrop={}", person.token));
        let page = send(request).await.expect_status(200);
        assert!(page.text.contains("\"visitor\":null"), "{}", page.text);
        assert!(
            page.header("set-cookie").starts_with("sneakdrop=; Path=/; Max-Age=0"),
            "{}",
            page.header("set-cookie")
        );
    }
    assert_eq!(Subscriber::connect(node, Some(person)).await.visitor, None);
}

#[sqlx::test]
async fn name_that_the_browser_could_not_keep_can_be_claimed_again(db: PgPool) {
    let node = Node::start(&db).await;
    let drop_id = node.create_open_drop(5).await;
    let forgetful = || Browser::new(&node);
    let first = forgetful();
    let claimed = first.call("sign_in", "username=alice").await.expect_status(200).json;
    let second = forgetful();
    let again = second.call("sign_in", "username=ALICE").await.expect_status(200).json;
    assert_eq!(claimed["user"], again["user"]);
    // The claim of the first is void, whoever used it.
    first.call("reserve", &format!("drop_id={drop_id}")).await.expect_status(401);
    // The second comes back, and nobody else can have the name.
    second.get("/").await.expect_status(200);
    assert_eq!(forgetful().call("sign_in", "username=alice").await.expect_status(409).json, json!("username_taken"));

    // A pair is reason enough to keep the name, too.
    let third = forgetful();
    third.call("sign_in", "username=carol").await.expect_status(200);
    third.call("reserve", &format!("drop_id={drop_id}")).await.expect_status(200);
    assert_eq!(forgetful().call("sign_in", "username=carol").await.expect_status(409).json, json!("username_taken"));
    // A REST client has the token in the answer.
    node.sign_in("dave").await;
    assert_eq!(forgetful().call("sign_in", "username=dave").await.expect_status(409).json, json!("username_taken"));
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn browser_keeps_every_name_that_it_was_allowed_to_claim(db: PgPool) {
    let node = Node::start(&db).await;
    let browser = Browser::new(&node);
    let name = |index: i32| format!("username=name{index}");
    let mut claimed = 0;
    let refusal = loop {
        let answer = browser.call("sign_in", &name(claimed)).await;
        if answer.status != 200 {
            break answer;
        }
        let longest = answer.headers.get_all(header::SET_COOKIE).iter().map(|cookie| cookie.len()).max();
        assert!(longest.is_some_and(|length| length <= 4_096), "browsers keep no longer cookie");
        claimed += 1;
    };
    assert_eq!((refusal.status, &refusal.json), (409, &json!("too_many_names")));
    assert!(claimed > 30, "{claimed}");
    for index in [0, 7, 8, claimed - 1] {
        browser.call("sign_in", &name(index)).await.expect_status(200);
    }
    assert_eq!(query_number(&db, "select count(*) from users").await, i64::from(claimed));
    // The refused name is free for others.
    Browser::new(&node).call("sign_in", &name(claimed)).await.expect_status(200);
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn cookies_that_are_used_are_renewed_once_a_day(db: PgPool) {
    let node = Node::start(&db).await;
    let alice = node.sign_in("alice").await;
    let identity = identity_of(&db, alice.id).await;
    for (days, expected) in [(0, 0), (1, 2), (300, 2)] {
        let token = session_token(&db, SESSION_KEY, identity, Utc::now() - TimeDelta::days(days)).await;
        let page = |cookies: String| send(node.request(Method::GET, "/").header(header::COOKIE, cookies));
        let signed_in = page(format!("sneakdrop={token}; sneakdrop_names={token}")).await.expect_status(200);
        let renewed: Vec<_> = signed_in.headers.get_all(header::SET_COOKIE).iter().collect();
        assert_eq!(renewed.len(), expected, "{days} days: {renewed:?}");
        for cookie in renewed {
            let cookie = cookie.to_str().expect("text");
            assert!(cookie.contains(&format!("={};", alice.token)) && cookie.contains("Max-Age=31536000"), "{cookie}");
        }
        let signed_out = page(format!("sneakdrop_names={token}")).await.expect_status(200);
        assert_eq!(signed_out.headers.get_all(header::SET_COOKIE).iter().count(), expected / 2, "{days} days");
        let bearer = send(node.request(Method::GET, "/").bearer_auth(&token)).await.expect_status(200);
        assert_eq!(bearer.headers.get_all(header::SET_COOKIE).iter().count(), 0);
    }
    node.stop_and_assert_invariants().await;
}
