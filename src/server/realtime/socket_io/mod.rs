//! `/socket.io`: stock and purchases for the clients of the two systems that this one replaces.
//!
//! Of Engine.IO (protocol 4) and Socket.IO (protocol 5) only what such clients need: polling, WebSockets and the upgrade from
//! one to the other; the namespace `/`, and events from the server. What waits for a client is bounded as for those of `/ws`:
//! one that falls behind gets every count anew. engineioxide, which did this before, queues without regard to size, keeps the
//! head of the request for as long as the client is connected, and at times leaves a close frame without an answer.

mod events;
mod requests;
mod session;

pub(crate) use requests::routes;

use super::{broadcast::fan_out, encoded_events::EncodedEvents, websocket::Closed};
use crate::{
    domain::event::ServerEvent,
    server::{catalog::Catalog, clock::DatabaseClock, listen::max_connections, state::AppState},
    text,
};
use axum::body::Bytes;
use serde_json::json;
use session::Session;
use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::time::{Instant, interval_at, sleep, timeout};

/// Every Socket.IO client of this node.
pub struct SocketIo {
    catalog: Arc<Catalog>,
    clock: Arc<DatabaseClock>,
    sessions: Mutex<HashMap<String, Arc<Session>>>,
    counts: Mutex<Option<Counts>>,
    /// Rises when the database went back: what was flushed before must not be sent any more.
    generation: AtomicU64,
}

/// Packets, encoded once for all clients.
#[derive(Clone)]
struct Packets {
    frames: EncodedEvents,
    /// As the answer to a poll has them.
    payload: Bytes,
}

/// The stock of every drop on sale, for all clients that join in the same moment.
struct Counts {
    revision: u64,
    made_at: Instant,
    packets: Packets,
}

impl SocketIo {
    pub(crate) fn new(catalog: Arc<Catalog>, clock: Arc<DatabaseClock>) -> Self {
        let (sessions, counts) = (Mutex::default(), Mutex::default());
        Self { catalog, clock, sessions, counts, generation: AtomicU64::default() }
    }

    /// How many clients are connected.
    pub(crate) fn clients(&self) -> usize {
        lock(&self.sessions).len()
    }

