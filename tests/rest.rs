//! The REST API, the server functions and the pages as strangers call them: every call, spelling, status and code.

#[allow(dead_code, reason = "each test program uses a part of it")]
mod support;

use leptos::server_fn::error::ServerFnUrlError;
use reqwest::{Client, Method, Url, header};
use serde_json::{Value, json};
use sneakdrop::{
    domain::User,
    domain::error::{DropError, Missing},
    server::session::{self, SessionKey},
};
use sqlx::PgPool;
use support::{
    ADMIN_TOKEN, Answer, Api, Person, Settings, Shop, client, crowd,
    gate::Gate,
    id_of, lapse, number,
    process::Process,
    proxy::{Line, Proxy},
    until,
};
use tokio::net::TcpStream;

/// Calls whose bodies are read.
const CALLS_WITH_BODY: [(Method, &str); 8] = [
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
async fn drops_are_created_in_every_spelling(db: PgPool) {
    let shop = Shop::open(&db).await;
    let (from, to) = ("2100-01-01T00:00:00Z", "2100-01-02T00:00:00Z");
    let image = "https://cdn.test/a.webp";
    let modern = json!({ "name": " Pace Retro ", "priceCents": 14_950, "totalStock": 7, "startsAt": from,
                         "endsAt": to, "imageUrl": image, "limitPerUser": 2 });
    let legacy = json!({ "name": "Pace Retro", "price": 149.5, "total_stock": 7, "start_time": from,
                         "end_time": to, "image_url": image, "limit_per_user": 2 });
    let snake = json!({ "name": "Pace Retro", "price_cents": 14_950, "total_stock": 7,
                        "starts_at": "2100-01-01T01:00:00+01:00", "ends_at": to, "image_url": image,
                        "limit_per_user": 2, "ignored": "field" });
    for path in ["/api/drops", "/api/drops/create"] {
        for body in [&modern, &legacy, &snake] {
            let drop = &shop.post(path, ADMIN_TOKEN, body.clone()).await.expect(201).json["drop"];
            let expected = json!({
                "id": drop["id"], "version": drop["version"], "held_stock": 0, "name": "Pace Retro",
                "price_cents": 14_950, "total_stock": 7, "available_stock": 7, "starts_at": from, "ends_at": to,
                "image_url": image, "limit_per_user": 2, "latest_purchasers": [],
                "sizes": [{ "label": "One size", "total_stock": 7, "available_stock": 7 }],
            });
            assert_eq!(drop, &expected, "{path} {body}");
        }
    }

    let sizes = json!([{ "label": "US 9", "stock": 3 }, { "label": "US 8.5", "stock": 4 }]);
    let drop = shop.create_drop(json!({ "name": "Court 76", "price": "0.29", "sizes": sizes })).await;
    assert_eq!((&drop["price_cents"], &drop["total_stock"]), (&json!(29), &json!(7)));
    assert_eq!(drop["sizes"][0], json!({ "label": "US 9", "total_stock": 3, "available_stock": 3 }));
    assert_eq!((&drop["ends_at"], &drop["limit_per_user"]), (&Value::Null, &Value::Null));
    assert_eq!(number(&db, "select count(*) from drops").await, 7);
    shop.close().await;
}

#[sqlx::test]
async fn drops_at_the_very_limits_are_created(db: PgPool) {
    let shop = Shop::open(&db).await;
    let sizes: Vec<_> = (0..50).map(|index| json!({ "label": format!("{index:020}"), "stock": 20_000 })).collect();
    for changes in [
        json!({ "name": "x".repeat(100) }),
        json!({ "name": "鞋".repeat(100) }),
        json!({ "priceCents": 0 }),
        json!({ "priceCents": 100_000_000 }),
        json!({ "priceCents": null, "price": "1000000.00" }),
        json!({ "totalStock": 1 }),
        json!({ "totalStock": 1_000_000 }),
        json!({ "totalStock": null, "sizes": sizes }),
        json!({ "limitPerUser": 1_000_000 }),
        json!({ "imageUrl": format!("/{}", "a".repeat(2_047)) }),
        json!({ "startsAt": "0001-01-01T00:00:00Z", "endsAt": "9999-12-31T23:59:59.999999Z" }),
    ] {
        shop.create_drop(new_drop(&changes)).await;
    }
    shop.close().await;
}

#[sqlx::test]
async fn a_bad_drop_is_refused_by_the_name_of_its_field(db: PgPool) {
    let shop = Shop::open(&db).await;
    for (index, (field, changes)) in bad_drops().into_iter().enumerate() {
        let path = ["/api/drops", "/api/drops/create"][index % 2];
        let body = new_drop(&changes);
        let answer = shop.post(path, ADMIN_TOKEN, body.clone()).await;
        assert_eq!((answer.status, answer.code()), (400, "invalid_field"), "{body}: {}", answer.text);
        assert_eq!(answer.json["field"], field, "{body}: {}", answer.text);
        assert!(answer.json["error"].as_str().is_some_and(|error| error.starts_with(field)), "{}", answer.text);
    }
    assert_eq!(number(&db, "select count(*) from drops").await, 0);
    assert_eq!(shop.get("/api/drops").await.expect(200).json, json!({ "drops": [] }));
    shop.close().await;
}

/// What may be wrong with a drop: the field at fault, and the fields that differ from a fine one.
fn bad_drops() -> Vec<(&'static str, Value)> {
    let (past, soon, later) = ("2000-01-01T00:00:00Z", "2100-01-01T00:00:00Z", "2100-01-02T00:00:00Z");
    let sizes = |sizes: Value| json!({ "totalStock": null, "sizes": sizes });
    let s = json!({ "label": "S", "stock": 1 });
    let mut bad = vec![
        ("priceCents", json!({ "priceCents": null })),
        ("totalStock", json!({ "totalStock": null })),
        ("totalStock", json!({ "sizes": [s] })),
        ("endsAt", json!({ "startsAt": later, "endsAt": soon })),
        ("endsAt", json!({ "startsAt": later, "endsAt": later })),
        ("endsAt", json!({ "endsAt": past })),
        ("sizes", sizes(json!([]))),
        ("sizes", sizes(json!({}))),
        ("sizes", sizes(json!("S"))),
        ("sizes", sizes(json!(vec![&s; 51]))),
        ("sizes", sizes(json!([{ "label": "S", "stock": 1_000_000 }, { "label": "M", "stock": 1 }]))),
        ("sizes[0]", sizes(json!([5]))),
        ("sizes[0].label", sizes(json!([{ "stock": 1 }]))),
        ("sizes[0].stock", sizes(json!([{ "label": "S" }]))),
        ("sizes[1].label", sizes(json!([s, { "label": " s ", "stock": 1 }]))),
    ];
    for label in [json!(" "), json!("x".repeat(21)), json!("a\u{7}"), json!(9)] {
        bad.push(("sizes[0].label", sizes(json!([{ "label": label, "stock": 1 }]))));
    }
    for stock in [json!(0), json!(-1), json!(1_000_001), json!("1"), json!(1.5)] {
        bad.push(("sizes[0].stock", sizes(json!([{ "label": "S", "stock": stock }]))));
    }
    for name in [json!(null), json!(""), json!(" \t "), json!("x".repeat(101)), json!("a\nb"), json!("a\0"), json!(5)] {
        bad.push(("name", json!({ "name": name })));
    }
    for price in [json!(-1), json!(0.001), json!("1,50"), json!("abc"), json!(1_000_000.01), json!({}), json!("")] {
        bad.push(("price", json!({ "priceCents": null, "price": price })));
    }
    for url in ["", "http://cdn.test/a", "//cdn.test/a", "javascript:alert(1)", "a.svg", &"/a".repeat(1_025)] {
        bad.push(("imageUrl", json!({ "imageUrl": url })));
    }
    bad.push(("imageUrl", json!({ "imageUrl": 5 })));
    for field in ["startsAt", "starts_at", "start_time", "endsAt", "ends_at", "end_time"] {
        for moment in [json!("tomorrow"), json!("2100-01-01"), json!(4_102_444_800_i64), json!("")] {
            bad.push((field, json!({ field: moment })));
        }
    }
    let no_integers = [json!(1.5), json!("5"), json!(true), json!(1e30), json!(u64::MAX), json!([1]), json!(-1)];
    for (field, instead_of, least, most) in [
        ("priceCents", "", 0, 100_000_000),
        ("price_cents", "priceCents", 0, 100_000_000),
        ("totalStock", "", 1, 1_000_000),
        ("total_stock", "totalStock", 1, 1_000_000),
        ("limitPerUser", "", 1, 1_000_000),
        ("limit_per_user", "", 1, 1_000_000),
    ] {
        for number in no_integers.iter().chain(&[json!(least - 1), json!(most + 1)]) {
            bad.push((field, json!({ instead_of: null, field: number })));
        }
    }
    bad
}

#[sqlx::test]
async fn only_the_admin_creates_drops(db: PgPool) {
    let shop = Shop::open(&db).await;
    let alice = shop.sign_in("alice").await;
    let prefix = &ADMIN_TOKEN[..ADMIN_TOKEN.len() - 1];
    for path in ["/api/drops", "/api/drops/create"] {
        for token in ["", "wrong", prefix, &format!("{ADMIN_TOKEN}x"), &alice.token] {
            shop.post(path, token, new_drop(&json!({}))).await.refuses(401, "unauthorized");
        }
        let request = shop.request(Method::POST, path).json(&new_drop(&json!({})));
        Answer::to(request).await.refuses(401, "unauthorized");
    }
    assert_eq!(number(&db, "select count(*) from drops").await, 0);
    shop.close().await;
}

#[sqlx::test]
async fn unreadable_bodies_are_refused_by_every_call(db: PgPool) {
    let shop = Shop::open(&db).await;
    assert_eq!(shop.open_drop(5).await, 1);
    let alice = shop.sign_in("alice").await;
    let json_of = |body: Vec<u8>| ("application/json", body);
    let deep = "[".repeat(60_000).into_bytes();
    for (method, path) in CALLS_WITH_BODY {
        let send = async |(content_type, body): (&str, Vec<u8>)| {
            let request = shop.request(method.clone(), path).bearer_auth(&alice.token);
            Answer::to(request.header(header::CONTENT_TYPE, content_type).body(body)).await
        };
        for malformed in [
            &b"{"[..],
            b"{\"userId\":}",
            b"nonsense",
            b"[]",
            b"\"text\"",
            b"5",
            b"null",
            b"{\"a\":\"\xff\"}",
            b"{\"a\":\"\\ud800\"}",
            &deep,
        ] {
            send(json_of(malformed.to_vec())).await.refuses(400, "malformed_body");
        }
        for content_type in ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", ""] {
            send((content_type, b"{}".to_vec())).await.refuses(415, "wrong_content_type");
        }
        send(json_of(vec![b' '; 64 * 1024 + 1])).await.refuses(413, "body_too_large");
        send(json_of(vec![b' '; 64 * 1024])).await.refuses(400, "malformed_body");
    }
    assert_eq!(number(&db, "select count(*) from drops").await, 1);
    assert_eq!(number(&db, "select count(*) from users").await, 1);
    assert_eq!(number(&db, "select count(*) from reservations").await, 0);
    shop.close().await;
}

