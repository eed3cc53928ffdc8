//! `/socket.io`: stock and purchases for the clients of the two systems that this one replaces.
//!
//! Of Socket.IO only the packets that such clients need: joining the namespace `/`, and events from the server. Written on
//! engineioxide, which carries them over polling and WebSocket, and not on socketioxide on top of it: that encodes each event
//! for each client, and cannot disconnect a client whose buffer is full.

use crate::{
    domain::{
        SneakerDrop, User,
        error::DropError,
        event::{Reason, ServerEvent},
    },
    server::{catalog::Catalog, clock::DatabaseClock, listen::max_connections, state::AppState},
    text,
};
use axum::{
    Router,
    body::Bytes,
    extract::{Request, State},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
};
use engineioxide::{
    DisconnectReason, Socket, Str, config::EngineIoConfig, handler::EngineIoHandler, service::EngineIoService,
    socket::Sid,
};
use futures_util::future::join_all;
use serde::Serialize;
use serde_json::json;
use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    time::{Instant, sleep},
};

/// Every Socket.IO client of this node.
pub struct SocketIo {
    catalog: Arc<Catalog>,
    clock: Arc<DatabaseClock>,
    clients: Mutex<HashMap<Sid, Client>>,
    counts: Mutex<Option<Counts>>,
    /// Rises when the database went back: what was flushed before must not be sent any more.
    generation: AtomicU64,
    sender: UnboundedSender<Message>,
    receiver: tokio::sync::Mutex<UnboundedReceiver<Message>>,
}

/// The connection of a client, and whether it has joined and gets events.
type Client = Arc<Socket<AtomicBool>>;

/// What must be sent to every client.
enum Message {
    Flush { generation: u64, events: Vec<ServerEvent> },
    Counts,
}

/// The stock of every drop on sale, encoded for all clients that join in the same moment.
struct Counts {
    revision: u64,
    made_at: Instant,
    packets: Arc<[Str]>,
}

impl SocketIo {
    pub(crate) fn new(catalog: Arc<Catalog>, clock: Arc<DatabaseClock>) -> Self {
        let (sender, receiver) = unbounded_channel();
        Self {
            catalog,
            clock,
            clients: Mutex::default(),
            counts: Mutex::default(),
            generation: AtomicU64::default(),
            sender,
            receiver: receiver.into(),
        }
    }

    /// How many clients are connected.
    pub(crate) fn clients(&self) -> usize {
        lock(&self.clients).len()
    }

    /// Must be read before the flush that is then [sent](Self::send).
    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::SeqCst)
    }

    /// Leaves a flush to [`run`], so that it does not hold up the next one of `/ws`.
    pub(super) fn send(&self, generation: u64, events: Vec<ServerEvent>) {
        self.queue(Message::Flush { generation, events });
    }

    /// Sends every count anew, because the database went back.
    pub(crate) fn resync(&self) {
        self.generation.fetch_add(1, Ordering::SeqCst);
        self.queue(Message::Counts);
    }

    fn queue(&self, message: Message) {
        if !lock(&self.clients).is_empty() {
            // The receiver lives as long as this.
            let _ = self.sender.send(message);
        }
    }

    /// Closes every connection and waits until what it still had to say is sent.
    pub(crate) async fn close(&self) {
        let clients: Vec<_> = lock(&self.clients).values().cloned().collect();
        clients.iter().for_each(|client| client.close(DisconnectReason::ClosingServer));
        join_all(clients.iter().map(|client| client.closed())).await;
    }

    /// Lets a client into the namespace, from which on it gets events.
    fn join(&self, client: &Client) {
        let welcome = format!("{CONNECT}{}", json!({ "sid": client.id })).into();
        if !client.data.load(Ordering::SeqCst) && emit(client, &[welcome]) {
            // Before the counts are read, so that no change is lost in between. A flush that is under way may bring older ones
            // after them; what it lacks is in the next.
            client.data.store(true, Ordering::SeqCst);
            emit(client, &self.counts());
        }
    }

    fn counts(&self) -> Arc<[Str]> {
        let revision = self.catalog.revision();
        let mut counts = lock(&self.counts);
        match &*counts {
            // The age is limited because drops start and end.
            Some(known) if known.revision == revision && known.made_at.elapsed() < COUNTS_AGE => known.packets.clone(),
            _ => {
                let (made_at, now) = (Instant::now(), self.clock.now());
                let drops = self.catalog.drops();
                let packets: Arc<[Str]> =
                    drops.iter().filter(|drop| drop.is_open(now)).flat_map(|drop| stock_of(drop, None)).collect();
                *counts = Some(Counts { revision, made_at, packets: packets.clone() });
                packets
            }
        }
    }

    fn joined(&self) -> Vec<Client> {
        lock(&self.clients).values().filter(|client| client.data.load(Ordering::SeqCst)).cloned().collect()
    }

    /// What the messages say, or every count if there are too many of them.
    fn packets(&self, messages: &[Message]) -> Vec<Str> {
        if messages.len() > MAX_WAITING_MESSAGES {
            return self.counts().to_vec();
        }
        let is_current = |generation| generation == self.generation();
        let packets = messages.iter().flat_map(|message| match message {
            Message::Flush { generation, events } if is_current(*generation) => {
                events.iter().flat_map(packets).collect()
            }
            Message::Flush { .. } => vec![],
            Message::Counts => self.counts().to_vec(),
        });
        packets.collect()
    }
}

