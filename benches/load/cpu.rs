//! What each side of a measurement costs the machine, read from /proc; where there is none, nothing is known.

use std::{fs, time::Instant};

/// What the kernel counts processor time in; 100 a second on every Linux, whatever its own tick.
const TICKS_A_SECOND: f64 = 100.0;

/// The processes of a measurement. The client is this one.
#[derive(Clone, Copy)]
pub(crate) struct Processes {
    pub(crate) server: u32,
    /// The first process of PostgreSQL, whose children serve its connections, when it is on this machine.
    postmaster: Option<u32>,
}

/// Processor time spent so far, in seconds.
pub(crate) struct Sample {
    at: Instant,
    client: Option<f64>,
    server: Option<f64>,
    database: Option<f64>,
}

/// How many cores each side kept busy.
#[derive(Clone, Copy, Default)]
pub(crate) struct Cores {
    pub(crate) client: Option<f64>,
    pub(crate) server: Option<f64>,
    pub(crate) database: Option<f64>,
}

impl Processes {
    /// `backend` is the process number of one connection, as PostgreSQL says it.
    pub(crate) fn new(server: u32, backend: i32) -> Self {
        let backend = u32::try_from(backend).ok().and_then(Stat::read);
        let postmaster = backend.filter(|backend| backend.name.starts_with("postgres")).map(|backend| backend.parent);
        Self { server, postmaster }
    }

    pub(crate) fn sample(&self) -> Sample {
        Sample {
            at: Instant::now(),
            client: Stat::read(std::process::id()).map(|stat| stat.seconds),
            server: Stat::read(self.server).map(|stat| stat.seconds),
            database: self.postmaster.and_then(seconds_of_cluster),
        }
    }

    /// Memory of the server that is in use, in bytes.
    pub(crate) fn server_memory(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.server)).ok()?;
        let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        Some(kib.trim().trim_end_matches(" kB").parse::<u64>().ok()? * 1024)
    }
}

impl Cores {
    pub(crate) fn between((before, after): &(Sample, Sample)) -> Self {
        let seconds = (after.at - before.at).as_secs_f64();
        let cores = |before: Option<f64>, after: Option<f64>| Some((after? - before?) / seconds);
        Self {
            client: cores(before.client, after.client),
            server: cores(before.server, after.server),
            database: cores(before.database, after.database),
        }
    }
}

/// The first process, its children, and what children that have ended had spent.
fn seconds_of_cluster(postmaster: u32) -> Option<f64> {
    let first = Stat::read(postmaster)?;
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let children = processes.filter_map(|entry| Stat::read(entry.file_name().to_str()?.parse().ok()?));
    let children = children.filter(|process| process.parent == postmaster);
    Some(first.seconds + first.seconds_of_ended_children + children.map(|child| child.seconds).sum::<f64>())
}

struct Stat {
    name: String,
    parent: u32,
    seconds: f64,
    seconds_of_ended_children: f64,
}

impl Stat {
    fn read(process: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
        // The name stands in parentheses and may have some itself.
        let (name, rest) = stat.rsplit_once(") ")?;
        let fields: Vec<&str> = rest.split(' ').collect();
        let seconds = |field: usize| Some(fields.get(field)?.parse::<f64>().ok()? / TICKS_A_SECOND);
        Some(Self {
            name: name.split_once('(')?.1.to_owned(),
            parent: fields.get(1)?.parse().ok()?,
            seconds: seconds(11)? + seconds(12)?,
            seconds_of_ended_children: seconds(13)? + seconds(14)?,
        })
    }
}