#[sqlx::test]
async fn content_types_and_empty_bodies_are_read_as_clients_send_them(db: PgPool) {
    let shop = Shop::open(&db).await;
    let drop_id = shop.open_drop(5).await;
    let alice = shop.sign_in("alice").await;
    let path = format!("/api/drops/{drop_id}/reserve");
    Answer::to(shop.request(Method::POST, &path).bearer_auth(&alice.token)).await.expect(201);
    for content_type in ["application/json; charset=utf-8", "Application/JSON"] {
        let request = shop.request(Method::POST, &path).bearer_auth(&alice.token);
        Answer::to(request.header(header::CONTENT_TYPE, content_type).body("{}")).await.expect(200);
    }
    shop.close().await;
}

#[sqlx::test]
async fn ids_are_whole_positive_numbers_wherever_they_stand(db: PgPool) {
    let shop = Shop::open(&db).await;
    let drop_id = shop.open_drop(5).await;
    let alice = shop.sign_in("alice").await;

    let in_path = ["-1", "0", "1.5", "abc", "1e3", "9223372036854775808", "%20", "%FF", "1%2F2", "1%00"];
    let calls = [(Method::POST, "reserve"), (Method::POST, "purchase"), (Method::DELETE, "reservation")];
    for (method, action) in &calls {
        let send = async |id: &str| {
            let path = format!("/api/drops/{id}/{action}");
            Answer::to(shop.request(method.clone(), &path).bearer_auth(&alice.token)).await
        };
        for id in in_path {
            assert_eq!(send(id).await.refuses(400, "invalid_field").json["field"], "dropId", "{id}");
        }
        for unknown in [i64::MAX, drop_id + 1] {
            send(&unknown.to_string()).await.refuses(404, "not_found");
        }
    }

    let in_body = [
        json!(-1),
        json!(0),
        json!(1.5),
        json!("1"),
        json!(true),
        json!([1]),
        json!({}),
        json!(1e3),
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
            let answer = shop.post(path, &alice.token, body).await.refuses(400, "invalid_field");
            assert_eq!(answer.json["field"], field, "{id}");
        }
    }
    for (path, field) in [("/api/drops/reserve", "dropId"), ("/api/drops/purchase", "reservationId")] {
        for absent in [json!({}), json!({ field: null })] {
            let answer = shop.post(path, &alice.token, absent).await.refuses(400, "invalid_field");
            assert_eq!(answer.json["field"], field);
        }
        shop.post(path, &alice.token, json!({ field: i64::MAX })).await.refuses(404, "not_found");
    }
    for size in [json!(9), json!(["S"]), json!({})] {
        let answer = shop.post("/api/drops/1/reserve", &alice.token, json!({ "size": size })).await;
        assert_eq!(answer.refuses(400, "invalid_field").json["field"], "size");
    }
    assert_eq!(number(&db, "select count(*) from reservations").await, 0);
    shop.close().await;
}

