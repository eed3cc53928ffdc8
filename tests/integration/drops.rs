//! Creating drops.

use crate::support::{ADMIN_TOKEN, Node, Settings, concurrently, count_status, id_of, new_drop, query_number, send};
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::PgPool;

#[sqlx::test]
async fn drops_are_created_with_every_spelling_of_the_fields(db: PgPool) {
    let node = Node::start(&db).await;
    let (from, to) = ("2100-01-01T00:00:00Z", "2100-01-02T00:00:00Z");
    let image = "https://cdn.test/a.webp";
    let modern = json!({ "name": " Pace Retro ", "priceCents": 14_950, "totalStock": 7, "startsAt": from,
                         "endsAt": to, "imageUrl": image, "limitPerUser": 2 });
    let legacy = json!({ "name": "Pace Retro", "price": 149.5, "total_stock": 7, "start_time": from,
                         "end_time": to, "image_url": image, "limit_per_user": 2 });
    let snake = json!({ "name": "Pace Retro", "price_cents": 14_950, "total_stock": 7,
                        "starts_at": "2100-01-01T01:00:00+01:00", "ends_at": to, "image_url": image,
                        "limit_per_user": 2 });
    for body in [&modern, &legacy, &snake] {
        let drop = &node.create_drop(body.clone()).await;
        let expected = json!({
            "id": drop["id"], "version": drop["version"], "held_stock": 0, "name": "Pace Retro", "paused": false,
            "price_cents": 14_950, "total_stock": 7, "available_stock": 7, "starts_at": from, "ends_at": to,
            "image_url": image, "limit_per_user": 2, "latest_purchasers": [],
            "sizes": [{ "label": "One size", "total_stock": 7, "available_stock": 7 }],
        });
        assert_eq!(drop, &expected, "{body}");
        node.post("/api/drops/create", ADMIN_TOKEN, body.clone()).await.expect_status(200);
    }

    let sizes = json!([{ "label": "US 9", "stock": 3 }, { "label": "US 8.5", "stock": 4 }]);
    let drop = node.create_drop(json!({ "name": "Court 76", "price": "0.29", "sizes": sizes })).await;
    assert_eq!((&drop["price_cents"], &drop["total_stock"]), (&json!(29), &json!(7)));
    assert_eq!(drop["sizes"][0], json!({ "label": "US 9", "total_stock": 3, "available_stock": 3 }));
    assert_eq!((&drop["ends_at"], &drop["limit_per_user"]), (&Value::Null, &Value::Null));
    assert_eq!(query_number(&db, "select count(*) from drops").await, 7);
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn drops_at_the_limits_are_created(db: PgPool) {
    let node = Node::start(&db).await;
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
        json!({ "startsAt": "2000-01-01T00:00:00Z", "endsAt": "9999-12-31T23:59:59.999999Z" }),
    ] {
        node.create_drop(new_drop(&changes)).await;
    }
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn invalid_drop_is_refused_with_the_name_of_its_field(db: PgPool) {
    let node = Node::start(&db).await;
    for (index, (field, changes)) in invalid_drops().into_iter().enumerate() {
        let path = ["/api/drops", "/api/drops/create"][index % 2];
        let body = new_drop(&changes);
        let answer = node.post(path, ADMIN_TOKEN, body.clone()).await;
        assert_eq!((answer.status, answer.code()), (400, "invalid_field"), "{body}: {}", answer.text);
        assert_eq!(answer.json["field"], field, "{body}: {}", answer.text);
        assert!(answer.json["error"].as_str().is_some_and(|error| error.starts_with(field)), "{}", answer.text);
    }
    assert_eq!(query_number(&db, "select count(*) from drops").await, 0);
    assert_eq!(node.get("/api/drops").await.expect_status(200).json, json!({ "drops": [] }));
    node.stop_and_assert_invariants().await;
}

/// Invalid drops: the name of the invalid field, and the fields that differ from a valid drop.
fn invalid_drops() -> Vec<(&'static str, Value)> {
    let (past, soon, later) = ("2000-01-01T00:00:00Z", "2100-01-01T00:00:00Z", "2100-01-02T00:00:00Z");
    let sizes = |sizes: Value| json!({ "totalStock": null, "sizes": sizes });
    let size_s = json!({ "label": "S", "stock": 1 });
    let mut invalid = vec![
        ("startAt", json!({ "startAt": soon })),
        ("prize", json!({ "prize": 5 })),
        ("sizes[0].total", sizes(json!([{ "label": "S", "stock": 1, "total": 1 }]))),
        ("priceCents", json!({ "priceCents": null })),
        ("totalStock", json!({ "totalStock": null })),
        ("totalStock", json!({ "sizes": [size_s] })),
        ("endsAt", json!({ "startsAt": later, "endsAt": soon })),
        ("endsAt", json!({ "startsAt": later, "endsAt": later })),
        ("endsAt", json!({ "endsAt": past })),
        ("sizes", sizes(json!([]))),
        ("sizes", sizes(json!({}))),
        ("sizes", sizes(json!("S"))),
        ("sizes", sizes(json!(vec![&size_s; 51]))),
        ("sizes", sizes(json!([{ "label": "S", "stock": 1_000_000 }, { "label": "M", "stock": 1 }]))),
        ("sizes[0]", sizes(json!([5]))),
        ("sizes[0].label", sizes(json!([{ "stock": 1 }]))),
        ("sizes[0].stock", sizes(json!([{ "label": "S" }]))),
        ("sizes[1].label", sizes(json!([size_s, { "label": " s ", "stock": 1 }]))),
    ];
    for label in
        ["EU\u{a0}38", "EU  38", "eu\u{2009}38", "\u{ff25}U 38", "EU\u{3000}38", "EU 3\u{ff18}", "EU 38\u{fe0f}"]
    {
        let same = json!([{ "label": "EU 38", "stock": 1 }, { "label": label, "stock": 1 }]);
        invalid.push(("sizes[1].label", sizes(same)));
    }
    for label in [json!(" "), json!("x".repeat(21)), json!("a\u{7}"), json!(9)] {
        invalid.push(("sizes[0].label", sizes(json!([{ "label": label, "stock": 1 }]))));
    }
    for stock in [json!(0), json!(-1), json!(1_000_001), json!("x"), json!(1.5)] {
        invalid.push(("sizes[0].stock", sizes(json!([{ "label": "S", "stock": stock }]))));
    }
    for name in [json!(null), json!(""), json!(" \t "), json!("x".repeat(101)), json!("a\nb"), json!("a\0"), json!(5)] {
        invalid.push(("name", json!({ "name": name })));
    }
    for price in [json!(-1), json!(0.001), json!("1,50"), json!("abc"), json!(1_000_000.01), json!({}), json!("")] {
        invalid.push(("price", json!({ "priceCents": null, "price": price })));
    }
    for url in ["", "http://cdn.test/a", "//cdn.test/a", "javascript:alert(1)", "a.svg", &"/a".repeat(1_025)] {
        invalid.push(("imageUrl", json!({ "imageUrl": url })));
    }
    invalid.push(("imageUrl", json!({ "imageUrl": 5 })));
    for field in ["startsAt", "starts_at", "start_time", "endsAt", "ends_at", "end_time"] {
        for time in [json!("tomorrow"), json!("2100-01-01"), json!(4_102_444_800_i64), json!("")] {
            invalid.push((field, json!({ field: time })));
        }
        for unreadable in [
            // In UTC it is another year.
            "9999-12-31T23:59:59-05:00",
            "9999-12-31T23:59:59.5-00:01",
            "0000-01-01T00:00:00+01:00",
            "0001-01-01T00:00:00Z",
            "1999-12-31T23:59:59.999Z",
            "2000-01-01T00:59:59+01:00",
            "2100-06-30T23:59:60Z",
            "2100-06-30T18:59:60.5-05:00",
        ] {
            invalid.push((field, json!({ field: unreadable })));
        }
    }
    let invalid_integers =
        [json!(1.5), json!("5 pairs"), json!(true), json!(1e30), json!(u64::MAX), json!([1]), json!(-1)];
    for (field, canonical, min, max) in [
        ("priceCents", "", 0, 100_000_000),
        ("price_cents", "priceCents", 0, 100_000_000),
        ("totalStock", "", 1, 1_000_000),
        ("total_stock", "totalStock", 1, 1_000_000),
        ("limitPerUser", "", 1, 1_000_000),
        ("limit_per_user", "", 1, 1_000_000),
    ] {
        for number in invalid_integers.iter().chain(&[json!(min - 1), json!(max + 1)]) {
            let mut changes = json!({ field: number });
            if !canonical.is_empty() {
                changes[canonical] = Value::Null;
            }
            invalid.push((field, changes));
        }
    }
    invalid
}

#[sqlx::test]
async fn incomplete_time_is_refused_with_what_is_missing(db: PgPool) {
    let node = Node::start(&db).await;
    for (time, missing) in [
        ("2100-01-01T18:00:00", "a time zone"),
        ("2100-01-01T18:00:00.5", "a time zone"),
        ("2100-01-01T18:00Z", "seconds"),
        ("2100-01-01T18:00+01:00", "seconds"),
        ("2100-01-01T18:00", "seconds and a time zone"),
    ] {
        let answer = node.post("/api/drops", ADMIN_TOKEN, new_drop(&json!({ "startsAt": time }))).await;
        let answer = answer.expect_error(400, "invalid_field");
        let error = answer.json["error"].as_str().expect("text");
        assert!(error.starts_with(&format!("startsAt must have {missing}, such as")), "{time}: {error}");
    }
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn only_the_admin_creates_drops(db: PgPool) {
    let node = Node::start(&db).await;
    let alice = node.sign_in("alice").await;
    let prefix = &ADMIN_TOKEN[..ADMIN_TOKEN.len() - 1];
    for path in ["/api/drops", "/api/drops/create"] {
        for token in ["", "wrong", prefix, &format!("{ADMIN_TOKEN}x"), &alice.token] {
            node.post(path, token, new_drop(&json!({}))).await.expect_error(401, "unauthorized");
        }
        let request = node.request(Method::POST, path).json(&new_drop(&json!({})));
        send(request).await.expect_error(401, "unauthorized");
    }
    assert_eq!(query_number(&db, "select count(*) from drops").await, 0);
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn repeated_creation_with_the_same_key_is_the_same_drop(db: PgPool) {
    let node = Node::start(&db).await;
    let other = node.start_another(Settings::default()).await;
    let create = |node: &Node, key: &str| {
        let request = node.request(Method::POST, "/api/drops").bearer_auth(ADMIN_TOKEN).header("idempotency-key", key);
        send(request.json(&new_drop(&json!({}))))
    };
    let answers =
        concurrently(6, (0..12).map(|index| create(if index % 2 == 0 { &node } else { &other }, "launch-1"))).await;
    let drops: Vec<_> = answers.iter().map(|answer| id_of(&answer.json["drop"])).collect();
    assert!(drops.iter().all(|drop| *drop == drops[0]), "{drops:?}");
    assert_eq!((count_status(&answers, 201), count_status(&answers, 200)), (1, 11));
    assert_ne!(id_of(&create(&node, "launch-2").await.expect_status(201).json["drop"]), drops[0]);
    assert_eq!(query_number(&db, "select count(*) from drops").await, 2);
    for bad in ["", "a b", &"x".repeat(256)] {
        let answer = create(&node, bad).await.expect_error(400, "invalid_field");
        assert_eq!(answer.json["field"], "Idempotency-Key", "{bad}");
    }
    other.stop_and_assert_invariants().await;
    node.stop_and_assert_invariants().await;
}
