//! The cases that only read: the page and the list of drops, on a database with the sample drops.

use crate::{
    acknowledged::{Acknowledged, RowCounts},
    case::{Case, CaseResult, Strategy, Target},
    client::{Connection, write_request},
    database::Database,
    invariants::assert_invariants,
    load_loop::{LoopDurations, Traffic},
    server::Server,
};
use std::sync::Arc;

const CONNECTIONS: usize = 64;

/// Panics if an invariant is violated afterwards, or if a reservation or purchase was stored.
pub(crate) async fn measure(durations: LoopDurations) -> Vec<CaseResult> {
    let database = Database::create().await;
    let server = Server::start(&database, &database.options, &["--seed"]).await;
    let rows_before = RowCounts::read(&database.pool).await;
    let at_least = |per_second| Target { per_second: Some(per_second), ..Target::NONE };
    let mut cases = vec![
        ("GET /, rendered", repeat("GET /", &[], 200), at_least(1_500.0)),
        ("GET /api/drops", repeat("GET /api/drops", &[], 200), at_least(40_000.0)),
    ];
    match etag(&server, "GET /api/drops").await {
        Some(etag) => {
            let traffic = repeat("GET /api/drops", &[("if-none-match", &etag)], 304);
            cases.push(("GET /api/drops, If-None-Match matches", traffic, Target::NONE));
        }
        None => eprintln!("    GET /api/drops has no ETag: the case with If-None-Match is skipped"),
    }
    let mut results = vec![];
    for (label, traffic, target) in cases {
        let case = Case {
            label,
            connections: CONNECTIONS,
            strategy: Strategy::Batched,
            target,
            closed_traffic: traffic.clone(),
            open_traffic: traffic,
        };
        results.push(case.measure(&server, durations).await);
    }
    drop(server);
    assert_invariants(&database.pool).await;
    Acknowledged::default().assert_stored(&database.pool, rows_before).await;
    database.remove().await;
    results
}

/// Sends the same request without end.
fn repeat(request_line: &str, headers: &[(&str, &str)], expected_status: u16) -> Traffic {
    let mut bytes = vec![];
    write_request(&mut bytes, request_line, headers);
    Arc::new(move |_, request| {
        request.extend_from_slice(&bytes);
        Some(expected_status)
    })
}

/// The `ETag` of a response.
async fn etag(server: &Server, request_line: &str) -> Option<String> {
    let mut request = vec![];
    write_request(&mut request, request_line, &[]);
    let mut connection = Connection::open(server.address).await.expect("the server accepts connections");
    let response = connection.call(&request).await.expect("the server responds");
    response.header("etag").map(str::to_owned)
}
