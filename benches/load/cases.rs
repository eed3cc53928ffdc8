//! The cases that are requests: what is prepared, what is sent, and what is hoped for.

use crate::{
    books::{Books, Promised},
    client::{Connection, write_request},
    cpu::Cores,
    delay::delayed,
    drive::{Loop, Measured, Spans, Traffic, drive, sampled},
    shop::{Database, Guest, PLENTY, Server},
};
use std::{fmt, sync::Arc, time::Duration};

/// The part of a closed loop's throughput at which the open loop sends.
pub(crate) const OPEN_LOOP_SHARE: f64 = 0.7;

/// What is added to each round trip to the database where it is meant to be on another machine.
const ROUND_TRIP: Duration = Duration::from_millis(1);

/// Guests of a drop that is sold out, and its stock.
const HOLDERS: i32 = 100;

const MANY_DROPS: usize = 50;

/// How the server carries out what it is asked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Strategy {
    /// One transaction under the drop's lock for each request.
    Plain,
    /// As it comes: requests for one drop share transactions.
    Combined,
}

impl Strategy {
    fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Plain => &["--plain"],
            Self::Combined => &[],
        }
    }
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain => "plain",
            Self::Combined => "combined",
        })
    }
}

/// What a case should reach.
#[derive(Clone, Copy, Default)]
pub(crate) struct Target {
    /// Times the plain strategy's throughput.
    pub(crate) ratio: Option<f64>,
    pub(crate) per_second: Option<f64>,
    /// In the open loop.
    pub(crate) p99_ms: Option<f64>,
    pub(crate) no_errors: bool,
}

/// One line of the results, before it is measured.
struct Plan {
    what: &'static str,
    connections: usize,
    strategy: Strategy,
    target: Target,
    closed: Traffic,
    open: Traffic,
}

/// One line of the results.
pub(crate) struct Row {
    pub(crate) what: &'static str,
    pub(crate) connections: usize,
    pub(crate) strategy: Strategy,
    pub(crate) target: Target,
    pub(crate) closed: Measured,
    /// The rate at which the open loop sent, and what it found.
    pub(crate) open: (f64, Measured),
    /// During the closed loop.
    pub(crate) cores: Cores,
    /// After both loops, in bytes.
    pub(crate) server_memory: Option<u64>,
}

/// Cases that ask for stock, measured with both strategies.
pub(crate) struct Contest {
    pub(crate) name: &'static str,
    what: &'static str,
    act: Act,
    /// How many connections, and what should be reached with them.
    sizes: &'static [(usize, Target)],
    /// Enough for the fastest loop to be expected; one that is faster ends early.
    users: i32,
    is_distant: bool,
}

#[derive(Clone, Copy)]
enum Act {
    /// Everybody reserves of one drop.
    Reserve,
    /// Nine of ten ask for a drop that is sold out.
    MostlySoldOut,
    /// All of them do.
    SoldOut,
    /// Everybody buys what they hold.
    Purchase,
    /// Everybody reserves of one of many drops.
    ReserveOfMany,
}

const NONE: Target = Target { ratio: None, per_second: None, p99_ms: None, no_errors: false };

pub(crate) const CONTESTS: [Contest; 6] = [
    Contest {
        name: "grants",
        what: "reservations of one drop",
        act: Act::Reserve,
        sizes: &[
            (1, NONE),
            (64, Target { ratio: Some(10.0), per_second: Some(18_000.0), p99_ms: Some(10.0), ..NONE }),
            (1_000, Target { ratio: Some(12.0), p99_ms: Some(100.0), no_errors: true, ..NONE }),
        ],
        users: 200_000,
        is_distant: false,
    },
    Contest {
        name: "distant",
        what: "the same, database 1 ms away",
        act: Act::Reserve,
        sizes: &[(64, Target { ratio: Some(20.0), ..NONE })],
        users: 200_000,
        is_distant: true,
    },
    Contest {
        name: "rush",
        what: "9 of 10 ask for a sold-out drop",
        act: Act::MostlySoldOut,
        sizes: &[(64, NONE)],
        users: 50_000,
        is_distant: false,
    },
    Contest {
        name: "sold-out",
        what: "sold-out answers",
        act: Act::SoldOut,
        sizes: &[(64, Target { per_second: Some(40_000.0), ..NONE })],
        users: 10_000,
        is_distant: false,
    },
    Contest {
        name: "purchases",
        what: "purchases of one drop",
        act: Act::Purchase,
        sizes: &[(64, NONE)],
        users: 120_000,
        is_distant: false,
    },
    Contest {
        name: "many-drops",
        what: "reservations of 50 drops",
        act: Act::ReserveOfMany,
        sizes: &[(64, NONE)],
        users: 20_000,
        is_distant: false,
    },
];

