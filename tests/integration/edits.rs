//! Drops that are edited by SQL.

use crate::support::{Node, Settings, Subscriber, id_of, new_drop, query_number, shown_stock, stored_stock, until};
use serde_json::json;
use sneakdrop::domain::SneakerDrop;
use sqlx::{AssertSqlSafe, PgPool};

#[sqlx::test]
async fn edits_reach_every_node_and_page_and_raise_the_version_once(db: PgPool) {
    let node = Node::start(&db).await;
    let other = node.start_another(Settings::default()).await;
    let sizes = json!([{ "label": "S", "stock": 2 }, { "label": "M", "stock": 3 }]);
    let drop_id = id_of(&node.create_drop(new_drop(&json!({ "totalStock": null, "sizes": sizes }))).await);
    let mut pages = [Subscriber::connect(&node, None).await, Subscriber::connect(&other, None).await];
    for page in &mut pages {
        page.until(|page| page.drops.contains_key(&drop_id)).await;
    }
    for (index, (edit, is_shown)) in edits().into_iter().enumerate() {
        sqlx::raw_sql(edit).execute(&db).await.unwrap_or_else(|error| panic!("{edit}: {error}"));
        let version = index as i64 + 2;
        assert_eq!(query_number(&db, "select version from drops").await, version, "{edit}");
        for page in &mut pages {
            page.until(|page| page.drops[&drop_id].version == version).await;
            assert!(is_shown(&page.drops[&drop_id]), "{edit}: {:?}", page.drops[&drop_id]);
        }
    }
    // The batches raise the version by themselves, once.
    let before = query_number(&db, "select version from drops").await;
    let alice = node.sign_in("alice").await;
    node.reserve_size(&alice, drop_id, "L").await.expect_status(201);
    assert_eq!(query_number(&db, "select version from drops").await, before + 1);
    for page in &mut pages {
        page.until_stock_is(&stored_stock(&db).await).await;
    }
    other.stop_and_assert_invariants().await;
    node.stop_and_assert_invariants().await;
}

/// A statement, in a transaction of its own, and whether a page shows what it changed.
type Edit = (&'static str, fn(&SneakerDrop) -> bool);

fn edits() -> Vec<Edit> {
    vec![
        ("update drops set price_cents = 100", |drop| drop.price_cents == 100),
        (
            "update drops set name = 'Court 77', image_url = '/shoes/court-76.64eb65e6.svg', limit_per_user = 4",
            |drop| (&*drop.name, drop.image_url.is_some(), drop.limit_per_user) == ("Court 77", true, Some(4)),
        ),
        ("update drops set ends_at = clock_timestamp() + interval '1 hour'", |drop| drop.ends_at.is_some()),
        ("update drop_sizes set total_stock = 9, available_stock = 9 where label = 'S'", |drop| {
            (drop.sizes[0].total_stock, drop.available_stock, drop.total_stock) == (9, 12, 12)
        }),
        ("update drop_sizes set available_stock = total_stock - 1, total_stock = total_stock - 1", |drop| {
            drop.available_stock == 10
        }),
        (
            "insert into drop_sizes (drop_id, label, position, total_stock, available_stock)
             select id, 'XL', 3, 5, 5 from drops",
            |drop| drop.sizes.len() == 3 && drop.available_stock == 15,
        ),
        ("update drop_sizes set label = 'L' where label = 'XL'", |drop| drop.sizes[2].label == "L"),
        ("delete from drop_sizes where label = 'S'", |drop| drop.sizes.len() == 2 && drop.total_stock == 7),
        ("begin; update drops set price_cents = 200; update drop_sizes set position = position + 1; commit", |drop| {
            drop.price_cents == 200
        }),
    ]
}

#[sqlx::test]
async fn price_that_is_shown_is_the_price_that_is_paid(db: PgPool) {
    let node = Node::start(&db).await;
    let drop_id = node.create_open_drop(5).await;
    let [alice, bob] = [node.sign_in("alice").await, node.sign_in("bob").await];
    let mut page = Subscriber::connect(&node, None).await;
    node.reserve(&alice, drop_id).await.expect_status(201);
    sqlx::query("update drops set price_cents = 100").execute(&db).await.expect("a valid price");
    page.until(|page| page.drops[&drop_id].price_cents == 100).await;
    let held = node.reserve(&bob, drop_id).await.expect_status(201);
    assert_eq!(held.json["reservation"]["price_cents"], 100);
    assert_eq!(node.purchase(&bob, drop_id).await.expect_status(200).json["purchase"]["price_cents"], 100);
    assert_eq!(node.purchase(&alice, drop_id).await.expect_status(200).json["purchase"]["price_cents"], 19_900);
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn deleted_drop_is_gone(db: PgPool) {
    let node = Node::start(&db).await;
    let (deleted, kept) = (node.create_open_drop(5).await, node.create_open_drop(5).await);
    let alice = node.sign_in("alice").await;
    let mut page = Subscriber::connect(&node, None).await;
    sqlx::query("delete from drops where id = $1").bind(deleted).execute(&db).await.expect("nobody has a pair");
    page.until(|page| page.drops.keys().eq([&kept])).await;
    assert_eq!(node.get("/api/drops").await.expect_status(200).json["drops"].as_array().expect("a list").len(), 1);
    node.get(&format!("/drops/{deleted}")).await.expect_status(404);
    node.reserve(&alice, deleted).await.expect_error(404, "not_found");
    node.reserve(&alice, kept).await.expect_status(201);
    node.stop_and_assert_invariants().await;
}

/// What the database and the API refuse, and SQL brings in all the same.
#[sqlx::test]
async fn drop_that_no_page_could_read_is_left_out(db: PgPool) {
    let node = Node::start(&db).await;
    let kept = node.create_open_drop(5).await;
    let alice = node.sign_in("alice").await;
    let mut page = Subscriber::connect(&node, None).await;
    sqlx::raw_sql("drop trigger drops_in_readable_years on drops").execute(&db).await.expect("the trigger exists");
    for spoil in [
        "update drops set ends_at = '10000-01-01 04:59:59Z' where id = {}",
        "update drops set starts_at = '0044-03-15 BC' where id = {}",
        "alter table drops alter column id set generated by default;
         alter table drop_sizes drop constraint drop_sizes_drop_id_fkey;
         update drops set id = 9007199254740993 where id = {}; update drop_sizes set drop_id = 9007199254740993 where drop_id = {}",
    ] {
        let spoiled = node.create_open_drop(5).await;
        page.until(|page| page.drops.contains_key(&spoiled)).await;
        let spoil = spoil.replace("{}", &spoiled.to_string());
        sqlx::raw_sql(AssertSqlSafe(spoil.clone())).execute(&db).await.unwrap_or_else(|error| panic!("{spoil}: {error}"));
        page.until(|page| page.drops.keys().eq([&kept])).await;
        let html = node.get("/").await.expect_status(200).text;
        assert_eq!(html.matches("<article").count(), 1, "{spoil}");
        let listed = node.get("/api/drops").await.expect_status(200);
        assert_eq!(listed.json["drops"].as_array().expect("a list").len(), 1, "{spoil}");
    }
    node.reserve(&alice, kept).await.expect_status(201);
    until("the page follows", async || {
        let kept: Vec<_> = stored_stock(&db).await.into_iter().filter(|stock| stock.0 == kept).collect();
        page.next().await;
        (shown_stock(page.drops.values().cloned()) == kept).then_some(())
    })
    .await;
    node.stop().await;
}
