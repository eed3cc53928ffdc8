//! Databases whose schema is of another version.

use crate::support::{
    Node, SESSION_KEY, ServerProcess, Settings, output_of_failed_start, query_number, soon,
    transactions_waiting_for_a_lock, until, until_a_transaction_waits_for_a_lock,
};
use sqlx::PgPool;

#[sqlx::test]
async fn database_with_other_migrations_is_refused_with_one_line(db: PgPool) {
    sqlx::query("update _sqlx_migrations set checksum = 'other' where version = 1")
        .execute(&db)
        .await
        .expect("there are migrations");
    let output = output_of_failed_start(&db.connect_options()).await;
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

#[sqlx::test(migrations = false)]
async fn database_with_the_tables_of_others_is_left_as_it_is(db: PgPool) {
    for (tables, named) in [
        ("create table accounts (id integer)", "accounts"),
        ("drop table accounts; create table users (id integer); create view names as select id from users", "names"),
        (
            "create table _sqlx_migrations (version bigint primary key, description text not null,
              installed_on timestamptz not null default now(), success boolean not null, checksum bytea not null,
              execution_time bigint not null);
          insert into _sqlx_migrations values (20240101000000, 'theirs', now(), true, 'theirs', 0)",
            "names",
        ),
    ] {
        sqlx::raw_sql(tables).execute(&db).await.expect("the tables are new");
        let count = "select count(*) from pg_class where relnamespace = 'public'::regnamespace";
        let before = query_number(&db, count).await;
        let output = output_of_failed_start(&db.connect_options()).await;
        let stderr = String::from_utf8(output.stderr).expect("the message is text");
        assert_eq!((output.status.code(), stderr.lines().count()), (Some(1), 1), "{stderr}");
        assert!(stderr.contains(&format!("table {named} ")) && stderr.contains("empty database"), "{stderr}");
        assert_eq!(query_number(&db, count).await, before);
    }
}

/// A backup reads the tables for a long time, and the first who waits for it holds up everybody after.
#[sqlx::test(migrations = false)]
async fn migration_that_waits_for_a_backup_holds_up_nobody(db: PgPool) {
    let mut earlier = sqlx::migrate!();
    earlier.migrations.to_mut().truncate(2);
    earlier.run(&db).await.expect("the migrations run on an empty database");
    let mut backup = db.begin().await.expect("a free connection");
    sqlx::query("lock table users in access share mode").execute(&mut *backup).await.expect("the lock is free");
    let options = db.connect_options();
    let start = tokio::spawn(async move { ServerProcess::start(&options, &[], &[("SESSION_KEY", SESSION_KEY)]).await });
    for name in ["first", "second"] {
        until_a_transaction_waits_for_a_lock(&db).await;
        let insert = "insert into users (username, username_key) values ($1, $1)";
        let inserted = soon("somebody signs up", sqlx::query(insert).bind(name).execute(&db)).await;
        inserted.expect("the name is free");
        until("the migration lets others pass", async || {
            (transactions_waiting_for_a_lock(&db).await == 0).then_some(())
        })
        .await;
    }
    backup.rollback().await.expect("the transaction can be rolled back");
    start.await.expect("the server starts");
    assert_eq!(query_number(&db, "select count(*) from users where public_id is null").await, 0);
}

/// Text in the order of a language is ordered anew by another version of the C library, and a name could exist twice.
#[sqlx::test]
async fn unique_text_is_compared_byte_by_byte(db: PgPool) {
    let others: Vec<String> = sqlx::query_scalar(
        r#"select i.indexrelid::regclass::text
           from pg_index i cross join lateral unnest(i.indcollation::oid[]) as used (collation_id)
           join pg_class c on c.oid = i.indrelid join pg_collation o on o.oid = used.collation_id
           where i.indisunique and c.relnamespace = 'public'::regnamespace and c.relname <> '_sqlx_migrations'
               and o.collname <> 'C'"#,
    )
    .fetch_all(&db)
    .await
    .expect("the catalogs can be read");
    assert_eq!(others, [""; 0]);
}

/// Roles of managed PostgreSQL may not ask which server they are connected to.
#[sqlx::test]
async fn role_that_may_not_identify_the_server_can_run_a_node(db: PgPool) {
    let name: String = sqlx::query_scalar("select current_database()").fetch_one(&db).await.expect("a name");
    let role = format!("limited_{name}");
    for statement in [
        format!("create role \"{role}\" login password 'limited'"),
        format!("grant all on schema public to \"{role}\""),
        format!("grant all on all tables in schema public to \"{role}\""),
        format!("grant all on all sequences in schema public to \"{role}\""),
        "revoke execute on function pg_control_system() from public".into(),
        "revoke execute on function pg_current_wal_lsn() from public".into(),
    ] {
        sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(&db).await.expect("the test's role may");
    }
    let limited = (*db.connect_options()).clone().username(&role).password("limited");
    let node = Node::start_with(&db, Settings { database: Some(limited), ..Settings::default() }).await;
    let drop_id = node.create_open_drop(2).await;
    let alice = node.sign_in("alice").await;
    node.reserve(&alice, drop_id).await.expect_status(201);
    let other = node.start_another(Settings::default()).await;
    other.purchase(&alice, drop_id).await.expect_status(200);
    // It learns of what others commit.
    node.until_catalog_matches_database().await;
    node.stop_and_assert_invariants().await;
    other.stop().await;
    let dropped = format!("drop owned by \"{role}\"; drop role \"{role}\"");
    sqlx::raw_sql(sqlx::AssertSqlSafe(dropped)).execute(&db).await.expect("nobody uses it");
}
