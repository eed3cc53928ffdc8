//! The invariants of the stock, each attacked on a real PostgreSQL with real concurrency.

#[allow(dead_code, reason = "each test program uses a part of it")]
mod support;

use serde_json::{Value, json};
use sqlx::{PgPool, Row};
use std::{collections::HashSet, time::Duration};
use support::{
    Answer, Person, Settings, Shop, assert_balanced, at_once, crowd, gate::Gate, id_of, lapse, lapsed_reservations,
    number, process::Process, until, waits_for_the_lock, with_status,
};
use tokio::time::sleep;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);

#[sqlx::test]
async fn last_pairs_are_sold_once(db: PgPool) {
    let shop = Shop::open(&db).await;
    let drop_id = shop.open_drop(10).await;
    let people = crowd(&db, 300).await;

    let answers = at_once(300, people.iter().map(|person| shop.reserve(person, drop_id))).await;
    assert_eq!(with_status(&answers, 201), 10);
    assert_eq!(answers.iter().filter(|answer| answer.status == 409 && answer.code() == "sold_out").count(), 290);

    let bought = at_once(300, people.iter().map(|person| shop.purchase(person, drop_id))).await;
    assert_eq!(with_status(&bought, 200), 10);
    assert_eq!(bought.iter().filter(|answer| answer.code() == "no_active_reservation").count(), 290);
    assert_eq!(number(&db, "select available_stock::bigint from drop_sizes").await, 0);
    shop.close().await;
}

#[sqlx::test]
async fn last_pairs_are_sold_once_by_two_nodes(db: PgPool) {
    let one = Shop::open(&db).await;
    let two = one.another(Settings::default()).await;
    let drop_id = one.open_drop(20).await;
    let people = crowd(&db, 200).await;

    let nodes = [&one, &two];
    let calls = people.iter().zip(nodes.into_iter().cycle());
    let answers = at_once(200, calls.map(|(person, node)| node.reserve(person, drop_id))).await;
    assert_eq!(with_status(&answers, 201), 20);
    assert_eq!(with_status(&answers, 409), 180);

    // Each asks again, and buys, at the node where they did not reserve.
    let calls = people.iter().zip([&two, &one].into_iter().cycle());
    let bought = at_once(200, calls.map(|(person, node)| node.purchase(person, drop_id))).await;
    assert_eq!(with_status(&bought, 200), 20);
    one.agrees_with_the_database().await;
    two.agrees_with_the_database().await;
    two.close().await;
    one.close().await;
}

#[sqlx::test]
async fn each_size_is_sold_as_often_as_it_is_there(db: PgPool) {
    let shop = Shop::open(&db).await;
    let stock = [("US 8", 3), ("US 9", 5), ("US 10", 2)];
    let sizes: Vec<_> = stock.iter().map(|(label, stock)| json!({ "label": label, "stock": stock })).collect();
    let drop_id = id_of(&shop.create_drop(json!({ "name": "High Rise", "priceCents": 1, "sizes": sizes })).await);
    let people = crowd(&db, 90).await;

    let wishes = people.iter().zip(stock.into_iter().cycle());
    let answers = at_once(90, wishes.map(|(person, (size, _))| shop.reserve_size(person, drop_id, size))).await;
    for (label, stock) in stock {
        let granted =
            answers.iter().filter(|answer| answer.status == 201 && answer.json["reservation"]["size"] == label);
        assert_eq!(granted.count(), stock, "{label}");
    }
    assert_eq!(answers.iter().filter(|answer| answer.code() == "sold_out").count(), 80);
    shop.close().await;
}

#[sqlx::test]
async fn one_person_in_fifty_tabs_holds_one_pair(db: PgPool) {
    let shop = Shop::open(&db).await;
    let drop_id = shop.open_drop(60).await;
    let alice = shop.sign_in("alice").await;

    let answers = at_once(50, (0..50).map(|_| shop.reserve(&alice, drop_id))).await;
    assert_eq!(with_status(&answers, 201), 1);
    assert_eq!(with_status(&answers, 200), 49);
    let ids: HashSet<_> = answers.iter().map(Answer::reservation_id).collect();
    assert_eq!(ids.len(), 1);
    assert_eq!(number(&db, "select count(*) from reservations").await, 1);
    shop.close().await;
}

#[sqlx::test]
async fn the_limit_per_person_holds_against_many_requests_at_once(db: PgPool) {
    let shop = Shop::open(&db).await;
    let new = json!({ "name": "Halo Air", "priceCents": 1, "totalStock": 50, "limitPerUser": 2 });
    let drop_id = id_of(&shop.create_drop(new).await);
    let alice = shop.sign_in("alice").await;

    let grab = async || {
        for _ in 0..5 {
            let reserved = shop.reserve(&alice, drop_id).await;
            let bought = shop.purchase(&alice, drop_id).await;
            assert!([200, 201].contains(&reserved.status) || reserved.code() == "limit_reached", "{reserved:?}");
            assert!(bought.status == 200 || bought.code() == "no_active_reservation", "{bought:?}");
        }
    };
    at_once(20, (0..20).map(|_| grab())).await;
    assert_eq!(number(&db, "select count(*) from purchases").await, 2);
    let refusal = shop.reserve(&alice, drop_id).await.refuses(409, "limit_reached");
    assert_eq!(refusal.json["limit"], 2);
    shop.close().await;
}

