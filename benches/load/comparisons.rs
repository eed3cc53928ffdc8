//! The cases that change or request stock, each measured with both strategies.

use crate::{
    acknowledged::{Acknowledged, RowCounts},
    case::{Case, CaseResult, Strategy, Target},
    client::write_request,
    database::{Buyer, Database, MAX_STOCK},
    delay_proxy,
    invariants::assert_invariants,
    load_loop::{LoopDurations, Traffic},
    server::Server,
};
use std::{sync::Arc, time::Duration};

/// Cases of one workload, measured with both strategies.
pub(crate) struct Comparison {
    /// On the command line.
    pub(crate) name: &'static str,
    /// In the tables.
    label: &'static str,
    workload: Workload,
    /// Numbers of connections, each with its target.
    sizes: &'static [(usize, Target)],
    /// Number of users. Most workloads send one request per user; a loop that is faster than expected ends early.
    users: i32,
    /// Whether [`ROUND_TRIP`] is added between the server and the database.
    is_remote: bool,
}

#[derive(Clone, Copy)]
enum Workload {
    /// Each user reserves a pair of the same drop.
    Reserve,
    /// Nine of ten reservations are refused as sold out.
    MostlySoldOut,
    /// Every reservation is refused as sold out.
    SoldOut,
    /// Each user purchases the pair that they hold.
    Purchase,
    /// Reservations are spread over [`MANY_DROPS`] drops.
    ReserveOfManyDrops,
}

pub(crate) const COMPARISONS: [Comparison; 6] = [
    Comparison {
        name: "grants",
        label: "reservations of one drop",
        workload: Workload::Reserve,
        sizes: &[
            (1, Target::NONE),
            (64, Target { ratio: Some(10.0), per_second: Some(18_000.0), p99_ms: Some(10.0), ..Target::NONE }),
            (1_000, Target { ratio: Some(12.0), p99_ms: Some(100.0), no_errors: true, ..Target::NONE }),
        ],
        users: 200_000,
        is_remote: false,
    },
    Comparison {
        name: "distant",
        label: "reservations of one drop, database 1 ms away",
        workload: Workload::Reserve,
        sizes: &[(64, Target { ratio: Some(20.0), ..Target::NONE })],
        users: 200_000,
        is_remote: true,
    },
    Comparison {
        name: "rush",
        label: "reservations, 9 of 10 of a sold-out drop",
        workload: Workload::MostlySoldOut,
        sizes: &[(64, Target::NONE)],
        users: 50_000,
        is_remote: false,
    },
    Comparison {
        name: "sold-out",
        label: "reservations of a sold-out drop",
        workload: Workload::SoldOut,
        sizes: &[(64, Target { per_second: Some(40_000.0), ..Target::NONE })],
        users: 10_000,
        is_remote: false,
    },
    Comparison {
        name: "purchases",
        label: "purchases of one drop",
        workload: Workload::Purchase,
        sizes: &[(64, Target::NONE)],
        users: 120_000,
        is_remote: false,
    },
    Comparison {
        name: "many-drops",
        label: "reservations of 50 drops",
        workload: Workload::ReserveOfManyDrops,
        sizes: &[(64, Target::NONE)],
        users: 20_000,
        is_remote: false,
    },
];

/// Added to each round trip to the database in the remote case, as if it were on another machine.
const ROUND_TRIP: Duration = Duration::from_millis(1);

/// Stock of a sold-out drop: each pair is held by one of the first users.
const SOLD_OUT_STOCK: i32 = 100;

const MANY_DROPS: usize = 50;

