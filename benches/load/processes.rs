//! Processor time and memory of the processes of a measurement, read from /proc; unknown on systems without it.
//!
//! Hand-written: it reads two files, and `sysinfo` would be one more dependency for them.

use std::{fs, time::Instant};

/// The processes of a measurement. The client is this process.
#[derive(Clone, Copy)]
pub(crate) struct Processes {
    server_pid: u32,
    /// The parent of all PostgreSQL processes, if PostgreSQL runs on this machine.
    postmaster_pid: Option<u32>,
}

/// Processor time used so far, in seconds.
pub(crate) struct CpuSample {
    at: Instant,
    client: Option<f64>,
    server: Option<f64>,
    database: Option<f64>,
}

/// Average number of cores in use between two samples.
#[derive(Clone, Copy)]
pub(crate) struct CoresUsed {
    pub(crate) client: Option<f64>,
    pub(crate) server: Option<f64>,
    pub(crate) database: Option<f64>,
}

impl Processes {
    /// `backend_pid` is that of any connection, from `pg_backend_pid()`.
    pub(crate) fn new(server_pid: u32, backend_pid: i32) -> Self {
        let backend = u32::try_from(backend_pid).ok().and_then(Stat::read);
        let backend = backend.filter(|backend| backend.name.starts_with("postgres"));
        Self { server_pid, postmaster_pid: backend.map(|backend| backend.parent_pid) }
    }

    pub(crate) fn sample(&self) -> CpuSample {
        CpuSample {
            at: Instant::now(),
            client: Stat::read(std::process::id()).map(|stat| stat.seconds),
            server: Stat::read(self.server_pid).map(|stat| stat.seconds),
            database: self.postmaster_pid.and_then(database_seconds),
        }
    }

    /// Resident memory of the server.
    pub(crate) fn server_memory_bytes(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.server_pid)).ok()?;
        let kib = status.lines().find_map(|field| field.strip_prefix("VmRSS:"))?;
        Some(kib.trim().trim_end_matches(" kB").parse::<u64>().ok()? * 1024)
    }
}

impl CoresUsed {
    pub(crate) fn between((before, after): &(CpuSample, CpuSample)) -> Self {
        let seconds = (after.at - before.at).as_secs_f64();
        let cores = |before: Option<f64>, after: Option<f64>| Some((after? - before?) / seconds);
        Self {
            client: cores(before.client, after.client),
            server: cores(before.server, after.server),
            database: cores(before.database, after.database),
        }
    }
}

/// Processor time of the postmaster, of its children, and of the children that have ended.
fn database_seconds(postmaster_pid: u32) -> Option<f64> {
    let postmaster = Stat::read(postmaster_pid)?;
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let children = processes.filter_map(|entry| Stat::read(entry.file_name().to_str()?.parse().ok()?));
    let children = children.filter(|process| process.parent_pid == postmaster_pid);
    let children_seconds: f64 = children.map(|child| child.seconds).sum();
    Some(postmaster.seconds + postmaster.ended_children_seconds + children_seconds)
}

/// The used fields of /proc/PID/stat, as in proc(5).
struct Stat {
    name: String,
    parent_pid: u32,
    seconds: f64,
    ended_children_seconds: f64,
}

/// The unit of the times in /proc/PID/stat: 1/100 s on every Linux, whatever the kernel's own tick.
const TICKS_PER_SECOND: f64 = 100.0;

impl Stat {
    fn read(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name is in parentheses and may itself contain some.
        let (name, rest) = stat.rsplit_once(") ")?;
        let fields: Vec<&str> = rest.split(' ').collect();
        let seconds = |field: usize| Some(fields.get(field)?.parse::<f64>().ok()? / TICKS_PER_SECOND);
        Some(Self {
            name: name.split_once('(')?.1.to_owned(),
            parent_pid: fields.get(1)?.parse().ok()?,
            seconds: seconds(11)? + seconds(12)?,
            ended_children_seconds: seconds(13)? + seconds(14)?,
        })
    }
}
