//! `/ws`: what a socket is told, in which order, and what becomes of sockets that are slow, dead, foreign or rude.

#[allow(dead_code, reason = "each test program uses a part of it")]
mod support;

use futures_util::{SinkExt, StreamExt, future::join_all};
use serde_json::{Value, json};
use sneakdrop::{
    domain::event::{Reason, ServerEvent, StockUpdate},
    domain::{ReservationStatus, SneakerDrop, Visitor},
};
use sqlx::PgPool;
use std::{collections::BTreeMap, time::Duration};
use support::{
    Api, DEADLINE, Person, Settings, Shop, at_once, crowd, id_of, lapse,
    proxy::{Line, Proxy},
    shown_stock, soon, stored_stock, until,
};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpSocket, TcpStream},
    time::{Instant, timeout},
};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{
        self, Message,
        client::IntoClientRequest,
        http::{HeaderName, HeaderValue, header},
        protocol::frame::coding::CloseCode,
    },
};

#[sqlx::test]
async fn a_socket_gets_a_snapshot_and_then_every_change_in_order(db: PgPool) {
    let settings = Settings { expiry_interval: Duration::from_millis(50), ..Settings::default() };
    let shop = Shop::open_with(&db, settings).await;
    let sizes = json!([{ "label": "S", "stock": 2 }, { "label": "M", "stock": 3 }]);
    let drop_id = id_of(&shop.create_drop(json!({ "name": "Slab Skate", "priceCents": 1, "sizes": sizes })).await);
    let alice = shop.sign_in("alice").await;
    let mut page = Page::open(&shop, None).await;
    assert_eq!(shown_stock(page.drops.values().cloned()), stored_stock(&db).await);
    assert_eq!(page.visitor, None);

    shop.reserve_size(&alice, drop_id, "S").await.expect(201);
    page.hears_of(Reason::Reserved, (4, 1), &[("S", 1)]).await;
    shop.release(&alice, drop_id).await.expect(200);
    page.hears_of(Reason::Released, (5, 0), &[("S", 2)]).await;

    shop.reserve_size(&alice, drop_id, "M").await.expect(201);
    page.hears_of(Reason::Reserved, (4, 1), &[("M", 2)]).await;
    let bought = shop.purchase(&alice, drop_id).await.expect(200);
    page.hears_of(Reason::Purchased, (4, 0), &[]).await;
    let event = page.next().await;
    let ServerEvent::PurchaseCompleted { drop_id: of, new_stock, purchase_id, purchaser, version, .. } = event else {
        panic!("{event:?}")
    };
    assert_eq!((of, new_stock, purchase_id, purchaser.id), (drop_id, 4, bought.purchase_id(), alice.id));
    assert_eq!((purchaser.username.as_str(), version), ("alice", page.drops[&drop_id].version));

    // Now and then the reconciliation is faster than the sweeper's own word, and cannot tell who gave a pair back.
    until("a pair is told to have lapsed", async || {
        let held = shop.reserve_size(&alice, drop_id, "S").await.expect(201);
        page.hears_of(Reason::Reserved, (3, 1), &[("S", 1)]).await;
        lapse(&db, held.reservation_id()).await;
        let update = page.next_stock().await;
        assert_eq!((update.new_stock, update.held), (4, 0));
        (update.reason == Reason::Expired).then_some(())
    })
    .await;
    shop.close().await;
}

#[sqlx::test]
async fn a_new_drop_reaches_every_socket_whole(db: PgPool) {
    let shop = Shop::open(&db).await;
    let mut page = Page::open(&shop, None).await;
    assert!(page.drops.is_empty());
    let drop_id = shop.open_drop(5).await;
    let event = page.next().await;
    assert!(
        matches!(&event, ServerEvent::DropCreated { drop } if drop.id == drop_id && drop.total_stock == 5),
        "{event:?}"
    );
    page.hears_of(Reason::Created, (5, 0), &[("One size", 5)]).await;
    shop.close().await;
}