#[sqlx::test]
async fn both_spellings_reserve_purchase_and_give_back(db: PgPool) {
    let shop = Shop::open(&db).await;
    let drop_id = shop.open_drop(5).await;
    let alice = shop.sign_in("alice").await;
    let (alice_id, token) = (alice.id, &*alice.token);

    let reserve = format!("/api/drops/{drop_id}/reserve");
    let first = shop.post(&reserve, token, json!({ "userId": alice_id, "size": "One size" })).await.expect(201);
    let reservation = &first.json["reservation"];
    let expected = json!({
        "id": reservation["id"], "drop_id": drop_id, "user_id": alice_id, "size": "One size", "status": "active",
        "expires_at": reservation["expires_at"], "created_at": reservation["created_at"],
    });
    assert_eq!(first.json, json!({ "reservation": expected, "newStock": 4 }));
    let again = shop.post("/api/drops/reserve", token, json!({ "dropId": drop_id })).await.expect(200);
    assert_eq!(again.json, first.json);

    let purchase = format!("/api/drops/{drop_id}/purchase");
    let bought = shop.post(&purchase, token, json!({ "userId": alice_id })).await.expect(200);
    let expected = json!({
        "id": bought.purchase_id(), "drop_id": drop_id, "user_id": alice_id, "reservation_id": reservation["id"],
        "size": "One size", "price_cents": 19_900, "created_at": bought.json["purchase"]["created_at"],
    });
    let purchaser = json!({ "id": alice_id, "username": "alice" });
    assert_eq!(bought.json, json!({ "purchase": expected, "newStock": 4, "purchaser": purchaser }));
    let by_reservation = json!({ "reservationId": reservation["id"], "userId": alice_id });
    assert_eq!(shop.post("/api/drops/purchase", token, by_reservation).await.expect(200).json, bought.json);

    let second = shop.post("/api/drops/reserve", token, json!({ "drop_id": drop_id })).await.expect(201);
    assert_ne!(second.reservation_id(), first.reservation_id());
    assert_eq!(shop.release(&alice, drop_id).await.expect(200).json, json!({ "newStock": 4 }));
    shop.close().await;
}

#[sqlx::test]
async fn every_refusal_of_a_sale_has_its_code(db: PgPool) {
    let shop = Shop::open(&db).await;
    let [alice, bob] = [shop.sign_in("alice").await, shop.sign_in("bob").await];
    let create = async |changes: Value| id_of(&shop.create_drop(new_drop(&changes)).await);

    let single = create(json!({ "totalStock": 1, "limitPerUser": 1 })).await;
    shop.purchase(&alice, single).await.refuses(409, "no_active_reservation");
    shop.release(&alice, single).await.refuses(409, "no_active_reservation");
    let held = shop.reserve(&alice, single).await.expect(201).reservation_id();
    shop.reserve(&bob, single).await.refuses(409, "sold_out");
    shop.purchase_reservation(&bob, held).await.refuses(404, "not_found");
    lapse(&db, held).await;
    shop.purchase_reservation(&alice, held).await.refuses(409, "reservation_expired");
    let held = shop.reserve(&alice, single).await.expect(201).reservation_id();
    shop.purchase_reservation(&alice, held).await.expect(200);
    assert_eq!(shop.reserve(&alice, single).await.refuses(409, "limit_reached").json["limit"], 1);

    let upcoming = create(json!({ "startsAt": "2100-01-01T00:00:00Z" })).await;
    let answer = shop.reserve(&alice, upcoming).await.refuses(409, "not_started");
    assert_eq!(answer.json["starts_at"], "2100-01-01T00:00:00Z");
    let over = create(json!({ "startsAt": "2000-01-01T00:00:00Z", "endsAt": "2000-01-02T00:00:00Z" })).await;
    shop.reserve(&alice, over).await.refuses(409, "ended");
    assert_eq!(number(&db, "select count(*) from reservations where status = 'active'").await, 0);
    shop.close().await;
}

#[sqlx::test]
async fn a_drop_in_sizes_asks_for_one_and_tells_those_left(db: PgPool) {
    let shop = Shop::open(&db).await;
    let people = crowd(&db, 3).await;
    let sizes = json!([{ "label": "M", "stock": 1 }, { "label": "S", "stock": 1 }]);
    let new = json!({ "totalStock": null, "sizes": sizes });
    let drop_id = id_of(&shop.create_drop(new_drop(&new)).await);

    let answer = shop.reserve(&people[0], drop_id).await.refuses(422, "size_required");
    assert_eq!(answer.json["sizes_left"], json!(["M", "S"]));
    shop.reserve_size(&people[0], drop_id, "M").await.expect(201);
    for unknown in ["m", "XL", "", "\0"] {
        let answer = shop.reserve_size(&people[1], drop_id, unknown).await.refuses(422, "unknown_size");
        assert_eq!(answer.json["sizes_left"], json!(["S"]), "{unknown:?}");
    }
    shop.reserve_size(&people[1], drop_id, "M").await.refuses(409, "sold_out");
    shop.reserve_size(&people[1], drop_id, "S").await.expect(201);
    shop.reserve(&people[2], drop_id).await.refuses(409, "sold_out");
    shop.close().await;
}

#[sqlx::test]
async fn nobody_acts_for_someone_else(db: PgPool) {
    let shop = Shop::open(&db).await;
    let drop_id = shop.open_drop(5).await;
    let [alice, bob] = [shop.sign_in("alice").await, shop.sign_in("bob").await];
    let held = shop.reserve(&bob, drop_id).await.expect(201).reservation_id();
    for user_id in [bob.id, i64::MAX] {
        for (path, body) in [
            (format!("/api/drops/{drop_id}/reserve"), json!({ "userId": user_id })),
            ("/api/drops/reserve".into(), json!({ "dropId": drop_id, "user_id": user_id })),
            (format!("/api/drops/{drop_id}/purchase"), json!({ "userId": user_id })),
            ("/api/drops/purchase".into(), json!({ "reservationId": held, "userId": user_id })),
        ] {
            shop.post(&path, &alice.token, body.clone()).await.refuses(403, "forbidden");
            shop.post(&path, "nobody", body).await.refuses(401, "unauthorized");
        }
    }
    shop.purchase_reservation(&alice, held).await.refuses(404, "not_found");
    let path = format!("/api/drops/{drop_id}/reservation");
    let request = shop.request(Method::DELETE, &path).bearer_auth(&alice.token).json(&json!({ "userId": bob.id }));
    Answer::to(request).await.refuses(403, "forbidden");
    Answer::to(shop.request(Method::DELETE, &path)).await.refuses(401, "unauthorized");
    assert_eq!(number(&db, "select count(*) from reservations where status = 'active'").await, 1);
    shop.purchase(&bob, drop_id).await.expect(200);
    shop.close().await;
}

