//! A TCP proxy in front of the database that forwards every byte half a round trip later, in both directions, without a
//! limit on bytes in flight.
//!
//! Hand-written: `tc netem` needs root, and toxiproxy is a program that would have to be installed.

use sqlx::postgres::PgConnectOptions;
use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

/// Starts a proxy that runs until the process ends; returns `database` with the proxy's address.
///
/// Each direction of a connection has a thread that reads and one that writes when the bytes are due: a thread's sleep
/// is accurate to some 60 µs, tokio's timers only to a millisecond.
pub(crate) fn start(database: &PgConnectOptions, round_trip: Duration) -> io::Result<PgConnectOptions> {
    let upstream = (database.get_host().to_owned(), database.get_port());
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address: SocketAddr = listener.local_addr()?;
    thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            // If connecting fails, the client's connection is closed, as if the database were down.
            let _ = TcpStream::connect(&upstream).and_then(|server| connect(client, server, round_trip / 2));
        }
    });
    Ok(database.clone().host(&address.ip().to_string()).port(address.port()))
}

/// The most that one read returns.
const CHUNK_BYTES: usize = 64 * 1024;

fn connect(client: TcpStream, server: TcpStream, delay: Duration) -> io::Result<()> {
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    forward(client.try_clone()?, server.try_clone()?, delay);
    forward(server, client, delay);
    Ok(())
}

/// Forwards one direction until its source ends, then shuts the destination down.
fn forward(mut source: TcpStream, mut destination: TcpStream, delay: Duration) {
    let (sender, receiver) = mpsc::channel::<(Instant, Vec<u8>)>();
    thread::spawn(move || {
        let mut chunk = vec![0; CHUNK_BYTES];
        while let Ok(length @ 1..) = source.read(&mut chunk) {
            if sender.send((Instant::now() + delay, chunk[..length].to_vec())).is_err() {
                return;
            }
        }
    });
    thread::spawn(move || {
        for (due, bytes) in receiver {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            if destination.write_all(&bytes).is_err() {
                break;
            }
        }
        let _ = destination.shutdown(Shutdown::Both);
    });
}