/// Measures a contest with one strategy after the other, each on a database of its own.
pub(crate) async fn contest(contest: &Contest, spans: Spans) -> Vec<Row> {
    let mut rows = vec![];
    for strategy in [Strategy::Plain, Strategy::Combined] {
        let database = Database::create().await;
        let guests: Arc<[Guest]> = database.crowd(contest.users).await.into();
        let mut plans = vec![];
        for &(connections, target) in contest.sizes {
            let closed = prepare(contest.act, &database, &guests).await;
            let open = prepare(contest.act, &database, &guests).await;
            plans.push(Plan { what: contest.what, connections, strategy, target, closed, open });
        }
        database.settle().await;
        let books = Books::open(&database.pool).await;
        let mut promised = Promised::default();
        let way = match contest.is_distant {
            true => delayed(&database.options, ROUND_TRIP).expect("a free port"),
            false => database.options.clone(),
        };
        let server = Server::start(&database, &way, strategy.arguments()).await;
        for plan in plans {
            let row = measure(&server, plan, spans).await;
            for measured in [&row.closed, &row.open.1] {
                let answers = |status| measured.answers.get(&status).copied().unwrap_or_default() as i64;
                promised.reservations += answers(201);
                promised.purchases += if let Act::Purchase = contest.act { answers(200) } else { 0 };
                promised.unanswered += measured.errors as i64;
            }
            rows.push(row);
        }
        drop(server);
        books.close(&database.pool, promised).await;
        database.drop().await;
    }
    rows
}

/// Fills the database for one loop, and says what the loop sends.
async fn prepare(act: Act, database: &Database, guests: &Arc<[Guest]>) -> Traffic {
    match act {
        Act::Reserve => {
            let line = reserve(database.open_drop(PLENTY).await);
            each_guest(guests.clone(), line, 201)
        }
        Act::MostlySoldOut => {
            let granted = each_guest(guests.clone(), reserve(database.open_drop(PLENTY).await), 201);
            let refused = sold_out(database, guests).await;
            Arc::new(move |n, request| if n % 10 == 0 { granted(n / 10, request) } else { refused(n, request) })
        }
        Act::SoldOut => sold_out(database, guests).await,
        Act::Purchase => {
            let drop_id = database.open_drop(PLENTY).await;
            database.hold(drop_id, guests).await;
            each_guest(guests.clone(), format!("POST /api/drops/{drop_id}/purchase"), 200)
        }
        Act::ReserveOfMany => {
            let mut drops = vec![];
            for _ in 0..MANY_DROPS {
                drops.push(each_guest(guests.clone(), reserve(database.open_drop(PLENTY).await), 201));
            }
            Arc::new(move |n, request| drops[n % MANY_DROPS](n / MANY_DROPS, request))
        }
    }
}

/// Refusals without end: every pair is in somebody's hands.
async fn sold_out(database: &Database, guests: &Arc<[Guest]>) -> Traffic {
    let drop_id = database.open_drop(HOLDERS).await;
    let holders = HOLDERS as usize;
    database.hold(drop_id, &guests[..holders]).await;
    let (guests, line) = (guests.clone(), reserve(drop_id));
    Arc::new(move |n, request| {
        let guest = &guests[holders + n % (guests.len() - holders)];
        write_request(request, &line, &[("authorization", &guest.bearer), ("content-length", "0")]);
        Some(409)
    })
}