/// Sends to every client what is queued, encoded once, until the shutdown.
pub(crate) async fn run(state: AppState) {
    let Some(socket_io) = &state.socket_io else { return };
    let mut receiver = socket_io.receiver.lock().await;
    let mut messages = vec![];
    while let Some(1..) = state.shutdown.run_until_cancelled(receiver.recv_many(&mut messages, usize::MAX)).await {
        let joined = socket_io.joined();
        let packets = if joined.is_empty() { vec![] } else { socket_io.packets(&messages) };
        messages.clear();
        for clients in joined.chunks(CLIENTS_IN_A_ROW) {
            for client in clients {
                emit(client, &packets);
            }
            tokio::task::yield_now().await;
        }
    }
}

/// Returns whether all of it was sent. A client that takes it too slowly is disconnected, connects anew by itself and gets every
/// count.
fn emit(client: &Client, packets: &[Str]) -> bool {
    let is_sent = packets.iter().all(|packet| client.emit(packet.clone()).is_ok());
    if !is_sent {
        // Nothing may follow the gap while what is queued before it is still being written.
        client.data.store(false, Ordering::SeqCst);
        client.close(DisconnectReason::TransportError);
    }
    is_sent
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for SocketIo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SocketIo").finish_non_exhaustive()
    }
}

impl EngineIoHandler for SocketIo {
    type Data = AtomicBool;

    fn on_connect(self: Arc<Self>, client: Client) {
        let weak = Arc::downgrade(&client);
        lock(&self.clients).insert(client.id, client);
        tokio::spawn(async move {
            sleep(JOIN_TIMEOUT).await;
            if let Some(client) = weak.upgrade().filter(|client| !client.data.load(Ordering::SeqCst)) {
                client.close(DisconnectReason::HeartbeatTimeout);
            }
        });
    }

    fn on_disconnect(&self, client: Client, _: DisconnectReason) {
        lock(&self.clients).remove(&client.id);
    }

    /// A packet is its type, then its namespace unless that is `/`, then its contents.
    fn on_message(self: &Arc<Self>, packet: Str, client: Client) {
        let Some(kind) = packet.chars().next() else { return };
        let rest = &packet[kind.len_utf8()..];
        let namespace = if rest.starts_with('/') { rest.split([',', '?']).next().unwrap_or_default() } else { "/" };
        match (kind, namespace) {
            (CONNECT, "/") => self.join(&client),
            (CONNECT, _) => {
                let message = json!({ "message": text::NO_SUCH_NAMESPACE });
                emit(&client, &[format!("{CONNECT_ERROR}{namespace},{message}").into()]);
            }
            (DISCONNECT, "/") => client.close(DisconnectReason::TransportClose),
            // There is nothing that clients could ask for.
            _ => {}
        }
    }

    fn on_binary(self: &Arc<Self>, _: Bytes, _: Client) {}
}

const CONNECT: char = '0';
const DISCONNECT: char = '1';
const EVENT: char = '2';
const CONNECT_ERROR: char = '4';

/// The routes, to which the handshakes of pages of other sites are no calls.
pub(crate) fn routes(socket_io: Arc<SocketIo>, state: &AppState) -> Router<AppState> {
    let config = EngineIoConfig::builder()
        .req_path("/socket.io")
        .max_buffer_size(MAX_QUEUED_PACKETS)
        .max_payload(MAX_PAYLOAD_BYTES)
        .ws_max_message_size(MAX_MESSAGE_BYTES)
        .ws_max_frame_size(MAX_MESSAGE_BYTES)
        .build();
    let service = EngineIoService::with_config(socket_io, config);
    Router::new()
        .route_service("/socket.io", service.clone())
        .route_service("/socket.io/", service)
        .layer(from_fn_with_state(state.clone(), admit))
}

