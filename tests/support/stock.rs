//! The stock of every drop, as stored and as shown.

use sneakdrop::domain::SneakerDrop;
use sqlx::PgPool;

/// One size of a drop: the drop's id, version and held pairs, the size's label and available pairs.
pub(crate) type Stock = (i64, i64, i32, String, i32);

/// The stock in the database.
pub(crate) async fn stored_stock(db: &PgPool) -> Vec<Stock> {
    let rows = sqlx::query_as(
        "select d.id, d.version, (sum(s.held_stock) over (partition by d.id))::integer, s.label, s.available_stock
         from drops d join drop_sizes s on s.drop_id = d.id order by d.id, s.position",
    );
    rows.fetch_all(db).await.expect("stock can be read")
}

/// The stock of drops as a node's catalog or a client has them.
pub(crate) fn shown_stock(drops: impl IntoIterator<Item = SneakerDrop>) -> Vec<Stock> {
    let mut drops: Vec<_> = drops.into_iter().collect();
    drops.sort_by_key(|drop| drop.id);
    let sizes = |drop: SneakerDrop| {
        let (id, version, held) = (drop.id, drop.version, drop.held_stock);
        drop.sizes.into_iter().map(move |size| (id, version, held, size.label, size.available_stock))
    };
    drops.into_iter().flat_map(sizes).collect()
}

/// The only column of the only row of a query.
pub(crate) async fn query_number(db: &PgPool, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(db).await.unwrap_or_else(|error| panic!("{sql}: {error}"))
}
