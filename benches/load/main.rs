//! Load tests of the real server: reservations, refusals, purchases and pages per second, their latencies, and how long
//! a stock change takes to reach every socket.
//!
//! `script/bench` prepares what this needs and runs all cases, or those that its arguments name. Each case is measured
//! and printed; then the invariants of its database are checked. A violated invariant ends the run.

mod acknowledged;
mod arrivals;
mod case;
mod client;
mod comparisons;
mod database;
mod delay_proxy;
mod fan_out;
#[path = "../../tests/support/invariants.rs"]
mod invariants;
mod latency;
mod load_loop;
mod machine;
mod pages;
mod processes;
mod report;
mod server;
#[path = "../../tests/support/server_process.rs"]
mod server_process;
mod websocket;

use comparisons::COMPARISONS;
use load_loop::LoopDurations;
use machine::Machine;
use report::Report;
use std::{env, process::ExitCode, thread, time::Duration};
use tokio::runtime::Builder;

const PAGES: &str = "pages";
const SOCKETS: &str = "sockets";

fn main() -> ExitCode {
    let case_names: Vec<&str> = COMPARISONS.iter().map(|comparison| comparison.name).chain([PAGES, SOCKETS]).collect();
    let mut selected = vec![];
    let mut is_quick = false;
    for argument in env::args().skip(1) {
        match argument.as_str() {
            // `cargo bench` adds it.
            "--bench" => {}
            "--quick" => is_quick = true,
            name if case_names.contains(&name) => selected.push(name.to_owned()),
            other => {
                eprintln!("load: {other} is neither --quick nor one of {}", case_names.join(", "));
                return ExitCode::from(2);
            }
        }
    }
    // One thread sends some 50,000 requests per second and leaves the rest of a small machine to the server.
    let threads = thread::available_parallelism().map_or(1, |cores| cores.get() / 4).max(1);
    let runtime = Builder::new_multi_thread().worker_threads(threads).enable_all().build().expect("threads start");
    runtime.block_on(run(if is_quick { QUICK } else { FULL }, &selected, is_quick));
    ExitCode::SUCCESS
}

struct RunConfig {
    loop_durations: LoopDurations,
    /// Numbers of sockets, and for how long stock changes are sent to them.
    fan_outs: [(usize, Duration); 2],
}

const FULL: RunConfig = RunConfig {
    loop_durations: LoopDurations { warm_up: Duration::from_secs(1), measured: Duration::from_secs(5) },
    fan_outs: [(1_000, Duration::from_secs(10)), (10_000, Duration::from_secs(20))],
};

/// Only checks that every case works; too short for figures.
const QUICK: RunConfig = RunConfig {
    loop_durations: LoopDurations { warm_up: Duration::from_millis(300), measured: Duration::from_secs(1) },
    fan_outs: [(100, Duration::from_secs(2)), (1_000, Duration::from_secs(2))],
};

/// Runs the selected cases, or all if none is selected. Only a full run of all cases is written to docs/.
async fn run(config: RunConfig, selected: &[String], is_quick: bool) {
    let is_selected = |name: &str| selected.is_empty() || selected.iter().any(|selected| selected == name);
    let machine = Machine::inspect().await;
    eprintln!("{}, {}\n{}", machine.date, machine.hardware, machine.software);
    let is_written = selected.is_empty() && !is_quick;
    let disk = is_written.then(|| machine::measure_disk().expect("the target directory is writable"));
    database::preallocate_wal().await;
    let mut report = Report::default();
    for comparison in COMPARISONS.iter().filter(|comparison| is_selected(comparison.name)) {
        eprintln!("==> {}", comparison.name);
        report.cases.extend(comparisons::compare(comparison, config.loop_durations).await);
    }
    if is_selected(PAGES) {
        eprintln!("==> {PAGES}");
        report.cases.extend(pages::measure(config.loop_durations).await);
    }
    if is_selected(SOCKETS) {
        eprintln!("==> {SOCKETS}");
        for (sockets, duration) in config.fan_outs {
            report.fan_outs.push(fan_out::measure(sockets, duration).await);
        }
    }
    println!("\n{}", report.tables());
    if let Some(disk) = disk {
        report.write(&machine, &disk, config.loop_durations).expect("docs/ is writable");
        println!("Written to docs/benchmarks.md.");
    }
}