#[sqlx::test]
async fn a_socket_of_a_visitor_starts_with_what_they_hold_and_own(db: PgPool) {
    let shop = Shop::open(&db).await;
    let (bought, held) = (shop.open_drop(5).await, shop.open_drop(5).await);
    let alice = shop.sign_in("alice").await;
    shop.reserve(&alice, bought).await.expect(201);
    let purchase = shop.purchase(&alice, bought).await.expect(200).purchase_id();
    let reservation = shop.reserve(&alice, held).await.expect(201).reservation_id();
    let lapsed = shop.open_drop(5).await;
    lapse(&db, shop.reserve(&alice, lapsed).await.expect(201).reservation_id()).await;

    let visitor = Page::open(&shop, Some(&alice)).await.visitor.expect("she is known");
    assert_eq!(visitor.user.id, alice.id);
    assert_eq!(visitor.reservations.iter().map(|held| held.id).collect::<Vec<_>>(), [reservation]);
    assert_eq!(visitor.purchases.iter().map(|bought| bought.id).collect::<Vec<_>>(), [purchase]);
    assert_eq!(Page::open(&shop, Some(&Person { token: "forged".into(), ..alice })).await.visitor, None);
    until("every lapsed pair is back", async || {
        (support::number(&db, "select sum(held_stock) from drop_sizes").await == 1).then_some(())
    })
    .await;
    shop.close().await;
}

#[sqlx::test]
async fn frames_about_a_reservation_go_only_to_its_holder(db: PgPool) {
    let shop = Shop::open(&db).await;
    let drop_id = shop.open_drop(5).await;
    let [alice, bob] = [shop.sign_in("alice").await, shop.sign_in("bob").await];
    let mut hers = [Page::open(&shop, Some(&alice)).await, Page::open(&shop, Some(&alice)).await];
    let mut others = [Page::open(&shop, Some(&bob)).await, Page::open(&shop, None).await];

    let steps = [
        (shop.reserve(&alice, drop_id).await.expect(201), ReservationStatus::Active),
        (shop.release(&alice, drop_id).await.expect(200), ReservationStatus::Cancelled),
        (shop.reserve(&alice, drop_id).await.expect(201), ReservationStatus::Active),
        (shop.purchase(&alice, drop_id).await.expect(200), ReservationStatus::Completed),
    ];
    let marker = shop.open_drop(1).await;
    for page in &mut hers {
        for (answer, status) in &steps {
            let (reservation, purchase) = page.next_reservation().await;
            assert_eq!((reservation.user_id, reservation.drop_id, reservation.status), (alice.id, drop_id, *status));
            let bought = (*status == ReservationStatus::Completed).then(|| answer.purchase_id());
            assert_eq!(purchase.map(|purchase| purchase.id), bought);
        }
    }
    // What comes after the last of hers came to the others without any of hers.
    for page in &mut others {
        loop {
            match page.next().await {
                ServerEvent::DropCreated { drop } if drop.id == marker => break,
                ServerEvent::Reservation { reservation, .. } => panic!("{reservation:?} was told to others"),
                _ => {}
            }
        }
    }
    shop.close().await;
}

#[sqlx::test]
async fn every_socket_converges_on_the_database_after_a_burst(db: PgPool) {
    let shop = Shop::open(&db).await;
    let drop_ids = [shop.open_drop(60).await, shop.open_drop(60).await];
    let mut pages = join_all((0..50).map(|_| Page::open(&shop, None))).await;
    let people = crowd(&db, 80).await;
    at_once(
        80,
        people.iter().enumerate().map(|(index, person)| {
            let (shop, drop_id) = (&shop, drop_ids[index % 2]);
            async move {
                shop.reserve(person, drop_id).await.expect(201);
                match index % 3 {
                    0 => drop(shop.purchase(person, drop_id).await.expect(200)),
                    1 => drop(shop.release(person, drop_id).await.expect(200)),
                    _ => {}
                }
            }
        }),
    )
    .await;
    let stored = stored_stock(&db).await;
    join_all(pages.iter_mut().map(|page| page.shows(&stored))).await;
    shop.close().await;
}