#[sqlx::test]
async fn a_reservation_counts_towards_the_limit_only_while_it_is_held(db: PgPool) {
    let shop = Shop::open(&db).await;
    let new = json!({ "name": "Halo Air", "priceCents": 1, "totalStock": 50, "limitPerUser": 1 });
    let drop_id = id_of(&shop.create_drop(new).await);
    let alice = shop.sign_in("alice").await;

    shop.reserve(&alice, drop_id).await.expect(201);
    shop.release(&alice, drop_id).await.expect(200);
    let second = shop.reserve(&alice, drop_id).await.expect(201);
    lapse(&db, second.reservation_id()).await;
    shop.reserve(&alice, drop_id).await.expect(201);
    shop.purchase(&alice, drop_id).await.expect(200);
    shop.reserve(&alice, drop_id).await.refuses(409, "limit_reached");
    shop.close().await;
}

#[sqlx::test]
async fn reserving_again_returns_the_same_reservation(db: PgPool) {
    let shop = Shop::open(&db).await;
    let sizes = json!([{ "label": "S", "stock": 1 }, { "label": "M", "stock": 1 }]);
    let drop_id = id_of(&shop.create_drop(json!({ "name": "Slab Skate", "priceCents": 1, "sizes": sizes })).await);
    let alice = shop.sign_in("alice").await;
    let bob = shop.sign_in("bob").await;

    let first = shop.reserve_size(&alice, drop_id, "S").await.expect(201);
    let is_same = |answer: Answer| assert_eq!(answer.expect(200).json["reservation"], first.json["reservation"]);
    is_same(shop.reserve_size(&alice, drop_id, "S").await);
    is_same(shop.reserve_size(&alice, drop_id, "M").await);
    is_same(shop.reserve(&alice, drop_id).await);

    shop.reserve_size(&bob, drop_id, "M").await.expect(201);
    is_same(shop.reserve(&alice, drop_id).await);
    end(&db).await;
    is_same(shop.reserve(&alice, drop_id).await);
    shop.close().await;
}

#[sqlx::test]
async fn purchasing_again_returns_the_same_purchase_and_sells_once(db: PgPool) {
    let shop = Shop::open(&db).await;
    let drop_id = shop.open_drop(5).await;
    let alice = shop.sign_in("alice").await;
    let reservation_id = shop.reserve(&alice, drop_id).await.expect(201).reservation_id();

    let purchases = at_once(
        20,
        (0..20).map(|call| {
            let (shop, alice) = (&shop, &alice);
            async move {
                if call % 2 == 0 {
                    shop.purchase(alice, drop_id).await
                } else {
                    shop.purchase_reservation(alice, reservation_id).await
                }
            }
        }),
    )
    .await;
    let bought: HashSet<String> =
        purchases.into_iter().map(|answer| answer.expect(200).json["purchase"].to_string()).collect();
    assert_eq!(bought.len(), 1, "{bought:?}");

    // The retry is answered even after the drop is over.
    end(&db).await;
    let again = shop.purchase(&alice, drop_id).await.expect(200);
    assert_eq!(
        (again.json["purchase"]["reservation_id"].as_i64(), &again.json["newStock"]),
        (Some(reservation_id), &json!(4))
    );
    assert_eq!(number(&db, "select count(*) from purchases").await, 1);
    shop.close().await;
}

#[sqlx::test]
async fn giving_back_again_gives_back_once(db: PgPool) {
    let shop = Shop::open(&db).await;
    let drop_id = shop.open_drop(5).await;
    let alice = shop.sign_in("alice").await;
    shop.release(&alice, drop_id).await.refuses(409, "no_active_reservation");

    shop.reserve(&alice, drop_id).await.expect(201);
    let answers = at_once(20, (0..20).map(|_| shop.release(&alice, drop_id))).await;
    assert_eq!(with_status(&answers, 200), 20);
    assert!(answers.iter().all(|answer| answer.json["newStock"] == 5), "{answers:?}");

    shop.purchase(&alice, drop_id).await.refuses(409, "no_active_reservation");
    shop.reserve(&alice, drop_id).await.expect(201);
    shop.purchase(&alice, drop_id).await.expect(200);
    shop.release(&alice, drop_id).await.refuses(409, "no_active_reservation");
    shop.close().await;
}

