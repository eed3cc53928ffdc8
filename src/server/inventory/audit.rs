//! The audit log of a drop: who changed what, written in the transaction of the change.

use super::new_drop::IdempotencyKey;
use crate::{
    domain::{Timestamp, error::DropError},
    server::database::{
        Pool,
        error::{fault, with_timeout},
        guard::PoolGuard,
    },
};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use sqlx::PgConnection;
use std::fmt;

/// Who changes a drop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Actor {
    /// Somebody at the desk, by the number of their session.
    Session(i64),
    /// A caller of the REST API with the admin token.
    Token,
    /// The sample data of a new shop.
    Seed,
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Session(id) => write!(f, "session {id}"),
            Self::Token => f.write_str("token"),
            Self::Seed => f.write_str("seed"),
        }
    }
}

/// A change to be logged. `before` and `after` have the fields that changed.
#[derive(Default)]
pub(super) struct NewChange {
    pub(super) action: &'static str,
    /// The drop's after the change.
    pub(super) edit_version: i64,
    pub(super) before: Value,
    pub(super) after: Value,
    pub(super) reason: Option<String>,
    pub(super) purchase_id: Option<i64>,
    /// The buyer whose purchase was cancelled.
    pub(super) user_id: Option<i64>,
    /// Of the request, so that its repetition is recognised.
    pub(super) key: Option<IdempotencyKey>,
}

/// Adds a change to the log.
pub(super) async fn log(
    connection: &mut PgConnection,
    drop_id: i64,
    actor: Actor,
    now: DateTime<Utc>,
    change: NewChange,
) -> Result<(), sqlx::Error> {
    let object = |value: Value| if value.is_null() { Value::Object(Default::default()) } else { value };
    sqlx::query!(
        "insert into drop_changes
             (drop_id, edit_version, actor, action, before, after, reason, purchase_id, user_id, created_at, key)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        drop_id,
        change.edit_version,
        actor.to_string(),
        change.action,
        object(change.before),
        object(change.after),
        change.reason,
        change.purchase_id,
        change.user_id,
        now,
        change.key.map(|key| key.0)
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Removes the reason of a cancellation. The log lets nobody do so before it has an entry that says who did.
pub(super) async fn remove_reason(
    connection: &mut PgConnection,
    drop_id: i64,
    purchase_id: i64,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update drop_changes set reason = null where drop_id = $1 and purchase_id = $2 and reason is not null",
        drop_id,
        purchase_id
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Whether a change with this key was made.
pub(super) async fn has_key(
    connection: &mut PgConnection,
    drop_id: i64,
    key: &IdempotencyKey,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select exists (select from drop_changes where drop_id = $1 and key = $2) as "has_key!""#,
        drop_id,
        key.0
    )
    .fetch_one(connection)
    .await
}

/// Whether anybody but the actor edited the drop after an edit version.
pub(super) async fn others_edited(
    connection: &mut PgConnection,
    drop_id: i64,
    edit_version: i64,
    actor: Actor,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select exists (
               select from drop_changes where drop_id = $1 and edit_version > $2 and actor <> $3
           ) as "others_edited!""#,
        drop_id,
        edit_version,
        actor.to_string()
    )
    .fetch_one(connection)
    .await
}

/// Writes a drop's description, which may be empty.
pub(super) async fn set_description(
    connection: &mut PgConnection,
    drop_id: i64,
    description: &str,
) -> Result<(), sqlx::Error> {
    if description.is_empty() {
        sqlx::query!("delete from drop_descriptions where drop_id = $1", drop_id).execute(connection).await?;
    } else {
        sqlx::query!(
            "insert into drop_descriptions (drop_id, description) values ($1, $2)
             on conflict (drop_id) do update set description = excluded.description",
            drop_id,
            description
        )
        .execute(connection)
        .await?;
    }
    Ok(())
}

/// A change as it is in the log.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Change {
    pub(crate) id: i64,
    pub(crate) drop_id: i64,
    /// The drop's after the change.
    pub(crate) edit_version: i64,
    /// `session <number>`, `token`, `seed`, `migration` or `sql <role>`.
    pub(crate) actor: String,
    pub(crate) action: String,
    /// The fields that changed, with their values before and after.
    pub(crate) before: Value,
    pub(crate) after: Value,
    pub(crate) reason: Option<String>,
    pub(crate) purchase_id: Option<i64>,
    pub(crate) created_at: Timestamp,
}

/// How many changes a page of the log has.
const CHANGES_ON_A_PAGE: usize = 50;

/// Which changes to read.
#[derive(Clone, Copy, Default)]
pub(crate) struct Wanted {
    /// Of one drop, or of all.
    pub(crate) drop_id: Option<i64>,
    /// Those before this one.
    pub(crate) before: Option<i64>,
    /// Those of a later edit version.
    pub(crate) since_edit_version: Option<i64>,
}

/// When a drop was paused last.
pub(crate) async fn paused_at(pool: &Pool, drop_id: i64) -> Result<Option<Timestamp>, DropError> {
    let paused_at = sqlx::query_scalar!(
        r#"select max(created_at) from drop_changes where drop_id = $1 and after @> '{"is_paused": true}'"#,
        drop_id
    );
    let mut connection = PoolGuard::acquire(pool).await.map_err(fault)?;
    let paused_at = with_timeout(paused_at.fetch_one(&mut *connection)).await?;
    connection.put_back();
    Ok(paused_at.map(Into::into))
}

/// One page of the log.
pub(crate) struct Changes {
    /// Newest first, at most [`CHANGES_ON_A_PAGE`].
    pub(crate) changes: Vec<Change>,
    /// The next page is of those before this one.
    pub(crate) older: Option<i64>,
}

pub(crate) async fn changes(pool: &Pool, wanted: Wanted) -> Result<Changes, DropError> {
    let rows = sqlx::query_as!(
        Change,
        r#"select id, drop_id, edit_version, actor, action, before, after, reason, purchase_id,
                  created_at as "created_at: DateTime<Utc>"
           from drop_changes
           where ($1::bigint is null or drop_id = $1) and id < $2 and edit_version > $3
           order by id desc limit $4"#,
        wanted.drop_id,
        wanted.before.unwrap_or(i64::MAX),
        wanted.since_edit_version.unwrap_or(0),
        CHANGES_ON_A_PAGE as i64 + 1
    );
    let mut connection = PoolGuard::acquire(pool).await.map_err(fault)?;
    let mut changes = with_timeout(rows.fetch_all(&mut *connection)).await?;
    connection.put_back();
    let has_older = changes.len() > CHANGES_ON_A_PAGE;
    changes.truncate(CHANGES_ON_A_PAGE);
    let older = changes.last().filter(|_| has_older).map(|change| change.id);
    Ok(Changes { changes, older })
}
