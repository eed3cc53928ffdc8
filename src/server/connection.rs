//! What is on its way to one socket.
//!
//! A flush goes to ten thousand sockets at once, and waking ten thousand tasks costs more than what they then do. So whoever
//! has something to tell writes it to the connection itself, frame after frame as they are; only what the network does not
//! take at once is left to the socket's own task.

use super::broadcast::EncodedEvents;
use axum::body::Bytes;
use std::{
    collections::VecDeque,
    io::{self, ErrorKind},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{net::TcpStream, sync::Notify, time::timeout};

/// Frames that may wait for the network. A socket that falls behind further skips to a new snapshot.
const MAX_QUEUED_EVENTS: usize = 256;

/// How long the network may take nothing of what waits.
const SEND_TIMEOUT: Duration = Duration::from_secs(5);

/// A socket's connection, as those see it who have something to tell it.
pub(crate) struct Connection {
    pub(crate) stream: TcpStream,
    queue: Mutex<SendQueue>,
    /// Rings when the socket's task has something to do here.
    wake: Notify,
}

#[derive(Default)]
struct SendQueue {
    /// What the network has not taken yet, of the first perhaps the end alone.
    waiting: VecDeque<EncodedEvents>,
    state: State,
    /// Whether anything was sent since this was last asked.
    has_sent: bool,
}

/// What a socket knows.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum State {
    /// A snapshot and all that came after it.
    Current,
    /// Its snapshot is being made, which will have all that happens meanwhile to the drops.
    #[default]
    Resyncing,
    /// Something is missing: it needs a snapshot.
    Outdated,
}

impl SendQueue {
    fn queued_events(&self) -> usize {
        self.waiting.iter().map(|events| events.count).sum()
    }
}

impl Connection {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self { stream, queue: Mutex::default(), wake: Notify::new() }
    }

    /// Tells what happened to drops.
    pub(crate) fn send(&self, events: &EncodedEvents) {
        let mut queue = self.lock();
        if queue.state == State::Current {
            self.enqueue(&mut queue, events);
        }
    }

    /// Tells something about the visitor, which a snapshot that is being made may lack.
    pub(crate) fn send_personal(&self, events: &EncodedEvents) {
        let mut queue = self.lock();
        match queue.state {
            State::Current => self.enqueue(&mut queue, events),
            State::Resyncing => self.mark_outdated(&mut queue),
            State::Outdated => {}
        }
    }

    /// Has the socket read everything anew.
    pub(crate) fn require_snapshot(&self) {
        self.mark_outdated(&mut self.lock());
    }

    /// Whether it is time to [`resync`](Self::resync), which then begins.
    pub(crate) fn begin_resync(&self) -> bool {
        let mut queue = self.lock();
        let is_outdated = queue.state == State::Outdated;
        if is_outdated {
            queue.state = State::Resyncing;
        }
        is_outdated
    }

    /// Sends a snapshot and what belongs to it. It is made while nobody else can tell anything, so that nothing falls in
    /// between.
    pub(crate) fn resync(&self, snapshot: impl FnOnce() -> Bytes, visitor: EncodedEvents) {
        let mut queue = self.lock();
        self.enqueue(&mut queue, &EncodedEvents { bytes: snapshot(), count: 1 });
        self.enqueue(&mut queue, &visitor);
        if queue.state == State::Resyncing {
            queue.state = State::Current;
        }
    }

    /// Sends what is no news: a ping, a pong, a sign of life, a goodbye.
    pub(crate) fn send_control(&self, frame: Bytes) -> io::Result<()> {
        let mut queue = self.lock();
        if queue.queued_events() >= MAX_QUEUED_EVENTS {
            return Err(ErrorKind::WriteZero.into());
        }
        self.write(&mut queue, &EncodedEvents { bytes: frame, count: 1 });
        Ok(())
    }

    /// Whether anything was told since this was last asked.
    pub(crate) fn take_has_sent(&self) -> bool {
        std::mem::take(&mut self.lock().has_sent)
    }

    /// Waits until there is something to [`drain`](Self::drain), or to resync.
    pub(crate) async fn woken(&self) {
        self.wake.notified().await;
    }

    /// Waits until the network has taken all that waits.
    pub(crate) async fn drain(&self) -> io::Result<()> {
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
        // Its room would stay as large as it ever was.
        queue.waiting = VecDeque::new();
        Ok(true)
    }

    fn enqueue(&self, queue: &mut SendQueue, events: &EncodedEvents) {
        if !queue.waiting.is_empty() && queue.queued_events() + events.count > MAX_QUEUED_EVENTS {
            // What is under way must come to its end; the rest will be in the snapshot.
            queue.waiting.truncate(1);
            return self.mark_outdated(queue);
        }
        queue.has_sent = true;
        self.write(queue, events);
    }

    fn write(&self, queue: &mut SendQueue, events: &EncodedEvents) {
        let taken = match queue.waiting.is_empty() {
            // An error shows again when the task tries.
            true => self.stream.try_write(&events.bytes).unwrap_or(0),
            false => 0,
        };
        if taken < events.bytes.len() {
            queue.waiting.push_back(EncodedEvents { bytes: events.bytes.slice(taken..), ..*events });
            self.wake.notify_one();
        }
    }

    fn mark_outdated(&self, queue: &mut SendQueue) {
        queue.state = State::Outdated;
        self.wake.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, SendQueue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
