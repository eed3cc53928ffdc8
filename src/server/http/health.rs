//! `/healthz`, `/readyz`, and `/health` as the second replaced system had it.

use crate::{
    domain::{Timestamp, error::DropError},
    server::{
        database::{Purpose, guard::PoolGuard},
        state::AppState,
    },
};
use axum::{Json, extract::State};
use serde_json::json;
use std::time::Duration;
use tokio::time::timeout;

/// Answers as long as the process runs.
pub(crate) async fn liveness() -> Json<serde_json::Value> {
    Json(json!({ "status": "ok" }))
}

/// As [`liveness`], with the time.
pub(crate) async fn liveness_now(State(state): State<AppState>) -> Json<serde_json::Value> {
    Json(json!({ "status": "ok", "timestamp": Timestamp::from(state.clock.now()) }))
}

/// Whether this node can sell: its database answers and can be written to.
pub(crate) async fn readiness(State(state): State<AppState>) -> Result<Json<serde_json::Value>, DropError> {
    let question = async {
        let mut connection = PoolGuard::acquire_for(Purpose::Sale, &state.pool).await?;
        let question =
            sqlx::query_scalar!(r#"select current_setting('transaction_read_only') = 'off' as "is_writable!""#);
        let is_writable = question.fetch_one(&mut *connection).await?;
        connection.put_back();
        Ok::<_, sqlx::Error>(is_writable)
    };
    match timeout(TIMEOUT, question).await {
        Ok(Ok(true)) => Ok(Json(json!({ "status": "ready" }))),
        _ => Err(DropError::Unavailable),
    }
}

/// How long the database may take to answer a node that calls itself ready.
const TIMEOUT: Duration = Duration::from_secs(2);
