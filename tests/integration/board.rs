//! The board of a drop: its figures are what happened.

use crate::support::{
    Desk, Node, Settings, Subscriber, create_people, expire_now, id_of, query_number, send, set_sale_window, until,
    until_nothing_is_held,
};
use chrono::{DateTime, TimeDelta, Utc};
use reqwest::Method;
use serde_json::{Value, json};
use sneakdrop::{
    domain::error::{DropError, Missing},
    server::board::{Board, Figures, Stock},
};
use sqlx::PgPool;

/// A drop of three pairs of S and two of M.
fn two_sizes() -> Value {
    json!({ "name": "Slab Skate", "priceCents": 1, "sizes": [{ "label": "S", "stock": 3 }, { "label": "M", "stock": 2 }] })
}

async fn execute(db: &PgPool, sql: &'static str) {
    sqlx::query(sql).execute(db).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
}

/// Cancels every purchase of a size, as the desk does.
async fn cancel_purchases(db: &PgPool, size: &str) {
    let sql = "with cancelled as (
            update purchases set status = 'cancelled', cancelled_at = clock_timestamp(), cancel_reason = 'A test'
            where size_id = (select id from drop_sizes where label = $1) returning size_id
        )
        update drop_sizes s set available_stock = available_stock + count
        from (select size_id, count(*) from cancelled group by size_id) c where s.id = c.size_id";
    sqlx::query(sql).bind(size).execute(db).await.expect("the pairs return to stock");
}

fn stock(available: i64, held: i64, sold: i64) -> Stock {
    Stock { available, held, sold }
}

/// Asserts that each step of a board has the stock that its drop had at that time, and the last one what is stored. `totals`
/// has the total from each of these times on.
async fn assert_steps(db: &PgPool, board: &Board, totals: &[(DateTime<Utc>, i64)]) {
    let timeline = board.timeline.as_ref().expect("something happened");
    let counted = "select (select count(*) from reservations
                           where drop_id = $1 and created_at < $2 and coalesce(settled_at >= $2, true)),
                          (select count(*) from purchases
                           where drop_id = $1 and created_at < $2 and coalesce(cancelled_at >= $2, true))";
    for (at, shown) in timeline.stocks() {
        // What happens at the end of a step belongs to the next one, if there is one.
        let end = if at == timeline.until() { at + TimeDelta::microseconds(1) } else { at };
        let counted = sqlx::query_as(counted).bind(board.drop_id).bind(end).fetch_one(db).await;
        let (held, sold): (i64, i64) = counted.expect("both can be counted");
        let total = totals.iter().rev().find(|(since, _)| *since < end).map_or(totals[0].1, |(_, total)| *total);
        assert_eq!(shown, stock(total - held - sold, held, sold), "at {at}");
        assert_eq!(shown.total(), total, "at {at}");
    }
    let stored = "select sum(available_stock), sum(held_stock),
                         (select count(*) from purchases where drop_id = $1 and status = 'completed')
                  from drop_sizes where drop_id = $1";
    let stored = sqlx::query_as(stored).bind(board.drop_id).fetch_one(db).await;
    let (available, held, sold) = stored.expect("the drop has sizes");
    assert_eq!(timeline.end(), stock(available, held, sold));
}

