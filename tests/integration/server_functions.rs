//! The server functions under `/rpc`, called by WebAssembly and by plain forms.

use crate::support::{Answer, Browser, Desk, Node, id_of, new_drop, query_number, send};
use chrono::{DateTime, Utc};
use leptos::server_fn::error::ServerFnUrlError;
use reqwest::{Method, Url, header};
use serde_json::json;
use sneakdrop::domain::error::{DropError, Missing};
use sqlx::PgPool;

#[sqlx::test]
async fn server_functions_sell_and_refuse_as_rest_does(db: PgPool) {
    let node = Node::start(&db).await;
    let sizes = json!([{ "label": "S", "stock": 1 }, { "label": "M", "stock": 1 }]);
    let drop_id = id_of(&node.create_drop(new_drop(&json!({ "totalStock": null, "sizes": sizes }))).await);
    let (alice, bob) = (Browser::new(&node), Browser::new(&node));
    let drop = format!("drop_id={drop_id}");
    for function in ["reserve", "purchase", "release"] {
        assert_eq!(alice.call(function, &drop).await.expect_status(401).json, json!("unauthorized"));
    }
    for blank in ["username=", "username=+", "username=%00", &format!("username={}", "x".repeat(33))] {
        let refusal = alice.call("sign_in", blank).await.expect_status(400);
        assert_eq!(refusal.json["invalid"]["field"], "username");
    }
    alice.call("sign_in", "username=alice").await.expect_status(200);
    bob.call("sign_in", "username=bob").await.expect_status(200);

    for unreadable in ["", "drop_id=", "drop_id=x", "drop_id=1.5", "drop_id=9223372036854775808"] {
        let refusal = alice.call("reserve", unreadable).await.expect_status(400);
        assert!(refusal.json["malformed_body"].is_string(), "{}", refusal.text);
    }
    for unknown in ["drop_id=0", "drop_id=-1", "drop_id=9223372036854775807"] {
        assert_eq!(alice.call("reserve", unknown).await.expect_status(404).json, json!({ "not_found": "drop" }));
    }
    let refusal = alice.call("reserve", &drop).await.expect_status(422).json;
    assert_eq!(refusal, json!({ "size_required": { "sizes_left": ["S", "M"] } }));
    let held = alice.call("reserve", &format!("{drop}&size=S")).await.expect_status(200).json;
    assert_eq!(alice.call("reserve", &format!("{drop}&size=S")).await.expect_status(200).json, held);
    assert_eq!(bob.call("reserve", &format!("{drop}&size=S")).await.expect_status(409).json, json!("sold_out"));
    assert_eq!(bob.call("purchase", &drop).await.expect_status(409).json, json!("no_active_reservation"));
    let bought = alice.call("purchase", &drop).await.expect_status(200).json;
    assert_eq!(bought["reservation_id"], held["id"]);
    let held = bob.call("reserve", &format!("{drop}&size=M")).await.expect_status(200).json;
    let released = bob.call("release", &drop).await.expect_status(200).json;
    assert_eq!((&released["id"], &released["status"]), (&held["id"], &json!("cancelled")));
    assert_eq!(bob.call("release", &drop).await.expect_status(200).json, released);

    assert_eq!(alice.call("sign_in", "username=alice").await.expect_status(200).json["purchases"], json!([bought]));
    assert_eq!(node.get("/api/drops").await.expect_status(200).json["drops"][0]["available_stock"], 1);
    let purchasers = alice.call("purchasers", &drop).await.expect_status(200).json;
    assert_eq!(purchasers[0]["username"], "alice");
    alice.call("nothing", "").await.expect_error(404, "not_found");
    alice.call("reserve", &"x".repeat(64 * 1024 + 1)).await.expect_error(413, "body_too_large");
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn page_acts_for_nobody_but_the_user_that_it_shows(db: PgPool) {
    let node = Node::start(&db).await;
    let drop_id = node.create_open_drop(2).await;
    let browser = Browser::new(&node);
    let alice = browser.call("sign_in", "username=alice").await.expect_status(200).json["user"]["id"].clone();
    let bob = browser.call("sign_in", "username=bob").await.expect_status(200).json["user"]["id"].clone();
    for function in ["reserve", "purchase", "release", "sign_out"] {
        for shown in [&alice, &json!(0), &json!(-1)] {
            let form = format!("drop_id={drop_id}&user_id={shown}");
            assert_eq!(browser.call(function, &form).await.expect_status(409).json, json!("another_user"));
        }
    }
    let form = format!("drop_id={drop_id}&user_id={bob}");
    assert_eq!(browser.call("reserve", &form).await.expect_status(200).json["user_id"], bob);
    browser.call("release", &form).await.expect_status(200);
    browser.call("sign_out", &form).await.expect_status(200);
    assert_eq!(browser.call("reserve", &form).await.expect_status(401).json, json!("unauthorized"));
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn late_copy_of_a_request_is_for_no_other_pair(db: PgPool) {
    let node = Node::start(&db).await;
    let drop_id = node.create_open_drop(5).await;
    let browser = Browser::new(&node);
    browser.call("sign_in", "username=alice").await.expect_status(200);
    let drop = format!("drop_id={drop_id}");
    let reserve = async || browser.call("reserve", &drop).await.expect_status(200).json["id"].clone();
    let of = |id: &serde_json::Value| format!("{drop}&reservation_id={id}");

    let first = reserve().await;
    let bought = browser.call("purchase", &of(&first)).await.expect_status(200).json;
    let second = reserve().await;
    assert_eq!(browser.call("purchase", &of(&first)).await.expect_status(200).json, bought);
    let refusal = browser.call("release", &of(&first)).await.expect_status(409).json;
    assert_eq!(refusal, json!("no_active_reservation"));
    let released = browser.call("release", &of(&second)).await.expect_status(200).json;
    assert_eq!((&released["id"], &released["status"]), (&second, &json!("cancelled")));

    let third = reserve().await;
    assert_eq!(browser.call("release", &of(&second)).await.expect_status(200).json, released);
    for gone in [&second, &json!(0), &json!(i64::MAX)] {
        let refusal = browser.call("purchase", &of(gone)).await.expect_status(409).json;
        assert_eq!(refusal, json!("no_active_reservation"));
    }
    let bought = browser.call("purchase", &of(&third)).await.expect_status(200).json;
    assert_eq!(bought["reservation_id"], third);
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn plain_form_redirects_to_its_page_with_the_error(db: PgPool) {
    let node = Node::start(&db).await;
    let drop_id = node.create_open_drop(1).await;
    let bob = node.sign_in("bob").await;
    let alice = Browser::new(&node);
    let path = format!("/drops/{drop_id}");
    let page = node.url(&path);
    let drop = format!("drop_id={drop_id}");

    let resolve = |location: &str| Url::parse(&page).and_then(|page| page.join(location)).expect("a valid URL");
    let location = |answer: Answer| answer.expect_status(302).header("location").to_owned();
    for (function, form) in [("sign_in", "username=alice"), ("reserve", &*drop), ("release", &*drop)] {
        // Leptos removes its parameters from the query and leaves the question mark.
        let expected = if function == "sign_in" { format!("{path}?signed-in") } else { path.clone() };
        let location = location(alice.submit(function, form, &page).await);
        assert_eq!(location.trim_end_matches(['?', '=']), expected);
    }
    node.reserve(&bob, drop_id).await.expect_status(201);
    // An error replaces that of an earlier request in the URL.
    for referer in [page.clone(), format!("{page}?__path=%2Frpc%2Freserve&__err=InNvbGRfb3V0Ig==#top")] {
        let redirect = resolve(&location(alice.submit("reserve", &drop, &referer).await));
        assert!(redirect.as_str().starts_with(&format!("{page}?")), "{redirect}");
        let errors: Vec<_> = redirect.query_pairs().filter(|(name, _)| name == "__err").collect();
        assert_eq!(errors.len(), 1, "{redirect}");
        assert_eq!(ServerFnUrlError::<DropError>::decode_err(&errors[0].1), DropError::SoldOut);
    }
    let unknown = alice.submit("reserve", "drop_id=77", &page).await;
    let redirect = resolve(unknown.expect_status(302).header("location"));
    let error = redirect.query_pairs().find(|(name, _)| name == "__err").expect("an error").1;
    assert_eq!(ServerFnUrlError::<DropError>::decode_err(&error), DropError::NotFound(Missing::Drop));
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn plain_form_leads_back_to_the_query_of_its_page_without_what_became_of_earlier_forms(db: PgPool) {
    let node = Node::start(&db).await;
    node.create_open_drop(2).await;
    let left_over = "__path=%2Frpc%2Freserve&__err=InNvbGRfb3V0Ig%3D%3D";
    let pages = [
        ("/", "size=US+9&show=live".to_owned(), "size=US+9&show=live"),
        ("/", "size=US%209&show=".into(), "size=US+9&show="),
        ("/", format!("size=US+9&{left_over}&show=live"), "size=US+9&show=live"),
        ("/", format!("signed-in=&{left_over}&signed-in"), ""),
        ("/", format!("signed-in&size=%C3%A9%26&{left_over}&{left_over}"), "size=%C3%A9%26"),
        ("/drops/1", "a=b&a=c".into(), "a=b&a=c"),
        ("/drops/past", "a=1".into(), "a=1"),
        ("/purchases", format!("before=7&{left_over}"), "before=7"),
    ];
    for (index, (path, query, own)) in pages.into_iter().enumerate() {
        let name = format!("username=visitor{index}");
        let page = node.url(&format!("{path}?{query}"));
        let browser = Browser::new(&node);
        let leads_to = async |function: &str, form: &str| {
            let location = browser.submit(function, form, &page).await.expect_status(302).header("location").to_owned();
            let url = Url::parse(&page).and_then(|page| page.join(&location)).expect("a valid URL");
            let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
            let (outcome, own): (Vec<_>, Vec<_>) =
                pairs.into_iter().partition(|(name, _)| ["__path", "__err", "signed-in"].contains(&name.as_str()));
            let outcome: Vec<_> = outcome.into_iter().map(|(name, _)| name).collect();
            let own = serde_urlencoded::to_string(own).expect("pairs");
            (location, url.path().to_owned(), own, outcome.join(" "))
        };
        let at = |(_, path, own, outcome): (String, String, String, String)| (path, own, outcome);
        let expected = |outcome: &str| (path.to_owned(), own.to_owned(), outcome.to_owned());
        assert_eq!(at(leads_to("reserve", "drop_id=1").await), expected("__path __err"), "{query}");
        let signed_in = leads_to("sign_in", &name).await;
        let clean = browser.get(&signed_in.0).await.expect_status(303).header("location").to_owned();
        assert_eq!(clean, if own.is_empty() { path.to_owned() } else { format!("{path}?{own}") });
        assert_eq!(at(signed_in), expected("signed-in"), "{query}");
        for function in ["reserve", "release"] {
            assert_eq!(at(leads_to(function, "drop_id=1").await), expected(""), "{query}");
        }
        assert_eq!(at(leads_to("reserve", "drop_id=77").await), expected("__path __err"), "{query}");
        assert_eq!(at(leads_to("sign_out", "").await), expected(""), "{query}");
        // Whoever is signed in sees why another name was refused.
        browser.submit("sign_in", &name, &page).await.expect_status(302);
        let refused = leads_to("sign_in", "username=").await;
        browser.get(&refused.0).await.expect_status(200);
    }
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn form_that_is_not_text_is_refused(db: PgPool) {
    let node = Node::start(&db).await;
    let drop_id = node.create_open_drop(5).await;
    let desk = Desk::sign_in(&node).await;
    let (edit, stock) = (format!("/admin/drops/{drop_id}/edit"), format!("/admin/drops/{drop_id}/stock"));
    for (path, form, field) in [
        ("/rpc/sign_in", &b"username=\xff"[..], "username"),
        ("/rpc/sign_in", b"username=%ff", "username"),
        ("/rpc/sign_in", b"username=%fe", "username"),
        ("/rpc/sign_in", b"username=a%C3", "username"),
        ("/rpc/sign_in", b"username=a%ED%A0%80", "username"),
        ("/rpc/sign_in", b"username=alice&%ff=1", "\u{fffd}"),
        ("/rpc/reserve", b"drop_id=1&size=%ff", "size"),
        ("/admin/sign-in", b"token=%ff", "token"),
        ("/admin/drops", b"name=%ff&price=1", "name"),
        ("/admin/drops", b"name=Volt\xe9&price=1", "name"),
        (&edit, b"editVersion=1&name=%80", "name"),
        (&stock, b"size=%ff&pairs=1&do=addSize", "size"),
    ] {
        let said = String::from_utf8_lossy(form);
        for accept in ["application/json", "text/html"] {
            let request = desk.request(Method::POST, path).header(header::ACCEPT, accept);
            let request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded").body(form.to_vec());
            let refused = send(request).await.expect_error(400, "invalid_field");
            assert_eq!(refused.json["field"], field, "{path} {said}");
        }
    }
    assert_eq!(query_number(&db, "select count(*) from users").await, 0);
    assert_eq!(query_number(&db, "select count(*) from drops").await, 1);
    // A percent sign that begins nothing stands for itself.
    for text in [&b"username=%C3%A9%"[..], b"username=100%25+%2B"] {
        let request = node.request(Method::POST, "/rpc/sign_in").header(header::ACCEPT, "application/json");
        let request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded").body(text.to_vec());
        send(request).await.expect_status(200);
    }
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn address_of_a_form_leads_people_to_a_page(db: PgPool) {
    let node = Node::start(&db).await;
    for (referer, page) in [
        (Some(node.url("/drops/7?size=US+9&__err=x")), "/drops/7?size=US+9"),
        (Some("https://evil.test/drops/7".into()), "/"),
        (None, "/"),
    ] {
        for path in ["/rpc/sign_in", "/rpc/reserve", "/rpc/nothing"] {
            let request = node.request(Method::GET, path).header(header::ACCEPT, "text/html,*/*;q=0.8");
            let request = referer.iter().fold(request, |request, referer| request.header(header::REFERER, referer));
            assert_eq!(send(request).await.expect_status(303).header("location"), page, "{path} {referer:?}");
        }
    }
    let program = node.request(Method::GET, "/rpc/reserve").header(header::ACCEPT, "application/json");
    let refused = send(program).await.expect_error(405, "method_not_allowed");
    assert_eq!(refused.header("allow"), "POST");
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn plain_form_never_redirects_to_another_host(db: PgPool) {
    let node = Node::start(&db).await;
    let browser = Browser::new(&node);
    let home = node.url("/");
    let origin = home.trim_end_matches('/');
    for referer in [
        "https://evil.test/",
        "//evil.test/",
        "javascript:alert(1)",
        "nonsense",
        "",
        &format!("{origin}.evil.test/"),
        &format!("{origin}@evil.test/"),
        &format!("https://evil.test/?{home}"),
    ] {
        for form in ["username=alice", "username="] {
            let answer = browser.submit("sign_in", form, referer).await.expect_status(302);
            let location = answer.header("location");
            assert!(location == "/" || location.starts_with("/?"), "{referer}: {location}");
        }
    }
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn link_cannot_make_a_page_say_something(db: PgPool) {
    let node = Node::start(&db).await;
    let drop_id = node.create_open_drop(1).await;
    let starts_at = "2031-05-06T07:08:09Z".parse::<DateTime<Utc>>().expect("a time").into();
    for (error, text) in [
        (DropError::NotStarted { starts_at }, "May 2031"),
        (DropError::LimitReached { limit: 77 }, "77 pairs"),
        (DropError::TooManyNames, "as many names"),
    ] {
        let error = ServerFnUrlError::new("/rpc/reserve", error).to_url("http://x").expect("a URL");
        let path = format!("/drops/{drop_id}?{}", error.query().expect("a query"));
        let page = async |referer: Option<String>| {
            let request = node.request(Method::GET, &path);
            let request =
                referer.into_iter().fold(request, |request, referer| request.header(header::REFERER, referer));
            send(request).await.expect_status(200).text.to_lowercase()
        };
        let text = text.to_lowercase();
        let notice = async |referer| page(referer).await.contains(&text);
        assert!(notice(Some(node.url("/drops/1"))).await, "{text}");
        for referer in [None, Some("https://evil.test/".into()), Some(format!("{}.evil.test/", node.url("")))] {
            assert!(!notice(referer.clone()).await, "{text}: {referer:?}");
        }
    }
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn sign_in_without_cookies_says_that_they_are_needed(db: PgPool) {
    let node = Node::start(&db).await;
    let says_so = |page: Answer| page.expect_status(200).text.contains("Allow cookies");
    let page = node.url("/");
    for keeps_cookies in [false, true] {
        let browser = Browser::new(&node);
        let redirect = browser.submit("sign_in", "username=alice", &page).await.expect_status(302);
        let path = redirect.header("location").to_owned();
        if keeps_cookies {
            let clean = browser.get(&path).await.expect_status(303);
            assert_eq!(clean.header("location"), "/");
        } else {
            let request = node.request(Method::GET, &path);
            assert!(says_so(send(request.header(header::REFERER, &page)).await));
            assert!(!says_so(node.get(&path).await), "anyone can make such a link");
        }
    }
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn redirects_are_relative_behind_any_proxy(db: PgPool) {
    let node = Node::start(&db).await;
    for (forwarded, page) in [
        ("http", "https://shop.test/purchases"),
        ("https", "http://shop.test/purchases"),
        ("https, http", "https://shop.test/purchases"),
    ] {
        let request = node.request(Method::POST, "/rpc/sign_out").header(header::HOST, "shop.test");
        let request = request.header("x-forwarded-proto", forwarded).header(header::REFERER, page);
        let request = request
            .header(header::ACCEPT, "text/html")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        let location = send(request.body("")).await.expect_status(302).header("location").to_owned();
        assert_eq!(location.trim_end_matches('?'), "/purchases", "{forwarded} {page}");
    }
    node.stop_and_assert_invariants().await;
}
