//! Sends requests for a few seconds and takes the time of each.
//!
//! A *closed* loop sends the next request of a connection when the one before is answered: it finds the most that the
//! server does. An *open* loop sends at a fixed rate, evenly spaced, whatever the server does, and counts a latency from
//! the moment at which the request was due, so that a request that had to wait for a connection counts its wait.

use crate::client::Connection;
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

/// Writes the n-th request and says with which status it should be answered; `None` when there are no more.
pub(crate) type Traffic = Arc<dyn Fn(usize, &mut Vec<u8>) -> Option<u16> + Send + Sync>;

/// How long what is under way at the end may still take; what takes longer is an error.
const DRAIN: Duration = Duration::from_secs(10);

/// How often an open loop looks which requests are due. The timers of tokio know milliseconds only.
const PACE: Duration = Duration::from_micros(200);

/// How long a connection that failed waits before it is opened again.
const REOPEN: Duration = Duration::from_millis(10);

/// When requests are sent.
#[derive(Clone, Copy)]
pub(crate) enum Loop {
    Closed,
    /// So many a second.
    Open(f64),
}

/// How long a loop runs before its figures count, and how long they do.
#[derive(Clone, Copy)]
pub(crate) struct Spans {
    pub(crate) warm_up: Duration,
    pub(crate) measured: Duration,
}

/// What a loop found.
#[derive(Clone)]
pub(crate) struct Measured {
    /// Answers a second, of the status that was expected.
    pub(crate) per_second: f64,
    pub(crate) latency: Latency,
    /// Answers of another status, and none at all, warm-up included.
    pub(crate) errors: u64,
    /// How many answers of which status there were, warm-up included.
    pub(crate) answers: BTreeMap<u16, u64>,
}

/// Percentiles in milliseconds.
#[derive(Clone, Copy, Default)]
pub(crate) struct Latency {
    pub(crate) p50: f64,
    pub(crate) p90: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
    pub(crate) most: f64,
}

impl Latency {
    pub(crate) fn of(mut micros: Vec<u32>) -> Self {
        micros.sort_unstable();
        let at = |share: f64| {
            let rank = (micros.len() as f64 * share).ceil() as usize;
            micros.get(rank.max(1) - 1).map_or(f64::NAN, |micros| f64::from(*micros) / 1000.0)
        };
        Self { p50: at(0.5), p90: at(0.9), p99: at(0.99), p999: at(0.999), most: at(1.0) }
    }
}

/// Opens connections and drives them; `during` runs beside, and is told when what counts begins and ends.
pub(crate) async fn drive<T>(
    server: SocketAddr,
    connections: usize,
    traffic: Traffic,
    pace: Loop,
    spans: Spans,
    during: impl AsyncFnOnce(Instant, Instant) -> T,
) -> (Measured, T) {
    let mut opened = Vec::with_capacity(connections);
    for _ in 0..connections {
        opened.push(Connection::open(server).await.expect("the server takes connections; ulimit -n allows them"));
    }
    let start = Instant::now();
    let from = start + spans.warm_up;
    let until = from + spans.measured;
    let total = match pace {
        Loop::Closed => usize::MAX,
        Loop::Open(per_second) => (per_second * (until - start).as_secs_f64()) as usize,
    };
    let schedule = Arc::new(Schedule { pace, start, from, until, total, next: 0.into(), due: Semaphore::new(0) });
    if let Loop::Open(per_second) = pace {
        let schedule = schedule.clone();
        thread::spawn(move || schedule.keep(per_second));
    }
    let mut workers = JoinSet::new();
    for connection in opened {
        workers.spawn(work(server, connection, traffic.clone(), schedule.clone()));
    }
    let observed = during(from, until).await;
    let mut tally = Tally::default();
    let mut ended = until;
    while !workers.is_empty() {
        match timeout_at(until + DRAIN, workers.join_next()).await {
            Ok(Some(worker)) => {
                let (part, stopped) = worker.expect("a worker does not panic");
                ended = ended.min(stopped);
                tally.add(part);
            }
            Ok(None) => break,
            Err(_) => {
                tally.errors += workers.len() as u64;
                workers.abort_all();
                break;
            }
        }
    }
    let Tally { micros, errors, answers } = tally;
    assert!(ended > from, "there is traffic for longer than the warm-up");
    // Traffic that ran out before its time counts for the time that it lasted.
    let seconds = ended.saturating_duration_since(from).as_secs_f64();
    let per_second = micros.len() as f64 / seconds;
    (Measured { per_second, latency: Latency::of(micros), errors, answers }, observed)
}

