//! `GET /ws`: one socket of one page.
//!
//! A socket is subscribed before it sends its snapshot, so that no change is lost in between; the page recognises repeated
//! changes by their version. A socket that does not take what it is sent, or does not answer pings, is closed.
//!
//! Written on tungstenite's protocol and not on axum's `WebSocket`, which wakes a task for each frame: with it the server kept
//! 1.11 cores busy instead of 0.64 for 10,000 sockets, and a socket had 6.7 KiB of memory instead of 3.3 (docs/profile.md).

use super::{broadcast::Subscription, connection::Connection, encoded_events::EncodedEvents};
use crate::{
    domain::{
        error::DropError,
        event::{Heartbeat, ServerEvent, VisitorState},
    },
    server::{
        auth::{accounts, caller::Caller},
        identity::Identity,
        listen::LimitedStream,
        state::AppState,
    },
};
use axum::{
    body::Bytes,
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use std::{
    io::{self, ErrorKind, Read, Write},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use tokio::{
    net::TcpStream,
    time::{Instant, interval_at},
};
use tungstenite::{
    Message, Utf8Bytes,
    handshake::derive_accept_key,
    protocol::{
        CloseFrame, Role, WebSocketConfig, WebSocketContext,
        frame::{Frame as WireFrame, coding::CloseCode},
    },
};

pub(crate) async fn upgrade(State(state): State<AppState>, caller: Caller, mut request: Request) -> Response {
    if !state.config.origins.may_act(request.headers()) {
        return DropError::ForeignOrigin.into_response();
    }
    let websocket = HeaderValue::from_static("websocket");
    let accept = accept_key(&request);
    let (Some(accept), Some(upgrade)) = (accept, request.extensions_mut().remove::<OnUpgrade>()) else {
        return (
            StatusCode::UPGRADE_REQUIRED,
            [(header::UPGRADE, websocket), (header::SEC_WEBSOCKET_VERSION, VERSION)],
        )
            .into_response();
    };
    let tasks = state.tasks.clone();
    tasks.spawn(async move {
        // The client may be gone already.
        let Ok(upgraded) = upgrade.await else { return };
        let Ok(parts) = upgraded.downcast::<TokioIo<LimitedStream>>() else {
            return tracing::error!("a WebSocket upgrade of something other than an accepted connection");
        };
        let (stream, _place) = parts.io.into_inner().into_parts();
        let mut socket = Socket::new(state, caller.identity(), stream, &parts.read_buf);
        // The buffer of the HTTP connection is larger than everything else that a socket needs.
        drop(parts.read_buf);
        // A peer that goes away is the usual end of a socket, not an error.
        let _ = socket.run().await;
    });
    let headers = [
        (header::CONNECTION, HeaderValue::from_static("upgrade")),
        (header::UPGRADE, websocket),
        (header::SEC_WEBSOCKET_ACCEPT, accept),
    ];
    (StatusCode::SWITCHING_PROTOCOLS, headers).into_response()
}

/// The only version of the protocol that came into use.
const VERSION: HeaderValue = HeaderValue::from_static("13");

/// The value of `Sec-WebSocket-Accept` (RFC 6455, section 4.2); `None` if the request is no handshake.
fn accept_key(request: &Request) -> Option<HeaderValue> {
    let headers: &HeaderMap = request.headers();
    let has = |name: HeaderName, token: &str| {
        let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).any(|value| value.trim().eq_ignore_ascii_case(token))
    };
    let is_handshake = request.method() == Method::GET
        && has(header::CONNECTION, "upgrade")
        && has(header::UPGRADE, "websocket")
        && request.headers().get(header::SEC_WEBSOCKET_VERSION) == Some(&VERSION);
    let key = headers.get(header::SEC_WEBSOCKET_KEY).filter(|_| is_handshake)?;
    HeaderValue::try_from(derive_accept_key(key.as_bytes())).ok()
}

struct Socket {
    state: AppState,
    user: Option<Identity>,
    connection: Arc<Connection>,
    /// Decodes what the page sends.
    protocol: WebSocketContext,
}

/// The socket is closed, or must be.
struct Closed;

impl From<io::Error> for Closed {
    fn from(_: io::Error) -> Self {
        Self
    }
}

impl Socket {
    /// `read` was already read from the stream.
    fn new(state: AppState, user: Option<Identity>, stream: TcpStream, read: &[u8]) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER_BYTES)
            .write_buffer_size(0)
            .max_message_size(Some(MAX_MESSAGE_BYTES))
            .max_frame_size(Some(MAX_MESSAGE_BYTES));
        let protocol = WebSocketContext::from_partially_read(read.to_vec(), Role::Server, Some(config));
        Self { state, user, connection: Arc::new(Connection::new(stream)), protocol }
    }

    async fn run(&mut self) -> Result<(), Closed> {
        let subscription = Subscription::new(&self.state.broadcast, &self.connection, self.user.map(|user| user.id));
        self.resync().await?;
        self.read().await?;
        let mut pings = interval_at(Instant::now() + PING_INTERVAL.mul_f64(next_phase()), PING_INTERVAL);
        let mut unanswered_pings = 0;
        let shutdown = self.state.shutdown.clone();
        let mut shutdown = pin!(shutdown.cancelled());
        loop {
            tokio::select! {
                () = self.connection.woken() => {
                    self.connection.drain().await?;
                    if self.connection.begin_resync() {
                        self.resync().await?;
                    }
                }
                readable = self.connection.stream.readable() => {
                    readable?;
                    if self.read().await? {
                        unanswered_pings = 0;
                    }
                }
                _ = pings.tick() => {
                    if unanswered_pings == 2 {
                        return Err(Closed);
                    }
                    unanswered_pings += 1;
                    let ping = encode_frame(WireFrame::ping(Bytes::new()));
                    self.connection.send_control([ping, self.heartbeat()].concat().into())?;
                }
                () = &mut shutdown => {
                    let close = CloseFrame { code: CloseCode::Away, reason: Utf8Bytes::from_static("restarting") };
                    // Nothing may follow the close frame.
                    drop(subscription);
                    self.connection.send_control(encode_frame(WireFrame::close(Some(close))))?;
                    return Ok(self.connection.drain().await?);
                }
            }
        }
    }

    /// Sends a snapshot of every drop and the state of the user.
    async fn resync(&mut self) -> Result<(), Closed> {
        let visitor = match self.user {
            // Without the database the socket is closed, and the page reconnects.
            // Boxed, because a task is as large as the largest future that it ever awaits.
            Some(user) => Box::pin(accounts::returning_visitor(&self.state, user, None)).await.map_err(|_| Closed)?,
            None => None,
        };
        let visitor = EncodedEvents::of(&[ServerEvent::Visitor(VisitorState { visitor })]);
        self.connection.resync(|| self.state.broadcast.snapshot(&self.state.catalog, self.state.clock.now()), visitor);
        Ok(())
    }

    /// Corrects the page's clock, and shows it that the connection works.
    fn heartbeat(&self) -> Bytes {
        EncodedEvents::of(&[ServerEvent::Heartbeat(Heartbeat { now: self.state.clock.now().into() })]).bytes
    }

    /// Reads messages and answers pings, closes, and pages that ask for a heartbeat; returns whether anything was read.
    async fn read(&mut self) -> Result<bool, Closed> {
        for read in 0..MESSAGES_IN_A_ROW {
            let mut io = ConnectionIo(&self.connection);
            match self.protocol.read(&mut io) {
                Ok(Message::Close(_)) => {
                    let _ = self.protocol.flush(&mut io);
                    return Err(Closed);
                }
                Ok(Message::Text(_)) => self.connection.send_control(self.heartbeat())?,
                Ok(_) => {}
                Err(tungstenite::Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => return Ok(read > 0),
                Err(_) => return Err(Closed),
            }
        }
        // `try_read` does not use up the task's budget, so tokio would never make it yield.
        tokio::task::yield_now().await;
        Ok(true)
    }
}

