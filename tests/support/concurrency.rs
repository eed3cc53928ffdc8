//! Requests that run at the same time.

use super::{answer::Answer, api::Api, people::Person};
use futures_util::{StreamExt, future::join_all, stream};
use serde_json::json;
use tokio::task::JoinHandle;

/// Runs all futures, at most `limit` at a time, and returns their outputs in order.
pub(crate) async fn concurrently<F: Future>(limit: usize, futures: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    stream::iter(futures).buffered(limit).collect().await
}

/// A request that changes stock.
#[derive(Clone, Copy)]
pub(crate) enum Action {
    Reserve,
    ReserveSize(&'static str),
    Purchase,
    Release,
}

/// Sends a request from a task of its own. Aborting the task closes the request's connection.
pub(crate) fn spawn_call(api: &Api, person: &Person, drop_id: i64, action: Action) -> JoinHandle<Answer> {
    let (api, person) = (api.clone(), person.clone());
    tokio::spawn(async move {
        match action {
            Action::Reserve => api.reserve(&person, drop_id).await,
            Action::ReserveSize(size) => api.reserve_size(&person, drop_id, size).await,
            Action::Purchase => api.purchase(&person, drop_id).await,
            Action::Release => api.release(&person, drop_id).await,
        }
    })
}

/// Reserves from a task of its own and returns the first answer, also if it is `unavailable`.
pub(crate) fn spawn_single_reserve(api: &Api, person: &Person, drop_id: i64) -> JoinHandle<Answer> {
    let (api, token) = (api.clone(), person.token.clone());
    tokio::spawn(async move { api.post(&format!("/api/drops/{drop_id}/reserve"), &token, json!({})).await })
}

/// Waits for the answers of spawned calls.
pub(crate) async fn join_calls(calls: Vec<JoinHandle<Answer>>) -> Vec<Answer> {
    join_all(calls).await.into_iter().map(|answer| answer.expect("the task does not panic")).collect()
}
