//! Samples of everything that a page reads, for the browser tests to show to the real page.

use serde_json::{Value, json};
use sneakdrop::domain::{
    Purchase, Purchaser, Reservation, ReservationStatus, Size, SneakerDrop, Timestamp, User, Visitor,
    error::{DropError, Missing},
    event::{
        DropCreated, DropRemoved, DropUpdated, DropsSnapshot, Heartbeat, PurchaseCompleted, Reason, ReservationChange,
        ServerEvent, SizeLevel, StockUpdate, VisitorState,
    },
};
use std::fs;

const SAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/end2end/samples.json");

#[test]
fn samples_for_the_browser_tests_are_current() {
    let events: Vec<_> = events().iter().map(|event| serde_json::to_value(event).expect("JSON")).collect();
    let errors: Vec<_> = errors().iter().map(sample_of_error).collect();
    let samples = serde_json::to_string_pretty(&json!({ "events": events, "errors": errors })).expect("JSON") + "\n";
    if fs::read_to_string(SAMPLES).ok().as_ref() != Some(&samples) {
        fs::write(SAMPLES, samples).expect("writable");
        panic!("end2end/samples.json was out of date and has been written anew: commit it");
    }
}

#[test]
fn every_event_is_read_back_as_it_was_written() {
    for event in events() {
        let written = serde_json::to_value(&event).expect("JSON");
        let event_type = written["type"].as_str().expect("every event has a type").to_owned();
        assert_eq!(ServerEvent::read(&event_type, written).expect("readable"), Some(event));
    }
    assert_eq!(ServerEvent::read("ofANewerServer", json!({})).expect("no error"), None);
}

#[test]
fn words_of_a_newer_server_do_not_spoil_the_rest() {
    let mut snapshot = serde_json::to_value(snapshot()).expect("JSON");
    let mut unreadable = snapshot["drops"][0].clone();
    unreadable["price_cents"] = json!({ "amount": "199.00" });
    snapshot["drops"].as_array_mut().expect("a list").insert(0, unreadable);
    snapshot["drops"][1]["colour"] = json!("volt");
    let Ok(Some(ServerEvent::Snapshot(read))) = ServerEvent::read("snapshot", snapshot) else { panic!("readable") };
    assert_eq!(read.drops, [drop()]);

    let mut update = serde_json::to_value(update()).expect("JSON");
    update["reason"] = json!("restocked");
    update["sizes"].as_array_mut().expect("a list").push(json!({ "label": 9 }));
    let Ok(Some(ServerEvent::StockUpdated(read))) = ServerEvent::read("stockUpdated", update) else {
        panic!("readable")
    };
    assert_eq!(read, StockUpdate { reason: Reason::Other, ..self::update() });

    let mut reservation = serde_json::to_value(reservation()).expect("JSON");
    reservation["status"] = json!("transferred");
    let read: Reservation = serde_json::from_value(reservation).expect("readable");
    assert_eq!(read.status, ReservationStatus::Other);
}

/// What the page shows for it, and what the server answers.
fn sample_of_error(error: &DropError) -> Value {
    json!({ "status": error.status(), "body": error, "sentence": error.to_string() })
}

/// One of each.
fn events() -> Vec<ServerEvent> {
    let user = || User { id: 900_001, username: "sam".into() };
    let visitor = Visitor {
        user: user(),
        reservations: vec![reservation()],
        purchases: vec![purchase()],
        cancelled_purchases: vec![900_011],
    };
    vec![
        ServerEvent::Snapshot(snapshot()),
        ServerEvent::Heartbeat(Heartbeat { now: now() }),
        ServerEvent::DropCreated(DropCreated { drop: drop() }),
        ServerEvent::DropUpdated(DropUpdated { drop: SneakerDrop { price_cents: 18_900, ..drop() } }),
        ServerEvent::StockUpdated(update()),
        ServerEvent::PurchaseCompleted(PurchaseCompleted {
            drop_id: 900_001,
            new_stock: 6,
            purchase_id: 900_009,
            purchaser: user(),
            purchased_at: now(),
            version: 8,
        }),
        ServerEvent::Visitor(VisitorState { visitor: Some(visitor) }),
        ServerEvent::Reservation(ReservationChange { reservation: reservation(), purchase: None }),
        ServerEvent::Reservation(ReservationChange {
            reservation: Reservation { status: ReservationStatus::Completed, ..reservation() },
            purchase: Some(Purchase { id: 900_010, reservation_id: 900_004, ..purchase() }),
        }),
        ServerEvent::Visitor(VisitorState { visitor: None }),
        ServerEvent::DropRemoved(DropRemoved { drop_id: 900_001, version: 9 }),
    ]
}

