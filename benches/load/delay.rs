//! A longer way to the database: passes on every byte half a round trip later, and any number of them at once.

use sqlx::postgres::PgConnectOptions;
use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

/// What one read takes at most.
const CHUNK_BYTES: usize = 64 * 1024;

/// Listens in front of the database until the process ends; returns the options of `database` by way of it.
///
/// Each direction of a connection has two threads, one that reads and one that writes when it is time: a thread sleeps
/// to within some 60 µs, tokio's timers to within a millisecond.
pub(crate) fn delayed(database: &PgConnectOptions, round_trip: Duration) -> io::Result<PgConnectOptions> {
    let upstream = (database.get_host().to_owned(), database.get_port());
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address: SocketAddr = listener.local_addr()?;
    thread::spawn(move || {
        for near in listener.incoming().map_while(Result::ok) {
            // A connection that fails is closed, which is what its owner would see of a database that is away.
            let _ = TcpStream::connect(&upstream).and_then(|far| join(near, far, round_trip / 2));
        }
    });
    Ok(database.clone().host(&address.ip().to_string()).port(address.port()))
}

fn join(near: TcpStream, far: TcpStream, delay: Duration) -> io::Result<()> {
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    pass(near.try_clone()?, far.try_clone()?, delay);
    pass(far, near, delay);
    Ok(())
}

/// Passes on what comes from one side, and in the end that it is the end.
fn pass(mut from: TcpStream, mut to: TcpStream, delay: Duration) {
    let (sender, receiver) = mpsc::channel::<(Instant, Vec<u8>)>();
    thread::spawn(move || {
        let mut chunk = vec![0; CHUNK_BYTES];
        while let Ok(length @ 1..) = from.read(&mut chunk) {
            if sender.send((Instant::now() + delay, chunk[..length].to_vec())).is_err() {
                return;
            }
        }
    });
    thread::spawn(move || {
        for (due, bytes) in receiver {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            if to.write_all(&bytes).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
    });
}
