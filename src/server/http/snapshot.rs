//! `GET /snapshot`: what a socket begins with, for pages to which none can be opened. They ask every few seconds.

use super::etag::{etag, unless_known};
use crate::{
    domain::{
        Timestamp,
        error::DropError,
        event::{DropsSnapshot, NOW_HEADER, ServerEvent, VisitorState},
    },
    server::{
        auth::{accounts, caller::Caller},
        state::AppState,
    },
};
use axum::{
    extract::State,
    http::{HeaderMap, HeaderValue, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;

/// The events, a line each. The visitor is read first: a change of what they hold is in the catalog before they hear of it.
pub(crate) async fn snapshot(
    State(state): State<AppState>,
    caller: Caller,
    headers: HeaderMap,
) -> Result<Response, DropError> {
    let visitor = match caller.identity() {
        Some(user) => accounts::returning_visitor(&state, user, None).await?,
        None => None,
    };
    let (epoch, drops) = state.catalog.snapshot();
    let (now, build) = (Timestamp::from(state.clock.now()), state.package.build.clone());
    // Everything but the time; a drop that changes has another version.
    let versions: Vec<_> = drops.iter().map(|drop| (drop.id, drop.version)).collect();
    let etag = etag(json(&(&epoch, &build, versions, &visitor)).as_bytes());
    let mut response = unless_known(&headers, etag, || {
        let snapshot = json(&ServerEvent::Snapshot(DropsSnapshot { now, epoch, build, drops }));
        let visitor = json(&ServerEvent::Visitor(VisitorState { visitor }));
        let content_type = [(header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"))];
        (content_type, format!("{snapshot}\n{visitor}\n")).into_response()
    });
    let now = HeaderValue::try_from(json(&now)).expect("a time is ASCII");
    response.headers_mut().insert(NOW_HEADER, now);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("an event is JSON")
}
