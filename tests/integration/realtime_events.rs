//! What `/ws` sends, to whom and in which order.

use crate::support::{
    Node, Person, Settings, Subscriber, concurrently, count_status, create_people, expire_now, id_of, query_number,
    shown_stock, stored_stock, until,
};
use futures_util::future::join_all;
use serde_json::json;
use sneakdrop::domain::{
    ReservationStatus,
    event::{DropCreated, Reason, ReservationChange, ServerEvent},
};
use sqlx::PgPool;
use std::time::Duration;
use tokio::time::Instant;

#[sqlx::test]
async fn connection_gets_a_snapshot_and_then_every_change_in_order(db: PgPool) {
    let settings = Settings { expiry_interval: Duration::from_millis(50), ..Settings::default() };
    let node = Node::start_with(&db, settings).await;
    let sizes = json!([{ "label": "S", "stock": 2 }, { "label": "M", "stock": 3 }]);
    let drop_id = id_of(&node.create_drop(json!({ "name": "Slab Skate", "priceCents": 1, "sizes": sizes })).await);
    let alice = node.sign_in("alice").await;
    let mut subscriber = Subscriber::connect(&node, None).await;
    assert_eq!(shown_stock(subscriber.drops.values().cloned()), stored_stock(&db).await);
    assert_eq!(subscriber.visitor, None);

    node.reserve_size(&alice, drop_id, "S").await.expect_status(201);
    subscriber.expect_stock_update(Reason::Reserved, (4, 1), &[("S", 1)]).await;
    node.release(&alice, drop_id).await.expect_status(200);
    subscriber.expect_stock_update(Reason::Released, (5, 0), &[("S", 2)]).await;

    node.reserve_size(&alice, drop_id, "M").await.expect_status(201);
    subscriber.expect_stock_update(Reason::Reserved, (4, 1), &[("M", 2)]).await;
    let bought = node.purchase(&alice, drop_id).await.expect_status(200);
    subscriber.expect_stock_update(Reason::Purchased, (4, 0), &[]).await;
    let event = subscriber.next().await;
    let ServerEvent::PurchaseCompleted(event) = event else { panic!("{event:?}") };
    assert_eq!((event.drop_id, event.new_stock, event.purchase_id), (drop_id, 4, bought.purchase_id()));
    assert_eq!((event.purchaser.id, event.purchaser.username.as_str()), (alice.id, "alice"));
    assert_eq!(event.version, subscriber.drops[&drop_id].version);

    // Reconciliation cannot know why a pair came back: if it publishes before the expiry job, the reason is another.
    until("an update has the reason expired", async || {
        let held = node.reserve_size(&alice, drop_id, "S").await.expect_status(201);
        subscriber.expect_stock_update(Reason::Reserved, (3, 1), &[("S", 1)]).await;
        expire_now(&db, held.reservation_id()).await;
        let update = subscriber.next_stock_update().await;
        assert_eq!((update.new_stock, update.held), (4, 0));
        (update.reason == Reason::Expired).then_some(())
    })
    .await;
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn new_drop_is_sent_whole(db: PgPool) {
    let node = Node::start(&db).await;
    let mut subscriber = Subscriber::connect(&node, None).await;
    assert!(subscriber.drops.is_empty());
    let drop_id = node.create_open_drop(5).await;
    let event = subscriber.next().await;
    assert!(
        matches!(&event, ServerEvent::DropCreated(DropCreated { drop }) if drop.id == drop_id && drop.total_stock == 5),
        "{event:?}"
    );
    subscriber.expect_stock_update(Reason::Created, (5, 0), &[("One size", 5)]).await;
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn connection_starts_with_the_visitors_reservations_and_purchases(db: PgPool) {
    let node = Node::start(&db).await;
    let (bought, held) = (node.create_open_drop(5).await, node.create_open_drop(5).await);
    let alice = node.sign_in("alice").await;
    node.reserve(&alice, bought).await.expect_status(201);
    let purchase = node.purchase(&alice, bought).await.expect_status(200).purchase_id();
    let reservation = node.reserve(&alice, held).await.expect_status(201).reservation_id();
    let expired = node.create_open_drop(5).await;
    expire_now(&db, node.reserve(&alice, expired).await.expect_status(201).reservation_id()).await;

    let visitor = Subscriber::connect(&node, Some(&alice)).await.visitor.expect("alice is signed in");
    assert_eq!(visitor.user.id, alice.id);
    assert_eq!(visitor.reservations.iter().map(|held| held.id).collect::<Vec<_>>(), [reservation]);
    assert_eq!(visitor.purchases.iter().map(|bought| bought.id).collect::<Vec<_>>(), [purchase]);
    assert_eq!(Subscriber::connect(&node, Some(&Person { token: "forged".into(), ..alice })).await.visitor, None);
    until("the expired pair is available again", async || {
        (query_number(&db, "select sum(held_stock) from drop_sizes").await == 1).then_some(())
    })
    .await;
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn reservation_events_go_only_to_their_holder(db: PgPool) {
    let node = Node::start(&db).await;
    let drop_id = node.create_open_drop(5).await;
    let [alice, bob] = [node.sign_in("alice").await, node.sign_in("bob").await];
    let mut alice_subscribers =
        [Subscriber::connect(&node, Some(&alice)).await, Subscriber::connect(&node, Some(&alice)).await];
    let mut other_subscribers = [Subscriber::connect(&node, Some(&bob)).await, Subscriber::connect(&node, None).await];

    let steps = [
        (node.reserve(&alice, drop_id).await.expect_status(201), ReservationStatus::Active),
        (node.release(&alice, drop_id).await.expect_status(200), ReservationStatus::Cancelled),
        (node.reserve(&alice, drop_id).await.expect_status(201), ReservationStatus::Active),
        (node.purchase(&alice, drop_id).await.expect_status(200), ReservationStatus::Completed),
    ];
    let marker_id = node.create_open_drop(1).await;
    for subscriber in &mut alice_subscribers {
        for (answer, status) in &steps {
            let (reservation, purchase) = subscriber.next_reservation().await;
            assert_eq!((reservation.user_id, reservation.drop_id, reservation.status), (alice.id, drop_id, *status));
            let bought = (*status == ReservationStatus::Completed).then(|| answer.purchase_id());
            assert_eq!(purchase.map(|purchase| purchase.id), bought);
        }
    }
    // The new drop is sent after alice's last event: the others receive it and none of hers.
    for subscriber in &mut other_subscribers {
        loop {
            match subscriber.next().await {
                ServerEvent::DropCreated(DropCreated { drop }) if drop.id == marker_id => break,
                ServerEvent::Reservation(ReservationChange { reservation, .. }) => {
                    panic!("{reservation:?} was sent to another user")
                }
                _ => {}
            }
        }
    }
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn every_connection_converges_to_the_database_after_a_burst(db: PgPool) {
    let node = Node::start(&db).await;
    let drop_ids = [node.create_open_drop(60).await, node.create_open_drop(60).await];
    let mut subscribers = join_all((0..50).map(|_| Subscriber::connect(&node, None))).await;
    let people = create_people(&db, 80).await;
    concurrently(
        80,
        people.iter().enumerate().map(|(index, person)| {
            let (node, drop_id) = (&node, drop_ids[index % 2]);
            async move {
                node.reserve(person, drop_id).await.expect_status(201);
                match index % 3 {
                    0 => drop(node.purchase(person, drop_id).await.expect_status(200)),
                    1 => drop(node.release(person, drop_id).await.expect_status(200)),
                    _ => {}
                }
            }
        }),
    )
    .await;
    let stored = stored_stock(&db).await;
    join_all(subscribers.iter_mut().map(|subscriber| subscriber.until_stock_is(&stored))).await;
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn at_most_twenty_flushes_are_sent_per_second(db: PgPool) {
    let node = Node::start(&db).await;
    let drop_id = node.create_open_drop(200).await;
    let people = create_people(&db, 200).await;
    let mut subscriber = Subscriber::connect(&node, None).await;

    let since = Instant::now();
    let burst = concurrently(100, people.iter().map(|person| node.reserve(person, drop_id)));
    let events = async {
        let mut events = 0;
        loop {
            events += 1;
            if subscriber.next_stock_update().await.new_stock == 0 {
                return events;
            }
        }
    };
    let (answers, events) = tokio::join!(burst, events);
    assert_eq!(count_status(&answers, 201), 200);
    let flushes = since.elapsed().as_millis() / 50 + 1;
    assert!(events <= flushes, "{events} events in {:?}", since.elapsed());
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn commits_of_another_node_reach_connections_of_this_node(db: PgPool) {
    let node = Node::start(&db).await;
    let other_node = node.start_another(Settings::default()).await;
    let mut subscriber = Subscriber::connect(&node, None).await;
    let drop_id = other_node.create_open_drop(5).await;
    let event = subscriber.next().await;
    assert!(matches!(&event, ServerEvent::DropCreated(DropCreated { drop }) if drop.id == drop_id), "{event:?}");
    subscriber.expect_stock_update(Reason::Created, (5, 0), &[("One size", 5)]).await;
    other_node.until_catalog_matches_database().await;

    let alice = other_node.sign_in("alice").await;
    other_node.reserve(&alice, drop_id).await.expect_status(201);
    subscriber.expect_stock_update(Reason::Reserved, (4, 1), &[("One size", 4)]).await;
    other_node.purchase(&alice, drop_id).await.expect_status(200);
    subscriber.expect_stock_update(Reason::Purchased, (4, 0), &[]).await;
    let event = subscriber.next().await;
    assert!(matches!(&event, ServerEvent::PurchaseCompleted(event) if event.purchaser.id == alice.id), "{event:?}");
    other_node.reserve(&alice, drop_id).await.expect_status(201);
    subscriber.expect_stock_update(Reason::Reserved, (3, 1), &[("One size", 3)]).await;
    other_node.release(&alice, drop_id).await.expect_status(200);
    subscriber.expect_stock_update(Reason::Released, (4, 0), &[("One size", 4)]).await;
    other_node.stop_and_assert_invariants().await;
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn visitors_changes_on_another_node_reach_their_connections_here(db: PgPool) {
    let node = Node::start(&db).await;
    let other_node = node.start_another(Settings::default()).await;
    let drop_id = node.create_open_drop(5).await;
    other_node.until_catalog_matches_database().await;
    let [alice, bob] = [node.sign_in("alice").await, node.sign_in("bob").await];
    let mut alice_subscriber = Subscriber::connect(&node, Some(&alice)).await;
    let mut bob_subscriber = Subscriber::connect(&node, Some(&bob)).await;
    let reservation_id = other_node.reserve(&alice, drop_id).await.expect_status(201).reservation_id();
    alice_subscriber.until_visitor(|visitor| visitor.reservations.iter().any(|held| held.id == reservation_id)).await;
    let purchase_id = other_node.purchase(&alice, drop_id).await.expect_status(200).purchase_id();
    alice_subscriber
        .until_visitor(|visitor| visitor.reservations.is_empty() && visitor.purchases[0].id == purchase_id)
        .await;
    // Bob gets a new snapshot for his own change and none for alice's.
    other_node.reserve(&bob, drop_id).await.expect_status(201);
    bob_subscriber.until_visitor(|visitor| !visitor.reservations.is_empty()).await;
    assert_eq!(bob_subscriber.snapshots, 2);
    other_node.stop_and_assert_invariants().await;
    node.stop_and_assert_invariants().await;
}
