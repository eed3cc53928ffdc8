//! The requests that carry Engine.IO: `GET` begins a session, polls or opens a WebSocket, `POST` sends packets.

use super::{
    CLOSE, OPEN, PING, PING_INTERVAL, PING_TIMEOUT, PONG, Packets, SEPARATOR, SocketIo, UPGRADE, session::Session,
};
use crate::{
    domain::error::DropError,
    server::{
        realtime::{
            handshake::Handshake,
            websocket::{Closed, WebSocket, without_reason},
        },
        state::AppState,
    },
};
use axum::{
    Json, Router,
    body::to_bytes,
    extract::{Query, Request, State},
    http::{Method, StatusCode, header},
    response::{IntoResponse, Response},
    routing::any,
};
use serde::Serialize;
use serde_json::json;
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::time::timeout;
use tungstenite::{Message, protocol::frame::coding::CloseCode};

/// The routes, to which the handshakes of pages of other sites are no calls.
pub(crate) fn routes(socket_io: &Arc<SocketIo>) -> Router<AppState> {
    let serve =
        |socket_io: Arc<SocketIo>| any(async move |State(state), request| serve(socket_io, state, request).await);
    Router::new().route("/socket.io", serve(socket_io.clone())).route("/socket.io/", serve(socket_io.clone()))
}

async fn serve(socket_io: Arc<SocketIo>, state: AppState, request: Request) -> Response {
    if !state.config.origins.may_act(request.headers()) {
        return DropError::ForeignOrigin.into_response();
    }
    let fields = Query::<HashMap<String, String>>::try_from_uri(request.uri());
    let mut fields = fields.map(|Query(fields)| fields).unwrap_or_default();
    if fields.get("EIO").is_none_or(|version| version != PROTOCOL) {
        return Refusal::Version.into_response();
    }
    let session = match fields.remove("sid").map(|id| socket_io.session(&id)) {
        Some(None) => return Refusal::UnknownSession.into_response(),
        Some(session) => session,
        None => None,
    };
    match (fields.get("transport").map(String::as_str), request.method(), session) {
        (Some("polling"), &Method::GET, None) => open(&socket_io, &state),
        (Some("polling"), &Method::GET, Some(session)) => poll(&socket_io, &session).await,
        (Some("polling"), &Method::POST, Some(session)) => post(&socket_io, &session, request).await,
        (Some("websocket"), &Method::GET, session) => open_websocket(socket_io, state, session, request),
        (Some("polling" | "websocket"), _, None) => Refusal::Method.into_response(),
        (Some("polling" | "websocket"), ..) => Refusal::BadRequest.into_response(),
        _ => Refusal::Transport.into_response(),
    }
}

fn open(socket_io: &Arc<SocketIo>, state: &AppState) -> Response {
    match socket_io.open(state, |id| Session::polling(id, state.shutdown.child_token())) {
        Some(session) => payload(welcome(&session, true)),
        None => DropError::Unavailable.into_response(),
    }
}

/// The first packet of a session.
fn welcome(session: &Session, can_upgrade: bool) -> String {
    let upgrades: &[&str] = if can_upgrade { &["websocket"] } else { &[] };
    let welcome = Welcome {
        sid: &session.id,
        upgrades,
        ping_interval: PING_INTERVAL.as_millis() as u64,
        ping_timeout: PING_TIMEOUT.as_millis() as u64,
        max_payload: MAX_MESSAGE_BYTES as u64,
    };
    format!("{OPEN}{}", serde_json::to_string(&welcome).unwrap_or_default())
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Welcome<'a> {
    sid: &'a str,
    /// What polling can be followed by.
    upgrades: &'a [&'a str],
    /// Milliseconds.
    ping_interval: u64,
    ping_timeout: u64,
    /// Bytes of one body.
    max_payload: u64,
}

async fn poll(socket_io: &SocketIo, session: &Arc<Session>) -> Response {
    let Some(poll) = session.begin_poll() else {
        // Two polls at a time, or one beside a WebSocket, are none of a client that works.
        session.closed.cancel();
        return Refusal::BadRequest.into_response();
    };
    let packets = poll.payload(|| socket_io.counts());
    match session.closed.run_until_cancelled(packets).await {
        Some(packets) => payload(packets),
        None => payload(CLOSE.to_string()),
    }
}

async fn post(socket_io: &SocketIo, session: &Session, request: Request) -> Response {
    let body = to_bytes(request.into_body(), MAX_MESSAGE_BYTES).await;
    let packets = body.ok().and_then(|body| String::from_utf8(body.into()).ok());
    let is_taken = session.is_polling()
        && packets
            .is_some_and(|packets| packets.split(SEPARATOR).all(|packet| socket_io.take(session, packet).is_ok()));
    if is_taken {
        return payload("ok");
    }
    session.closed.cancel();
    // What is left of the body is not read, so nothing can follow it.
    ([(header::CONNECTION, "close")], Refusal::BadRequest).into_response()
}

fn payload(packets: impl IntoResponse) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; charset=UTF-8")], packets).into_response()
}

