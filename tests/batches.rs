//! The hazards of sharing a transaction: one bad request among good ones, a COMMIT that fails or goes unanswered, callers
//! who leave, and refusals without asking the database.

#[allow(dead_code, reason = "each test program uses a part of it")]
mod support;

use futures_util::future::join_all;
use serde_json::json;
use sqlx::{PgPool, Postgres, Transaction};
use std::{collections::HashSet, time::Duration};
use support::{
    Answer, Api, Person, Settings, Shop, at_once, crowd,
    gate::Gate,
    id_of, number,
    proxy::{Line, Proxy},
    until, waits_for_the_lock, with_status,
};
use tokio::task::JoinHandle;

#[sqlx::test]
async fn what_gathers_behind_a_lock_shares_one_transaction(db: PgPool) {
    let shop = Shop::open(&db).await;
    let drop_id = shop.open_drop(30).await;
    let version = number(&db, "select version from drops").await;
    let people = crowd(&db, 41).await;
    let answers = together(&shop, &db, drop_id, &people).await;
    assert_eq!(with_status(&answers, 201), 30);
    assert_eq!(answers.iter().filter(|answer| answer.code() == "sold_out").count(), 11);
    // The one that came first, and all that gathered behind it.
    assert_eq!(number(&db, "select version from drops").await, version + 2);
    assert_eq!(number(&db, "select count(distinct created_at) from reservations").await, 2);

    let (buyers, others) = people.split_at(15);
    let lock = lock(&db, drop_id).await;
    let first = call(&shop, &people[0], drop_id, Wish::Release);
    waits_for_the_lock(&db).await;
    let buys: Vec<_> = buyers.iter().map(|person| call(&shop, person, drop_id, Wish::Purchase)).collect();
    let gives_back: Vec<_> = others.iter().map(|person| call(&shop, person, drop_id, Wish::Release)).collect();
    until("all of them wait", async || (shop.state.combiner.waiting() == 15 + 26).then_some(())).await;
    lock.rollback().await.expect("a rollback");
    first.await.expect("no panic").expect(200);
    assert_eq!(with_status(&all(buys).await, 200) as i64, number(&db, "select count(*) from purchases").await);
    all(gives_back).await;
    assert_eq!(number(&db, "select count(distinct settled_at) from reservations").await, 2);
    shop.agrees_with_the_database().await;
    shop.close().await;
}

#[sqlx::test]
async fn one_bad_request_fails_alone(db: PgPool) {
    // Refused as its row is written, and refused only by the COMMIT.
    for when in ["before insert on reservations", "after insert on reservations deferrable initially deferred"] {
        let shop = Shop::open(&db).await;
        let drop_id = shop.open_drop(40).await;
        let people = crowd(&db, 30).await;
        let poisonous = people[20].id;
        let kind = if when.starts_with("after") { "constraint trigger" } else { "trigger" };
        let sql = format!(
            "create or replace function fail() returns trigger language plpgsql as $$ begin raise 'broken'; end $$;
             create {kind} poison {when} for each row when (new.user_id = {poisonous}) execute function fail()"
        );
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&db).await.expect("a trigger");

        let answers = together(&shop, &db, drop_id, &people).await;
        for (person, answer) in people.iter().zip(answers) {
            if person.id == poisonous {
                answer.refuses(500, "internal");
            } else {
                answer.expect(201);
            }
        }
        sqlx::raw_sql("drop trigger poison on reservations").execute(&db).await.expect("it is there");
        shop.reserve(&people[20], drop_id).await.expect(201);
        shop.agrees_with_the_database().await;
        shop.close().await;
    }
}

#[sqlx::test]
async fn a_batch_whose_commit_is_cut_off_is_unknown_to_all_and_retries_tell(db: PgPool) {
    for is_committed in [false, true] {
        let proxy = Proxy::to(&db).await;
        let settings = Settings { database: Some(proxy.options(&db)), ..Settings::default() };
        let shop = Shop::open_with(&db, settings).await;
        let drop_id = shop.open_drop(20).await;
        let people = crowd(&db, 20).await;
        let lock = lock(&db, drop_id).await;
        let first = call(&shop, &people[0], drop_id, Wish::Release);
        waits_for_the_lock(&db).await;
        let calls: Vec<_> = people.iter().map(|person| call(&shop, person, drop_id, Wish::Reserve)).collect();
        until("all of them wait", async || (shop.state.combiner.waiting() == 20).then_some(())).await;
        let gate = Gate::inside_commit(&db).await;
        lock.rollback().await.expect("a rollback");
        first.await.expect("no panic").refuses(409, "no_active_reservation");
        if is_committed {
            // PostgreSQL goes on, and nobody hears what became of it.
            gate.somebody_waits().await;
            proxy.set(Line::Cut);
        } else {
            gate.terminate_who_waits().await;
        }
        for answer in all(calls).await {
            answer.refuses(503, "unknown");
        }
        gate.open().await;
        proxy.set(Line::Open);

        let retries = at_once(20, people.iter().map(|person| shop.reserve(person, drop_id))).await;
        if is_committed {
            assert_eq!(with_status(&retries, 200), 20, "{retries:?}");
        }
        let ids: HashSet<_> = retries.iter().map(Answer::reservation_id).collect();
        assert_eq!(ids.len(), 20);
        assert_eq!(number(&db, "select min(available_stock)::bigint from drop_sizes").await, 0);
        shop.agrees_with_the_database().await;
        shop.close().await;
        sqlx::raw_sql("drop trigger gate on reservations; drop function wait_at_gate")
            .execute(&db)
            .await
            .expect("gone");
    }
}