/// Measures one strategy after the other, each on a fresh database. Panics if an invariant is violated afterwards, or
/// if an acknowledged reservation or purchase is missing.
pub(crate) async fn compare(comparison: &Comparison, durations: LoopDurations) -> Vec<CaseResult> {
    let mut results = vec![];
    for strategy in [Strategy::Plain, Strategy::Batched] {
        let database = Database::create().await;
        let buyers: Arc<[Buyer]> = database.create_buyers(comparison.users).await.into();
        let mut cases = vec![];
        for &(connections, target) in comparison.sizes {
            let closed_traffic = prepare(comparison.workload, &database, &buyers).await;
            let open_traffic = prepare(comparison.workload, &database, &buyers).await;
            let label = comparison.label;
            cases.push(Case { label, connections, strategy, target, closed_traffic, open_traffic });
        }
        database.vacuum_and_checkpoint().await;
        let rows_before = RowCounts::read(&database.pool).await;
        let mut acknowledged = Acknowledged::default();
        let options = match comparison.is_remote {
            true => delay_proxy::start(&database.options, ROUND_TRIP).expect("a free port"),
            false => database.options.clone(),
        };
        let server = Server::start(&database, &options, strategy.arguments()).await;
        for case in cases {
            let result = case.measure(&server, durations).await;
            for loop_result in [&result.closed, &result.open] {
                let responses = |status| loop_result.responses.get(&status).copied().unwrap_or_default() as i64;
                acknowledged.reservations += responses(201);
                acknowledged.purchases += if let Workload::Purchase = comparison.workload { responses(200) } else { 0 };
                acknowledged.unknown_outcomes += loop_result.errors as i64;
            }
            results.push(result);
        }
        drop(server);
        assert_invariants(&database.pool).await;
        acknowledged.assert_stored(&database.pool, rows_before).await;
        database.remove().await;
    }
    results
}

/// Creates the rows that one loop needs, and returns the requests that it sends.
async fn prepare(workload: Workload, database: &Database, buyers: &Arc<[Buyer]>) -> Traffic {
    match workload {
        Workload::Reserve => {
            let drop_id = database.create_drop(MAX_STOCK).await;
            one_request_per_buyer(buyers.clone(), reserve_line(drop_id), 201)
        }
        Workload::MostlySoldOut => {
            let drop_id = database.create_drop(MAX_STOCK).await;
            let granted = one_request_per_buyer(buyers.clone(), reserve_line(drop_id), 201);
            let refused = sold_out(database, buyers).await;
            Arc::new(move |n, request| if n % 10 == 0 { granted(n / 10, request) } else { refused(n, request) })
        }
        Workload::SoldOut => sold_out(database, buyers).await,
        Workload::Purchase => {
            let drop_id = database.create_drop(MAX_STOCK).await;
            database.create_reservations(drop_id, buyers).await;
            one_request_per_buyer(buyers.clone(), format!("POST /api/drops/{drop_id}/purchase"), 200)
        }
        Workload::ReserveOfManyDrops => {
            let mut drops = vec![];
            for _ in 0..MANY_DROPS {
                let drop_id = database.create_drop(MAX_STOCK).await;
                drops.push(one_request_per_buyer(buyers.clone(), reserve_line(drop_id), 201));
            }
            Arc::new(move |n, request| drops[n % MANY_DROPS](n / MANY_DROPS, request))
        }
    }
}

/// Creates a drop whose pairs are all held by the first buyers. The others request one in turn, without end, and are
/// refused.
async fn sold_out(database: &Database, buyers: &Arc<[Buyer]>) -> Traffic {
    let drop_id = database.create_drop(SOLD_OUT_STOCK).await;
    let holders = SOLD_OUT_STOCK as usize;
    database.create_reservations(drop_id, &buyers[..holders]).await;
    let (buyers, request_line) = (buyers.clone(), reserve_line(drop_id));
    Arc::new(move |n, request| {
        let buyer = &buyers[holders + n % (buyers.len() - holders)];
        write_request(request, &request_line, &[("authorization", &buyer.authorization), ("content-length", "0")]);
        Some(409)
    })
}

/// The request line of a reservation.
fn reserve_line(drop_id: i64) -> String {
    format!("POST /api/drops/{drop_id}/reserve")
}

/// Sends the same request once for each buyer.
fn one_request_per_buyer(buyers: Arc<[Buyer]>, request_line: String, expected_status: u16) -> Traffic {
    Arc::new(move |n, request| {
        let headers = [("authorization", buyers.get(n)?.authorization.as_str()), ("content-length", "0")];
        write_request(request, &request_line, &headers);
        Some(expected_status)
    })
}