#[sqlx::test]
async fn cancel_against_purchase_either_sells_or_returns(db: PgPool) {
    let shop = Shop::open(&db).await;
    let drop_id = shop.open_drop(100).await;
    let people = crowd(&db, 100).await;
    let (shop, db) = (&shop, &db);

    let ends = at_once(
        10,
        people.iter().enumerate().map(|(index, person)| async move {
            shop.reserve(person, drop_id).await.expect(201);
            let (buy, cancel) = (shop.purchase(person, drop_id), shop.release(person, drop_id));
            // Which of them is sent first alternates.
            let (bought, cancelled) = if index % 2 == 0 {
                tokio::join!(buy, cancel)
            } else {
                let (cancelled, bought) = tokio::join!(cancel, buy);
                (bought, cancelled)
            };
            match (bought.status, cancelled.status) {
                (200, 409) => cancelled.refuses(409, "no_active_reservation"),
                (409, 200) => bought.refuses(409, "no_active_reservation"),
                both => panic!("{both:?} for {person:?}"),
            }
            .status
        }),
    )
    .await;
    assert_eq!(ends.len(), 100);
    assert_eq!(number(db, "select count(*) from reservations where status = 'active'").await, 0);
    assert_balanced(db).await;
    shop.stop().await;
}

#[sqlx::test]
async fn purchase_racing_expiry_never_sells_and_returns(db: PgPool) {
    let settings = Settings { reservation_ttl: 2 * SECOND, expiry_interval: HOUR, ..Settings::default() };
    let shop = Shop::open_with(&db, settings).await;
    purchase_at_the_instant_of_expiry(&[&shop], &db).await;
    shop.close().await;
}

#[sqlx::test]
async fn purchase_racing_the_expiry_of_two_nodes_never_sells_and_returns(db: PgPool) {
    let settings = Settings { reservation_ttl: 2 * SECOND, expiry_interval: HOUR, ..Settings::default() };
    let one = Shop::open_with(&db, settings.clone()).await;
    let two = one.another(settings).await;
    purchase_at_the_instant_of_expiry(&[&one, &two], &db).await;
    two.close().await;
    one.close().await;
}

/// Reserves 300 pairs and fires a purchase of each around the moment at which it lapses, at another node than the one
/// that reserved it.
async fn purchase_at_the_instant_of_expiry(nodes: &[&Shop], db: &PgPool) {
    const PEOPLE: usize = 300;
    let drop_id = nodes[0].open_drop(PEOPLE as i32).await;
    let people = crowd(db, PEOPLE as i32).await;

    // Some are bought at once and some after they lapsed for certain, so that both ends are seen; the rest are spread
    // over the 60 ms around the instant.
    let aim = |index: usize| match index % 10 {
        0 => -2_000,
        9 => 5,
        _ => index as i64 * 60 / PEOPLE as i64 - 30,
    };
    let slots = tokio::sync::Semaphore::new(8);
    let ends = at_once(
        PEOPLE,
        people.iter().enumerate().map(|(index, person)| {
            let slots = &slots;
            async move {
                let slot = slots.acquire().await.expect("never closed");
                let reserved = nodes[index % nodes.len()].reserve(person, drop_id).await.expect(201);
                drop(slot);
                let expires_at = moment(&reserved.json["reservation"]["expires_at"]);
                let fire_at = expires_at + chrono::TimeDelta::milliseconds(aim(index));
                sleep((fire_at - chrono::Utc::now()).to_std().unwrap_or_default()).await;
                let buyer = nodes[(index + 1) % nodes.len()];
                let bought = buyer.purchase(person, drop_id).await;
                match bought.status {
                    200 => {
                        assert!(moment(&bought.json["purchase"]["created_at"]) < expires_at, "{bought:?}");
                        (reserved.reservation_id(), "completed")
                    }
                    _ => {
                        bought.refuses(409, "reservation_expired");
                        (reserved.reservation_id(), "expired")
                    }
                }
            }
        }),
    )
    .await;

    let sold = ends.iter().filter(|(_, end)| *end == "completed").count() as i64;
    assert!((1..PEOPLE as i64).contains(&sold), "{sold} of {PEOPLE} were sold");
    until("every lapsed pair is back", async || {
        let active = number(db, "select count(*) from reservations where status = 'active'").await;
        (active == 0).then_some(())
    })
    .await;
    assert_eq!(number(db, "select count(*) from purchases").await, sold);
    assert_eq!(number(db, "select available_stock::bigint from drop_sizes").await, PEOPLE as i64 - sold);
    for (reservation_id, end) in ends {
        assert_eq!(status_of(db, reservation_id).await, end);
    }
    for node in nodes {
        node.agrees_with_the_database().await;
    }
}

#[sqlx::test]
async fn nothing_is_bought_after_it_lapsed_though_no_sweeper_ran(db: PgPool) {
    let shop = without_jobs(&db).await;
    let drop_id = shop.open_drop(2).await;
    let [alice, bob] = [shop.sign_in("alice").await, shop.sign_in("bob").await];
    for (person, by_id) in [(&alice, false), (&bob, true)] {
        let reservation_id = shop.reserve(person, drop_id).await.expect(201).reservation_id();
        lapse(&db, reservation_id).await;
        let answer = if by_id {
            shop.purchase_reservation(person, reservation_id).await
        } else {
            shop.purchase(person, drop_id).await
        };
        answer.refuses(409, "reservation_expired");
        assert_eq!(status_of(&db, reservation_id).await, "expired");
    }
    assert_eq!(number(&db, "select available_stock::bigint from drop_sizes").await, 2);
    shop.close().await;
}

