//! `/api/users`

use super::body::Body;
use crate::{
    domain::{User, error::DropError},
    server::{
        auth::{
            accounts::{self, Proof},
            caller::Caller,
            session,
        },
        state::AppState,
    },
};
use axum::{
    Json, Router,
    extract::State,
    http::header,
    response::{AppendHeaders, IntoResponse},
    routing::post,
};
use serde::{Deserialize, Serialize};

pub(super) fn routes() -> Router<AppState> {
    Router::new().route("/api/users/get-or-create", post(get_or_create_user))
}

#[derive(Deserialize)]
struct GetOrCreateUserRequest {
    username: String,
}

#[derive(Serialize)]
struct GetOrCreateUserResponse {
    user: User,
    /// For `Authorization: Bearer`, if the caller may act as this user.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
}

async fn get_or_create_user(
    State(state): State<AppState>,
    caller: Caller,
    Body(request): Body<GetOrCreateUserRequest>,
) -> Result<impl IntoResponse, DropError> {
    let account = accounts::get_or_create(&state, &caller, &request.username, Proof::Token).await?;
    let (token, cookies) = if account.is_claimed_by_caller {
        let cookies = caller.sign_in_cookies(&state, account.identity).map(|cookie| (header::SET_COOKIE, cookie));
        (Some(session::token(&state.session_key, [account.identity], state.clock.now())), cookies.to_vec())
    } else {
        (None, vec![])
    };
    Ok((AppendHeaders(cookies), Json(GetOrCreateUserResponse { user: account.user, token })))
}
