use crate::support::{Node, assert_invariants, concurrently, count_status, create_people, query_number};
use sqlx::PgPool;

#[sqlx::test]
async fn releasing_again_returns_the_pair_once(db: PgPool) {
    let node = Node::start(&db).await;
    let drop_id = node.create_open_drop(5).await;
    let alice = node.sign_in("alice").await;
    node.release(&alice, drop_id).await.expect_error(409, "no_active_reservation");

    node.reserve(&alice, drop_id).await.expect_status(201);
    let answers = concurrently(20, (0..20).map(|_| node.release(&alice, drop_id))).await;
    assert_eq!(count_status(&answers, 200), 20);
    assert!(answers.iter().all(|answer| answer.json["newStock"] == 5), "{answers:?}");

    node.purchase(&alice, drop_id).await.expect_error(409, "no_active_reservation");
    node.reserve(&alice, drop_id).await.expect_status(201);
    node.purchase(&alice, drop_id).await.expect_status(200);
    node.release(&alice, drop_id).await.expect_error(409, "no_active_reservation");
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn release_racing_purchase_either_returns_or_sells(db: PgPool) {
    let node = Node::start(&db).await;
    let drop_id = node.create_open_drop(100).await;
    let people = create_people(&db, 100).await;
    let (node, db) = (&node, &db);

    let refusals = concurrently(
        10,
        people.iter().enumerate().map(|(index, person)| async move {
            node.reserve(person, drop_id).await.expect_status(201);
            let (purchase, release) = (node.purchase(person, drop_id), node.release(person, drop_id));
            // The order in which the two are sent alternates.
            let (purchased, released) = if index % 2 == 0 {
                tokio::join!(purchase, release)
            } else {
                let (released, purchased) = tokio::join!(release, purchase);
                (purchased, released)
            };
            match (purchased.status, released.status) {
                (200, 409) => released.expect_error(409, "no_active_reservation"),
                (409, 200) => purchased.expect_error(409, "no_active_reservation"),
                statuses => panic!("{statuses:?} for {person:?}"),
            }
            .status
        }),
    )
    .await;
    assert_eq!(refusals.len(), 100);
    assert_eq!(query_number(db, "select count(*) from reservations where status = 'active'").await, 0);
    assert_invariants(db).await;
    node.stop().await;
}
