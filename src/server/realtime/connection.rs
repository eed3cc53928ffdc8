//! What must be sent to one client.
//!
//! A flush goes to ten thousand connections at once, and waking ten thousand tasks costs more than what they then do. So a
//! flush is written to each connection directly, frame after frame; only what the network does not take at once is left to
//! the connection's own task.

use super::encoded_events::EncodedEvents;
use axum::body::Bytes;
use std::{
    collections::VecDeque,
    io::{self, ErrorKind},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{net::TcpStream, sync::Notify, time::timeout};

/// The sending side of a socket, shared by its task and everything that sends to it.
pub(super) struct Connection {
    pub(super) stream: TcpStream,
    queue: Mutex<SendQueue>,
    /// Wakes the socket's task to drain the queue or to send a new snapshot.
    wake: Notify,
}

#[derive(Default)]
struct SendQueue {
    /// What the network has not taken yet; of the first perhaps only the rest.
    waiting: VecDeque<EncodedEvents>,
    state: State,
}

/// How current the client is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum State {
    /// It has a snapshot and everything since.
    Current,
    /// Its snapshot is being made, and will include all changes of drops until then.
    #[default]
    Resyncing,
    /// It lacks something and needs a new snapshot.
    Outdated,
    /// Its last frame is queued, and nothing may follow.
    Closing,
}

impl SendQueue {
    fn queued_events(&self) -> usize {
        self.waiting.iter().map(|events| events.count).sum()
    }
}

impl Connection {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self { stream, queue: Mutex::default(), wake: Notify::new() }
    }

    /// Sends events about drops.
    pub(super) fn send(&self, events: &EncodedEvents) {
        let mut queue = self.lock();
        if queue.state == State::Current {
            self.enqueue(&mut queue, events);
        }
    }

    /// Sends an event about the user, which a snapshot that is being made may lack.
    pub(super) fn send_personal(&self, events: &EncodedEvents) {
        let mut queue = self.lock();
        match queue.state {
            State::Current => self.enqueue(&mut queue, events),
            State::Resyncing => self.mark_outdated(&mut queue),
            State::Outdated | State::Closing => {}
        }
    }

    /// Makes the socket's task send a new snapshot.
    pub(super) fn require_snapshot(&self) {
        self.mark_outdated(&mut self.lock());
    }

    /// Whether a new snapshot is needed; the caller must then [`resync`](Self::resync).
    pub(super) fn begin_resync(&self) -> bool {
        let mut queue = self.lock();
        let is_outdated = queue.state == State::Outdated;
        if is_outdated {
            queue.state = State::Resyncing;
        }
        is_outdated
    }

    /// Sends a snapshot, which is taken under the queue's lock, so that no event is lost in between.
    pub(super) fn resync<const N: usize>(&self, snapshot: impl FnOnce() -> [EncodedEvents; N]) {
        let mut queue = self.lock();
        if queue.state == State::Closing {
            return;
        }
        snapshot().iter().for_each(|events| self.enqueue(&mut queue, events));
        if queue.state == State::Resyncing {
            queue.state = State::Current;
        }
    }

    /// Sends a control frame or a heartbeat, whether or not the client is current.
    pub(super) fn send_control(&self, frame: Bytes) -> io::Result<()> {
        let mut queue = self.lock();
        if queue.state == State::Closing || queue.queued_events() >= MAX_QUEUED_EVENTS {
            return Err(ErrorKind::WriteZero.into());
        }
        self.write(&mut queue, &EncodedEvents { bytes: frame, count: 1 });
        Ok(())
    }

    /// Sends the close frame.
    pub(super) fn close(&self, frame: Bytes) {
        let mut queue = self.lock();
        if queue.state != State::Closing {
            queue.state = State::Closing;
            self.write(&mut queue, &EncodedEvents { bytes: frame, count: 1 });
        }
    }

    pub(super) fn is_closing(&self) -> bool {
        self.lock().state == State::Closing
    }

    /// Continues a connection of another kind, with what it has still to send.
    pub(super) fn take_over(&self, state: State, waiting: impl IntoIterator<Item = EncodedEvents>) {
        let mut queue = self.lock();
        waiting.into_iter().for_each(|events| self.write(&mut queue, &events));
        queue.state = state;
        self.wake.notify_one();
    }

    /// Waits until the queue must be drained or a snapshot is needed.
    pub(super) async fn woken(&self) {
        self.wake.notified().await;
    }

    /// Waits until the network has taken everything that is queued.
    pub(super) async fn drain(&self) -> io::Result<()> {
        while !self.try_drain()? {
            timeout(SEND_TIMEOUT, self.stream.writable()).await??;
        }
        Ok(())
    }

    fn try_drain(&self) -> io::Result<bool> {
        let mut queue = self.lock();
        while let Some(EncodedEvents { bytes, .. }) = queue.waiting.front_mut() {
            match self.stream.try_write(bytes) {
                Ok(taken) if taken == bytes.len() => drop(queue.waiting.pop_front()),
                Ok(taken) => drop(bytes.split_to(taken)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        // A cleared queue would keep its capacity.
        queue.waiting = VecDeque::new();
        Ok(true)
    }

    fn enqueue(&self, queue: &mut SendQueue, events: &EncodedEvents) {
        if !queue.waiting.is_empty() && queue.queued_events() + events.count > MAX_QUEUED_EVENTS {
            // The first may be partly sent and must be completed; the snapshot will include the rest.
            queue.waiting.truncate(1);
            return self.mark_outdated(queue);
        }
        self.write(queue, events);
    }

    fn write(&self, queue: &mut SendQueue, events: &EncodedEvents) {
        let taken = match queue.waiting.is_empty() {
            // An error occurs again when the socket's task writes.
            true => self.stream.try_write(&events.bytes).unwrap_or(0),
            false => 0,
        };
        if taken < events.bytes.len() {
            queue.waiting.push_back(EncodedEvents { bytes: events.bytes.slice(taken..), ..*events });
            self.wake.notify_one();
        }
    }

    fn mark_outdated(&self, queue: &mut SendQueue) {
        if queue.state != State::Closing {
            queue.state = State::Outdated;
            self.wake.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, SendQueue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Events that may wait for a client. One that falls behind further skips to a new snapshot.
pub(super) const MAX_QUEUED_EVENTS: usize = 256;

/// How long the network may take nothing of what waits before the connection is closed.
const SEND_TIMEOUT: Duration = Duration::from_secs(5);
