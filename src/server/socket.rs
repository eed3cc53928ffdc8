//! `GET /ws`: one socket of one page.
//!
//! A socket first subscribes and then takes its snapshot, so that no change falls in between; what it gets twice, the
//! version tells. One that falls behind skips to the latest snapshot. One that does not take a frame, or answer a ping,
//! in time is closed.

use super::{
    AppState, accounts,
    feed::{OwnFrame, encode},
    session::{Caller, is_same_origin},
};
use crate::{
    domain::{Frame, User},
    error::DropError,
};
use axum::{
    body::Bytes,
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use futures_util::{SinkExt, StreamExt};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use std::{
    pin::pin,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};
use tokio::{
    sync::broadcast::{Receiver, error::RecvError},
    time::{Instant, interval_at, timeout},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Message, Utf8Bytes,
        handshake::derive_accept_key,
        protocol::{
            CloseFrame, Role, WebSocketConfig,
            frame::{
                Frame as WireFrame,
                coding::{CloseCode, Data, OpCode},
            },
        },
    },
};

/// How long the network may take for one frame.
const SEND_TIMEOUT: Duration = Duration::from_secs(5);

/// How often a socket is asked whether it is still there (two unanswered questions are an answer), and, after as long a
/// silence, told that we are: pages cannot see pings.
const PING_INTERVAL: Duration = Duration::from_secs(10);

/// Visitors only ever send pongs and closes.
const MAX_MESSAGE_BYTES: usize = 1024;

/// Small buffers: the usual 128 KiB for reading is 1.3 GB at ten thousand sockets.
const READ_BUFFER_BYTES: usize = 1024;

/// A frame is written at once, so that the write buffer only ever holds what the network refuses.
const WRITE_BUFFER_BYTES: usize = 0;

/// Longer messages are sent in parts of this size: a socket's write buffer stays as large as the longest ever was.
const FRAGMENT_BYTES: usize = 2048;

pub(crate) async fn upgrade(State(state): State<AppState>, caller: Caller, mut request: Request) -> Response {
    if !is_same_origin(request.headers()) {
        return DropError::Forbidden.into_response();
    }
    let websocket = HeaderValue::from_static("websocket");
    let accept = accept_key(&request);
    let (Some(accept), Some(upgrade)) = (accept, request.extensions_mut().remove::<OnUpgrade>()) else {
        return (StatusCode::UPGRADE_REQUIRED, [(header::UPGRADE, websocket)]).into_response();
    };
    let tasks = state.tasks.clone();
    tasks.spawn(async move {
        // A visitor who is gone before it began.
        let Ok(upgraded) = upgrade.await else { return };
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER_BYTES)
            .write_buffer_size(WRITE_BUFFER_BYTES)
            .max_message_size(Some(MAX_MESSAGE_BYTES))
            .max_frame_size(Some(MAX_MESSAGE_BYTES));
        let stream = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, Some(config)).await;
        serve(state, caller.user, stream).await;
    });
    let headers = [
        (header::CONNECTION, HeaderValue::from_static("upgrade")),
        (header::UPGRADE, websocket),
        (header::SEC_WEBSOCKET_ACCEPT, accept),
    ];
    (StatusCode::SWITCHING_PROTOCOLS, headers).into_response()
}

/// The answer to the key of a handshake (RFC 6455, section 4.2); none if the request is no handshake.
fn accept_key(request: &Request) -> Option<HeaderValue> {
    let headers: &HeaderMap = request.headers();
    let has = |name: HeaderName, token: &str| {
        let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).any(|value| value.trim().eq_ignore_ascii_case(token))
    };
    let is_handshake = request.method() == Method::GET
        && has(header::CONNECTION, "upgrade")
        && has(header::UPGRADE, "websocket")
        && has(header::SEC_WEBSOCKET_VERSION, "13");
    let key = headers.get(header::SEC_WEBSOCKET_KEY).filter(|_| is_handshake)?;
    HeaderValue::try_from(derive_accept_key(key.as_bytes())).ok()
}

async fn serve(state: AppState, user: Option<User>, socket: Stream) {
    let user_id = user.as_ref().map(|user| user.id);
    let mut socket = Socket { state, user, socket, is_quiet: true };
    // A peer that went away is the usual end of a socket and nobody's fault.
    let _ = socket.run().await;
    if let Some(user_id) = user_id {
        socket.state.feed.forget_user(user_id);
    }
}

