//! Accepts connections and serves HTTP on them, so that no client costs more than its share.
//!
//! `axum::serve` has no time limits: half a request, or a connection that stays silent, would be kept for ever.

use super::state::AppState;
use crate::domain::error::DropError;
use axum::{
    Router,
    body::Body,
    http::{Request, StatusCode},
};
use futures_util::FutureExt;
use http_body::{Frame, SizeHint};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::{SockRef, TcpKeepalive};
use std::{
    io::{self, ErrorKind},
    pin::{Pin, pin},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, Sleep, sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::Service;
use tower_http::timeout::TimeoutBody;

/// Serves until the shutdown, then finishes the requests in flight.
pub(super) async fn listen(listener: TcpListener, router: Router, state: &AppState) {
    let (connections, shutdown) = (TaskTracker::new(), state.shutdown.clone());
    let places = Arc::new(Semaphore::new(max_connections()));
    let refusals = Arc::new(Semaphore::new(MAX_REFUSALS));
    while let Some(accepted) = shutdown.run_until_cancelled(listener.accept()).await {
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of descriptors, or the client is gone already.
                tracing::warn!(%error, "a connection was not accepted");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // Without these options everything works, but slower, or with connections that are lost unnoticed.
        let socket = SockRef::from(&stream);
        let keepalive = TcpKeepalive::new().with_time(KEEPALIVE_TIME).with_interval(KEEPALIVE_INTERVAL);
        let _ = socket.set_tcp_nodelay(true).and_then(|()| socket.set_tcp_keepalive(&keepalive));
        match places.clone().try_acquire_owned() {
            Ok(place) => drop(connections.spawn(serve(stream, place, router.clone(), shutdown.clone()))),
            Err(_) => {
                if let Ok(refusal) = refusals.clone().try_acquire_owned() {
                    connections.spawn(refuse(stream).map(|_| drop(refusal)));
                }
            }
        }
    }
    // Nobody waits for an answer on a connection that nobody accepts.
    drop(listener);
    connections.close();
    connections.wait().await;
}

/// Raises the limit of descriptors of this process as far as it may.
pub(super) fn raise_descriptor_limit() {
    if let Err(error) = rlimit::increase_nofile_limit(u64::MAX) {
        tracing::warn!(%error, "the limit of descriptors could not be raised");
    }
}

pub(super) fn max_connections() -> usize {
    let descriptors = rlimit::Resource::NOFILE.get_soft().unwrap_or(1_024);
    let connections = usize::try_from(descriptors).unwrap_or(usize::MAX).saturating_sub(KEPT_DESCRIPTORS);
    connections.clamp(1, Semaphore::MAX_PERMITS)
}

async fn serve(stream: TcpStream, place: OwnedSemaphorePermit, router: Router, shutdown: CancellationToken) {
    let phase = Phase::new();
    let stream = TokioIo::new(LimitedStream {
        stream,
        place,
        phase: phase.clone(),
        write_deadline: None,
        timer: Box::pin(sleep(HEADER_TIMEOUT)),
    });
    let service = service_fn({
        let phase = phase.clone();
        move |request: Request<Incoming>| {
            let answering = phase.begin_answer();
            // Each connection has a router of its own, which is always ready.
            let answer = router.clone().call(request.map(|body| Body::new(TimeoutBody::new(BODY_TIMEOUT, body))));
            let phase = phase.clone();
            answer.map(move |answer| {
                answer.map(|answer| {
                    if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
                        phase.end();
                    }
                    answer.map(|body| AnswerBody { body, _answering: answering })
                })
            })
        }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(None)
        .max_buf_size(MAX_HEADER_BYTES)
        .max_header_size(MAX_HEADER_BYTES);
    let mut connection = pin!(http.serve_connection(stream, service).with_upgrades());
    tokio::select! {
        // A client that breaks off, or exceeds a limit, is no error of the server.
        _ = connection.as_mut() => return,
        () = shutdown.cancelled() => {}
    }
    if phase.is_answering() {
        connection.as_mut().graceful_shutdown();
        let _ = connection.await;
    }
}

/// Answers 503 without reading the request.
async fn refuse(mut stream: TcpStream) -> io::Result<()> {
    let error = DropError::Unavailable;
    let body = serde_json::json!({ "error": error.to_string(), "code": error.code() }).to_string();
    let answer = format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
         retry-after: 1\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    let answer = async {
        stream.write_all(answer.as_bytes()).await?;
        stream.shutdown().await?;
        // Closing with something unread would reset the connection before the client has the answer.
        while stream.read(&mut [0; 1_024]).await? > 0 {}
        Ok(())
    };
    timeout(REFUSAL_TIMEOUT, answer).await?
}

/// What a connection is waiting for.
#[derive(Clone)]
struct Phase(Arc<Mutex<State>>);

enum State {
    /// For a request, until then. A kept connection may rest longer than the header of a request may take.
    Resting { until: Instant },
    /// For the rest of a header, until then.
    Header { until: Instant },
    /// For the server. A body has a time limit of its own.
    Answering,
    /// For messages of another protocol, which has its own limits.
    Upgraded,
}

impl Phase {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(State::Header { until: Instant::now() + HEADER_TIMEOUT })))
    }

    fn begin_answer(&self) -> Answering {
        *self.lock() = State::Answering;
        Answering(self.clone())
    }

    fn is_answering(&self) -> bool {
        matches!(*self.lock(), State::Answering)
    }

    /// There are no more requests.
    fn end(&self) {
        *self.lock() = State::Upgraded;
    }

    /// The first bytes of a request begin the time that its header may take.
    fn note_read(&self) {
        let mut state = self.lock();
        if matches!(*state, State::Resting { .. }) {
            *state = State::Header { until: Instant::now() + HEADER_TIMEOUT };
        }
    }

    fn read_deadline(&self) -> Option<Instant> {
        match *self.lock() {
            State::Resting { until } | State::Header { until } => Some(until),
            State::Answering | State::Upgraded => None,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Until it is dropped, an answer is on its way.
struct Answering(Phase);

impl Drop for Answering {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        if matches!(*state, State::Answering) {
            *state = State::Resting { until: Instant::now() + REST_TIMEOUT };
        }
    }
}

/// The body of an answer, which hyper drops when it has sent it.
struct AnswerBody {
    body: Body,
    _answering: Answering,
}

impl http_body::Body for AnswerBody {
    type Data = <Body as http_body::Body>::Data;
    type Error = <Body as http_body::Body>::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A connection whose reads and writes fail when they take too long.
pub(super) struct LimitedStream {
    stream: TcpStream,
    place: OwnedSemaphorePermit,
    phase: Phase,
    /// Set while the client takes nothing of what is sent.
    write_deadline: Option<Instant>,
    /// Fires at the earliest of the deadlines so far or sooner, and is only then set to the present one: most are never
    /// reached.
    timer: Pin<Box<Sleep>>,
}

impl LimitedStream {
    /// The connection without limits, and its place among all connections.
    pub(super) fn into_parts(self) -> (TcpStream, OwnedSemaphorePermit) {
        (self.stream, self.place)
    }

    /// Ready with an error once the deadline has passed.
    fn poll_deadline(&mut self, deadline: Instant, context: &mut Context<'_>) -> Poll<io::Error> {
        loop {
            if self.timer.deadline() > deadline {
                self.timer.as_mut().reset(deadline);
            }
            ready!(self.timer.as_mut().poll(context));
            if Instant::now() >= deadline {
                return Poll::Ready(ErrorKind::TimedOut.into());
            }
            self.timer.as_mut().reset(deadline);
        }
    }

    /// The outcome of a write or flush, with a time limit as long as there is none.
    fn limit_write<T>(&mut self, written: Poll<io::Result<T>>, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.write_deadline = None;
            return written;
        }
        let deadline = *self.write_deadline.get_or_insert_with(|| Instant::now() + WRITE_TIMEOUT);
        self.poll_deadline(deadline, context).map(Err)
    }
}

impl AsyncRead for LimitedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if read.is_ready() {
            self.phase.note_read();
            return read;
        }
        match self.phase.read_deadline() {
            Some(deadline) => self.poll_deadline(deadline, context).map(Err),
            None => {
                // Nothing else wakes this task when the answer is sent and the connection begins to rest.
                while self.timer.as_mut().poll(context).is_ready() {
                    self.timer.as_mut().reset(Instant::now() + REST_TIMEOUT);
                }
                Poll::Pending
            }
        }
    }
}

