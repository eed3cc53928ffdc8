//! A gate in the database that holds transactions just before or during their COMMIT.

use super::wait::until;
use sqlx::{AssertSqlSafe, PgPool, Postgres, SqlSafeStr, pool::PoolConnection};

/// Blocks every transaction that inserts a reservation until the gate is opened.
pub(crate) struct Gate {
    db: PgPool,
    /// Holds the advisory lock that the blocked transactions wait for.
    lock_holder: PoolConnection<Postgres>,
}

impl Gate {
    /// Blocks transactions while they insert the reservation: the drop is locked and nothing is committed.
    pub(crate) async fn before_commit(db: &PgPool) -> Self {
        Self::create(
            db,
            "create trigger gate before insert on reservations for each row execute function wait_at_gate()",
        )
        .await
    }

    /// Blocks transactions during COMMIT, when they can no longer be rolled back by the client.
    pub(crate) async fn during_commit(db: &PgPool) -> Self {
        Self::create(
            db,
            "create constraint trigger gate after insert on reservations
             deferrable initially deferred for each row execute function wait_at_gate()",
        )
        .await
    }

    /// Blocks transactions during COMMIT that insert a reservation of one user.
    pub(crate) async fn during_commit_for_user(db: &PgPool, user_id: i64) -> Self {
        let trigger = format!(
            "create constraint trigger gate after insert on reservations deferrable initially deferred
             for each row when (new.user_id = {user_id}) execute function wait_at_gate()"
        );
        Self::create(db, AssertSqlSafe(trigger)).await
    }

    async fn create(db: &PgPool, trigger: impl SqlSafeStr) -> Self {
        sqlx::raw_sql(
            "create function wait_at_gate() returns trigger language plpgsql as
             $$ begin perform pg_advisory_xact_lock_shared(1); return new; end $$",
        )
        .execute(db)
        .await
        .expect("the function does not exist yet");
        sqlx::raw_sql(trigger).execute(db).await.expect("the trigger does not exist yet");
        let mut lock_holder = db.acquire().await.expect("a free connection");
        sqlx::query("select pg_advisory_lock(1)").execute(&mut *lock_holder).await.expect("the lock is free");
        Self { db: db.clone(), lock_holder }
    }

    /// Waits until a transaction is blocked, and returns the id of its PostgreSQL backend process.
    pub(crate) async fn until_reached(&self) -> i32 {
        until("a transaction reaches the gate", async || {
            let waiting = sqlx::query_scalar(
                "select pid from pg_locks where locktype = 'advisory' and not granted
                 and database = (select oid from pg_database where datname = current_database())",
            );
            waiting.fetch_optional(&self.db).await.expect("locks can be listed")
        })
        .await
    }

    /// Waits until a transaction is blocked, and terminates its backend process.
    pub(crate) async fn terminate_blocked_backend(&self) {
        let pid = self.until_reached().await;
        let terminated: bool = sqlx::query_scalar("select pg_terminate_backend($1)")
            .bind(pid)
            .fetch_one(&self.db)
            .await
            .expect("a user may terminate its own backends");
        assert!(terminated);
    }

    /// Lets the blocked and all later transactions continue.
    pub(crate) async fn open(mut self) {
        sqlx::query("select pg_advisory_unlock(1)").execute(&mut *self.lock_holder).await.expect("the lock is held");
    }

    /// Removes a gate that has been opened, so that another can be created.
    pub(crate) async fn remove(db: &PgPool) {
        let sql = "drop trigger gate on reservations; drop function wait_at_gate";
        sqlx::raw_sql(sql).execute(db).await.expect("the gate exists");
    }
}
