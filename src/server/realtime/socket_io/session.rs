//! One client of `/socket.io`, on whatever it is connected by.

use super::{NOOP, Packets, SEPARATOR, lock};
use crate::server::realtime::{
    connection::{Connection, MAX_QUEUED_EVENTS, State},
    websocket::Closed,
};
use std::{
    mem,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

pub(super) struct Session {
    pub(super) id: String,
    transport: Mutex<Transport>,
    has_joined: AtomicBool,
    refusals: AtomicUsize,
    /// Wakes the poll that waits.
    wake: Notify,
    /// The client answered a ping.
    pub(super) pong: Notify,
    pub(super) closed: CancellationToken,
}

enum Transport {
    Polling(PollQueue),
    WebSocket(Arc<Connection>),
}

/// What waits for the next poll.
#[derive(Default)]
struct PollQueue {
    /// What is for this client alone, and goes before everything else.
    own: Vec<Packets>,
    events: Vec<Packets>,
    state: State,
    has_poll: bool,
    /// A WebSocket is about to take over. Polls are answered at once.
    is_upgrading: bool,
}

impl Session {
    pub(super) fn polling(id: String, closed: CancellationToken) -> Self {
        Self::new(id, Transport::Polling(PollQueue::default()), closed)
    }

    pub(super) fn websocket(id: String, connection: Arc<Connection>, closed: CancellationToken) -> Self {
        Self::new(id, Transport::WebSocket(connection), closed)
    }

    fn new(id: String, transport: Transport, closed: CancellationToken) -> Self {
        Self {
            id,
            transport: transport.into(),
            has_joined: AtomicBool::default(),
            refusals: AtomicUsize::default(),
            wake: Notify::new(),
            pong: Notify::new(),
            closed,
        }
    }

    pub(super) fn has_joined(&self) -> bool {
        self.has_joined.load(Ordering::SeqCst)
    }

    /// Whether one more namespace may be refused, each with a packet of its own.
    pub(super) fn may_refuse(&self) -> bool {
        self.refusals.fetch_add(1, Ordering::SeqCst) < MAX_REFUSALS
    }

    /// Lets the client hear of events, and sends it the counts. Joining again does nothing.
    pub(super) fn join(&self, welcome: String, counts: impl FnOnce() -> Packets) -> Result<(), Closed> {
        if self.has_joined.swap(true, Ordering::SeqCst) {
            return Ok(());
        }
        self.send_own(welcome)?;
        match &mut *lock(&self.transport) {
            Transport::Polling(queue) => queue.resync(counts),
            Transport::WebSocket(connection) => connection.resync(|| [counts().frames]),
        }
        self.wake.notify_one();
        Ok(())
    }

    /// Sends a flush, unless the client has not joined or will get every count anyway.
    pub(super) fn send(&self, packets: &Packets) {
        match &mut *lock(&self.transport) {
            Transport::Polling(queue) => queue.send(packets),
            Transport::WebSocket(connection) => connection.send(&packets.frames),
        }
        self.wake.notify_one();
    }

    /// Sends a packet that is for this client alone.
    pub(super) fn send_own(&self, packet: String) -> Result<(), Closed> {
        let packet = Packets::of(vec![packet]);
        match &mut *lock(&self.transport) {
            Transport::Polling(queue) if queue.own.len() >= MAX_QUEUED_EVENTS => return Err(Closed),
            Transport::Polling(queue) => queue.own.push(packet),
            Transport::WebSocket(connection) => connection.send_control(packet.frames.bytes)?,
        }
        self.wake.notify_one();
        Ok(())
    }

    /// Sends every count anew.
    pub(super) fn require_counts(&self) {
        if self.has_joined() {
            match &mut *lock(&self.transport) {
                Transport::Polling(queue) => queue.mark_outdated(),
                Transport::WebSocket(connection) => connection.require_snapshot(),
            }
            self.wake.notify_one();
        }
    }

    /// Begins the only poll that there may be at a time; `None` if there is one, or a WebSocket.
    pub(super) fn begin_poll(self: &Arc<Self>) -> Option<Poll> {
        match &mut *lock(&self.transport) {
            Transport::Polling(queue) if !queue.has_poll => {
                queue.has_poll = true;
                Some(Poll(self.clone()))
            }
            _ => None,
        }
    }

    pub(super) fn is_polling(&self) -> bool {
        matches!(*lock(&self.transport), Transport::Polling(_))
    }

    /// Whether polls must make room for a WebSocket.
    pub(super) fn set_upgrading(&self, is_upgrading: bool) {
        if let Transport::Polling(queue) = &mut *lock(&self.transport) {
            queue.is_upgrading = is_upgrading;
            self.wake.notify_one();
        }
    }

    /// Goes on by a WebSocket, with what no poll has taken.
    pub(super) fn upgrade(&self, connection: &Arc<Connection>) -> Result<(), Closed> {
        let mut transport = lock(&self.transport);
        let Transport::Polling(queue) = &mut *transport else { return Err(Closed) };
        connection.take_over(queue.state, queue.drain().map(|packets| packets.frames));
        *transport = Transport::WebSocket(connection.clone());
        Ok(())
    }
}

/// A poll, until it is dropped.
pub(super) struct Poll(Arc<Session>);

impl Poll {
    /// Waits for packets, and takes all of them as one payload.
    pub(super) async fn payload(&self, counts: impl Fn() -> Packets) -> Vec<u8> {
        loop {
            let taken = match &mut *lock(&self.0.transport) {
                Transport::Polling(queue) => queue.take(&counts),
                Transport::WebSocket(_) => Some(NOOP.to_string().into()),
            };
            match taken {
                Some(payload) => return payload,
                None => self.0.wake.notified().await,
            }
        }
    }
}

impl Drop for Poll {
    fn drop(&mut self) {
        if let Transport::Polling(queue) = &mut *lock(&self.0.transport) {
            queue.has_poll = false;
        }
    }
}

impl PollQueue {
    fn resync(&mut self, counts: impl FnOnce() -> Packets) {
        self.events = vec![counts()];
        self.state = State::Current;
    }

    fn send(&mut self, packets: &Packets) {
        if self.state != State::Current || packets.is_empty() {
            return;
        }
        let queued: usize = self.events.iter().map(|packets| packets.frames.count).sum();
        match queued > 0 && queued + packets.frames.count > MAX_QUEUED_EVENTS {
            true => self.mark_outdated(),
            false => self.events.push(packets.clone()),
        }
    }

    fn mark_outdated(&mut self) {
        self.events = vec![];
        self.state = State::Outdated;
    }

    fn drain(&mut self) -> impl Iterator<Item = Packets> {
        mem::take(&mut self.own).into_iter().chain(mem::take(&mut self.events)).filter(|packets| !packets.is_empty())
    }

    fn take(&mut self, counts: impl FnOnce() -> Packets) -> Option<Vec<u8>> {
        if self.state == State::Outdated {
            self.resync(counts);
        }
        let payloads: Vec<_> = self.drain().map(|packets| packets.payload).collect();
        match payloads.is_empty() {
            true => self.is_upgrading.then(|| NOOP.to_string().into()),
            false => Some(payloads.join(SEPARATOR.as_bytes())),
        }
    }
}

/// How many namespaces a client may name that do not exist. Real clients name one.
const MAX_REFUSALS: usize = 16;
