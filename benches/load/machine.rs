//! What a run ran on: figures without it mean nothing.

use crate::drive::Latency;
use sqlx::{Connection, PgConnection};
use std::{
    env, fs,
    fs::File,
    io,
    os::unix::fs::FileExt,
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

/// The crates whose versions matter to the figures.
const CRATES: [&str; 6] = ["axum", "hyper", "leptos", "sqlx", "tokio", "tungstenite"];

/// What stands above the results.
pub(crate) struct Machine {
    /// Day in UTC.
    pub(crate) date: String,
    pub(crate) hardware: String,
    pub(crate) software: String,
}

/// How long the disk is asked, and how often: a COMMIT waits as long as what it asks for.
const DISK_SPAN: Duration = Duration::from_secs(10);
const DISK_PAUSE: Duration = Duration::from_millis(1);

/// What a flush writes, in a file that is as large as a segment of PostgreSQL's log.
const DISK_FLUSH_BYTES: u64 = 16 * 1024;
const DISK_FILE_BYTES: u64 = 16 * 1024 * 1024;

impl Machine {
    pub(crate) async fn look() -> Self {
        let url = env::var("DATABASE_URL").expect("DATABASE_URL is set; script/bench does it");
        let mut database = PgConnection::connect(&url).await.expect("PostgreSQL is there");
        let asked = "select to_char(now() at time zone 'utc', 'YYYY-MM-DD'), current_setting('server_version')";
        let (date, postgres): (String, String) =
            sqlx::query_as(asked).fetch_one(&mut database).await.expect("PostgreSQL has a clock and a version");
        let rustc = Command::new("rustc").arg("--version").output().ok();
        let rustc = rustc.and_then(|output| String::from_utf8(output.stdout).ok()).unwrap_or_default();
        let rustc = rustc.split(' ').take(2).collect::<Vec<_>>().join(" ");
        let crates: Vec<_> = CRATES.iter().filter_map(|name| Some(format!("{name} {}", locked(name)?))).collect();
        Self {
            date,
            hardware: hardware(),
            software: format!("{}, {}, PostgreSQL {postgres}, {}", env::consts::OS, rustc.trim(), crates.join(", ")),
        }
    }
}

fn hardware() -> String {
    let cores = thread::available_parallelism().map_or(0, usize::from);
    let field = |path: &str, name: &str| {
        let text = fs::read_to_string(path).ok()?;
        let value = text.lines().find_map(|line| line.strip_prefix(name))?;
        Some(value.trim_start_matches([' ', '\t', ':']).trim().to_owned())
    };
    let model = field("/proc/cpuinfo", "model name").unwrap_or_else(|| env::consts::ARCH.into());
    let memory = field("/proc/meminfo", "MemTotal").and_then(|total| total.trim_end_matches(" kB").parse::<f64>().ok());
    let memory = memory.map_or_else(String::new, |kib| format!(", {:.0} GiB of memory", kib / 1024.0 / 1024.0));
    format!("{cores} cores ({model}){memory}, shared by the server, PostgreSQL and the load generator")
}

/// How long the disk of the target directory takes to keep what is written, with nothing else to do.
pub(crate) fn disk() -> io::Result<String> {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("disk");
    let file = File::create(&path)?;
    file.write_all_at(&vec![0; DISK_FILE_BYTES as usize], 0)?;
    file.sync_all()?;
    let (start, mut micros) = (Instant::now(), vec![]);
    while start.elapsed() < DISK_SPAN {
        let at = micros.len() as u64 * DISK_FLUSH_BYTES % DISK_FILE_BYTES;
        let asked = Instant::now();
        file.write_all_at(&[1; DISK_FLUSH_BYTES as usize], at)?;
        file.sync_data()?;
        micros.push(asked.elapsed().as_micros().try_into().unwrap_or(u32::MAX));
        thread::sleep(DISK_PAUSE);
    }
    fs::remove_file(path)?;
    let (count, long) = (micros.len(), micros.iter().filter(|micros| **micros > 10_000).count());
    let Latency { p50, p99, most, .. } = Latency::of(micros);
    Ok(format!(
        "disk: {} KiB kept (fdatasync) in {p50:.2} ms (p50), {p99:.2} ms (p99), at most {most:.0} ms; {long} of {count} in \
         {} s took more than 10 ms, the machine being idle",
        DISK_FLUSH_BYTES / 1024,
        DISK_SPAN.as_secs()
    ))
}

/// The version of a crate in Cargo.lock.
fn locked(name: &str) -> Option<&'static str> {
    let lock = include_str!("../../Cargo.lock");
    let entry =
        lock.split("[[package]]").find(|entry| entry.trim_start().starts_with(&format!("name = \"{name}\"\n")))?;
    entry.lines().find_map(|line| line.strip_prefix("version = \"")?.strip_suffix('"'))
}
