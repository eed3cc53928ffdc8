//! The desk's forms: a drop is made, changed and steered in a browser without scripts.

use crate::support::{Answer, Desk, Node, id_of, new_drop, query_number, send};
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::PgPool;

/// A filled-in form, with some fields replaced. Fields without a value are left out.
fn form<'a>(changes: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let filled = [
        ("name", "Night Market Low"),
        ("description", "Suede.\r\n\r\n\r\nGum sole."),
        ("price", "149.50"),
        ("startsAt", ""),
        ("endsAt", ""),
        ("limitPerUser", ""),
        ("imageUrl", ""),
        ("do", "publish"),
    ];
    let is_replaced = |name: &str| changes.iter().any(|(changed, _)| *changed == name);
    let sizes = [("sizeLabel", "US 9"), ("sizeStock", "12"), ("sizeLabel", "US 10"), ("sizeStock", "8")];
    let kept = filled.into_iter().chain(sizes).filter(|(name, _)| !is_replaced(name));
    kept.chain(changes.iter().copied()).collect()
}

/// The id in the address of a drop's page, to which an answer leads.
fn created(answer: &Answer) -> i64 {
    answer.header("location").rsplit('/').next().and_then(|id| id.parse().ok()).expect("the page of a drop")
}

async fn managed(desk: &Desk<'_>, node: &Node, drop_id: i64) -> Value {
    let request = node.request(Method::GET, &format!("/api/drops/{drop_id}")).bearer_auth(crate::support::ADMIN_TOKEN);
    desk.get(&format!("/admin/drops/{drop_id}")).await.expect_status(200);
    send(request).await.expect_status(200).json["drop"].take()
}

/// The edit version that a page's forms name.
fn edit_version(page: &str) -> String {
    let (_, rest) = page.split_once("name=\"editVersion\" value=\"").expect("a form with an edit version");
    rest.split('"').next().unwrap_or_default().to_owned()
}