#[sqlx::test]
async fn the_figures_are_what_happened(db: PgPool) {
    let node = Node::start(&db).await;
    let drop_id = id_of(&node.create_drop(two_sizes()).await);
    let people = create_people(&db, 6).await;
    let [alice, bob, carol, dave, erin, frank] = &people[..] else { panic!("six people") };
    node.reserve_size(alice, drop_id, "S").await.expect_status(201);
    node.purchase(alice, drop_id).await.expect_status(200);
    node.reserve_size(bob, drop_id, "M").await.expect_status(201);
    node.release(bob, drop_id).await.expect_status(200);
    let expired = node.reserve_size(carol, drop_id, "S").await.expect_status(201).reservation_id();
    expire_now(&db, expired).await;
    // Whoever takes the lock expires it.
    node.reserve_size(dave, drop_id, "M").await.expect_status(201);
    node.purchase(dave, drop_id).await.expect_status(200);
    node.reserve_size(erin, drop_id, "S").await.expect_status(201);
    until("only erin holds a pair", async || {
        (query_number(&db, "select sum(held_stock) from drop_sizes").await == 1).then_some(())
    })
    .await;
    // All of it happened within a moment: spread it over some minutes. Purchases took 7 seconds, and the last is the latest.
    execute(&db, "update reservations set settled_at = created_at + interval '7 s' where status = 'completed'").await;
    execute(
        &db,
        "update reservations set created_at = created_at - (20 - 3 * id) * interval '1 minute',
                                 settled_at = settled_at - (20 - 3 * id) * interval '1 minute'",
    )
    .await;
    execute(&db, "update purchases p set created_at = settled_at from reservations r where r.id = p.reservation_id")
        .await;
    set_sale_window(&db, "update drops set starts_at = starts_at - interval '30 minutes'").await;
    execute(&db, "update drops set created_at = starts_at").await;
    let before_edits: DateTime<Utc> =
        sqlx::query_scalar("select clock_timestamp()").fetch_one(&db).await.expect("the clock can be read");
    cancel_purchases(&db, "M").await;
    execute(
        &db,
        "update drop_sizes set total_stock = total_stock + 4, available_stock = available_stock + 4 where label = 'M'",
    )
    .await;
    node.reserve_size(frank, drop_id, "M").await.expect_status(201);

    let board = node.board(drop_id).await.expect("there is such a drop");
    assert_steps(&db, &board, &[(DateTime::UNIX_EPOCH, 5), (before_edits, 9)]).await;
    let timeline = board.timeline.as_ref().expect("something happened");
    assert_eq!(timeline.start, stock(5, 0, 0));
    assert_eq!(timeline.steps.iter().map(|step| step.reservations).sum::<i64>(), 6);
    assert_eq!(timeline.steps.iter().map(|step| step.purchases).sum::<i64>(), 2);
    assert!(timeline.steps.len() > 60, "half an hour by 30 seconds: {timeline:?}");
    let s = Figures {
        stock: stock(1, 1, 1),
        completed: 1,
        expired: 1,
        released: 0,
        purchases_cancelled: 0,
        median_seconds: Some(7.0),
    };
    let m =
        Figures { stock: stock(5, 1, 0), completed: 1, expired: 0, released: 1, purchases_cancelled: 1, ..s.clone() };
    let all = Figures { stock: stock(6, 2, 1), completed: 2, released: 1, purchases_cancelled: 1, ..s.clone() };
    assert_eq!((all.conversion(), all.reservations()), (Some(0.5), 6));
    assert_eq!(board.all, all);
    assert_eq!(board.sizes, [("S".to_owned(), s), ("M".to_owned(), m)]);
    assert_eq!(board.pruned_until, None);
    node.stop().await;
}