fn reserve(drop_id: i64) -> String {
    format!("POST /api/drops/{drop_id}/reserve")
}

/// The same of every guest, once each.
fn each_guest(guests: Arc<[Guest]>, line: String, expected: u16) -> Traffic {
    Arc::new(move |n, request| {
        let headers = [("authorization", guests.get(n)?.bearer.as_str()), ("content-length", "0")];
        write_request(request, &line, &headers);
        Some(expected)
    })
}

/// Measures what pages read, of a shop with the sample drops.
pub(crate) async fn pages(spans: Spans) -> Vec<Row> {
    let database = Database::create().await;
    let server = Server::start(&database, &database.options, &["--seed"]).await;
    let books = Books::open(&database.pool).await;
    let always = |line: &'static str, headers: Vec<(&'static str, String)>, expected| -> Traffic {
        let mut bytes = vec![];
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        write_request(&mut bytes, line, &headers);
        Arc::new(move |_, request| {
            request.extend_from_slice(&bytes);
            Some(expected)
        })
    };
    let reads = |per_second| Target { per_second: Some(per_second), ..NONE };
    let mut cases = vec![
        ("GET /, rendered", always("GET /", vec![], 200), reads(1_500.0)),
        ("GET /api/drops", always("GET /api/drops", vec![], 200), reads(40_000.0)),
    ];
    match tag(&server, "GET /api/drops").await {
        Some(tag) => {
            let known = always("GET /api/drops", vec![("if-none-match", tag)], 304);
            cases.push(("GET /api/drops, known already", known, NONE));
        }
        None => eprintln!("    GET /api/drops has no ETag: If-None-Match is left out"),
    }
    let mut rows = vec![];
    for (what, traffic, target) in cases {
        let (closed, open) = (traffic.clone(), traffic);
        let plan = Plan { what, connections: 64, strategy: Strategy::Combined, target, closed, open };
        rows.push(measure(&server, plan, spans).await);
    }
    drop(server);
    books.close(&database.pool, Promised::default()).await;
    database.drop().await;
    rows
}

/// The `ETag` of an answer.
async fn tag(server: &Server, line: &str) -> Option<String> {
    let mut request = vec![];
    write_request(&mut request, line, &[]);
    let mut connection = Connection::open(server.address).await.expect("the server takes connections");
    let answer = connection.call(&request).await.expect("the server answers");
    answer.header("etag").map(str::to_owned)
}

/// One closed and one open loop.
async fn measure(server: &Server, plan: Plan, spans: Spans) -> Row {
    let Plan { what, connections, strategy, target, closed, open } = plan;
    eprintln!("    {what}, connections: {connections}, {strategy}: as fast as it goes");
    let sample = async |from, until| sampled(from, until, || server.processes.sample()).await;
    let (closed, samples) = drive(server.address, connections, closed, Loop::Closed, spans, sample).await;
    tell(&closed);
    let rate = (closed.per_second * OPEN_LOOP_SHARE).max(1.0);
    eprintln!("    {what}, connections: {connections}, {strategy}: {rate:.0} a second");
    let (open, ()) = drive(server.address, connections, open, Loop::Open(rate), spans, async |_, _| ()).await;
    tell(&open);
    let cores = Cores::between(&samples);
    let server_memory = server.processes.server_memory();
    Row { what, connections, strategy, target, closed, open: (rate, open), cores, server_memory }
}

/// Shows what a loop found as soon as it is known.
fn tell(Measured { per_second, latency, errors, answers }: &Measured) {
    eprintln!("      {per_second:.0}/s, p50 {:.2} ms, p99 {:.2} ms", latency.p50, latency.p99);
    if *errors > 0 {
        eprintln!("      {errors} errors; answers by status: {answers:?}");
    }
}
