//! When a drop starts and ends.

use crate::support::{
    Node, concurrently, count_status, create_people, end_every_drop, id_of, query_number, set_sale_window, until,
};
use serde_json::json;
use sqlx::PgPool;

#[sqlx::test]
async fn nothing_is_reserved_outside_the_sale_window(db: PgPool) {
    let node = Node::start(&db).await;
    let alice = node.sign_in("alice").await;
    let starts_at = "2100-01-01T00:00:00Z";
    let new = json!({ "name": "Cloud Slip", "priceCents": 1, "totalStock": 5, "startsAt": starts_at });
    let drop_id = id_of(&node.create_drop(new).await);

    let refusal = node.reserve(&alice, drop_id).await.expect_error(409, "not_started");
    assert_eq!(refusal.json["starts_at"], starts_at);
    node.purchase(&alice, drop_id).await.expect_error(409, "no_active_reservation");
    set_sale_window(&db, "update drops set starts_at = clock_timestamp() - interval '1 day'").await;
    node.reserve(&alice, drop_id).await.expect_status(201);
    node.release(&alice, drop_id).await.expect_status(200);
    end_every_drop(&db).await;
    node.reserve(&alice, drop_id).await.expect_error(409, "ended");
    assert_eq!(query_number(&db, "select available_stock::bigint from drop_sizes").await, 5);
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn database_clock_decides_when_a_drop_starts(db: PgPool) {
    let node = Node::start(&db).await;
    let drop_id = node.create_open_drop(5).await;
    let people = create_people(&db, 20).await;
    set_sale_window(&db, "update drops set starts_at = clock_timestamp() + interval '300 milliseconds'").await;

    let answers = concurrently(
        20,
        people.iter().map(|person| {
            let node = &node;
            async move {
                until("the drop starts", async || {
                    let answer = node.reserve(person, drop_id).await;
                    (answer.code() != "not_started").then_some(answer)
                })
                .await
            }
        }),
    )
    .await;
    assert_eq!(count_status(&answers, 201), 5);
    assert_eq!(answers.iter().filter(|answer| answer.code() == "sold_out").count(), 15);
    let early = "select count(*) from reservations r join drops d on d.id = drop_id where r.created_at < starts_at";
    assert_eq!(query_number(&db, early).await, 0);
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn held_pair_can_be_purchased_after_the_drop_ended(db: PgPool) {
    let node = Node::start(&db).await;
    let drop_id = node.create_open_drop(5).await;
    let alice = node.sign_in("alice").await;
    node.reserve(&alice, drop_id).await.expect_status(201);
    end_every_drop(&db).await;
    node.purchase(&alice, drop_id).await.expect_status(200);
    node.stop_and_assert_invariants().await;
}
