//! What is over: nodes and pages hold the newest, and the rest is asked for.

use crate::support::{
    Answer, Node, Person, Settings, Subscriber, concurrently, create_people, end_every_drop, id_of, new_drop,
    query_number, send, until,
};
use reqwest::{Method, header};
use serde_json::json;
use sqlx::PgPool;

/// How many of the drops that are over are current.
const NEWEST_OVER: usize = 12;

/// Inserts sold-out drops, the later the newer, each with one buyer.
async fn insert_past_drops(db: &PgPool, count: i64) {
    let insert = "with new as (
            insert into drops (name, price_cents, limit_per_user, starts_at, sold_out_since)
            select 'Past ' || n, 100, 1, now() - interval '1 year', now() - interval '1 month' + n * interval '1 second'
            from generate_series(1, $1) n returning id
        ), sizes as (
            insert into drop_sizes (drop_id, label, position, total_stock, available_stock)
            select id, 'One size', 1, 1, 0 from new returning id, drop_id
        ), buyer as (
            insert into users (username, username_key) values ('collector', 'collector') returning id
        ), bought as (
            insert into reservations (drop_id, size_id, user_id, price_cents, status, expires_at, settled_at)
            select drop_id, sizes.id, buyer.id, 100, 'completed', now() + interval '1 hour', now() from sizes, buyer returning *
        )
        insert into purchases (drop_id, size_id, user_id, reservation_id, price_cents)
        select drop_id, size_id, user_id, id, 100 from bought order by drop_id";
    sqlx::query(insert).bind(count).execute(db).await.expect("the drops are valid");
}

