//! Sends requests for a few seconds and measures their latencies.
//!
//! A *closed* loop sends the next request of a connection after the response to the previous one: it finds the highest
//! throughput. An *open* loop sends at a fixed rate, evenly spaced, however slow the server is, and measures each
//! latency from the time at which the request was due: a request that waits for a free connection includes that wait.

use crate::{client::Connection, latency::Latency};
use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};
use tokio::{
    sync::Semaphore,
    task::JoinSet,
    time::{Instant, sleep, sleep_until, timeout_at},
};

/// Writes the n-th request into the buffer and returns the expected status of its response; `None` ends the traffic.
pub(crate) type Traffic = Arc<dyn Fn(usize, &mut Vec<u8>) -> Option<u16> + Send + Sync>;

#[derive(Clone, Copy)]
pub(crate) enum LoopKind {
    Closed,
    Open { per_second: f64 },
}

/// `warm_up` is followed by `measured`; only the latter counts towards throughput and latency.
#[derive(Clone, Copy)]
pub(crate) struct LoopDurations {
    pub(crate) warm_up: Duration,
    pub(crate) measured: Duration,
}

#[derive(Clone)]
pub(crate) struct LoopResult {
    /// Responses of the expected status per second.
    pub(crate) per_second: f64,
    pub(crate) latency: Latency,
    /// Requests without a response or with one of an unexpected status, including the warm-up.
    pub(crate) errors: u64,
    /// Number of responses by status, including the warm-up.
    pub(crate) responses: BTreeMap<u16, u64>,
}

/// How long requests that are in flight at the end may still take; longer ones count as errors.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// How often an open loop releases the requests that are due. Tokio's timers have a resolution of one millisecond only.
const OPEN_LOOP_TICK: Duration = Duration::from_micros(200);

/// Pause before a failed connection is opened again.
const RECONNECT_PAUSE: Duration = Duration::from_millis(10);

/// Opens the connections, then sends requests on all of them. `observe` runs concurrently and receives the start and
/// the end of the measured part.
pub(crate) async fn run_loop<T>(
    server: SocketAddr,
    connections: usize,
    traffic: Traffic,
    kind: LoopKind,
    durations: LoopDurations,
    observe: impl AsyncFnOnce(Instant, Instant) -> T,
) -> (LoopResult, T) {
    let mut opened = Vec::with_capacity(connections);
    for _ in 0..connections {
        let connection = Connection::open(server).await;
        opened.push(connection.expect("the server accepts connections and `ulimit -n` allows as many"));
    }
    let start = Instant::now();
    let measured_from = start + durations.warm_up;
    let measured_until = measured_from + durations.measured;
    let total = match kind {
        LoopKind::Closed => usize::MAX,
        LoopKind::Open { per_second } => (per_second * (measured_until - start).as_secs_f64()) as usize,
    };
    let (next, due) = (AtomicUsize::new(0), Semaphore::new(0));
    let schedule = Arc::new(Schedule { kind, start, measured_from, measured_until, total, next, due });
    if let LoopKind::Open { per_second } = kind {
        let schedule = schedule.clone();
        thread::spawn(move || schedule.release_due_requests(per_second));
    }
    let mut workers = JoinSet::new();
    for connection in opened {
        workers.spawn(send_requests(server, connection, traffic.clone(), schedule.clone()));
    }
    let observed = observe(measured_from, measured_until).await;
    let mut tally = Tally::default();
    let mut ended = measured_until;
    while !workers.is_empty() {
        match timeout_at(measured_until + DRAIN_TIMEOUT, workers.join_next()).await {
            Ok(Some(worker)) => {
                let (worker_tally, worker_ended) = worker.expect("a worker does not panic");
                ended = ended.min(worker_ended);
                tally.add(worker_tally);
            }
            Ok(None) => break,
            Err(_) => {
                tally.errors += workers.len() as u64;
                workers.abort_all();
                break;
            }
        }
    }
    let Tally { micros, errors, responses } = tally;
    assert!(ended > measured_from, "the traffic ended during the warm-up");
    // Traffic that ends early counts for as long as it lasted.
    let seconds = ended.saturating_duration_since(measured_from).as_secs_f64();
    let per_second = micros.len() as f64 / seconds;
    (LoopResult { per_second, latency: Latency::from_micros(micros), errors, responses }, observed)
}