#[sqlx::test]
async fn a_lapsed_pair_goes_to_the_next_one_though_no_sweeper_ran(db: PgPool) {
    let shop = without_jobs(&db).await;
    let drop_id = shop.open_drop(1).await;
    let [alice, bob] = [shop.sign_in("alice").await, shop.sign_in("bob").await];
    let first = shop.reserve(&alice, drop_id).await.expect(201);
    shop.reserve(&bob, drop_id).await.refuses(409, "sold_out");
    lapse(&db, first.reservation_id()).await;

    shop.reserve(&bob, drop_id).await.expect(201);
    shop.purchase(&alice, drop_id).await.refuses(409, "reservation_expired");
    shop.purchase_reservation(&alice, first.reservation_id()).await.refuses(409, "reservation_expired");
    assert_eq!(shop.release(&alice, drop_id).await.expect(200).json["newStock"], 0);
    shop.purchase(&bob, drop_id).await.expect(200);
    shop.close().await;
}

#[sqlx::test]
async fn ones_own_lapsed_reservation_is_no_obstacle_behind_hundreds_of_others(db: PgPool) {
    let shop = without_jobs(&db).await;
    let drop_id = shop.open_drop(700).await;
    let mut people = crowd(&db, 650).await;
    let alice = shop.sign_in("alice").await;
    people.push(alice.clone());
    // The last to lapse, so that a batch in the order of time would leave it.
    lapsed_reservations(&db, drop_id, &people).await;

    shop.purchase(&alice, drop_id).await.refuses(409, "reservation_expired");
    shop.reserve(&alice, drop_id).await.expect(201);
    shop.purchase(&alice, drop_id).await.expect(200);
    shop.close().await;
}

#[sqlx::test]
async fn nothing_is_reserved_outside_the_window(db: PgPool) {
    let shop = Shop::open(&db).await;
    let alice = shop.sign_in("alice").await;
    let starts_at = "2100-01-01T00:00:00Z";
    let new = json!({ "name": "Cloud Slip", "priceCents": 1, "totalStock": 5, "startsAt": starts_at });
    let drop_id = id_of(&shop.create_drop(new).await);

    let refusal = shop.reserve(&alice, drop_id).await.refuses(409, "not_started");
    assert_eq!(refusal.json["starts_at"], starts_at);
    shop.purchase(&alice, drop_id).await.refuses(409, "no_active_reservation");
    set_window(&db, "update drops set starts_at = clock_timestamp() - interval '1 day'").await;
    shop.reserve(&alice, drop_id).await.expect(201);
    shop.release(&alice, drop_id).await.expect(200);
    end(&db).await;
    shop.reserve(&alice, drop_id).await.refuses(409, "ended");
    assert_eq!(number(&db, "select available_stock::bigint from drop_sizes").await, 5);
    shop.close().await;
}

#[sqlx::test]
async fn the_clock_of_the_database_opens_a_drop(db: PgPool) {
    let shop = Shop::open(&db).await;
    let drop_id = shop.open_drop(5).await;
    let people = crowd(&db, 20).await;
    set_window(&db, "update drops set starts_at = clock_timestamp() + interval '300 milliseconds'").await;

    let granted = at_once(
        20,
        people.iter().map(|person| {
            let shop = &shop;
            async move {
                until("the drop opens", async || {
                    let answer = shop.reserve(person, drop_id).await;
                    (answer.code() != "not_started").then_some(answer)
                })
                .await
            }
        }),
    )
    .await;
    assert_eq!(with_status(&granted, 201), 5);
    assert_eq!(granted.iter().filter(|answer| answer.code() == "sold_out").count(), 15);
    let early = "select count(*) from reservations r join drops d on d.id = drop_id where r.created_at < starts_at";
    assert_eq!(number(&db, early).await, 0);
    shop.close().await;
}

#[sqlx::test]
async fn a_held_pair_is_sold_even_after_the_drop_ended(db: PgPool) {
    let shop = Shop::open(&db).await;
    let drop_id = shop.open_drop(5).await;
    let alice = shop.sign_in("alice").await;
    shop.reserve(&alice, drop_id).await.expect(201);
    end(&db).await;
    shop.purchase(&alice, drop_id).await.expect(200);
    shop.close().await;
}

#[sqlx::test]
async fn a_purchase_costs_what_the_drop_costs_when_it_is_made(db: PgPool) {
    let shop = Shop::open(&db).await;
    let drop_id = shop.open_drop(5).await;
    let alice = shop.sign_in("alice").await;
    shop.reserve(&alice, drop_id).await.expect(201);
    sqlx::query("update drops set price_cents = 5").execute(&db).await.expect("a price");
    assert_eq!(shop.purchase(&alice, drop_id).await.expect(200).json["purchase"]["price_cents"], 5);
    shop.close().await;
}

