//! Compares what the server acknowledged during a measurement with what the database has afterwards.

use sqlx::PgPool;

/// The requests of a measurement, counted by their responses.
#[derive(Debug, Default)]
pub(crate) struct Acknowledged {
    pub(crate) reservations: i64,
    pub(crate) purchases: i64,
    /// Requests without a response, or with one of an unexpected status: each may or may not have been committed.
    pub(crate) unknown_outcomes: i64,
}

impl Acknowledged {
    /// Panics unless every acknowledged reservation and purchase was stored since `before`, and nothing else besides
    /// requests with an unknown outcome.
    pub(crate) async fn assert_stored(&self, db: &PgPool, before: RowCounts) {
        let after = RowCounts::read(db).await;
        let expected = |acknowledged| acknowledged..=acknowledged + self.unknown_outcomes;
        let stored = after.reservations - before.reservations;
        assert!(expected(self.reservations).contains(&stored), "{stored} reservations were stored for {self:?}");
        let stored = after.purchases - before.purchases;
        assert!(expected(self.purchases).contains(&stored), "{stored} purchases were stored for {self:?}");
    }
}

/// How many rows the tables have, of any status.
pub(crate) struct RowCounts {
    reservations: i64,
    purchases: i64,
}

impl RowCounts {
    pub(crate) async fn read(db: &PgPool) -> Self {
        let reservations = count(db, "select count(*) from reservations").await;
        let purchases = count(db, "select count(*) from purchases").await;
        Self { reservations, purchases }
    }
}

async fn count(db: &PgPool, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(db).await.unwrap_or_else(|error| panic!("{sql}: {error}"))
}