struct Schedule {
    pace: Loop,
    start: Instant,
    from: Instant,
    until: Instant,
    /// How many requests there are in all.
    total: usize,
    next: AtomicUsize,
    /// One permit for each request of an open loop that is due.
    due: Semaphore,
}

impl Schedule {
    /// The number of the next request and when it is due, which is now in a closed loop; `None` at the end.
    async fn next(&self) -> Option<(usize, Instant)> {
        let n = self.next.fetch_add(1, Ordering::Relaxed);
        match self.pace {
            Loop::Closed => {
                let now = Instant::now();
                (now < self.until).then_some((n, now))
            }
            Loop::Open(per_second) if n < self.total => {
                self.due.acquire().await.expect("never closed").forget();
                Some((n, self.start + Duration::from_secs_f64(n as f64 / per_second)))
            }
            Loop::Open(_) => None,
        }
    }

    /// Hands out permits as requests fall due.
    fn keep(&self, per_second: f64) {
        let mut handed_out = 0;
        while handed_out < self.total {
            let due = (self.start.elapsed().as_secs_f64() * per_second) as usize + 1;
            let due = due.min(self.total);
            self.due.add_permits(due - handed_out);
            handed_out = due;
            thread::sleep(PACE);
        }
    }
}

/// What one connection saw.
#[derive(Default)]
struct Tally {
    /// Of the expected answers whose requests were due in the measured span.
    micros: Vec<u32>,
    errors: u64,
    answers: BTreeMap<u16, u64>,
}

impl Tally {
    fn note(&mut self, outcome: io::Result<u16>, expected: u16, schedule: &Schedule, due: Instant) {
        if let Ok(status) = outcome {
            *self.answers.entry(status).or_default() += 1;
        }
        if !matches!(outcome, Ok(status) if status == expected) {
            self.errors += 1;
        } else if (schedule.from..schedule.until).contains(&due) {
            self.micros.push(due.elapsed().as_micros().try_into().unwrap_or(u32::MAX));
        }
    }

    fn add(&mut self, other: Self) {
        self.micros.extend(other.micros);
        self.errors += other.errors;
        for (status, count) in other.answers {
            *self.answers.entry(status).or_default() += count;
        }
    }
}

/// Sends on one connection until the end of the schedule or of the traffic; returns when that was.
async fn work(
    server: SocketAddr,
    mut connection: Connection,
    traffic: Traffic,
    schedule: Arc<Schedule>,
) -> (Tally, Instant) {
    let mut tally = Tally::default();
    let mut request = Vec::with_capacity(1024);
    while let Some((n, due)) = schedule.next().await {
        request.clear();
        let Some(expected) = traffic(n, &mut request) else { return (tally, Instant::now()) };
        let outcome = connection.call(&request).await.map(|answer| answer.status);
        let is_broken = outcome.is_err();
        tally.note(outcome, expected, &schedule, due);
        if is_broken {
            sleep(REOPEN).await;
            if let Ok(opened) = Connection::open(server).await {
                connection = opened;
            }
        }
    }
    (tally, schedule.until)
}

/// Takes a sample at the beginning and at the end of what counts.
pub(crate) async fn sampled<T>(from: Instant, until: Instant, sample: impl Fn() -> T) -> (T, T) {
    sleep_until(from).await;
    let before = sample();
    sleep_until(until).await;
    (before, sample())
}
