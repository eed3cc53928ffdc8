//! The rendered pages and the headers of every answer.

use crate::support::{Node, id_of, new_drop, send};
use reqwest::Method;
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
