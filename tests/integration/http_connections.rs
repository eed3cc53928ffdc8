//! Connections that send nothing, half of something, or too much.

use crate::support::{Api, Node, SESSION_KEY, ServerProcess, Subscriber, soon, until};
use futures_util::future::join_all;
use reqwest::Method;
use sqlx::PgPool;
use std::{process::Command, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, timeout},
};

const HALF_HEADER: &[u8] = b"GET / HTTP/1.1\r\nhost: shop.test\r\nx-half: ";
const HALF_BODY: &[u8] =
    b"POST /api/users/get-or-create HTTP/1.1\r\nhost: shop.test\r\ncontent-type: application/json\r\n\
      content-length: 100\r\n\r\n{\"user";
const HALF_FORM: &[u8] =
    b"POST /rpc/sign_in HTTP/1.1\r\nhost: shop.test\r\ncontent-type: application/x-www-form-urlencoded\r\n\
      content-length: 100\r\n\r\nuser";

async fn open(api: &Api, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(api.address).await.expect("the server listens");
    stream.write_all(bytes).await.expect("the connection is open");
    stream
}

/// What the server sends until it closes the connection.
async fn answer(mut stream: TcpStream) -> String {
    let mut answer = vec![];
    // The server may reset a connection on which it has left something unread.
    let _ = soon("the server closes the connection", stream.read_to_end(&mut answer)).await;
    String::from_utf8(answer).expect("text")
}

#[sqlx::test]
async fn unfinished_requests_are_not_kept_for_ever(db: PgPool) {
    let node = Node::start(&db).await;
    let streams = [
        (open(&node, b"").await, ""),
        (open(&node, HALF_HEADER).await, ""),
        (open(&node, HALF_BODY).await, "HTTP/1.1 408"),
        (open(&node, HALF_FORM).await, "HTTP/1.1 408"),
        // After an answer, too.
        (half_header_after_an_answer(&node).await, ""),
    ];
    let answers = join_all(streams.map(|(stream, expected)| async move { (answer(stream).await, expected) })).await;
    for (answer, expected) in answers {
        assert!(answer.starts_with(expected) && answer.is_empty() == expected.is_empty(), "{answer}");
    }
    node.stop_and_assert_invariants().await;
}

async fn half_header_after_an_answer(node: &Node) -> TcpStream {
    let mut stream = open(node, b"GET /healthz HTTP/1.1\r\nhost: shop.test\r\n\r\n").await;
    let mut answer = vec![];
    while !answer.ends_with(b"}") {
        stream.read_buf(&mut answer).await.expect("the server answers");
    }
    stream.write_all(HALF_HEADER).await.expect("the connection is kept");
    stream
}

#[sqlx::test]
async fn connection_is_kept_for_longer_than_by_proxies(db: PgPool) {
    let server = ServerProcess::start(&db.connect_options(), &[], &[("SESSION_KEY", SESSION_KEY)]).await;
    let api = &Api::new(server.address);
    let kept = join_all([b"/healthz".as_slice(), b"/"].map(|path| async move {
        let request = [b"GET ", path, b" HTTP/1.1\r\nhost: shop.test\r\n\r\n"].concat();
        let (mut stream, opened_at) = (open(api, &request).await, Instant::now());
        let closed = timeout(Duration::from_secs(95), stream.read_to_end(&mut vec![])).await;
        assert!(closed.is_ok(), "the connection is kept for ever");
        opened_at.elapsed()
    }));
    for kept in kept.await {
        assert!(kept > Duration::from_secs(70), "the connection was closed after {kept:?}");
    }
}