/// Refuses pages of other sites, and new clients beyond as many as may be connected: by polling, they have no connection of their
/// own for most of the time.
async fn admit(State(state): State<AppState>, request: Request, next: Next) -> Response {
    if !state.config.origins.may_act(request.headers()) {
        return DropError::ForeignOrigin.into_response();
    }
    let is_new = !request.uri().query().unwrap_or_default().split('&').any(|pair| pair.starts_with("sid="));
    let is_full = || state.socket_io.iter().any(|socket_io| socket_io.clients() >= max_connections());
    if is_new && is_full() { DropError::Unavailable.into_response() } else { next.run(request).await }
}

/// Packets that may wait for the network: more than one flush after a rush has, with two for each purchase, or the counts at the
/// beginning, with two for each drop on sale.
const MAX_QUEUED_PACKETS: usize = 8_192;

/// The longest answer to a poll, so that the counts of thousands of drops are one; also the longest body.
const MAX_PAYLOAD_BYTES: u64 = 1_000_000;

/// Clients only say that they join, leave and are still there.
const MAX_MESSAGE_BYTES: usize = 4_096;

/// How long a client may be connected without joining.
const JOIN_TIMEOUT: Duration = Duration::from_secs(10);

/// How long encoded counts may serve clients that join.
const COUNTS_AGE: Duration = Duration::from_millis(50);

/// Flushes that may wait; if there are more, every count is sent instead.
const MAX_WAITING_MESSAGES: usize = 32;

/// Clients that are sent to before other tasks have their turn.
const CLIENTS_IN_A_ROW: usize = 500;

/// What an event of `/ws` is to the two systems' clients.
fn packets(event: &ServerEvent) -> Vec<Str> {
    match event {
        ServerEvent::StockUpdated(update) => stock(update.drop_id, update.new_stock, reason(update.reason)).into(),
        ServerEvent::DropUpdated(updated) => {
            stock_of(&updated.drop, Some(if updated.drop.paused { "paused" } else { "edited" })).into()
        }
        // Nothing of it is left to be had.
        ServerEvent::DropRemoved(removed) => stock(removed.drop_id, 0, Some("removed")).into(),
        ServerEvent::PurchaseCompleted(completed) => {
            let (drop_id, purchaser) = (completed.drop_id, &completed.purchaser);
            let first = PurchaseCompleted { drop_id, new_stock: completed.new_stock, purchaser };
            let second = PurchaseComplete { drop_id, user_id: purchaser.id, purchase_id: completed.purchase_id };
            vec![packet("purchaseCompleted", first), packet("purchase_complete", second)]
        }
        // Its stock follows.
        ServerEvent::DropCreated(_)
        | ServerEvent::Snapshot(_)
        | ServerEvent::Heartbeat(_)
        | ServerEvent::Reservation(_)
        | ServerEvent::Visitor(_) => vec![],
    }
}

fn stock_of(drop: &SneakerDrop, reason: Option<&'static str>) -> [Str; 2] {
    stock(drop.id, drop.available_stock, reason)
}

fn stock(drop_id: i64, available: i32, reason: Option<&'static str>) -> [Str; 2] {
    [
        packet("stockUpdated", StockUpdated { drop_id, new_stock: available }),
        packet("stock_update", StockUpdate { drop_id, available_stock: available, reason }),
    ]
}

/// As the second system says it; of a reservation it says nothing.
fn reason(reason: Reason) -> Option<&'static str> {
    match reason {
        Reason::Reserved | Reason::Other => None,
        Reason::Expired => Some("reservation_expired"),
        Reason::Purchased => Some("purchased"),
        Reason::Released => Some("released"),
        Reason::Created => Some("created"),
        Reason::Edited => Some("edited"),
    }
}

fn packet(event: &str, fields: impl Serialize) -> Str {
    format!("{EVENT}{}", json!([event, fields])).into()
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StockUpdated {
    drop_id: i64,
    new_stock: i32,
}

#[derive(Serialize)]
struct StockUpdate {
    #[serde(rename = "dropId")]
    drop_id: i64,
    available_stock: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PurchaseCompleted<'a> {
    drop_id: i64,
    new_stock: i32,
    purchaser: &'a User,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PurchaseComplete {
    drop_id: i64,
    user_id: i64,
    purchase_id: i64,
}
