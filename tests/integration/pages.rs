//! The rendered pages and the headers of every answer.

use crate::support::{Api, Desk, Node, Person, SESSION_KEY, ServerProcess, id_of, new_drop, send};
use reqwest::{Method, header};
use serde_json::json;
use sqlx::PgPool;
use std::fs;

#[sqlx::test]
async fn every_answer_has_security_headers(db: PgPool) {
    let node = Node::start(&db).await;
    for path in ["/", "/nothing", "/api/drops", "/api/nothing", "/healthz"] {
        let answer = node.get(path).await;
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "same-origin"),
            ("cross-origin-opener-policy", "same-origin"),
        ] {
            assert_eq!(answer.header(name), value, "{path}");
        }
        let policy = answer.header("content-security-policy");
        assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{path}: {policy}");
        assert!(!policy.contains("'unsafe-inline'") && !policy.contains("'unsafe-eval'"), "{path}: {policy}");
        assert_eq!(answer.header("strict-transport-security"), "", "{path}");
    }
    let secure = send(node.request(Method::GET, "/").header("x-forwarded-proto", "https")).await;
    assert!(secure.header("strict-transport-security").starts_with("max-age="));
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn each_page_has_its_own_nonce_on_every_script(db: PgPool) {
    let node = Node::start(&db).await;
    let mut nonces = vec![];
    for _ in 0..2 {
        let page = node.get("/").await.expect_status(200);
        let policy = page.header("content-security-policy");
        let nonce =
            policy.split_once("'nonce-").and_then(|(_, rest)| rest.split_once('\'')).expect("a nonce").0.to_owned();
        let with_nonce = page.text.matches(&format!("nonce=\"{nonce}\"")).count();
        let scripts = page.text.matches("<script").count();
        assert!(scripts > 0 && with_nonce >= scripts, "{scripts} scripts, {with_nonce} nonces");
        nonces.push(nonce);
    }
    assert_ne!(nonces[0], nonces[1]);
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn nothing_stands_after_the_document_and_links_lead_somewhere(db: PgPool) {
    let node = Node::start(&db).await;
    let drop_id = node.create_open_drop(1).await;
    for path in ["/".into(), format!("/drops/{drop_id}"), "/drops/past".into(), "/purchases".into(), "/nothing".into()]
    {
        let page = node.get(&path).await.text;
        assert!(page.trim_end().ends_with("</html>"), "{path}: {}", &page[page.len().saturating_sub(300)..]);
        for link in page.split("<a ").skip(1) {
            let tag = link.split('>').next().unwrap_or_default();
            assert!(tag.contains("href="), "{path}: <a {tag}>");
        }
    }
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn missing_pages_are_not_found(db: PgPool) {
    let node = Node::start(&db).await;
    let drop_id = node.create_open_drop(1).await;
    node.get(&format!("/drops/{drop_id}")).await.expect_status(200);
    node.get("/purchases").await.expect_status(200);
    for path in ["/nothing", "/drops/77", "/drops/x", "/rpc", "/../Cargo.toml", "/%2e%2e/Cargo.toml"] {
        let answer = node.get(path).await.expect_status(404);
        assert!(answer.header("content-type").starts_with("text/html"), "{path}");
    }
    node.stop_and_assert_invariants().await;
}

/// With the real files of a site, as the server's own process serves them.
#[sqlx::test]
async fn files_are_whole_and_anything_else_is_the_page_of_no_address(db: PgPool) {
    let site = std::env::temp_dir().join(format!("sneakdrop-site-{}", std::process::id()));
    fs::create_dir_all(site.join("art")).expect("a directory");
    for (name, contents) in [("art/a.1.svg", "<svg/>"), ("art/a.1.svg.br", "compressed"), ("robots.txt", "all")] {
        fs::write(site.join(name), contents).expect("a file");
    }
    let environment = [("SESSION_KEY", SESSION_KEY), ("LEPTOS_SITE_ROOT", site.to_str().expect("text"))];
    let server = ServerProcess::start(&db.connect_options(), &[], &environment).await;
    let api = Api::new(server.address);
    for (encoding, contents) in [("br", "compressed"), ("identity", "<svg/>")] {
        for range in [None, Some("bytes=0-2"), Some("bytes=0-1,3-4"), Some("lines=1-2"), Some("bytes=99-")] {
            let request = api.request(Method::GET, "/art/a.1.svg").header(header::ACCEPT_ENCODING, encoding);
            let request = request.header(header::IF_RANGE, "\"another\"");
            let request = range.into_iter().fold(request, |request, range| request.header(header::RANGE, range));
            let file = send(request).await.expect_status(200);
            assert_eq!(
                (&*file.text, file.header("vary"), file.header("accept-ranges")),
                (contents, "accept-encoding", "")
            );
            assert!(file.header("cache-control").contains("immutable"));
        }
    }
    assert_eq!(api.get("/robots.txt").await.expect_status(200).text, "all");
    let long = format!("/art/{}", "a".repeat(300));
    let deep = "/a".repeat(3_000);
    for path in ["/%00", "/art/%00.svg", "/%ff", "/a%2F..%2Fb", "/%5C", "/%0a", "/pkg/%00", "/pkg/none", &long, &deep] {
        let [get, head] = [Method::GET, Method::HEAD].map(|method| send(api.request(method, path)));
        let (get, head) = (get.await.expect_status(404), head.await.expect_status(404));
        assert!(get.header("content-type").starts_with("text/html"), "{path}");
        for name in ["content-type", "cache-control", "vary"] {
            assert_eq!(get.header(name), head.header(name), "{path} {name}");
        }
    }
    fs::remove_dir_all(site).expect("it was made above");
}

#[sqlx::test]
async fn names_are_escaped_wherever_they_stand(db: PgPool) {
    let node = Node::start(&db).await;
    for name in [
        "x</title><meta http-equiv=refresh content=\"0;url=https://example.com\">",
        "x</script><script>alert(1)</script>",
        "AT&copy",
        "\"><img src=x onerror=alert(1)>",
        "'--><!--<b>&lt;",
    ] {
        let drop_id = id_of(&node.create_drop(new_drop(&json!({ "name": name }))).await);
        for path in ["/".into(), format!("/drops/{drop_id}")] {
            let page = node.get(&path).await.expect_status(200).text;
            // JSON in a script is no markup.
            let markup = page.split("id=\"first-paint\"").next().unwrap_or_default();
            assert!(!markup.contains(name), "{path}: {name}");
        }
        let page = node.get(&format!("/drops/{drop_id}")).await.text;
        let escaped = name.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        assert!(page.contains(&format!("<title>{escaped} ")), "{page}");
        let in_attribute = escaped.replace('"', "&quot;");
        assert!(page.contains(&format!("property=\"og:title\" content=\"{in_attribute}\"")), "{page}");
    }
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn order_is_shown_to_its_buyer_alone(db: PgPool) {
    let node = Node::start(&db).await;
    let drop_id = node.create_open_drop(5).await;
    let [alice, bob] = [node.sign_in("alice").await, node.sign_in("bob").await];
    node.reserve(&alice, drop_id).await.expect_status(201);
    node.purchase(&alice, drop_id).await.expect_status(200);
    let order = async |path: &str, person: &Person| {
        let cookie = format!("sneakdrop={}", person.token);
        send(node.request(Method::GET, path).header(header::COOKIE, cookie)).await
    };
    let shown = order("/purchases/1", &alice).await.expect_status(200).text;
    assert!(shown.contains("Order 000001") && shown.contains("$199"), "{shown}");
    for (path, person) in [("/purchases/1", &bob), ("/purchases/2", &alice), ("/purchases/x", &alice)] {
        let hidden = order(path, person).await.expect_status(404).text;
        assert!(!hidden.contains("Order 000001"), "{path}");
    }
    let signed_out = node.get("/purchases/1").await.expect_status(200).text;
    assert!(signed_out.contains("Sign in to see what you bought.") && !signed_out.contains("Order 000001"));
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn number_in_an_address_has_one_spelling(db: PgPool) {
    let node = Node::start(&db).await;
    let drop_id = node.create_open_drop(5).await;
    assert_eq!(drop_id, 1);
    let alice = node.sign_in("alice").await;
    node.reserve(&alice, drop_id).await.expect_status(201);
    assert_eq!(node.purchase(&alice, drop_id).await.expect_status(200).purchase_id(), 1);
    let desk = Desk::sign_in(&node).await;
    let cookies = format!("sneakdrop={}; {}", alice.token, desk.cookie);
    let status = async |path: &str| send(node.request(Method::GET, path).header(header::COOKIE, &cookies)).await.status;
    for (before, after) in [
        ("/drops/", ""),
        ("/drops/", ".ics"),
        ("/purchases/", ""),
        ("/admin/drops/", ""),
        ("/admin/drops/", "/edit"),
        ("/admin/drops/", "/log"),
        ("/admin/drops/", "/proof"),
        ("/admin/drops/", "/proof.json"),
        ("/admin/drops/", "/purchases"),
        ("/admin/drops/", "/purchases.csv"),
    ] {
        assert_eq!(status(&format!("{before}1{after}")).await, 200, "{before}1{after}");
        for id in ["+1", "%2B1", "01", "001", "-1", "%201", "1%20", "%091", "0", "1.0", "0x1", "%D9%A1", "1%00"] {
            let path = format!("{before}{id}{after}");
            assert_eq!(status(&path).await, 404, "{path}");
        }
    }
    for path in ["/purchases?before=%2B5", "/admin/log?before=%2B5", "/admin/log?before=05", "/admin?before=-5"] {
        assert_eq!(status(path).await, 404, "{path}");
    }
    for id in ["+1", "01", "-1", "0"] {
        let path = format!("/admin/drops/1/purchases/{id}/cancel");
        let refused = desk.post(&path, &[("reason", "Paid twice")]).await.expect_status(409);
        assert!(refused.text.contains("The drop has no such purchase."), "{}", refused.text);
    }
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn size_that_no_drop_has_is_not_remembered(db: PgPool) {
    let node = Node::start(&db).await;
    let sizes =
        json!({ "sizes": [{ "label": "US 9", "stock": 1 }, { "label": "US 10", "stock": 1 }], "totalStock": null });
    node.create_drop(new_drop(&sizes)).await;
    for (query, is_remembered) in
        [("size=US+9", true), ("size=US%2010&show=live", true), ("size=Forged", false), ("size=", false)]
    {
        let page = node.get(&format!("/?{query}")).await.expect_status(200);
        let cookies = page.headers.get_all("set-cookie").iter().filter_map(|cookie| cookie.to_str().ok());
        assert_eq!(
            cookies.filter(|cookie| cookie.starts_with("sneakdrop_size=")).count(),
            usize::from(is_remembered),
            "{query}"
        );
        assert!(!page.text.contains("Forged\" selected"), "{query}");
    }
    node.stop_and_assert_invariants().await;
}
