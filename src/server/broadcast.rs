//! Committed change -> catalog -> one flush, encoded once -> every socket.

use super::{AppState, Shared, catalog::Catalog, connection::Connection};
use crate::domain::event::ServerEvent;
use axum::body::Bytes;
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{task::JoinSet, time::Instant};
use tungstenite::protocol::frame::{
    Frame as WireFrame,
    coding::{Data, OpCode},
};

/// At most 20 flushes a second: faster than an eye follows a number, and a bound on what a socket costs.
const FLUSH_INTERVAL: Duration = Duration::from_millis(50);

/// Sockets that one task tells of a flush, in a few milliseconds; others wait no longer for its core than that.
const CONNECTIONS_PER_TASK: usize = 500;

/// The way from commits to sockets.
#[derive(Default)]
pub struct Broadcast {
    connections: Mutex<Connections>,
    flushes: AtomicU64,
    snapshot: Mutex<Option<EncodedSnapshot>>,
}

/// Every socket, and those of each visitor.
#[derive(Default)]
struct Connections {
    all: HashMap<u64, Arc<Connection>>,
    by_user: HashMap<i64, HashMap<u64, Arc<Connection>>>,
    next_id: u64,
}

/// A snapshot as it goes over the wire, for all who connect before the next flush.
struct EncodedSnapshot {
    flushes: u64,
    made_at: Instant,
    bytes: Bytes,
}

/// Frames that belong together, as they go over the wire: the same for every socket, as a server masks nothing.
#[derive(Clone)]
pub(crate) struct EncodedEvents {
    pub(crate) bytes: Bytes,
    pub(crate) count: usize,
}

impl EncodedEvents {
    /// Encodes events.
    pub(crate) fn of(events: &[ServerEvent]) -> Self {
        let mut bytes = vec![];
        for event in events {
            let text = serde_json::to_vec(event).expect("an event has nothing that JSON cannot say");
            let frame = WireFrame::message(text, OpCode::Data(Data::Text), true);
            frame.format(&mut bytes).expect("memory takes what is written");
        }
        Self { bytes: bytes.into(), count: events.len() }
    }
}

impl Broadcast {
    /// The catalog as the first frame of a socket that is told every flush from now on. It is encoded once for all that
    /// connect between two flushes; what it lacks comes with the next.
    pub(crate) fn snapshot(&self, catalog: &Catalog) -> Bytes {
        let mut snapshot = self.snapshot.lock().unwrap_or_else(PoisonError::into_inner);
        let flushes = self.flushes.load(Ordering::SeqCst);
        match &*snapshot {
            // Its `now` must not be old either.
            Some(it) if it.flushes == flushes && it.made_at.elapsed() < FLUSH_INTERVAL => it.bytes.clone(),
            _ => {
                let event = ServerEvent::Snapshot { now: catalog.now(), drops: catalog.drops() };
                let bytes = EncodedEvents::of(&[event]).bytes;
                *snapshot = Some(EncodedSnapshot { flushes, made_at: Instant::now(), bytes: bytes.clone() });
                bytes
            }
        }
    }

    /// Sends a frame to the sockets of one user, if there are any.
    pub(crate) fn send_to(&self, user_id: i64, event: impl FnOnce() -> ServerEvent) {
        let connections = self.connections_of(user_id);
        if !connections.is_empty() {
            let events = EncodedEvents::of(&[event()]);
            connections.iter().for_each(|connection| connection.send_personal(&events));
        }
    }

    /// Has the sockets of one user read their state anew.
    pub(crate) fn resync_user(&self, user_id: i64) {
        self.connections_of(user_id).iter().for_each(|connection| connection.require_snapshot());
    }

    fn connections_of(&self, user_id: i64) -> Vec<Arc<Connection>> {
        self.lock().by_user.get(&user_id).into_iter().flat_map(HashMap::values).cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Connections> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A socket's place among those that are told; it ends with this.
pub(crate) struct Subscription {
    state: AppState,
    id: u64,
    user_id: Option<i64>,
}

impl Subscription {
    /// Has a socket told what everyone is, and what its user is.
    pub(crate) fn new(state: &AppState, connection: &Arc<Connection>, user_id: Option<i64>) -> Self {
        let mut connections = state.broadcast.lock();
        let id = connections.next_id;
        connections.next_id += 1;
        connections.all.insert(id, connection.clone());
        if let Some(user_id) = user_id {
            connections.by_user.entry(user_id).or_default().insert(id, connection.clone());
        }
        Self { state: state.clone(), id, user_id }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut connections = self.state.broadcast.lock();
        connections.all.remove(&self.id);
        if let Some(user_id) = self.user_id
            && let Some(own) = connections.by_user.get_mut(&user_id)
        {
            own.remove(&self.id);
            if own.is_empty() {
                connections.by_user.remove(&user_id);
            }
        }
    }
}

/// Sends what changes in the catalog until the shutdown: the first change at once and what follows in intervals, latest
/// value wins.
pub(crate) async fn run(state: AppState) {
    let Shared { catalog, broadcast, shutdown, .. } = &*state;
    while shutdown.run_until_cancelled(catalog.changed()).await.is_some() {
        let next = Instant::now() + FLUSH_INTERVAL;
        let events = catalog.flush();
        if !events.is_empty() {
            // Before they are sent: whoever takes a subscription too late for them must get a snapshot that has them.
            broadcast.flushes.fetch_add(1, Ordering::SeqCst);
            send(broadcast, &EncodedEvents::of(&events)).await;
        }
        tokio::time::sleep_until(next).await;
    }
}

/// Tells every socket, on as many cores as there are; the next flush comes after the last of them.
async fn send(broadcast: &Broadcast, events: &EncodedEvents) {
    let connections: Vec<_> = broadcast.lock().all.values().cloned().collect();
    let mut tasks = JoinSet::new();
    for connections in connections.chunks(CONNECTIONS_PER_TASK) {
        let (connections, events) = (connections.to_vec(), events.clone());
        tasks.spawn(async move { connections.iter().for_each(|connection| connection.send(&events)) });
    }
    tasks.join_all().await;
}
