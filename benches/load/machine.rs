//! The machine and the software of a run, without which its figures cannot be interpreted.

use crate::latency::Latency;
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

/// Descriptions for the head of the report.
pub(crate) struct Machine {
    /// Day in UTC, as YYYY-MM-DD.
    pub(crate) date: String,
    pub(crate) hardware: String,
    pub(crate) software: String,
}

/// The crates whose versions matter to the figures.
const CRATES: [&str; 6] = ["axum", "hyper", "leptos", "sqlx", "tokio", "tungstenite"];

/// How long the disk is measured, and the pause between two flushes.
const DISK_DURATION: Duration = Duration::from_secs(10);
const DISK_PAUSE: Duration = Duration::from_millis(1);

/// What one flush writes, and the size of the file, which is that of a WAL file of PostgreSQL.
const DISK_FLUSH_BYTES: u64 = 16 * 1024;
const DISK_FILE_BYTES: u64 = 16 * 1024 * 1024;

impl Machine {
    pub(crate) async fn inspect() -> Self {
        let url = env::var("DATABASE_URL").expect("DATABASE_URL is set; script/bench sets it");
        let mut database = PgConnection::connect(&url).await.expect("PostgreSQL accepts connections");
        let sql = "select to_char(now() at time zone 'utc', 'YYYY-MM-DD'), current_setting('server_version')";
        let (date, postgres): (String, String) =
            sqlx::query_as(sql).fetch_one(&mut database).await.expect("PostgreSQL reports its date and version");
        let rustc = Command::new("rustc").arg("--version").output().ok();
        let rustc = rustc.and_then(|output| String::from_utf8(output.stdout).ok()).unwrap_or_default();
        let rustc = rustc.split(' ').take(2).collect::<Vec<_>>().join(" ");
        let crates: Vec<_> =
            CRATES.iter().filter_map(|name| Some(format!("{name} {}", locked_version(name)?))).collect();
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
        let value = text.lines().find_map(|field| field.strip_prefix(name))?;
        Some(value.trim_start_matches([' ', '\t', ':']).trim().to_owned())
    };
    let model = field("/proc/cpuinfo", "model name").unwrap_or_else(|| env::consts::ARCH.into());
    let memory_kib = field("/proc/meminfo", "MemTotal");
    let memory_kib = memory_kib.and_then(|total| total.trim_end_matches(" kB").parse::<f64>().ok());
    let memory = memory_kib.map_or_else(String::new, |kib| format!(", {:.0} GiB of memory", kib / 1024.0 / 1024.0));
    format!("{cores} cores ({model}){memory}, shared by the server, PostgreSQL and the load generator")
}

/// Measures how long the disk of the target directory takes to flush a small write while the machine is idle; the
/// latency of a COMMIT includes such a flush.
pub(crate) fn measure_disk() -> io::Result<String> {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("disk");
    let file = File::create(&path)?;
    file.write_all_at(&vec![0; DISK_FILE_BYTES as usize], 0)?;
    file.sync_all()?;
    let (start, mut micros) = (Instant::now(), vec![]);
    while start.elapsed() < DISK_DURATION {
        let position = micros.len() as u64 * DISK_FLUSH_BYTES % DISK_FILE_BYTES;
        let flush_start = Instant::now();
        file.write_all_at(&[1; DISK_FLUSH_BYTES as usize], position)?;
        file.sync_data()?;
        micros.push(flush_start.elapsed().as_micros().try_into().unwrap_or(u32::MAX));
        thread::sleep(DISK_PAUSE);
    }
    fs::remove_file(path)?;
    let (count, slow) = (micros.len(), micros.iter().filter(|micros| **micros > 10_000).count());
    let Latency { p50, p99, max, .. } = Latency::from_micros(micros);
    Ok(format!(
        "disk, measured for {} s on the idle machine: a flush (fdatasync) of {} KiB takes {p50:.2} ms (p50), \
         {p99:.2} ms (p99), at most {max:.0} ms; {slow} of {count} took more than 10 ms",
        DISK_DURATION.as_secs(),
        DISK_FLUSH_BYTES / 1024,
    ))
}

/// The version of a crate in Cargo.lock.
fn locked_version(name: &str) -> Option<&'static str> {
    let lock = include_str!("../../Cargo.lock");
    let package =
        lock.split("[[package]]").find(|package| package.trim_start().starts_with(&format!("name = \"{name}\"\n")))?;
    package.lines().find_map(|field| field.strip_prefix("version = \"")?.strip_suffix('"'))
}