#[sqlx::test]
async fn a_grant_whose_commit_nobody_heard_of_is_never_called_sold_out(db: PgPool) {
    let proxy = Proxy::to(&db).await;
    let shop = Shop::open_with(&db, Settings { database: Some(proxy.options(&db)), ..Settings::default() }).await;
    let drop_id = shop.open_drop(2).await;
    let [alice, bob, carol] = [shop.sign_in("alice").await, shop.sign_in("bob").await, shop.sign_in("carol").await];
    shop.reserve(&carol, drop_id).await.expect(201);
    let lock = lock(&db, drop_id).await;
    let last = call(&shop, &bob, drop_id, Wish::Reserve);
    waits_for_the_lock(&db).await;
    // By the time that this batch begins, the catalog knows that none is left.
    let given_back = call(&shop, &carol, drop_id, Wish::Release);
    let taken = call(&shop, &alice, drop_id, Wish::Reserve);
    until("both wait", async || (shop.state.combiner.waiting() == 2).then_some(())).await;
    let gate = Gate::inside_commit_of(&db, alice.id).await;
    lock.rollback().await.expect("a rollback");
    last.await.expect("no panic").expect(201);
    gate.somebody_waits().await;
    proxy.set(Line::Cut);
    given_back.await.expect("no panic").refuses(503, "unknown");
    taken.await.expect("no panic").refuses(503, "unknown");
    gate.open().await;
    proxy.set(Line::Open);
    shop.reserve(&alice, drop_id).await.expect(200);
    shop.agrees_with_the_database().await;
    shop.close().await;
}

#[sqlx::test]
async fn callers_who_leave_before_their_batch_begins_cost_nothing(db: PgPool) {
    let shop = Shop::open(&db).await;
    let drop_id = shop.open_drop(5).await;
    let people = crowd(&db, 21).await;
    let lock = lock(&db, drop_id).await;
    let first = call(&shop, &people[20], drop_id, Wish::Reserve);
    waits_for_the_lock(&db).await;
    let mut calls: Vec<_> = people[..20].iter().map(|person| call(&shop, person, drop_id, Wish::Reserve)).collect();
    until("all of them wait", async || (shop.state.combiner.waiting() == 20).then_some(())).await;
    // The last four stay; whoever came before them would have taken all that is left.
    let stay = calls.split_off(16);
    calls.iter().for_each(JoinHandle::abort);
    until("the server notices", async || (shop.state.combiner.waiting() == 4).then_some(())).await;
    lock.rollback().await.expect("a rollback");
    first.await.expect("no panic").expect(201);
    assert_eq!(with_status(&all(stay).await, 201), 4);
    assert_eq!(number(&db, "select count(*) from reservations").await, 5);
    shop.close().await;
}

#[sqlx::test]
async fn sold_out_costs_no_query_and_ends_the_moment_stock_returns(db: PgPool) {
    let shop = Shop::open(&db).await;
    let sizes = json!([{ "label": "S", "stock": 1 }, { "label": "M", "stock": 1 }]);
    let drop_id = id_of(&shop.create_drop(json!({ "name": "Slab Skate", "priceCents": 1, "sizes": sizes })).await);
    let [alice, bob, carol] = [shop.sign_in("alice").await, shop.sign_in("bob").await, shop.sign_in("carol").await];
    let held = shop.reserve_size(&alice, drop_id, "S").await.expect(201);
    let trusted = "the catalog is trusted";
    until(trusted, async || shop.state.catalog.is_sold_out_for(bob.id, drop_id, Some("S")).then_some(())).await;

    let lock = lock(&db, drop_id).await;
    // Nobody who must ask the database gets an answer now.
    shop.reserve_size(&bob, drop_id, "S").await.refuses(409, "sold_out");
    let other_size = call(&shop, &bob, drop_id, Wish::ReserveSize("M"));
    waits_for_the_lock(&db).await;
    let retry = call(&shop, &alice, drop_id, Wish::Reserve);
    until("the holder waits", async || (shop.state.combiner.waiting() == 1).then_some(())).await;
    lock.rollback().await.expect("a rollback");
    other_size.await.expect("no panic").expect(201);
    assert_eq!(retry.await.expect("no panic").expect(200).reservation_id(), held.reservation_id());

    // Nothing is left in any size, until a pair comes back.
    shop.reserve(&carol, drop_id).await.refuses(409, "sold_out");
    assert!(shop.state.catalog.is_sold_out_for(carol.id, drop_id, None));
    shop.release(&alice, drop_id).await.expect(200);
    shop.reserve_size(&carol, drop_id, "S").await.expect(201);
    shop.purchase(&carol, drop_id).await.expect(200);
    shop.purchase(&bob, drop_id).await.expect(200);
    shop.reserve(&alice, drop_id).await.refuses(409, "sold_out");
    shop.close().await;
}