#[sqlx::test]
async fn the_admin_acts_for_any_existing_user_by_name_only(db: PgPool) {
    let shop = Shop::open(&db).await;
    let drop_id = shop.open_drop(5).await;
    let bob = shop.sign_in("bob").await;
    let (reserve, purchase) = (format!("/api/drops/{drop_id}/reserve"), format!("/api/drops/{drop_id}/purchase"));

    for path in [&*reserve, &*purchase] {
        let answer = shop.post(path, ADMIN_TOKEN, json!({})).await.refuses(400, "invalid_field");
        assert_eq!(answer.json["field"], "userId");
        shop.post(path, ADMIN_TOKEN, json!({ "userId": bob.id + 1 })).await.refuses(404, "not_found");
    }
    let held = shop.post(&reserve, ADMIN_TOKEN, json!({ "userId": bob.id })).await.expect(201);
    assert_eq!(held.json["reservation"]["user_id"], bob.id);
    let path = format!("/api/drops/{drop_id}/reservation");
    let request = shop.request(Method::DELETE, &path).bearer_auth(ADMIN_TOKEN).json(&json!({ "userId": bob.id }));
    Answer::to(request).await.expect(200);
    shop.post("/api/drops/reserve", ADMIN_TOKEN, json!({ "dropId": drop_id, "userId": bob.id })).await.expect(201);
    let bought = shop.post(&purchase, ADMIN_TOKEN, json!({ "user_id": bob.id })).await.expect(200);
    assert_eq!(bought.json["purchaser"], json!({ "id": bob.id, "username": "bob" }));
    shop.close().await;
}

#[sqlx::test]
async fn a_proof_holds_for_every_node_of_its_database_and_for_no_other_database(db: PgPool) {
    let shop = Shop::open(&db).await;
    let drop_id = shop.open_drop(5).await;
    let alice = shop.sign_in("alice").await;
    shop.another(Settings::default()).await.reserve(&alice, drop_id).await.expect(201);
    // All that a new database does not share with one in which everybody has the same number and name.
    sqlx::query("update shop set session_secret = gen_random_uuid()").execute(&db).await.expect("there is a secret");
    let rebuilt = shop.another(Settings::default()).await;
    rebuilt.reserve(&alice, drop_id).await.refuses(401, "unauthorized");
    rebuilt.purchase(&alice, drop_id).await.refuses(401, "unauthorized");
    shop.close().await;
}

#[sqlx::test]
async fn a_forged_or_stale_proof_is_nobody(db: PgPool) {
    let shop = Shop::open(&db).await;
    let drop_id = shop.open_drop(5).await;
    let [alice, bob] = [shop.sign_in("alice").await, shop.sign_in("bob").await];
    let parts: Vec<_> = alice.token.split('.').collect();
    let [version, id, name, signature] = parts[..] else { panic!("{}", alice.token) };
    let another_key = SessionKey::load(b"another key", &db).await.expect("the database has a secret");
    let signed_by_another = session::token(&another_key, &User { id: alice.id, username: "alice".into() });
    let of_nobody = session::token(&shop.state.session_key, &User { id: bob.id + 1, username: "carol".into() });
    for forged in [
        signed_by_another,
        of_nobody,
        format!("{version}.{}.{name}.{signature}", bob.id),
        format!("{version}.{id}.{}.{signature}", bob.token.split('.').nth(2).expect("a name")),
        format!("{version}.{id}.{name}."),
        format!("{version}.{id}.{name}"),
        format!("{}x", alice.token),
        format!("{id}.{name}.{signature}"),
        "....".into(),
    ] {
        shop.post(&format!("/api/drops/{drop_id}/reserve"), &forged, json!({})).await.refuses(401, "unauthorized");
        for name in ["sneakdrop", "__Host-sneakdrop"] {
            let request = shop.request(Method::POST, &format!("/api/drops/{drop_id}/reserve"));
            let answer = Answer::to(request.header(header::COOKIE, format!("{name}={forged}"))).await;
            answer.refuses(401, "unauthorized");
        }
    }
    assert_eq!(number(&db, "select count(*) from reservations").await, 0);
    shop.close().await;
}

