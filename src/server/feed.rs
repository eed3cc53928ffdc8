//! Committed change -> catalog -> one frame -> every socket.

use super::{AppState, Shared, catalog::Catalog};
use crate::domain::Frame;
use std::{
    collections::HashMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{sync::broadcast, time::Instant};
use tokio_tungstenite::tungstenite::Utf8Bytes;

/// At most 20 flushes a second: faster than an eye follows a number, and a bound on what a socket costs.
const FLUSH_INTERVAL: Duration = Duration::from_millis(50);

/// Frames that a socket may fall behind before it is sent a new snapshot instead.
const FRAMES_BEHIND: usize = 256;

/// The same for frames to one user's own sockets.
const OWN_FRAMES_BEHIND: usize = 16;

/// The channels between commits and sockets. Each frame is encoded once and shared by all that get it.
pub struct Feed {
    everyone: broadcast::Sender<Utf8Bytes>,
    flushes: AtomicU64,
    snapshot: Mutex<Option<EncodedSnapshot>>,
    by_user: Mutex<HashMap<i64, broadcast::Sender<OwnFrame>>>,
}

/// A snapshot as it goes over the wire, for all who connect before the next flush.
struct EncodedSnapshot {
    flushes: u64,
    made_at: Instant,
    frame: Utf8Bytes,
}

/// What one user's sockets get.
#[derive(Clone)]
pub(crate) enum OwnFrame {
    /// Something about their reservations.
    News(Utf8Bytes),
    /// It is not known what happened to them: ask the database.
    Resync,
}

impl Default for Feed {
    fn default() -> Self {
        Self {
            everyone: broadcast::Sender::new(FRAMES_BEHIND),
            flushes: AtomicU64::new(0),
            snapshot: Mutex::default(),
            by_user: Mutex::default(),
        }
    }
}

impl Feed {
    /// The catalog as the first frame of a socket that has already subscribed. It is encoded once for all that connect
    /// between two flushes; what it lacks comes with the next.
    pub(crate) fn snapshot(&self, catalog: &Catalog) -> Utf8Bytes {
        let mut snapshot = self.snapshot.lock().unwrap_or_else(PoisonError::into_inner);
        let flushes = self.flushes.load(Ordering::SeqCst);
        match &*snapshot {
            // Its `now` must not be old either.
            Some(it) if it.flushes == flushes && it.made_at.elapsed() < FLUSH_INTERVAL => it.frame.clone(),
            _ => {
                let frame = encode(&Frame::Snapshot { now: catalog.now(), drops: catalog.drops() });
                *snapshot = Some(EncodedSnapshot { flushes, made_at: Instant::now(), frame: frame.clone() });
                frame
            }
        }
    }

    /// Sends a frame to the sockets of one user, if there are any.
    pub(crate) fn send_to(&self, user_id: i64, frame: impl FnOnce() -> Frame) {
        self.send_own(user_id, || OwnFrame::News(encode(&frame())));
    }

    /// Has the sockets of one user read their state anew.
    pub(crate) fn resync_user(&self, user_id: i64) {
        self.send_own(user_id, || OwnFrame::Resync);
    }

    fn send_own(&self, user_id: i64, frame: impl FnOnce() -> OwnFrame) {
        let mut by_user = self.by_user.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(channel) = by_user.get(&user_id)
            && channel.send(frame()).is_err()
        {
            by_user.remove(&user_id);
        }
    }

    /// What everyone gets, from now on.
    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Utf8Bytes> {
        self.everyone.subscribe()
    }

    /// What one user gets, from now on.
    pub(crate) fn subscribe_user(&self, user_id: i64) -> broadcast::Receiver<OwnFrame> {
        let mut by_user = self.by_user.lock().unwrap_or_else(PoisonError::into_inner);
        by_user.entry(user_id).or_insert_with(|| broadcast::Sender::new(OWN_FRAMES_BEHIND)).subscribe()
    }

    /// Forgets a user whose last socket is gone.
    pub(crate) fn forget_user(&self, user_id: i64) {
        let mut by_user = self.by_user.lock().unwrap_or_else(PoisonError::into_inner);
        if by_user.get(&user_id).is_some_and(|channel| channel.receiver_count() == 0) {
            by_user.remove(&user_id);
        }
    }
}

/// Sends what changes in the catalog until the shutdown: the first change at once and what follows in intervals, latest
/// value wins.
pub(crate) async fn run(state: AppState) {
    let Shared { catalog, feed, shutdown, .. } = &*state;
    while shutdown.run_until_cancelled(catalog.changed()).await.is_some() {
        let next = Instant::now() + FLUSH_INTERVAL;
        let frames = catalog.flush();
        // Before they are sent: whoever subscribes too late for them must get a snapshot that has them.
        feed.flushes.fetch_add(1, Ordering::SeqCst);
        for frame in frames {
            // Nobody listening is no error.
            let _ = feed.everyone.send(encode(&frame));
        }
        tokio::time::sleep_until(next).await;
    }
}

/// A frame as it goes over the wire.
pub(crate) fn encode(frame: &Frame) -> Utf8Bytes {
    serde_json::to_string(frame).expect("a frame has nothing that JSON cannot say").into()
}