#[sqlx::test]
async fn a_pair_that_lapses_is_there_for_whoever_was_told_that_none_is_left(db: PgPool) {
    let settings = Settings { reservation_ttl: Duration::from_secs(2), ..Settings::default() };
    let shop = Shop::open_with(&db, settings).await;
    let drop_id = shop.open_drop(1).await;
    let [alice, bob] = [shop.sign_in("alice").await, shop.sign_in("bob").await];
    shop.reserve(&alice, drop_id).await.expect(201);
    until("it is bob's", async || {
        let answer = shop.reserve(&bob, drop_id).await;
        if answer.status != 201 {
            answer.refuses(409, "sold_out");
            return None;
        }
        Some(())
    })
    .await;
    shop.purchase(&bob, drop_id).await.expect(200);
    shop.close().await;
}

#[sqlx::test]
async fn a_pair_that_another_node_takes_back_is_there_again(db: PgPool) {
    let here = Shop::open(&db).await;
    let there = here.another(Settings::default()).await;
    let drop_id = here.open_drop(1).await;
    let [alice, bob] = [here.sign_in("alice").await, here.sign_in("bob").await];
    let held = here.reserve(&alice, drop_id).await.expect(201);
    for node in [&here, &there] {
        let name = "the node refuses by itself";
        until(name, async || node.state.catalog.is_sold_out_for(bob.id, drop_id, None).then_some(())).await;
        // Whoever holds the pair is known there, too.
        assert!(!node.state.catalog.is_sold_out_for(alice.id, drop_id, None));
        assert_eq!(node.reserve(&alice, drop_id).await.expect(200).reservation_id(), held.reservation_id());
    }
    here.release(&alice, drop_id).await.expect(200);
    until("the other node sells it", async || (there.reserve(&bob, drop_id).await.status == 201).then_some(())).await;
    there.close().await;
    here.close().await;
}

#[sqlx::test]
async fn a_catalog_that_cannot_ask_refuses_nobody(db: PgPool) {
    let proxy = Proxy::to(&db).await;
    let shop = Shop::open_with(&db, Settings { database: Some(proxy.options(&db)), ..Settings::default() }).await;
    let drop_id = shop.open_drop(1).await;
    let [alice, bob] = [shop.sign_in("alice").await, shop.sign_in("bob").await];
    shop.reserve(&alice, drop_id).await.expect(201);
    let is_refused = || shop.state.catalog.is_sold_out_for(bob.id, drop_id, None);
    until("the catalog is trusted", async || is_refused().then_some(())).await;
    proxy.set(Line::Cut);
    until("it is not any more", async || (!is_refused()).then_some(())).await;
    proxy.set(Line::Open);
    until("it is again", async || is_refused().then_some(())).await;
    shop.close().await;
}

/// Has everybody reserve so that all but the first gather behind it, and returns their answers.
async fn together(shop: &Shop, db: &PgPool, drop_id: i64, people: &[Person]) -> Vec<Answer> {
    let lock = lock(db, drop_id).await;
    let first = call(shop, &people[0], drop_id, Wish::Reserve);
    waits_for_the_lock(db).await;
    let mut calls = vec![first];
    calls.extend(people[1..].iter().map(|person| call(shop, person, drop_id, Wish::Reserve)));
    until("all of them wait", async || (shop.state.combiner.waiting() == people.len() - 1).then_some(())).await;
    lock.rollback().await.expect("a rollback");
    all(calls).await
}

/// Takes a drop's lock away from everybody.
async fn lock(db: &PgPool, drop_id: i64) -> Transaction<'static, Postgres> {
    let mut lock = db.begin().await.expect("a transaction");
    sqlx::query("select from drops where id = $1 for no key update")
        .bind(drop_id)
        .execute(&mut *lock)
        .await
        .expect("nobody else has it");
    lock
}

/// What to ask for.
#[derive(Clone, Copy)]
enum Wish {
    Reserve,
    ReserveSize(&'static str),
    Purchase,
    Release,
}

/// Asks in a task of its own, which may be aborted.
fn call(api: &Api, person: &Person, drop_id: i64, wish: Wish) -> JoinHandle<Answer> {
    let (api, person) = (api.clone(), person.clone());
    tokio::spawn(async move {
        match wish {
            Wish::Reserve => api.reserve(&person, drop_id).await,
            Wish::ReserveSize(size) => api.reserve_size(&person, drop_id, size).await,
            Wish::Purchase => api.purchase(&person, drop_id).await,
            Wish::Release => api.release(&person, drop_id).await,
        }
    })
}

async fn all(calls: Vec<JoinHandle<Answer>>) -> Vec<Answer> {
    let answers = join_all(calls).await;
    answers.into_iter().map(|answer| answer.expect("no panic")).collect()
}
