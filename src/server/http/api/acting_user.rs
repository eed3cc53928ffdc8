//! The user for whom a request acts, and the admin.

use super::{
    body::{one_of, read_query, required},
    error::AdminTokenNeeded,
};
use crate::{
    domain::error::{DropError, Missing},
    server::{
        auth::{accounts, caller::Caller},
        identity::Identity,
        state::AppState,
        whole_number::Id,
    },
};
use axum::{
    extract::FromRequestParts,
    http::{Uri, request::Parts},
};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NamedUser {
    user_id: Option<Id>,
    #[serde(rename = "user_id")]
    user_id_snake: Option<Id>,
}

/// The `userId` or `user_id` of a body, or else of the query: some clients cannot send a body with `DELETE`.
pub(super) fn named_user(body: [Option<Id>; 2], uri: &Uri) -> Result<(&'static str, Option<Id>), DropError> {
    let query: NamedUser = read_query(uri)?;
    let one = |[user_id, user_id_snake]: [_; 2]| one_of([("userId", user_id), ("user_id", user_id_snake)]);
    match (one(body)?, one([query.user_id, query.user_id_snake])?) {
        ((_, Some(in_body)), (field, Some(in_query))) if in_body != in_query => {
            Err(DropError::invalid(field, "is there twice, and another one in the body"))
        }
        ((_, None), named) | (named, _) => Ok(named),
    }
}

/// A request that bears the admin token. It is asked for first, so that a body says nothing to others.
pub(super) struct Admin;

impl FromRequestParts<AppState> for Admin {
    type Rejection = AdminTokenNeeded;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, AdminTokenNeeded> {
        if Caller::from_headers(state, &parts.headers).is_admin { Ok(Self) } else { Err(AdminTokenNeeded) }
    }
}

/// The caller, or with the admin token the user whom the body names in the given field.
pub(super) async fn acting_user(
    state: &AppState,
    caller: &Caller,
    named: (&str, Option<Id>),
) -> Result<Identity, DropError> {
    if caller.is_admin {
        let user = accounts::identity_of(&state.pool, required(named)?.get()).await?;
        return user.ok_or(DropError::NotFound(Missing::User));
    }
    let user = caller.require_identity()?;
    match named.1 {
        Some(named) if named.get() != user.id => Err(DropError::Forbidden),
        _ => Ok(user),
    }
}
