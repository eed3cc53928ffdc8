//! The stock proof of a drop.

use crate::support::{
    ADMIN_TOKEN, Api, Desk, Node, Settings, concurrently, create_people, expire_now, id_of, lock_drop, new_drop,
    query_number, send, until, until_nothing_is_held,
};
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgPool};

async fn prove(api: &Api, drop_id: i64) -> Value {
    let request = api.request(Method::GET, &format!("/api/drops/{drop_id}/proof")).bearer_auth(ADMIN_TOKEN);
    send(request).await.expect_status(200).json
}

async fn post(api: &Api, drop_id: i64, path: &str, body: Value) {
    api.post(&format!("/api/drops/{drop_id}/{path}"), ADMIN_TOKEN, body).await.expect_status(200);
}

/// A drop with two sizes, on sale.
async fn create_drop(api: &Api) -> i64 {
    let sizes = json!([{ "label": "US 8", "stock": 20 }, { "label": "US 9", "stock": 10 }]);
    id_of(&api.create_drop(new_drop(&json!({ "totalStock": null, "sizes": sizes }))).await)
}

/// Runs statements as somebody does who does not want to be in the log.
async fn tamper(db: &PgPool, statement: &str) {
    let statements = format!(
        "begin; alter table drop_sizes disable trigger drop_sizes_raise_version; {statement};
         alter table drop_sizes enable trigger drop_sizes_raise_version; commit"
    );
    let tampered = sqlx::raw_sql(AssertSqlSafe(statements)).execute(db).await;
    tampered.unwrap_or_else(|error| panic!("{statement}: {error}"));
}

/// The sizes that are not balanced, each with the steps that do not agree.
fn broken(proof: &Value) -> Vec<(&str, Vec<&str>)> {
    let sizes = proof["sizes"].as_array().expect("a list").iter().filter(|size| size["balanced"] == false);
    sizes
        .map(|size| {
            let steps = size["steps"].as_array().expect("a list").iter().filter(|step| step["agrees"] == false);
            let steps = steps.map(|step| step["step"].as_str().expect("a name")).collect();
            (size["label"].as_str().expect("a label"), steps)
        })
        .collect()
}

/// Both numbers of a step of a size.
fn numbers(proof: &Value, size: usize, name: &str) -> (i64, i64) {
    let steps = proof["sizes"][size]["steps"].as_array().expect("a list");
    let step = steps.iter().find(|step| step["step"] == name).unwrap_or_else(|| panic!("{name}: {proof}"));
    (step["tables"].as_i64().expect("a number"), step["log"].as_i64().expect("a number"))
}