#[sqlx::test]
async fn changes_are_bundled_to_twenty_frames_a_second(db: PgPool) {
    let shop = Shop::open(&db).await;
    let drop_id = shop.open_drop(200).await;
    let people = crowd(&db, 200).await;
    let mut page = Page::open(&shop, None).await;

    let since = Instant::now();
    let burst = at_once(100, people.iter().map(|person| shop.reserve(person, drop_id)));
    let events = async {
        let mut events = 0;
        loop {
            events += 1;
            if page.next_stock().await.new_stock == 0 {
                return events;
            }
        }
    };
    let (answers, events) = tokio::join!(burst, events);
    assert_eq!(support::with_status(&answers, 201), 200);
    let flushes = since.elapsed().as_millis() / 50 + 1;
    assert!(events <= flushes, "{events} events in {:?}", since.elapsed());
    shop.close().await;
}

#[sqlx::test]
async fn what_another_node_commits_reaches_this_nodes_sockets(db: PgPool) {
    let here = Shop::open(&db).await;
    let there = here.another(Settings::default()).await;
    let mut page = Page::open(&here, None).await;
    let drop_id = there.open_drop(5).await;
    let event = page.next().await;
    assert!(matches!(&event, ServerEvent::DropCreated { drop } if drop.id == drop_id), "{event:?}");
    page.hears_of(Reason::Created, (5, 0), &[("One size", 5)]).await;
    there.agrees_with_the_database().await;

    let alice = there.sign_in("alice").await;
    there.reserve(&alice, drop_id).await.expect(201);
    page.hears_of(Reason::Reserved, (4, 1), &[("One size", 4)]).await;
    there.purchase(&alice, drop_id).await.expect(200);
    page.hears_of(Reason::Purchased, (4, 0), &[]).await;
    let event = page.next().await;
    assert!(
        matches!(&event, ServerEvent::PurchaseCompleted { purchaser, .. } if purchaser.id == alice.id),
        "{event:?}"
    );
    there.reserve(&alice, drop_id).await.expect(201);
    page.hears_of(Reason::Reserved, (3, 1), &[("One size", 3)]).await;
    there.release(&alice, drop_id).await.expect(200);
    page.hears_of(Reason::Released, (4, 0), &[("One size", 4)]).await;
    there.close().await;
    here.close().await;
}

#[sqlx::test]
async fn what_a_visitor_does_at_another_node_reaches_their_sockets_here(db: PgPool) {
    let here = Shop::open(&db).await;
    let there = here.another(Settings::default()).await;
    let drop_id = here.open_drop(5).await;
    there.agrees_with_the_database().await;
    let [alice, bob] = [here.sign_in("alice").await, here.sign_in("bob").await];
    let mut hers = Page::open(&here, Some(&alice)).await;
    let mut his = Page::open(&here, Some(&bob)).await;
    let reservation_id = there.reserve(&alice, drop_id).await.expect(201).reservation_id();
    hers.visitor_is(|visitor| visitor.reservations.iter().any(|held| held.id == reservation_id)).await;
    let purchase_id = there.purchase(&alice, drop_id).await.expect(200).purchase_id();
    hers.visitor_is(|visitor| visitor.reservations.is_empty() && visitor.purchases[0].id == purchase_id).await;
    // It was nobody else's business.
    there.reserve(&bob, drop_id).await.expect(201);
    his.visitor_is(|visitor| !visitor.reservations.is_empty()).await;
    assert_eq!(his.snapshots, 2);
    there.close().await;
    here.close().await;
}

