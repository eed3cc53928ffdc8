//! Load on the real server: what it grants, refuses, sells and shows a second, and how long people wait.
//!
//! `script/bench` brings what this needs and runs all of it, or the cases that it names. Each case measures, prints what
//! it found, and then holds the database to its invariants; a broken one ends the run.

mod books;
mod cases;
mod chart;
mod client;
mod cpu;
mod delay;
mod drive;
mod machine;
mod report;
mod shop;
mod sockets;

use cases::CONTESTS;
use drive::Spans;
use machine::Machine;
use report::Report;
use std::{env, process::ExitCode, thread, time::Duration};
use tokio::runtime::Builder;

/// What a run is made of.
struct Course {
    spans: Spans,
    /// How many sockets, and how long stock changes for them.
    sockets: [(usize, Duration); 2],
}

const FULL: Course = Course {
    spans: Spans { warm_up: Duration::from_secs(1), measured: Duration::from_secs(5) },
    sockets: [(1_000, Duration::from_secs(10)), (10_000, Duration::from_secs(20))],
};

/// Only shows that everything works.
const QUICK: Course = Course {
    spans: Spans { warm_up: Duration::from_millis(300), measured: Duration::from_secs(1) },
    sockets: [(100, Duration::from_secs(2)), (1_000, Duration::from_secs(2))],
};

const PAGES: &str = "pages";
const SOCKETS: &str = "sockets";

fn main() -> ExitCode {
    let known: Vec<&str> = CONTESTS.iter().map(|contest| contest.name).chain([PAGES, SOCKETS]).collect();
    let mut named = vec![];
    let mut is_quick = false;
    for argument in env::args().skip(1) {
        match argument.as_str() {
            // Cargo's own.
            "--bench" => {}
            "--quick" => is_quick = true,
            name if known.contains(&name) => named.push(name.to_owned()),
            other => {
                eprintln!("load: {other} is not --quick and not one of {}", known.join(", "));
                return ExitCode::from(2);
            }
        }
    }
    // One thread drives some 50,000 requests a second, and leaves the rest of a small machine to the server.
    let threads = thread::available_parallelism().map_or(1, |cores| cores.get() / 4).max(1);
    let runtime = Builder::new_multi_thread().worker_threads(threads).enable_all().build().expect("threads start");
    runtime.block_on(run(if is_quick { QUICK } else { FULL }, &named, is_quick));
    ExitCode::SUCCESS
}

/// Runs the named cases, or all of them. Only a whole run is written down.
async fn run(course: Course, named: &[String], is_quick: bool) {
    let is_wanted = |name: &str| named.is_empty() || named.iter().any(|wanted| wanted == name);
    let machine = Machine::look().await;
    eprintln!("{}, {}\n{}", machine.date, machine.hardware, machine.software);
    let is_whole = named.is_empty() && !is_quick;
    let disk = is_whole.then(|| machine::disk().expect("the target directory takes a file"));
    shop::make_room_in_log().await;
    let mut report = Report::default();
    for contest in CONTESTS.iter().filter(|contest| is_wanted(contest.name)) {
        eprintln!("==> {}", contest.name);
        report.rows.extend(cases::contest(contest, course.spans).await);
    }
    if is_wanted(PAGES) {
        eprintln!("==> {PAGES}");
        report.rows.extend(cases::pages(course.spans).await);
    }
    if is_wanted(SOCKETS) {
        eprintln!("==> {SOCKETS}");
        for (sockets, lasting) in course.sockets {
            report.fan_outs.push(sockets::fan_out(sockets, lasting).await);
        }
    }
    println!("\n{}", report.tables());
    if let Some(disk) = disk {
        report.write(&machine, &disk, course.spans).expect("docs can be written");
        println!("Written to docs/benchmarks.md.");
    }
}
