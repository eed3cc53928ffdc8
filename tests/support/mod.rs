//! What every test stands on: a [`Shop`] that serves on a port of its own over a database of its own, the [`Api`] that
//! calls it as strangers would, and the questions that the database answers for them.

pub(crate) mod gate;
pub(crate) mod process;
pub(crate) mod proxy;

use futures_util::{StreamExt, stream};
use reqwest::{Client, Method, RequestBuilder, header::HeaderMap};
use serde_json::{Value, json};
use sneakdrop::{
    domain::{SneakerDrop, User},
    server::{
        AppState,
        config::Config,
        database,
        inventory::Strategy,
        serve,
        session::{self, SessionKey},
    },
};
use sqlx::{PgPool, postgres::PgConnectOptions};
use std::{future::Future, net::SocketAddr, ops::Deref, sync::Arc, time::Duration};
use tokio::{
    net::TcpListener,
    runtime::{Builder, Runtime},
    sync::{Semaphore, SemaphorePermit, oneshot},
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

/// How long anything may take that must happen at all; no test waits for as long unless it fails.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

pub(crate) const ADMIN_TOKEN: &str = "an admin token for tests";
pub(crate) const SESSION_KEY: &str = "a session key for tests, longer than 32 characters";

/// How many tests may have shops at once: three times two nodes of 20 connections each fit into one PostgreSQL.
static PLACES: Semaphore = Semaphore::const_new(3);

/// One node of the shop, on two threads of its own, so that a test can take its time and can make it crash.
///
/// Its tasks die with it when it is dropped, as they do in a crash; [`Shop::close`] is the orderly way.
pub(crate) struct Shop {
    pub(crate) state: AppState,
    pub(crate) db: PgPool,
    api: Api,
    runtime: Option<Runtime>,
    stopped: JoinHandle<()>,
    place: Arc<SemaphorePermit<'static>>,
}

/// What differs between the shops of different tests.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) reservation_ttl: Duration,
    pub(crate) expiry_interval: Duration,
    /// Whether the sweeper, the feed and the reconciliation run beside the requests.
    pub(crate) jobs: bool,
    /// Where the shop finds the database, if not where the test does.
    pub(crate) database: Option<PgConnectOptions>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            reservation_ttl: Duration::from_secs(60),
            expiry_interval: Duration::from_secs(5),
            jobs: true,
            database: None,
        }
    }
}

impl Shop {
    /// Opens a shop with a minute's reservations.
    pub(crate) async fn open(db: &PgPool) -> Self {
        Self::open_with(db, Settings::default()).await
    }

    pub(crate) async fn open_with(db: &PgPool, settings: Settings) -> Self {
        let place = PLACES.acquire().await.expect("the places are never closed");
        Self::start(db, settings, Arc::new(place)).await
    }

    /// Opens another node on the same database.
    pub(crate) async fn another(&self, settings: Settings) -> Self {
        Self::start(&self.db, settings, self.place.clone()).await
    }

    async fn start(db: &PgPool, settings: Settings, place: Arc<SemaphorePermit<'static>>) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("two threads");
        let config = Config {
            database: settings.database.unwrap_or_else(|| (*db.connect_options()).clone()),
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            reservation_ttl: settings.reservation_ttl,
            expiry_interval: settings.expiry_interval,
            admin_token: Some(ADMIN_TOKEN.into()),
            session_key: SESSION_KEY.into(),
            seed: false,
            strategy: Strategy::Combined,
        };
        let (started, start) = oneshot::channel();
        let stopped = runtime.spawn(async move {
            let (listen, pool) = (config.listen, database::pool(config.database.clone()));
            let state = AppState::load(config, pool.clone()).await.expect("the catalog loads");
            if settings.jobs {
                state.spawn_jobs();
            }
            let listener = TcpListener::bind(listen).await.expect("a free port");
            let address = listener.local_addr().expect("a bound listener has an address");
            started.send((address, state.clone())).map_err(|_| "the test is gone").expect("somebody waits");
            serve(listener, state).await;
            pool.close().await;
        });
        let (address, state) = start.await.expect("the shop starts");
        Self { state, db: db.clone(), api: Api::new(address), runtime: Some(runtime), stopped, place }
    }

