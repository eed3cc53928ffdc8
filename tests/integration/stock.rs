//! Stock is never oversold, whatever is requested at the same time.

use crate::support::{
    Node, Settings, assert_invariants, concurrently, count_status, create_people, id_of, query_number,
    until_nothing_is_held,
};
use serde_json::json;
use sqlx::PgPool;
use std::time::Duration;

#[sqlx::test]
async fn last_pairs_are_sold_once(db: PgPool) {
    let node = Node::start(&db).await;
    let drop_id = node.create_open_drop(10).await;
    let people = create_people(&db, 300).await;

    let answers = concurrently(300, people.iter().map(|person| node.reserve(person, drop_id))).await;
    assert_eq!(count_status(&answers, 201), 10);
    assert_eq!(answers.iter().filter(|answer| answer.status == 409 && answer.code() == "sold_out").count(), 290);

    let bought = concurrently(300, people.iter().map(|person| node.purchase(person, drop_id))).await;
    assert_eq!(count_status(&bought, 200), 10);
    assert_eq!(bought.iter().filter(|answer| answer.code() == "no_active_reservation").count(), 290);
    assert_eq!(query_number(&db, "select available_stock::bigint from drop_sizes").await, 0);
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn last_pairs_are_sold_once_by_two_nodes(db: PgPool) {
    let first_node = Node::start(&db).await;
    let second_node = first_node.start_another(Settings::default()).await;
    let drop_id = first_node.create_open_drop(20).await;
    let people = create_people(&db, 200).await;

    let nodes = [&first_node, &second_node];
    let calls = people.iter().zip(nodes.into_iter().cycle());
    let answers = concurrently(200, calls.map(|(person, node)| node.reserve(person, drop_id))).await;
    assert_eq!(count_status(&answers, 201), 20);
    assert_eq!(count_status(&answers, 409), 180);

    // Each person purchases on the other node than the one that reserved.
    let calls = people.iter().zip([&second_node, &first_node].into_iter().cycle());
    let bought = concurrently(200, calls.map(|(person, node)| node.purchase(person, drop_id))).await;
    assert_eq!(count_status(&bought, 200), 20);
    first_node.until_catalog_matches_database().await;
    second_node.until_catalog_matches_database().await;
    second_node.stop_and_assert_invariants().await;
    first_node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn each_size_sells_exactly_its_stock(db: PgPool) {
    let node = Node::start(&db).await;
    let stock = [("US 8", 3), ("US 9", 5), ("US 10", 2)];
    let sizes: Vec<_> = stock.iter().map(|(label, stock)| json!({ "label": label, "stock": stock })).collect();
    let drop_id = id_of(&node.create_drop(json!({ "name": "High Rise", "priceCents": 1, "sizes": sizes })).await);
    let people = create_people(&db, 90).await;

    let requests = people.iter().zip(stock.into_iter().cycle());
    let answers = concurrently(90, requests.map(|(person, (size, _))| node.reserve_size(person, drop_id, size))).await;
    for (label, stock) in stock {
        let granted =
            answers.iter().filter(|answer| answer.status == 201 && answer.json["reservation"]["size"] == label);
        assert_eq!(granted.count(), stock, "{label}");
    }
    assert_eq!(answers.iter().filter(|answer| answer.code() == "sold_out").count(), 80);
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn random_concurrent_requests_keep_the_invariants(db: PgPool) {
    let settings = Settings { reservation_ttl: Duration::from_secs(1), ..Settings::default() };
    let first_node = Node::start_with(&db, settings.clone()).await;
    let second_node = first_node.start_another(settings).await;
    let sizes = json!([{ "label": "S", "stock": 2 }, { "label": "M", "stock": 5 }, { "label": "L", "stock": 3 }]);
    let mut drop_ids = vec![];
    for limit in [json!(null), json!(1), json!(2)] {
        let new = json!({ "name": "Halo Air", "priceCents": 1, "sizes": sizes, "limitPerUser": limit });
        drop_ids.push(id_of(&first_node.create_drop(new).await));
    }
    let people = create_people(&db, 24).await;

    let (first_node, second_node, drop_ids) = (&first_node, &second_node, &drop_ids);
    concurrently(
        people.len(),
        people.iter().enumerate().map(|(index, person)| async move {
            let mut random = Random(index as u64 + 1);
            for _ in 0..60 {
                let node = if random.below(2) == 0 { first_node } else { second_node };
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
    first_node.until_catalog_matches_database().await;
    second_node.until_catalog_matches_database().await;
    assert_invariants(&db).await;
    second_node.stop().await;
    first_node.stop().await;
}

/// A pseudo-random generator (xorshift64*) with a fixed seed, so that every run sends the same requests.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % bound
    }
}
