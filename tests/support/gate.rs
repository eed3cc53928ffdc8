//! A gate inside the database, to hold a transaction between its lock and its COMMIT.

use super::until;
use sqlx::{PgPool, Postgres, pool::PoolConnection};

/// Holds every transaction that reserves a pair until it is opened.
pub(crate) struct Gate {
    db: PgPool,
    /// Has the advisory lock that the transactions wait for.
    keeper: PoolConnection<Postgres>,
}

impl Gate {
    /// Holds transactions as they insert the reservation: the drop is locked, nothing is committed.
    pub(crate) async fn before_commit(db: &PgPool) -> Self {
        Self::build(
            db,
            "create trigger gate before insert on reservations for each row execute function wait_at_gate()",
        )
        .await
    }

    /// Holds transactions inside their COMMIT, when there is no way back.
    pub(crate) async fn inside_commit(db: &PgPool) -> Self {
        Self::build(
            db,
            "create constraint trigger gate after insert on reservations
             deferrable initially deferred for each row execute function wait_at_gate()",
        )
        .await
    }

    /// The same for the reservation of one user.
    pub(crate) async fn inside_commit_of(db: &PgPool, user_id: i64) -> Self {
        let trigger = format!(
            "create constraint trigger gate after insert on reservations deferrable initially deferred
             for each row when (new.user_id = {user_id}) execute function wait_at_gate()"
        );
        Self::build(db, sqlx::AssertSqlSafe(trigger)).await
    }

    async fn build(db: &PgPool, trigger: impl sqlx::SqlSafeStr) -> Self {
        sqlx::raw_sql(
            "create function wait_at_gate() returns trigger language plpgsql as
             $$ begin perform pg_advisory_xact_lock_shared(1); return new; end $$",
        )
        .execute(db)
        .await
        .expect("the function is new");
        sqlx::raw_sql(trigger).execute(db).await.expect("the trigger is new");
        let mut keeper = db.acquire().await.expect("a connection for the keeper");
        sqlx::query("select pg_advisory_lock(1)").execute(&mut *keeper).await.expect("nobody else is at the gate");
        Self { db: db.clone(), keeper }
    }

    /// Waits until a transaction stands at the gate; returns the process of PostgreSQL that runs it.
    pub(crate) async fn somebody_waits(&self) -> i32 {
        until("a transaction reaches the gate", async || {
            let waiting = sqlx::query_scalar(
                "select pid from pg_locks where locktype = 'advisory' and not granted
                 and database = (select oid from pg_database where datname = current_database())",
            );
            waiting.fetch_optional(&self.db).await.expect("locks can be listed")
        })
        .await
    }

    /// Ends the process of PostgreSQL that runs the transaction at the gate.
    pub(crate) async fn terminate_who_waits(&self) {
        let pid = self.somebody_waits().await;
        let terminated: bool = sqlx::query_scalar("select pg_terminate_backend($1)")
            .bind(pid)
            .fetch_one(&self.db)
            .await
            .expect("processes of our own may be ended");
        assert!(terminated);
    }

    /// Lets everybody through from now on.
    pub(crate) async fn open(mut self) {
        sqlx::query("select pg_advisory_unlock(1)").execute(&mut *self.keeper).await.expect("the keeper is there");
    }
}