    /// Stops in order, then holds the database to the invariants.
    pub(crate) async fn close(self) {
        self.stop().await;
        assert_balanced(&self.db).await;
    }

    /// Stops in order.
    pub(crate) async fn stop(&self) {
        self.state.shutdown.cancel();
        until("the shop stops", async || self.stopped.is_finished().then_some(())).await;
    }

    /// Stops between two instructions, as a crash does.
    pub(crate) fn crash(self) {
        drop(self);
    }

    /// Waits until this node shows what the database has.
    pub(crate) async fn agrees_with_the_database(&self) {
        until("the catalog agrees with the database", async || {
            let stored = stored_stock(&self.db).await;
            (shown_stock(self.state.catalog.drops()) == stored).then_some(())
        })
        .await;
    }
}

impl Deref for Shop {
    type Target = Api;

    fn deref(&self) -> &Api {
        &self.api
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// A server's address and how to call it.
#[derive(Clone)]
pub(crate) struct Api {
    pub(crate) address: SocketAddr,
    http: Client,
}

/// Somebody with an account, and the proof of it.
#[derive(Clone, Debug)]
pub(crate) struct Person {
    pub(crate) id: i64,
    pub(crate) username: String,
    pub(crate) token: String,
}

impl Api {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self { address, http: client(Client::builder()) }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// A request without a caller.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, self.url(path))
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        Answer::to(self.request(Method::GET, path)).await
    }

    /// Sends JSON as whoever bears the token.
    pub(crate) async fn post(&self, path: &str, token: &str, body: Value) -> Answer {
        Answer::to(self.request(Method::POST, path).bearer_auth(token).json(&body)).await
    }

    /// Claims a new account.
    pub(crate) async fn sign_in(&self, username: &str) -> Person {
        let request = self.request(Method::POST, "/api/users/get-or-create").json(&json!({ "username": username }));
        let answer = Answer::to(request).await.expect(200);
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        Person {
            id: answer.json["user"]["id"].as_i64().expect("an id"),
            username: text(&answer.json["user"]["username"]),
            token: text(&answer.json["token"]),
        }
    }

    /// Creates a drop and returns it.
    pub(crate) async fn create_drop(&self, body: Value) -> Value {
        self.post("/api/drops", ADMIN_TOKEN, body).await.expect(201).json["drop"].take()
    }

    /// Creates a drop of one size that is open, and returns its id.
    pub(crate) async fn open_drop(&self, stock: i32) -> i64 {
        id_of(&self.create_drop(json!({ "name": "Volt Runner", "priceCents": 19_900, "totalStock": stock })).await)
    }

    pub(crate) async fn reserve(&self, person: &Person, drop_id: i64) -> Answer {
        self.insist(Method::POST, &format!("/api/drops/{drop_id}/reserve"), person, json!({})).await
    }

    pub(crate) async fn reserve_size(&self, person: &Person, drop_id: i64, size: &str) -> Answer {
        self.insist(Method::POST, &format!("/api/drops/{drop_id}/reserve"), person, json!({ "size": size })).await
    }

    pub(crate) async fn purchase(&self, person: &Person, drop_id: i64) -> Answer {
        self.insist(Method::POST, &format!("/api/drops/{drop_id}/purchase"), person, json!({})).await
    }

    pub(crate) async fn purchase_reservation(&self, person: &Person, reservation_id: i64) -> Answer {
        self.insist(Method::POST, "/api/drops/purchase", person, json!({ "reservationId": reservation_id })).await
    }

    pub(crate) async fn release(&self, person: &Person, drop_id: i64) -> Answer {
        self.insist(Method::DELETE, &format!("/api/drops/{drop_id}/reservation"), person, json!({})).await
    }

    /// Calls again when the shop is too busy, which promises that nothing was changed; on a slow machine it may well be.
    async fn insist(&self, method: Method, path: &str, person: &Person, body: Value) -> Answer {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let request = self.request(method.clone(), path).bearer_auth(&person.token).json(&body);
            let answer = Answer::to(request).await;
            if answer.code() != "unavailable" || Instant::now() > deadline {
                return answer;
            }
        }
    }
}

