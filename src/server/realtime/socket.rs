//! `GET /ws`: one socket of one page.
//!
//! A socket is subscribed before it sends its snapshot, so that no change is lost in between; the page recognises repeated
//! changes by their version. A socket that does not take what it is sent, or does not answer pings, is closed.

use super::{
    broadcast::Subscription,
    encoded_events::EncodedEvents,
    handshake::Handshake,
    websocket::{Closed, WebSocket, encode_frame},
};
use crate::{
    domain::{
        error::DropError,
        event::{Heartbeat, ServerEvent, VisitorState},
    },
    server::{
        auth::{accounts, caller::Caller},
        identity::Identity,
        state::AppState,
    },
};
use axum::{
    body::Bytes,
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use std::{
    pin::pin,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};
use tokio::time::{Instant, interval_at};
use tungstenite::{
    Message, Utf8Bytes,
    protocol::{
        CloseFrame,
        frame::{Frame as WireFrame, coding::CloseCode},
    },
};

pub(crate) async fn upgrade(State(state): State<AppState>, caller: Caller, mut request: Request) -> Response {
    if !state.config.origins.may_act(request.headers()) {
        return DropError::ForeignOrigin.into_response();
    }
    let handshake = match Handshake::read(&mut request) {
        Ok(handshake) => handshake,
        Err(refusal) => return refusal.into_response(),
    };
    let tasks = state.tasks.clone();
    handshake.accept(&tasks, MAX_MESSAGE_BYTES, async move |websocket| {
        let mut socket = Socket { state, user: caller.identity(), websocket };
        // Why it ended does not matter: the page connects anew.
        let _ = socket.run().await;
        socket.websocket.finish().await;
    })
}

struct Socket {
    state: AppState,
    user: Option<Identity>,
    websocket: WebSocket,
}

impl Socket {
    async fn run(&mut self) -> Result<(), Closed> {
        let connection = self.websocket.connection.clone();
        let _subscription = Subscription::new(&self.state.broadcast, &connection, self.user.map(|user| user.id));
        self.resync().await?;
        self.read().await?;
        let mut pings = interval_at(Instant::now() + PING_INTERVAL.mul_f64(next_phase()), PING_INTERVAL);
        let mut unanswered_pings = 0;
        let shutdown = self.state.shutdown.clone();
        let mut shutdown = pin!(shutdown.cancelled());
        loop {
            tokio::select! {
                () = connection.woken() => {
                    connection.drain().await?;
                    if connection.begin_resync() {
                        self.resync().await?;
                    }
                }
                readable = self.websocket.readable() => {
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
                    connection.send_control([ping, heartbeat(&self.state)].concat().into())?;
                }
                () = &mut shutdown => {
                    let reason = Utf8Bytes::from_static("restarting");
                    self.websocket.close(Some(CloseFrame { code: CloseCode::Away, reason }));
                    return Ok(());
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
        let snapshot = || self.state.broadcast.snapshot(&self.state.catalog, self.state.clock.now());
        self.websocket.connection.resync(|| [EncodedEvents { bytes: snapshot(), count: 1 }, visitor]);
        Ok(())
    }

    /// Reads what the page sends; text asks for a heartbeat. Returns whether there was anything.
    async fn read(&mut self) -> Result<bool, Closed> {
        let connection = self.websocket.connection.clone();
        let take = |message| match message {
            Message::Text(_) => Ok(connection.send_control(heartbeat(&self.state))?),
            _ => Ok(()),
        };
        self.websocket.read(take).await
    }
}

/// Corrects the page's clock, and shows it that the connection works.
fn heartbeat(state: &AppState) -> Bytes {
    EncodedEvents::of(&[ServerEvent::Heartbeat(Heartbeat { now: state.clock.now().into() })]).bytes
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
