//! The tables, as rows of cells; the first row of each is its head.

use super::format::{UNKNOWN, number, p50_and_p99};
use crate::{
    case::{CaseResult, Strategy, Target},
    fan_out::{FanOut, TARGET_MEMORY_BYTES, TARGET_P99_MS, TARGET_SOCKETS},
    processes::CoresUsed,
};

pub(crate) type Table = Vec<Vec<String>>;

/// The cases that were measured with both strategies.
pub(crate) fn comparisons(cases: &[CaseResult]) -> Table {
    let mut table = vec![head([
        "case",
        "connections",
        "plain /s",
        "batched /s",
        "ratio",
        "plain p50 / p99 ms",
        "batched p50 / p99 ms",
        "target",
    ])];
    for plain in cases.iter().filter(|case| case.strategy == Strategy::Plain) {
        let is_counterpart = |case: &&CaseResult| {
            case.strategy == Strategy::Batched && case.label == plain.label && case.connections == plain.connections
        };
        let batched = cases.iter().find(is_counterpart).expect("both strategies are measured");
        let ratio = batched.closed.per_second / plain.closed.per_second;
        table.push(vec![
            plain.label.into(),
            number(plain.connections as f64),
            number(plain.closed.per_second),
            number(batched.closed.per_second),
            format!("{ratio:.1}×"),
            p50_and_p99(&plain.open.latency),
            p50_and_p99(&batched.open.latency),
            verdicts(batched, Some(ratio)),
        ]);
    }
    table
}

/// The cases that were measured with one strategy only, because they change nothing.
pub(crate) fn reads(cases: &[CaseResult]) -> Table {
    let mut table = vec![head(["case", "connections", "responses /s", "p50 / p99 ms", "target"])];
    let is_compared =
        |case: &&CaseResult| cases.iter().any(|other| other.label == case.label && other.strategy == Strategy::Plain);
    for case in cases.iter().filter(|case| !is_compared(case)) {
        table.push(vec![
            case.label.into(),
            number(case.connections as f64),
            number(case.closed.per_second),
            p50_and_p99(&case.open.latency),
            verdicts(case, None),
        ]);
    }
    table
}

pub(crate) fn fan_outs(fan_outs: &[FanOut]) -> Table {
    let mut table = vec![head([
        "sockets",
        "changes",
        "response p50 / p99 ms",
        "last socket p50 / p99 ms",
        "last socket max ms",
        "missed",
        "converged",
        "bytes per socket and change",
        "server memory per socket",
        "target",
    ])];
    for fan_out in fan_outs {
        let is_complete = fan_out.converged == fan_out.sockets && fan_out.missed == 0;
        let mut verdicts = vec![verdict("all converged, none missed", is_complete)];
        if fan_out.sockets >= TARGET_SOCKETS {
            let target = format!("p99 ≤ {} ms", number(TARGET_P99_MS));
            verdicts.push(verdict(&target, fan_out.last_socket.p99 <= TARGET_P99_MS));
            let memory = fan_out.memory_bytes_per_socket;
            verdicts.extend(memory.map(|bytes| verdict("≤ 8 KiB", bytes <= TARGET_MEMORY_BYTES)));
        }
        table.push(vec![
            number(fan_out.sockets as f64),
            number(fan_out.changes as f64),
            p50_and_p99(&fan_out.response),
            p50_and_p99(&fan_out.last_socket),
            number(fan_out.last_socket.max),
            fan_out.missed.to_string(),
            number(fan_out.converged as f64),
            number(fan_out.bytes_per_socket_and_change),
            fan_out.memory_bytes_per_socket.map_or(UNKNOWN.into(), |bytes| format!("{:.1} KiB", bytes / 1024.0)),
            verdicts.join(", "),
        ]);
    }
    table
}

pub(crate) fn resources(cases: &[CaseResult], fan_outs: &[FanOut]) -> Table {
    let mut table = vec![head([
        "case",
        "connections",
        "strategy",
        "closed loop p50 / p99 ms",
        "open loop /s",
        "errors",
        "client cores",
        "server cores",
        "database cores",
        "server memory",
    ])];
    for case in cases {
        let mut row = vec![
            case.label.into(),
            number(case.connections as f64),
            case.strategy.to_string(),
            p50_and_p99(&case.closed.latency),
            number(case.open_per_second),
            (case.closed.errors + case.open.errors).to_string(),
        ];
        row.extend(cores(&case.cores));
        row.push(case.server_memory_bytes.map_or(UNKNOWN.into(), |bytes| format!("{} MiB", bytes / 1024 / 1024)));
        table.push(row);
    }
    for fan_out in fan_outs {
        let mut row = vec![
            "sockets".into(),
            number(fan_out.sockets as f64),
            Strategy::Batched.to_string(),
            UNKNOWN.into(),
            UNKNOWN.into(),
            UNKNOWN.into(),
        ];
        row.extend(cores(&fan_out.cores));
        row.push(UNKNOWN.into());
        table.push(row);
    }
    table
}

fn head<const COLUMNS: usize>(titles: [&str; COLUMNS]) -> Vec<String> {
    titles.map(String::from).to_vec()
}

fn cores(used: &CoresUsed) -> [String; 3] {
    [used.client, used.server, used.database].map(|cores| cores.map_or(UNKNOWN.into(), |cores| format!("{cores:.2}")))
}

/// Each part of the case's target, and whether it was met.
fn verdicts(case: &CaseResult, measured_ratio: Option<f64>) -> String {
    let Target { ratio, per_second, p99_ms, no_errors } = case.target;
    let mut parts = vec![];
    if let (Some(target), Some(measured)) = (ratio, measured_ratio) {
        parts.push(verdict(&format!("≥ {}×", number(target)), measured >= target));
    }
    if let Some(target) = per_second {
        parts.push(verdict(&format!("≥ {}/s", number(target)), case.closed.per_second >= target));
    }
    if let Some(target) = p99_ms {
        parts.push(verdict(&format!("p99 ≤ {} ms", number(target)), case.open.latency.p99 <= target));
    }
    if no_errors {
        parts.push(verdict("no errors", case.closed.errors + case.open.errors == 0));
    }
    parts.join(", ")
}

fn verdict(target: &str, is_met: bool) -> String {
    format!("{target} {}", if is_met { "✓" } else { "✗" })
}
