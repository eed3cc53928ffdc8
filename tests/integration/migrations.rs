//! Databases whose schema is of another version.

use crate::support::{SESSION_KEY, ServerProcess, query_number};
use sqlx::{ConnectOptions, PgPool};
use std::process::Command;

#[sqlx::test]
async fn database_with_other_migrations_is_refused_with_one_line(db: PgPool) {
    sqlx::query("update _sqlx_migrations set checksum = 'other' where version = 1")
        .execute(&db)
        .await
        .expect("there are migrations");
    let url = db.connect_options().to_url_lossy();
    let started = tokio::task::spawn_blocking(move || {
        Command::new(env!("CARGO_BIN_EXE_sneakdrop"))
            .envs([("DATABASE_URL", url.as_str()), ("SESSION_KEY", SESSION_KEY), ("PORT", "0"), ("RUST_LOG", "warn")])
            .output()
            .expect("cargo builds the binary before the tests")
    });
    let output = started.await.expect("the task does not panic");
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8(output.stderr).expect("the message is text");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(stderr.contains("another migration 1") && stderr.contains("empty database"), "{stderr}");
    assert_eq!(query_number(&db, "select count(*) from _sqlx_migrations where checksum = 'other'").await, 1);
}

#[sqlx::test]
async fn older_server_runs_on_a_newer_schema(db: PgPool) {
    let newer = "insert into _sqlx_migrations (version, description, success, checksum, execution_time)
                 values (9999, 'newer', true, 'newer', 0)";
    sqlx::query(newer).execute(&db).await.expect("the version is free");
    ServerProcess::start(&db.connect_options(), &[], &[("SESSION_KEY", SESSION_KEY)]).await;
}
