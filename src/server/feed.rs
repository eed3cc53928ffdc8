//! Committed change -> catalog -> one flush, encoded once -> every socket.

use super::{AppState, Shared, catalog::Catalog, line::Line};
use crate::domain::ServerEvent;
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
const LINES_PER_TASK: usize = 500;

/// The way from commits to sockets.
#[derive(Default)]
pub struct Feed {
    lines: Mutex<Lines>,
    flushes: AtomicU64,
    snapshot: Mutex<Option<EncodedSnapshot>>,
}

/// Every socket, and those of each visitor.
#[derive(Default)]
struct Lines {
    all: HashMap<u64, Arc<Line>>,
    by_user: HashMap<i64, HashMap<u64, Arc<Line>>>,
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
pub(crate) struct Flush {
    pub(crate) bytes: Bytes,
    pub(crate) frames: usize,
}

impl Flush {
    /// Encodes frames.
    pub(crate) fn of(frames: &[ServerEvent]) -> Self {
        let mut bytes = vec![];
        for frame in frames {
            let text = serde_json::to_vec(frame).expect("a frame has nothing that JSON cannot say");
            let frame = WireFrame::message(text, OpCode::Data(Data::Text), true);
            frame.format(&mut bytes).expect("memory takes what is written");
        }
        Self { bytes: bytes.into(), frames: frames.len() }
    }
}

impl Feed {
    /// The catalog as the first frame of a socket that is told every flush from now on. It is encoded once for all that
    /// connect between two flushes; what it lacks comes with the next.
    pub(crate) fn snapshot(&self, catalog: &Catalog) -> Bytes {
        let mut snapshot = self.snapshot.lock().unwrap_or_else(PoisonError::into_inner);
        let flushes = self.flushes.load(Ordering::SeqCst);
        match &*snapshot {
            // Its `now` must not be old either.
            Some(it) if it.flushes == flushes && it.made_at.elapsed() < FLUSH_INTERVAL => it.bytes.clone(),
            _ => {
                let frame = ServerEvent::Snapshot { now: catalog.now(), drops: catalog.drops() };
                let bytes = Flush::of(&[frame]).bytes;
                *snapshot = Some(EncodedSnapshot { flushes, made_at: Instant::now(), bytes: bytes.clone() });
                bytes
            }
        }
    }

    /// Sends a frame to the sockets of one user, if there are any.
    pub(crate) fn send_to(&self, user_id: i64, frame: impl FnOnce() -> ServerEvent) {
        let lines = self.lines_of(user_id);
        if !lines.is_empty() {
            let flush = Flush::of(&[frame()]);
            lines.iter().for_each(|line| line.tell_own(&flush));
        }
    }

    /// Has the sockets of one user read their state anew.
    pub(crate) fn resync_user(&self, user_id: i64) {
        self.lines_of(user_id).iter().for_each(|line| line.outdate());
    }

    fn lines_of(&self, user_id: i64) -> Vec<Arc<Line>> {
        self.lock().by_user.get(&user_id).into_iter().flat_map(HashMap::values).cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A socket's place among those that are told; it ends with this.
pub(crate) struct Seat {
    state: AppState,
    id: u64,
    user_id: Option<i64>,
}

impl Seat {
    /// Has a socket told what everyone is, and what its user is.
    pub(crate) fn take(state: &AppState, line: &Arc<Line>, user_id: Option<i64>) -> Self {
        let mut lines = state.feed.lock();
        let id = lines.next_id;
        lines.next_id += 1;
        lines.all.insert(id, line.clone());
        if let Some(user_id) = user_id {
            lines.by_user.entry(user_id).or_default().insert(id, line.clone());
        }
        Self { state: state.clone(), id, user_id }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut lines = self.state.feed.lock();
        lines.all.remove(&self.id);
        if let Some(user_id) = self.user_id
            && let Some(own) = lines.by_user.get_mut(&user_id)
        {
            own.remove(&self.id);
            if own.is_empty() {
                lines.by_user.remove(&user_id);
            }
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
        if !frames.is_empty() {
            // Before they are sent: whoever takes a seat too late for them must get a snapshot that has them.
            feed.flushes.fetch_add(1, Ordering::SeqCst);
            tell(feed, &Flush::of(&frames)).await;
        }
        tokio::time::sleep_until(next).await;
    }
}

/// Tells every socket, on as many cores as there are; the next flush comes after the last of them.
async fn tell(feed: &Feed, flush: &Flush) {
    let lines: Vec<_> = feed.lock().all.values().cloned().collect();
    let mut tasks = JoinSet::new();
    for lines in lines.chunks(LINES_PER_TASK) {
        let (lines, flush) = (lines.to_vec(), flush.clone());
        tasks.spawn(async move { lines.iter().for_each(|line| line.tell(&flush)) });
    }
    tasks.join_all().await;
}
