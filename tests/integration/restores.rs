//! A database that goes back to an earlier state, or cannot be written to for a while.

use crate::support::{
    ADMIN_TOKEN, Node, Settings, Subscriber, id_of, new_drop, query_number, send, shown_stock, stored_stock, until,
};
use reqwest::Method;
use serde_json::json;
use sqlx::{AssertSqlSafe, PgPool};

/// Sets the database back to a state in which nothing was reserved, as a restore of a backup does: no trigger runs.
async fn restore(db: &PgPool, version: i64) {
    let restore = format!(
        "begin; set local session_replication_role = replica;
         delete from purchases; delete from reservations;
         update drop_sizes set available_stock = total_stock, held_stock = 0;
         update drops set version = {version}, sold_out_since = null; commit"
    );
    sqlx::raw_sql(AssertSqlSafe(restore)).execute(db).await.expect("the state is valid");
}

#[sqlx::test]
async fn running_node_and_its_pages_follow_a_restore(db: PgPool) {
    let node = Node::start(&db).await;
    let other = node.start_another(Settings::default()).await;
    let drop_id = node.create_open_drop(1).await;
    let [alice, bob] = [node.sign_in("alice").await, node.sign_in("bob").await];
    let mut pages = [Subscriber::connect(&node, None).await, Subscriber::connect(&other, Some(&alice)).await];
    node.reserve(&alice, drop_id).await.expect_status(201);
    node.purchase(&alice, drop_id).await.expect_status(200);
    for page in &mut pages {
        page.until(|page| page.drops.get(&drop_id).is_some_and(|drop| drop.is_sold_out())).await;
    }
    node.reserve(&bob, drop_id).await.expect_error(409, "sold_out");
    let epochs = pages.each_ref().map(|page| page.epoch.clone());

    restore(&db, 1).await;
    for (page, epoch) in pages.iter_mut().zip(epochs) {
        page.until(|page| page.epoch != epoch).await;
        assert_eq!(shown_stock(page.drops.values().cloned()), stored_stock(&db).await);
        assert_eq!(page.drops[&drop_id].latest_purchasers, []);
    }
    pages[1].until_visitor(|visitor| visitor.purchases.is_empty()).await;
    node.reserve(&bob, drop_id).await.expect_status(201);
    for page in &mut pages {
        page.until_stock_is(&stored_stock(&db).await).await;
    }
    other.stop_and_assert_invariants().await;
    node.stop_and_assert_invariants().await;
}

/// The versions caught up before the node looked, but its own commit had another one than it should.
#[sqlx::test]
async fn own_commit_shows_that_the_database_went_back(db: PgPool) {
    let node = Node::start_with(&db, Settings::without_jobs()).await;
    let drop_id = node.create_open_drop(5).await;
    let [alice, bob] = [node.sign_in("alice").await, node.sign_in("bob").await];
    for _ in 0..2 {
        node.reserve(&alice, drop_id).await.expect_status(201);
        node.release(&alice, drop_id).await.expect_status(200);
    }
    assert_eq!(query_number(&db, "select version from drops").await, 5);
    let before = Subscriber::connect(&node, None).await.epoch;
    restore(&db, 4).await;
    node.reserve(&bob, drop_id).await.expect_status(201);
    assert_eq!(query_number(&db, "select version from drops").await, 5);
    node.reconcile_now().await;
    // A snapshot may be as old as the interval between two flushes.
    let page = until("a snapshot has another epoch", async || {
        let page = Subscriber::connect(&node, None).await;
        (page.epoch != before).then_some(page)
    })
    .await;
    assert_eq!(shown_stock(page.drops.values().cloned()), stored_stock(&db).await);
    node.stop_and_assert_invariants().await;
}

/// The versions caught up before the node looked, but those of the edits had not.
#[sqlx::test]
async fn edit_that_is_lost_is_shown_no_more_although_the_sale_went_on(db: PgPool) {
    let node = Node::start_with(&db, Settings::without_jobs()).await;
    let drop_id = id_of(&node.create_drop(new_drop(&json!({ "startsAt": "2020-01-01T00:00:00Z" }))).await);
    let price = async || node.get("/api/drops").await.expect_status(200).json["drops"][0]["price_cents"].clone();
    let before = price().await;
    for version in [2, 4, 9] {
        let edit = json!({ "priceCents": 1, "editVersion": 1 });
        let edit = node.request(Method::PATCH, &format!("/api/drops/{drop_id}")).bearer_auth(ADMIN_TOKEN).json(&edit);
        send(edit).await.expect_status(200);
        assert_eq!(price().await, 1);
        restore(&db, version).await;
        let lost = format!(
            "begin; set local session_replication_role = replica;
             update drops set price_cents = {before}, edit_version = 1; commit"
        );
        sqlx::raw_sql(AssertSqlSafe(lost)).execute(&db).await.expect("the state is valid");
        node.reconcile_now().await;
        assert_eq!(price().await, before, "version {version}");
    }
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn read_only_database_is_unavailable_until_it_can_be_written_to(db: PgPool) {
    let node = Node::start(&db).await;
    let drop_id = node.create_open_drop(5).await;
    let alice = node.sign_in("alice").await;
    let name: String = sqlx::query_scalar("select current_database()").fetch_one(&db).await.expect("a name");
    let read_only = format!(
        "begin read write; alter database \"{name}\" set default_transaction_read_only = true; commit;
         select pg_terminate_backend(pid) from pg_stat_activity
         where datname = current_database() and application_name = 'sneakdrop'"
    );
    sqlx::raw_sql(AssertSqlSafe(read_only)).execute(&db).await.expect("the setting exists");
    until("the node is not ready", async || (node.get("/readyz").await.status == 503).then_some(())).await;
    for _ in 0..25 {
        let answer = node.post(&format!("/api/drops/{drop_id}/reserve"), &alice.token, json!({})).await;
        answer.expect_error(503, "unavailable");
    }
    node.get("/readyz").await.expect_error(503, "unavailable");
    // The sessions stay; a demoted primary would keep answering them. The node must get others by itself.
    let writable =
        format!("begin read write; alter database \"{name}\" set default_transaction_read_only = false; commit");
    sqlx::raw_sql(AssertSqlSafe(writable)).execute(&db).await.expect("the setting exists");
    until("the node is ready", async || (node.get("/readyz").await.status == 200).then_some(())).await;
    node.reserve(&alice, drop_id).await.expect_status(201);
    node.stop_and_assert_invariants().await;
}
