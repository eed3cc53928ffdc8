//! Row locks in the database.

use super::{stock::query_number, wait::until};
use sqlx::{PgPool, Postgres, Transaction};
use std::{collections::HashSet, pin::pin};

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

/// Waits for an answer; returns it with how many statements waited for a lock meanwhile.
pub(crate) async fn count_waits<T>(db: &PgPool, answer: impl Future<Output = T>) -> (T, usize) {
    let statements = "select pid || ' ' || query_start from pg_stat_activity
                      where datname = current_database() and wait_event_type = 'Lock'";
    let (mut answer, mut seen) = (pin!(answer), HashSet::<String>::new());
    loop {
        tokio::select! {
            answer = &mut answer => return (answer, seen.len()),
            waiting = sqlx::query_scalar(statements).fetch_all(db) => seen.extend(waiting.expect("the view can be read")),
        }
    }
}

/// How many transactions of this database wait for a lock.
pub(crate) async fn transactions_waiting_for_a_lock(db: &PgPool) -> i64 {
    let waiting = "select count(*) from pg_stat_activity
                   where datname = current_database() and wait_event_type = 'Lock'";
    query_number(db, waiting).await
}