#[sqlx::test]
async fn a_socket_outlives_an_absence_of_the_database(db: PgPool) {
    let proxy = Proxy::to(&db).await;
    let here = Shop::open_with(&db, Settings { database: Some(proxy.options(&db)), ..Settings::default() }).await;
    let there = here.another(Settings::default()).await;
    let drop_id = here.open_drop(5).await;
    there.agrees_with_the_database().await;
    let alice = there.sign_in("alice").await;
    let mut before = Page::open(&here, None).await;

    proxy.set(Line::Cut);
    until("the shop notices", async || (here.get("/readyz").await.status == 503).then_some(())).await;
    let mut during = Page::open(&here, None).await;
    there.reserve(&alice, drop_id).await.expect(201);
    proxy.set(Line::Open);
    let stored = stored_stock(&db).await;
    before.shows(&stored).await;
    during.shows(&stored).await;
    there.close().await;
    here.close().await;
}

#[sqlx::test]
async fn a_slow_socket_skips_to_the_latest_and_holds_nobody_up(db: PgPool) {
    let shop = Shop::open(&db).await;
    stock_many_drops(&shop).await;
    let mut brisk = Page::open(&shop, None).await;
    let mut slow = Page::open(&shop, None).await;

    // As much as fills every buffer on the way, and then more events than the server remembers.
    for _ in 0..11 {
        let version = change_every_drop(&shop).await;
        brisk.knows(version).await;
    }
    assert_eq!(brisk.snapshots, 1, "whoever keeps up is told the changes alone");
    slow.knows(brisk.drops.values().map(|drop| drop.version).max().expect("there are drops")).await;
    assert_eq!(shown_stock(slow.drops.into_values()), shown_stock(brisk.drops.into_values()));
    assert_eq!(slow.snapshots, 2, "{} events instead of {}", slow.events, brisk.events);
    assert!(slow.events < brisk.events, "{} events instead of {}", slow.events, brisk.events);
    shop.stop().await;
}

#[sqlx::test]
async fn a_socket_that_takes_nothing_is_let_go(db: PgPool) {
    let shop = Shop::open(&db).await;
    stock_many_drops(&shop).await;
    let mut brisk = Page::open(&shop, None).await;
    let served = shop.state.tasks.len();
    let dead = Page::open(&shop, None).await;
    assert_eq!(shop.state.tasks.len(), served + 1);

    until("the server lets it go", async || {
        let version = change_every_drop(&shop).await;
        brisk.knows(version).await;
        (shop.state.tasks.len() == served).then_some(())
    })
    .await;
    drop(dead);
    shop.stop().await;
}

#[sqlx::test]
async fn a_socket_that_answers_no_pings_is_closed_and_one_that_does_is_kept(db: PgPool) {
    let shop = Shop::open(&db).await;
    let drop_id = shop.open_drop(5).await;
    let alice = shop.sign_in("alice").await;
    let mut polite = Page::open(&shop, None).await;
    // Takes every byte and says nothing, as a program does that hangs while its kernel lives on.
    let mut mute = handshake(&shop, []).await.expect("a socket").into_inner();
    let opened_at = Instant::now();
    let mut sink = tokio::io::sink();
    let events_before = polite.events;
    tokio::select! {
        // A reset is an end as well.
        end = timeout(2 * DEADLINE, tokio::io::copy(&mut mute, &mut sink)) => drop(end.expect("it is closed")),
        event = polite.next() => panic!("nothing happened, and yet {event:?}"),
    }
    // The first question comes within one interval of ten seconds; two may stay without an answer.
    let lived = opened_at.elapsed();
    assert!(lived >= Duration::from_secs(19), "it was closed after {lived:?}");
    assert!(polite.events > events_before, "nobody told the page that its line is alive");
    shop.reserve(&alice, drop_id).await.expect(201);
    polite.hears_of(Reason::Reserved, (4, 1), &[("One size", 4)]).await;
    shop.close().await;
}

