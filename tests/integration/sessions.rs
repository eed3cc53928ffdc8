//! Whom a request acts for: bearer tokens, cookies, the admin token and the origin of the page.

use crate::support::{ADMIN_TOKEN, Browser, Node, SESSION_KEY, Settings, query_number, send, session_token};
use reqwest::{Method, header};
use serde_json::json;
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
        .expect_status(201);
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
    let [version, id, name, signature] = parts[..] else { panic!("{}", alice.token) };
    let signed_by_another_key = session_token(&db, "another key", alice.id, "alice").await;
    let of_unknown_user = session_token(&db, SESSION_KEY, bob.id + 1, "carol").await;
    for forged in [
        signed_by_another_key,
        of_unknown_user,
        format!("{version}.{}.{name}.{signature}", bob.id),
        format!("{version}.{id}.{}.{signature}", bob.token.split('.').nth(2).expect("a name")),
        format!("{version}.{id}.{name}."),
        format!("{version}.{id}.{name}"),
        format!("{}x", alice.token),
        format!("{id}.{name}.{signature}"),
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
    for (scheme, prefix, secure) in [("http", "", ""), ("https", "__Host-", "; Secure")] {
        let body = json!({ "username": format!("alice over {scheme}") });
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
        send(server_function(foreign)).await.expect_error(403, "forbidden");
        send(rest(foreign)).await.expect_error(403, "forbidden");
    }
    assert_eq!(query_number(&db, "select count(*) from reservations").await, 0);
    send(server_function(&own)).await.expect_status(200);
    send(rest(&own)).await.expect_status(200);
    node.stop_and_assert_invariants().await;
}
