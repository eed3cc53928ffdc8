//! The rendered pages and the headers of every answer.

use crate::support::{Node, Person, id_of, new_drop, send};
use reqwest::{Method, header};
use serde_json::json;
use sqlx::PgPool;

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
