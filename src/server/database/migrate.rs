//! The schema is brought up to date when a node starts.

use super::error::is_transient;
use sqlx::{Connection, PgConnection, migrate::MigrateError, postgres::PgConnectOptions};
use std::{error::Error, time::Duration};
use tokio::time::{interval, timeout};

/// Waits for the database and applies the migrations. Several nodes may do so at the same time; a lock in the database admits
/// one after the other.
pub(crate) async fn migrate(database: &PgConnectOptions) -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut migrator = sqlx::migrate!();
    // Migrations are only added, and this version runs on the schema of a newer one.
    migrator.set_ignore_missing(true);
    let attempt = async || migrator.run(&mut PgConnection::connect_with(database).await?).await;
    let migrated = async {
        let mut retry = interval(Duration::from_secs(1));
        loop {
            retry.tick().await;
            match attempt().await {
                Err(MigrateError::Execute(error)) if is_transient(&error) => {
                    tracing::warn!(%error, "waiting for the database");
                }
                outcome => return outcome,
            }
        }
    };
    match timeout(DATABASE_TIMEOUT, migrated).await {
        Ok(Err(MigrateError::VersionMismatch(version))) => Err(format!(
            "the database was made by another migration {version} than this version of Sneakdrop has, and was left as it \
             is: give an empty database"
        )
        .into()),
        Ok(outcome) => Ok(outcome?),
        Err(_) => Err(format!("the database did not answer within {} s", DATABASE_TIMEOUT.as_secs()).into()),
    }
}

/// How long a start waits for the database.
const DATABASE_TIMEOUT: Duration = Duration::from_secs(30);
