//! A WebSocket client that only receives.
//!
//! Hand-written, because a server's frames are short and not masked and can be read in the buffer where they arrive.
//! `tokio-tungstenite` copies each into a message, has a read buffer of 128 KiB per socket by default, and spends more
//! processor time, which is then missing from the server; how much has not been measured.

use crate::{
    arrivals::Arrivals,
    client::{find_bytes, write_request},
};
use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};

pub(crate) struct WebSocket {
    index: usize,
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// How many sockets share a source address; each address has some 28,000 ephemeral ports.
const SOCKETS_PER_ADDRESS: usize = 2_000;

/// Initial size, enough for stock events; the first snapshot makes the buffer grow.
const BUFFER_BYTES: usize = 1024;

const TEXT: u8 = 0x1;
const PING: u8 = 0x9;

/// A final pong frame without a payload. A client's frames must be masked; the key of this one is zero.
const PONG_FRAME: [u8; 6] = [0x8A, 0x80, 0, 0, 0, 0];

impl WebSocket {
    /// Connects and upgrades. `index` is the socket's number within a measurement and selects its source address.
    pub(crate) async fn open(server: SocketAddr, index: usize) -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        // Only Linux treats all of 127.0.0.0/8 as the loopback interface.
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
            if let Some(end) = find_bytes(&buffer, b"\r\n\r\n") {
                if !buffer.starts_with(b"HTTP/1.1 101") {
                    return Err(io::Error::other(String::from_utf8_lossy(&buffer[..end])));
                }
                buffer.drain(..end + 4);
                return Ok(Self { index, stream, buffer });
            }
        }
    }

    /// Records what is received, and answers pings, until the connection is closed.
    pub(crate) async fn receive(mut self, arrivals: Arc<Arrivals>) {
        loop {
            let mut position = 0;
            let mut is_pinged = false;
            while let Some((opcode, start, end)) = parse_frame(&self.buffer[position..]) {
                match opcode {
                    TEXT => arrivals.record_event(self.index, &self.buffer[position + start..position + end]),
                    PING => is_pinged = true,
                    _ => {}
                }
                position += end;
            }
            self.buffer.drain(..position);
            if is_pinged && self.stream.write_all(&PONG_FRAME).await.is_err() {
                return;
            }
            match self.stream.read_buf(&mut self.buffer).await {
                Ok(bytes @ 1..) => arrivals.record_bytes(bytes),
                Ok(0) | Err(_) => return,
            };
        }
    }
}

/// The opcode of the first frame and the start and end of its payload; `None` while the frame is incomplete.
fn parse_frame(bytes: &[u8]) -> Option<(u8, usize, usize)> {
    let (start, length) = match *bytes.get(1)? {
        126 => (4, u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?).into()),
        127 => (10, u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?) as usize),
        length => (2, length.into()),
    };
    (bytes.len() >= start + length).then_some((bytes[0] & 0x0F, start, start + length))
}
