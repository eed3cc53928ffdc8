use crate::support::{
    Node, Settings, concurrently, create_people, expire_now, insert_expired_reservations, query_number, status_of,
    until, until_nothing_is_held,
};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use sqlx::PgPool;
use std::time::Duration;
use tokio::{sync::Semaphore, time::sleep};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);

#[sqlx::test]
async fn purchase_racing_expiry_either_sells_or_returns(db: PgPool) {
    let settings = Settings { reservation_ttl: 2 * SECOND, expiry_interval: HOUR, ..Settings::default() };
    let node = Node::start_with(&db, settings).await;
    race_purchases_against_expiry(&[&node], &db).await;
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn purchase_racing_expiry_on_two_nodes_either_sells_or_returns(db: PgPool) {
    let settings = Settings { reservation_ttl: 2 * SECOND, expiry_interval: HOUR, ..Settings::default() };
    let first_node = Node::start_with(&db, settings.clone()).await;
    let second_node = first_node.start_another(settings).await;
    race_purchases_against_expiry(&[&first_node, &second_node], &db).await;
    second_node.stop_and_assert_invariants().await;
    first_node.stop_and_assert_invariants().await;
}

/// Reserves 300 pairs and purchases each around the time at which it expires. With two nodes, one reserves a pair and
/// the other purchases it.
async fn race_purchases_against_expiry(nodes: &[&Node], db: &PgPool) {
    const PEOPLE: usize = 300;
    let drop_id = nodes[0].create_open_drop(PEOPLE as i32).await;
    let people = create_people(db, PEOPLE as i32).await;

    // Some are purchased at once and some certainly too late, so that both outcomes occur. The others are spread over
    // the 60 ms around the expiry.
    let offset_ms = |index: usize| match index % 10 {
        0 => -2_000,
        9 => 5,
        _ => index as i64 * 60 / PEOPLE as i64 - 30,
    };
    let slots = Semaphore::new(8);
    let outcomes = concurrently(
        PEOPLE,
        people.iter().enumerate().map(|(index, person)| {
            let slots = &slots;
            async move {
                let slot = slots.acquire().await.expect("the semaphore is never closed");
                let reserved = nodes[index % nodes.len()].reserve(person, drop_id).await.expect_status(201);
                drop(slot);
                let expires_at = timestamp(&reserved.json["reservation"]["expires_at"]);
                let purchase_at = expires_at + TimeDelta::milliseconds(offset_ms(index));
                sleep((purchase_at - Utc::now()).to_std().unwrap_or_default()).await;
                let other_node = nodes[(index + 1) % nodes.len()];
                let bought = other_node.purchase(person, drop_id).await;
                match bought.status {
                    200 => {
                        assert!(timestamp(&bought.json["purchase"]["created_at"]) < expires_at, "{bought:?}");
                        (reserved.reservation_id(), "completed")
                    }
                    _ => {
                        bought.expect_error(409, "reservation_expired");
                        (reserved.reservation_id(), "expired")
                    }
                }
            }
        }),
    )
    .await;

    let sold = outcomes.iter().filter(|(_, status)| *status == "completed").count() as i64;
    assert!((1..PEOPLE as i64).contains(&sold), "{sold} of {PEOPLE} were sold");
    until("every reservation is settled", async || {
        let active = query_number(db, "select count(*) from reservations where status = 'active'").await;
        (active == 0).then_some(())
    })
    .await;
    assert_eq!(query_number(db, "select count(*) from purchases").await, sold);
    assert_eq!(query_number(db, "select available_stock::bigint from drop_sizes").await, PEOPLE as i64 - sold);
    for (reservation_id, status) in outcomes {
        assert_eq!(status_of(db, reservation_id).await, status);
    }
    for node in nodes {
        node.until_catalog_matches_database().await;
    }
}

#[sqlx::test]
async fn expired_reservation_cannot_be_purchased_without_expiry_job(db: PgPool) {
    let node = Node::start_with(&db, Settings::without_jobs()).await;
    let drop_id = node.create_open_drop(2).await;
    let [alice, bob] = [node.sign_in("alice").await, node.sign_in("bob").await];
    for (person, by_id) in [(&alice, false), (&bob, true)] {
        let reservation_id = node.reserve(person, drop_id).await.expect_status(201).reservation_id();
        expire_now(&db, reservation_id).await;
        if by_id {
            node.purchase_reservation(person, reservation_id).await.expect_error(410, "reservation_expired");
        } else {
            node.purchase(person, drop_id).await.expect_error(409, "reservation_expired");
        }
        assert_eq!(status_of(&db, reservation_id).await, "expired");
    }
    assert_eq!(query_number(&db, "select available_stock::bigint from drop_sizes").await, 2);
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn expired_pair_can_be_reserved_by_another_user_without_expiry_job(db: PgPool) {
    let node = Node::start_with(&db, Settings::without_jobs()).await;
    let drop_id = node.create_open_drop(1).await;
    let [alice, bob] = [node.sign_in("alice").await, node.sign_in("bob").await];
    let first = node.reserve(&alice, drop_id).await.expect_status(201);
    node.reserve(&bob, drop_id).await.expect_error(409, "sold_out");
    expire_now(&db, first.reservation_id()).await;

    node.reserve(&bob, drop_id).await.expect_status(201);
    node.purchase(&alice, drop_id).await.expect_error(409, "reservation_expired");
    node.purchase_reservation(&alice, first.reservation_id()).await.expect_error(410, "reservation_expired");
    assert_eq!(node.release(&alice, drop_id).await.expect_status(200).json["newStock"], 0);
    node.purchase(&bob, drop_id).await.expect_status(200);
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn own_expired_reservation_expires_even_behind_hundreds_of_others(db: PgPool) {
    let node = Node::start_with(&db, Settings::without_jobs()).await;
    let drop_id = node.create_open_drop(700).await;
    let mut people = create_people(&db, 650).await;
    let alice = node.sign_in("alice").await;
    people.push(alice.clone());
    // It expired last: a batch that expires the oldest first would not include it.
    insert_expired_reservations(&db, drop_id, &people).await;

    node.purchase(&alice, drop_id).await.expect_error(409, "reservation_expired");
    node.reserve(&alice, drop_id).await.expect_status(201);
    node.purchase(&alice, drop_id).await.expect_status(200);
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn more_expired_reservations_than_one_batch_all_return(db: PgPool) {
    let people = create_people(&db, 1_200).await;
    let before = Node::start_with(&db, Settings::without_jobs()).await;
    let drop_id = before.create_open_drop(1_200).await;
    before.crash();
    insert_expired_reservations(&db, drop_id, &people).await;

    let node = Node::start_with(&db, Settings { expiry_interval: HOUR, ..Settings::default() }).await;
    until_nothing_is_held(&db).await;
    assert_eq!(query_number(&db, "select available_stock::bigint from drop_sizes").await, 1_200);
    assert_eq!(query_number(&db, "select count(*) from reservations where status = 'expired'").await, 1_200);
    node.until_catalog_matches_database().await;
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn two_expiry_jobs_return_each_pair_once(db: PgPool) {
    let people = create_people(&db, 400).await;
    let before = Node::start_with(&db, Settings::without_jobs()).await;
    for _ in 0..4 {
        let drop_id = before.create_open_drop(400).await;
        insert_expired_reservations(&db, drop_id, &people).await;
    }
    let settings = Settings { expiry_interval: Duration::from_millis(10), ..Settings::default() };
    let first_node = before.start_another(settings.clone()).await;
    let second_node = before.start_another(settings).await;
    before.crash();

    until_nothing_is_held(&db).await;
    assert_eq!(query_number(&db, "select sum(available_stock) from drop_sizes").await, 1_600);
    first_node.until_catalog_matches_database().await;
    second_node.until_catalog_matches_database().await;
    second_node.stop_and_assert_invariants().await;
    first_node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn reservation_expires_on_time_despite_a_long_job_interval(db: PgPool) {
    let settings = Settings { reservation_ttl: SECOND, expiry_interval: HOUR, ..Settings::default() };
    let node = Node::start_with(&db, settings).await;
    let drop_id = node.create_open_drop(5).await;
    // The job must also wake up again, and for two reservations that expire one after the other.
    for people in [create_people(&db, 1).await, create_people(&db, 2).await] {
        for person in &people {
            node.reserve(person, drop_id).await.expect_status(201);
        }
        until_nothing_is_held(&db).await;
        node.until_catalog_matches_database().await;
    }
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn restarted_node_expires_overdue_and_pending_reservations(db: PgPool) {
    let settings = Settings { reservation_ttl: SECOND, expiry_interval: HOUR, ..Settings::default() };
    let before = Node::start_with(&db, settings.clone()).await;
    let drop_id = before.create_open_drop(5).await;
    let people = create_people(&db, 2).await;
    let overdue = before.reserve(&people[0], drop_id).await.expect_status(201);
    let pending = before.reserve(&people[1], drop_id).await.expect_status(201);
    let after = before.start_another(settings).await;
    before.crash();
    expire_now(&db, overdue.reservation_id()).await;

    until_nothing_is_held(&db).await;
    assert_eq!(status_of(&db, pending.reservation_id()).await, "expired");
    after.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn reservations_of_a_crashed_node_expire_on_another(db: PgPool) {
    // The survivor's timer is set for its own reservations, which last a minute; its interval finds the others.
    let settings = Settings { expiry_interval: Duration::from_millis(200), ..Settings::default() };
    let survivor = Node::start_with(&db, settings).await;
    let crashing = survivor.start_another(Settings { reservation_ttl: SECOND, ..Settings::default() }).await;
    let drop_id = survivor.create_open_drop(5).await;
    for person in &create_people(&db, 3).await {
        crashing.reserve(person, drop_id).await.expect_status(201);
    }
    crashing.crash();
    until_nothing_is_held(&db).await;
    survivor.until_catalog_matches_database().await;
    survivor.stop_and_assert_invariants().await;
}

fn timestamp(value: &Value) -> DateTime<Utc> {
    value.as_str().and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("{value} is no timestamp"))
}
