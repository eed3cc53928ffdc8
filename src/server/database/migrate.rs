//! The schema is brought up to date when a node starts.

use super::{error::is_transient, pool::portable};
use sqlx::{
    Connection, Executor, PgConnection, Row,
    migrate::{MigrateError, Migrator},
    postgres::PgConnectOptions,
    query_scalar, raw_sql,
};
use std::{error::Error, time::Duration};
use tokio::time::{Instant, sleep, timeout};

/// Waits for the database and applies the migrations. Several nodes may do so at the same time; a lock in the database admits
/// one after the other.
pub(crate) async fn migrate(database: &PgConnectOptions) -> Result<(), Box<dyn Error + Send + Sync>> {
    let database = portable(database.clone());
    let mut connection = connect(&database).await?;
    if is_shared_between_transactions(&mut connection, &database).await? {
        return Err(
            "the database is behind a pool that gives each transaction another session, such as PgBouncer with \
                    pool_mode = transaction; Sneakdrop needs pool_mode = session"
                .into(),
        );
    }
    if let Some(table) = foreign_table(&mut connection).await? {
        return Err(format!(
            "the database has a table {table} that is not Sneakdrop's, and was left as it is: give an empty database"
        )
        .into());
    }
    let mut migrator = sqlx::migrate!();
    // Migrations are only added, and this version runs on the schema of a newer one.
    migrator.set_ignore_missing(true);
    let deadline = Instant::now() + MIGRATION_TIMEOUT;
    loop {
        match apply(&migrator, &database).await {
            Ok(()) => return Ok(()),
            Err(MigrateError::VersionMismatch(version)) => {
                return Err(format!(
                    "the database was made by another migration {version} than this version of Sneakdrop has, and was \
                     left as it is: give an empty database"
                )
                .into());
            }
            Err(MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _))
                if is_transient(&error) && Instant::now() < deadline =>
            {
                tracing::warn!(%error, "a migration is repeated");
                sleep(RETRY_DELAY).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

async fn apply(migrator: &Migrator, database: &PgConnectOptions) -> Result<(), MigrateError> {
    let mut connection = PgConnection::connect_with(database).await?;
    // Whoever waits for a lock on a table holds up everybody who comes after: a short wait, and another try later.
    connection.execute("set lock_timeout = '1s'").await?;
    migrator.run(&mut connection).await
}

/// Connects as soon as the database can be reached.
async fn connect(database: &PgConnectOptions) -> Result<PgConnection, Box<dyn Error + Send + Sync>> {
    let deadline = Instant::now() + DATABASE_TIMEOUT;
    loop {
        let error = match timeout(CONNECT_TIMEOUT, PgConnection::connect_with(database)).await {
            Ok(Ok(connection)) => return Ok(connection),
            Ok(Err(error)) if !is_transient(&error) => return Err(error.into()),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "it does not answer".into(),
        };
        if Instant::now() > deadline {
            let seconds = DATABASE_TIMEOUT.as_secs();
            return Err(format!("the database could not be reached within {seconds} s: {error}").into());
        }
        tracing::warn!(error, "waiting for the database");
        sleep(RETRY_DELAY).await;
    }
}

/// Whether another client can get the session of this connection between two of its transactions. Settings, prepared
/// statements and locks of a session would then be another client's.
async fn is_shared_between_transactions(
    connection: &mut PgConnection,
    database: &PgConnectOptions,
) -> Result<bool, sqlx::Error> {
    // By the simple protocol: prepared statements are what may not work.
    let session = async |connection: &mut PgConnection, sql: &'static str| {
        raw_sql(sql).fetch_one(connection).await?.try_get::<i32, _>(0)
    };
    let before = session(connection, "select pg_backend_pid()").await?;
    let occupy = async {
        let mut other = PgConnection::connect_with(database).await?;
        let session = session(&mut other, "begin; select pg_backend_pid()").await?;
        Ok((other, session))
    };
    match timeout(CONNECT_TIMEOUT, occupy).await {
        Ok(Ok((_transaction, other))) => {
            Ok(other == before || session(connection, "select pg_backend_pid()").await? != before)
        }
        Ok(Err(error)) => {
            let error: sqlx::Error = error;
            if error.to_string().contains("statement pooling mode") { Ok(true) } else { Err(error) }
        }
        // A pool with one session, which is this connection's.
        Err(_) => Ok(false),
    }
}

/// A table that is not Sneakdrop's, if the database is not. Extensions may have theirs.
async fn foreign_table(connection: &mut PgConnection) -> Result<Option<String>, sqlx::Error> {
    let has_migrations: bool =
        query_scalar("select to_regclass('_sqlx_migrations') is not null").fetch_one(&mut *connection).await?;
    // The first migration has version 1. Others count from another number, or from a date.
    if has_migrations
        && query_scalar("select exists (select from _sqlx_migrations where version = 1)")
            .fetch_one(&mut *connection)
            .await?
    {
        return Ok(None);
    }
    query_scalar(
        "select relname::text from pg_class
         where relnamespace = current_schema()::regnamespace and relkind in ('r', 'p', 'v', 'm', 'f')
             and relname <> '_sqlx_migrations'
             and not exists (select from pg_depend where classid = 'pg_class'::regclass and objid = pg_class.oid and deptype = 'e')
         order by relname limit 1",
    )
    .fetch_optional(connection)
    .await
}

/// How long a start waits until it can reach the database.
const DATABASE_TIMEOUT: Duration = Duration::from_secs(30);

/// How long one attempt to connect may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a start tries to apply migrations, which wait for others who use the tables.
const MIGRATION_TIMEOUT: Duration = Duration::from_secs(600);

const RETRY_DELAY: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    /// The release before runs on the schema of this one while nodes are replaced, and after a way back: migrations only
    /// add. What this refuses needs two releases, the first of which stops using it.
    #[test]
    fn migrations_take_nothing_away_from_the_release_before() {
        for migration in sqlx::migrate!().iter().filter(|migration| migration.version > 1) {
            let sql = migration.sql.as_str().to_lowercase();
            let statements =
                sql.lines().filter(|line| !line.trim_start().starts_with("--")).collect::<Vec<_>>().join(" ");
            // A trigger against it is none.
            let statements = statements.replace("before truncate on", "");
            // Which order text has concerns no older server.
            let statements = statements.replace(" type text collate ", "").replace(" type text[] collate ", "");
            for destructive in ["drop table", "drop column", "rename ", "truncate", " type ", "delete from"] {
                assert!(!statements.contains(destructive), "migration {}: {destructive}", migration.version);
            }
            // A column that the release before does not write must fill itself.
            for column in statements.split("add column ").skip(1) {
                let column = column.split([',', ';']).next().unwrap_or_default();
                assert!(
                    !column.contains("not null") || column.contains("default") || column.contains("generated"),
                    "migration {}: {column}",
                    migration.version
                );
            }
        }
    }
}
