//! Reservations in the database.

use super::{people::Person, stock::query_number, wait::until};
use sqlx::PgPool;

/// Makes a reservation expire now.
pub(crate) async fn expire_now(db: &PgPool, reservation_id: i64) {
    let sql = "update reservations set expires_at = clock_timestamp() where id = $1";
    sqlx::query(sql).bind(reservation_id).execute(db).await.expect("the reservation exists");
}

/// Inserts an overdue reservation for each of the people, as nodes without an expiry job would leave them. They expired
/// in the order of `people`.
pub(crate) async fn insert_expired_reservations(db: &PgPool, drop_id: i64, people: &[Person]) {
    let ids: Vec<i64> = people.iter().map(|person| person.id).collect();
    sqlx::query(
        "with held as (
             insert into reservations (drop_id, size_id, user_id, price_cents, created_at, expires_at)
             select $1, s.id, u.id, 19900, clock_timestamp() - interval '1 minute',
                    clock_timestamp() - interval '1 second' + u.position * interval '1 microsecond'
             from drop_sizes s, unnest($2::bigint[]) with ordinality as u (id, position) where s.drop_id = $1
             returning size_id
         ), moved as (
             update drop_sizes s
             set available_stock = s.available_stock - held.count, held_stock = held_stock + held.count
             from (select size_id, count(*) as count from held group by size_id) held where s.id = held.size_id
         )
         update drops set version = version + 1 where id = $1",
    )
    .bind(drop_id)
    .bind(ids)
    .execute(db)
    .await
    .expect("the drop has enough stock");
}

pub(crate) async fn status_of(db: &PgPool, reservation_id: i64) -> String {
    let sql = "select status from reservations where id = $1";
    sqlx::query_scalar(sql).bind(reservation_id).fetch_one(db).await.expect("the reservation exists")
}

/// Waits until every reservation has been purchased, released or expired.
pub(crate) async fn until_nothing_is_held(db: &PgPool) {
    until("no pair is held", async || {
        (query_number(db, "select sum(held_stock) from drop_sizes").await == 0).then_some(())
    })
    .await;
}