/// Opens a WebSocket, of a new session or in place of the polls of one.
fn open_websocket(
    socket_io: Arc<SocketIo>,
    state: AppState,
    session: Option<Arc<Session>>,
    mut request: Request,
) -> Response {
    let handshake = match Handshake::read(&mut request) {
        Ok(handshake) => handshake,
        Err(refusal) => return refusal.into_response(),
    };
    if session.as_ref().is_some_and(|session| !session.is_polling()) {
        return Refusal::BadRequest.into_response();
    }
    let tasks = state.tasks.clone();
    handshake.accept(&tasks, MAX_MESSAGE_BYTES, async move |websocket| {
        let mut socket = Socket { socket_io, websocket };
        match session {
            Some(session) => socket.upgrade(&session).await,
            None => socket.open(&state).await,
        }
        socket.websocket.finish().await;
    })
}

/// A WebSocket that carries Engine.IO.
struct Socket {
    socket_io: Arc<SocketIo>,
    websocket: WebSocket,
}

impl Socket {
    async fn open(&mut self, state: &AppState) {
        let connection = self.websocket.connection.clone();
        let session = |id| Session::websocket(id, connection, state.shutdown.child_token());
        match self.socket_io.open(state, session) {
            Some(session) if session.send_own(welcome(&session, false)).is_ok() => self.run(&session).await,
            _ => self.websocket.close(Some(without_reason(CloseCode::Again))),
        }
    }

    /// A session that did not come as far as its upgrade goes on by polling.
    async fn upgrade(&mut self, session: &Arc<Session>) {
        let probed = session.closed.run_until_cancelled(timeout(UPGRADE_TIMEOUT, self.probe(session))).await;
        session.set_upgrading(false);
        match probed {
            Some(Ok(Ok(()))) if session.upgrade(&self.websocket.connection).is_ok() => self.run(session).await,
            _ => self.websocket.close(Some(without_reason(CloseCode::Normal))),
        }
    }

    /// The client asks whether the WebSocket works, lets its poll end, and says when everything goes by the WebSocket.
    async fn probe(&mut self, session: &Session) -> Result<(), Closed> {
        let (ping, pong) = (format!("{PING}{PROBE}"), format!("{PONG}{PROBE}"));
        let connection = self.websocket.connection.clone();
        let mut is_upgraded = false;
        while !is_upgraded {
            let take = |message| match message {
                Message::Text(text) if *text == *ping => {
                    connection.send_control(Packets::of(vec![pong.clone()]).frames.bytes)?;
                    session.set_upgrading(true);
                    Ok(())
                }
                Message::Text(text) if text.chars().eq([UPGRADE]) => {
                    is_upgraded = true;
                    Ok(())
                }
                Message::Text(_) | Message::Binary(_) => Err(Closed),
                _ => Ok(()),
            };
            self.websocket.read(take).await?;
            if !is_upgraded {
                tokio::select! {
                    () = connection.woken() => connection.drain().await?,
                    readable = self.websocket.readable() => readable?,
                }
            }
        }
        Ok(())
    }

    async fn run(&mut self, session: &Session) {
        let closed = session.closed.clone();
        if closed.run_until_cancelled(self.converse(session)).await.is_none() {
            // Official clients connect anew after this packet.
            let _ = session.send_own(CLOSE.to_string());
            self.websocket.close(Some(without_reason(CloseCode::Away)));
        }
        session.closed.cancel();
    }

    async fn converse(&mut self, session: &Session) -> Result<(), Closed> {
        let connection = self.websocket.connection.clone();
        loop {
            let take = |message| match message {
                Message::Text(text) => self.socket_io.take(session, &text),
                _ => Ok(()),
            };
            self.websocket.read(take).await?;
            tokio::select! {
                () = connection.woken() => {
                    connection.drain().await?;
                    if connection.begin_resync() {
                        connection.resync(|| [self.socket_io.counts().frames]);
                    }
                }
                readable = self.websocket.readable() => readable?,
            }
        }
    }
}

/// Why a request is refused, as Engine.IO's server says it.
#[derive(Clone, Copy)]
enum Refusal {
    Transport = 0,
    UnknownSession = 1,
    Method = 2,
    BadRequest = 3,
    Version = 5,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let message = match self {
            Self::Transport => "Transport unknown",
            Self::UnknownSession => "Session ID unknown",
            Self::Method => "Bad handshake method",
            Self::BadRequest => "Bad request",
            Self::Version => "Unsupported protocol version",
        };
        (StatusCode::BAD_REQUEST, Json(json!({ "code": self as u8, "message": message }))).into_response()
    }
}

/// Of Engine.IO; what socket.io-client has spoken since its version 3.
const PROTOCOL: &str = "4";

/// What a client sends behind the ping that asks whether its WebSocket works.
const PROBE: &str = "probe";

/// How long a WebSocket may take to take over from the polls.
const UPGRADE_TIMEOUT: Duration = Duration::from_secs(10);

/// Clients only say that they join, leave and are still there.
const MAX_MESSAGE_BYTES: usize = 4_096;