#[sqlx::test]
async fn drop_is_made_as_a_draft_published_and_duplicated(db: PgPool) {
    let node = Node::start(&db).await;
    let desk = Desk::sign_in(&node).await;
    desk.get("/admin/drops/new").await.expect_status(200);
    let drop_id = created(&desk.post("/admin/drops", &form(&[("do", "draft")])).await.expect_status(303));
    let draft = managed(&desk, &node, drop_id).await;
    assert_eq!((&draft["status"], &draft["price_cents"]), (&json!("draft"), &json!(14_950)));
    assert_eq!(draft["description"], "Suede.\n\nGum sole.");
    assert_eq!(draft["sizes"][1], json!({ "label": "US 10", "total_stock": 8, "available_stock": 8 }));
    desk.post(&format!("/admin/drops/{drop_id}/publish"), &[]).await.expect_status(303);
    assert_eq!(managed(&desk, &node, drop_id).await["status"], "published");
    let copy = desk.get(&format!("/admin/drops/new?from={drop_id}")).await.expect_status(200).text;
    for copied in ["value=\"Night Market Low\"", "value=\"149.50\"", "value=\"US 10\"", "value=\"8\""] {
        assert!(copy.contains(copied), "{copied} is missing: {copy}");
    }
    // Who made it is in the log.
    assert_eq!(query_number(&db, "select count(*) from drop_changes where actor = 'session 1'").await, 2);
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn form_that_is_sent_twice_makes_one_drop(db: PgPool) {
    let node = Node::start(&db).await;
    let desk = Desk::sign_in(&node).await;
    let form_of = |page: &str| {
        let (_, rest) = page.split_once("name=\"form\" value=\"").expect("each form has a value of its own");
        rest.split('"').next().unwrap_or_default().to_owned()
    };
    let page = desk.get("/admin/drops/new").await.text;
    let this_form = form_of(&page);
    let send = async |changes: &[(&str, &str)]| {
        let changes = [changes, &[("form", &*this_form)]].concat();
        created(&desk.post("/admin/drops", &form(&changes)).await.expect_status(303))
    };
    // At the same time, as by a double click.
    let (drop_id, again) = tokio::join!(send(&[("do", "draft")]), send(&[("do", "draft")]));
    assert_eq!(drop_id, again);
    assert_eq!(send(&[("do", "draft")]).await, drop_id, "after going back, too");
    let published = send(&[("do", "publish")]).await;
    assert_eq!(managed(&desk, &node, published).await["status"], "published", "what was pressed is what happens");
    let other = send(&[("name", "Day Market Low")]).await;
    assert!(other != drop_id && other != published, "what was changed is another drop");
    // A refused form is the same one still; another page has another.
    let refused =
        desk.post("/admin/drops", &form(&[("price", "cheap"), ("form", &*this_form)])).await.expect_status(400);
    assert_eq!(form_of(&refused.text), this_form);
    assert_ne!(form_of(&desk.get("/admin/drops/new").await.text), this_form);
    assert_eq!(query_number(&db, "select count(*) from drops").await, 3);
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn every_bad_field_is_named_at_once_and_nothing_typed_is_lost(db: PgPool) {
    let node = Node::start(&db).await;
    let desk = Desk::sign_in(&node).await;
    let bad = [
        ("name", " "),
        ("price", "12.345"),
        ("startsAt", "2030-02-30T10:00"),
        ("endsAt", "soon"),
        ("limitPerUser", "0"),
        ("imageUrl", "ftp://x"),
        ("sizeLabel", "\u{200b}"),
        ("sizeStock", "many"),
    ];
    let page = desk.post("/admin/drops", &form(&bad)).await.expect_status(400).text;
    for field in ["name", "price", "startsAt", "endsAt", "limitPerUser", "imageUrl", "sizes-0--label", "sizes-0--stock"]
    {
        assert!(page.contains(&format!("href=\"#{field}\"")), "no problem leads to {field}: {page}");
        assert!(page.contains(&format!("id=\"{field}\"")), "{field} has no input: {page}");
    }
    for typed in ["12.345", "ftp://x", "many", "Gum sole."] {
        assert!(page.contains(typed), "{typed} was lost: {page}");
    }
    for (changes, problem) in [
        (vec![("sizeLabel", "US 9"), ("sizeLabel", "us 9")], "The name of size 2 is there twice."),
        (vec![("startsAt", "2030-01-02T10:00"), ("endsAt", "2030-01-01T10:00")], "End must be after the start."),
        (vec![("endsAt", "2001-01-01T10:00")], "End must be after the start."),
    ] {
        let page = desk.post("/admin/drops", &form(&changes)).await.expect_status(400).text;
        assert!(page.contains(problem), "{problem} is missing: {page}");
    }
    assert_eq!(query_number(&db, "select count(*) from drops").await, 0);
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn times_are_those_of_the_browsers_zone(db: PgPool) {
    let node = Node::start(&db).await;
    let desk = Desk::sign_in(&node).await;
    let cookie = format!("{}; sneakdrop_zone=America/New_York", desk.cookie);
    let times = form(&[("startsAt", "2030-07-01T10:00"), ("endsAt", "2030-12-01T10:00")]);
    let post = node.request(Method::POST, "/admin/drops").header("cookie", &cookie).form(&times);
    let drop_id = created(&send(post).await.expect_status(303));
    let drop = managed(&desk, &node, drop_id).await;
    assert_eq!(
        (&drop["starts_at"], &drop["ends_at"]),
        (&json!("2030-07-01T14:00:00Z"), &json!("2030-12-01T15:00:00Z"))
    );
    let path = format!("/admin/drops/{drop_id}/edit");
    let page = send(node.request(Method::GET, &path).header("cookie", &cookie)).await.expect_status(200).text;
    assert!(page.contains("value=\"2030-07-01T10:00\"") && page.contains("America/New_York"), "{page}");
    // What is no zone counts as none.
    let forged = format!("{}; sneakdrop_zone=<script>", desk.cookie);
    let page = send(node.request(Method::GET, &path).header("cookie", &forged)).await.expect_status(200).text;
    assert!(page.contains("value=\"2030-07-01T14:00\""), "{page}");
    // A time that nobody touched stays as exact as it is.
    let exact = "update drops set starts_at = '2030-07-01 14:00:30.5Z'";
    sqlx::query(exact).execute(&db).await.expect("a valid start");
    let page = desk.get(&path).await.expect_status(200).text;
    let version = edit_version(&page);
    let unchanged = form(&[("startsAt", "2030-07-01T14:00"), ("endsAt", ""), ("editVersion", &version)]);
    desk.post(&path, &unchanged).await.expect_status(303);
    let drop = managed(&desk, &node, drop_id).await;
    assert_eq!((&drop["starts_at"], &drop["ends_at"]), (&json!("2030-07-01T14:00:30.500Z"), &Value::Null));
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn second_editor_sees_what_changed_and_can_save_all_the_same(db: PgPool) {
    let node = Node::start(&db).await;
    let (desk, other) = (Desk::sign_in(&node).await, Desk::sign_in(&node).await);
    let drop_id = created(&desk.post("/admin/drops", &form(&[])).await.expect_status(303));
    let path = format!("/admin/drops/{drop_id}/edit");
    let version = edit_version(&desk.get(&path).await.expect_status(200).text);
    other.post(&path, &form(&[("price", "99"), ("editVersion", &version)])).await.expect_status(303);
    let second = form(&[("name", "Second"), ("editVersion", &version)]);
    let page = desk.post(&path, &second).await.expect_status(409).text;
    assert!(page.contains("Somebody else edited this drop") && page.contains("session 2"), "{page}");
    assert!(page.contains("value=\"Second\""), "what was typed is lost: {page}");
    assert_eq!(managed(&desk, &node, drop_id).await["name"], "Night Market Low");
    let version = edit_version(&page);
    let again = form(&[("name", "Second"), ("editVersion", &version)]);
    desk.post(&path, &again).await.expect_status(303);
    assert_eq!(managed(&desk, &node, drop_id).await["name"], "Second");
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn drop_is_steered_by_buttons(db: PgPool) {
    let node = Node::start(&db).await;
    let desk = Desk::sign_in(&node).await;
    let drop_id = created(&desk.post("/admin/drops", &form(&[])).await.expect_status(303));
    let alice = node.sign_in("alice").await;
    let path = format!("/admin/drops/{drop_id}");
    let act = async |action: &str| desk.post(&format!("{path}/{action}"), &[]).await;
    act("pause").await.expect_status(303);
    assert!(desk.get(&path).await.text.contains("Resume sales"));
    node.reserve_size(&alice, drop_id, "US 9").await.expect_error(409, "paused");
    act("resume").await.expect_status(303);
    node.reserve_size(&alice, drop_id, "US 9").await.expect_status(201);
    let refused = act("archive").await.expect_status(409).text;
    assert!(refused.contains("role=\"alert\"") && refused.contains("The drop is not over"), "{refused}");
    let version = edit_version(&desk.get(&path).await.text);
    let stock = format!("{path}/stock");
    let add = [("editVersion", &*version), ("size", "US 9"), ("pairs", " 10 "), ("do", "add")];
    desk.post(&stock, &add).await.expect_status(303);
    desk.post(&stock, &add).await.expect_status(409);
    assert_eq!(query_number(&db, "select sum(total_stock) from drop_sizes where label = 'US 9'").await, 22);
    let version = edit_version(&desk.get(&path).await.text);
    for (size, pairs, button, problem) in [
        ("US 9", "22", "takeBack", "Only 21 pairs of this size are available"),
        ("US 9", "-1", "add", "Pairs must be"),
        ("us 9", "1", "addSize", "The drop has this size already"),
        ("", "1", "addSize", "Size must be"),
    ] {
        let form = [("editVersion", &*version), ("size", size), ("pairs", pairs), ("do", button)];
        let page = desk.post(&stock, &form).await.text;
        assert!(page.contains(problem), "{problem} is missing: {page}");
    }
    act("end").await.expect_status(303);
    node.purchase(&alice, drop_id).await.expect_status(200);
    act("archive").await.expect_status(303);
    assert!(desk.get(&path).await.expect_status(200).text.contains("Archived"));
    act("explode").await.expect_error(404, "not_found");
    desk.post("/admin/drops/99/pause", &[]).await.expect_status(404);
    desk.get("/admin/drops/99").await.expect_status(404);
    desk.get("/admin/drops/x").await.expect_status(404);
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn preview_shows_what_was_typed_in_every_state_and_changes_rows(db: PgPool) {
    let node = Node::start(&db).await;
    let desk = Desk::sign_in(&node).await;
    let typed = form(&[("name", "<b>Bold</b>"), ("price", "not yet"), ("rows", "add")]);
    let page = desk.post("/admin/drops/preview", &typed).await.expect_status(200).text;
    assert_eq!(page.matches("<article").count(), 8);
    for state in ["upcoming", "open", "held", "bought", "paused", "all-reserved", "sold-out", "ended"] {
        assert!(page.contains(&format!("data-state=\"{state}\"")), "{state} is missing");
    }
    assert!(page.contains("&lt;b>Bold&lt;/b>") || page.contains("&lt;b&gt;Bold&lt;/b&gt;"), "{page}");
    assert_eq!(page.matches("name=\"sizeLabel\"").count(), 3);
    assert_eq!(query_number(&db, "select count(*) from drops").await, 0);
    // Of a published drop the preview has the sizes that there are.
    let drop_id = id_of(&node.create_drop(new_drop(&json!({ "totalStock": 7 }))).await);
    let page = desk.get(&format!("/admin/drops/{drop_id}/edit")).await.expect_status(200).text;
    assert!(page.contains("7 of 7 left"), "{page}");
    node.stop_and_assert_invariants().await;
}