fn encode_frame(frame: WireFrame) -> Bytes {
    let mut bytes = vec![];
    frame.format(&mut bytes).expect("writing to memory cannot fail");
    bytes.into()
}

/// A connection as tungstenite reads and writes it. What it writes is one whole frame, queued between those of others.
struct ConnectionIo<'a>(&'a Connection);

impl Read for ConnectionIo<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.stream.try_read(buffer)
    }
}

impl Write for ConnectionIo<'_> {
    fn write(&mut self, frame: &[u8]) -> io::Result<usize> {
        self.0.send_control(Bytes::copy_from_slice(frame))?;
        Ok(frame.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// When in the interval a socket is pinged, from 0 to 1. Ten thousand pages that load in the same second must not all be
/// pinged in the same second ever after; multiples of the golden ratio fill the interval evenly.
fn next_phase() -> f64 {
    static SOCKETS: AtomicU32 = AtomicU32::new(0);
    (f64::from(SOCKETS.fetch_add(1, Ordering::Relaxed)) * 0.618_033_988_749_895).fract()
}

/// How often a socket is pinged; it is closed when two pings stay unanswered. A page cannot see pings, so it also gets a
/// heartbeat.
const PING_INTERVAL: Duration = Duration::from_secs(10);

/// Pages only send pongs, closes, and text that asks for a heartbeat.
const MAX_MESSAGE_BYTES: usize = 1024;

/// Messages of one socket that are read before other tasks have their turn.
const MESSAGES_IN_A_ROW: usize = 16;

/// Room for a message. The default of 128 KiB would be 1.3 GB for ten thousand sockets.
const READ_BUFFER_BYTES: usize = 256;
