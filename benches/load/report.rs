//! The results as tables, the same on the terminal as in docs/benchmarks.md, and as charts beside them.

use crate::{
    cases::{OPEN_LOOP_SHARE, Row, Strategy, Target},
    chart::Chart,
    cpu::Cores,
    drive::{Latency, Spans},
    machine::Machine,
    sockets::{FanOut, MOST_BYTES, MOST_P99_MS, TARGET_SOCKETS},
};
use std::{fs, io, path::Path};

/// Everything that a run found.
#[derive(Default)]
pub(crate) struct Report {
    pub(crate) rows: Vec<Row>,
    pub(crate) fan_outs: Vec<FanOut>,
}

impl Report {
    /// The tables.
    pub(crate) fn tables(&self) -> String {
        let mut text = String::new();
        let parts = [
            ("Both strategies, side by side", self.contests()),
            ("Reads", self.reads()),
            ("Sockets", self.sockets()),
            ("What it cost", self.costs()),
        ];
        for (title, table) in parts {
            if table.len() > 1 {
                text.push_str(&format!("## {title}\n\n{}\n", markdown(&table)));
            }
        }
        text
    }

    /// Writes docs/benchmarks.md and its charts.
    pub(crate) fn write(&self, machine: &Machine, disk: &str, spans: Spans) -> io::Result<()> {
        let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
        for (name, chart) in self.charts() {
            fs::write(docs.join(name), chart.svg())?;
        }
        let Machine { date, hardware, software } = machine;
        let (warm_up, measured) = (spans.warm_up.as_secs_f64(), spans.measured.as_secs_f64());
        let open_percent = OPEN_LOOP_SHARE * 100.0;
        let preamble = format!(
            "# Benchmarks\n\n\
             Written by `script/bench` on {date}.\n\n\
             - {hardware}\n\
             - {software}\n\
             - {disk}\n\n\
             The real server in a process of its own, over real HTTP and WebSockets, on a real PostgreSQL as it is installed,\n\
             everything on one machine: the absolute figures are that machine's, the ratios are the headline. *Plain* is the\n\
             server with `--plain`, one transaction under the drop's lock for each request; *combined* is the server as it\n\
             comes. Every group of cases has a fresh database, which afterwards is held to every invariant, and to every\n\
             reservation and purchase that was acknowledged. Before the first, PostgreSQL writes 600 MB of log, so that the files\n\
             are there which it otherwise makes in the middle of commits until it has been running for a while.\n\n\
             Each case first runs a closed loop (a connection sends when it has its answer) for {warm_up} s of warm-up and\n\
             {measured} s that count, which finds the throughput; then an open loop for as long, which sends at {open_percent:.0} % of that\n\
             throughput, evenly spaced, and counts each latency from the moment at which the request was due; it sends up to\n\
             0.3 ms late, which the latencies contain. Percentiles are the open loop's where nothing else is said, and so are\n\
             their targets. Requests bear tokens; those for reservations come from a different user each. Pages are\n\
             asked for without compression.\n\n",
        );
        let charts = "![Reservations a second of one drop](bench-throughput.svg)\n\n\
                      ![Latency of reservations](bench-latency.svg)\n\n\
                      ![Change of stock to last socket](bench-fanout.svg)\n\n";
        let notes = "A socket's times run from the moment at which a change of stock was due to be sent to the server: *answered* when\n\
                     its answer was there, *last socket* when the last socket had read that version or a later one. The latter\n\
                     contains the request, its transaction and the wait for the flush, and is thus an upper bound of the time from\n\
                     COMMIT to the last socket. Changes come ten times a second. Memory is how much the server's resident memory had\n\
                     grown when all was over. The cost is in cores kept busy during the closed loop, or while stock changed; where the\n\
                     database is 1 ms away, the proxy that delays its bytes is part of the client.\n";
        fs::write(docs.join("benchmarks.md"), format!("{preamble}{charts}{}{notes}", self.tables()))
    }

