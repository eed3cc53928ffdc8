//! `/api/users`

use super::body::Fields;
use crate::{
    domain::{User, error::DropError},
    server::{
        auth::{accounts, caller::Caller, session},
        state::AppState,
    },
};
use axum::{
    Json, Router,
    extract::State,
    http::header,
    response::{IntoResponse, Response},
    routing::post,
};
use serde_json::json;

pub(super) fn routes() -> Router<AppState> {
    Router::new().route("/users/get-or-create", post(get_or_create_user))
}

async fn get_or_create_user(
    State(state): State<AppState>,
    caller: Caller,
    body: Fields,
) -> Result<Response, DropError> {
    let username = body.required("username", body.text(&["username"])?)?;
    let account = accounts::get_or_create(&state, &caller, username).await?;
    let user: User = account.user;
    if !account.is_claimed_by_caller {
        return Ok(Json(json!({ "user": user })).into_response());
    }
    let token = session::token(&state.session_key, &user);
    let mut response = Json(json!({ "user": user, "token": token })).into_response();
    for cookie in caller.sign_in_cookies(&state, &user) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    Ok(response)
}
