//! `/socket.io` as the protocol has it, without the client that speaks it: what may be said, and what waits for whom.

use crate::support::{Api, Node, Subscriber, send, soon, until};
use futures_util::{SinkExt, StreamExt};
use reqwest::Method;
use serde_json::Value;
use sqlx::PgPool;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Message, client::IntoClientRequest, protocol::frame::coding::CloseCode},
};

const POLLING: &str = "/socket.io/?EIO=4&transport=polling";
const WEBSOCKET: &str = "/socket.io/?EIO=4&transport=websocket";
const BOTH_SOCKETS: [&str; 2] = ["/ws", WEBSOCKET];

/// A client that polls.
struct Poller<'a> {
    api: &'a Api,
    path: String,
}

impl<'a> Poller<'a> {
    async fn open(api: &'a Api) -> Self {
        let answer = api.get(POLLING).await.expect_status(200);
        let open: Value = serde_json::from_str(answer.text.strip_prefix('0').expect("an open packet")).expect("JSON");
        Self { api, path: format!("{POLLING}&sid={}", open["sid"].as_str().expect("text")) }
    }

    /// One that hears of events.
    async fn join(api: &'a Api) -> Self {
        let poller = Self::open(api).await;
        assert_eq!(poller.say("40").await, 200);
        let packets = poller.poll().await;
        assert!(packets[0].starts_with(r#"40{"sid":"#), "{packets:?}");
        poller
    }

    /// Sends packets and returns the status of the answer.
    async fn say(&self, packets: &str) -> u16 {
        send(self.api.request(Method::POST, &self.path).body(packets.to_owned())).await.status
    }

    async fn poll(&self) -> Vec<String> {
        let answer = self.api.get(&self.path).await.expect_status(200);
        answer.text.split('\u{1e}').map(Into::into).collect()
    }

    /// Whether the server has forgotten it.
    async fn is_gone(&self) -> bool {
        let answer = self.api.get(&self.path).await;
        answer.status == 400 && answer.text.contains("Session ID unknown")
    }
}

async fn open_websocket(api: &Api, path: &str) -> WebSocketStream<TcpStream> {
    let request = format!("ws://{}{path}", api.address).into_client_request().expect("an address");
    let stream = TcpStream::connect(api.address).await.expect("the server listens");
    client_async(request, stream).await.expect("the handshake succeeds").0
}

/// The next text; `None` once the server has closed.
async fn next_text(socket: &mut WebSocketStream<TcpStream>) -> Option<String> {
    loop {
        match soon("a message arrives", socket.next()).await? {
            Ok(Message::Text(text)) => return Some(text.to_string()),
            Ok(Message::Close(_)) | Err(_) => return None,
            Ok(_) => {}
        }
    }
}

fn connect(namespace: &str) -> String {
    format!("40{namespace},")
}

#[sqlx::test]
async fn only_a_right_handshake_opens_either_socket(db: PgPool) {
    let node = Node::start(&db).await;
    let right = [
        ("connection", "Upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    for path in BOTH_SOCKETS {
        for (version, replaced, value, expected) in [
            ("1.1", "", "", 101),
            ("1.1", "connection", "keep-alive, upgrade", 101),
            ("1.1", "connection", "", 426),
            ("1.1", "connection", "close", 426),
            ("1.1", "upgrade", "", 426),
            ("1.1", "upgrade", "h2c", 426),
            ("1.1", "sec-websocket-version", "8", 426),
            ("1.1", "sec-websocket-version", "", 426),
            ("1.0", "", "", 426),
            ("1.1", "sec-websocket-key", "", 400),
            ("1.1", "sec-websocket-key", "c2hvcnQ=", 400),
            (
                "1.1",
                "sec-websocket-key",
                "dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==",
                400,
            ),
            ("1.1", "sec-websocket-key", "not in base64 at all, or is it", 400),
        ] {
            let kept =
                right.iter().filter(|(name, _)| *name != replaced).map(|(name, value)| format!("{name}: {value}\r\n"));
            let new = (!value.is_empty()).then(|| format!("{replaced}: {value}\r\n"));
            let lines: String = kept.chain(new).collect();
            let request = format!("GET {path} HTTP/{version}\r\nhost: {}\r\n{lines}\r\n", node.address);
            let mut stream = TcpStream::connect(node.address).await.expect("the server listens");
            stream.write_all(request.as_bytes()).await.expect("the connection is open");
            let mut status = [0; 12];
            soon("the server answers", stream.read_exact(&mut status)).await.expect("a status line");
            let status = String::from_utf8_lossy(&status);
            assert!(status.ends_with(&expected.to_string()), "{path} {version} {replaced}: {value} is {status}");
        }
    }
    node.stop().await;
}

#[sqlx::test]
async fn a_close_frame_is_answered_whenever_it_comes(db: PgPool) {
    let node = Node::start(&db).await;
    node.create_open_drop(5).await;
    // Of each the masked bytes, the mask being zero, and the code of the answer.
    let closes: [(&[u8], Option<u16>); 4] = [
        (&[0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8], Some(1_000)),
        (&[0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe9], Some(1_001)),
        (&[0x88, 0x80, 0, 0, 0, 0], None),
        // Half a code breaks the protocol.
        (&[0x88, 0x81, 0, 0, 0, 0, 0x03], Some(1_002)),
    ];
    for round in 0..40 {
        for path in BOTH_SOCKETS {
            for (close, code) in closes {
                let mut socket = open_websocket(&node, path).await;
                // At once, or when something has been sent.
                if round % 2 == 1 {
                    next_text(&mut socket).await.expect("the first message");
                }
                socket.get_mut().write_all(close).await.expect("the connection is open");
                let answered = loop {
                    match soon("the server answers", socket.next()).await {
                        Some(Ok(Message::Close(frame))) => break frame.map(|frame| u16::from(frame.code)),
                        Some(Ok(_)) => {}
                        other => panic!("{path} {close:?}: no close frame but {other:?}"),
                    }
                };
                assert_eq!(answered, code, "{path} {close:?}");
            }
        }
    }
    node.stop().await;
}

#[sqlx::test]
async fn a_close_frame_in_place_of_an_upgrade_is_answered_and_polling_goes_on(db: PgPool) {
    let node = Node::start(&db).await;
    let drop_id = node.create_open_drop(5).await;
    let alice = node.sign_in("alice").await;
    for probe in [false, true] {
        let poller = Poller::join(&node).await;
        let sid = poller.path.replace("polling", "websocket");
        let mut socket = open_websocket(&node, &sid).await;
        if probe {
            socket.send(Message::text("2probe")).await.expect("the connection is open");
            assert_eq!(next_text(&mut socket).await.as_deref(), Some("3probe"));
            assert_eq!(poller.poll().await, ["6"]);
        }
        socket.close(None).await.expect("the connection is open");
        let mut last = socket.next().await;
        while let Some(Ok(message)) = &last {
            if message.is_close() {
                break;
            }
            last = socket.next().await;
        }
        assert!(matches!(last, Some(Ok(Message::Close(_))) | None), "{last:?}");
        node.reserve(&alice, drop_id).await.expect_status(201);
        until("the poll hears of it", async || {
            poller.poll().await.iter().any(|packet| packet.contains(r#""newStock":4"#)).then_some(())
        })
        .await;
        node.release(&alice, drop_id).await.expect_status(200);
    }
    node.stop().await;
}

#[sqlx::test]
async fn a_namespace_of_more_than_64_characters_ends_the_session(db: PgPool) {
    let node = Node::start(&db).await;
    for (characters, is_refused) in [(2, true), (64, true), (65, false), (2_000, false)] {
        let namespace = format!("/{}", "é".repeat(characters - 1));
        let poller = Poller::open(&node).await;
        assert_eq!(poller.say(&connect(&namespace)).await, if is_refused { 200 } else { 400 }, "{characters}");
        if is_refused {
            let expected = format!(r#"44{namespace},{{"message":"There is only the namespace /."}}"#);
            assert_eq!(poller.poll().await, [expected]);
        }
        assert_eq!(poller.is_gone().await, !is_refused, "{characters}");

        let mut socket = open_websocket(&node, WEBSOCKET).await;
        next_text(&mut socket).await.expect("the open packet");
        socket.send(Message::text(connect(&namespace))).await.expect("the connection is open");
        assert_eq!(next_text(&mut socket).await.is_some(), is_refused, "{characters}");
    }
    for size in [4_097, 900_000] {
        let poller = Poller::open(&node).await;
        assert_eq!(poller.say(&connect(&format!("/{}", "n".repeat(size)))).await, 400);
        assert!(poller.is_gone().await, "{size}");
    }
    node.stop().await;
}

#[sqlx::test]
async fn a_flood_of_unknown_namespaces_leaves_little_waiting_and_ends_the_session(db: PgPool) {
    let node = Node::start(&db).await;
    let namespace = format!("/{}", "n".repeat(63));
    for joins in [false, true] {
        let poller = if joins { Poller::join(&node).await } else { Poller::open(&node).await };
        // One short of what is bounded, all of it is answered.
        let said = vec![connect(&namespace); 16].join("\u{1e}");
        assert_eq!(poller.say(&said).await, 200);
        let waiting = poller.poll().await;
        assert!(waiting.len() <= 16, "{} packets", waiting.len());
        assert!(waiting.iter().map(String::len).sum::<usize>() < 4_096);
        assert_eq!(poller.say(&connect(&namespace)).await, 400);
        assert!(poller.is_gone().await);

        let mut socket = open_websocket(&node, WEBSOCKET).await;
        if joins {
            socket.send(Message::text("40")).await.expect("the connection is open");
        }
        // Nothing is read meanwhile.
        for _ in 0..5_000 {
            if socket.send(Message::text(connect(&namespace))).await.is_err() {
                break;
            }
        }
        let (mut texts, mut bytes) = (0, 0);
        while let Some(text) = next_text(&mut socket).await {
            (texts, bytes) = (texts + 1, bytes + text.len());
        }
        assert!(texts <= 32 && bytes < 8_192, "{texts} messages, {bytes} bytes");
    }
    node.stop().await;
}

#[sqlx::test]
async fn a_client_that_does_not_poll_gets_the_latest_counts_instead_of_all_that_was(db: PgPool) {
    let node = Node::start(&db).await;
    let drop_id = node.create_open_drop(5).await;
    let alice = node.sign_in("alice").await;
    let poller = Poller::join(&node).await;
    let mut watcher = Subscriber::connect(&node, None).await;
    // Each change has two events for each of the systems' clients.
    for _ in 0..80 {
        node.reserve(&alice, drop_id).await.expect_status(201);
        watcher.next_stock_update().await;
        node.release(&alice, drop_id).await.expect_status(200);
        watcher.next_stock_update().await;
    }
    node.reserve(&alice, drop_id).await.expect_status(201);
    watcher.next_stock_update().await;
    let waiting = poller.poll().await;
    assert!(waiting.len() <= 256, "{} packets", waiting.len());
    let latest = format!(r#"42["stockUpdated",{{"dropId":{drop_id},"newStock":4}}]"#);
    until("the latest count is there", async || {
        if waiting.contains(&latest) { Some(()) } else { poller.poll().await.contains(&latest).then_some(()) }
    })
    .await;
    // And it goes on.
    node.release(&alice, drop_id).await.expect_status(200);
    until("the next count comes", async || {
        poller.poll().await.iter().any(|packet| packet.contains(r#""newStock":5"#)).then_some(())
    })
    .await;
    node.stop().await;
}

#[sqlx::test]
async fn what_is_no_packet_or_no_session_is_refused(db: PgPool) {
    let node = Node::start(&db).await;
    for (path, message) in [
        ("/socket.io/", "Unsupported protocol version"),
        ("/socket.io/?EIO=3&transport=polling", "Unsupported protocol version"),
        ("/socket.io/?EIO=4", "Transport unknown"),
        ("/socket.io/?EIO=4&transport=webtransport", "Transport unknown"),
        ("/socket.io/?EIO=4&transport=polling&sid=", "Session ID unknown"),
        ("/socket.io/?EIO=4&transport=polling&sid=0123", "Session ID unknown"),
    ] {
        let answer = node.get(path).await.expect_status(400);
        assert_eq!(answer.json["message"], message, "{path}");
    }
    for method in [Method::POST, Method::PUT, Method::DELETE, Method::HEAD] {
        assert_eq!(send(node.request(method.clone(), POLLING)).await.status, 400, "{method}");
    }
    for packets in ["", "9", "é", "4", "0", "40\u{1e}", "\u{1e}", "5", "9\u{1e}1"] {
        let poller = Poller::open(&node).await;
        assert_eq!(poller.say(packets).await, 400, "{packets:?}");
        assert!(poller.is_gone().await, "{packets:?}");
    }
    // Whoever says goodbye is no offender: browsers would log an error.
    for packets in ["1", "41", "41\u{1e}1"] {
        let poller = Poller::join(&node).await;
        assert_eq!(poller.say(packets).await, 200, "{packets:?}");
        assert!(poller.is_gone().await, "{packets:?}");
    }
    // Two polls at a time are those of nobody who follows the protocol.
    let poller = Poller::open(&node).await;
    let (first, second) = tokio::join!(node.get(&poller.path), node.get(&poller.path));
    let mut answers = [(first.status, first.text), (second.status, second.text)];
    answers.sort();
    assert_eq!((answers[0].0, &*answers[0].1, answers[1].0), (200, "1", 400));
    node.stop().await;
}

#[sqlx::test]
async fn an_upgraded_session_goes_on_with_what_waited_and_an_orderly_stop_closes_it(db: PgPool) {
    let node = Node::start(&db).await;
    let drop_id = node.create_open_drop(5).await;
    let alice = node.sign_in("alice").await;
    let poller = Poller::join(&node).await;
    let mut socket = open_websocket(&node, &poller.path.replace("polling", "websocket")).await;
    socket.send(Message::text("2probe")).await.expect("the connection is open");
    assert_eq!(next_text(&mut socket).await.as_deref(), Some("3probe"));
    node.reserve(&alice, drop_id).await.expect_status(201);
    socket.send(Message::text("5")).await.expect("the connection is open");
    let heard = next_text(&mut socket).await.expect("what waited");
    assert_eq!(heard, format!(r#"42["stockUpdated",{{"dropId":{drop_id},"newStock":4}}]"#));
    node.get(&poller.path).await.expect_status(400);
    let mut other = open_websocket(&node, WEBSOCKET).await;
    next_text(&mut other).await.expect("the open packet");
    node.begin_shutdown();
    let mut texts = vec![];
    let closed = loop {
        match soon("the server closes", other.next()).await {
            Some(Ok(Message::Close(frame))) => break frame.expect("a code"),
            Some(Ok(message)) => texts.push(message.into_text().expect("text").to_string()),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!((texts, closed.code), (vec!["1".to_owned()], CloseCode::Away));
    node.stop().await;
}