#[sqlx::test]
async fn a_username_is_one_account_whatever_its_case_or_composition(db: PgPool) {
    let shop = Shop::open(&db).await;
    let names = ["Zoë", "李小龍", "🦊 fox", "o'hara-2", &"é".repeat(32)];
    for name in names {
        let person = shop.sign_in(&format!("  {name}\u{3000}")).await;
        assert_eq!(person.username, name);
        for same in [name.to_uppercase(), name.to_lowercase(), name.replace('ë', "e\u{308}")] {
            let answer = get_or_create(&shop, json!({ "username": same })).await.expect(200);
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
        let answer = get_or_create(&shop, json!({ "username": bad })).await.refuses(400, "invalid_field");
        assert_eq!(answer.json["field"], "username", "{bad}");
    }
    get_or_create(&shop, json!({})).await.refuses(400, "invalid_field");
    assert_eq!(number(&db, "select count(*) from users").await, names.len() as i64);
    shop.close().await;
}

#[sqlx::test]
async fn one_of_many_who_claim_a_name_at_once_gets_it(db: PgPool) {
    let shop = Shop::open(&db).await;
    let claims = (0..30).map(|index| {
        let (shop, name) = (&shop, if index % 2 == 0 { "alice" } else { "ALICE" });
        // A shop that is busy says so; who insists gets an answer.
        until("the shop answers", async move || {
            let answer = get_or_create(shop, json!({ "username": name })).await;
            (answer.code() != "unavailable").then(|| answer.expect(200))
        })
    });
    let answers = support::at_once(30, claims).await;
    assert_eq!(answers.iter().filter(|answer| answer.json["token"].is_string()).count(), 1);
    assert_eq!(number(&db, "select count(*) from users").await, 1);
    shop.close().await;
}

#[sqlx::test]
async fn only_the_claimer_gets_the_proof_of_an_account(db: PgPool) {
    let shop = Shop::open(&db).await;
    let alice = shop.sign_in("alice").await;
    let claimed = json!({ "username": "Alice" });
    let user = json!({ "id": alice.id, "username": "alice" });

    let own = shop.post("/api/users/get-or-create", &alice.token, claimed.clone()).await.expect(200);
    assert_eq!(own.json, json!({ "user": user, "token": alice.token }));
    let bob = shop.sign_in("bob").await;
    for stranger in ["", &*bob.token, ADMIN_TOKEN] {
        let answer = shop.post("/api/users/get-or-create", stranger, claimed.clone()).await.expect(200);
        assert_eq!(answer.json, json!({ "user": user }));
        assert_eq!(answer.headers.get_all(header::SET_COOKIE).iter().count(), 0);
    }
    shop.close().await;
}

#[sqlx::test]
async fn a_cookie_proves_the_account_to_rest_too(db: PgPool) {
    let shop = Shop::open(&db).await;
    let drop_id = shop.open_drop(5).await;
    for (scheme, prefix, secure) in [("http", "", ""), ("https", "__Host-", "; Secure")] {
        let body = json!({ "username": format!("alice over {scheme}") });
        let request = |path: &str| shop.request(Method::POST, path).header("x-forwarded-proto", scheme);
        let answer = Answer::to(request("/api/users/get-or-create").json(&body)).await.expect(200);
        let cookies: Vec<_> =
            answer.headers.get_all(header::SET_COOKIE).iter().map(|cookie| cookie.to_str().expect("text")).collect();
        let token = answer.json["token"].as_str().expect("a token");
        let flags = format!("; Path=/; Max-Age=31536000; HttpOnly; SameSite=Lax{secure}");
        let names = ["sneakdrop", "sneakdrop_names"].map(|name| format!("{prefix}{name}={token}{flags}"));
        assert_eq!(cookies, names);

        let path = format!("/api/drops/{drop_id}/reserve");
        let signed_in = request(&path).header(header::COOKIE, format!("theme=dark; {prefix}sneakdrop={token}"));
        let held = Answer::to(signed_in).await.expect(201);
        assert_eq!(held.json["reservation"]["user_id"], answer.json["user"]["id"]);
        let claim_alone = request(&path).header(header::COOKIE, format!("{prefix}sneakdrop_names={token}"));
        Answer::to(claim_alone).await.refuses(401, "unauthorized");
    }
    shop.close().await;
}

#[sqlx::test]
async fn another_browser_cannot_become_alice(db: PgPool) {
    let shop = Shop::open(&db).await;
    let drop_id = shop.open_drop(5).await;
    let (hers, other) = (Browser::new(&shop), Browser::new(&shop));
    let visitor = hers.call("sign_in", "username=alice").await.expect(200).json;
    assert_eq!(visitor["user"]["username"], "alice");

    for name in ["alice", "ALICE", "%20Alice+"] {
        let refusal = other.call("sign_in", &format!("username={name}")).await.expect(409);
        assert_eq!(refusal.json, json!("username_taken"));
    }
    other.call("reserve", &format!("drop_id={drop_id}")).await.expect(401);

    // Her own browser comes back to any name that it has claimed, signed out or not.
    hers.call("sign_in", "username=second").await.expect(200);
    hers.call("sign_out", "").await.expect(200);
    hers.call("reserve", &format!("drop_id={drop_id}")).await.expect(401);
    for name in ["alice", "Second"] {
        hers.call("sign_in", &format!("username={name}")).await.expect(200);
    }
    let held = hers.call("reserve", &format!("drop_id={drop_id}")).await.expect(200);
    assert_ne!(held.json["user_id"], visitor["user"]["id"], "the last sign-in counts");
    shop.close().await;
}

#[sqlx::test]
async fn server_functions_sell_and_refuse_as_rest_does(db: PgPool) {
    let shop = Shop::open(&db).await;
    let sizes = json!([{ "label": "S", "stock": 1 }, { "label": "M", "stock": 1 }]);
    let drop_id = id_of(&shop.create_drop(new_drop(&json!({ "totalStock": null, "sizes": sizes }))).await);
    let (alice, bob) = (Browser::new(&shop), Browser::new(&shop));
    let drop = format!("drop_id={drop_id}");
    for function in ["reserve", "purchase", "release"] {
        assert_eq!(alice.call(function, &drop).await.expect(401).json, json!("unauthorized"));
    }
    for blank in ["username=", "username=+", "username=%00", &format!("username={}", "x".repeat(33))] {
        let refusal = alice.call("sign_in", blank).await.expect(400);
        assert_eq!(refusal.json["invalid"]["field"], "username");
    }
    alice.call("sign_in", "username=alice").await.expect(200);
    bob.call("sign_in", "username=bob").await.expect(200);

    for unreadable in ["", "drop_id=", "drop_id=x", "drop_id=1.5", "drop_id=9223372036854775808"] {
        let refusal = alice.call("reserve", unreadable).await.expect(400);
        assert!(refusal.json["malformed_body"].is_string(), "{}", refusal.text);
    }
    for unknown in ["drop_id=0", "drop_id=-1", "drop_id=9223372036854775807"] {
        assert_eq!(alice.call("reserve", unknown).await.expect(404).json, json!({ "not_found": "drop" }));
    }
    let refusal = alice.call("reserve", &drop).await.expect(422).json;
    assert_eq!(refusal, json!({ "size_required": { "sizes_left": ["S", "M"] } }));
    let held = alice.call("reserve", &format!("{drop}&size=S")).await.expect(200).json;
    assert_eq!(alice.call("reserve", &format!("{drop}&size=S")).await.expect(200).json, held);
    assert_eq!(bob.call("reserve", &format!("{drop}&size=S")).await.expect(409).json, json!("sold_out"));
    assert_eq!(bob.call("purchase", &drop).await.expect(409).json, json!("no_active_reservation"));
    let bought = alice.call("purchase", &drop).await.expect(200).json;
    assert_eq!(bought["reservation_id"], held["id"]);
    let held = bob.call("reserve", &format!("{drop}&size=M")).await.expect(200).json;
    let back = bob.call("release", &drop).await.expect(200).json;
    assert_eq!((&back["id"], &back["status"]), (&held["id"], &json!("cancelled")));
    assert_eq!(bob.call("release", &drop).await.expect(200).json, back);

    assert_eq!(alice.call("sign_in", "username=alice").await.expect(200).json["purchases"], json!([bought]));
    assert_eq!(shop.get("/api/drops").await.expect(200).json["drops"][0]["available_stock"], 1);
    let purchasers = alice.call("purchasers", &drop).await.expect(200).json;
    assert_eq!(purchasers[0]["username"], "alice");
    alice.call("nothing", "").await.refuses(404, "not_found");
    alice.call("reserve", &"x".repeat(64 * 1024 + 1)).await.refuses(413, "body_too_large");
    shop.close().await;
}

#[sqlx::test]
async fn a_plain_form_is_sent_back_to_its_page_with_the_error(db: PgPool) {
    let shop = Shop::open(&db).await;
    let drop_id = shop.open_drop(1).await;
    let bob = shop.sign_in("bob").await;
    let alice = Browser::new(&shop);
    let page = shop.url(&format!("/drops/{drop_id}"));
    let drop = format!("drop_id={drop_id}");

    let location = |answer: Answer| answer.expect(302).header("location").to_owned();
    for (function, form) in [("sign_in", "username=alice"), ("reserve", &*drop), ("release", &*drop)] {
        // Leptos leaves the question mark of the query that it cleans.
        assert_eq!(location(alice.submit(function, form, &page).await).trim_end_matches('?'), page);
    }
    shop.reserve(&bob, drop_id).await.expect(201);
    // What an earlier error left in the address does not pile up.
    for referer in [page.clone(), format!("{page}?__path=%2Frpc%2Freserve&__err=InNvbGRfb3V0Ig==#top")] {
        let back = Url::parse(&location(alice.submit("reserve", &drop, &referer).await)).expect("an address");
        assert!(back.as_str().starts_with(&format!("{page}?")), "{back}");
        let errors: Vec<_> = back.query_pairs().filter(|(name, _)| name == "__err").collect();
        assert_eq!(errors.len(), 1, "{back}");
        assert_eq!(ServerFnUrlError::<DropError>::decode_err(&errors[0].1), DropError::SoldOut);
    }
    let unknown = alice.submit("reserve", "drop_id=77", &page).await;
    let back = Url::parse(unknown.expect(302).header("location")).expect("an address");
    let error = back.query_pairs().find(|(name, _)| name == "__err").expect("an error").1;
    assert_eq!(ServerFnUrlError::<DropError>::decode_err(&error), DropError::NotFound(Missing::Drop));
    shop.close().await;
}

#[sqlx::test]
async fn a_plain_form_is_never_sent_to_another_host(db: PgPool) {
    let shop = Shop::open(&db).await;
    let browser = Browser::new(&shop);
    let home = shop.url("/");
    let origin = home.trim_end_matches('/');
    for referer in [
        "https://evil.test/",
        "//evil.test/",
        "javascript:alert(1)",
        "nonsense",
        "",
        &format!("{origin}.evil.test/"),
        &format!("{origin}@evil.test/"),
        &format!("https://evil.test/?{home}"),
    ] {
        for form in ["username=alice", "username="] {
            let answer = browser.submit("sign_in", form, referer).await.expect(302);
            let location = answer.header("location");
            assert!(location == home || location.starts_with(&format!("{home}?")), "{referer}: {location}");
        }
    }
    shop.close().await;
}

#[sqlx::test]
async fn another_sites_page_changes_nothing_in_a_visitors_name(db: PgPool) {
    let shop = Shop::open(&db).await;
    let drop_id = shop.open_drop(5).await;
    let alice = shop.sign_in("alice").await;
    let cookie = format!("sneakdrop={}", alice.token);
    let path = format!("/api/drops/{drop_id}/reserve");
    let rpc = |origin: &str| {
        let request = shop.request(Method::POST, "/rpc/reserve").header(header::ORIGIN, origin);
        let form = "application/x-www-form-urlencoded";
        request.header(header::COOKIE, &cookie).header(header::CONTENT_TYPE, form).body(format!("drop_id={drop_id}"))
    };
    let rest =
        |origin: &str| shop.request(Method::POST, &path).header(header::ORIGIN, origin).header(header::COOKIE, &cookie);
    let own = shop.url("");
    for foreign in
        ["http://evil.test", "https://evil.test", "null", &format!("{own}.evil.test"), "http://127.0.0.1", ""]
    {
        Answer::to(rpc(foreign)).await.refuses(403, "forbidden");
        Answer::to(rest(foreign)).await.refuses(403, "forbidden");
    }
    assert_eq!(number(&db, "select count(*) from reservations").await, 0);
    Answer::to(rpc(&own)).await.expect(200);
    Answer::to(rest(&own)).await.expect(200);
    shop.close().await;
}

#[sqlx::test]
async fn unknown_paths_and_methods_are_told_in_json(db: PgPool) {
    let shop = Shop::open(&db).await;
    for (method, path) in [
        (Method::GET, "/api/nothing"),
        (Method::GET, "/api/drops/1"),
        (Method::POST, "/api/drops/1/nothing"),
        (Method::POST, "/api/drops/1/reserve/more"),
        (Method::GET, "/api/users"),
        (Method::DELETE, "/api/drops/1/reservation/"),
    ] {
        Answer::to(shop.request(method, path)).await.refuses(404, "not_found");
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
    ] {
        Answer::to(shop.request(method, path)).await.refuses(405, "method_not_allowed");
    }
    shop.close().await;
}

#[sqlx::test]
async fn the_list_is_sent_again_only_when_it_has_changed(db: PgPool) {
    let shop = Shop::open(&db).await;
    let drop_id = shop.open_drop(5).await;
    let alice = shop.sign_in("alice").await;
    let list = async |known: &str| {
        Answer::to(shop.request(Method::GET, "/api/drops").header(header::IF_NONE_MATCH, known)).await
    };
    let first = shop.get("/api/drops").await.expect(200);
    let tag = first.header("etag");
    for known in [tag, "*", &format!("\"other\", {tag}")] {
        let again = list(known).await.expect(304);
        assert_eq!((again.header("etag"), again.text.as_str()), (tag, ""));
    }
    shop.reserve(&alice, drop_id).await.expect(201);
    let second = list(tag).await.expect(200);
    assert_eq!(second.json["drops"][0]["available_stock"], 4);
    assert_ne!(second.header("etag"), tag);
    // A node that has the same tells the same.
    let other = shop.another(Settings::default()).await;
    assert_eq!(other.get("/api/drops").await.expect(200).header("etag"), second.header("etag"));
    shop.close().await;
}

#[sqlx::test]
async fn the_list_has_what_can_be_reserved_now_and_the_newest_purchasers(db: PgPool) {
    let shop = Shop::open(&db).await;
    let people = crowd(&db, 4).await;
    let now = chrono::Utc::now();
    let moment = |seconds| (now + chrono::TimeDelta::seconds(seconds)).to_rfc3339();
    let create = async |changes: Value| id_of(&shop.create_drop(new_drop(&changes)).await);

    let open = create(json!({ "totalStock": 9, "startsAt": moment(-60) })).await;
    let sold_out = create(json!({ "totalStock": 1 })).await;
    create(json!({ "startsAt": moment(3_600) })).await;
    create(json!({ "startsAt": moment(-3_600), "endsAt": moment(-1_800) })).await;
    let opening = create(json!({ "startsAt": moment(1) })).await;
    let closing = create(json!({ "startsAt": moment(-30), "endsAt": moment(1) })).await;
    shop.reserve(&people[0], sold_out).await.expect(201);
    for person in &people {
        shop.reserve(person, open).await.expect(201);
        shop.purchase(person, open).await.expect(200);
    }

    let list = until("one drop opens and one ends", async || {
        let list = shop.get("/api/drops").await.expect(200).json["drops"].take();
        let ids: Vec<_> = list.as_array().expect("a list").iter().map(id_of).collect();
        (ids.contains(&opening) && !ids.contains(&closing)).then_some(list)
    })
    .await;
    let ids: Vec<_> = list.as_array().expect("a list").iter().map(id_of).collect();
    assert_eq!(ids, [open, opening]);
    assert_eq!((&list[0]["total_stock"], &list[0]["available_stock"]), (&json!(9), &json!(5)));
    let newest: Vec<_> = people.iter().rev().take(3).map(|person| (person.id, &*person.username)).collect();
    let listed = list[0]["latest_purchasers"].as_array().expect("a list").iter();
    let listed: Vec<_> =
        listed.map(|purchaser| (id_of(purchaser), purchaser["username"].as_str().expect("a name"))).collect();
    assert_eq!(listed, newest);

    // The last pair comes back, and with it the drop.
    shop.release(&people[0], sold_out).await.expect(200);
    let list = shop.get("/api/drops").await.expect(200).json;
    assert!(list["drops"].as_array().expect("a list").iter().any(|drop| id_of(drop) == sold_out), "{list}");
    shop.close().await;
}

#[sqlx::test]
async fn every_answer_has_the_headers_that_keep_browsers_safe(db: PgPool) {
    let shop = Shop::open(&db).await;
    for path in ["/", "/nothing", "/api/drops", "/api/nothing", "/healthz"] {
        let answer = shop.get(path).await;
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "same-origin"),
            ("cross-origin-opener-policy", "same-origin"),
        ] {
            assert_eq!(answer.header(name), value, "{path}");
        }
        let policy = answer.header("content-security-policy");
        assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{path}: {policy}");
        assert!(!policy.contains("'unsafe-inline'") && !policy.contains("'unsafe-eval'"), "{path}: {policy}");
        assert_eq!(answer.header("strict-transport-security"), "", "{path}");
    }
    let secure = Answer::to(shop.request(Method::GET, "/").header("x-forwarded-proto", "https")).await;
    assert!(secure.header("strict-transport-security").starts_with("max-age="));
    shop.close().await;
}

