//! `/drops/{id}.ics`: the opening of a drop in people's calendars.

use crate::support::{ADMIN_TOKEN, Node, id_of, new_drop, send};
use reqwest::{Method, header};
use serde_json::{Value, json};
use sqlx::PgPool;

/// The lines of a drop's calendar, each with its name.
async fn calendar(node: &Node, drop_id: i64, host: &str) -> Vec<String> {
    let request = node.request(Method::GET, &format!("/drops/{drop_id}.ics")).header(header::HOST, host);
    let answer = send(request).await.expect_status(200);
    assert_eq!(answer.header("content-type"), "text/calendar; charset=utf-8");
    answer.text.split("\r\n").map(str::to_owned).collect()
}

fn value(calendar: &[String], name: &str) -> String {
    let mut values = calendar.iter().filter_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    values.next().unwrap_or_else(|| panic!("no {name} in {calendar:?}")).to_owned()
}

fn sequence(calendar: &[String]) -> i64 {
    value(calendar, "SEQUENCE").parse().expect("a number")
}

async fn act(node: &Node, drop_id: i64, action: &str) {
    node.post(&format!("/api/drops/{drop_id}/{action}"), ADMIN_TOKEN, json!({})).await.expect_status(200);
}

#[sqlx::test]
async fn opening_of_a_long_sale_takes_nobodys_time_and_is_the_same_entry_under_every_host(db: PgPool) {
    let node = Node::start(&db).await;
    let (starts_at, ends_at) = ("2100-01-01T18:00:00Z", "2100-01-22T18:00:00Z");
    let drop_id = id_of(&node.create_drop(new_drop(&json!({ "startsAt": starts_at, "endsAt": ends_at }))).await);
    let [here, there] = [calendar(&node, drop_id, "shop.test").await, calendar(&node, drop_id, "10.0.0.1:3000").await];
    assert_eq!(value(&here, "UID"), value(&there, "UID"));
    assert_eq!([value(&here, "DTSTART"), value(&here, "DTEND")], ["21000101T180000Z", "21000101T181500Z"]);
    assert_eq!([value(&here, "TRANSP"), value(&here, "STATUS")], ["TRANSPARENT", "CONFIRMED"]);
    assert_eq!(value(&here, "URL"), format!("http://shop.test/drops/{drop_id}"));

    let edit = json!({ "startsAt": "9999-12-31T23:59:59.5Z", "endsAt": null, "editVersion": 1 });
    let edit = node.request(Method::PATCH, &format!("/api/drops/{drop_id}")).bearer_auth(ADMIN_TOKEN).json(&edit);
    send(edit).await.expect_status(200);
    let later = calendar(&node, drop_id, "shop.test").await;
    assert_eq!(value(&later, "UID"), value(&here, "UID"));
    assert!(sequence(&later) > sequence(&here), "{later:?}");
    assert_eq!([value(&later, "DTSTART"), value(&later, "DTEND")], ["99991231T234459Z", "99991231T235959Z"]);
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn drop_that_was_called_off_is_cancelled_and_one_that_never_was_shown_is_unknown(db: PgPool) {
    let node = Node::start(&db).await;
    let mut drops = vec![];
    for _ in 0..3 {
        let upcoming = new_drop(&json!({ "startsAt": "2100-01-01T18:00:00Z" }));
        let drop_id = id_of(&node.create_drop(upcoming).await);
        drops.push((drop_id, calendar(&node, drop_id, "shop.test").await));
    }
    let [unpublished, archived, deleted] = [drops[0].0, drops[1].0, drops[2].0];
    act(&node, unpublished, "unpublish").await;
    act(&node, archived, "unpublish").await;
    act(&node, archived, "archive").await;
    sqlx::query("delete from drops where id = $1").bind(deleted).execute(&db).await.expect("nobody has a pair");
    for (drop_id, before) in &drops {
        let after = calendar(&node, *drop_id, "other.test").await;
        for name in ["UID", "DTSTART", "SUMMARY"] {
            assert_eq!(value(&after, name), value(before, name), "{drop_id}");
        }
        assert_eq!(value(&after, "STATUS"), "CANCELLED");
        assert!(sequence(&after) > sequence(before), "{after:?}");
        assert!(!after.contains(&"BEGIN:VALARM".to_owned()), "{after:?}");
    }
    act(&node, unpublished, "publish").await;
    let again = calendar(&node, unpublished, "shop.test").await;
    assert_eq!(value(&again, "STATUS"), "CONFIRMED");

    let draft = id_of(&node.create_drop(new_drop(&json!({ "draft": true }))).await);
    let hidden = id_of(&node.create_drop(new_drop(&json!({ "draft": true }))).await);
    act(&node, hidden, "archive").await;
    for unknown in [draft, hidden, 99, 0] {
        node.get(&format!("/drops/{unknown}.ics")).await.expect_status(404);
    }
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn what_is_edited_while_a_drop_is_hidden_is_in_no_calendar(db: PgPool) {
    let node = Node::start(&db).await;
    let edit = async |drop_id: i64, edit: Value| {
        let drop = node.request(Method::GET, &format!("/api/drops/{drop_id}")).bearer_auth(ADMIN_TOKEN);
        let mut edit = edit;
        edit["editVersion"] = send(drop).await.expect_status(200).json["drop"]["editVersion"].clone();
        let request = node.request(Method::PATCH, &format!("/api/drops/{drop_id}")).bearer_auth(ADMIN_TOKEN);
        send(request.json(&edit)).await.expect_status(200);
    };
    let shown = async |drop_id: i64| {
        let calendar = calendar(&node, drop_id, "shop.test").await;
        ["STATUS", "SUMMARY", "DTSTART", "DESCRIPTION"].map(|name| value(&calendar, name))
    };
    for (edits_before, deletes) in [(0, false), (1, false), (2, false), (0, true), (2, true)] {
        let upcoming = json!({ "name": "First", "priceCents": 100, "startsAt": "2100-01-01T18:00:00Z" });
        let drop_id = id_of(&node.create_drop(new_drop(&upcoming)).await);
        for number in 0..edits_before {
            edit(drop_id, json!({ "name": format!("Shown {number}"), "startsAt": "2100-02-02T18:00:00Z" })).await;
        }
        let [_, name, starts_at, description] = shown(drop_id).await;
        let called_off = ["CANCELLED".to_owned(), name, starts_at, description];
        act(&node, drop_id, "unpublish").await;
        assert_eq!(shown(drop_id).await, called_off);
        for secret in ["Secret", "More secret"] {
            edit(drop_id, json!({ "name": secret, "priceCents": 1, "startsAt": "2100-03-03T18:00:00Z" })).await;
            assert_eq!(shown(drop_id).await, called_off, "after {edits_before} edits");
        }
        if deletes {
            sqlx::query("delete from drops where id = $1").bind(drop_id).execute(&db).await.expect("nobody has a pair");
            assert_eq!(shown(drop_id).await, called_off, "after {edits_before} edits");
            continue;
        }
        act(&node, drop_id, "publish").await;
        assert_eq!(shown(drop_id).await[..2], ["CONFIRMED", "More secret"]);
        edit(drop_id, json!({ "name": "Shown again" })).await;
        act(&node, drop_id, "unpublish").await;
        assert_eq!(shown(drop_id).await[..2], ["CANCELLED", "Shown again"]);
    }
    node.stop_and_assert_invariants().await;
}
