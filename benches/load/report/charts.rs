//! The charts of docs/benchmarks.md.

use super::{bar_chart::BarChart, format::number};
use crate::{
    case::{CaseResult, Strategy},
    fan_out::FanOut,
};

/// Each chart with its file name. The first case is the one that the charts of the strategies show.
pub(crate) fn charts(cases: &[CaseResult], fan_outs: &[FanOut]) -> [(&'static str, BarChart<'static>); 3] {
    [
        ("bench-throughput.svg", throughput(cases)),
        ("bench-latency.svg", latency(cases)),
        ("bench-fanout.svg", fan_out(fan_outs)),
    ]
}

const STRATEGIES: [Strategy; 2] = [Strategy::Plain, Strategy::Batched];

fn throughput(cases: &[CaseResult]) -> BarChart<'static> {
    let per_second = |strategy| results_of_first_case(cases, strategy).map(|result| result.closed.per_second).collect();
    BarChart {
        title: "Reservations of one drop per second",
        x_label: "connections",
        y_label: "responses per second",
        is_logarithmic: false,
        groups: results_of_first_case(cases, Strategy::Plain).map(|result| number(result.connections as f64)).collect(),
        series: STRATEGIES.map(|strategy| (strategy.to_string(), per_second(strategy))).into(),
    }
}

fn latency(cases: &[CaseResult]) -> BarChart<'static> {
    let percentiles = |strategy| {
        let result = results_of_first_case(cases, strategy).find(|result| result.connections == 64);
        result.map_or(vec![], |result| {
            let latency = &result.open.latency;
            vec![latency.p50, latency.p90, latency.p99, latency.p999]
        })
    };
    BarChart {
        title: "Latency of reservations, 64 connections, each at 70 % of its throughput",
        x_label: "percentile",
        y_label: "milliseconds, logarithmic",
        is_logarithmic: true,
        groups: ["p50", "p90", "p99", "p99.9"].map(String::from).into(),
        series: STRATEGIES.map(|strategy| (strategy.to_string(), percentiles(strategy))).into(),
    }
}

fn fan_out(fan_outs: &[FanOut]) -> BarChart<'static> {
    let series = fan_outs.iter().map(|fan_out| {
        let latency = &fan_out.last_socket;
        let name = format!("{} sockets", number(fan_out.sockets as f64));
        (name, vec![latency.p50, latency.p90, latency.p99, latency.max])
    });
    BarChart {
        title: "Time from a stock change to the last socket",
        x_label: "percentile of the changes, ten per second",
        y_label: "milliseconds",
        is_logarithmic: false,
        groups: ["p50", "p90", "p99", "max"].map(String::from).into(),
        series: series.collect(),
    }
}

/// By number of connections.
fn results_of_first_case(cases: &[CaseResult], strategy: Strategy) -> impl Iterator<Item = &CaseResult> {
    cases.iter().filter(move |case| case.label == cases[0].label && case.strategy == strategy)
}