#[sqlx::test]
async fn a_socket_that_is_gone_is_forgotten(db: PgPool) {
    let shop = Shop::open(&db).await;
    let alice = shop.sign_in("alice").await;
    let jobs = shop.state.tasks.len();
    let pages = join_all((0..20).map(|_| Page::open(&shop, Some(&alice)))).await;
    assert_eq!(shop.state.tasks.len(), jobs + 20);
    // Without as much as a goodbye.
    drop(pages);
    until("the server notices", async || (shop.state.tasks.len() == jobs).then_some(())).await;
    shop.close().await;
}

#[sqlx::test]
async fn only_our_own_pages_and_programs_may_open_a_socket(db: PgPool) {
    let shop = Shop::open(&db).await;
    let own = shop.url("");
    for origin in [None, Some(own.as_str())] {
        let headers = origin.map(|origin| (header::ORIGIN, origin));
        assert!(handshake(&shop, headers).await.is_ok(), "{origin:?}");
    }
    for foreign in ["http://evil.test", "https://evil.test", "null", &format!("{own}.evil.test"), "http://127.0.0.1"] {
        match handshake(&shop, [(header::ORIGIN, foreign)]).await {
            Err(tungstenite::Error::Http(response)) => assert_eq!(response.status(), 403, "{foreign}"),
            outcome => panic!("{foreign}: {outcome:?}"),
        }
    }
    let plain = shop.get("/ws").await;
    assert!((400..500).contains(&plain.status), "{plain:?}");
    shop.close().await;
}

