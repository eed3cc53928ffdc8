//! Who gets into `/admin`, and until when.

use crate::support::{
    ADMIN_TOKEN, Answer, Desk, Node, Proxy, ProxyMode, Settings, query_number, send, try_to_sign_in, until,
};
use reqwest::{Method, header};
use serde_json::json;
use sneakdrop::server::auth::origin::Origins;
use sqlx::PgPool;

/// Pages and calls under `/admin`, whether they exist or not.
const PATHS: [&str; 6] =
    ["/admin", "/admin/sign-out", "/admin/drops/new", "/admin/drops/1", "/admin/nothing", "/admin/a/b/c"];

/// Methods that ask for something to be done.
const CALLS: [Method; 4] = [Method::POST, Method::PUT, Method::PATCH, Method::DELETE];

#[sqlx::test]
async fn without_an_admin_token_there_is_nothing_under_admin(db: PgPool) {
    let with_token = Node::start(&db).await;
    let desk = Desk::sign_in(&with_token).await;
    let style_sheet = style_sheet_of(&desk.get("/admin").await.text);
    let node = with_token.start_another(Settings { admin_token: None, ..Settings::default() }).await;
    let desk = desk.on(&node);
    let unknown = node.get("/nothing").await.expect_status(404);
    for path in PATHS.into_iter().chain(["/admin/sign-in", &style_sheet]) {
        let page = desk.get(path).await.expect_status(404);
        assert_eq!(title_of(&page), title_of(&unknown), "{path}");
        assert_eq!(page.headers.get(header::SET_COOKIE), None, "{path}");
        send(desk.request(Method::HEAD, path)).await.expect_status(404);
        for method in CALLS {
            send(desk.request(method, path)).await.expect_error(404, "not_found");
        }
    }
    for token in [ADMIN_TOKEN, ""] {
        try_to_sign_in(&node, token).await.expect_error(404, "not_found");
    }
    node.stop().await;
    with_token.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn signed_out_pages_lead_to_the_sign_in_and_calls_are_unauthorized(db: PgPool) {
    let node = Node::start(&db).await;
    for path in PATHS {
        let location = match path {
            "/admin" | "/admin/sign-out" => "/admin/sign-in".to_owned(),
            path => format!("/admin/sign-in?to={}", path.replace('/', "%2F")),
        };
        for method in [Method::GET, Method::HEAD] {
            assert_eq!(send(node.request(method, path)).await.expect_status(303).header("location"), location);
        }
        // A script is told.
        let fetched = node.request(Method::GET, path).header("sec-fetch-mode", "cors");
        send(fetched).await.expect_error(401, "unauthorized");
        for method in CALLS {
            send(node.request(method, path)).await.expect_error(401, "unauthorized");
        }
    }
    let page = node.get("/admin/sign-in").await.expect_status(200);
    assert!(page.text.contains("Admin token") && !page.text.contains("/admin/sign-out"), "{}", page.text);
    // The token itself is for the REST API.
    send(node.request(Method::GET, "/admin").bearer_auth(ADMIN_TOKEN)).await.expect_status(303);
    send(node.request(Method::POST, "/admin/sign-out").bearer_auth(ADMIN_TOKEN))
        .await
        .expect_error(401, "unauthorized");
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn pages_of_the_desk_are_kept_by_nobody_and_run_only_files_of_this_site(db: PgPool) {
    let node = Node::start(&db).await;
    let desk = Desk::sign_in(&node).await;
    for (page, status) in [("/admin", 200), ("/admin/nothing", 404), ("/admin?before=x", 404)] {
        let page = desk.get(page).await.expect_status(status);
        assert!(page.text.contains("/admin/sign-out"), "{}", page.text);
        assert_eq!(page.header("cache-control"), "no-store");
        assert_eq!(page.header("x-robots-tag"), "noindex");
        assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
        let policy = page.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self';"), "{policy}");
        assert!(policy.ends_with("form-action 'self'; base-uri 'none'; frame-ancestors 'none'"), "{policy}");
        let files = page.text.matches("<script defer src=\"/admin/desk.").count();
        assert_eq!((page.text.matches("<script").count(), files), (1, 1));
    }
    let style_sheet = style_sheet_of(&node.get("/admin/sign-in").await.text);
    let file = node.get(&style_sheet).await.expect_status(200);
    assert_eq!(file.header("content-type"), "text/css; charset=utf-8");
    assert_eq!(file.header("cache-control"), "public, max-age=31536000, immutable");
    desk.get("/admin/sign-in").await.expect_status(303);
    assert_eq!(desk.get("/admin/nothing/").await.expect_status(308).header("location"), "/admin/nothing");
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn wrong_token_stays_out(db: PgPool) {
    let node = Node::start(&db).await;
    for wrong in ["", "x", &ADMIN_TOKEN[1..], &format!("{ADMIN_TOKEN} "), &ADMIN_TOKEN.to_uppercase(), "<b>\"'&"] {
        let page = try_to_sign_in(&node, wrong).await.expect_status(401);
        assert!(page.text.contains("aria-invalid=\"true\" aria-describedby=\"token-error\""), "{}", page.text);
        assert!(
            page.text.contains("<p id=\"token-error\" role=\"alert\" class=\"field-error\">That is not"),
            "{}",
            page.text
        );
        assert!(wrong.is_empty() || wrong == "x" || !page.text.contains(wrong), "the page does not repeat it");
        assert_eq!(page.headers.get(header::SET_COOKIE), None);
    }
    assert_eq!(query_number(&db, "select count(*) from admin_sessions").await, 0);
    for body in ["", "tokens=x"] {
        let request = node.request(Method::POST, "/admin/sign-in").body(body);
        let form = "application/x-www-form-urlencoded";
        send(request.header(header::CONTENT_TYPE, form)).await.expect_error(400, "malformed_body");
    }
    send(node.request(Method::POST, "/admin/sign-in").json(&json!({ "token": ADMIN_TOKEN })))
        .await
        .expect_error(400, "malformed_body");
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn eleventh_try_is_too_many_even_with_the_right_token(db: PgPool) {
    let node = Node::start(&db).await;
    let desk = Desk::sign_in(&node).await;
    for _ in 0..10 {
        try_to_sign_in(&node, "a wrong token").await.expect_status(401);
    }
    for token in ["a wrong token", ADMIN_TOKEN] {
        let refused = try_to_sign_in(&node, token).await.expect_status(429);
        let seconds: u64 = refused.header("retry-after").parse().expect("a number of seconds");
        assert!((1..=60).contains(&seconds), "{seconds}");
        assert!(refused.text.contains(&format!("Wait {seconds} seconds, then try again.")), "{}", refused.text);
        assert_eq!(refused.headers.get(header::SET_COOKIE), None);
    }
    // Browsers that signed in before share ten tries of their own.
    let known = desk.known.as_str();
    let try_again = async |token: &str| {
        let request = node.request(Method::POST, "/admin/sign-in").header(header::COOKIE, known);
        send(request.form(&[("token", token)])).await
    };
    try_again(ADMIN_TOKEN).await.expect_status(303);
    for _ in 0..10 {
        try_again("a wrong token").await.expect_status(401);
    }
    try_again(ADMIN_TOKEN).await.expect_status(429);
    // Whoever is in stays in, and another node counts for itself.
    desk.get("/admin").await.expect_status(200);
    let another = node.start_another(Settings::default()).await;
    Desk::sign_in(&another).await;
    another.stop().await;
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn cookie_comes_with_links_from_elsewhere_and_lasts_twelve_hours(db: PgPool) {
    let node = Node::start(&db).await;
    for (scheme, prefix, secure) in
        [("http", "", ""), ("https", "__Host-", "; Secure"), ("https, http", "__Host-", "; Secure")]
    {
        let form = [("token", ADMIN_TOKEN)];
        let request = |method, path| node.request(method, path).header("x-forwarded-proto", scheme);
        let answer = send(request(Method::POST, "/admin/sign-in").form(&form)).await.expect_status(303);
        assert_eq!(answer.header("location"), "/admin");
        let cookies: Vec<_> = answer.headers.get_all(header::SET_COOKIE).iter().collect();
        let [cookie, known] = cookies[..] else { panic!("{cookies:?}") };
        let known = known.to_str().expect("text");
        assert!(known.starts_with(&format!("{prefix}sneakdrop_known=known.")), "{known}");
        assert!(known.ends_with(&format!("; Path=/; Max-Age=31536000; HttpOnly; SameSite=Lax{secure}")), "{known}");
        let (cookie, attributes) = cookie.to_str().expect("text").split_once(';').expect("a cookie with attributes");
        assert!(cookie.starts_with(&format!("{prefix}sneakdrop_admin=admin.")), "{cookie}");
        assert_eq!(attributes, format!(" Path=/; Max-Age=43200; HttpOnly; SameSite=Lax{secure}"));

        let signed_in = |method, path| request(method, path).header(header::COOKIE, format!("theme=dark; {cookie}"));
        send(signed_in(Method::GET, "/admin")).await.expect_status(200);
        let signed_out = send(signed_in(Method::POST, "/admin/sign-out")).await.expect_status(303);
        assert_eq!(signed_out.header("location"), "/admin/sign-in");
        let removed = format!("{prefix}sneakdrop_admin=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax{secure}");
        assert_eq!(signed_out.header("set-cookie"), removed);
    }
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn signing_out_ends_the_session_on_every_node_and_no_other_session(db: PgPool) {
    let node = Node::start(&db).await;
    let another = node.start_another(Settings::default()).await;
    let desk = Desk::sign_in(&node).await;
    let second = Desk::sign_in(&another).await;
    let copied = desk.on(&another);
    copied.get("/admin").await.expect_status(200);
    desk.post("/admin/sign-out", &[]).await.expect_status(303);
    for desk in [&desk, &copied] {
        desk.get("/admin").await.expect_status(303);
        desk.get("/admin/sign-in").await.expect_status(200);
        desk.post("/admin/sign-out", &[]).await.expect_error(401, "unauthorized");
    }
    second.on(&node).get("/admin").await.expect_status(200);
    another.stop().await;
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn session_ends_with_the_admin_token_the_session_key_and_the_database(db: PgPool) {
    let node = Node::start(&db).await;
    let desk = Desk::sign_in(&node).await;
    let (admin_token, session_key) = (Some("another admin token"), "another session key, longer than 32 characters");
    for (settings, status) in [
        (Settings { admin_token, ..Settings::default() }, 303),
        (Settings { session_key, ..Settings::default() }, 303),
        (Settings::default(), 200),
    ] {
        let restarted = node.start_another(settings).await;
        desk.on(&restarted).get("/admin").await.expect_status(status);
        restarted.stop().await;
    }
    let replaced = sqlx::query("update shop set session_secret = gen_random_uuid()").execute(&db).await;
    replaced.expect("the secret can be replaced");
    let rebuilt = node.start_another(Settings::default()).await;
    desk.on(&rebuilt).get("/admin").await.expect_status(303);
    rebuilt.stop().await;
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn form_that_is_sent_after_its_session_says_what_to_do(db: PgPool) {
    let node = Node::start(&db).await;
    let drop_id = node.create_open_drop(3).await;
    let desk = Desk::sign_in(&node).await;
    desk.post("/admin/sign-out", &[]).await.expect_status(303);
    let path = format!("/admin/drops/{drop_id}/pause");
    let page = send(desk.request(Method::POST, &path).header("accept", "text/html,*/*;q=0.8")).await.expect_status(401);
    assert!(page.header("content-type").starts_with("text/html"), "{page:?}");
    for part in ["Your session has ended", "Nothing was changed", "href=\"/admin/sign-in\""] {
        assert!(page.text.contains(part), "{part} is missing: {}", page.text);
    }
    assert!(!page.text.contains("/admin/log"), "signed out, there is nowhere to go: {}", page.text);
    let sign_out = desk.request(Method::POST, "/admin/sign-out").header("accept", "text/html,*/*;q=0.8");
    assert_eq!(send(sign_out).await.expect_status(303).header("location"), "/admin/sign-in");
    // To a program, it is what it was.
    let call = desk.post(&path, &[]).await.expect_status(401);
    assert_eq!(call.json["code"], "unauthorized");
    assert_eq!(query_number(&db, "select count(*) from drops where is_paused").await, 0);
    node.stop().await;
}

#[sqlx::test]
async fn expired_session_is_refused_and_removed_when_somebody_signs_in(db: PgPool) {
    let node = Node::start(&db).await;
    let desk = Desk::sign_in(&node).await;
    let hours = "select extract(epoch from expires_at - created_at)::bigint / 3600 from admin_sessions";
    assert_eq!(query_number(&db, hours).await, 12);
    let expired = sqlx::query("update admin_sessions set expires_at = clock_timestamp()").execute(&db).await;
    expired.expect("any time is valid");
    desk.get("/admin").await.expect_status(303);
    desk.post("/admin/sign-out", &[]).await.expect_error(401, "unauthorized");
    let other = Desk::sign_in(&node).await;
    assert_eq!(query_number(&db, "select count(*) from admin_sessions").await, 1);
    other.get("/admin").await.expect_status(200);
    node.stop_and_assert_invariants().await;
}

/// A restored backup, or a failover, gives the number of a session to another one.
#[sqlx::test]
async fn session_of_a_reused_number_is_refused(db: PgPool) {
    let node = Node::start(&db).await;
    let desk = Desk::sign_in(&node).await;
    sqlx::raw_sql("truncate admin_sessions restart identity").execute(&db).await.expect("nothing refers to it");
    let other = Desk::sign_in(&node).await;
    desk.get("/admin").await.expect_status(303);
    other.get("/admin").await.expect_status(200);
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn visitors_session_is_no_admins_and_the_other_way_round(db: PgPool) {
    let node = Node::start(&db).await;
    let drop_id = node.create_open_drop(5).await;
    let alice = node.sign_in("alice").await;
    let desk = Desk::sign_in(&node).await;
    let admin_token = desk.cookie.split_once('=').expect("a name and a value").1;
    for cookie in ["sneakdrop", "sneakdrop_admin", "sneakdrop_names", "__Host-sneakdrop_admin"] {
        let request = node.request(Method::GET, "/admin").header(header::COOKIE, format!("{cookie}={}", alice.token));
        send(request).await.expect_status(303);
    }
    for bearer in [&*alice.token, admin_token] {
        send(node.request(Method::GET, "/admin").bearer_auth(bearer)).await.expect_status(303);
    }
    let reserve = format!("/api/drops/{drop_id}/reserve");
    for cookie in [&desk.cookie, &format!("sneakdrop={admin_token}"), &format!("sneakdrop_names={admin_token}")] {
        let request = node.request(Method::POST, &reserve).header(header::COOKIE, cookie);
        send(request).await.expect_error(401, "unauthorized");
    }
    node.post(&reserve, admin_token, json!({})).await.expect_error(401, "unauthorized");
    node.post("/api/drops", admin_token, json!({})).await.expect_error(401, "unauthorized");

    // Both in one browser, and each signs out for itself.
    let both = format!("sneakdrop={}; {}", alice.token, desk.cookie);
    let with_both = |method, path: &str| node.request(method, path).header(header::COOKIE, &both);
    let signed_out = send(with_both(Method::POST, "/admin/sign-out")).await.expect_status(303);
    let cookies: Vec<_> = signed_out.headers.get_all(header::SET_COOKIE).iter().collect();
    assert!(cookies.len() == 1 && signed_out.header("set-cookie").starts_with("sneakdrop_admin=;"), "{cookies:?}");
    send(with_both(Method::POST, &reserve)).await.expect_status(201);
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn only_pages_of_this_site_may_act_for_the_admin(db: PgPool) {
    let foreign = "http://localhost:5173";
    let origins = Origins { foreign: vec![foreign.parse().expect("an origin")], ..Origins::default() };
    let node = Node::start_with(&db, Settings { origins, ..Settings::default() }).await;
    let desk = Desk::sign_in(&node).await;
    let own = node.url("");
    for origin in [foreign, "http://evil.test", "null", &format!("{own}.evil.test")] {
        let sign_in = node.request(Method::POST, "/admin/sign-in").form(&[("token", ADMIN_TOKEN)]);
        send(sign_in.header(header::ORIGIN, origin)).await.expect_error(403, "foreign_origin");
        for (method, path) in [(Method::POST, "/admin/sign-out"), (Method::POST, "/admin"), (Method::GET, "/admin")] {
            let request = desk.request(method, path).header(header::ORIGIN, origin);
            send(request).await.expect_error(403, "foreign_origin");
        }
    }
    // The listed page acts for visitors.
    let visitor = node.request(Method::POST, "/api/users/get-or-create").json(&json!({ "username": "alice" }));
    send(visitor.header(header::ORIGIN, foreign)).await.expect_status(200);
    send(desk.request(Method::GET, "/admin").header(header::ORIGIN, &own)).await.expect_status(200);
    send(desk.request(Method::POST, "/admin/sign-out").header(header::ORIGIN, &own)).await.expect_status(303);
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn without_the_database_the_desk_is_unavailable_and_nobody_is_signed_out(db: PgPool) {
    let proxy = Proxy::start(&db).await;
    let node = Node::start_with(&db, Settings::through(&proxy)).await;
    let desk = Desk::sign_in(&node).await;
    proxy.set_mode(ProxyMode::Reset);
    let unavailable = |answer: Answer| {
        let answer = answer.expect_status(503);
        assert_eq!((answer.header("retry-after"), answer.headers.get(header::SET_COOKIE)), ("1", None));
        answer
    };
    for page in [desk.get("/admin").await, desk.get("/admin/sign-in").await, try_to_sign_in(&node, ADMIN_TOKEN).await] {
        let page = unavailable(page);
        assert!(page.text.contains("The shop is busy."), "{}", page.text);
    }
    unavailable(desk.post("/admin/sign-out", &[]).await).expect_error(503, "unavailable");
    // Strangers are refused without asking it.
    node.get("/admin").await.expect_status(303);
    send(node.request(Method::POST, "/admin/sign-out")).await.expect_error(401, "unauthorized");
    proxy.set_mode(ProxyMode::Forwarding);
    until("the desk is back", async || (desk.get("/admin").await.status == 200).then_some(())).await;
    node.stop_and_assert_invariants().await;
}

fn title_of(page: &Answer) -> &str {
    let title = page.text.split_once("<title>").and_then(|(_, rest)| rest.split_once("</title>"));
    title.unwrap_or_else(|| panic!("no title: {}", page.text)).0
}

fn style_sheet_of(page: &str) -> String {
    let (_, rest) = page.split_once("href=\"/admin/desk.").expect("the page has a style sheet");
    format!("/admin/desk.{}", rest.split('"').next().unwrap_or_default())
}

#[sqlx::test]
async fn who_signs_in_gets_the_page_that_was_asked_for_and_no_page_elsewhere(db: PgPool) {
    let node = Node::start(&db).await;
    let drop_id = node.create_open_drop(1).await;
    let page = format!("/admin/drops/{drop_id}/purchases?search=%23000001");
    let desk = Desk::sign_in(&node).await;
    let expired = sqlx::query("update admin_sessions set expires_at = clock_timestamp()").execute(&db).await;
    expired.expect("any time is valid");
    let sign_in = desk.get(&page).await.expect_status(303).header("location").to_owned();
    let form = desk.get(&sign_in).await.expect_status(200).text;
    let (_, to) = form.split_once("name=\"to\" value=\"").expect("the form keeps where to go");
    let to = to.split('"').next().unwrap_or_default();
    assert_eq!(to, page);
    // Also after a wrong token.
    let submit = async |token: &str, to: &str| {
        send(node.request(Method::POST, "/admin/sign-in").form(&[("token", token), ("to", to)])).await
    };
    let refused = submit("wrong", to).await.expect_status(401);
    assert!(refused.text.contains(&format!("name=\"to\" value=\"{page}\"")), "{}", refused.text);
    assert_eq!(submit(ADMIN_TOKEN, to).await.expect_status(303).header("location"), page);
    for elsewhere in
        ["//evil.test/admin", "https://evil.test", "/drops/1", "/admin/../x", "/\\evil.test", "\"><script>"]
    {
        let refused = submit("wrong", elsewhere).await.expect_status(401);
        assert!(refused.text.contains("name=\"to\" value=\"/admin\""), "{}", refused.text);
        assert_eq!(submit(ADMIN_TOKEN, elsewhere).await.expect_status(303).header("location"), "/admin");
    }
    // Who is signed in already goes there at once.
    let desk = Desk::sign_in(&node).await;
    assert_eq!(desk.get(&sign_in).await.expect_status(303).header("location"), page);
    node.stop_and_assert_invariants().await;
}
