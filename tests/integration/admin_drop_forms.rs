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
    let page = answer.header("location").trim_end_matches("?done").rsplit('/').next();
    page.and_then(|id| id.parse().ok()).expect("the page of a drop")
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

/// What the form of a drop showed when it was opened.
fn was(page: &str) -> String {
    let (_, rest) = page.split_once("name=\"was\" value=\"").expect("a form of a drop that there is");
    let value = rest.split('"').next().unwrap_or_default();
    value.replace("&quot;", "\"").replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

/// Presses a button of a drop's page as it is now.
async fn press(desk: &Desk<'_>, path: &str, action: &str) -> Answer {
    let version = edit_version(&desk.get(path).await.expect_status(200).text);
    desk.post(&format!("{path}/{action}"), &[("editVersion", &version)]).await
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
    press(&desk, &format!("/admin/drops/{drop_id}"), "publish").await.expect_status(303);
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
        (
            vec![("sizeLabel", "US 9"), ("sizeLabel", "us 9")],
            "The name of size 2 is there twice, or looks the same as another.",
        ),
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
    let was = was(&page);
    let unchanged = form(&[("startsAt", "2030-07-01T14:00"), ("endsAt", ""), ("was", &was)]);
    desk.post(&path, &unchanged).await.expect_status(303);
    let drop = managed(&desk, &node, drop_id).await;
    assert_eq!((&drop["starts_at"], &drop["ends_at"]), (&json!("2030-07-01T14:00:30.500Z"), &Value::Null));
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn form_is_read_in_the_zone_in_which_it_was_shown(db: PgPool) {
    let node = Node::start(&db).await;
    let desk = Desk::sign_in(&node).await;
    let drop_id = created(&desk.post("/admin/drops", &form(&[("startsAt", "2030-01-01T10:00")])).await);
    let path = format!("/admin/drops/{drop_id}/edit");
    let in_zone = |method, path: &str, zone: &str| {
        node.request(method, path).header("cookie", format!("{}; sneakdrop_zone={zone}", desk.cookie))
    };
    for (shown_in, then, ends_at) in [
        ("Europe/Berlin", "America/New_York", "2030-07-01T10:00:00Z"),
        ("Pacific/Auckland", "UTC", "9999-12-31T23:59:59Z"),
        ("Pacific/Kiritimati", "Pacific/Pago_Pago", "9999-12-31T11:00:00.000001Z"),
        ("America/New_York", "Asia/Kolkata", "9999-12-31T23:59:59.999999Z"),
    ] {
        let set = "update drops set starts_at = '2030-01-01T09:30:15Z', ends_at = $1::text::timestamptz";
        sqlx::query(set).bind(ends_at).execute(&db).await.expect("the times are valid");
        let before = managed(&desk, &node, drop_id).await;
        let page = send(in_zone(Method::GET, &path, shown_in)).await.expect_status(200).text;
        assert!(page.contains(&format!("name=\"zone\" value=\"{shown_in}\"")), "{page}");
        let value = |name: &str| {
            let (_, rest) = page.split_once(&format!("id=\"{name}\" name=\"{name}\"")).expect("the field");
            let (_, rest) = rest.split_once("value=\"").expect("its value");
            rest.split('"').next().unwrap_or_default().to_owned()
        };
        let (starts_at, ends_at, was) = (value("startsAt"), value("endsAt"), was(&page));
        let name = format!("Renamed in {shown_in}");
        let changes =
            [("name", &*name), ("startsAt", &*starts_at), ("endsAt", &*ends_at), ("zone", shown_in), ("was", &*was)];
        // Meanwhile another tab has set another zone.
        send(in_zone(Method::POST, &path, then).form(&form(&changes))).await.expect_status(303);
        let after = managed(&desk, &node, drop_id).await;
        assert_eq!(after["name"], *name);
        for field in ["starts_at", "ends_at"] {
            assert_eq!(after[field], before[field], "{field} in {shown_in}");
        }
        // Previews and refusals show it in the zone of the form, too.
        for path in ["/admin/drops/preview", "/admin/drops"] {
            let again = [&changes[..], &[("price", "cheap")]].concat();
            let page = send(in_zone(Method::POST, path, then).form(&form(&again))).await.text;
            assert!(page.contains(&format!("name=\"zone\" value=\"{shown_in}\"")), "{page}");
            assert!(page.contains(&format!("Times are in the time zone {shown_in}.")), "{page}");
        }
    }
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn time_that_clocks_show_twice_is_chosen_and_one_that_they_skip_is_refused(db: PgPool) {
    let node = Node::start(&db).await;
    let desk = Desk::sign_in(&node).await;
    let post = async |changes: &[(&str, &str)]| {
        let changes = [&[("zone", "Europe/Berlin"), ("startsAt", "2030-10-27T02:30")], changes].concat();
        desk.post("/admin/drops", &form(&changes)).await
    };
    let refused = post(&[]).await.expect_status(400).text;
    assert!(refused.contains("Start comes twice"), "{refused}");
    for choice in ["02:30 CEST (UTC+02:00)", "02:30 CET (UTC+01:00)"] {
        assert!(refused.contains(choice), "{choice} is no choice: {refused}");
    }
    for (offset, starts_at, other) in
        [("+02:00", "2030-10-27T00:30:00Z", "+01:00"), ("+01:00", "2030-10-27T01:30:00Z", "+02:00")]
    {
        let drop_id = created(&post(&[("startsAtOffset", offset)]).await.expect_status(303));
        assert_eq!(managed(&desk, &node, drop_id).await["starts_at"], starts_at);
        // An edit keeps it, and can choose the other.
        let path = format!("/admin/drops/{drop_id}/edit");
        let cookie = format!("{}; sneakdrop_zone=Europe/Berlin", desk.cookie);
        let page = send(node.request(Method::GET, &path).header("cookie", &cookie)).await.expect_status(200).text;
        assert!(page.contains(&format!("name=\"startsAtOffset\" value=\"{offset}\" checked")), "{page}");
        for (chosen, is_kept) in [(offset, true), (other, false)] {
            let was = was(&page);
            let changes = [
                ("startsAt", "2030-10-27T02:30"),
                ("startsAtOffset", chosen),
                ("zone", "Europe/Berlin"),
                ("was", &*was),
            ];
            desk.post(&path, &form(&changes)).await.expect_status(303);
            assert_eq!(managed(&desk, &node, drop_id).await["starts_at"] == starts_at, is_kept);
        }
    }
    let skipped = post(&[("startsAt", ""), ("endsAt", "2030-03-31T02:30")]).await.expect_status(400).text;
    assert!(skipped.contains("End must be a time that clocks show"), "{skipped}");
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn edits_of_two_people_are_merged_and_both_values_of_a_field_that_both_changed_are_shown(db: PgPool) {
    let node = Node::start(&db).await;
    let (desk, other) = (Desk::sign_in(&node).await, Desk::sign_in(&node).await);
    let drop_id = created(&desk.post("/admin/drops", &form(&[])).await.expect_status(303));
    let path = format!("/admin/drops/{drop_id}/edit");
    let opened = async |desk: &Desk<'_>| {
        let page = desk.get(&path).await.expect_status(200).text;
        (edit_version(&page), was(&page))
    };
    let (version, shown) = opened(&desk).await;
    let save = async |desk: &Desk<'_>, version: &str, shown: &str, changes: &[(&str, &str)]| {
        desk.post(&path, &form(&[changes, &[("editVersion", version), ("was", shown)]].concat())).await
    };
    save(&other, &version, &shown, &[("price", "99"), ("limitPerUser", "2")]).await.expect_status(303);
    // What was not touched stays as the other made it.
    save(&desk, &version, &shown, &[("name", "Second")]).await.expect_status(303);
    let drop = managed(&desk, &node, drop_id).await;
    assert_eq!(
        (&drop["name"], &drop["price_cents"], &drop["limit_per_user"]),
        (&json!("Second"), &json!(9_900), &json!(2))
    );
    // What both changed is for the second one to decide.
    let page = save(&desk, &version, &shown, &[("price", "120"), ("endsAt", "2099-01-01T00:00")]).await;
    let page = page.expect_status(409).text;
    for said in [
        "Somebody else edited this drop",
        "session 2",
        "Price is now \u{2068}99\u{2069}.",
        "value=\"120\"",
        "2099-01-01T00:00",
    ] {
        assert!(page.contains(said), "{said} is missing: {page}");
    }
    assert_eq!(managed(&desk, &node, drop_id).await["price_cents"], 9_900);
    let again = [("name", "Second"), ("price", "120"), ("limitPerUser", "2"), ("endsAt", "2099-01-01T00:00")];
    save(&desk, &edit_version(&page), &was(&page), &again).await.expect_status(303);
    let drop = managed(&desk, &node, drop_id).await;
    assert_eq!((&drop["price_cents"], &drop["ends_at"]), (&json!(12_000), &json!("2099-01-01T00:00:00Z")));
    // One's own edits on another page are nobody else's.
    let (version, shown) = opened(&desk).await;
    save(&desk, &version, &shown, &[("price", "1")]).await.expect_status(303);
    let page = save(&desk, &version, &shown, &[("price", "2")]).await.expect_status(409).text;
    assert!(page.contains("You edited this drop on another page") && !page.contains("Somebody else"), "{page}");
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn drop_is_steered_by_buttons(db: PgPool) {
    let node = Node::start(&db).await;
    let desk = Desk::sign_in(&node).await;
    let drop_id = created(&desk.post("/admin/drops", &form(&[])).await.expect_status(303));
    let alice = node.sign_in("alice").await;
    let path = format!("/admin/drops/{drop_id}");
    let act = async |action: &str| press(&desk, &path, action).await;
    act("pause").await.expect_status(303);
    assert!(desk.get(&path).await.text.contains("Resume sales"));
    node.reserve_size(&alice, drop_id, "US 9").await.expect_error(409, "paused");
    act("resume").await.expect_status(303);
    node.reserve_size(&alice, drop_id, "US 9").await.expect_status(201);
    let refused = act("archive").await.expect_status(409).text;
    assert!(refused.contains("role=\"alert\"") && refused.contains("The drop is not over"), "{refused}");
    let stock = format!("{path}/stock");
    let add = [("form", "1"), ("size", "US 9"), ("pairs", " 10 "), ("do", "add")];
    desk.post(&stock, &add).await.expect_status(303);
    assert_eq!(query_number(&db, "select sum(total_stock) from drop_sizes where label = 'US 9'").await, 22);
    for (size, pairs, button, problem) in [
        ("US 9", "22", "takeBack", "Only 21 pairs of this size are available"),
        ("US 9", "-1", "add", "Pairs must be"),
        ("us 9", "1", "addSize", "The drop has this size already"),
        ("", "1", "addSize", "Size must be"),
    ] {
        let form = [("form", "2"), ("size", size), ("pairs", pairs), ("do", button)];
        let page = desk.post(&stock, &form).await.text;
        assert!(page.contains(problem), "{problem} is missing: {page}");
    }
    act("end").await.expect_status(303);
    node.purchase(&alice, drop_id).await.expect_status(200);
    act("archive").await.expect_status(303);
    assert!(desk.get(&path).await.expect_status(200).text.contains("Archived"));
    act("explode").await.expect_error(404, "not_found");
    desk.post("/admin/drops/99/pause", &[("editVersion", "1")]).await.expect_status(404);
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

#[sqlx::test]
async fn page_says_what_is_and_its_buttons_what_they_will_do(db: PgPool) {
    let node = Node::start(&db).await;
    let desk = Desk::sign_in(&node).await;
    let alice = node.sign_in("alice").await;
    let drop_id = created(&desk.post("/admin/drops", &form(&[("do", "draft")])).await.expect_status(303));
    let path = format!("/admin/drops/{drop_id}");
    let assert_says = async |state: &str, buttons: &[&str]| {
        let page = desk.get(&path).await.expect_status(200).text;
        for said in [&[state], buttons].concat() {
            assert!(page.contains(said), "{said} is missing: {page}");
        }
        for untrue in ["see it from now on", "Nobody can reserve. ", "Everybody can reserve again"] {
            assert!(!page.contains(untrue), "{untrue}: {page}");
        }
    };
    assert_says("Nobody sees it yet.", &["Publish and open now", "Shows it to everybody"]).await;
    press(&desk, &path, "publish").await.expect_status(303);
    assert_says("Buyers can reserve.", &["Stops new reservations", "Ends the sale for good"]).await;
    node.reserve_size(&alice, drop_id, "US 9").await.expect_status(201);
    press(&desk, &path, "pause").await.expect_status(303);
    assert_says("nobody can reserve; 1 held pair can still be bought.", &["Lets buyers reserve again"]).await;
    assert_says("Paused at <time", &[]).await;
    press(&desk, &path, "resume").await.expect_status(303);
    press(&desk, &path, "end").await.expect_status(303);
    assert_says("Nobody can reserve; 1 held pair can still be bought.", &[]).await;
    node.purchase(&alice, drop_id).await.expect_status(200);
    assert_says("Nobody can reserve.", &["Takes it out of the shop"]).await;
    press(&desk, &path, "archive").await.expect_status(303);
    assert_says("Buyers do not see it.", &["Shows it in the shop again"]).await;

    let later = form(&[("do", "draft"), ("startsAt", "2099-12-03T10:00")]);
    let later = created(&desk.post("/admin/drops", &later).await.expect_status(303));
    let path = format!("/admin/drops/{later}");
    let page = desk.get(&path).await.expect_status(200).text;
    assert!(page.contains("Publish: opens Thu 3 Dec 2099, 10:00 UTC"), "{page}");
    press(&desk, &path, "publish").await.expect_status(303);
    let page = desk.get(&path).await.expect_status(200).text;
    assert!(page.contains("Buyers see it and can reserve from "), "{page}");
    let new = desk.get(&format!("/admin/drops/new?from={later}")).await.expect_status(200).text;
    assert!(new.contains("Publish and open now"), "{new}");
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn button_of_a_page_that_somebody_else_made_untrue_does_nothing(db: PgPool) {
    let node = Node::start(&db).await;
    let (desk, other) = (Desk::sign_in(&node).await, Desk::sign_in(&node).await);
    let later = form(&[("do", "draft"), ("price", "199")]);
    let drop_id = created(&desk.post("/admin/drops", &later).await.expect_status(303));
    let path = format!("/admin/drops/{drop_id}");
    let edited = async |desk: &Desk<'_>, price: &str| {
        let edit = format!("{path}/edit");
        let was = was(&desk.get(&edit).await.expect_status(200).text);
        desk.post(&edit, &form(&[("price", price), ("was", &was)])).await.expect_status(303);
    };
    for (action, state, is_paused) in
        [("publish", "draft", false), ("pause", "published", false), ("end", "published", true)]
    {
        let version = edit_version(&desk.get(&path).await.expect_status(200).text);
        edited(&other, "19").await;
        let refused =
            desk.post(&format!("{path}/{action}"), &[("editVersion", &version)]).await.expect_status(409).text;
        for said in ["Somebody else edited this drop", "session 2", "<bdi>$199</bdi>", "<bdi>$19</bdi>"] {
            assert!(refused.contains(said), "{said} is missing: {refused}");
        }
        let drop = managed(&desk, &node, drop_id).await;
        assert_eq!(
            (&drop["status"], &drop["paused"], &drop["ends_at"]),
            (&json!(state), &json!(is_paused), &json!(null))
        );
        edited(&desk, "199").await;
        desk.post(&format!("{path}/{action}"), &[]).await.expect_status(400);
        // One's own edits, in another tab or by the first press of a double click, are seen.
        let version = edit_version(&desk.get(&path).await.expect_status(200).text);
        let button = [("editVersion", &*version)];
        desk.post(&format!("{path}/{action}"), &button).await.expect_status(303);
        desk.post(&format!("{path}/{action}"), &button).await.expect_status(303);
    }
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn form_of_pairs_that_is_sent_twice_moves_them_once(db: PgPool) {
    let node = Node::start(&db).await;
    let (desk, other) = (Desk::sign_in(&node).await, Desk::sign_in(&node).await);
    let drop_id = created(&desk.post("/admin/drops", &form(&[])).await.expect_status(303));
    let path = format!("/admin/drops/{drop_id}");
    let number = |page: &str| {
        let (_, rest) = page.split_once("name=\"form\" value=\"").expect("each form has a number of its own");
        rest.split('"').next().unwrap_or_default().to_owned()
    };
    let total = async || query_number(&db, "select sum(total_stock) from drop_sizes").await;
    let mut expected = 20;
    for (size, pairs, button, moved) in
        [("US 9", "5", "add", 5), ("US 9", "3", "takeBack", -3), ("US 11", "2", "addSize", 2)]
    {
        let this_form = number(&desk.get(&path).await.expect_status(200).text);
        // The form needs no version: what somebody else edits meanwhile does not hinder it.
        press(&other, &path, if expected == 20 { "pause" } else { "resume" }).await.expect_status(303);
        let fields = [("form", &*this_form), ("size", size), ("pairs", pairs), ("do", button)];
        let post = async || desk.post(&format!("{path}/stock"), &fields).await.expect_status(303);
        // At the same time, as by a double click, and after going back.
        tokio::join!(post(), post());
        post().await;
        expected += moved;
        assert_eq!(total().await, expected, "{button}");
        let more = [("form", &*this_form), ("size", "US 9"), ("pairs", "7"), ("do", "add")];
        desk.post(&format!("{path}/stock"), &more).await.expect_status(303);
        expected += 7;
        assert_eq!(total().await, expected, "what was changed in between is another act");
    }
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn refused_pairs_keep_what_was_typed(db: PgPool) {
    let node = Node::start(&db).await;
    let desk = Desk::sign_in(&node).await;
    let drop_id = created(&desk.post("/admin/drops", &form(&[])).await.expect_status(303));
    for (size, pairs, button) in [
        ("US 10", "900", "takeBack"),
        ("US 10", "1,00", "add"),
        ("US 10", "7 or 8", "takeBack"),
        ("US 77", "none", "addSize"),
    ] {
        let fields = [("form", "1"), ("size", size), ("pairs", pairs), ("do", button)];
        let page = desk.post(&format!("/admin/drops/{drop_id}/stock"), &fields).await.text;
        let size = match button {
            "addSize" => format!("value=\"{size}\""),
            _ => format!("<option selected>{size}"),
        };
        for kept in [size, format!("value=\"{pairs}\"")] {
            assert!(page.contains(&kept), "{kept} is missing: {page}");
        }
        assert_eq!(page.matches(&format!("value=\"{pairs}\"")).count(), 1);
    }
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn each_press_that_was_heeded_is_answered_in_a_line(db: PgPool) {
    let node = Node::start(&db).await;
    let (desk, other) = (Desk::sign_in(&node).await, Desk::sign_in(&node).await);
    let made = desk.post("/admin/drops", &form(&[("do", "draft")])).await.expect_status(303);
    let path = format!("/admin/drops/{}", created(&made));
    let done = async |desk: &Desk<'_>, answer: Answer| {
        let page = desk.get(answer.expect_status(303).header("location")).await.expect_status(200).text;
        let said = page.split_once("class=\"done\"").and_then(|(_, rest)| rest.split_once('>'));
        said.and_then(|(_, rest)| rest.split_once('<')).map(|(said, _)| said.to_owned())
    };
    assert_eq!(done(&desk, made).await.as_deref(), Some("Saved"));
    let pairs = |size, pairs, button| [("form", ""), ("size", size), ("pairs", pairs), ("do", button)];
    for (action, said) in [("publish", "Published"), ("pause", "Sales paused"), ("resume", "Sales resumed")] {
        assert_eq!(done(&desk, press(&desk, &path, action).await).await.as_deref(), Some(said));
    }
    for (size, number, button, said) in [
        ("US 10", "5", "add", "5 pairs added to US 10"),
        ("US 10", "1", "takeBack", "1 pair taken back from US 10"),
        ("EU 40", "1,000", "addSize", "1,000 pairs added to EU 40"),
    ] {
        let moved = desk.post(&format!("{path}/stock"), &pairs(size, number, button)).await;
        assert_eq!(done(&desk, moved).await.as_deref(), Some(said));
    }
    let edit = format!("{path}/edit");
    let was = was(&desk.get(&edit).await.text);
    let saved = desk.post(&edit, &form(&[("price", "99"), ("was", &was)])).await;
    assert_eq!(done(&desk, saved).await.as_deref(), Some("Saved"));
    // Nobody else did it, and nobody is told by a link of what was done long ago.
    let page = format!("{path}?done");
    assert!(!other.get(&page).await.text.contains("class=\"done\""));
    sqlx::query("alter table drop_changes disable trigger user").execute(&db).await.expect("the triggers");
    let ago = "update drop_changes set created_at = created_at - interval '1 minute'";
    sqlx::query(ago).execute(&db).await.expect("the log");
    assert!(!desk.get(&page).await.text.contains("class=\"done\""));
    assert_eq!(done(&desk, press(&desk, &path, "end").await).await.as_deref(), Some("Sale ended"));
    assert_eq!(done(&desk, press(&desk, &path, "archive").await).await.as_deref(), Some("Archived"));
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn size_that_never_sold_goes_with_its_pairs_and_comes_back_with_others(db: PgPool) {
    let node = Node::start(&db).await;
    let desk = Desk::sign_in(&node).await;
    let drop_id = created(&desk.post("/admin/drops", &form(&[])).await.expect_status(303));
    let stock = format!("/admin/drops/{drop_id}/stock");
    let pairs = async |size, pairs, button| {
        let fields = [("form", ""), ("size", size), ("pairs", pairs), ("do", button)];
        desk.post(&stock, &fields).await.expect_status(303);
    };
    let shown = async || {
        let drops = node.get("/api/drops").await.json;
        let sizes = drops["drops"][0]["sizes"].as_array().expect("the sizes").clone();
        let labels: Vec<_> = sizes.iter().map(|size| size["label"].as_str().unwrap_or_default().to_owned()).collect();
        (labels, node.get("/").await.text.contains("US 10"))
    };
    let [alice, bob] = [node.sign_in("alice").await, node.sign_in("bob").await];
    let both = (vec!["US 9".to_owned(), "US 10".to_owned()], true);
    assert_eq!(shown().await, both);
    pairs("US 10", "8", "takeBack").await;
    assert_eq!(shown().await, (vec!["US 9".to_owned()], false));
    assert!(!desk.get(&format!("/admin/drops/{drop_id}")).await.text.contains("<option>US 10"));
    // Of what is left there is nothing to choose.
    node.reserve(&alice, drop_id).await.expect_status(201);
    node.reserve_size(&bob, drop_id, "US 10").await.expect_status(422);
    pairs("us 10", "3", "addSize").await;
    assert_eq!(shown().await, both);
    node.reserve_size(&bob, drop_id, "US 10").await.expect_status(201);
    // A drop without any pair keeps its sizes.
    let drop_id = created(&desk.post("/admin/drops", &form(&[("startsAt", "2090-01-01T10:00")])).await);
    let stock = format!("/admin/drops/{drop_id}/stock");
    for (size, pairs) in [("US 9", "12"), ("US 10", "8")] {
        desk.post(&stock, &[("form", ""), ("size", size), ("pairs", pairs), ("do", "takeBack")])
            .await
            .expect_status(303);
    }
    assert_eq!(managed(&desk, &node, drop_id).await["sizes"].as_array().map(Vec::len), Some(2));
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn numbers_are_read_as_people_type_them_and_each_fault_is_said_once(db: PgPool) {
    let node = Node::start(&db).await;
    let desk = Desk::sign_in(&node).await;
    for (typed, pairs) in
        [("1,000", 1_000), ("1.000", 1_000), ("1 000", 1_000), (" 12 ", 12), ("1\u{a0}000\u{a0}000", 1_000_000)]
    {
        let made = desk.post("/admin/drops", &form(&[("sizeLabel", "S"), ("sizeStock", typed)])).await;
        let drop_id = created(&made.expect_status(303));
        assert_eq!(managed(&desk, &node, drop_id).await["total_stock"], pairs, "{typed}");
    }
    for typed in ["1,00", "1,,000", "1.5", "-1", "0", "many", ",000", "1,000 000"] {
        let page = desk.post("/admin/drops", &form(&[("sizeLabel", "S"), ("sizeStock", typed)])).await;
        let page = page.expect_status(400).text;
        assert_eq!(page.matches("<li><a href=\"#").count(), 1, "{typed}: {page}");
        assert!(page.contains("href=\"#sizes-0--stock\""), "{typed}: {page}");
    }
    let rows: Vec<_> = (0..50).map(|_| ("sizeLabel", "S")).collect();
    for (rows, is_full) in [(&rows[..49], false), (&rows[..], true)] {
        let page = desk.post("/admin/drops/preview", &form(rows)).await.expect_status(200).text;
        assert_eq!(page.contains("A drop has at most 50 sizes."), is_full);
    }
    for (price, shown) in [("cheap", "$…"), ("", "$…"), ("0", "Free"), ("149,50", "$149.50")] {
        let page = desk.post("/admin/drops/preview", &form(&[("price", price)])).await.expect_status(200).text;
        for other in ["$…", "Free", "$149.50"] {
            assert_eq!(page.contains(other), other == shown, "{price}: {other}");
        }
    }
    node.stop_and_assert_invariants().await;
}