type Stream = WebSocketStream<TokioIo<Upgraded>>;

struct Socket {
    state: AppState,
    user: Option<User>,
    socket: Stream,
    /// Whether nothing was sent since the last ping.
    is_quiet: bool,
}

/// The socket is of no more use.
struct Gone;

impl Socket {
    async fn run(&mut self) -> Result<(), Gone> {
        let mut everyone = self.state.feed.subscribe();
        let mut own = self.user.as_ref().map(|user| self.state.feed.subscribe_user(user.id));
        self.resync().await?;
        let mut pings = interval_at(Instant::now() + PING_INTERVAL.mul_f64(next_phase()), PING_INTERVAL);
        let mut unanswered_pings = 0;
        let shutdown = self.state.shutdown.clone();
        let mut shutdown = pin!(shutdown.cancelled());
        loop {
            tokio::select! {
                frame = everyone.recv() => match frame {
                    Ok(frame) => self.send_text(frame).await?,
                    Err(RecvError::Lagged(_)) => {
                        everyone = everyone.resubscribe();
                        self.resync().await?;
                    }
                    Err(RecvError::Closed) => return Ok(()),
                },
                frame = receive_own(&mut own) => match frame {
                    Ok(OwnFrame::News(frame)) => self.send_text(frame).await?,
                    Ok(OwnFrame::Resync) | Err(RecvError::Lagged(_)) => self.resync().await?,
                    Err(RecvError::Closed) => own = None,
                },
                message = self.socket.next() => match message {
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return Ok(()),
                    Some(Ok(_)) => unanswered_pings = 0,
                },
                _ = pings.tick() => {
                    if unanswered_pings == 2 {
                        return Err(Gone);
                    }
                    unanswered_pings += 1;
                    self.send(Message::Ping(Default::default())).await?;
                    // Whatever else a page hears tells it as well that we are there.
                    if self.is_quiet {
                        self.send_text(encode(&Frame::Heartbeat { now: self.state.catalog.now() })).await?;
                    }
                    self.is_quiet = true;
                }
                () = &mut shutdown => {
                    let close = CloseFrame { code: CloseCode::Away, reason: Utf8Bytes::from_static("restarting") };
                    return self.send(Message::Close(Some(close))).await;
                }
            }
        }
    }

    /// Sends all that there is to know: every drop, and the visitor's own state.
    async fn resync(&mut self) -> Result<(), Gone> {
        let visitor = match self.user.clone() {
            // Without the database there is nothing to tell; a page that reconnects asks again.
            // In a box, as every socket's task is as large as the largest thing that it ever waits for.
            Some(user) => Some(Box::pin(accounts::visitor(&self.state.pool, user)).await.map_err(|_| Gone)?),
            None => None,
        };
        self.send_text(self.state.feed.snapshot(&self.state.catalog)).await?;
        self.send_text(encode(&Frame::Visitor { visitor })).await
    }

    async fn send_text(&mut self, text: Utf8Bytes) -> Result<(), Gone> {
        self.is_quiet = false;
        if text.len() <= FRAGMENT_BYTES {
            return self.send(Message::Text(text)).await;
        }
        let text = Bytes::from(text);
        for start in (0..text.len()).step_by(FRAGMENT_BYTES) {
            let end = text.len().min(start + FRAGMENT_BYTES);
            let data = if start == 0 { Data::Text } else { Data::Continue };
            let part = WireFrame::message(text.slice(start..end), OpCode::Data(data), end == text.len());
            self.send(Message::Frame(part)).await?;
        }
        Ok(())
    }

    async fn send(&mut self, message: Message) -> Result<(), Gone> {
        match timeout(SEND_TIMEOUT, self.socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Gone),
        }
    }
}

/// Where in the interval a socket is asked, as a part of it. Ten thousand pages that load in the same second must not all be
/// asked in the same second ever after: steps of the golden ratio fill the interval evenly, however many there are.
fn next_phase() -> f64 {
    static SOCKETS: AtomicU32 = AtomicU32::new(0);
    (f64::from(SOCKETS.fetch_add(1, Ordering::Relaxed)) * 0.618_033_988_749_895).fract()
}

/// The next frame for this user alone; never for a socket that belongs to nobody.
async fn receive_own(own: &mut Option<Receiver<OwnFrame>>) -> Result<OwnFrame, RecvError> {
    match own {
        Some(own) => own.recv().await,
        None => std::future::pending().await,
    }
}
