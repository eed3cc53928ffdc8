//! A client of `/ws` that applies events as the page does.

use super::{
    api::Api,
    people::Person,
    stock::{Stock, shown_stock},
    wait::{soon, until},
};
use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use sneakdrop::domain::{
    Purchase, Reservation, SneakerDrop, Visitor,
    event::{
        DropCreated, DropUpdated, DropsSnapshot, Reason, ReservationChange, ServerEvent, StockUpdate, VisitorState,
    },
};
use std::collections::BTreeMap;
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{
        self, Message,
        client::IntoClientRequest,
        http::{HeaderName, HeaderValue, header},
    },
};

/// An open connection and the latest state of every drop.
pub(crate) struct Subscriber {
    stream: WebSocketStream<TcpStream>,
    pub(crate) drops: BTreeMap<i64, SneakerDrop>,
    /// The version of each drop in the latest snapshot.
    snapshot_versions: BTreeMap<i64, i64>,
    /// The version of each drop in its latest stock update.
    update_versions: BTreeMap<i64, i64>,
    pub(crate) visitor: Option<Visitor>,
    pub(crate) epoch: String,
    /// How many events were received, heartbeats and snapshots included.
    pub(crate) events: usize,
    pub(crate) snapshots: usize,
}

impl Subscriber {
    /// Connects and receives the snapshot and the visitor, which must come first and in this order.
    pub(crate) async fn connect(api: &Api, person: Option<&Person>) -> Self {
        let authorization = person.map(|person| format!("Bearer {}", person.token));
        let headers = authorization.as_deref().map(|value| (header::AUTHORIZATION, value));
        until("the server accepts the connection", async || {
            let stream = open_websocket(api, headers.clone()).await.expect("the handshake succeeds");
            let mut subscriber = Self {
                stream,
                drops: BTreeMap::new(),
                snapshot_versions: BTreeMap::new(),
                update_versions: BTreeMap::new(),
                visitor: None,
                epoch: String::new(),
                events: 0,
                snapshots: 0,
            };
            // The server closes the connection at once if the database is too busy to read the visitor's reservations.
            let first = subscriber.next_message().await?.ok()?;
            let first = subscriber.apply(&first).expect("an event");
            assert!(matches!(first, ServerEvent::Snapshot(_)), "{first:?}");
            let second = subscriber.next().await;
            assert!(matches!(second, ServerEvent::Visitor(_)), "{second:?}");
            Some(subscriber)
        })
        .await
    }

    pub(crate) async fn send(&mut self, message: Message) -> tungstenite::Result<()> {
        self.stream.send(message).await
    }

    /// The next message of any kind, or none at the end of the connection.
    pub(crate) async fn next_message(&mut self) -> Option<tungstenite::Result<Message>> {
        soon("a message arrives", self.stream.next()).await
    }

    /// Receives and applies events until one is new.
    pub(crate) async fn next(&mut self) -> ServerEvent {
        loop {
            let message = self.next_message().await.expect("the connection stays open").expect("a valid message");
            if let Some(event) = self.apply(&message) {
                return event;
            }
        }
    }