#[sqlx::test]
async fn drop_is_balanced_at_every_moment_of_a_lively_sale(db: PgPool) {
    let node = Node::start(&db).await;
    let other = node.start_another(Settings::default()).await;
    let drop_id = create_drop(&node).await;
    let people = create_people(&db, 60).await;
    let shop = concurrently(
        20,
        people.iter().enumerate().map(|(index, person)| {
            let (node, other) = if index % 2 == 0 { (&node, &other) } else { (&other, &node) };
            let db = &db;
            async move {
                let size = if index % 3 == 0 { "US 9" } else { "US 8" };
                let reserved = node.reserve_size(person, drop_id, size).await;
                if reserved.status != 201 {
                    return;
                }
                match index % 5 {
                    0 => drop(other.release(person, drop_id).await.expect_status(200)),
                    // Nobody waits for it here: it expires while others go on.
                    1 => expire_now(db, reserved.reservation_id()).await,
                    2 => {}
                    _ => drop(other.purchase(person, drop_id).await.expect_status(200)),
                }
            }
        }),
    );
    let run = async {
        for round in 0..5 {
            let api: &Api = if round % 2 == 0 { &node } else { &other };
            post(api, drop_id, "stock", json!({ "size": "US 9", "add": 3 })).await;
            post(api, drop_id, "stock", json!({ "size": format!("US {}", 10 + round), "add": 1, "newSize": true }))
                .await;
            post(api, drop_id, "stock", json!({ "size": format!("US {}", 10 + round), "takeBack": 1 })).await;
            let proof = prove(api, drop_id).await;
            assert_eq!((&proof["balanced"], broken(&proof)), (&json!(true), vec![]), "{proof}");
        }
    };
    tokio::join!(shop, run);
    let cancelled = query_number(&db, "select min(id) from purchases").await;
    post(&node, drop_id, &format!("purchases/{cancelled}/cancel"), json!({ "reason": "Paid twice" })).await;
    let overdue = "select count(*) from reservations where status = 'active' and expires_at <= clock_timestamp()";
    until("what is due expired", async || (query_number(&db, overdue).await == 0).then_some(())).await;

    let proof = prove(&other, drop_id).await;
    assert_eq!((&proof["balanced"], broken(&proof)), (&json!(true), vec![]), "{proof}");
    assert_eq!(proof["sizes"].as_array().map(Vec::len), Some(7));
    let sum = |name: &str| (0..7).map(|size| numbers(&proof, size, name).0).sum::<i64>();
    assert_eq!((sum("cancelled"), sum("total")), (1, 45));
    for (step, stored) in [
        ("sold", "select count(*) from purchases where status = 'completed'"),
        ("held", "select count(*) from reservations where status = 'active'"),
        ("available", "select sum(available_stock) from drop_sizes"),
    ] {
        assert_eq!(sum(step), query_number(&db, stored).await, "{step}");
    }
    let counted = |status: &str| {
        let sizes = proof["sizes"].as_array().expect("a list").iter();
        sizes.map(|size| size["reservations"][status].as_i64().expect("a number")).sum::<i64>()
    };
    assert_eq!(counted("stored"), query_number(&db, "select count(*) from reservations").await);
    for (name, status) in [("expired", "expired"), ("released", "cancelled"), ("completed", "completed")] {
        let count = sqlx::query_scalar("select count(*) from reservations where status = $1").bind(status);
        let count: i64 = count.fetch_one(&db).await.expect("reservations can be counted");
        assert!(count > 0 && counted(name) == count, "{name}: {proof}");
    }
    assert_eq!(proof["version"], query_number(&db, "select version from drops").await);
    assert_eq!(proof["editVersion"], query_number(&db, "select edit_version from drops").await);
    let invariants = proof["invariants"].as_array().expect("a list");
    assert!(invariants.len() >= 8 && invariants.iter().all(|checked| checked["holds"] == true), "{proof}");
    other.stop().await;
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn totals_that_sql_changed_are_in_the_log(db: PgPool) {
    let node = Node::start(&db).await;
    let drop_id = create_drop(&node).await;
    let alice = node.sign_in("alice").await;
    node.reserve_size(&alice, drop_id, "US 8").await.expect_status(201);
    for edit in [
        "update drop_sizes set total_stock = total_stock + 5, available_stock = available_stock + 5",
        "update drop_sizes set total_stock = total_stock - 1, available_stock = available_stock - 1 where label = 'US 8'",
        "insert into drop_sizes (drop_id, label, position, total_stock, available_stock) select id, 'XL', 3, 4, 4 from drops",
        "update drop_sizes set label = 'L' where label = 'XL'",
        "delete from drop_sizes where label = 'US 9'",
    ] {
        sqlx::query(edit).execute(&db).await.unwrap_or_else(|error| panic!("{edit}: {error}"));
        let proof = prove(&node, drop_id).await;
        assert_eq!(proof["balanced"], true, "{edit}: {proof}");
    }
    let proof = prove(&node, drop_id).await;
    let labels: Vec<_> = proof["sizes"].as_array().expect("a list").iter().map(|size| &size["label"]).collect();
    assert_eq!(labels, ["US 8", "L"]);
    let totals: Vec<_> = proof["sizes"][0]["totals"].as_array().expect("a list").iter().collect();
    let changes: Vec<_> = totals.iter().map(|total| (&total["before"], &total["after"])).collect();
    assert_eq!(changes, [(&Value::Null, &json!(20)), (&json!(20), &json!(25)), (&json!(25), &json!(24))]);
    assert_eq!(totals[0]["actor"], "token");
    assert!(totals[1]["actor"].as_str().is_some_and(|actor| actor.starts_with("sql ")), "{proof}");
    node.stop_and_assert_invariants().await;
}

/// As an earlier release creates them, which runs on for a while during an upgrade, and as people do by SQL.
#[sqlx::test]
async fn drops_that_nobody_logged_are_recorded(db: PgPool) {
    let node = Node::start(&db).await;
    let insert_drop = "insert into drops (name, price_cents) values ('Slab Skate', 100)";
    let insert_sizes = "insert into drop_sizes (drop_id, label, position, total_stock, available_stock)
                        select max(id), 'US 9', 1, 7, 7 from drops";
    let as_the_server = "set local sneakdrop.writes_versions = 'on'";
    for statements in [
        format!("begin; {as_the_server}; {insert_drop}; {insert_sizes}; commit"),
        format!("begin; {insert_drop}; {insert_sizes}; commit"),
        // One transaction after the other.
        format!("begin; {insert_drop}; commit; begin; {insert_sizes}; commit"),
        format!("begin; {as_the_server}; {insert_drop}; commit; begin; {insert_sizes}; commit"),
    ] {
        sqlx::raw_sql(AssertSqlSafe(statements.clone()))
            .execute(&db)
            .await
            .unwrap_or_else(|error| panic!("{statements}: {error}"));
        let drop_id = query_number(&db, "select max(id) from drops").await;
        let proof = prove(&node, drop_id).await;
        assert_eq!((&proof["balanced"], broken(&proof)), (&json!(true), vec![]), "{statements}: {proof}");
        assert_eq!(numbers(&proof, 0, "total"), (7, 7), "{statements}");
    }
    // What the server creates is logged once.
    let drop_id = create_drop(&node).await;
    assert_eq!(prove(&node, drop_id).await["sizes"][0]["totals"].as_array().map(Vec::len), Some(1));
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn tampering_is_shown_with_its_size_and_step(db: PgPool) {
    let node = Node::start(&db).await;
    let (drop_id, other_drop) = (create_drop(&node).await, create_drop(&node).await);
    let desk = Desk::sign_in(&node).await;
    let buyers = create_people(&db, 3).await;
    for buyer in &buyers {
        node.reserve_size(buyer, drop_id, "US 9").await.expect_status(201);
    }
    for buyer in &buyers[1..] {
        node.purchase(buyer, drop_id).await.expect_status(200);
    }
    let purchase_id = query_number(&db, "select min(id) from purchases").await;
    post(&node, drop_id, &format!("purchases/{purchase_id}/cancel"), json!({ "reason": "Paid twice" })).await;
    let page_of = async || desk.get(&format!("/admin/drops/{drop_id}/proof")).await.expect_status(200).text;
    assert!(page_of().await.contains("The stock adds up"));
    // What is done, what undoes it, and the steps that show it.
    for (change, undo, steps) in [
        (
            "available_stock = available_stock - 1",
            "available_stock = available_stock + 1",
            vec!["available", "balance"],
        ),
        (
            "total_stock = total_stock + 1, available_stock = available_stock + 1",
            "total_stock = total_stock - 1, available_stock = available_stock - 1",
            vec!["total", "available", "balance"],
        ),
        ("held_stock = held_stock - 1", "held_stock = held_stock + 1", vec!["held", "balance"]),
    ] {
        tamper(&db, &format!("update drop_sizes set {change} where drop_id = {drop_id} and label = 'US 9'")).await;
        let proof = prove(&node, drop_id).await;
        assert_eq!((&proof["balanced"], broken(&proof)), (&json!(false), vec![("US 9", steps)]), "{change}");
        let violated = proof["invariants"].as_array().expect("a list").iter().find(|checked| checked["holds"] == false);
        let example = violated.and_then(|checked| checked["examples"][0].as_str()).unwrap_or_default();
        assert!(example.contains(&format!("drop {drop_id}, US 9")), "{proof}");
        let page = page_of().await;
        assert!(page.contains("The stock does not add up") && page.contains("by the tables,"), "{page}");
        assert_eq!(prove(&node, other_drop).await["balanced"], true);
        tamper(&db, &format!("update drop_sizes set {undo} where drop_id = {drop_id} and label = 'US 9'")).await;
        assert_eq!(prove(&node, drop_id).await["balanced"], true, "{undo}");
    }
    for (change, undo, steps) in [
        // A cancellation that is in no log.
        (
            "status = 'cancelled', cancelled_at = now(), cancel_reason = 'none' where status = 'completed'",
            "status = 'completed', cancelled_at = null, cancel_reason = null where cancel_reason = 'none'",
            vec!["cancelled", "sold", "balance"],
        ),
        // And one that is only in the log.
        (
            "status = 'completed', cancelled_at = null, cancel_reason = null where status = 'cancelled'",
            "status = 'cancelled', cancelled_at = now(), cancel_reason = 'Paid twice' where id = (select min(id) from purchases)",
            vec!["cancelled", "sold", "balance"],
        ),
    ] {
        tamper(&db, &format!("update purchases set {change}")).await;
        assert_eq!(broken(&prove(&node, drop_id).await), [("US 9", steps)], "{change}");
        tamper(&db, &format!("update purchases set {undo}")).await;
        assert_eq!(prove(&node, drop_id).await["balanced"], true, "{undo}");
    }
    tamper(&db, &format!("delete from drop_sizes where drop_id = {drop_id} and label = 'US 8'")).await;
    let lost = prove(&node, drop_id).await;
    assert_eq!(broken(&lost), [("US 8", vec!["total", "available", "balance"])]);
    let restore = "insert into drop_sizes (drop_id, label, position, total_stock, available_stock)
                   select min(id), 'US 8', 1, 20, 20 from drops";
    tamper(&db, restore).await;

    // What nobody logged, and then what somebody logged: the end is right, the way to it is not.
    let add = format!(
        "update drop_sizes set total_stock = 21, available_stock = 21 where drop_id = {drop_id} and label = 'US 8'"
    );
    tamper(&db, &add).await;
    post(&node, drop_id, "stock", json!({ "size": "US 8", "add": 1 })).await;
    let proof = prove(&node, drop_id).await;
    assert_eq!((&proof["balanced"], broken(&proof)), (&json!(false), vec![("US 8", vec![])]));
    let last = proof["sizes"][0]["totals"].as_array().and_then(|totals| totals.last()).expect("a change");
    assert_eq!((&last["before"], &last["after"], &last["agrees"]), (&json!(21), &json!(22), &json!(false)));
    let sentence =
        format!("change {} of the log begins with 21 pairs, but the one before ended with 20 pairs", last["changeId"]);
    let page = page_of().await;
    assert!(page.contains(&sentence), "{page}");
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn pruned_reservations_take_nothing_from_the_proof(db: PgPool) {
    let node = Node::start(&db).await;
    let drop_id = create_drop(&node).await;
    let people = create_people(&db, 9).await;
    for (index, person) in people.iter().enumerate() {
        let reservation_id = node.reserve_size(person, drop_id, "US 9").await.expect_status(201).reservation_id();
        match index % 3 {
            0 => drop(node.release(person, drop_id).await.expect_status(200)),
            1 => drop(node.purchase(person, drop_id).await.expect_status(200)),
            _ => expire_now(&db, reservation_id).await,
        }
    }
    until_nothing_is_held(&db).await;
    let reservations = |proof: &Value| proof["sizes"][1]["reservations"].clone();
    let before = prove(&node, drop_id).await;
    let counts = json!({ "stored": 9, "active": 0, "completed": 3, "expired": 3, "released": 3 });
    assert_eq!((&before["balanced"], reservations(&before)), (&json!(true), counts));
    let prune = "delete from reservations where status in ('expired', 'cancelled')";
    sqlx::query(prune).execute(&db).await.expect("nothing refers to them");
    let after = prove(&node, drop_id).await;
    let counts = json!({ "stored": 3, "active": 0, "completed": 3, "expired": 0, "released": 0 });
    assert_eq!((&after["balanced"], reservations(&after)), (&json!(true), counts));
    assert_eq!(after["sizes"][1]["steps"], before["sizes"][1]["steps"]);
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn only_the_admin_proves_and_no_lock_is_waited_for(db: PgPool) {
    let node = Node::start(&db).await;
    let drop_id = create_drop(&node).await;
    let alice = node.sign_in("alice").await;
    let path = format!("/api/drops/{drop_id}/proof");
    node.get(&path).await.expect_error(401, "unauthorized");
    send(node.request(Method::GET, &path).bearer_auth(&alice.token)).await.expect_error(401, "unauthorized");
    let unknown = node.request(Method::GET, &format!("/api/drops/{}/proof", drop_id + 1)).bearer_auth(ADMIN_TOKEN);
    send(unknown).await.expect_error(404, "not_found");
    for path in ["proof", "proof.json"] {
        let path = format!("/admin/drops/{drop_id}/{path}");
        node.get(&path).await.expect_status(303);
        Desk::sign_in(&node).await.get(&path.replace(&drop_id.to_string(), "999")).await.expect_status(404);
    }
    let lock = lock_drop(&db, drop_id).await;
    let proof = prove(&node, drop_id).await;
    assert_eq!(proof["balanced"], true);
    let file = Desk::sign_in(&node).await.get(&format!("/admin/drops/{drop_id}/proof.json")).await.expect_status(200);
    assert_eq!(file.header("content-disposition"), format!("attachment; filename=\"drop-{drop_id}-proof.json\""));
    assert_eq!(file.json["sizes"], proof["sizes"]);
    let proved_at = |proof: &Value| proof["provedAt"].as_str().expect("a time").to_owned();
    let now: String =
        sqlx::query_scalar("select to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')")
            .fetch_one(&db)
            .await
            .expect("the clock can be read");
    assert!(proved_at(&proof) < proved_at(&file.json) && proved_at(&file.json) < now, "{proof} {now}");
    lock.rollback().await.expect("the transaction can be rolled back");
    node.stop_and_assert_invariants().await;
}