#[sqlx::test]
async fn more_lapsed_reservations_than_a_batch_all_come_back(db: PgPool) {
    let people = crowd(&db, 1_200).await;
    let before = without_jobs(&db).await;
    let drop_id = before.open_drop(1_200).await;
    before.crash();
    lapsed_reservations(&db, drop_id, &people).await;

    let shop = Shop::open_with(&db, Settings { expiry_interval: HOUR, ..Settings::default() }).await;
    until_nothing_is_held(&db).await;
    assert_eq!(number(&db, "select available_stock::bigint from drop_sizes").await, 1_200);
    assert_eq!(number(&db, "select count(*) from reservations where status = 'expired'").await, 1_200);
    shop.agrees_with_the_database().await;
    shop.close().await;
}

#[sqlx::test]
async fn two_expiry_jobs_at_once_return_each_pair_once(db: PgPool) {
    let people = crowd(&db, 400).await;
    let before = without_jobs(&db).await;
    for _ in 0..4 {
        let drop_id = before.open_drop(400).await;
        lapsed_reservations(&db, drop_id, &people).await;
    }
    let settings = Settings { expiry_interval: Duration::from_millis(10), ..Settings::default() };
    let one = before.another(settings.clone()).await;
    let two = before.another(settings).await;
    before.crash();

    until_nothing_is_held(&db).await;
    assert_eq!(number(&db, "select sum(available_stock) from drop_sizes").await, 1_600);
    one.agrees_with_the_database().await;
    two.agrees_with_the_database().await;
    two.close().await;
    one.close().await;
}

#[sqlx::test]
async fn a_reservation_lapses_on_time_however_long_the_interval(db: PgPool) {
    let settings = Settings { reservation_ttl: SECOND, expiry_interval: HOUR, ..Settings::default() };
    let shop = Shop::open_with(&db, settings).await;
    let drop_id = shop.open_drop(5).await;
    // Once more after a sweep, and with two that lapse one after the other.
    for people in [crowd(&db, 1).await, crowd(&db, 2).await] {
        for person in &people {
            shop.reserve(person, drop_id).await.expect(201);
        }
        until_nothing_is_held(&db).await;
        shop.agrees_with_the_database().await;
    }
    shop.close().await;
}

#[sqlx::test]
async fn a_restarted_node_sweeps_what_lapsed_and_what_will(db: PgPool) {
    let settings = Settings { reservation_ttl: SECOND, expiry_interval: HOUR, ..Settings::default() };
    let before = Shop::open_with(&db, settings.clone()).await;
    let drop_id = before.open_drop(5).await;
    let people = crowd(&db, 2).await;
    let lapsed = before.reserve(&people[0], drop_id).await.expect(201);
    let pending = before.reserve(&people[1], drop_id).await.expect(201);
    let after = before.another(settings).await;
    before.crash();
    lapse(&db, lapsed.reservation_id()).await;

    until_nothing_is_held(&db).await;
    assert_eq!(status_of(&db, pending.reservation_id()).await, "expired");
    after.close().await;
}

#[sqlx::test]
async fn the_reservations_of_a_crashed_node_lapse_on_another(db: PgPool) {
    // Its own timer knows nothing of them, as it makes reservations of a minute: the interval finds them.
    let settings = Settings { expiry_interval: Duration::from_millis(200), ..Settings::default() };
    let survivor = Shop::open_with(&db, settings).await;
    let crashing = survivor.another(Settings { reservation_ttl: SECOND, ..Settings::default() }).await;
    let drop_id = survivor.open_drop(5).await;
    for person in &crowd(&db, 3).await {
        crashing.reserve(person, drop_id).await.expect(201);
    }
    crashing.crash();
    until_nothing_is_held(&db).await;
    survivor.agrees_with_the_database().await;
    survivor.close().await;
}

#[sqlx::test]
async fn a_server_killed_between_lock_and_commit_loses_nothing(db: PgPool) {
    let other = Shop::open(&db).await;
    let drop_id = other.open_drop(1).await;
    let [alice, bob] = [other.sign_in("alice").await, other.sign_in("bob").await];
    let mut killed = Process::start(&db).await;
    let gate = Gate::before_commit(&db).await;

    let call = tokio::spawn(reserve_unanswered(&killed, &alice, drop_id));
    gate.somebody_waits().await;
    killed.kill();
    assert!(call.await.expect("no panic").is_err(), "nobody answers");
    // PostgreSQL finds out only when it wants to answer, until then the drop is locked.
    let waiting = tokio::spawn({
        let (api, bob) = ((*other).clone(), bob.clone());
        async move { api.reserve(&bob, drop_id).await }
    });
    gate.open().await;

    waiting.await.expect("no panic").expect(201);
    assert_eq!(number(&db, "select count(*) from reservations").await, 1);
    other.reserve(&alice, drop_id).await.refuses(409, "sold_out");
    other.agrees_with_the_database().await;
    other.close().await;
}