    /// Applies an event, and returns it unless it is a heartbeat or contained in the snapshot: a connection subscribes
    /// before its snapshot is made, so that changes in between arrive twice.
    fn apply(&mut self, message: &Message) -> Option<ServerEvent> {
        let Message::Text(text) = message else { return None };
        let event: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
        let event_type = event["type"].as_str().expect("every event has a type").to_owned();
        let event = ServerEvent::read(&event_type, event).unwrap_or_else(|error| panic!("{error}: {text}"));
        let event = event.expect("the type is known");
        self.events += 1;
        let is_in_snapshot =
            |drop_id: &i64, version: &i64| self.snapshot_versions.get(drop_id).is_some_and(|known| version <= known);
        match &event {
            ServerEvent::Snapshot(DropsSnapshot { epoch, drops, .. }) => {
                self.snapshots += 1;
                if self.epoch != *epoch {
                    self.epoch.clone_from(epoch);
                    self.update_versions.clear();
                }
                self.drops = drops.iter().map(|drop| (drop.id, drop.clone())).collect();
                self.snapshot_versions = drops.iter().map(|drop| (drop.id, drop.version)).collect();
            }
            ServerEvent::DropCreated(DropCreated { drop }) if is_in_snapshot(&drop.id, &drop.version) => return None,
            ServerEvent::DropCreated(DropCreated { drop }) => {
                let known = self.drops.insert(drop.id, drop.clone());
                // A snapshot may have it already, in an older version.
                let is_new = known.is_none() || self.snapshot_versions.contains_key(&drop.id);
                assert!(is_new, "{drop:?} was created twice");
            }
            ServerEvent::DropUpdated(DropUpdated { drop }) => {
                let known = self.drops.insert(drop.id, drop.clone()).expect("a drop is sent before its updates");
                assert!(known.version <= drop.version, "{drop:?} came after {known:?}");
            }
            ServerEvent::DropRemoved(removed) => drop(self.drops.remove(&removed.drop_id)),
            ServerEvent::StockUpdated(update) => {
                let previous = self.update_versions.insert(update.drop_id, update.version);
                assert!(previous < Some(update.version), "{update:?} came after version {previous:?}");
                if is_in_snapshot(&update.drop_id, &update.version) {
                    return None;
                }
                update.apply_to(self.drops.get_mut(&update.drop_id).expect("a drop is sent before its updates"));
            }
            ServerEvent::PurchaseCompleted(bought) if is_in_snapshot(&bought.drop_id, &bought.version) => return None,
            ServerEvent::PurchaseCompleted(bought) => assert!(self.drops.contains_key(&bought.drop_id), "{event:?}"),
            ServerEvent::Visitor(VisitorState { visitor }) => self.visitor.clone_from(visitor),
            ServerEvent::Reservation(_) => {}
            ServerEvent::Heartbeat(_) => return None,
        }
        Some(event)
    }

    pub(crate) async fn next_stock_update(&mut self) -> StockUpdate {
        loop {
            if let ServerEvent::StockUpdated(update) = self.next().await {
                return update;
            }
        }
    }

    pub(crate) async fn next_reservation(&mut self) -> (Reservation, Option<Purchase>) {
        loop {
            if let ServerEvent::Reservation(ReservationChange { reservation, purchase }) = self.next().await {
                return (reservation, purchase);
            }
        }
    }

    /// Asserts the next stock update. `sizes` has the label and available pairs of each size that changed.
    pub(crate) async fn expect_stock_update(
        &mut self,
        reason: Reason,
        (available, held): (i32, i32),
        sizes: &[(&str, i32)],
    ) {
        let update = self.next_stock_update().await;
        let updated: Vec<_> = update.sizes.iter().map(|size| (size.label.as_str(), size.available)).collect();
        assert_eq!(
            (update.reason, update.new_stock, update.held, updated.as_slice()),
            (reason, available, held, sizes)
        );
    }

    pub(crate) async fn until_visitor(&mut self, is_expected: impl Fn(&Visitor) -> bool) {
        while !self.visitor.as_ref().is_some_and(&is_expected) {
            self.next().await;
        }
    }

    pub(crate) async fn until_stock_is(&mut self, stock: &[Stock]) {
        while shown_stock(self.drops.values().cloned()) != stock {
            self.next().await;
        }
    }

    /// Receives events until the condition holds.
    pub(crate) async fn until(&mut self, is_expected: impl Fn(&Self) -> bool) {
        while !is_expected(self) {
            self.next().await;
        }
    }

    /// Receives events until every drop has this version or a later one.
    pub(crate) async fn until_version(&mut self, version: i64) {
        while self.drops.values().any(|drop| drop.version < version) {
            self.next().await;
        }
    }
}

/// Opens a WebSocket connection to `/ws` with additional headers.
pub(crate) async fn open_websocket<'a>(
    api: &Api,
    headers: impl IntoIterator<Item = (HeaderName, &'a str)>,
) -> tungstenite::Result<WebSocketStream<TcpStream>> {
    let mut request = format!("ws://{}/ws", api.address).into_client_request()?;
    for (name, value) in headers {
        request.headers_mut().insert(name, HeaderValue::from_str(value).expect("a valid header value"));
    }
    let socket = TcpSocket::new_v4()?;
    // Otherwise the kernel would buffer megabytes for a client that does not read.
    socket.set_recv_buffer_size(64 * 1024)?;
    let stream = socket.connect(api.address).await?;
    client_async(request, stream).await.map(|(stream, _)| stream)
}