/// A client that waits no longer than a test would, and shows redirects instead of following them.
pub(crate) fn client(builder: reqwest::ClientBuilder) -> Client {
    builder
        .no_proxy()
        .timeout(DEADLINE)
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .expect("a client without TLS needs nothing")
}

/// What came back, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
    /// The body, or null when it is not JSON.
    pub(crate) json: Value,
}

impl Answer {
    pub(crate) async fn to(request: RequestBuilder) -> Self {
        let response = request.send().await.expect("the server answers");
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.expect("the answer is whole");
        let json = serde_json::from_str(&text).unwrap_or_default();
        Self { status, headers, text, json }
    }

    /// The answer, which must have this status.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text);
        self
    }

    /// The answer, which must be this refusal in the form that all refusals have.
    #[track_caller]
    pub(crate) fn refuses(self, status: u16, code: &str) -> Self {
        assert_eq!((self.status, self.code()), (status, code), "{}", self.text);
        assert!(self.json["error"].as_str().is_some_and(|error| !error.is_empty()), "{}", self.text);
        self
    }

    /// The word for programs of a refusal, or nothing.
    pub(crate) fn code(&self) -> &str {
        self.json["code"].as_str().unwrap_or_default()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    pub(crate) fn reservation_id(&self) -> i64 {
        id_of(&self.json["reservation"])
    }

    pub(crate) fn purchase_id(&self) -> i64 {
        id_of(&self.json["purchase"])
    }
}

/// The identity of anything on the wire.
#[track_caller]
pub(crate) fn id_of(value: &Value) -> i64 {
    value["id"].as_i64().unwrap_or_else(|| panic!("{value} has no id"))
}

/// As many people with accounts, made in one statement.
pub(crate) async fn crowd(db: &PgPool, count: i32) -> Vec<Person> {
    let created: Vec<(i64, String)> = sqlx::query_as(
        "insert into users (username, username_key)
         select name, name from (select 'guest' || nextval('users_id_seq') as name from generate_series(1, $1)) names
         returning id, username",
    )
    .bind(count)
    .fetch_all(db)
    .await
    .expect("users are created");
    let key = SessionKey::load(SESSION_KEY.as_bytes(), db).await.expect("the database has a secret");
    created
        .into_iter()
        .map(|(id, username)| {
            let token = session::token(&key, &User { id, username: username.clone() });
            Person { id, username, token }
        })
        .collect()
}

/// Gives each of the people a reservation of the drop that lapsed a moment ago, as a shop without sweeper would leave it.
pub(crate) async fn lapsed_reservations(db: &PgPool, drop_id: i64, people: &[Person]) {
    let ids: Vec<i64> = people.iter().map(|person| person.id).collect();
    sqlx::query(
        "with held as (
             insert into reservations (drop_id, size_id, user_id, created_at, expires_at)
             select $1, s.id, u.id, clock_timestamp() - interval '1 minute',
                    clock_timestamp() - interval '1 second' + u.position * interval '1 microsecond'
             from drop_sizes s, unnest($2::bigint[]) with ordinality as u (id, position) where s.drop_id = $1
             returning size_id
         ), moved as (
             update drop_sizes s set available_stock = s.available_stock - held.count, held_stock = held_stock + held.count
             from (select size_id, count(*) as count from held group by size_id) held where s.id = held.size_id
         )
         update drops set version = version + 1 where id = $1",
    )
    .bind(drop_id)
    .bind(ids)
    .execute(db)
    .await
    .expect("there is stock for all of them");
}

/// Makes a reservation lapse at this very moment.
pub(crate) async fn lapse(db: &PgPool, reservation_id: i64) {
    let sql = "update reservations set expires_at = clock_timestamp() where id = $1";
    sqlx::query(sql).bind(reservation_id).execute(db).await.expect("the reservation is there");
}

/// The one number that a query returns.
pub(crate) async fn number(db: &PgPool, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(db).await.unwrap_or_else(|error| panic!("{sql}: {error}"))
}

/// A size's part in a drop: the drop's id, version and held pairs, the size's label and available pairs.
pub(crate) type Stock = (i64, i64, i32, String, i32);