#[sqlx::test]
async fn a_server_killed_inside_commit_leaves_a_reservation_that_a_retry_finds(db: PgPool) {
    let other = Shop::open(&db).await;
    let drop_id = other.open_drop(3).await;
    let alice = other.sign_in("alice").await;
    let mut killed = Process::start(&db).await;
    let gate = Gate::inside_commit(&db).await;

    let call = tokio::spawn(reserve_unanswered(&killed, &alice, drop_id));
    gate.somebody_waits().await;
    killed.kill();
    assert!(call.await.expect("no panic").is_err(), "nobody answers");
    gate.open().await;

    // The transaction was past the point of no return: it is committed, and asking again tells.
    let answer = other.reserve(&alice, drop_id).await.expect(200);
    assert_eq!(answer.json["newStock"], 2);
    other.purchase(&alice, drop_id).await.expect(200);
    other.agrees_with_the_database().await;
    other.close().await;
}

#[sqlx::test]
async fn a_connection_lost_in_mid_transaction_changes_nothing(db: PgPool) {
    let shop = Shop::open(&db).await;
    let drop_id = shop.open_drop(3).await;
    let alice = shop.sign_in("alice").await;
    let gate = Gate::before_commit(&db).await;

    let path = format!("/api/drops/{drop_id}/reserve");
    let (answer, ()) = tokio::join!(shop.post(&path, &alice.token, json!({})), gate.terminate_who_waits());
    answer.refuses(503, "unavailable");
    assert_eq!(number(&db, "select count(*) from reservations").await, 0);
    assert_balanced(&db).await;
    gate.open().await;
    shop.reserve(&alice, drop_id).await.expect(201);
    shop.close().await;
}

#[sqlx::test]
async fn a_connection_lost_inside_commit_is_unknown_and_a_retry_tells(db: PgPool) {
    let shop = Shop::open(&db).await;
    let drop_id = shop.open_drop(3).await;
    let alice = shop.sign_in("alice").await;
    let gate = Gate::inside_commit(&db).await;

    let (answer, ()) = tokio::join!(shop.reserve(&alice, drop_id), gate.terminate_who_waits());
    answer.refuses(503, "unknown");
    gate.open().await;
    let retry = shop.reserve(&alice, drop_id).await;
    assert!([200, 201].contains(&retry.status), "{retry:?}");
    assert_eq!(retry.json["newStock"], 2);
    shop.agrees_with_the_database().await;
    shop.close().await;
}

#[sqlx::test]
async fn a_fault_in_the_middle_rolls_everything_back(db: PgPool) {
    let shop = Shop::open(&db).await;
    let drop_id = shop.open_drop(3).await;
    let [alice, bob] = [shop.sign_in("alice").await, shop.sign_in("bob").await];
    shop.reserve(&alice, drop_id).await.expect(201);
    let fails = "create function fail() returns trigger language plpgsql as $$ begin raise 'broken'; end $$;
                 create trigger fail before update on drops for each row execute function fail()";
    sqlx::raw_sql(fails).execute(&db).await.expect("a trigger");

    shop.reserve(&bob, drop_id).await.refuses(500, "internal");
    shop.purchase(&alice, drop_id).await.refuses(500, "internal");
    shop.release(&alice, drop_id).await.refuses(500, "internal");
    assert_eq!(number(&db, "select count(*) from reservations where status = 'active'").await, 1);
    assert_eq!(number(&db, "select count(*) from reservations").await, 1);
    assert_eq!(number(&db, "select count(*) from purchases").await, 0);
    shop.agrees_with_the_database().await;
    shop.close().await;
}

#[sqlx::test]
async fn a_caller_who_hangs_up_at_the_lock_gets_all_or_nothing(db: PgPool) {
    let shop = Shop::open(&db).await;
    let drop_id = shop.open_drop(3).await;
    let alice = shop.sign_in("alice").await;
    let gate = Gate::inside_commit(&db).await;

    let call = tokio::spawn(reserve_unanswered(&shop, &alice, drop_id));
    gate.somebody_waits().await;
    call.abort();
    gate.open().await;
    until("the transaction ends", async || (number(&db, "select count(*) from reservations").await == 1).then_some(()))
        .await;
    shop.agrees_with_the_database().await;
    assert_eq!(shop.reserve(&alice, drop_id).await.expect(200).json["newStock"], 2);
    shop.close().await;
}

#[sqlx::test]
async fn callers_who_hang_up_at_any_moment_get_all_or_nothing(db: PgPool) {
    let shop = Shop::open(&db).await;
    let drop_id = shop.open_drop(60).await;
    let people = crowd(&db, 60).await;
    let calls: Vec<_> = people
        .iter()
        .enumerate()
        .map(|(index, person)| {
            let call = tokio::spawn(reserve_unanswered(&shop, person, drop_id));
            tokio::spawn(async move {
                sleep(Duration::from_millis(index as u64)).await;
                call.abort();
                call.await.ok()
            })
        })
        .collect();
    for call in calls {
        call.await.expect("no panic");
    }
    // A request that was on its way may still arrive: stopping waits for those in flight.
    shop.stop().await;
    shop.agrees_with_the_database().await;
    shop.close().await;
}

