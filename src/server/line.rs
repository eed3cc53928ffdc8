//! What is on its way to one socket.
//!
//! A flush goes to ten thousand sockets at once, and waking ten thousand tasks costs more than what they then do. So whoever
//! has something to tell writes it to the connection itself, frame after frame as they are; only what the network does not
//! take at once is left to the socket's own task.

use super::feed::Flush;
use axum::body::Bytes;
use std::{
    collections::VecDeque,
    io::{self, ErrorKind},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{net::TcpStream, sync::Notify, time::timeout};

/// Frames that may wait for the network. A socket that falls behind further skips to a new snapshot.
const FRAMES_BEHIND: usize = 256;

/// How long the network may take nothing of what waits.
const SEND_TIMEOUT: Duration = Duration::from_secs(5);

/// A socket's connection, as those see it who have something to tell it.
pub(crate) struct Line {
    pub(crate) stream: TcpStream,
    outbox: Mutex<Outbox>,
    /// Rings when the socket's task has something to do here.
    bell: Notify,
}

#[derive(Default)]
struct Outbox {
    /// What the network has not taken yet, of the first perhaps the end alone.
    waiting: VecDeque<Flush>,
    state: State,
    /// Whether anything was sent since this was last asked.
    is_told: bool,
}

/// What a socket knows.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum State {
    /// A snapshot and all that came after it.
    Current,
    /// Its snapshot is being made, which will have all that happens meanwhile to the drops.
    #[default]
    Renewing,
    /// Something is missing: it needs a snapshot.
    Outdated,
}

impl Outbox {
    fn waiting_frames(&self) -> usize {
        self.waiting.iter().map(|flush| flush.frames).sum()
    }
}

impl Line {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self { stream, outbox: Mutex::default(), bell: Notify::new() }
    }

    /// Tells what happened to drops.
    pub(crate) fn tell(&self, flush: &Flush) {
        let mut outbox = self.lock();
        if outbox.state == State::Current {
            self.push(&mut outbox, flush);
        }
    }

    /// Tells something about the visitor, which a snapshot that is being made may lack.
    pub(crate) fn tell_own(&self, flush: &Flush) {
        let mut outbox = self.lock();
        match outbox.state {
            State::Current => self.push(&mut outbox, flush),
            State::Renewing => self.set_outdated(&mut outbox),
            State::Outdated => {}
        }
    }

    /// Has the socket read everything anew.
    pub(crate) fn outdate(&self) {
        self.set_outdated(&mut self.lock());
    }

    /// Whether it is time to [`renew`](Self::renew), which then begins.
    pub(crate) fn begin_renewal(&self) -> bool {
        let mut outbox = self.lock();
        let is_outdated = outbox.state == State::Outdated;
        if is_outdated {
            outbox.state = State::Renewing;
        }
        is_outdated
    }

    /// Sends a snapshot and what belongs to it. It is made while nobody else can tell anything, so that nothing falls in
    /// between.
    pub(crate) fn renew(&self, snapshot: impl FnOnce() -> Bytes, visitor: Flush) {
        let mut outbox = self.lock();
        self.push(&mut outbox, &Flush { bytes: snapshot(), frames: 1 });
        self.push(&mut outbox, &visitor);
        if outbox.state == State::Renewing {
            outbox.state = State::Current;
        }
    }

    /// Sends what is no news: a ping, a pong, a sign of life, a goodbye.
    pub(crate) fn control(&self, frame: Bytes) -> io::Result<()> {
        let mut outbox = self.lock();
        if outbox.waiting_frames() >= FRAMES_BEHIND {
            return Err(ErrorKind::WriteZero.into());
        }
        self.put(&mut outbox, &Flush { bytes: frame, frames: 1 });
        Ok(())
    }

    /// Whether anything was told since this was last asked.
    pub(crate) fn take_is_told(&self) -> bool {
        std::mem::take(&mut self.lock().is_told)
    }

    /// Waits until there is something to [`drain`](Self::drain), or to renew.
    pub(crate) async fn rings(&self) {
        self.bell.notified().await;
    }

    /// Waits until the network has taken all that waits.
    pub(crate) async fn drain(&self) -> io::Result<()> {
        while !self.try_drain()? {
            timeout(SEND_TIMEOUT, self.stream.writable()).await??;
        }
        Ok(())
    }

    fn try_drain(&self) -> io::Result<bool> {
        let mut outbox = self.lock();
        while let Some(Flush { bytes, .. }) = outbox.waiting.front_mut() {
            match self.stream.try_write(bytes) {
                Ok(taken) if taken == bytes.len() => drop(outbox.waiting.pop_front()),
                Ok(taken) => drop(bytes.split_to(taken)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        // Its room would stay as large as it ever was.
        outbox.waiting = VecDeque::new();
        Ok(true)
    }

    fn push(&self, outbox: &mut Outbox, flush: &Flush) {
        if !outbox.waiting.is_empty() && outbox.waiting_frames() + flush.frames > FRAMES_BEHIND {
            // What is under way must come to its end; the rest will be in the snapshot.
            outbox.waiting.truncate(1);
            return self.set_outdated(outbox);
        }
        outbox.is_told = true;
        self.put(outbox, flush);
    }

    fn put(&self, outbox: &mut Outbox, flush: &Flush) {
        let taken = match outbox.waiting.is_empty() {
            // An error shows again when the task tries.
            true => self.stream.try_write(&flush.bytes).unwrap_or(0),
            false => 0,
        };
        if taken < flush.bytes.len() {
            outbox.waiting.push_back(Flush { bytes: flush.bytes.slice(taken..), ..*flush });
            self.bell.notify_one();
        }
    }

    fn set_outdated(&self, outbox: &mut Outbox) {
        outbox.state = State::Outdated;
        self.bell.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Outbox> {
        self.outbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