#[sqlx::test]
async fn requests_name_a_path_and_one_host(db: PgPool) {
    let node = Node::start(&db).await;
    let get = |target: &str, version: &str, hosts: &[&str]| {
        let hosts: String = hosts.iter().map(|host| format!("host:{host}\r\n")).collect();
        format!("GET {target} HTTP/{version}\r\n{hosts}connection: close\r\n\r\n")
    };
    for (target, version, hosts, status) in [
        ("/", "1.1", &["shop.test"] as &[_], 200),
        ("/", "1.1", &["[::1]:3000"], 200),
        ("/", "1.0", &[], 200),
        ("/", "1.0", &["shop.test"], 200),
        ("http://shop.test/", "1.1", &["shop.test"], 200),
        ("http://shop.test/drops/past", "1.1", &["shop.test"], 200),
        ("shop.test:80", "1.1", &["shop.test"], 400),
        ("*", "1.1", &["shop.test"], 400),
        ("/", "1.1", &[], 400),
        ("/api/drops", "1.1", &[], 400),
        ("/ws", "1.1", &[], 400),
        ("/nothing", "1.1", &["shop.test", "shop.test"], 400),
        ("/", "1.0", &["shop.test", "shop.test"], 400),
        ("/", "1.1", &[""], 400),
        ("/", "1.1", &["shop.test/a"], 400),
        ("/", "1.1", &["someone@shop.test"], 400),
        ("/", "1.1", &["shop.test:http"], 400),
        ("/", "1.1", &[":80"], 400),
        ("/", "1.1", &["shop.test, evil.test"], 400),
    ] {
        let answer = answer(open(&node, get(target, version, hosts).as_bytes()).await).await;
        assert!(answer.starts_with(&format!("HTTP/{version} {status}")), "{target} {version} {hosts:?}: {answer}");
    }
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn body_that_breaks_off_or_is_malformed_is_refused_at_once(db: PgPool) {
    let node = Node::start(&db).await;
    let head = |path: &str, media_type: &str, rest: &str| {
        format!("POST {path} HTTP/1.1\r\nhost: shop.test\r\ncontent-type: {media_type}\r\n{rest}")
    };
    for (path, media_type) in
        [("/api/users/get-or-create", "application/json"), ("/rpc/sign_in", "application/x-www-form-urlencoded")]
    {
        for (rest, ends) in [
            ("content-length: 100\r\n\r\n{\"user", true),
            ("transfer-encoding: chunked\r\n\r\n5\r\n{\"use", true),
            ("transfer-encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n", false),
            ("transfer-encoding: chunked\r\n\r\n2\r\n{}xx0\r\n\r\n", false),
        ] {
            let mut stream = open(&node, head(path, media_type, rest).as_bytes()).await;
            if ends {
                stream.shutdown().await.expect("the connection is open");
            }
            let answer = answer(stream).await;
            assert!(answer.starts_with("HTTP/1.1 400"), "{path} {rest:?}: {answer}");
        }
    }
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn headers_have_a_limit(db: PgPool) {
    let node = Node::start(&db).await;
    let request = |length: usize| {
        format!(
            "GET /healthz HTTP/1.1\r\nhost: shop.test\r\nconnection: close\r\nx-long: {}\r\n\r\n",
            "x".repeat(length)
        )
    };
    let fine = answer(open(&node, request(30_000).as_bytes()).await).await;
    assert!(fine.starts_with("HTTP/1.1 200"), "{fine}");
    for length in [33_000, 400_000] {
        let mut stream = TcpStream::connect(node.address).await.expect("the server listens");
        // The server may answer before it has read everything, and then the write fails.
        let _ = stream.write_all(request(length).as_bytes()).await;
        let answer = answer(stream).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{length}: {answer}");
    }
    node.stop_and_assert_invariants().await;
}

#[sqlx::test]
async fn stop_takes_three_seconds_whatever_is_open(db: PgPool) {
    let node = Node::start(&db).await;
    let alice = node.sign_in("alice").await;
    let _open = [
        open(&node, b"").await,
        open(&node, HALF_HEADER).await,
        open(&node, HALF_BODY).await,
        open(&node, b"GET /healthz HTTP/1.1\r\nhost: shop.test\r\n\r\n").await,
    ];
    let _subscriber = Subscriber::connect(&node, Some(&alice)).await;
    let stopped = timeout(Duration::from_millis(3_500), node.stop()).await;
    assert!(stopped.is_ok(), "three seconds for requests in flight, and a margin for a slow machine");
}

/// As a service manager limits it: the soft limit is the process's own to raise.
#[sqlx::test]
async fn idle_connections_beyond_the_soft_limit_take_nothing_away(db: PgPool) {
    let server = start_with_descriptors(&db, "ulimit -Sn 256").await;
    let api = Api::new(server.address);
    let _idle = join_all((0..400).map(|_| open(&api, b""))).await;
    api.get("/healthz").await.expect_status(200);
    api.get("/readyz").await.expect_status(200);
    api.get("/").await.expect_status(200);
}

#[sqlx::test]
async fn connections_beyond_the_hard_limit_are_refused_until_others_end(db: PgPool) {
    let server = start_with_descriptors(&db, "ulimit -n 256").await;
    let api = Api::new(server.address);
    // A customer who is there already, on a connection that is kept.
    let alice = api.sign_in("alice").await;
    let idle = join_all((0..300).map(|_| open(&api, b""))).await;
    let stranger = Api::new(server.address);
    let refused = until("a connection is refused", async || {
        // One of very many may be closed without an answer.
        let answer = stranger.request(Method::GET, "/healthz").send().await.ok()?;
        (answer.status() == 503).then_some(answer)
    })
    .await;
    assert_eq!(refused.headers()["retry-after"], "1");
    // PostgreSQL has descriptors left.
    let again = api.post("/api/users/get-or-create", &alice.token, serde_json::json!({ "username": "alice" })).await;
    again.expect_status(200);
    drop(idle);
    until("strangers are served again", async || {
        let stranger = Api::new(server.address);
        (stranger.get("/readyz").await.status == 200).then_some(())
    })
    .await;
}

async fn start_with_descriptors(db: &PgPool, limit: &str) -> ServerProcess {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("{limit}; exec \"$0\""), env!("CARGO_BIN_EXE_sneakdrop")]);
    ServerProcess::run(&mut command, &db.connect_options(), &[("SESSION_KEY", SESSION_KEY)]).await
}