/// Calls `sample` at the start and at the end of the measured part.
pub(crate) async fn sample_measured_part<T>(from: Instant, until: Instant, sample: impl Fn() -> T) -> (T, T) {
    sleep_until(from).await;
    let before = sample();
    sleep_until(until).await;
    (before, sample())
}

struct Schedule {
    kind: LoopKind,
    start: Instant,
    measured_from: Instant,
    measured_until: Instant,
    /// Number of requests in both parts.
    total: usize,
    next: AtomicUsize,
    /// One permit for each request of an open loop that is due.
    due: Semaphore,
}

impl Schedule {
    /// The number of the next request and when it is due (now in a closed loop); `None` at the end.
    async fn next(&self) -> Option<(usize, Instant)> {
        let n = self.next.fetch_add(1, Ordering::Relaxed);
        match self.kind {
            LoopKind::Closed => {
                let now = Instant::now();
                (now < self.measured_until).then_some((n, now))
            }
            LoopKind::Open { per_second } if n < self.total => {
                self.due.acquire().await.expect("the semaphore is never closed").forget();
                Some((n, self.start + Duration::from_secs_f64(n as f64 / per_second)))
            }
            LoopKind::Open { .. } => None,
        }
    }

    /// Adds a permit for each request of an open loop when it is due; returns after the last.
    fn release_due_requests(&self, per_second: f64) {
        let mut released = 0;
        while released < self.total {
            let due = (self.start.elapsed().as_secs_f64() * per_second) as usize + 1;
            let due = due.min(self.total);
            self.due.add_permits(due - released);
            released = due;
            thread::sleep(OPEN_LOOP_TICK);
        }
    }
}

/// The outcomes of one or more connections.
#[derive(Default)]
struct Tally {
    /// Latencies of the expected responses to requests that were due in the measured part.
    micros: Vec<u32>,
    errors: u64,
    responses: BTreeMap<u16, u64>,
}

impl Tally {
    fn record(&mut self, outcome: io::Result<u16>, expected_status: u16, schedule: &Schedule, due: Instant) {
        if let Ok(status) = outcome {
            *self.responses.entry(status).or_default() += 1;
        }
        if !matches!(outcome, Ok(status) if status == expected_status) {
            self.errors += 1;
        } else if (schedule.measured_from..schedule.measured_until).contains(&due) {
            self.micros.push(due.elapsed().as_micros().try_into().unwrap_or(u32::MAX));
        }
    }

    fn add(&mut self, other: Self) {
        self.micros.extend(other.micros);
        self.errors += other.errors;
        for (status, count) in other.responses {
            *self.responses.entry(status).or_default() += count;
        }
    }
}

/// Sends requests on one connection until the schedule or the traffic ends; returns when that was.
async fn send_requests(
    server: SocketAddr,
    mut connection: Connection,
    traffic: Traffic,
    schedule: Arc<Schedule>,
) -> (Tally, Instant) {
    let mut tally = Tally::default();
    let mut request = Vec::with_capacity(1024);
    while let Some((n, due)) = schedule.next().await {
        request.clear();
        let Some(expected_status) = traffic(n, &mut request) else { return (tally, Instant::now()) };
        let outcome = connection.call(&request).await.map(|response| response.status);
        let has_failed = outcome.is_err();
        tally.record(outcome, expected_status, &schedule, due);
        if has_failed {
            sleep(RECONNECT_PAUSE).await;
            if let Ok(opened) = Connection::open(server).await {
                connection = opened;
            }
        }
    }
    (tally, schedule.measured_until)
}