#[sqlx::test]
async fn pages_and_nodes_hold_what_is_current(db: PgPool) {
    let node = Node::start(&db).await;
    let live = node.create_open_drop(5).await;
    insert_past_drops(&db, NEWEST_OVER as i64).await;
    let few = node.start_another(Settings::default()).await;
    let size_of = async |node: &Node, path: &str| node.get(path).await.text.len() as f64;
    let before = [size_of(&few, "/").await, size_of(&few, "/nothing").await];
    few.stop().await;

    sqlx::query("update users set username = 'first', username_key = 'first'").execute(&db).await.expect("it is free");
    insert_past_drops(&db, 2_000).await;
    let many = node.start_another(Settings::default()).await;
    for node in [&node, &many] {
        let mut page = Subscriber::connect(node, None).await;
        page.until(|page| page.drops.values().any(|drop| drop.name == "Past 2000")).await;
        let page = Subscriber::connect(node, None).await;
        assert_eq!(page.drops.len(), 1 + NEWEST_OVER);
        assert!(page.drops.contains_key(&live));
        assert!(page.drops.values().all(|drop| drop.id == live || &*drop.name > "Past 1988"));
    }
    let after = [size_of(&many, "/").await, size_of(&many, "/nothing").await];
    for (before, after) in before.into_iter().zip(after) {
        assert!((after / before - 1.0).abs() < 0.1, "{before} bytes became {after}");
    }
    // A page of its own, of any drop that ever was.
    let oldest = query_number(&db, "select min(id) from drops where name = 'Past 1'").await;
    let page = many.get(&format!("/drops/{oldest}")).await.expect_status(200);
    assert!(page.text.contains("Past 1") && page.text.contains("first"), "{}", page.text);
    let unknown = many.get("/drops/999999").await.expect_status(404);
    assert!(unknown.text.len() as f64 <= after[0] * 1.1);
    many.stop_and_assert_invariants().await;
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn past_drops_are_listed_once_each_from_the_latest_to_the_first(db: PgPool) {
    let node = Node::start(&db).await;
    assert_eq!(follow(&node, "/drops/past", None).await, Vec::<String>::new());
    insert_past_drops(&db, 105).await;
    node.create_open_drop(5).await;
    let expected: Vec<_> = (1..=105).rev().map(|index| format!("Past {index}")).collect();
    assert_eq!(follow(&node, "/drops/past", None).await, expected);
    for bad in ["x", "1", "1-x", "-", "99999999999999999999-1"] {
        node.get(&format!("/drops/past?before={bad}")).await.expect_status(404);
    }
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn every_purchase_is_listed_with_its_drop_and_counts_towards_the_limit(db: PgPool) {
    let node = Node::start(&db).await;
    let collector = create_people(&db, 1).await.remove(0);
    let limited = id_of(&node.create_drop(new_drop(&json!({ "name": "Limited", "limitPerUser": 1 }))).await);
    node.reserve(&collector, limited).await.expect_status(201);
    node.purchase(&collector, limited).await.expect_status(200);
    // Newer ones, of a drop that is still current.
    let unlimited = id_of(&node.create_drop(new_drop(&json!({ "name": "Unlimited", "totalStock": 230 }))).await);
    for _ in 0..210 {
        node.reserve(&collector, unlimited).await.expect_status(201);
        node.purchase(&collector, unlimited).await.expect_status(200);
    }
    let listed = follow(&node, "/purchases", Some(&collector)).await;
    assert_eq!(listed.len(), 211);
    assert_eq!((&*listed[0], &*listed[210]), ("Unlimited", "Limited"));
    // The card knows that the limit is reached.
    let visitor = Subscriber::connect(&node, Some(&collector)).await.visitor.expect("signed in");
    assert_eq!(visitor.purchases.iter().filter(|purchase| purchase.drop_id == limited).count(), 1);
    let page = page_of(&node, "/", Some(&collector)).await.text;
    assert_eq!(page.matches(">Reserve another<").count(), 1, "only of the drop without a limit");
    // Also when the drop is history.
    end_every_drop(&db).await;
    insert_past_drops(&db, 20).await;
    sqlx::query("update drops set sold_out_since = now() where name like 'Past%'").execute(&db).await.expect("valid");
    until("the drops are past", async || {
        Subscriber::connect(&node, None).await.drops.values().all(|drop| drop.name.starts_with("Past")).then_some(())
    })
    .await;
    assert_eq!(follow(&node, "/purchases", Some(&collector)).await, listed);
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn drop_is_over_when_its_last_pair_is_sold_and_not_when_one_comes_back(db: PgPool) {
    let node = Node::start(&db).await;
    let drop_id = node.create_open_drop(2).await;
    let people = create_people(&db, 2).await;
    let is_over = async || query_number(&db, "select count(*) from drops where past_since <= now()").await == 1;
    concurrently(2, people.iter().map(|person| node.reserve(person, drop_id))).await;
    assert!(!is_over().await, "held pairs may come back");
    node.purchase(&people[0], drop_id).await.expect_status(200);
    assert!(!is_over().await);
    node.purchase(&people[1], drop_id).await.expect_status(200);
    assert!(is_over().await);
    sqlx::query("update drop_sizes set total_stock = 3, available_stock = 1").execute(&db).await.expect("valid");
    assert!(!is_over().await);
    until("the pair can be reserved", async || (node.reserve(&people[0], drop_id).await.status == 201).then_some(()))
        .await;
    sqlx::query("update drops set ends_at = starts_at + interval '1 microsecond'").execute(&db).await.expect("valid");
    assert!(is_over().await);
    // Its holder can still buy, so it is current, however many are over since.
    insert_past_drops(&db, 20).await;
    sqlx::query("update drops set sold_out_since = now() where name like 'Past%'").execute(&db).await.expect("valid");
    until("the drop is current beside the newest", async || {
        let drops = Subscriber::connect(&node, None).await.drops;
        (drops.len() == NEWEST_OVER + 1 && drops.contains_key(&drop_id)).then_some(())
    })
    .await;
    node.purchase(&people[0], drop_id).await.expect_status(200);
    node.stop_and_assert_invariants().await;
}

/// The headings of the entries of all pages of a list.
async fn follow(node: &Node, path: &str, person: Option<&Person>) -> Vec<String> {
    let (mut names, mut next) = (vec![], Some(path.to_owned()));
    while let Some(page) = next {
        let html = page_of(node, &page, person).await.expect_status(200).text;
        let entries = html.split("<h2 dir=\"auto\">").skip(1).filter_map(|entry| entry.split_once("</a>"));
        names.extend(entries.filter_map(|(link, _)| link.rsplit_once('>')).map(|(_, name)| name.to_owned()));
        next = html
            .split_once(&format!("href=\"{path}?before="))
            .map(|(_, rest)| format!("{path}?before={}", rest.split('"').next().unwrap_or_default()));
    }
    names
}

async fn page_of(node: &Node, path: &str, person: Option<&Person>) -> Answer {
    let request = node.request(Method::GET, path);
    let cookie = person.map(|person| format!("sneakdrop={}", person.token));
    send(cookie.into_iter().fold(request, |request, cookie| request.header(header::COOKIE, cookie))).await
}