/// One of each. The match fails to compile when a new one is missing here.
fn errors() -> Vec<DropError> {
    let all = vec![
        DropError::invalid("size", "must be text"),
        DropError::MalformedBody("it is not JSON".into()),
        DropError::BodyTooLarge,
        DropError::BodyTimedOut,
        DropError::WrongContentType,
        DropError::Forbidden,
        DropError::AnotherUser,
        DropError::ForeignOrigin,
        DropError::NotFound(Missing::Drop),
        DropError::NotFound(Missing::Reservation),
        DropError::NotFound(Missing::User),
        DropError::NotFound(Missing::Path),
        DropError::MethodNotAllowed,
        DropError::UsernameTaken,
        DropError::TooManyNames,
        DropError::SoldOut,
        DropError::NotStarted { starts_at: now() },
        DropError::Ended,
        DropError::Paused,
        DropError::PurchaseCancelled,
        DropError::LimitReached { limit: 2 },
        DropError::NoActiveReservation,
        DropError::ReservationExpired,
        DropError::SizeRequired { sizes_left: vec!["US 9".into(), "US 10".into()] },
        DropError::UnknownSize { sizes_left: vec!["US 9".into()] },
        DropError::TooManyRequests,
        DropError::Unavailable,
        DropError::Unknown,
        DropError::Internal,
        DropError::Unreachable,
        DropError::Unauthorized,
    ];
    for error in &all {
        match error {
            DropError::Invalid { .. } | DropError::MalformedBody(_) | DropError::BodyTooLarge => {}
            DropError::WrongContentType | DropError::Unauthorized | DropError::Forbidden | DropError::NotFound(_) => {}
            DropError::MethodNotAllowed | DropError::UsernameTaken | DropError::TooManyNames => {}
            DropError::SoldOut | DropError::Ended | DropError::TooManyRequests => {}
            DropError::Paused | DropError::PurchaseCancelled => {}
            DropError::ForeignOrigin | DropError::AnotherUser | DropError::BodyTimedOut => {}
            DropError::NotStarted { .. } | DropError::LimitReached { .. } | DropError::NoActiveReservation => {}
            DropError::ReservationExpired | DropError::SizeRequired { .. } | DropError::UnknownSize { .. } => {}
            DropError::Unavailable | DropError::Unknown | DropError::Internal | DropError::Unreachable => {}
        }
    }
    all
}

fn now() -> Timestamp {
    "2030-01-31T18:00:00Z".parse::<chrono::DateTime<chrono::Utc>>().expect("a time").into()
}

fn snapshot() -> DropsSnapshot {
    DropsSnapshot {
        now: now(),
        epoch: "7000000000000000000.00000001".into(),
        build: "0.1.0".into(),
        drops: vec![drop()],
    }
}

fn drop() -> SneakerDrop {
    let size = |label: &str| Size { label: label.into(), total_stock: 5, available_stock: 4 };
    SneakerDrop {
        id: 900_001,
        name: "Sample Runner".into(),
        description: "A shoe to test with.\nIt has two paragraphs.".into(),
        price_cents: 19_900,
        image_url: None,
        limit_per_user: Some(2),
        version: 7,
        starts_at: "2020-01-31T18:00:00Z".parse::<chrono::DateTime<chrono::Utc>>().expect("a time").into(),
        ends_at: None,
        paused: false,
        total_stock: 10,
        available_stock: 8,
        held_stock: 1,
        sizes: vec![size("US 9"), size("US 10")],
        latest_purchasers: vec![Purchaser {
            id: 900_002,
            username: "kim".into(),
            purchase_id: 900_003,
            purchased_at: now(),
        }],
    }
}

fn update() -> StockUpdate {
    let sizes = vec![SizeLevel { label: "US 9".into(), available: 2 }];
    StockUpdate { now: now(), drop_id: 900_001, new_stock: 6, held: 3, sizes, version: 8, reason: Reason::Reserved }
}

fn reservation() -> Reservation {
    Reservation {
        id: 900_004,
        drop_id: 900_001,
        user_id: 900_001,
        size: "US 9".into(),
        price_cents: 19_900,
        status: ReservationStatus::Active,
        expires_at: "2030-01-31T18:01:00Z".parse::<chrono::DateTime<chrono::Utc>>().expect("a time").into(),
        created_at: now(),
    }
}

fn purchase() -> Purchase {
    Purchase {
        id: 900_005,
        drop_id: 900_001,
        user_id: 900_001,
        reservation_id: 900_006,
        size: "US 9".into(),
        price_cents: 19_900,
        created_at: now(),
    }
}