#[sqlx::test]
async fn each_page_has_a_nonce_of_its_own_and_no_script_without_it(db: PgPool) {
    let shop = Shop::open(&db).await;
    let mut nonces = vec![];
    for _ in 0..2 {
        let page = shop.get("/").await.expect(200);
        let policy = page.header("content-security-policy");
        let nonce =
            policy.split_once("'nonce-").and_then(|(_, rest)| rest.split_once('\'')).expect("a nonce").0.to_owned();
        let with_nonce = page.text.matches(&format!("nonce=\"{nonce}\"")).count();
        let scripts = page.text.matches("<script").count();
        assert!(scripts > 0 && with_nonce >= scripts, "{scripts} scripts, {with_nonce} nonces");
        nonces.push(nonce);
    }
    assert_ne!(nonces[0], nonces[1]);
    shop.close().await;
}

#[sqlx::test]
async fn pages_that_are_not_there_say_so(db: PgPool) {
    let shop = Shop::open(&db).await;
    let drop_id = shop.open_drop(1).await;
    shop.get(&format!("/drops/{drop_id}")).await.expect(200);
    shop.get("/purchases").await.expect(200);
    for path in ["/nothing", "/drops/77", "/drops/x", "/rpc", "/../Cargo.toml", "/%2e%2e/Cargo.toml"] {
        let answer = shop.get(path).await.expect(404);
        assert!(answer.header("content-type").starts_with("text/html"), "{path}");
    }
    shop.close().await;
}

