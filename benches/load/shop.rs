//! What a measurement stands on: a database of its own, filled by SQL, and the real server in a process of its own.

use crate::cpu::Processes;
use sneakdrop::{
    domain::User,
    server::session::{SessionKey, token},
};
use sqlx::{
    ConnectOptions, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use std::{
    env,
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    str::FromStr,
    thread,
    time::Duration,
};
use tokio::{sync::oneshot, time::timeout};

const ADMIN_TOKEN: &str = "an admin token for benchmarks";
const SESSION_KEY: &str = "a session key for benchmarks, longer than 32 characters";

/// Longer than any measurement, so that the expiry of reservations has no part in it.
const RESERVATION_TTL_SECONDS: &str = "86400";

/// How many lines of its log a server may show; one that is overloaded has the same to say thousands of times.
const LINES_SHOWN: usize = 5;

/// How long a start may take.
const START: Duration = Duration::from_secs(60);

/// The most that a drop may have.
pub(crate) const PLENTY: i32 = 1_000_000;

/// Has PostgreSQL make files for its log, as one that has been running for a while has them. It makes each new one, of 16 MB, in the
/// middle of some commit, which takes tens of milliseconds, and a case here would fill several.
pub(crate) async fn make_room_in_log() {
    let home = PgPoolOptions::new().max_connections(1).connect_with(home()).await.expect("PostgreSQL is there");
    // Not everybody may; then the figures are those of a server that was just installed.
    let _ = sqlx::raw_sql(
        "select count(pg_logical_emit_message(false, 'room', repeat('x', 1000000))) from generate_series(1, 600);
         checkpoint",
    )
    .execute(&home)
    .await;
    home.close().await;
}

/// The database that `DATABASE_URL` names.
fn home() -> PgConnectOptions {
    let url = env::var("DATABASE_URL").expect("DATABASE_URL is set; script/bench does it");
    PgConnectOptions::from_str(&url).expect("DATABASE_URL is a PostgreSQL address")
}

/// A database that is made for one group of cases and dropped after it.
pub(crate) struct Database {
    /// Whose neighbour ours is.
    home: PgPool,
    pub(crate) options: PgConnectOptions,
    pub(crate) pool: PgPool,
}

impl Database {
    /// An empty shop.
    pub(crate) async fn create() -> Self {
        let home = home();
        let options = home.clone().database("sneakdrop_bench_case");
        let home = PgPoolOptions::new().max_connections(1).connect_with(home).await.expect("PostgreSQL is there");
        run(&home, "drop database if exists sneakdrop_bench_case with (force)").await;
        run(&home, "create database sneakdrop_bench_case").await;
        let pool = PgPoolOptions::new().max_connections(4).connect_lazy_with(options.clone());
        sqlx::migrate!().run(&pool).await.expect("the schema is new");
        Self { home, options, pool }
    }

    /// So many users with accounts.
    pub(crate) async fn crowd(&self, count: i32) -> Vec<Guest> {
        let users: Vec<(i64, String)> = sqlx::query_as(
            "insert into users (username, username_key)
             select name, name from (select 'guest' || n as name from generate_series(1, $1) n) names
             returning id, username",
        )
        .bind(count)
        .fetch_all(&self.pool)
        .await
        .expect("users are created");
        let key = SessionKey::load(SESSION_KEY.as_bytes(), &self.pool).await.expect("the database has a secret");
        let guest = |(id, username)| Guest { id, bearer: format!("Bearer {}", token(&key, &User { id, username })) };
        users.into_iter().map(guest).collect()
    }

    /// A drop of one size that is open.
    pub(crate) async fn open_drop(&self, stock: i32) -> i64 {
        sqlx::query_scalar(
            "with opened as (insert into drops (name, price_cents) values ('Volt Runner', 19900) returning id)
             insert into drop_sizes (drop_id, label, position, total_stock, available_stock)
             select id, 'One size', 1, $1, $1 from opened returning drop_id",
        )
        .bind(stock)
        .fetch_one(&self.pool)
        .await
        .expect("a drop is created")
    }

    /// Gives each of the guests a pair of a drop.
    pub(crate) async fn hold(&self, drop_id: i64, guests: &[Guest]) {
        let ids: Vec<i64> = guests.iter().map(|guest| guest.id).collect();
        sqlx::query(
            "with held as (
                 insert into reservations (drop_id, size_id, user_id, expires_at)
                 select $1, s.id, u.id, clock_timestamp() + interval '1 day'
                 from drop_sizes s, unnest($2::bigint[]) as u (id) where s.drop_id = $1
                 returning size_id
             ), moved as (
                 update drop_sizes s
                 set available_stock = available_stock - held.count, held_stock = held_stock + held.count
                 from (select size_id, count(*)::integer as count from held group by size_id) held
                 where s.id = held.size_id
             )
             update drops set version = version + 1 where id = $1",
        )
        .bind(drop_id)
        .bind(ids)
        .execute(&self.pool)
        .await
        .expect("there is stock for all of them");
    }

    /// Puts what was filled in behind us, so that its cleaning up does not fall into a measurement.
    pub(crate) async fn settle(&self) {
        run(&self.pool, "vacuum analyze").await;
        // Not everybody may; then PostgreSQL does it when it likes.
        let _ = sqlx::raw_sql("checkpoint").execute(&self.home).await;
    }

    pub(crate) async fn drop(self) {
        self.pool.close().await;
        run(&self.home, "drop database sneakdrop_bench_case with (force)").await;
        self.home.close().await;
    }
}

/// Somebody with an account.
pub(crate) struct Guest {
    pub(crate) id: i64,
    /// The value of the header `Authorization`.
    pub(crate) bearer: String,
}

/// A running server; killed when it is dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) processes: Processes,
    child: Child,
}

impl Server {
    /// Starts the server on a database; `way` is how it gets there.
    pub(crate) async fn start(database: &Database, way: &PgConnectOptions, arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_sneakdrop"))
            .args(arguments)
            .env("DATABASE_URL", way.to_url_lossy().as_str())
            .envs([("ADMIN_TOKEN", ADMIN_TOKEN), ("SESSION_KEY", SESSION_KEY)])
            .envs([("LISTEN_HOST", "127.0.0.1"), ("PORT", "0"), ("RUST_LOG", "info"), ("NO_COLOR", "1")])
            .env("RESERVATION_TTL_SECONDS", RESERVATION_TTL_SECONDS)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program is built");
        let log = BufReader::new(child.stderr.take().expect("stderr is piped"));
        let (said, address) = oneshot::channel();
        // Reads to the end, as a program whose log nobody reads would stop at a full pipe; shows what is amiss.
        thread::spawn(move || {
            let mut said = Some(said);
            let mut shown = 0;
            for line in log.lines().map_while(Result::ok) {
                if let Some((_, address)) = line.split_once("listening on http://")
                    && let Some(said) = said.take()
                {
                    let _ = said.send(address.trim().parse().expect("an address and a port"));
                } else if !line.contains(" INFO ") && shown < LINES_SHOWN {
                    shown += 1;
                    eprintln!("    server: {line}");
                }
            }
        });
        let address = timeout(START, address).await.expect("the server starts in time").expect("the server starts");
        let backend = sqlx::query_scalar("select pg_backend_pid()").fetch_one(&database.pool).await;
        let processes = Processes::new(child.id(), backend.expect("a connection has a process"));
        Self { address, processes, child }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn run(pool: &PgPool, sql: &'static str) {
    sqlx::raw_sql(sql).execute(pool).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
}