    /// Must be read before the flush that is then [sent](Self::send).
    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::SeqCst)
    }

    /// Sends a flush to every client that has joined.
    pub(super) async fn send(&self, generation: u64, events: &[ServerEvent]) {
        let sessions: Vec<_> = lock(&self.sessions).values().cloned().collect();
        if sessions.is_empty() || generation != self.generation() {
            return;
        }
        let packets = Packets::of(events.iter().flat_map(events::packets).collect());
        fan_out(sessions, move |session: &Arc<Session>| session.send(&packets)).await;
    }

    /// Sends every count anew, because the database went back.
    pub(crate) fn resync(&self) {
        self.generation.fetch_add(1, Ordering::SeqCst);
        lock(&self.sessions).values().for_each(|session| session.require_counts());
    }

    /// Begins a session, unless as many as may be are connected. A session without a WebSocket has no connection of its own for
    /// most of the time, so what limits their number is memory.
    fn open(self: &Arc<Self>, state: &AppState, session: impl FnOnce(String) -> Session) -> Option<Arc<Session>> {
        let id = format!("{:016x}{:016x}", getrandom::u64().ok()?, getrandom::u64().ok()?);
        let session = Arc::new(session(id.clone()));
        let mut sessions = lock(&self.sessions);
        if sessions.len() >= max_connections().min(MAX_SESSIONS) {
            return None;
        }
        sessions.insert(id, session.clone());
        drop(sessions);
        state.tasks.spawn(self.clone().keep(session.clone()));
        Some(session)
    }

    fn session(&self, id: &str) -> Option<Arc<Session>> {
        lock(&self.sessions).get(id).filter(|session| !session.closed.is_cancelled()).cloned()
    }

    /// Closes a session that does not join in time or does not answer a ping, and forgets one that is closed.
    async fn keep(self: Arc<Self>, session: Arc<Session>) {
        let is_alive = async {
            let mut pings = interval_at(Instant::now() + PING_INTERVAL, PING_INTERVAL);
            sleep(JOIN_TIMEOUT).await;
            if !session.has_joined() {
                return;
            }
            loop {
                pings.tick().await;
                let is_sent = session.send_own(PING.to_string()).is_ok();
                if !is_sent || timeout(PING_TIMEOUT, session.pong.notified()).await.is_err() {
                    return;
                }
            }
        };
        session.closed.run_until_cancelled(is_alive).await;
        session.closed.cancel();
        lock(&self.sessions).remove(&session.id);
    }

    /// Takes what a client says: a packet of Engine.IO.
    fn take(&self, session: &Session, packet: &str) -> Result<(), Closed> {
        match packet.chars().next() {
            Some(MESSAGE) => self.take_message(session, &packet[MESSAGE.len_utf8()..]),
            Some(PONG) => {
                session.pong.notify_one();
                Ok(())
            }
            // There is nothing that clients could send.
            Some(BINARY) => Ok(()),
            Some(CLOSE) => {
                session.closed.cancel();
                Ok(())
            }
            _ => Err(Closed),
        }
    }

    /// A packet of Socket.IO is its type, then its namespace unless that is `/`, then its contents.
    fn take_message(&self, session: &Session, packet: &str) -> Result<(), Closed> {
        let Some(kind) = packet.chars().next() else { return Err(Closed) };
        let rest = &packet[kind.len_utf8()..];
        let namespace = if rest.starts_with('/') { rest.split([',', '?']).next().unwrap_or_default() } else { "/" };
        if namespace.chars().count() > MAX_NAMESPACE_CHARS {
            return Err(Closed);
        }
        match (kind, namespace) {
            (CONNECT, "/") => {
                let welcome = format!("{MESSAGE}{CONNECT}{}", json!({ "sid": session.id }));
                session.join(welcome, || self.counts())
            }
            (CONNECT, _) if session.may_refuse() => {
                let message = json!({ "message": text::NO_SUCH_NAMESPACE });
                session.send_own(format!("{MESSAGE}{CONNECT_ERROR}{namespace},{message}"))
            }
            (CONNECT, _) => Err(Closed),
            (DISCONNECT, "/") => {
                session.closed.cancel();
                Ok(())
            }
            // There is nothing that clients could ask for.
            _ => Ok(()),
        }
    }

    fn counts(&self) -> Packets {
        let revision = self.catalog.revision();
        let mut counts = lock(&self.counts);
        match &*counts {
            // The age is limited because drops start and end.
            Some(known) if known.revision == revision && known.made_at.elapsed() < COUNTS_AGE => known.packets.clone(),
            _ => {
                let (made_at, now) = (Instant::now(), self.clock.now());
                let drops = self.catalog.drops();
                let open = drops.iter().filter(|drop| drop.is_open(now));
                let packets = Packets::of(open.flat_map(|drop| events::stock_of(drop, None)).collect());
                *counts = Some(Counts { revision, made_at, packets: packets.clone() });
                packets
            }
        }
    }
}

impl Packets {
    fn of(packets: Vec<String>) -> Self {
        Self { payload: packets.join(SEPARATOR).into(), frames: EncodedEvents::of_texts(packets) }
    }

    fn is_empty(&self) -> bool {
        self.payload.is_empty()
    }
}

impl fmt::Debug for SocketIo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SocketIo").finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The packets of Engine.IO, by their first character.
const OPEN: char = '0';
const CLOSE: char = '1';
const PING: char = '2';
const PONG: char = '3';
const MESSAGE: char = '4';
const UPGRADE: char = '5';
const NOOP: char = '6';
const BINARY: char = 'b';

/// Those of Socket.IO, within messages.
const CONNECT: char = '0';
const DISCONNECT: char = '1';
const EVENT: char = '2';
const CONNECT_ERROR: char = '4';

/// Between the packets of a payload.
const SEPARATOR: &str = "\u{1e}";

/// How many clients may be connected, if there are descriptors for as many. One that only costs has some 10 KB of memory: its
/// session, and what waits for it alone.
const MAX_SESSIONS: usize = 20_000;

/// A client that names a longer namespace is disconnected.
const MAX_NAMESPACE_CHARS: usize = 64;

/// How long a client may be connected without joining.
const JOIN_TIMEOUT: Duration = Duration::from_secs(10);

/// How often a client is asked whether it is there, and how long it may take to answer.
const PING_INTERVAL: Duration = Duration::from_secs(25);
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// How long encoded counts may serve clients that join.
const COUNTS_AGE: Duration = Duration::from_millis(50);
