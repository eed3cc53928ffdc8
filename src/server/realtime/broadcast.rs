//! From a committed change to every connection: one flush, encoded once.

use super::{connection::Connection, encoded_events::EncodedEvents, socket_io::SocketIo};
use crate::{
    domain::event::{DropsSnapshot, ReservationChange, ServerEvent},
    server::{
        catalog::{Catalog, change::Notification},
        clock::DatabaseClock,
    },
};
use axum::body::Bytes;
use chrono::{DateTime, Utc};
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{task::JoinSet, time::Instant};
use tokio_util::sync::CancellationToken;

/// Every connection of this node, and the snapshot that new ones start from.
pub struct Broadcast {
    /// Of the server, see [`Package::build`](crate::server::package::Package::build).
    build: String,
    connections: Mutex<Connections>,
    flushes: AtomicU64,
    snapshot: Mutex<Option<EncodedSnapshot>>,
}

#[derive(Default)]
struct Connections {
    all: HashMap<u64, Arc<Connection>>,
    by_user: HashMap<i64, HashMap<u64, Arc<Connection>>>,
    next_id: u64,
}

/// Serves all connections that need a snapshot between two flushes.
struct EncodedSnapshot {
    flushes: u64,
    made_at: Instant,
    bytes: Bytes,
}

impl Broadcast {
    pub(crate) fn new(build: String) -> Self {
        Self { build, connections: Mutex::default(), flushes: AtomicU64::default(), snapshot: Mutex::default() }
    }

    /// The encoded snapshot for a connection that is subscribed already. It is encoded once between two flushes; what it lacks
    /// comes with the next flush.
    pub(super) fn snapshot(&self, catalog: &Catalog, now: DateTime<Utc>) -> Bytes {
        let mut snapshot = self.snapshot.lock().unwrap_or_else(PoisonError::into_inner);
        let flushes = self.flushes.load(Ordering::SeqCst);
        match &*snapshot {
            // The age is limited because of its `now`.
            Some(cached) if cached.flushes == flushes && cached.made_at.elapsed() < FLUSH_INTERVAL => {
                cached.bytes.clone()
            }
            _ => {
                let ((epoch, drops), build) = (catalog.snapshot(), self.build.clone());
                let event = ServerEvent::Snapshot(DropsSnapshot { now: now.into(), epoch, build, drops });
                let bytes = EncodedEvents::of(&[event]).bytes;
                *snapshot = Some(EncodedSnapshot { flushes, made_at: Instant::now(), bytes: bytes.clone() });
                bytes
            }
        }
    }

    /// How many WebSockets are open.
    pub(crate) fn connections(&self) -> usize {
        self.lock().all.len()
    }

    /// Sends notifications to the users whom they concern.
    pub(crate) fn notify(&self, notifications: Vec<Notification>) {
        for notification in notifications {
            match notification {
                Notification::Reservation { reservation, purchase } => {
                    let change = ReservationChange { reservation, purchase };
                    self.send_to(change.reservation.user_id, || ServerEvent::Reservation(change));
                }
                Notification::Outdated { user_id } => self.resync_user(user_id),
            }
        }
    }

    /// Sends an event to the connections of one user; it is built only if there are any.
    fn send_to(&self, user_id: i64, event: impl FnOnce() -> ServerEvent) {
        let connections = self.connections_of(user_id);
        if !connections.is_empty() {
            let events = EncodedEvents::of(&[event()]);
            connections.iter().for_each(|connection| connection.send_personal(&events));
        }
    }

    /// Makes the connections of one user send a new snapshot and the state of their user.
    pub(crate) fn resync_user(&self, user_id: i64) {
        self.connections_of(user_id).iter().for_each(|connection| connection.require_snapshot());
    }

    /// Makes every connection send a new snapshot and the state of its user.
    pub(crate) fn resync_everybody(&self) {
        // What was encoded before does not count any more.
        self.flushes.fetch_add(1, Ordering::SeqCst);
        self.lock().all.values().for_each(|connection| connection.require_snapshot());
    }

    fn connections_of(&self, user_id: i64) -> Vec<Arc<Connection>> {
        self.lock().by_user.get(&user_id).into_iter().flat_map(HashMap::values).cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Connections> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps a connection subscribed to every flush and to the events of its user, until it is dropped.
pub(super) struct Subscription {
    broadcast: Arc<Broadcast>,
    id: u64,
    user_id: Option<i64>,
}

impl Subscription {
    pub(super) fn new(broadcast: &Arc<Broadcast>, connection: &Arc<Connection>, user_id: Option<i64>) -> Self {
        let mut connections = broadcast.lock();
        let id = connections.next_id;
        connections.next_id += 1;
        connections.all.insert(id, connection.clone());
        if let Some(user_id) = user_id {
            connections.by_user.entry(user_id).or_default().insert(id, connection.clone());
        }
        Self { broadcast: broadcast.clone(), id, user_id }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut connections = self.broadcast.lock();
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

/// Flushes the catalog until the shutdown: the first change at once, further ones at most every [`FLUSH_INTERVAL`], latest
/// value wins.
pub(crate) async fn run(
    broadcast: Arc<Broadcast>,
    catalog: Arc<Catalog>,
    clock: Arc<DatabaseClock>,
    socket_io: Option<Arc<SocketIo>>,
    shutdown: CancellationToken,
) {
    while shutdown.run_until_cancelled(catalog.changed()).await.is_some() {
        let next = Instant::now() + FLUSH_INTERVAL;
        let generation = socket_io.as_ref().map(|socket_io| socket_io.generation());
        let events = catalog.flush(clock.now());
        if !events.is_empty() {
            // Before they are sent: a connection that subscribes too late for them must get a snapshot that has them.
            broadcast.flushes.fetch_add(1, Ordering::SeqCst);
            let encoded = EncodedEvents::of(&events);
            let connections: Vec<_> = broadcast.lock().all.values().cloned().collect();
            fan_out(connections, move |connection: &Arc<Connection>| connection.send(&encoded)).await;
            if let (Some(socket_io), Some(generation)) = (&socket_io, generation) {
                socket_io.send(generation, &events).await;
            }
        }
        tokio::time::sleep_until(next).await;
    }
}

/// Writes to every receiver, on all cores; the next flush waits for the last of them.
pub(super) async fn fan_out<T: Clone + Send + 'static>(receivers: Vec<T>, send: impl Fn(&T) + Clone + Send + 'static) {
    let mut tasks = JoinSet::new();
    for receivers in receivers.chunks(RECEIVERS_PER_TASK) {
        let (receivers, send) = (receivers.to_vec(), send.clone());
        tasks.spawn(async move { receivers.iter().for_each(send) });
    }
    tasks.join_all().await;
}

/// At most 20 flushes a second: faster than a person can read a number, and a bound on what a connection costs.
const FLUSH_INTERVAL: Duration = Duration::from_millis(50);

/// Receivers that one task writes to, which takes a few milliseconds; other tasks wait no longer for its core.
const RECEIVERS_PER_TASK: usize = 500;