#[sqlx::test]
async fn a_storm_of_everything_leaves_the_books_balanced(db: PgPool) {
    let settings = Settings { reservation_ttl: SECOND, ..Settings::default() };
    let one = Shop::open_with(&db, settings.clone()).await;
    let two = one.another(settings).await;
    let sizes = json!([{ "label": "S", "stock": 2 }, { "label": "M", "stock": 5 }, { "label": "L", "stock": 3 }]);
    let mut drop_ids = vec![];
    for limit in [json!(null), json!(1), json!(2)] {
        let new = json!({ "name": "Storm", "priceCents": 1, "sizes": sizes, "limitPerUser": limit });
        drop_ids.push(id_of(&one.create_drop(new).await));
    }
    let people = crowd(&db, 24).await;

    let (one, two, drop_ids) = (&one, &two, &drop_ids);
    at_once(
        people.len(),
        people.iter().enumerate().map(|(index, person)| async move {
            let mut random = Random(index as u64 + 1);
            for _ in 0..60 {
                let node = if random.below(2) == 0 { one } else { two };
                let drop_id = drop_ids[random.below(3)];
                let answer = match random.below(10) {
                    0..5 => node.reserve_size(person, drop_id, ["S", "M", "L"][random.below(3)]).await,
                    5 => node.purchase(person, drop_id).await,
                    _ => node.release(person, drop_id).await,
                };
                assert!([200, 201, 409, 503].contains(&answer.status), "{answer:?}");
            }
        }),
    )
    .await;
    until_nothing_is_held(&db).await;
    one.agrees_with_the_database().await;
    two.agrees_with_the_database().await;
    assert_balanced(&db).await;
    two.stop().await;
    one.stop().await;
}

#[sqlx::test]
async fn the_database_itself_refuses_to_oversell(db: PgPool) {
    let shop = without_jobs(&db).await;
    let drop_id = shop.open_drop(2).await;
    let other_drop_id = shop.open_drop(2).await;
    let alice = shop.sign_in("alice").await;
    let held = shop.reserve(&alice, drop_id).await.expect(201).reservation_id();
    let [drop, other, user, held] = [drop_id, other_drop_id, alice.id, held].map(|id| id.to_string());

    let purchase_twice = format!(
        "insert into purchases (drop_id, size_id, user_id, reservation_id, price_cents)
         select drop_id, size_id, user_id, id, 1 from reservations, generate_series(1, 2) where id = {held}"
    );
    let reserve = |drop: &str, size_of: &str, user: &str| {
        format!(
            "insert into reservations (drop_id, size_id, user_id, expires_at)
             select {drop}, id, {user}, clock_timestamp() from drop_sizes where drop_id = {size_of}"
        )
    };
    for (attack, constraint) in [
        ("update drop_sizes set available_stock = -1".into(), "drop_sizes_available_within_total"),
        ("update drop_sizes set available_stock = 3".into(), "drop_sizes_available_within_total"),
        (format!("update drop_sizes set available_stock = 2 where drop_id = {drop}"), "drop_sizes_held_within_total"),
        ("update drop_sizes set held_stock = -1".into(), "drop_sizes_held_within_total"),
        ("update drop_sizes set total_stock = 0, available_stock = 0, held_stock = 0".into(), "drop_sizes_total_range"),
        (reserve(&drop, &drop, &user), "reservations_one_active"),
        (reserve(&other, &drop, &user), "reservations_size_of_drop"),
        (reserve(&other, &other, "0"), "reservations_user_exists"),
        (purchase_twice, "purchases_once_per_reservation"),
        (
            format!("update reservations set status = 'sold', settled_at = now() where id = {held}"),
            "reservations_status_known",
        ),
        (format!("update reservations set status = 'expired' where id = {held}"), "reservations_settled_once"),
        (format!("update reservations set settled_at = now() where id = {held}"), "reservations_settled_once"),
    ] {
        is_refused_by(&db, &attack, constraint).await;
    }
    shop.close().await;
}

