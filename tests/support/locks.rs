//! Row locks in the database.

use super::{stock::query_number, wait::until};
use sqlx::{PgPool, Postgres, Transaction};

/// Takes the lock of a drop, so that every transaction of that drop waits until this one ends.
pub(crate) async fn lock_drop(db: &PgPool, drop_id: i64) -> Transaction<'static, Postgres> {
    let mut transaction = db.begin().await.expect("a free connection");
    sqlx::query("select from drops where id = $1 for no key update")
        .bind(drop_id)
        .execute(&mut *transaction)
        .await
        .expect("the lock is free");
    transaction
}

pub(crate) async fn until_a_transaction_waits_for_a_lock(db: &PgPool) {
    until("a transaction waits for a lock", async || (transactions_waiting_for_a_lock(db).await > 0).then_some(()))
        .await;
}

/// How many transactions of this database wait for a lock.
pub(crate) async fn transactions_waiting_for_a_lock(db: &PgPool) -> i64 {
    let waiting = "select count(*) from pg_stat_activity
                   where datname = current_database() and wait_event_type = 'Lock'";
    query_number(db, waiting).await
}
