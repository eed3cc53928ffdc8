//! A WebSocket after its handshake: it decodes what the client sends, and answers pings and closes.
//!
//! Written on tungstenite's protocol and not on axum's `WebSocket`, which wakes a task for each frame: with it the server kept
//! 1.11 cores busy instead of 0.64 for 10,000 sockets, and a socket had 6.7 KiB of memory instead of 3.3 (docs/profile.md).

use super::connection::Connection;
use axum::body::Bytes;
use std::{
    io::{self, ErrorKind, Read, Write},
    sync::Arc,
};
use tokio::net::TcpStream;
use tungstenite::{
    Error, Message, Utf8Bytes,
    error::ProtocolError,
    protocol::{
        CloseFrame, Role, WebSocketConfig, WebSocketContext,
        frame::{Frame as WireFrame, coding::CloseCode},
    },
};

pub(super) struct WebSocket {
    pub(super) connection: Arc<Connection>,
    protocol: WebSocketContext,
}

/// The socket is closed, or must be.
pub(super) struct Closed;

impl From<io::Error> for Closed {
    fn from(_: io::Error) -> Self {
        Self
    }
}

impl WebSocket {
    /// `read` was already read from the stream.
    pub(super) fn new(stream: TcpStream, read: &[u8], max_message_bytes: usize) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER_BYTES)
            .write_buffer_size(0)
            .max_message_size(Some(max_message_bytes))
            .max_frame_size(Some(max_message_bytes));
        let protocol = WebSocketContext::from_partially_read(read.to_vec(), Role::Server, Some(config));
        Self { connection: Arc::new(Connection::new(stream)), protocol }
    }

    /// Waits until there may be something to [`read`](Self::read).
    pub(super) async fn readable(&self) -> io::Result<()> {
        self.connection.stream.readable().await
    }

    /// Reads messages until none has come or it is the turn of others; returns whether there was any.
    pub(super) async fn read(&mut self, mut take: impl FnMut(Message) -> Result<(), Closed>) -> Result<bool, Closed> {
        for read in 0..MESSAGES_IN_A_ROW {
            match self.try_read()? {
                Some(message) => take(message)?,
                None => return Ok(read > 0),
            }
        }
        // `try_read` does not use up the task's budget, so tokio would never make it yield.
        tokio::task::yield_now().await;
        Ok(true)
    }

    /// Answers a close frame, and what breaks the protocol, with the last frame of this side.
    fn try_read(&mut self) -> Result<Option<Message>, Closed> {
        let last = match self.protocol.read(&mut ConnectionIo(&self.connection)) {
            Ok(Message::Close(frame)) => frame,
            Ok(message) => return Ok(Some(message)),
            Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
            Err(Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)) => return Err(Closed),
            Err(Error::Protocol(_)) => Some(without_reason(CloseCode::Protocol)),
            Err(Error::Utf8(_)) => Some(without_reason(CloseCode::Invalid)),
            Err(Error::Capacity(_)) => Some(without_reason(CloseCode::Size)),
            Err(_) => return Err(Closed),
        };
        self.close(last);
        Err(Closed)
    }

    /// Sends the close frame, after which nothing more is sent.
    pub(super) fn close(&self, frame: Option<CloseFrame>) {
        self.connection.close(encode_frame(WireFrame::close(frame)));
    }

    /// Waits until what was said before the close frame, and the frame, are sent.
    pub(super) async fn finish(self) {
        if self.connection.is_closing() {
            // A peer that goes away is the usual end of a socket, not an error.
            let _ = self.connection.drain().await;
        }
    }
}

pub(super) fn without_reason(code: CloseCode) -> CloseFrame {
    CloseFrame { code, reason: Utf8Bytes::default() }
}

pub(super) fn encode_frame(frame: WireFrame) -> Bytes {
    let mut bytes = vec![];
    frame.format(&mut bytes).expect("writing to memory cannot fail");
    bytes.into()
}

/// A connection as tungstenite reads and writes it. What it writes is one whole frame, queued between those of others.
struct ConnectionIo<'a>(&'a Connection);

impl Read for ConnectionIo<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.stream.try_read(buffer)
    }
}

impl Write for ConnectionIo<'_> {
    fn write(&mut self, frame: &[u8]) -> io::Result<usize> {
        self.0.send_control(Bytes::copy_from_slice(frame))?;
        Ok(frame.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Messages of one socket that are read before other tasks have their turn.
const MESSAGES_IN_A_ROW: usize = 16;

/// Room for a message. The default of 128 KiB would be 1.3 GB for ten thousand sockets.
const READ_BUFFER_BYTES: usize = 256;