impl AsyncWrite for LimitedStream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.limit_write(written, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, bytes);
        self.limit_write(written, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// How long the header of a request may take, from its first byte or, of the first request, from the connection on.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a client may send nothing of a body that the server waits for.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a client may take nothing of an answer.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a connection is kept between two requests. Longer than the 60 s for which nginx and most balancers keep theirs: the
/// side that closes first must be theirs, or a request may be under way to a connection that is closed.
const REST_TIMEOUT: Duration = Duration::from_secs(75);

/// A longer header is answered with 431.
const MAX_HEADER_BYTES: usize = 32 * 1024;

/// Descriptors that connections leave for PostgreSQL, files and refusals.
const KEPT_DESCRIPTORS: usize = 64;

/// How many connections are told at the same time that there is no place for them; further ones are closed.
const MAX_REFUSALS: usize = 16;

/// How long a client may take to hear of it.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(1);

/// Before accepting again when that failed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// When the kernel begins to ask whether the other side is still there, and how often.
const KEEPALIVE_TIME: Duration = Duration::from_secs(60);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_upgraded_connection_has_no_deadline_for_requests() {
        let phase = Phase::new();
        let answering = phase.begin_answer();
        phase.end();
        drop(answering);
        phase.note_read();
        assert_eq!(phase.read_deadline(), None);
        assert!(!phase.is_answering());
    }
}
