//! HTTP/1.1 as cheap as it gets: a request is bytes that are ready to send, an answer is skimmed for its end.
//!
//! What the generator spends, the server lacks on the same machine. One request is under way on a connection at a time.

use std::{io, net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// Room for an answer of the API; a page makes it grow once.
const BUFFER_BYTES: usize = 8 * 1024;

/// How often a connection is tried again, and how long it waits in between: a server whose queue of new connections is
/// full refuses some.
const ATTEMPTS: usize = 20;
const BETWEEN_ATTEMPTS: Duration = Duration::from_millis(50);

/// A connection that is kept.
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// What came back, until the next call.
pub(crate) struct Answer<'a> {
    pub(crate) status: u16,
    head: &'a [u8],
}

impl Connection {
    pub(crate) async fn open(server: SocketAddr) -> io::Result<Self> {
        let mut attempt = 1;
        let stream = loop {
            match TcpStream::connect(server).await {
                Ok(stream) => break stream,
                Err(error) if attempt == ATTEMPTS => return Err(error),
                Err(_) => tokio::time::sleep(BETWEEN_ATTEMPTS).await,
            }
            attempt += 1;
        };
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(BUFFER_BYTES) })
    }

    /// Sends a request and reads its answer to the end.
    pub(crate) async fn call(&mut self, request: &[u8]) -> io::Result<Answer<'_>> {
        self.buffer.clear();
        self.stream.write_all(request).await?;
        let body_at = self.read_past(0, b"\r\n\r\n").await?;
        let head = &self.buffer[..body_at];
        let status = status(head).ok_or(io::ErrorKind::InvalidData)?;
        if status == 304 || status == 204 {
            // Has no body, whatever its headers say.
        } else if let Some(length) = header(head, "content-length") {
            let length: usize = length.parse().map_err(|_| io::ErrorKind::InvalidData)?;
            self.read_up_to(body_at + length).await?;
        } else {
            self.read_chunks(body_at).await?;
        }
        Ok(Answer { status, head: &self.buffer[..body_at] })
    }

    /// Reads a body that says at each piece how long it is, in hexadecimal.
    async fn read_chunks(&mut self, mut at: usize) -> io::Result<()> {
        loop {
            let chunk_at = self.read_past(at, b"\r\n").await?;
            let size = str::from_utf8(&self.buffer[at..chunk_at]).ok();
            let size = size.and_then(|size| usize::from_str_radix(size.trim(), 16).ok());
            let size = size.ok_or(io::ErrorKind::InvalidData)?;
            at = chunk_at + size + b"\r\n".len();
            self.read_up_to(at).await?;
            if size == 0 {
                return Ok(());
            }
        }
    }

    /// Reads until the mark is there, and returns where it ends.
    async fn read_past(&mut self, from: usize, mark: &[u8]) -> io::Result<usize> {
        loop {
            if let Some(at) = find(&self.buffer[from..], mark) {
                return Ok(from + at + mark.len());
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

impl Answer<'_> {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        header(self.head, name)
    }
}

/// A request without a body, from its method and path to the empty line.
pub(crate) fn write_request(into: &mut Vec<u8>, line: &str, headers: &[(&str, &str)]) {
    into.extend_from_slice(line.as_bytes());
    into.extend_from_slice(b" HTTP/1.1\r\nhost: shop.test\r\n");
    for (name, value) in headers {
        for part in [name, ": ", value, "\r\n"] {
            into.extend_from_slice(part.as_bytes());
        }
    }
    into.extend_from_slice(b"\r\n");
}

/// Where a mark is.
pub(crate) fn find(bytes: &[u8], mark: &[u8]) -> Option<usize> {
    // The first byte decides for nearly all of them, without a call.
    bytes.windows(mark.len()).position(|window| window[0] == mark[0] && window == mark)
}

fn status(head: &[u8]) -> Option<u16> {
    str::from_utf8(head.get(9..12)?).ok()?.parse().ok()
}

fn header<'a>(head: &'a [u8], name: &str) -> Option<&'a str> {
    let mut lines = str::from_utf8(head).ok()?.split("\r\n");
    lines.find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}
