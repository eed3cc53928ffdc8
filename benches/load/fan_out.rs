//! The fan-out of stock changes to thousands of sockets.
//!
//! One user reserves a pair and releases it, in turn, so that each change is one version of the drop. The time to the
//! last socket runs from when a change was due to be sent until the last socket has received that version or a later
//! one. It includes the request, its transaction and the wait for the flush, and is thus an upper bound of the time
//! from COMMIT to the last socket.

use crate::{
    acknowledged::{Acknowledged, RowCounts},
    arrivals::Arrivals,
    client::{Connection, write_request},
    database::Database,
    invariants::assert_invariants,
    latency::Latency,
    processes::CoresUsed,
    server::Server,
    websocket::WebSocket,
};
use futures_util::{StreamExt, stream};
use std::{sync::Arc, time::Duration};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, sleep_until},
};

/// One row of the results.
pub(crate) struct FanOut {
    pub(crate) sockets: usize,
    pub(crate) changes: usize,
    /// From when a change was due to its response.
    pub(crate) response: Latency,
    /// From when a change was due to the last socket.
    pub(crate) last_socket: Latency,
    /// Changes that did not reach every socket within [`ARRIVAL_TIMEOUT`].
    pub(crate) missed: usize,
    /// Sockets whose latest version and stock are those of the database.
    pub(crate) converged: usize,
    pub(crate) bytes_per_socket_and_change: f64,
    /// Growth of the server's resident memory.
    pub(crate) memory_bytes_per_socket: Option<f64>,
    /// While stock changed.
    pub(crate) cores: CoresUsed,
}

/// The targets apply to measurements of at least as many sockets.
pub(crate) const TARGET_SOCKETS: usize = 10_000;
/// The highest 99th percentile of the time to the last socket.
pub(crate) const TARGET_P99_MS: f64 = 150.0;
/// The most server memory per socket.
pub(crate) const TARGET_MEMORY_BYTES: f64 = 8.0 * 1024.0;

const CHANGE_INTERVAL: Duration = Duration::from_millis(100);

/// How long the last change may take to reach every socket before it counts as missed.
const ARRIVAL_TIMEOUT: Duration = Duration::from_secs(5);

/// How many sockets are connecting at a time.
const CONCURRENT_CONNECTS: usize = 64;

/// Connects `sockets` sockets and changes stock for `duration`. Panics if an invariant is violated afterwards, or if an
/// acknowledged reservation is missing.
pub(crate) async fn measure(sockets: usize, duration: Duration) -> FanOut {
    let database = Database::create().await;
    let buyer = database.create_buyers(1).await.pop().expect("one buyer");
    database.vacuum_and_checkpoint().await;
    let server = Server::start(&database, &database.options, &["--seed"]).await;
    let rows_before = RowCounts::read(&database.pool).await;
    let stock_sql = "select id, version, (select sum(available_stock) from drop_sizes where drop_id = drops.id)
                     from drops where limit_per_user is null and starts_at <= now() order by id limit 1";
    let stored_stock = || async {
        let row: (i64, i64, i64) =
            sqlx::query_as(stock_sql).fetch_one(&database.pool).await.expect("the sample drops exist");
        row
    };
    let (drop_id, base_version, _) = stored_stock().await;
    let request = |request_line: String| {
        let mut bytes = vec![];
        let headers = [("authorization", buyer.authorization.as_str()), ("content-length", "0")];
        write_request(&mut bytes, &request_line, &headers);
        bytes
    };
    let reserve = request(format!("POST /api/drops/{drop_id}/reserve"));
    let release = request(format!("DELETE /api/drops/{drop_id}/reservation"));
    let mut connection = Connection::open(server.address).await.expect("the server accepts connections");

    let memory_before = server.processes.server_memory_bytes();
    eprintln!("    {sockets} sockets: connecting");
    let changes = (duration.as_millis() / CHANGE_INTERVAL.as_millis()) as usize;
    let arrivals = Arc::new(Arrivals::new(drop_id, base_version, changes, sockets));
    let opened: Vec<_> = stream::iter(0..sockets)
        .map(|index| async move {
            let socket = WebSocket::open(server.address, index).await;
            socket.unwrap_or_else(|error| panic!("socket {index} of {sockets}: {error}; is `ulimit -n` high enough?"))
        })
        .buffer_unordered(CONCURRENT_CONNECTS)
        .collect()
        .await;
    let mut receivers = JoinSet::new();
    for socket in opened {
        receivers.spawn(socket.receive(arrivals.clone()));
    }
    // Lets every socket receive its first snapshot before bytes and processor time count.
    sleep(Duration::from_secs(1)).await;

    eprintln!("    {sockets} sockets: {changes} stock changes, one every {} ms", CHANGE_INTERVAL.as_millis());
    let bytes_before = arrivals.received_bytes();
    let cpu_before = server.processes.sample();
    let start = Instant::now();
    let mut response_micros = vec![];
    let mut acknowledged = Acknowledged::default();
    for change in 0..changes {
        let due = start + CHANGE_INTERVAL * change as u32;
        sleep_until(due).await;
        let (request, expected_status) = if change % 2 == 0 { (&reserve, 201) } else { (&release, 200) };
        let status = connection.call(request).await.expect("the server responds").status;
        assert_eq!(status, expected_status, "even requests reserve a pair, odd ones release it");
        response_micros.push(micros(due.elapsed()));
        acknowledged.reservations += i64::from(status == 201);
    }
    let cpu_after = server.processes.sample();
    let deadline = Instant::now() + ARRIVAL_TIMEOUT;
    while !arrivals.last_arrivals().all(|arrival| arrival.is_some()) && Instant::now() < deadline {
        sleep(Duration::from_millis(10)).await;
    }
    let bytes = arrivals.received_bytes() - bytes_before;
    let memory_after = server.processes.server_memory_bytes();

    let (_, version, stock) = stored_stock().await;
    assert_eq!(
        version,
        base_version + changes as i64,
        "each change raises the version by one, and there are no others"
    );
    let last_socket_micros = arrivals.last_arrivals().enumerate().filter_map(|(change, arrival)| {
        let due = start + CHANGE_INTERVAL * change as u32;
        Some(micros(arrival?.saturating_duration_since(due)))
    });
    let last_socket_micros: Vec<u32> = last_socket_micros.collect();
    let memory_growth = memory_before.zip(memory_after).map(|(before, after)| after as f64 - before as f64);
    let result = FanOut {
        sockets,
        changes,
        response: Latency::from_micros(response_micros),
        missed: changes - last_socket_micros.len(),
        last_socket: Latency::from_micros(last_socket_micros),
        converged: arrivals.count_converged(version, stock),
        bytes_per_socket_and_change: bytes as f64 / (sockets * changes) as f64,
        memory_bytes_per_socket: memory_growth.map(|bytes| bytes / sockets as f64),
        cores: CoresUsed::between(&(cpu_before, cpu_after)),
    };
    eprintln!("      last socket p50 {:.1} ms, p99 {:.1} ms", result.last_socket.p50, result.last_socket.p99);
    receivers.shutdown().await;
    drop(server);
    assert_invariants(&database.pool).await;
    acknowledged.assert_stored(&database.pool, rows_before).await;
    database.remove().await;
    result
}

fn micros(duration: Duration) -> u32 {
    duration.as_micros().try_into().unwrap_or(u32::MAX)
}