#[sqlx::test]
async fn a_healthy_shop_says_so(db: PgPool) {
    let shop = Shop::open(&db).await;
    assert_eq!(shop.get("/healthz").await.expect(200).json["status"], "ok");
    assert_eq!(shop.get("/readyz").await.expect(200).json["status"], "ready");
    shop.close().await;
}

#[sqlx::test]
async fn a_database_that_is_away_is_told_and_found_again(db: PgPool) {
    let proxy = Proxy::to(&db).await;
    let shop = Shop::open_with(&db, Settings { database: Some(proxy.options(&db)), ..Settings::default() }).await;
    let neighbour = shop.another(Settings::default()).await;
    let drop_id = shop.open_drop(5).await;
    let [alice, bob] = [shop.sign_in("alice").await, shop.sign_in("bob").await];
    neighbour.agrees_with_the_database().await;

    proxy.set(Line::Cut);
    refuses_everything(&shop, drop_id, &alice).await;
    // Meanwhile somebody buys elsewhere.
    neighbour.reserve(&bob, drop_id).await.expect(201);
    proxy.set(Line::Open);
    sells_again(&shop, drop_id, &alice).await;
    shop.agrees_with_the_database().await;
    neighbour.close().await;
    shop.close().await;
}

#[sqlx::test]
async fn a_database_that_falls_silent_is_told_and_found_again(db: PgPool) {
    let proxy = Proxy::to(&db).await;
    let shop = Shop::open_with(&db, Settings { database: Some(proxy.options(&db)), ..Settings::default() }).await;
    let drop_id = shop.open_drop(5).await;
    let alice = shop.sign_in("alice").await;

    proxy.set(Line::Silent);
    refuses_everything(&shop, drop_id, &alice).await;
    proxy.set(Line::Open);
    sells_again(&shop, drop_id, &alice).await;
    shop.agrees_with_the_database().await;
    shop.crash();
    support::assert_balanced(&db).await;
}

#[sqlx::test]
async fn a_line_that_is_taken_and_closed_is_told_as_busy(db: PgPool) {
    let proxy = Proxy::to(&db).await;
    let shop = Shop::open_with(&db, Settings { database: Some(proxy.options(&db)), ..Settings::default() }).await;
    let drop_id = shop.open_drop(5).await;
    let alice = shop.sign_in("alice").await;
    let path = format!("/api/drops/{drop_id}/reserve");

    proxy.set(Line::Closed);
    let answers = support::at_once(8, (0..8).map(|_| shop.post(&path, &alice.token, json!({})))).await;
    for answer in answers {
        assert_eq!(answer.status, 503, "{}", answer.text);
    }
    proxy.set(Line::Open);
    sells_again(&shop, drop_id, &alice).await;
    shop.close().await;
}