    fn charts(&self) -> [(&'static str, Chart<'static>); 3] {
        let of =
            |strategy| self.rows.iter().filter(move |row| row.what == self.rows[0].what && row.strategy == strategy);
        let strategies = [Strategy::Plain, Strategy::Combined];
        let throughput = Chart {
            title: "Reservations a second of one drop",
            across: "connections",
            up: "answers a second",
            is_logarithmic: false,
            groups: of(Strategy::Plain).map(|row| figure(row.connections as f64)).collect(),
            series: strategies.map(|it| (it.to_string(), of(it).map(|row| row.closed.per_second).collect())).into(),
        };
        let at_64 = |strategy| {
            let row = of(strategy).find(|row| row.connections == 64);
            row.map_or(vec![], |row| percentiles(&row.open.1.latency)[..4].to_vec())
        };
        let latency = Chart {
            title: "Latency of reservations, 64 connections, each at 70 % of its throughput",
            across: "percentile",
            up: "milliseconds, logarithmic",
            is_logarithmic: true,
            groups: ["p50", "p90", "p99", "p99.9"].map(String::from).into(),
            series: strategies.map(|it| (it.to_string(), at_64(it))).into(),
        };
        let fan_out = Chart {
            title: "Change of stock to last socket",
            across: "percentile of the changes, ten a second",
            up: "milliseconds",
            is_logarithmic: false,
            groups: ["p50", "p90", "p99", "most"].map(String::from).into(),
            series: self
                .fan_outs
                .iter()
                .map(|it| {
                    let [p50, p90, p99, _, most] = percentiles(&it.last);
                    (format!("{} sockets", figure(it.sockets as f64)), vec![p50, p90, p99, most])
                })
                .collect(),
        };
        [("bench-throughput.svg", throughput), ("bench-latency.svg", latency), ("bench-fanout.svg", fan_out)]
    }

    fn contests(&self) -> Vec<Vec<String>> {
        let head = [
            "case",
            "connections",
            "plain /s",
            "combined /s",
            "ratio",
            "plain p50 / p99 ms",
            "combined p50 / p99 ms",
            "target",
        ];
        let mut table = vec![head.map(String::from).to_vec()];
        for plain in self.rows.iter().filter(|row| row.strategy == Strategy::Plain) {
            let is_other = |row: &&Row| {
                row.strategy == Strategy::Combined && row.what == plain.what && row.connections == plain.connections
            };
            let combined = self.rows.iter().find(is_other).expect("both strategies are measured");
            let ratio = combined.closed.per_second / plain.closed.per_second;
            table.push(vec![
                plain.what.into(),
                figure(plain.connections as f64),
                figure(plain.closed.per_second),
                figure(combined.closed.per_second),
                format!("{ratio:.1}×"),
                pair(&plain.open.1.latency),
                pair(&combined.open.1.latency),
                verdicts(combined, Some(ratio)),
            ]);
        }
        table
    }

    fn reads(&self) -> Vec<Vec<String>> {
        let head = ["case", "connections", "answers /s", "p50 / p99 ms", "target"];
        let mut table = vec![head.map(String::from).to_vec()];
        let is_compared = |row: &&Row| self.rows.iter().any(|it| it.what == row.what && it.strategy == Strategy::Plain);
        for row in self.rows.iter().filter(|row| !is_compared(row)) {
            table.push(vec![
                row.what.into(),
                figure(row.connections as f64),
                figure(row.closed.per_second),
                pair(&row.open.1.latency),
                verdicts(row, None),
            ]);
        }
        table
    }

