//! A minimal HTTP/1.1 client: requests are prepared bytes, and of a response only the status and the length are parsed.
//!
//! Hand-written, because processor time that the load generator spends is missing from the server on the same machine:
//! a general client (hyper, reqwest) parses and allocates more for each response, a separate program (wrk, oha) would
//! have to be installed and would need a different token for each request. What either costs has not been measured.

use std::{io, net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// A keep-alive connection with at most one request in flight.
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// Borrows the connection's buffer until the next call.
pub(crate) struct Response<'a> {
    pub(crate) status: u16,
    head: &'a [u8],
}

/// Initial size, enough for a response of the API; a page makes the buffer grow once.
const BUFFER_BYTES: usize = 8 * 1024;

/// Attempts to connect, and the pause in between: a server refuses connections while its accept queue is full.
const CONNECT_ATTEMPTS: usize = 20;
const CONNECT_RETRY_PAUSE: Duration = Duration::from_millis(50);

impl Connection {
    pub(crate) async fn open(server: SocketAddr) -> io::Result<Self> {
        let mut attempt = 1;
        let stream = loop {
            match TcpStream::connect(server).await {
                Ok(stream) => break stream,
                Err(error) if attempt == CONNECT_ATTEMPTS => return Err(error),
                Err(_) => tokio::time::sleep(CONNECT_RETRY_PAUSE).await,
            }
            attempt += 1;
        };
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(BUFFER_BYTES) })
    }

    /// Sends a request and reads the whole response.
    pub(crate) async fn call(&mut self, request: &[u8]) -> io::Result<Response<'_>> {
        self.buffer.clear();
        self.stream.write_all(request).await?;
        let body_start = self.read_past(0, b"\r\n\r\n").await?;
        let head = &self.buffer[..body_start];
        let status = status(head).ok_or(io::ErrorKind::InvalidData)?;
        if status == 304 || status == 204 {
            // These have no body, whatever their headers declare.
        } else if let Some(length) = header(head, "content-length") {
            let length: usize = length.parse().map_err(|_| io::ErrorKind::InvalidData)?;
            self.read_up_to(body_start + length).await?;
        } else {
            self.read_chunks(body_start).await?;
        }
        Ok(Response { status, head: &self.buffer[..body_start] })
    }

    /// Reads a chunked body: each chunk is preceded by its size in hexadecimal, and the last one is empty.
    async fn read_chunks(&mut self, mut position: usize) -> io::Result<()> {
        loop {
            let chunk_start = self.read_past(position, b"\r\n").await?;
            let size = str::from_utf8(&self.buffer[position..chunk_start]).ok();
            let size = size.and_then(|size| usize::from_str_radix(size.trim(), 16).ok());
            let size = size.ok_or(io::ErrorKind::InvalidData)?;
            position = chunk_start + size + b"\r\n".len();
            self.read_up_to(position).await?;
            if size == 0 {
                return Ok(());
            }
        }
    }

    /// Reads until the buffer contains the pattern at or after `from`, and returns the position after the pattern.
    async fn read_past(&mut self, from: usize, pattern: &[u8]) -> io::Result<usize> {
        loop {
            if let Some(offset) = find_bytes(&self.buffer[from..], pattern) {
                return Ok(from + offset + pattern.len());
            }
            self.read().await?;
        }
    }

    async fn read_up_to(&mut self, end: usize) -> io::Result<()> {
        while self.buffer.len() < end {
            self.read().await?;
        }
        Ok(())
    }

    async fn read(&mut self) -> io::Result<()> {
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

impl Response<'_> {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        header(self.head, name)
    }
}

/// Appends a request without a body. `request_line` is the method and the path.
pub(crate) fn write_request(buffer: &mut Vec<u8>, request_line: &str, headers: &[(&str, &str)]) {
    buffer.extend_from_slice(request_line.as_bytes());
    buffer.extend_from_slice(b" HTTP/1.1\r\nhost: shop.test\r\n");
    for (name, value) in headers {
        for part in [name, ": ", value, "\r\n"] {
            buffer.extend_from_slice(part.as_bytes());
        }
    }
    buffer.extend_from_slice(b"\r\n");
}

/// The position of the first occurrence of a pattern.
pub(crate) fn find_bytes(bytes: &[u8], pattern: &[u8]) -> Option<usize> {
    // The comparison of the first byte avoids a call of memcmp at nearly every position.
    bytes.windows(pattern.len()).position(|window| window[0] == pattern[0] && window == pattern)
}

fn status(head: &[u8]) -> Option<u16> {
    str::from_utf8(head.get(9..12)?).ok()?.parse().ok()
}

fn header<'a>(head: &'a [u8], name: &str) -> Option<&'a str> {
    let mut fields = str::from_utf8(head).ok()?.split("\r\n");
    fields.find_map(|field| {
        let (key, value) = field.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}
