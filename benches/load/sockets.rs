//! The fan-out: sockets by the thousand, stock that changes all the time, and when the last of them knows.
//!
//! One guest reserves a pair and gives it back, in turn, so that each change is one version of the drop. What is
//! measured runs from the moment at which a change was due to be sent to the moment at which the last socket has read
//! that version or a later one. It contains the request, its transaction and the wait for the flush, and is thus an
//! upper bound of the time from COMMIT to the last socket.

use crate::{
    books::{Books, Promised},
    client::{Connection, find, write_request},
    cpu::Cores,
    drive::Latency,
    shop::{Database, Server},
};
use futures_util::{StreamExt, stream};
use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    task::JoinSet,
    time::{Instant, sleep, sleep_until},
};

/// Time between two changes.
const CHANGE_INTERVAL: Duration = Duration::from_millis(100);

/// How long the last change may take to arrive everywhere before it counts as missed.
const ARRIVAL: Duration = Duration::from_secs(5);

/// Sockets that are opened at once.
const OPENING: usize = 64;

/// Sockets of one source address; each has some 28,000 ports.
const SOCKETS_PER_ADDRESS: usize = 2_000;

/// Room for a frame about stock; the first snapshot makes it grow.
const BUFFER_BYTES: usize = 1024;

/// The target, from so many sockets on: flush to last socket, and server memory of a socket.
pub(crate) const TARGET_SOCKETS: usize = 10_000;
pub(crate) const MOST_P99_MS: f64 = 150.0;
pub(crate) const MOST_BYTES: f64 = 8.0 * 1024.0;

/// One line of the results.
pub(crate) struct FanOut {
    pub(crate) sockets: usize,
    pub(crate) changes: usize,
    /// From when a change was due to its answer.
    pub(crate) answered: Latency,
    /// From when a change was due to the last socket.
    pub(crate) last: Latency,
    /// Changes that did not reach every socket in time.
    pub(crate) missed: usize,
    /// Sockets that ended on what the database has.
    pub(crate) right: usize,
    pub(crate) bytes_per_flush: f64,
    pub(crate) memory_per_socket: Option<f64>,
    pub(crate) cores: Cores,
}