/// As many drops as a node sells from at the same time wait in transactions when the line goes silent, and nothing that
/// they ask is ever answered.
#[sqlx::test]
async fn a_node_whose_every_transaction_fell_silent_recovers(db: PgPool) {
    let proxy = Proxy::to(&db).await;
    let shop = Shop::open_with(&db, Settings { database: Some(proxy.options(&db)), ..Settings::default() }).await;
    let drop_ids = support::at_once(10, (0..30).map(|_| shop.open_drop(1))).await;
    let people = crowd(&db, 30).await;
    let mut lock = db.begin().await.expect("a transaction");
    sqlx::query("select from drops for update").execute(&mut *lock).await.expect("a lock");

    let calls = people.iter().zip(&drop_ids).map(|(person, drop_id)| {
        let (shop, path) = (&shop, format!("/api/drops/{drop_id}/reserve"));
        async move { shop.post(&path, &person.token, json!({})).await }
    });
    let calls = support::at_once(30, calls);
    let silence = async {
        until("as many transactions as there may be wait for a lock", async || {
            let waiting = "select count(*) from pg_stat_activity
                           where datname = current_database() and wait_event_type = 'Lock'";
            (number(&db, waiting).await == 10).then_some(())
        })
        .await;
        proxy.set(Line::Silent);
        lock.rollback().await.expect("a rollback");
    };
    let (answers, ()) = tokio::join!(calls, silence);
    assert!(answers.iter().all(|answer| answer.status == 503), "nobody heard of a reservation");

    proxy.set(Line::Open);
    until("the node is ready", async || (shop.get("/readyz").await.status == 200).then_some(())).await;
    for (person, drop_id) in people.iter().zip(drop_ids) {
        assert!([200, 201].contains(&shop.reserve(person, drop_id).await.status));
    }
    shop.agrees_with_the_database().await;
    shop.close().await;
}

#[sqlx::test]
async fn a_drop_that_is_locked_for_long_is_busy_and_not_broken(db: PgPool) {
    let shop = Shop::open(&db).await;
    let (locked, free) = (shop.open_drop(5).await, shop.open_drop(5).await);
    let alice = shop.sign_in("alice").await;
    let mut lock = db.begin().await.expect("a transaction");
    sqlx::query("select from drops where id = $1 for update").bind(locked).execute(&mut *lock).await.expect("a lock");

    let path = format!("/api/drops/{locked}/reserve");
    let (busy, other) = tokio::join!(shop.post(&path, &alice.token, json!({})), shop.reserve(&alice, free));
    let busy = busy.refuses(503, "unavailable");
    assert_eq!(busy.header("retry-after"), "1");
    other.expect(201);
    lock.rollback().await.expect("a rollback");
    shop.reserve(&alice, locked).await.expect(201);
    shop.close().await;
}

#[sqlx::test]
async fn a_request_in_flight_is_answered_though_the_server_was_told_to_stop(db: PgPool) {
    let mut server = Process::start(&db).await;
    let drop_id = server.open_drop(5).await;
    let alice = server.sign_in("alice").await;
    let gate = Gate::before_commit(&db).await;

    let call = tokio::spawn({
        let (api, alice) = ((*server).clone(), alice.clone());
        async move { api.reserve(&alice, drop_id).await }
    });
    gate.somebody_waits().await;
    server.terminate();
    until("nobody new is let in", async || TcpStream::connect(server.address).await.is_err().then_some(())).await;
    gate.open().await;
    call.await.expect("no panic").expect(201);
    assert!(server.ended().await.success());
    support::assert_balanced(&db).await;
    assert_eq!(number(&db, "select count(*) from reservations where status = 'active'").await, 1);
}

/// What a shop without database still does, and what it says to everything else.
async fn refuses_everything(shop: &Shop, drop_id: i64, person: &Person) {
    let token = &*person.token;
    let calls = [
        (format!("/api/drops/{drop_id}/reserve"), json!({})),
        (format!("/api/drops/{drop_id}/purchase"), json!({})),
        ("/api/drops/purchase".into(), json!({ "reservationId": 1 })),
        ("/api/users/get-or-create".into(), json!({ "username": "carol" })),
    ];
    let calls = calls.into_iter().map(|(path, body)| async move {
        let answer = shop.post(&path, token, body).await;
        assert_eq!((answer.status, answer.header("retry-after")), (503, "1"), "{path}: {}", answer.text);
        assert!(["unavailable", "unknown"].contains(&answer.code()), "{path}: {}", answer.text);
    });
    support::at_once(4, calls).await;
    shop.post("/api/drops", ADMIN_TOKEN, new_drop(&json!({}))).await.refuses(503, "unavailable");
    shop.get("/readyz").await.refuses(503, "unavailable");
    shop.get("/healthz").await.expect(200);
    assert_eq!(shop.get("/api/drops").await.expect(200).json["drops"][0]["id"], drop_id);
}

/// A shop whose database is back recovers by itself.
async fn sells_again(shop: &Shop, drop_id: i64, person: &Person) {
    until("the shop is ready", async || (shop.get("/readyz").await.status == 200).then_some(())).await;
    until("the shop sells again", async || {
        let answer = shop.reserve(person, drop_id).await;
        [200, 201].contains(&answer.status).then_some(())
    })
    .await;
    shop.purchase(person, drop_id).await.expect(200);
}

/// A fine drop with some fields changed; null takes one away.
fn new_drop(changes: &Value) -> Value {
    let mut body = json!({ "name": "Court 76", "priceCents": 12_900, "totalStock": 5 });
    for (field, value) in changes.as_object().expect("an object") {
        body[field] = value.clone();
    }
    body
}

/// Asks for an account without being anybody.
async fn get_or_create(api: &Api, body: Value) -> Answer {
    Answer::to(api.request(Method::POST, "/api/users/get-or-create").json(&body)).await
}

/// Keeps cookies, calls server functions, and sends forms.
struct Browser<'a> {
    api: &'a Api,
    http: Client,
}

impl<'a> Browser<'a> {
    fn new(api: &'a Api) -> Self {
        Self { api, http: client(Client::builder().cookie_store(true)) }
    }

    /// What the page's WebAssembly does.
    async fn call(&self, function: &str, form: &str) -> Answer {
        Answer::to(self.request(function, form).header(header::ACCEPT, "application/json")).await
    }

    /// What a form without WebAssembly does.
    async fn submit(&self, function: &str, form: &str, page: &str) -> Answer {
        let request = self.request(function, form).header(header::ACCEPT, "text/html,application/xhtml+xml");
        Answer::to(request.header(header::REFERER, page)).await
    }

    fn request(&self, function: &str, form: &str) -> reqwest::RequestBuilder {
        let content_type = "application/x-www-form-urlencoded";
        let request = self.http.post(self.api.url(&format!("/rpc/{function}")));
        request.header(header::CONTENT_TYPE, content_type).body(form.to_owned())
    }
}