#[sqlx::test]
async fn a_board_begins_with_the_drop_and_ends_when_it_is_over(db: PgPool) {
    let node = Node::start(&db).await;
    let upcoming = json!({ "name": "Later", "priceCents": 1, "totalStock": 7, "startsAt": "9999-01-01T00:00:00Z" });
    let later = id_of(&node.create_drop(upcoming).await);
    let board = node.board(later).await.expect("there is such a drop");
    assert!(board.timeline.is_none(), "{board:?}");
    assert_eq!((board.all.stock, board.all.conversion(), board.all.median_seconds), (stock(7, 0, 0), None, None));
    assert_eq!(node.board(404).await.err(), Some(DropError::NotFound(Missing::Drop)));

    let drop_id = node.create_open_drop(1).await;
    let alice = node.sign_in("alice").await;
    node.reserve(&alice, drop_id).await.expect_status(201);
    let until_of = async || node.board(drop_id).await.expect("a drop").timeline.expect("something happened").until();
    let first = until_of().await;
    until("the board goes on with time", async || (until_of().await > first).then_some(())).await;
    node.purchase(&alice, drop_id).await.expect_status(200);
    // As if all of it had been an hour ago.
    execute(&db, "update reservations set created_at = created_at - interval '1 hour', settled_at = settled_at - interval '1 hour'")
        .await;
    set_sale_window(&db, "update drops set starts_at = starts_at - interval '61 minutes' where starts_at < now()")
        .await;
    execute(
        &db,
        "update drops set created_at = starts_at, sold_out_since = sold_out_since - interval '1 hour' where name = 'Volt Runner'",
    )
    .await;
    let board = node.board(drop_id).await.expect("there is such a drop");
    let timeline = board.timeline.expect("something happened");
    let last: DateTime<Utc> =
        sqlx::query_scalar("select max(settled_at) from reservations").fetch_one(&db).await.expect("there is one");
    assert_eq!(timeline.until(), last);
    assert_eq!((timeline.start, timeline.end()), (stock(1, 0, 0), stock(0, 0, 1)));
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn charts_show_a_part_of_the_time_on_the_clocks_of_the_browser(db: PgPool) {
    let node = Node::start(&db).await;
    let drop_id = node.create_open_drop(3).await;
    let [alice, bob] = [node.sign_in("alice").await, node.sign_in("bob").await];
    node.reserve(&alice, drop_id).await.expect_status(201);
    node.purchase(&alice, drop_id).await.expect_status(200);
    // As if it had been two hours ago.
    execute(&db, "update reservations set created_at = created_at - interval '2 hours', settled_at = settled_at - interval '2 hours'")
        .await;
    set_sale_window(&db, "update drops set starts_at = starts_at - interval '2 hours'").await;
    execute(&db, "update drops set created_at = starts_at").await;
    node.reserve(&bob, drop_id).await.expect_status(201);

    let desk = Desk::sign_in(&node).await;
    let board = async |period: &str| {
        let request = node.request(Method::GET, &format!("/admin/drops/{drop_id}{period}"));
        let cookie = format!("{}; sneakdrop_zone=Asia/Kolkata", desk.cookie);
        send(request.header("cookie", cookie)).await.expect_status(200).text
    };
    let all = "3 pairs at the start; at the end 1 available, 1 held and 1 sold.";
    for (period, chosen, shown) in [
        ("", "all", all),
        ("?period=first-60", "first-60", "3 pairs at the start; at the end 2 available, 0 held and 1 sold."),
        ("?period=first-3600", "first-3600", "3 pairs at the start; at the end 2 available, 0 held and 1 sold."),
        ("?period=last-600", "last-600", all),
        ("?period=last-6000000", "all", all),
    ] {
        let page = board(period).await;
        assert!(page.contains(shown), "{period}: {page}");
        let current = format!("href=\"/admin/drops/{drop_id}?period={chosen}#board\" aria-current=\"true\"");
        assert!(page.contains(&current), "{period}: {page}");
        // The figures are those of the whole sale.
        assert!(page.contains("<dd>1 of 3</dd>"), "{period}: {page}");
        assert!(page.contains(", Asia/Kolkata</text>") && page.contains(" IST."), "{period}: {page}");
        // The page that a script fetches is the same.
        assert!(page.contains(&format!("data-address=\"/admin/drops/{drop_id}?period={chosen}\"")), "{period}: {page}");
    }
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn pruned_reservations_leave_since_when_the_board_is_complete(db: PgPool) {
    let node = Node::start(&db).await;
    let drop_id = node.create_open_drop(3).await;
    let other_drop_id = node.create_open_drop(3).await;
    let [alice, bob, carol] = [node.sign_in("alice").await, node.sign_in("bob").await, node.sign_in("carol").await];
    node.reserve(&alice, drop_id).await.expect_status(201);
    node.purchase(&alice, drop_id).await.expect_status(200);
    for person in [&bob, &carol] {
        node.reserve(person, drop_id).await.expect_status(201);
        node.release(person, drop_id).await.expect_status(200);
    }
    let board = node.board(drop_id).await.expect("there is such a drop");
    assert_eq!((board.all.completed, board.all.released, board.pruned_until), (1, 2, None));
    let latest: DateTime<Utc> =
        sqlx::query_scalar("select max(created_at) from reservations").fetch_one(&db).await.expect("there are some");

    // Two who prune the same drop wait neither for each other nor for a sale, nor does a sale for them.
    let prune = "delete from reservations where user_id = $1";
    let mut pruning = db.begin().await.expect("a free connection");
    sqlx::query(prune).bind(carol.id).execute(&mut *pruning).await.expect("nothing refers to it");
    sqlx::query(prune).bind(bob.id).execute(&db).await.expect("it waits for nobody");
    node.reserve(&bob, drop_id).await.expect_status(201);
    let board = node.board(drop_id).await.expect("there is such a drop");
    assert!(board.pruned_until.is_some_and(|until| until < latest), "{board:?}");
    assert_eq!(board.all.released, 1);
    pruning.commit().await.expect("the transaction can be committed");

    let board = node.board(drop_id).await.expect("there is such a drop");
    assert_eq!((board.pruned_until, board.all.released), (Some(latest), 0));
    assert_steps(&db, &board, &[(DateTime::UNIX_EPOCH, 3)]).await;
    assert_eq!(node.board(other_drop_id).await.expect("there is such a drop").pruned_until, None);
    node.release(&bob, drop_id).await.expect_status(200);
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn stock_of_an_earlier_release_had_been_there_before_the_log(db: PgPool) {
    let node = Node::start(&db).await;
    let drop_id = node.create_open_drop(5).await;
    let alice = node.sign_in("alice").await;
    node.reserve(&alice, drop_id).await.expect_status(201);
    execute(
        &db,
        "insert into drop_changes (drop_id, edit_version, actor, action, after)
         select drop_id, 1, 'migration', 'recorded', jsonb_build_object('sizes', jsonb_object_agg(label, total_stock))
         from drop_sizes group by drop_id",
    )
    .await;
    execute(&db, "update drop_sizes set total_stock = total_stock - 2, available_stock = available_stock - 2").await;
    let board = node.board(drop_id).await.expect("there is such a drop");
    let timeline = board.timeline.expect("something happened");
    assert_eq!((timeline.start, timeline.end()), (stock(5, 0, 0), stock(2, 1, 0)));
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn refusals_are_counted_by_reason(db: PgPool) {
    let node = Node::start(&db).await;
    let drop_id = id_of(&node.create_drop(two_sizes()).await);
    let limited = json!({ "name": "One each", "priceCents": 1, "totalStock": 1, "limitPerUser": 1 });
    let limited = id_of(&node.create_drop(limited).await);
    let upcoming = json!({ "name": "Later", "priceCents": 1, "totalStock": 7, "startsAt": "9999-01-01T00:00:00Z" });
    let upcoming = id_of(&node.create_drop(upcoming).await);
    let [alice, bob] = [node.sign_in("alice").await, node.sign_in("bob").await];
    let refusals = async |drop_id| node.board(drop_id).await.expect("there is such a drop").node.refusals;
    assert_eq!(refusals(drop_id).await, []);

    node.reserve(&alice, drop_id).await.expect_error(422, "size_required");
    node.reserve_size(&alice, drop_id, "XL").await.expect_error(422, "unknown_size");
    node.reserve_size(&alice, drop_id, "XXL").await.expect_error(422, "unknown_size");
    node.purchase(&alice, drop_id).await.expect_error(409, "no_active_reservation");
    node.release(&alice, drop_id).await.expect_error(409, "no_active_reservation");
    let reservation_id = node.reserve_size(&alice, drop_id, "S").await.expect_status(201).reservation_id();
    expire_now(&db, reservation_id).await;
    node.purchase_reservation(&alice, reservation_id).await.expect_error(410, "reservation_expired");
    until_nothing_is_held(&db).await;
    // A retry that gets what exists is no refusal, and one that asks for nothing of a drop is none of a drop.
    node.release(&alice, drop_id).await.expect_status(200);
    node.reserve(&alice, 404).await.expect_error(404, "not_found");
    let expected =
        [("no_active_reservation", 2), ("unknown_size", 2), ("reservation_expired", 1), ("size_required", 1)];
    assert_eq!(refusals(drop_id).await, expected);

    node.reserve(&alice, upcoming).await.expect_error(409, "not_started");
    assert_eq!(refusals(upcoming).await, [("not_started", 1)]);
    node.reserve(&alice, limited).await.expect_status(201);
    node.purchase(&alice, limited).await.expect_status(200);
    node.reserve(&alice, limited).await.expect_error(409, "limit_reached");
    // By the database, and from memory.
    node.reserve(&bob, limited).await.expect_error(409, "sold_out");
    until("bob is refused from memory", async || node.refuses_from_memory(bob.id, limited, None).then_some(())).await;
    for _ in 0..3 {
        node.reserve(&bob, limited).await.expect_error(409, "sold_out");
    }
    assert_eq!(refusals(limited).await, [("sold_out", 4), ("limit_reached", 1)]);
    let another = node.start_another(Settings::default()).await;
    let other_node = another.board(limited).await.expect("there is such a drop").node;
    assert_eq!(other_node.refusals, [], "each node has its own");
    assert!(other_node.since > node.board(limited).await.expect("there is such a drop").node.since);
    another.stop().await;
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn those_who_are_connected_are_counted(db: PgPool) {
    let node = Node::start(&db).await;
    let drop_id = node.create_open_drop(1).await;
    let connected = async || {
        let figures = node.board(drop_id).await.expect("there is such a drop").node;
        (figures.pages, figures.socket_io_clients)
    };
    assert_eq!(connected().await, (0, 0));
    let alice = node.sign_in("alice").await;
    let pages = [Subscriber::connect(&node, None).await, Subscriber::connect(&node, Some(&alice)).await];
    send(node.request(Method::GET, "/socket.io/?EIO=4&transport=polling")).await.expect_status(200);
    assert_eq!(connected().await, (2, 1));
    drop(pages);
    until("the pages are gone", async || (connected().await.0 == 0).then_some(())).await;
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn a_drops_page_has_facts_and_steering_while_its_board_cannot_be_read(db: PgPool) {
    let node = Node::start(&db).await;
    let drop_id = node.create_open_drop(5).await;
    let desk = Desk::sign_in(&node).await;
    let path = format!("/admin/drops/{drop_id}");
    let unavailable = "The figures are not available right now.";
    for table in ["reservations", "pruned_reservations", "drop_changes"] {
        let mut lock = db.begin().await.expect("a free connection");
        let sql = format!("lock table {table} in access exclusive mode");
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut *lock).await.expect("the lock is free");
        let page = desk.get(&path).await.expect_status(200);
        for part in ["Volt Runner", "$199", "Pause sales", "End now", unavailable] {
            assert!(page.text.contains(part), "{table}: no {part}");
        }
        assert!(!page.text.contains("That did not work"), "{table}");
        if table == "pruned_reservations" {
            // Nothing but the board needs it.
            let pressed = desk.post(&format!("{path}/pause"), &[("editVersion", "1")]).await.expect_status(303);
            let page = desk.get(pressed.header("location")).await.expect_status(200);
            assert!(page.text.contains("Resume sales") && page.text.contains(unavailable));
            desk.post(&format!("{path}/resume"), &[("editVersion", "1")]).await.expect_status(303);
        }
        lock.rollback().await.expect("the transaction is open");
        until("the board is back", async || {
            (!desk.get(&path).await.expect_status(200).text.contains(unavailable)).then_some(())
        })
        .await;
    }
    desk.get("/admin/drops/404").await.expect_status(404);
    // What everything needs.
    let mut lock = db.begin().await.expect("a free connection");
    sqlx::raw_sql("lock table drops in access exclusive mode").execute(&mut *lock).await.expect("the lock is free");
    let page = desk.get(&path).await.expect_status(503);
    assert!(page.text.contains("Not available right now") && !page.text.contains("That did not work"), "{page:?}");
    lock.rollback().await.expect("the transaction is open");
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn a_board_counts_many_reservations_per_step_and_finds_the_busiest_second(db: PgPool) {
    let node = Node::start(&db).await;
    let drop_id = id_of(&node.create_drop(two_sizes()).await);
    create_people(&db, 3).await;
    // Each user reserves every 10 seconds for a day, a second apart from the others. At two times all come in the same second, of
    // which the first counts.
    execute(&db, "update drops set starts_at = '2026-01-01T00:00:00Z', created_at = '2026-01-01T00:00:00Z'").await;
    execute(
        &db,
        "insert into reservations (drop_id, size_id, user_id, price_cents, status, expires_at, created_at, settled_at)
         select s.drop_id, s.id, u.id, 1, case when n % 4 = 0 then 'cancelled' else 'expired' end,
                at + interval '60 s', at, at + (2 + n % 4) * interval '1 s'
         from users u, drop_sizes s, generate_series(0, 8639) n,
              lateral (select '2026-01-01T00:00:00Z'::timestamptz + n * interval '10 s'
                       + case when n in (100, 200) then interval '0' else u.id * interval '1 s' end as at) t
         where s.label = 'S'",
    )
    .await;
    let board = node.board(drop_id).await.expect("there is such a drop");
    let timeline = board.timeline.as_ref().expect("something happened");
    assert_eq!(timeline.steps.iter().map(|step| step.reservations).sum::<i64>(), 3 * 8_640);
    assert!(timeline.steps.len() <= 120);
    let busiest = timeline.busiest_to_reserve.expect("there is one");
    assert_eq!((busiest.at.to_rfc3339(), busiest.count), ("2026-01-01T00:16:40+00:00".into(), 3));
    assert_eq!((board.all.released, board.all.expired), (3 * 2_160, 3 * 6_480));
    assert_eq!(board.sizes.iter().map(|(_, figures)| figures.expired).collect::<Vec<_>>(), [3 * 6_480, 0]);
    assert_eq!((timeline.start, timeline.end()), (stock(5, 0, 0), stock(5, 0, 0)));
    node.stop_and_assert_invariants().await;
}
