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
    extract::{
        State, WebSocketUpgrade,
        ws::{CloseFrame, Message, Utf8Bytes, WebSocket, close_code},
    },
    http::HeaderMap,
    response::{IntoResponse, Response},
};
use std::time::Duration;
use tokio::{
    sync::broadcast::{Receiver, error::RecvError},
    time::{Instant, interval_at, timeout},
};

/// How long the network may take for one frame.
const SEND_TIMEOUT: Duration = Duration::from_secs(5);

/// How often a socket is asked whether it is still there (two unanswered questions are an answer), and told that we are:
/// pages cannot see pings.
const PING_INTERVAL: Duration = Duration::from_secs(10);

/// Visitors only ever send pongs and closes.
const MAX_MESSAGE_BYTES: usize = 1024;

/// Small buffers: axum's default of 128 KiB for reading is 1.3 GB at ten thousand sockets.
const READ_BUFFER_BYTES: usize = 1024;

/// A frame is written at once, so that the write buffer only ever holds what the network refuses.
const WRITE_BUFFER_BYTES: usize = 0;

pub(crate) async fn upgrade(
    State(state): State<AppState>,
    headers: HeaderMap,
    caller: Caller,
    upgrade: WebSocketUpgrade,
) -> Response {
    if !is_same_origin(&headers) {
        return DropError::Forbidden.into_response();
    }
    upgrade
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(WRITE_BUFFER_BYTES)
        .max_message_size(MAX_MESSAGE_BYTES)
        .max_frame_size(MAX_MESSAGE_BYTES)
        .on_upgrade(async move |socket| {
            let tasks = state.tasks.clone();
            tasks.track_future(serve(state, caller.user, socket)).await;
        })
}

async fn serve(state: AppState, user: Option<User>, socket: WebSocket) {
    let user_id = user.as_ref().map(|user| user.id);
    let mut socket = Socket { state, user, socket };
    // A peer that went away is the usual end of a socket and nobody's fault.
    let _ = socket.run().await;
    if let Some(user_id) = user_id {
        socket.state.feed.forget_user(user_id);
    }
}

struct Socket {
    state: AppState,
    user: Option<User>,
    socket: WebSocket,
}

/// The socket is of no more use.
struct Gone;

impl Socket {
    async fn run(&mut self) -> Result<(), Gone> {
        let mut everyone = self.state.feed.subscribe();
        let mut own = self.user.as_ref().map(|user| self.state.feed.subscribe_user(user.id));
        self.resync().await?;
        let mut pings = interval_at(Instant::now() + PING_INTERVAL, PING_INTERVAL);
        let mut unanswered_pings = 0;
        let shutdown = self.state.shutdown.clone();
        loop {
            tokio::select! {
                frame = everyone.recv() => match frame {
                    Ok(frame) => self.send(Message::Text(frame)).await?,
                    Err(RecvError::Lagged(_)) => {
                        everyone = everyone.resubscribe();
                        self.resync().await?;
                    }
                    Err(RecvError::Closed) => return Ok(()),
                },
                frame = receive_own(&mut own) => match frame {
                    Ok(OwnFrame::News(frame)) => self.send(Message::Text(frame)).await?,
                    Ok(OwnFrame::Resync) | Err(RecvError::Lagged(_)) => self.resync().await?,
                    Err(RecvError::Closed) => own = None,
                },
                message = self.socket.recv() => match message {
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return Ok(()),
                    Some(Ok(_)) => unanswered_pings = 0,
                },
                _ = pings.tick() => {
                    if unanswered_pings == 2 {
                        return Err(Gone);
                    }
                    unanswered_pings += 1;
                    self.send(Message::Ping(Default::default())).await?;
                    self.send(Message::Text(encode(&Frame::Heartbeat { now: self.state.catalog.now() }))).await?;
                }
                () = shutdown.cancelled() => {
                    let close = CloseFrame { code: close_code::AWAY, reason: Utf8Bytes::from_static("restarting") };
                    return self.send(Message::Close(Some(close))).await;
                }
            }
        }
    }

    /// Sends all that there is to know: every drop, and the visitor's own state.
    async fn resync(&mut self) -> Result<(), Gone> {
        let visitor = match self.user.clone() {
            // Without the database there is nothing to tell; a page that reconnects asks again.
            Some(user) => Some(accounts::visitor(&self.state.pool, user).await.map_err(|_| Gone)?),
            None => None,
        };
        self.send(Message::Text(self.state.feed.snapshot(&self.state.catalog))).await?;
        self.send(Message::Text(encode(&Frame::Visitor { visitor }))).await
    }

    async fn send(&mut self, message: Message) -> Result<(), Gone> {
        match timeout(SEND_TIMEOUT, self.socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Gone),
        }
    }
}

/// The next frame for this user alone; never for a socket that belongs to nobody.
async fn receive_own(own: &mut Option<Receiver<OwnFrame>>) -> Result<OwnFrame, RecvError> {
    match own {
        Some(own) => own.recv().await,
        None => std::future::pending().await,
    }
}