/// Connects so many sockets and changes stock for so long.
pub(crate) async fn fan_out(sockets: usize, lasting: Duration) -> FanOut {
    let database = Database::create().await;
    let guest = database.crowd(1).await.pop().expect("one guest");
    database.settle().await;
    let server = Server::start(&database, &database.options, &["--seed"]).await;
    let books = Books::open(&database.pool).await;
    let stock = "select id, version, (select sum(available_stock) from drop_sizes where drop_id = drops.id)
                 from drops where limit_per_user is null and starts_at <= now() order by id limit 1";
    let stored = || async {
        let row: (i64, i64, i64) = sqlx::query_as(stock).fetch_one(&database.pool).await.expect("there are samples");
        row
    };
    let (drop_id, version, _) = stored().await;
    let request = |line: String| {
        let mut bytes = vec![];
        write_request(&mut bytes, &line, &[("authorization", &guest.bearer), ("content-length", "0")]);
        bytes
    };
    let reserve = request(format!("POST /api/drops/{drop_id}/reserve"));
    let release = request(format!("DELETE /api/drops/{drop_id}/reservation"));
    let mut buyer = Connection::open(server.address).await.expect("the server takes connections");

    let memory_before = server.processes.server_memory();
    eprintln!("    {sockets} sockets: connecting");
    let changes = (lasting.as_millis() / CHANGE_INTERVAL.as_millis()) as usize;
    let watch = Arc::new(Watch::new(drop_id, version, changes, sockets));
    let opened: Vec<_> = stream::iter(0..sockets)
        .map(|index| async move {
            let socket = Socket::open(server.address, index).await;
            socket.unwrap_or_else(|error| panic!("socket {index} of {sockets}: {error}; is ulimit -n high enough?"))
        })
        .buffer_unordered(OPENING)
        .collect()
        .await;
    let mut listeners = JoinSet::new();
    for socket in opened {
        listeners.spawn(socket.listen(watch.clone()));
    }
    // The snapshots are read before anything is counted.
    sleep(Duration::from_secs(1)).await;

    eprintln!("    {sockets} sockets: {changes} changes of stock, one each {} ms", CHANGE_INTERVAL.as_millis());
    let bytes_before = watch.bytes.load(Relaxed);
    let before = server.processes.sample();
    let start = Instant::now();
    let mut answered = vec![];
    let mut promised = Promised::default();
    for change in 0..changes {
        let due = start + CHANGE_INTERVAL * change as u32;
        sleep_until(due).await;
        let (request, expected) = if change % 2 == 0 { (&reserve, 201) } else { (&release, 200) };
        let status = buyer.call(request).await.expect("the server answers").status;
        assert_eq!(status, expected, "every second request takes a pair, the others give it back");
        answered.push(micros(due.elapsed()));
        promised.reservations += i64::from(status == 201);
    }
    let after = server.processes.sample();
    let everywhere = |flush: &Flush| flush.sockets.load(Relaxed) == sockets;
    let deadline = Instant::now() + ARRIVAL;
    while !watch.flushes.iter().all(everywhere) && Instant::now() < deadline {
        sleep(Duration::from_millis(10)).await;
    }
    let bytes = watch.bytes.load(Relaxed) - bytes_before;
    let memory = server.processes.server_memory();

    let (_, version, stock) = stored().await;
    assert_eq!(version, watch.version + changes as i64, "each change is one version, and nobody else changed anything");
    let is_right = |seen: &&Seen| (seen.version.load(Relaxed), seen.stock.load(Relaxed)) == (version, stock);
    let lasts = watch.flushes.iter().enumerate().filter(|(_, flush)| everywhere(flush)).map(|(change, flush)| {
        let due = start + CHANGE_INTERVAL * change as u32;
        let last = watch.epoch + Duration::from_nanos(flush.last_ns.load(Relaxed));
        micros(last.saturating_duration_since(due))
    });
    let lasts: Vec<u32> = lasts.collect();
    let result = FanOut {
        sockets,
        changes,
        answered: Latency::of(answered),
        missed: changes - lasts.len(),
        last: Latency::of(lasts),
        right: watch.seen.iter().filter(is_right).count(),
        bytes_per_flush: bytes as f64 / (sockets * changes) as f64,
        memory_per_socket: memory_before.zip(memory).map(|(before, now)| (now as f64 - before as f64) / sockets as f64),
        cores: Cores::between(&(before, after)),
    };
    eprintln!("      last socket p50 {:.1} ms, p99 {:.1} ms", result.last.p50, result.last.p99);
    listeners.shutdown().await;
    drop(server);
    books.close(&database.pool, promised).await;
    database.drop().await;
    result
}

fn micros(duration: Duration) -> u32 {
    duration.as_micros().try_into().unwrap_or(u32::MAX)
}

/// What all sockets write down together.
struct Watch {
    /// The bytes that name the drop in a frame.
    drop_mark: Vec<u8>,
    /// Before the first change.
    version: i64,
    epoch: Instant,
    flushes: Vec<Flush>,
    seen: Vec<Seen>,
    bytes: AtomicU64,
}

/// One change on its way.
#[derive(Default)]
struct Flush {
    /// How many know of it.
    sockets: AtomicUsize,
    /// When the latest of them did, since the watch began.
    last_ns: AtomicU64,
}

/// What one socket shows.
struct Seen {
    version: AtomicI64,
    stock: AtomicI64,
}

impl Watch {
    fn new(drop_id: i64, version: i64, changes: usize, sockets: usize) -> Self {
        let seen = || Seen { version: AtomicI64::new(version), stock: AtomicI64::new(-1) };
        Self {
            drop_mark: format!("\"dropId\":{drop_id},").into_bytes(),
            version,
            epoch: Instant::now(),
            flushes: (0..changes).map(|_| Flush::default()).collect(),
            seen: (0..sockets).map(|_| seen()).collect(),
            bytes: AtomicU64::new(0),
        }
    }

