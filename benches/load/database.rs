//! The database of a measurement: created fresh, filled by SQL, and removed afterwards.

use chrono::Utc;
use sneakdrop::server::{
    auth::session::{SessionKey, token},
    identity::Identity,
};
use sqlx::{
    PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
    types::Uuid,
};
use std::{env, str::FromStr};

/// A database for one group of cases.
pub(crate) struct Database {
    /// Connects to the database that `DATABASE_URL` names, from which this one is created and removed.
    maintenance: PgPool,
    pub(crate) options: PgConnectOptions,
    pub(crate) pool: PgPool,
}

/// A user with a session.
pub(crate) struct Buyer {
    id: i64,
    /// Value of the `Authorization` header.
    pub(crate) authorization: String,
}

/// The largest stock that a drop may have.
pub(crate) const MAX_STOCK: i32 = 1_000_000;

/// Signs the buyers' tokens; the server must be started with the same key.
pub(crate) const SESSION_KEY: &str = "a session key for benchmarks, longer than 32 characters";

impl Database {
    /// Creates the database with an empty schema; one that an aborted run left behind is removed first.
    pub(crate) async fn create() -> Self {
        let maintenance_options = maintenance_options();
        let options = maintenance_options.clone().database("sneakdrop_bench_case");
        let maintenance = connect(maintenance_options).await;
        run(&maintenance, "drop database if exists sneakdrop_bench_case with (force)").await;
        run(&maintenance, "create database sneakdrop_bench_case").await;
        let pool = PgPoolOptions::new().max_connections(4).connect_lazy_with(options.clone());
        sqlx::migrate!().run(&pool).await.expect("the migrations run on an empty database");
        Self { maintenance, options, pool }
    }

    /// Creates `count` users.
    pub(crate) async fn create_buyers(&self, count: i32) -> Vec<Buyer> {
        let users: Vec<(i64, Uuid)> = sqlx::query_as(
            "insert into users (username, username_key, username_skeletons, username_scripts)
             select name, name, '{}', '' from (select 'buyer' || n as name from generate_series(1, $1) n) names
             returning id, public_id",
        )
        .bind(count)
        .fetch_all(&self.pool)
        .await
        .expect("users are created");
        let key = SessionKey::load(SESSION_KEY.as_bytes(), &self.pool).await.expect("the database has a secret");
        let buyer = |(id, public_id)| {
            let token = token(&key, [Identity { id, public_id }], Utc::now());
            Buyer { id, authorization: format!("Bearer {token}") }
        };
        users.into_iter().map(buyer).collect()
    }

    /// Creates a live drop of one size and returns its id.
    pub(crate) async fn create_drop(&self, stock: i32) -> i64 {
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

    /// Creates an active reservation of the drop for each buyer.
    pub(crate) async fn create_reservations(&self, drop_id: i64, buyers: &[Buyer]) {
        let ids: Vec<i64> = buyers.iter().map(|buyer| buyer.id).collect();
        sqlx::query(
            "with held as (
                 insert into reservations (drop_id, size_id, user_id, price_cents, expires_at)
                 select $1, s.id, u.id, 19900, clock_timestamp() + interval '1 day'
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
        .expect("the stock suffices for every buyer");
    }

    /// Vacuums and flushes the rows inserted so far, so that PostgreSQL does not do it during a measurement.
    pub(crate) async fn vacuum_and_checkpoint(&self) {
        run(&self.pool, "vacuum analyze").await;
        // Without the privilege for it, PostgreSQL chooses the time of the checkpoint.
        let _ = sqlx::raw_sql("checkpoint").execute(&self.maintenance).await;
    }

    pub(crate) async fn remove(self) {
        self.pool.close().await;
        run(&self.maintenance, "drop database sneakdrop_bench_case with (force)").await;
        self.maintenance.close().await;
    }
}

/// Makes PostgreSQL create its WAL files, as one that has been running for a while already has. On a new cluster, a
/// commit that needs another file (16 MB) creates it first, which takes tens of milliseconds, and one case fills
/// several.
pub(crate) async fn preallocate_wal() {
    let maintenance = connect(maintenance_options()).await;
    // Without the privilege for it, the figures are those of a new cluster.
    let _ = sqlx::raw_sql(
        "select count(pg_logical_emit_message(false, 'bench', repeat('x', 1000000))) from generate_series(1, 600);
         checkpoint",
    )
    .execute(&maintenance)
    .await;
    maintenance.close().await;
}

/// The database that `DATABASE_URL` names.
fn maintenance_options() -> PgConnectOptions {
    let url = env::var("DATABASE_URL").expect("DATABASE_URL is set; script/bench sets it");
    PgConnectOptions::from_str(&url).expect("DATABASE_URL is a PostgreSQL URL")
}

async fn connect(options: PgConnectOptions) -> PgPool {
    PgPoolOptions::new().max_connections(1).connect_with(options).await.expect("PostgreSQL accepts connections")
}

async fn run(pool: &PgPool, sql: &'static str) {
    sqlx::raw_sql(sql).execute(pool).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
}