#[sqlx::test]
async fn a_stopping_server_says_goodbye_to_every_socket(db: PgPool) {
    let shop = Shop::open(&db).await;
    let alice = shop.sign_in("alice").await;
    let mut pages = [Page::open(&shop, None).await, Page::open(&shop, Some(&alice)).await];
    shop.state.shutdown.cancel();
    for page in &mut pages {
        let goodbye = loop {
            match page.receive().await {
                Some(Ok(Message::Close(event))) => break event.expect("it says why"),
                Some(Ok(_)) => {}
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(goodbye.code, CloseCode::Away);
    }
    shop.close().await;
}

#[sqlx::test]
async fn whoever_sends_too_much_loses_only_their_own_socket(db: PgPool) {
    let shop = Shop::open(&db).await;
    let drop_id = shop.open_drop(5).await;
    let alice = shop.sign_in("alice").await;
    let mut polite = Page::open(&shop, Some(&alice)).await;
    let mut rude = Page::open(&shop, Some(&alice)).await;
    polite.stream.send(Message::text("x".repeat(1_000))).await.expect("small talk is ignored");
    polite.stream.send(Message::Ping("hello".into())).await.expect("it is open");
    assert!(matches!(polite.receive().await, Some(Ok(Message::Pong(data))) if data == "hello"));

    // Large enough to still be on its way when the server closes: the send may fail, as it should.
    let _ = rude.stream.send(Message::binary(vec![0; 1_000_000])).await;
    while let Some(Ok(message)) = rude.receive().await {
        assert!(!message.is_text(), "{message:?}");
    }
    shop.reserve(&alice, drop_id).await.expect(201);
    polite.hears_of(Reason::Reserved, (4, 1), &[("One size", 4)]).await;
    shop.close().await;
}

#[sqlx::test]
async fn sockets_that_never_stop_talking_hold_nobody_up(db: PgPool) {
    let shop = Shop::open(&db).await;
    let drop_id = shop.open_drop(5).await;
    let alice = shop.sign_in("alice").await;
    let mut polite = Page::open(&shop, None).await;
    // More pings than the server answers in the time that it takes to send them; two for each of its threads.
    let mut talk = vec![];
    for _ in 0..4 {
        let (mut read, mut write) = handshake(&shop, []).await.expect("a socket").into_inner().into_split();
        talk.push(tokio::spawn(async move { drop(tokio::io::copy(&mut read, &mut tokio::io::sink()).await) }));
        talk.push(tokio::spawn(async move {
            let pings = [0x89, 0x80, 0, 0, 0, 0].repeat(10_000);
            while write.write_all(&pings).await.is_ok() {}
        }));
    }
    for _ in 0..10 {
        shop.reserve(&alice, drop_id).await.expect(201);
        polite.hears_of(Reason::Reserved, (4, 1), &[("One size", 4)]).await;
        shop.release(&alice, drop_id).await.expect(200);
        polite.hears_of(Reason::Released, (5, 0), &[("One size", 5)]).await;
    }
    talk.iter().for_each(|task| task.abort());
    shop.close().await;
}

/// What a browser's page makes of its socket: the latest state of every drop.
struct Page {
    stream: WebSocketStream<TcpStream>,
    drops: BTreeMap<i64, SneakerDrop>,
    /// Every drop's version in the latest snapshot, and in the latest change.
    snapshot: BTreeMap<i64, i64>,
    updated: BTreeMap<i64, i64>,
    visitor: Option<Visitor>,
    events: usize,
    snapshots: usize,
}

impl Page {
    /// Connects, and takes the snapshot and the visitor, which must come first and in this order.
    async fn open(api: &Api, person: Option<&Person>) -> Self {
        let authorization = person.map(|person| format!("Bearer {}", person.token));
        let headers = authorization.as_deref().map(|value| (header::AUTHORIZATION, value));
        until("the server takes the socket", async || {
            let stream = handshake(api, headers.clone()).await.expect("it lets us in");
            let mut page = Self {
                stream,
                drops: BTreeMap::new(),
                snapshot: BTreeMap::new(),
                updated: BTreeMap::new(),
                visitor: None,
                events: 0,
                snapshots: 0,
            };
            // When the database is too busy to tell what the visitor has, the socket ends before it begins.
            let first = page.receive().await?.ok()?;
            let first = page.take_in(&first).expect("an event");
            assert!(matches!(first, ServerEvent::Snapshot { .. }), "{first:?}");
            let second = page.next().await;
            assert!(matches!(second, ServerEvent::Visitor { .. }), "{second:?}");
            Some(page)
        })
        .await
    }

    /// The next message, of whatever kind; none at the end.
    async fn receive(&mut self) -> Option<tungstenite::Result<Message>> {
        soon("something comes", self.stream.next()).await
    }

    /// The next event, taken in.
    async fn next(&mut self) -> ServerEvent {
        loop {
            let message = self.receive().await.expect("the socket stays open").expect("it is no error");
            if let Some(event) = self.take_in(&message) {
                return event;
            }
        }
    }

    /// Takes in an event as a page does it, and returns it if it is news: a socket subscribes before it takes its
    /// snapshot, so that what falls in between comes twice.
    fn take_in(&mut self, message: &Message) -> Option<ServerEvent> {
        let Message::Text(text) = message else { return None };
        let event: ServerEvent = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
        self.events += 1;
        let in_snapshot =
            |drop_id: &i64, version: &i64| self.snapshot.get(drop_id).is_some_and(|known| version <= known);
        match &event {
            ServerEvent::Snapshot { drops, .. } => {
                self.snapshots += 1;
                self.drops = drops.iter().map(|drop| (drop.id, drop.clone())).collect();
                self.snapshot = drops.iter().map(|drop| (drop.id, drop.version)).collect();
            }
            ServerEvent::DropCreated { drop } if in_snapshot(&drop.id, &drop.version) => return None,
            ServerEvent::DropCreated { drop } => {
                let known = self.drops.insert(drop.id, drop.clone());
                assert!(known.is_none(), "{drop:?} was created twice");
            }
            ServerEvent::StockUpdated(update) => {
                let last = self.updated.insert(update.drop_id, update.version);
                assert!(last < Some(update.version), "{update:?} came after version {last:?}");
                if in_snapshot(&update.drop_id, &update.version) {
                    return None;
                }
                update.apply_to(self.drops.get_mut(&update.drop_id).expect("a drop is sent before its changes"));
            }
            ServerEvent::PurchaseCompleted { drop_id, version, .. } if in_snapshot(drop_id, version) => return None,
            ServerEvent::PurchaseCompleted { drop_id, .. } => assert!(self.drops.contains_key(drop_id), "{event:?}"),
            ServerEvent::Visitor { visitor } => self.visitor.clone_from(visitor),
            ServerEvent::Reservation { .. } => {}
            ServerEvent::Heartbeat { .. } => return None,
        }
        Some(event)
    }

    async fn next_stock(&mut self) -> StockUpdate {
        loop {
            if let ServerEvent::StockUpdated(update) = self.next().await {
                return update;
            }
        }
    }

    async fn next_reservation(&mut self) -> (sneakdrop::domain::Reservation, Option<sneakdrop::domain::Purchase>) {
        loop {
            if let ServerEvent::Reservation { reservation, purchase } = self.next().await {
                return (reservation, purchase);
            }
        }
    }

    /// The next change of stock, which must be this one.
    async fn hears_of(&mut self, reason: Reason, (new_stock, held): (i32, i32), sizes: &[(&str, i32)]) {
        let update = self.next_stock().await;
        let told: Vec<_> = update.sizes.iter().map(|size| (size.label.as_str(), size.available)).collect();
        assert_eq!((update.reason, update.new_stock, update.held, told.as_slice()), (reason, new_stock, held, sizes));
    }

    /// Reads until the visitor is told to have this.
    async fn visitor_is(&mut self, expected: impl Fn(&Visitor) -> bool) {
        while !self.visitor.as_ref().is_some_and(&expected) {
            self.next().await;
        }
    }

    /// Reads until it shows exactly this.
    async fn shows(&mut self, stored: &[support::Stock]) {
        while shown_stock(self.drops.values().cloned()) != stored {
            self.next().await;
        }
    }

    /// Reads until it knows every drop in this version.
    async fn knows(&mut self, version: i64) {
        while self.drops.values().any(|drop| drop.version < version) {
            self.next().await;
        }
    }
}

async fn handshake<'a>(
    api: &Api,
    headers: impl IntoIterator<Item = (HeaderName, &'a str)>,
) -> tungstenite::Result<WebSocketStream<TcpStream>> {
    let mut request = format!("ws://{}/ws", api.address).into_client_request()?;
    for (name, value) in headers {
        request.headers_mut().insert(name, HeaderValue::from_str(value).expect("a header"));
    }
    let socket = TcpSocket::new_v4()?;
    // Or the kernel would take in megabytes for a page that does not read.
    socket.set_recv_buffer_size(64 * 1024)?;
    let stream = socket.connect(api.address).await?;
    client_async(request, stream).await.map(|(stream, _)| stream)
}

/// Fewer than the events that the server remembers for a socket, each with enough sizes for a long event.
const MANY_DROPS: usize = 200;

async fn stock_many_drops(shop: &Shop) {
    let sizes: Vec<Value> = (0..50).map(|index| json!({ "label": format!("US {index:017}"), "stock": 10 })).collect();
    let new = json!({ "name": "Court 76", "priceCents": 1, "sizes": sizes });
    at_once(10, (0..MANY_DROPS).map(|_| shop.create_drop(new.clone()))).await;
    shop.agrees_with_the_database().await;
}

/// Changes every size of every drop, as a busy node would that this one hears of through the database. Returns the
/// version that every drop has now.
async fn change_every_drop(shop: &Shop) -> i64 {
    let change = "with moved as (update drop_sizes set available_stock = (available_stock + 1) % 10)
                  update drops set version = version + 1";
    sqlx::query(change).execute(&shop.db).await.expect("counts within the total");
    shop.state.catalog.reconcile(&shop.db).await.expect("the database is there");
    support::number(&shop.db, "select min(version) from drops").await
}