/// The stock of every drop as the database has it.
pub(crate) async fn stored_stock(db: &PgPool) -> Vec<Stock> {
    let rows = sqlx::query_as(
        "select d.id, d.version, (sum(s.held_stock) over (partition by d.id))::integer, s.label, s.available_stock
         from drops d join drop_sizes s on s.drop_id = d.id order by d.id, s.position",
    );
    rows.fetch_all(db).await.expect("stock can be read")
}

/// The stock of every drop as a node or a socket shows it.
pub(crate) fn shown_stock(drops: impl IntoIterator<Item = SneakerDrop>) -> Vec<Stock> {
    let mut drops: Vec<_> = drops.into_iter().collect();
    drops.sort_by_key(|drop| drop.id);
    let sizes = |drop: SneakerDrop| {
        let (id, version, held) = (drop.id, drop.version, drop.held_stock);
        drop.sizes.into_iter().map(move |size| (id, version, held, size.label, size.available_stock))
    };
    drops.into_iter().flat_map(sizes).collect()
}

/// Holds every drop and every size to the invariants, whatever happened before.
pub(crate) async fn assert_balanced(db: &PgPool) {
    let unbalanced: Vec<String> = sqlx::query_scalar(
        "select format('drop %s, %s: total %s, available %s, held %s; active %s, sold %s',
                       drop_id, label, total_stock, available_stock, held_stock, active, sold)
         from drop_sizes s,
              lateral (select count(*) from reservations where size_id = s.id and status = 'active') a (active),
              lateral (select count(*) from purchases where size_id = s.id) p (sold)
         where available_stock < 0 or held_stock <> active or available_stock + active + sold <> total_stock",
    )
    .fetch_all(db)
    .await
    .expect("stock can be counted");
    assert!(unbalanced.is_empty(), "pairs were made or lost: {unbalanced:#?}");

    for (claim, broken) in [
        (
            "one active reservation per user and drop",
            "select count(*) from (select from reservations where status = 'active'
             group by user_id, drop_id having count(*) > 1) twice",
        ),
        (
            "one purchase per reservation",
            "select count(*) from (select from purchases group by reservation_id having count(*) > 1) twice",
        ),
        (
            "completed reservations are those that were bought, by their holder and of the same size",
            "select count(*) from (select id, user_id, size_id from reservations where status = 'completed') r
             full join (select reservation_id, user_id, size_id from purchases) p
                 on p.reservation_id = r.id and p.user_id = r.user_id and p.size_id = r.size_id
             where r.id is null or p.reservation_id is null",
        ),
        (
            "nothing is bought at or after it lapsed",
            "select count(*) from purchases p join reservations r on r.id = p.reservation_id
             where p.created_at >= r.expires_at",
        ),
        (
            "nobody has more than the limit",
            "select count(*) from drops d join (
                 select drop_id, user_id from purchases
                 union all select drop_id, user_id from reservations where status = 'active'
             ) had on had.drop_id = d.id
             group by d.id, had.user_id having count(*) > d.limit_per_user
             union all select 0 order by 1 desc limit 1",
        ),
    ] {
        assert_eq!(number(db, broken).await, 0, "{claim}");
    }
}

/// Asks until there is an answer; fails after [`DEADLINE`].
pub(crate) async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(Instant::now() < deadline, "{what}: not within {DEADLINE:?}");
        sleep(Duration::from_millis(5)).await;
    }
}

/// What must happen within [`DEADLINE`].
pub(crate) async fn soon<T>(what: &str, event: impl Future<Output = T>) -> T {
    timeout(DEADLINE, event).await.unwrap_or_else(|_| panic!("{what}: not within {DEADLINE:?}"))
}

/// Runs all of them, this many at a time.
pub(crate) async fn at_once<F: Future>(how_many: usize, calls: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    stream::iter(calls).buffered(how_many).collect().await
}

/// How many of the answers have this status.
pub(crate) fn with_status(answers: &[Answer], status: u16) -> usize {
    answers.iter().filter(|answer| answer.status == status).count()
}

/// Waits until a transaction waits for a lock that another one has.
pub(crate) async fn waits_for_the_lock(db: &PgPool) {
    until("somebody waits for the lock", async || {
        let waiting = "select count(*) from pg_stat_activity
                       where datname = current_database() and wait_event_type = 'Lock'";
        (number(db, waiting).await > 0).then_some(())
    })
    .await;
}