    fn sockets(&self) -> Vec<Vec<String>> {
        let head = [
            "sockets",
            "changes",
            "answered p50 / p99 ms",
            "last socket p50 / p99 ms",
            "most ms",
            "missed",
            "right in the end",
            "bytes a socket and change",
            "server memory a socket",
            "target",
        ];
        let mut table = vec![head.map(String::from).to_vec()];
        for it in &self.fan_outs {
            let mut verdict = vec![met("all right", it.right == it.sockets && it.missed == 0)];
            if it.sockets >= TARGET_SOCKETS {
                verdict.push(met(&format!("p99 ≤ {} ms", figure(MOST_P99_MS)), it.last.p99 <= MOST_P99_MS));
                verdict.extend(it.memory_per_socket.map(|bytes| met("≤ 8 KiB", bytes <= MOST_BYTES)));
            }
            table.push(vec![
                figure(it.sockets as f64),
                figure(it.changes as f64),
                pair(&it.answered),
                pair(&it.last),
                figure(it.last.most),
                it.missed.to_string(),
                figure(it.right as f64),
                figure(it.bytes_per_flush),
                it.memory_per_socket.map_or("–".into(), |bytes| format!("{:.1} KiB", bytes / 1024.0)),
                verdict.join(", "),
            ]);
        }
        table
    }

    fn costs(&self) -> Vec<Vec<String>> {
        let head = [
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
        ];
        let mut table = vec![head.map(String::from).to_vec()];
        for row in &self.rows {
            let mut line = vec![
                row.what.into(),
                figure(row.connections as f64),
                row.strategy.to_string(),
                pair(&row.closed.latency),
                figure(row.open.0),
                (row.closed.errors + row.open.1.errors).to_string(),
            ];
            line.extend(cores(&row.cores));
            line.push(row.server_memory.map_or("–".into(), |bytes| format!("{} MiB", bytes / 1024 / 1024)));
            table.push(line);
        }
        for it in &self.fan_outs {
            let mut line =
                ["sockets", &figure(it.sockets as f64), "combined", "–", "–", "–"].map(String::from).to_vec();
            line.extend(cores(&it.cores));
            line.push("–".into());
            table.push(line);
        }
        table
    }
}

/// A number as people read it: three digits that count, thousands apart.
pub(crate) fn figure(value: f64) -> String {
    if !value.is_finite() {
        return "–".into();
    }
    if value < 100.0 && value.fract() != 0.0 {
        return if value < 10.0 { format!("{value:.2}") } else { format!("{value:.1}") };
    }
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn pair(latency: &Latency) -> String {
    format!("{} / {}", figure(latency.p50), figure(latency.p99))
}

fn percentiles(latency: &Latency) -> [f64; 5] {
    [latency.p50, latency.p90, latency.p99, latency.p999, latency.most]
}

fn cores(cores: &Cores) -> [String; 3] {
    [cores.client, cores.server, cores.database].map(|it| it.map_or("–".into(), |cores| format!("{cores:.2}")))
}

/// Each part of a target, and whether it was reached.
fn verdicts(row: &Row, ratio: Option<f64>) -> String {
    let Target { ratio: least_ratio, per_second, p99_ms, no_errors } = row.target;
    let mut parts = vec![];
    if let (Some(least), Some(ratio)) = (least_ratio, ratio) {
        parts.push(met(&format!("≥ {}×", figure(least)), ratio >= least));
    }
    parts.extend(per_second.map(|least| met(&format!("≥ {}/s", figure(least)), row.closed.per_second >= least)));
    parts.extend(p99_ms.map(|most| met(&format!("p99 ≤ {} ms", figure(most)), row.open.1.latency.p99 <= most)));
    if no_errors {
        parts.push(met("no errors", row.closed.errors + row.open.1.errors == 0));
    }
    parts.join(", ")
}

fn met(target: &str, is_met: bool) -> String {
    format!("{target} {}", if is_met { "✓" } else { "✗" })
}

/// A table whose columns are aligned even where nothing renders it.
fn markdown(table: &[Vec<String>]) -> String {
    let width = |column: usize| table.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..table[0].len()).map(width).collect();
    let line = |cells: &[String]| {
        let cells = cells.iter().zip(&widths).map(|(cell, width)| format!(" {cell:<width$} "));
        format!("|{}|\n", cells.collect::<Vec<_>>().join("|"))
    };
    let rule: Vec<_> = widths.iter().map(|width| "-".repeat(*width)).collect();
    let (head, body) = table.split_first().expect("a table has a head");
    [line(head), line(&rule)].into_iter().chain(body.iter().map(|row| line(row))).collect()
}