    /// Takes in what a frame says of our drop: two numbers are searched for. A snapshot comes in parts and is left alone;
    /// a socket that fell behind is right again with the change after it.
    fn read(&self, index: usize, text: &[u8]) {
        if text.starts_with(b"{\"type\":\"stockUpdated\"")
            && find(text, &self.drop_mark).is_some()
            && let Some(version) = number_after(text, b"\"version\":")
            && let Some(stock) = number_after(text, b"\"newStock\":")
        {
            self.note(index, version, stock);
        }
    }

    fn note(&self, index: usize, version: i64, stock: i64) {
        let seen = &self.seen[index];
        let before = seen.version.load(Relaxed);
        if version < before {
            return;
        }
        seen.version.store(version, Relaxed);
        seen.stock.store(stock, Relaxed);
        let now_ns = self.epoch.elapsed().as_nanos() as u64;
        for passed in before..version {
            // The change after this version is the one that makes the next.
            if let Some(flush) = self.flushes.get((passed - self.version) as usize) {
                flush.last_ns.fetch_max(now_ns, Relaxed);
                flush.sockets.fetch_add(1, Relaxed);
            }
        }
    }
}

fn number_after(text: &[u8], mark: &[u8]) -> Option<i64> {
    let rest = &text[find(text, mark)? + mark.len()..];
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    str::from_utf8(&rest[..digits]).ok()?.parse().ok()
}

/// A socket that only listens. The frames of a server are short and not masked, so that they can be read where they lie.
struct Socket {
    index: usize,
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// The answer to a ping; a client's frames are masked, and this one has nothing to mask.
const PONG: [u8; 6] = [0x8A, 0x80, 0, 0, 0, 0];

impl Socket {
    async fn open(server: SocketAddr, index: usize) -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        // The whole of 127/8 is this machine on Linux, and only there.
        if cfg!(target_os = "linux") {
            let host = 2 + (index / SOCKETS_PER_ADDRESS) as u8;
            socket.bind((Ipv4Addr::new(127, 0, 0, host), 0).into())?;
        }
        let mut stream = socket.connect(server).await?;
        let mut request = vec![];
        let headers = [
            ("connection", "upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "MTIzNDU2Nzg5MDEyMzQ1Ng=="),
        ];
        write_request(&mut request, "GET /ws", &headers);
        stream.write_all(&request).await?;
        let mut buffer = Vec::with_capacity(BUFFER_BYTES);
        loop {
            if stream.read_buf(&mut buffer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if let Some(end) = find(&buffer, b"\r\n\r\n") {
                if !buffer.starts_with(b"HTTP/1.1 101") {
                    return Err(io::Error::other(String::from_utf8_lossy(&buffer[..end])));
                }
                buffer.drain(..end + 4);
                return Ok(Self { index, stream, buffer });
            }
        }
    }

    /// Reads until the server closes; the socket then keeps what it saw last.
    async fn listen(mut self, watch: Arc<Watch>) {
        loop {
            let mut read = 0;
            let mut is_pinged = false;
            while let Some((opcode, from, to)) = frame(&self.buffer[read..]) {
                match opcode {
                    0x1 => watch.read(self.index, &self.buffer[read + from..read + to]),
                    0x9 => is_pinged = true,
                    _ => {}
                }
                read += to;
            }
            self.buffer.drain(..read);
            if is_pinged && self.stream.write_all(&PONG).await.is_err() {
                return;
            }
            match self.stream.read_buf(&mut self.buffer).await {
                Ok(bytes @ 1..) => watch.bytes.fetch_add(bytes as u64, Relaxed),
                Ok(0) | Err(_) => return,
            };
        }
    }
}

/// The first frame if it is whole: its opcode, and where its content begins and ends.
fn frame(bytes: &[u8]) -> Option<(u8, usize, usize)> {
    let (from, length) = match *bytes.get(1)? {
        126 => (4, u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?).into()),
        127 => (10, u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?) as usize),
        length => (2, length.into()),
    };
    (bytes.len() >= from + length).then_some((bytes[0] & 0x0F, from, from + length))
}