#[sqlx::test]
async fn what_is_referred_to_stays_and_is_what_it_was(db: PgPool) {
    let shop = without_jobs(&db).await;
    let drop_id = shop.open_drop(3).await;
    let [alice, bob] = [shop.sign_in("alice").await, shop.sign_in("bob").await];
    shop.reserve(&alice, drop_id).await.expect(201);
    shop.purchase(&alice, drop_id).await.expect(200);
    let held = shop.reserve(&alice, drop_id).await.expect(201).reservation_id();
    let buy_for_bob = format!(
        "insert into purchases (drop_id, size_id, user_id, reservation_id, price_cents)
         select drop_id, size_id, {}, id, 1 from reservations where id = {held}",
        bob.id
    );
    for (attack, constraint) in [
        ("delete from users", "reservations_user_exists"),
        ("delete from drops", "reservations_size_of_drop"),
        ("delete from drop_sizes", "reservations_size_of_drop"),
        ("delete from reservations", "purchases_of_reservation"),
        (buy_for_bob.as_str(), "purchases_of_reservation"),
    ] {
        is_refused_by(&db, attack, constraint).await;
    }
    for attack in [
        "update users set id = default",
        "update drop_sizes set id = default",
        "update reservations set id = default",
        "update reservations set user_id = user_id + 1",
        "update purchases set reservation_id = reservation_id + 1",
        "update drop_sizes set drop_id = drop_id + 1",
        "truncate users cascade",
        "truncate reservations",
    ] {
        let outcome = sqlx::raw_sql(attack).execute(&db).await;
        let code = outcome.as_ref().err().and_then(|error| error.as_database_error()?.code());
        assert!(code.is_some_and(|code| code == "23000"), "{attack}: {outcome:?}");
    }
    // A transaction that sees the past could not see what refers to it now.
    let blind = "begin isolation level repeatable read; delete from users where username = 'bob'";
    let mut connection = db.acquire().await.expect("a connection");
    let outcome = sqlx::raw_sql(blind).execute(&mut *connection).await;
    sqlx::raw_sql("rollback").execute(&mut *connection).await.expect("it was begun");
    drop(connection);
    assert!(outcome.is_err_and(|error| error.to_string().contains("read committed")));
    // Nobody refers to bob.
    sqlx::raw_sql("delete from users where username = 'bob'").execute(&db).await.expect("deleted");
    shop.reserve(&bob, drop_id).await.refuses(401, "unauthorized");
    shop.close().await;
}

#[sqlx::test]
async fn a_user_is_never_deleted_while_somebody_refers_to_them(db: PgPool) {
    let shop = without_jobs(&db).await;
    let drop_id = shop.open_drop(3).await;
    let [alice, bob] = [shop.sign_in("alice").await, shop.sign_in("bob").await];
    let refer = |person: &Person| {
        format!(
            "insert into reservations (drop_id, size_id, user_id, expires_at, status, settled_at)
             select drop_id, id, {}, now(), 'expired', now() from drop_sizes where drop_id = {drop_id}",
            person.id
        )
    };
    let delete = |person: &Person| format!("delete from users where id = {}", person.id);
    for (first, second) in [(refer(&alice), delete(&alice)), (delete(&bob), refer(&bob))] {
        let mut transaction = db.begin().await.expect("a transaction");
        sqlx::raw_sql(sqlx::AssertSqlSafe(first)).execute(&mut *transaction).await.expect("nobody is in the way");
        let refused = tokio::spawn({
            let db = db.clone();
            async move { is_refused_by(&db, &second, "reservations_user_exists").await }
        });
        waits_for_the_lock(&db).await;
        transaction.commit().await.expect("a commit");
        refused.await.expect("it is refused");
    }
    shop.close().await;
}

async fn is_refused_by(db: &PgPool, attack: &str, constraint: &str) {
    let outcome = sqlx::raw_sql(sqlx::AssertSqlSafe(attack.to_owned())).execute(db).await;
    let refused_by = match &outcome {
        Err(sqlx::Error::Database(error)) => error.constraint(),
        _ => None,
    };
    assert!(refused_by == Some(constraint), "{attack}: {outcome:?}");
}

/// A shop whose sweeper never runs.
async fn without_jobs(db: &PgPool) -> Shop {
    Shop::open_with(db, Settings { jobs: false, ..Settings::default() }).await
}

/// Reserves for someone who may never get an answer.
fn reserve_unanswered(
    api: &support::Api,
    person: &Person,
    drop_id: i64,
) -> impl Future<Output = Result<reqwest::Response, reqwest::Error>> + Send + 'static {
    let path = format!("/api/drops/{drop_id}/reserve");
    api.request(reqwest::Method::POST, &path).bearer_auth(&person.token).json(&json!({})).send()
}

async fn set_window(db: &PgPool, sql: &'static str) {
    sqlx::query(sql).execute(db).await.expect("a window");
}

/// Ends every drop.
async fn end(db: &PgPool) {
    set_window(db, "update drops set starts_at = clock_timestamp() - interval '1 day', ends_at = clock_timestamp()")
        .await;
}

async fn until_nothing_is_held(db: &PgPool) {
    until("every lapsed pair is back", async || {
        (number(db, "select sum(held_stock) from drop_sizes").await == 0).then_some(())
    })
    .await;
}

async fn status_of(db: &PgPool, reservation_id: i64) -> String {
    let sql = "select status from reservations where id = $1";
    sqlx::query(sql).bind(reservation_id).fetch_one(db).await.expect("it is there").get(0)
}

fn moment(value: &Value) -> chrono::DateTime<chrono::Utc> {
    value.as_str().and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("{value} is no moment"))
}

/// xorshift64*: the same storm each time.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % bound
    }
}
