//! Drops to test with.

use serde_json::{Value, json};
use sqlx::PgPool;

/// The body that creates a valid drop, with some fields replaced; null removes a field.
pub(crate) fn new_drop(changes: &Value) -> Value {
    let mut body = json!({ "name": "Court 76", "priceCents": 12_900, "totalStock": 5 });
    for (field, value) in changes.as_object().expect("an object") {
        body[field] = value.clone();
    }
    body
}

/// Ends the sale of every drop.
pub(crate) async fn end_every_drop(db: &PgPool) {
    let sql = "update drops set starts_at = clock_timestamp() - interval '1 day', ends_at = clock_timestamp()";
    set_sale_window(db, sql).await;
}

/// Runs a statement that changes when drops start or end.
pub(crate) async fn set_sale_window(db: &PgPool, sql: &'static str) {
    sqlx::query(sql).execute(db).await.expect("the window is valid");
}
