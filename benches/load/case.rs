//! One case of HTTP requests and its measurement: a closed loop, then an open one.

use crate::{
    load_loop::{LoopDurations, LoopKind, LoopResult, Traffic, run_loop, sample_measured_part},
    processes::CoresUsed,
    server::Server,
};
use std::fmt;

/// The share of the closed loop's throughput at which the open loop sends.
pub(crate) const OPEN_LOOP_SHARE: f64 = 0.7;

/// What is measured in one row of the results.
pub(crate) struct Case {
    pub(crate) label: &'static str,
    pub(crate) connections: usize,
    pub(crate) strategy: Strategy,
    pub(crate) target: Target,
    pub(crate) closed_traffic: Traffic,
    pub(crate) open_traffic: Traffic,
}

/// One row of the results.
pub(crate) struct CaseResult {
    pub(crate) label: &'static str,
    pub(crate) connections: usize,
    pub(crate) strategy: Strategy,
    pub(crate) target: Target,
    pub(crate) closed: LoopResult,
    pub(crate) open: LoopResult,
    /// At which the open loop sent.
    pub(crate) open_per_second: f64,
    /// During the closed loop.
    pub(crate) cores: CoresUsed,
    /// Resident, after both loops.
    pub(crate) server_memory_bytes: Option<u64>,
}

/// How the server executes commands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Strategy {
    /// One transaction under the drop's lock for each request.
    Plain,
    /// Requests for one drop share transactions; the server's default.
    Batched,
}

impl Strategy {
    pub(crate) fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Plain => &["--plain"],
            Self::Batched => &[],
        }
    }
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain => "plain",
            Self::Batched => "batched",
        })
    }
}

/// What a case should reach; only printed beside its figures, never asserted.
#[derive(Clone, Copy)]
pub(crate) struct Target {
    /// The least ratio to the plain strategy's throughput.
    pub(crate) ratio: Option<f64>,
    /// The least throughput.
    pub(crate) per_second: Option<f64>,
    /// The highest 99th percentile of the open loop.
    pub(crate) p99_ms: Option<f64>,
    pub(crate) no_errors: bool,
}

impl Target {
    pub(crate) const NONE: Self = Self { ratio: None, per_second: None, p99_ms: None, no_errors: false };
}

impl Case {
    pub(crate) async fn measure(self, server: &Server, durations: LoopDurations) -> CaseResult {
        let Self { label, connections, strategy, target, closed_traffic, open_traffic } = self;
        eprintln!("    {label}, connections: {connections}, {strategy}: closed loop");
        let sample = async |from, until| sample_measured_part(from, until, || server.processes.sample()).await;
        let (closed, samples) =
            run_loop(server.address, connections, closed_traffic, LoopKind::Closed, durations, sample).await;
        print(&closed);
        let open_per_second = (closed.per_second * OPEN_LOOP_SHARE).max(1.0);
        eprintln!("    {label}, connections: {connections}, {strategy}: open loop, {open_per_second:.0}/s");
        let kind = LoopKind::Open { per_second: open_per_second };
        let (open, ()) = run_loop(server.address, connections, open_traffic, kind, durations, async |_, _| ()).await;
        print(&open);
        CaseResult {
            label,
            connections,
            strategy,
            target,
            closed,
            open,
            open_per_second,
            cores: CoresUsed::between(&samples),
            server_memory_bytes: server.processes.server_memory_bytes(),
        }
    }
}

/// Prints the result of a loop as soon as the loop ends.
fn print(LoopResult { per_second, latency, errors, responses }: &LoopResult) {
    eprintln!("      {per_second:.0}/s, p50 {:.2} ms, p99 {:.2} ms", latency.p50, latency.p99);
    if *errors > 0 {
        eprintln!("      {errors} errors; responses by status: {responses:?}");
    }
}
