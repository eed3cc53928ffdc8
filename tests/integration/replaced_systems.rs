//! The clients of the two replaced systems: their calls, answered in their shapes.

use crate::support::{
    ADMIN_TOKEN, Answer, Api, Node, Settings, build_client, id_of, new_drop, query_number, send, until,
};
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};
use sneakdrop::server::{
    auth::origin::{Origin, Origins},
    config::Dialect,
};
use sqlx::PgPool;
use std::time::Duration;

fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<_> = value.as_object().expect("an object").keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

#[sqlx::test]
async fn the_second_system_s_calls_get_its_answers_in_order(db: PgPool) {
    let node = Node::start_with(&db, Settings { dialect: Dialect::Two, ..Settings::default() }).await;
    let alice = node.sign_in("alice").await;
    let start = "2026-02-20T10:00:00Z";
    for base in ["/api/drops", "/dialect2/api/drops"] {
        let body = json!({ "name": "Court 76", "price": 180.5, "total_stock": 2, "start_time": start });
        let created = node.post(&format!("{base}/create"), ADMIN_TOKEN, body).await.expect_status(200).json;
        let expected = json!({ "id": created["id"], "name": "Court 76", "price": 180.5, "total_stock": 2, "available_stock": 2,
                               "start_time": start, "paused": false, "image_url": null, "purchases": [] });
        assert_eq!(created, expected);
        let drop_id = id_of(&created);

        let body = json!({ "dropId": drop_id, "userId": alice.id });
        let held = node.post(&format!("{base}/reserve"), &alice.token, body.clone()).await.expect_status(200).json;
        assert_eq!(keys(&held), ["createdAt", "dropId", "expires_at", "id", "status", "userId"]);
        assert_eq!(
            (&held["dropId"], &held["userId"], &held["status"]),
            (&json!(drop_id), &json!(alice.id), &json!("active"))
        );
        assert_eq!(node.post(&format!("{base}/reserve"), &alice.token, body).await.expect_status(200).json, held);

        let body = json!({ "reservationId": held["id"] });
        let bought = node.post(&format!("{base}/purchase"), &alice.token, body.clone()).await.expect_status(200).json;
        assert_eq!(keys(&bought), ["message", "purchase"]);
        assert_eq!(keys(&bought["purchase"]), ["createdAt", "dropId", "id", "userId"]);
        assert_eq!(bought["purchase"]["dropId"], drop_id);
        for token in [&*alice.token, ADMIN_TOKEN] {
            let again = node.post(&format!("{base}/purchase"), token, body.clone()).await.expect_status(200).json;
            assert_eq!(again, bought, "a lost answer can be asked for again");
        }

        let listed = node.get(base).await.expect_status(200).json;
        let listed = listed.as_array().expect("a bare list").iter().find(|drop| drop["id"] == drop_id);
        let purchase = json!({ "id": bought["purchase"]["id"], "username": "alice",
                               "createdAt": bought["purchase"]["createdAt"] });
        let mut expected = expected;
        expected["available_stock"] = json!(1);
        expected["purchases"] = json!([purchase]);
        assert_eq!(listed, Some(&expected));
    }
    node.get("/dialect2/api/nothing").await.expect_error(404, "not_found");
    let health = node.get("/health").await.expect_status(200).json;
    assert_eq!((keys(&health), &health["status"]), (vec!["status", "timestamp"], &json!("ok")));
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn the_second_system_lists_every_current_drop_and_changes_the_list_of_nobody_else(db: PgPool) {
    let node = Node::start(&db).await;
    node.create_drop(new_drop(&json!({ "name": "Upcoming", "startsAt": "2100-01-01T00:00:00Z" }))).await;
    let sold_out = id_of(&node.create_drop(new_drop(&json!({ "name": "Sold out", "totalStock": 1 }))).await);
    let alice = node.sign_in("alice").await;
    node.reserve(&alice, sold_out).await.expect_status(201);
    node.purchase(&alice, sold_out).await.expect_status(200);
    let listed = node.get("/dialect2/api/drops").await.expect_status(200);
    assert_eq!(listed.json.as_array().map(Vec::len), Some(2), "{}", listed.text);
    assert_eq!(node.get("/api/drops").await.expect_status(200).json, json!({ "drops": [] }));
    let request = node.request(Method::GET, "/dialect2/api/drops").header("if-none-match", listed.header("etag"));
    send(request).await.expect_status(304);
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn the_second_system_s_refusals_have_their_statuses(db: PgPool) {
    let settings = Settings { reservation_ttl: Duration::from_secs(1), ..Settings::default() };
    let node = Node::start_with(&db, settings).await;
    let (alice, bob) = (node.sign_in("alice").await, node.sign_in("bob").await);
    let sizes = json!([{ "label": "S", "stock": 1 }, { "label": "M", "stock": 1 }]);
    let sized = id_of(&node.create_drop(new_drop(&json!({ "totalStock": null, "sizes": sizes }))).await);
    let upcoming = id_of(&node.create_drop(new_drop(&json!({ "startsAt": "2100-01-01T00:00:00Z" }))).await);
    let single = node.create_open_drop(1).await;
    let held = node.reserve(&alice, single).await.expect_status(201).reservation_id();
    let reserve = async |drop_id: i64| node.post("/api/drops/reserve", &bob.token, json!({ "dropId": drop_id })).await;
    let purchase = async |token: &str, reservation: i64| {
        node.post("/api/drops/purchase", token, json!({ "reservationId": reservation })).await
    };
    reserve(single).await.expect_error(409, "sold_out");
    reserve(upcoming).await.expect_error(409, "not_started");
    reserve(sized).await.expect_error(400, "size_required");
    reserve(i64::MAX).await.expect_error(404, "not_found");
    for body in [json!({}), json!({ "dropId": "x" })] {
        let answer = node.post("/api/drops/reserve", &bob.token, body).await.expect_error(400, "invalid_field");
        assert_eq!(answer.json["field"], "dropId");
    }
    let others = json!({ "dropId": single, "userId": alice.id });
    node.post("/api/drops/reserve", &bob.token, others).await.expect_error(403, "forbidden");
    purchase(&bob.token, held).await.expect_error(404, "not_found");
    purchase(ADMIN_TOKEN, i64::MAX).await.expect_error(404, "not_found");
    let answer = node.post("/api/drops/purchase", ADMIN_TOKEN, json!({})).await.expect_error(400, "invalid_field");
    assert_eq!(answer.json["field"], "reservationId");
    until("the reservation expires", async || {
        (query_number(&db, "select count(*) from reservations where status = 'expired'").await == 1).then_some(())
    })
    .await;
    for token in [&*alice.token, ADMIN_TOKEN] {
        purchase(token, held).await.expect_error(410, "reservation_expired");
    }
    let released = node.reserve(&bob, single).await.expect_status(201).reservation_id();
    node.release(&bob, single).await.expect_status(200);
    purchase(&bob.token, released).await.expect_error(410, "no_active_reservation");
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn a_trusted_front_end_buys_for_the_users_that_it_names(db: PgPool) {
    let node = Node::start(&db).await;
    let drop_id = node.create_open_drop(5).await;
    let (alice, bob) = (node.sign_in("alice").await, node.sign_in("bob").await);
    for user in [&alice, &bob] {
        let body = json!({ "dropId": drop_id, "userId": user.id.to_string() });
        let held = node.post("/api/drops/reserve", ADMIN_TOKEN, body).await.expect_status(200).json;
        let body = json!({ "reservationId": held["id"] });
        let bought = node.post("/api/drops/purchase", ADMIN_TOKEN, body).await.expect_status(200).json;
        assert_eq!(bought["purchase"]["userId"], user.id);
    }
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn the_first_system_s_calls_get_its_fields(db: PgPool) {
    let node = Node::start(&db).await;
    let drop_id = node.create_open_drop(5).await;
    let alice = node.sign_in("alice").await;
    // The user in the query, as text, as the first system took it.
    for (index, query) in [format!("?userId={}", alice.id), format!("?user_id={}", alice.id)].iter().enumerate() {
        let call =
            async |what: &str| node.post(&format!("/api/drops/{drop_id}/{what}{query}"), ADMIN_TOKEN, json!({})).await;
        let held = call("reserve").await.expect_status(201).json;
        let bought = call("purchase").await.expect_status(200).json;
        for row in [&held["reservation"], &bought["purchase"]] {
            assert_eq!(row["user_id"], alice.id);
            assert!(row["created_at"].is_string());
            assert_eq!((&row["createdAt"], &row["updatedAt"]), (&row["created_at"], &row["created_at"]));
        }
        assert_eq!(bought["newStock"], 4 - index);
        assert_eq!(bought["purchaser"], json!({ "id": alice.id, "username": "alice" }));
    }
    let listed = &node.get("/api/drops").await.expect_status(200).json["drops"][0];
    for field in ["id", "price_cents", "total_stock", "available_stock"] {
        assert!(listed[field].is_i64(), "{field}: {listed}");
    }
    assert_eq!((&listed["name"], &listed["ends_at"]), (&json!("Volt Runner"), &Value::Null));
    assert!(listed["starts_at"].is_string());
    assert_eq!(listed["latest_purchasers"][1]["id"], alice.id);
    assert_eq!(listed["latest_purchasers"][1]["username"], "alice");
    let bad = node.post(&format!("/api/drops/{drop_id}/reserve?userId=x"), &alice.token, json!({})).await;
    assert_eq!(bad.expect_error(400, "invalid_field").json["field"], "userId");
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn creating_a_drop_asks_for_the_admin_token_before_anything_else(db: PgPool) {
    let node = Node::start(&db).await;
    let alice = node.sign_in("alice").await;
    for path in ["/api/drops", "/api/drops/create", "/dialect2/api/drops/create"] {
        for body in [json!({ "price": "?" }), new_drop(&json!({}))] {
            let answer = node.post(path, &alice.token, body).await.expect_error(401, "unauthorized");
            let error = answer.json["error"].as_str().expect("text");
            assert!(error.contains("needs the admin token"), "{error}");
        }
    }
    node.stop_and_assert_invariants().await;
}

fn origin(origin: &str) -> Origin {
    origin.parse().expect("an origin")
}

#[sqlx::test]
async fn a_proxy_may_name_another_host_if_the_page_s_origin_is_configured(db: PgPool) {
    let public = Some(origin("http://localhost:5173"));
    let origins = Origins { public, ..Origins::default() };
    let node = Node::start_with(&db, Settings { origins, ..Settings::default() }).await;
    let claim = async |origin: &str, username: &str| {
        let request = node.request(Method::POST, "/api/users/get-or-create").header("origin", origin);
        send(request.json(&json!({ "username": username }))).await
    };
    claim("http://localhost:5173", "alice").await.expect_status(200);
    claim(&node.url(""), "bob").await.expect_status(200);
    claim("http://localhost:5174", "eve").await.expect_error(403, "foreign_origin");
    for (origin, status) in [("http://localhost:5173", 200), ("http://localhost:5174", 403)] {
        let request = node.request(Method::GET, HANDSHAKE).header("origin", origin);
        send(request).await.expect_status(status);
    }
    node.stop_and_assert_invariants().await;
}

const HANDSHAKE: &str = "/socket.io/?EIO=4&transport=polling";

/// What a browser sends from a page of that origin.
fn from_page(api: &Api, method: Method, path: &str, origin: &str) -> RequestBuilder {
    let http: Client = build_client(Client::builder());
    http.request(method, api.url(path)).header("origin", origin)
}

#[sqlx::test]
async fn listed_origins_may_call_and_read_and_nobody_else(db: PgPool) {
    let foreign = vec![origin("http://localhost:5173"), origin("https://shop.test")];
    let origins = Origins { foreign, ..Origins::default() };
    let node = Node::start_with(&db, Settings { origins, ..Settings::default() }).await;
    let closed = Node::start_another(&node, Settings::default()).await;
    let preflight = async |node: &Node, origin: &str| -> Answer {
        let request = from_page(node, Method::OPTIONS, "/api/drops/1/reserve", origin);
        let request = request.header("access-control-request-method", "POST");
        send(request.header("access-control-request-headers", "content-type")).await
    };
    for page in ["http://localhost:5173", "https://shop.test"] {
        let answer = preflight(&node, page).await.expect_status(200);
        assert_eq!(answer.header("access-control-allow-origin"), page);
        assert_eq!(answer.header("access-control-allow-credentials"), "true");
        assert!(answer.header("access-control-allow-methods").contains("POST"));
        assert!(answer.header("access-control-allow-headers").contains("content-type"));
        for path in ["/api/drops", "/dialect2/api/drops", HANDSHAKE, "/api/nothing"] {
            let answer = send(from_page(&node, Method::GET, path, page)).await;
            assert_eq!(answer.header("access-control-allow-origin"), page, "{path}");
        }
    }
    for (node, page) in [(&node, "http://localhost:5174"), (&closed, "http://localhost:5173")] {
        assert_eq!(preflight(node, page).await.header("access-control-allow-origin"), "");
        let answer = send(from_page(node, Method::GET, "/api/drops", page)).await;
        assert_eq!(answer.header("access-control-allow-origin"), "");
        let claim = from_page(node, Method::POST, "/api/users/get-or-create", page);
        send(claim.json(&json!({ "username": "eve" }))).await.expect_error(403, "foreign_origin");
        send(from_page(node, Method::GET, HANDSHAKE, page)).await.expect_error(403, "foreign_origin");
    }
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn cookies_travel_from_listed_https_pages_of_other_sites(db: PgPool) {
    let node = Node::start(&db).await;
    for (index, (listed, scheme, expected)) in [
        ("https://shop.test", "https", "SameSite=None; Secure"),
        ("https://shop.test", "http", "SameSite=Lax"),
        ("http://shop.test", "https", "SameSite=Lax; Secure"),
    ]
    .into_iter()
    .enumerate()
    {
        let origins = Origins { foreign: vec![origin(listed)], ..Origins::default() };
        let node = node.start_another(Settings { origins, ..Settings::default() }).await;
        let request = from_page(&node, Method::POST, "/api/users/get-or-create", listed);
        let request = request.header("x-forwarded-proto", scheme);
        let answer = send(request.json(&json!({ "username": format!("user{index}") }))).await.expect_status(200);
        let cookie = answer.header("set-cookie");
        assert!(cookie.ends_with(expected), "{listed} {scheme}: {cookie}");
    }
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn a_page_of_another_site_cannot_act_through_a_front_end_that_adds_the_admin_token(db: PgPool) {
    let node = Node::start(&db).await;
    let drop_id = node.create_open_drop(5).await;
    let alice = node.sign_in("alice").await;
    let path = format!("/api/drops/{drop_id}/reserve?userId={}", alice.id);
    let request = from_page(&node, Method::POST, &path, "http://evil.test").bearer_auth(ADMIN_TOKEN);
    send(request).await.expect_error(403, "foreign_origin");
    assert_eq!(query_number(&db, "select count(*) from reservations").await, 0);
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn without_socket_io_there_is_no_such_page(db: PgPool) {
    let node = Node::start_with(&db, Settings { has_socket_io: false, ..Settings::default() }).await;
    node.get(&HANDSHAKE.replace("/?", "?")).await.expect_status(404);
    let with = node.start_another(Settings::default()).await;
    let answer = with.get(HANDSHAKE).await.expect_status(200);
    assert!(answer.text.starts_with(r#"0{"sid":"#), "{}", answer.text);
    node.stop_and_assert_invariants().await;
}
