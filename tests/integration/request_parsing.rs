//! Paths, methods, content types, bodies and ids of REST requests.

use crate::support::{ADMIN_TOKEN, Node, id_of, new_drop, query_number, send};
use reqwest::{Method, header};
use serde_json::json;
use sqlx::PgPool;

/// Every endpoint that reads a body.
const ENDPOINTS_WITH_BODY: [(Method, &str); 8] = [
    (Method::POST, "/api/drops"),
    (Method::POST, "/api/drops/create"),
    (Method::POST, "/api/users/get-or-create"),
    (Method::POST, "/api/drops/reserve"),
    (Method::POST, "/api/drops/1/reserve"),
    (Method::POST, "/api/drops/purchase"),
    (Method::POST, "/api/drops/1/purchase"),
    (Method::DELETE, "/api/drops/1/reservation"),
];

#[sqlx::test]
async fn unreadable_bodies_are_refused_by_every_endpoint(db: PgPool) {
    let node = Node::start(&db).await;
    assert_eq!(node.create_open_drop(5).await, 1);
    let alice = node.sign_in("alice").await;
    let json_of = |body: Vec<u8>| ("application/json", body);
    let deep = "[".repeat(60_000).into_bytes();
    for (method, path) in ENDPOINTS_WITH_BODY {
        let send_body = async |(content_type, body): (&str, Vec<u8>)| {
            // Only the admin may create drops, and is asked for the token first.
            let creates = ["/api/drops", "/api/drops/create"].contains(&path);
            let request =
                node.request(method.clone(), path).bearer_auth(if creates { ADMIN_TOKEN } else { &alice.token });
            send(request.header(header::CONTENT_TYPE, content_type).body(body)).await
        };
        for malformed in
            [&b"{"[..], b"{\"userId\":}", b"nonsense", b"[]", b"\"text\"", b"5", b"null", b"{\"a\":\"\xff\"}", &deep]
        {
            send_body(json_of(malformed.to_vec())).await.expect_error(400, "malformed_body");
        }
        let half_a_character = br#"{"name":"\ud800","username":"\ud800","size":"\ud800","userId":"\ud800"}"#;
        let answer = send_body(json_of(half_a_character.to_vec())).await;
        assert_eq!(answer.status, 400, "{path}: {}", answer.text);
        for content_type in ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", ""] {
            send_body((content_type, b"{}".to_vec())).await.expect_error(415, "wrong_content_type");
        }
        send_body(json_of(vec![b' '; 64 * 1024 + 1])).await.expect_error(413, "body_too_large");
        send_body(json_of(vec![b' '; 64 * 1024])).await.expect_error(400, "malformed_body");
    }
    assert_eq!(query_number(&db, "select count(*) from drops").await, 1);
    assert_eq!(query_number(&db, "select count(*) from users").await, 1);
    assert_eq!(query_number(&db, "select count(*) from reservations").await, 0);
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn content_type_parameters_and_empty_bodies_are_accepted(db: PgPool) {
    let node = Node::start(&db).await;
    let drop_id = node.create_open_drop(5).await;
    let alice = node.sign_in("alice").await;
    let path = format!("/api/drops/{drop_id}/reserve");
    send(node.request(Method::POST, &path).bearer_auth(&alice.token)).await.expect_status(201);
    for content_type in ["application/json; charset=utf-8", "Application/JSON"] {
        let request = node.request(Method::POST, &path).bearer_auth(&alice.token);
        send(request.header(header::CONTENT_TYPE, content_type).body("{}")).await.expect_status(200);
    }
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn ids_are_positive_integers_in_path_and_body(db: PgPool) {
    let node = Node::start(&db).await;
    let drop_id = node.create_open_drop(5).await;
    let alice = node.sign_in("alice").await;

    let unknown = [&*i64::MAX.to_string(), &(drop_id + 1).to_string()].map(str::to_owned);
    let in_path = [
        "-1",
        "0",
        "00",
        "+1",
        "%2B1",
        "01",
        "001",
        "%201",
        "1%20",
        "%091",
        "1.5",
        "1.0",
        "abc",
        "1e3",
        "0x1",
        "1_0",
        "9223372036854775808",
        "%20",
        "%FF",
        "1%2F2",
        "1%00",
        "%D9%A1",
    ];
    let in_path: Vec<_> = in_path.into_iter().map(str::to_owned).chain(unknown).collect();
    for (method, action, token) in [
        (Method::POST, "/reserve", &*alice.token),
        (Method::POST, "/purchase", &alice.token),
        (Method::DELETE, "/reservation", &alice.token),
        (Method::GET, "", ADMIN_TOKEN),
        (Method::POST, "/pause", ADMIN_TOKEN),
        (Method::GET, "/proof", ADMIN_TOKEN),
        (Method::GET, "/purchases.csv", ADMIN_TOKEN),
    ] {
        for id in &in_path {
            let path = format!("/api/drops/{id}{action}");
            let answer = send(node.request(method.clone(), &path).bearer_auth(token)).await;
            assert_eq!((answer.status, answer.code()), (404, "not_found"), "{method} {path}: {}", answer.text);
        }
    }
    for (drop, purchase) in [("1", "+1"), ("1", "01"), ("1", "-1"), ("1", "%201"), ("+1", "1"), ("01", "1")] {
        let path = format!("/api/drops/{drop}/purchases/{purchase}/cancel");
        node.post(&path, ADMIN_TOKEN, json!({ "reason": "Paid twice" })).await.expect_error(404, "not_found");
    }

    let in_body = [
        json!(-1),
        json!(0),
        json!(1.5),
        json!("1.5"),
        json!("one"),
        json!(" 1"),
        json!("+1"),
        json!(""),
        json!(true),
        json!([1]),
        json!({}),
        json!(1e30),
        json!(9_223_372_036_854_775_808_u64),
    ];
    for (path, field, canonical) in [
        ("/api/drops/reserve", "dropId", ""),
        ("/api/drops/reserve", "drop_id", "dropId"),
        ("/api/drops/purchase", "reservationId", ""),
        ("/api/drops/purchase", "reservation_id", "reservationId"),
        ("/api/drops/reserve", "userId", ""),
        ("/api/drops/purchase", "user_id", ""),
        ("/api/drops/1/reserve", "userId", ""),
        ("/api/drops/1/purchase", "userId", ""),
    ] {
        for id in &in_body {
            let body = json!({ "dropId": drop_id, "reservationId": 1, canonical: null, field: id });
            let answer = node.post(path, &alice.token, body).await.expect_error(400, "invalid_field");
            assert_eq!(answer.json["field"], field, "{id}");
        }
    }
    for (path, field) in [("/api/drops/reserve", "dropId"), ("/api/drops/purchase", "reservationId")] {
        for absent in [json!({}), json!({ field: null })] {
            let answer = node.post(path, &alice.token, absent).await.expect_error(400, "invalid_field");
            assert_eq!(answer.json["field"], field);
        }
        node.post(path, &alice.token, json!({ field: i64::MAX })).await.expect_error(404, "not_found");
    }
    for size in [json!(true), json!(["S"]), json!({})] {
        let answer = node.post("/api/drops/1/reserve", &alice.token, json!({ "size": size })).await;
        assert_eq!(answer.expect_error(400, "invalid_field").json["field"], "size");
    }
    assert_eq!(query_number(&db, "select count(*) from reservations").await, 0);
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn null_is_an_absent_field_and_two_values_of_one_are_refused(db: PgPool) {
    let node = Node::start(&db).await;
    let drop_id = node.create_open_drop(5).await;
    let alice = node.sign_in("alice").await;
    for body in [
        json!({ "dropId": null, "drop_id": drop_id, "size": null }),
        json!({ "dropId": drop_id, "drop_id": null, "userId": null, "user_id": alice.id }),
    ] {
        node.post("/api/drops/reserve", &alice.token, body).await.expect_status(200);
    }
    let at = "2100-01-01T00:00:00Z";
    for (path, token, second, body) in [
        ("/api/drops/reserve", &*alice.token, "drop_id", json!({ "drop_id": drop_id, "dropId": drop_id })),
        ("/api/drops/1/purchase", &alice.token, "user_id", json!({ "userId": alice.id, "user_id": alice.id })),
        ("/api/drops/purchase", &alice.token, "reservation_id", json!({ "reservationId": 1, "reservation_id": 2 })),
        ("/api/drops", ADMIN_TOKEN, "price", new_drop(&json!({ "priceCents": 1, "price": 1 }))),
        ("/api/drops", ADMIN_TOKEN, "end_time", new_drop(&json!({ "end_time": at, "endsAt": at }))),
        ("/api/drops", ADMIN_TOKEN, "limit_per_user", new_drop(&json!({ "limitPerUser": 1, "limit_per_user": 1 }))),
    ] {
        let answer = node.post(path, token, body).await.expect_error(400, "invalid_field");
        assert_eq!(answer.json["field"], second, "{}", answer.text);
    }
    for (path, field, body) in [
        ("/api/drops/reserve", "dropId", r#"{"dropId":1,"dropId":1}"#),
        ("/api/users/get-or-create", "username", r#"{"username":"bob","username":"eve"}"#),
    ] {
        let request = node.request(Method::POST, path).bearer_auth(&alice.token);
        let request = request.header(header::CONTENT_TYPE, "application/json").body(body);
        assert_eq!(send(request).await.expect_error(400, "invalid_field").json["field"], field);
    }
    assert_eq!(query_number(&db, "select count(*) from drops").await, 1);
    assert_eq!(query_number(&db, "select count(*) from reservations").await, 1);
    assert_eq!(query_number(&db, "select count(*) from users").await, 1);
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn null_is_an_absent_field_of_what_the_admin_sends(db: PgPool) {
    let node = Node::start(&db).await;
    let absent = json!({
        "description": null, "draft": null, "price": null, "price_cents": null, "imageUrl": null, "image_url": null,
        "limitPerUser": null, "limit_per_user": null, "startsAt": null, "starts_at": null, "startTime": null,
        "start_time": null, "endsAt": null, "ends_at": null, "endTime": null, "end_time": null, "total_stock": null,
        "sizes": null,
    });
    let created = node.create_drop(new_drop(&absent)).await;
    assert_eq!((&created["description"], &created["ends_at"]), (&json!(null), &json!(null)));
    node.post("/api/drops/create", ADMIN_TOKEN, new_drop(&absent)).await.expect_status(200);
    let created = id_of(&created);
    for (action, body) in [
        ("stock", json!({ "size": "One size", "add": 1, "takeBack": null, "newSize": null, "editVersion": null })),
        ("pause", json!({ "editVersion": null })),
    ] {
        node.post(&format!("/api/drops/{created}/{action}"), ADMIN_TOKEN, body).await.expect_status(200);
    }
    let path = format!("/api/drops/{created}");
    let seen = send(node.request(Method::GET, &path).bearer_auth(ADMIN_TOKEN)).await.expect_status(200).json;
    let body = json!({
        "editVersion": seen["drop"]["editVersion"], "name": null, "description": null, "price": null,
        "priceCents": null, "startsAt": null, "sizes": null,
    });
    let changed = send(node.request(Method::PATCH, &path).bearer_auth(ADMIN_TOKEN).json(&body)).await;
    assert_eq!(changed.expect_status(200).json["drop"]["name"], seen["drop"]["name"]);
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn unknown_paths_and_methods_are_refused_in_json(db: PgPool) {
    let node = Node::start(&db).await;
    for (method, path) in [
        (Method::GET, "/api/nothing"),
        (Method::GET, "/api/reservations"),
        (Method::POST, "/api/drops/1/nothing"),
        (Method::POST, "/api/drops/1/reserve/more"),
        (Method::GET, "/api/users"),
    ] {
        send(node.request(method, path)).await.expect_error(404, "not_found");
    }
    for (method, path) in [
        (Method::PUT, "/api/drops"),
        (Method::DELETE, "/api/drops"),
        (Method::GET, "/api/drops/create"),
        (Method::GET, "/api/users/get-or-create"),
        (Method::GET, "/api/drops/reserve"),
        (Method::PATCH, "/api/drops/purchase"),
        (Method::GET, "/api/drops/1/reserve"),
        (Method::GET, "/api/drops/1/purchase"),
        (Method::POST, "/api/drops/1/reservation"),
        (Method::POST, "/"),
        (Method::PUT, "/drops/1"),
        (Method::DELETE, "/purchases"),
        (Method::POST, "/healthz"),
        (Method::POST, "/ws"),
        (Method::GET, "/rpc/reserve"),
        (Method::POST, "/favicon.svg"),
        (Method::POST, "/nothing"),
    ] {
        send(node.request(method, path)).await.expect_error(405, "method_not_allowed");
    }
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn values_as_javascript_clients_send_them_are_taken(db: PgPool) {
    let node = Node::start(&db).await;
    let sizes = json!([{ "label": "9", "stock": "2" }, { "label": "9.5", "stock": 2.0 }]);
    let body = new_drop(&json!({ "totalStock": null, "priceCents": "12900", "limitPerUser": 2.0, "sizes": sizes }));
    let drop = node.create_drop(body).await;
    assert_eq!(
        (&drop["price_cents"], &drop["total_stock"], &drop["limit_per_user"]),
        (&json!(12_900), &json!(4), &json!(2))
    );
    let drop_id = id_of(&drop);
    let whole = node.create_drop(new_drop(&json!({ "totalStock": "5" }))).await;
    assert_eq!(whole["total_stock"], 5);
    let alice = node.sign_in("alice").await;
    let path = format!("/api/drops/{drop_id}/reservation");
    for (size, label) in [(json!(9), "9"), (json!(9.5), "9.5"), (json!("9"), "9")] {
        let body = json!({ "userId": alice.id.to_string(), "size": size });
        let held = node.post(&format!("/api/drops/{drop_id}/reserve"), &alice.token, body).await.expect_status(201);
        assert_eq!(held.json["reservation"]["size"], label);
        let path = format!("{path}?userId={}", alice.id);
        send(node.request(Method::DELETE, &path).bearer_auth(&alice.token)).await.expect_status(200);
    }
    // The user in the query counts as one in the body.
    let bob = node.sign_in("bob").await;
    for (query, status) in
        [(format!("userId={}", bob.id), 403), (format!("user_id={}", bob.id), 403), ("userId=x".into(), 400)]
    {
        let request = node.request(Method::DELETE, &format!("{path}?{query}")).bearer_auth(&alice.token);
        assert_eq!(send(request).await.status, status, "{query}");
    }
    let held =
        node.post("/api/drops/reserve", ADMIN_TOKEN, json!({ "dropId": drop_id, "userId": bob.id, "size": 9 })).await;
    held.expect_status(200);
    let request = node.request(Method::DELETE, &format!("{path}?userId={}", bob.id)).bearer_auth(ADMIN_TOKEN);
    send(request).await.expect_status(200);
    for (in_body, status) in [(bob.id, 200), (alice.id, 400)] {
        let twice = node.request(Method::DELETE, &format!("{path}?userId={}", bob.id)).bearer_auth(ADMIN_TOKEN);
        assert_eq!(send(twice.json(&json!({ "userId": in_body }))).await.status, status);
    }
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn byte_order_mark_is_skipped_and_compressed_bodies_are_refused(db: PgPool) {
    let node = Node::start(&db).await;
    let post = |path: &str, body: &'static str| {
        node.request(Method::POST, path).header(header::CONTENT_TYPE, "application/json").body(body)
    };
    send(post("/api/users/get-or-create", "\u{feff}{\"username\":\"alice\"}")).await.expect_status(200);
    for encoding in ["gzip", "br", "deflate, gzip"] {
        let request = post("/api/users/get-or-create", "{\"username\":\"bob\"}");
        send(request.header(header::CONTENT_ENCODING, encoding)).await.expect_error(415, "wrong_content_type");
        let form = node.request(Method::POST, "/rpc/sign_in").header(header::CONTENT_ENCODING, encoding);
        let form = form.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded").body("username=bob");
        send(form).await.expect_error(415, "wrong_content_type");
    }
    let plain = post("/api/users/get-or-create", "{\"username\":\"carol\"}");
    send(plain.header(header::CONTENT_ENCODING, "identity")).await.expect_status(200);
    assert_eq!(query_number(&db, "select count(*) from users").await, 2);
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn each_address_has_one_spelling(db: PgPool) {
    let node = Node::start(&db).await;
    for (method, path, target) in [
        (Method::GET, "/purchases/", "/purchases"),
        (Method::GET, "/drops/1/?before=x", "/drops/1?before=x"),
        (Method::GET, "/drops/past//", "/drops/past"),
        (Method::GET, "/api/drops/", "/api/drops"),
        (Method::POST, "/api/users/get-or-create/", "/api/users/get-or-create"),
        (Method::DELETE, "/api/drops/1/reservation/", "/api/drops/1/reservation"),
        (Method::GET, "/api//drops", "/api/drops"),
        (Method::GET, "/drops//past?before=1", "/drops/past?before=1"),
        (Method::GET, "/admin/", "/admin"),
        (Method::GET, "/admin//sign-in", "/admin/sign-in"),
        (Method::GET, "//evil.test?signed-in", "/evil.test?signed-in"),
        (Method::GET, "//evil.test/", "/evil.test"),
        (Method::GET, "///", "/"),
    ] {
        let answer = send(node.request(method, path)).await.expect_status(308);
        assert_eq!(answer.header("location"), target);
    }
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn other_requests_for_the_socket_learn_its_version(db: PgPool) {
    let node = Node::start(&db).await;
    let answer = node.get("/ws").await.expect_status(426);
    assert_eq!((answer.header("upgrade"), answer.header("sec-websocket-version")), ("websocket", "13"));
    node.stop_and_assert_invariants().await;
}
