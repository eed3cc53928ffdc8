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

/// For whom a call is made, and about which reservation it is.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Named {
    pub(super) user_id: Option<Id>,
    #[serde(rename = "user_id")]
    pub(super) user_id_snake: Option<Id>,
    pub(super) reservation_id: Option<Id>,
    #[serde(rename = "reservation_id")]
    pub(super) reservation_id_snake: Option<Id>,
}

/// An id that may be there, and the name of its field.
type NamedId = (&'static str, Option<Id>);

/// The `userId` or `user_id` of a body, or else of the query: some clients cannot send a body with `DELETE`.
pub(super) fn named_user(body: [Option<Id>; 2], uri: &Uri) -> Result<NamedId, DropError> {
    let query: Named = read_query(uri)?;
    in_body_or_query(["userId", "user_id"], body, [query.user_id, query.user_id_snake])
}

/// Likewise the reservation.
pub(super) fn named_reservation(body: [Option<Id>; 2], uri: &Uri) -> Result<Option<i64>, DropError> {
    let query: Named = read_query(uri)?;
    let query = [query.reservation_id, query.reservation_id_snake];
    Ok(in_body_or_query(["reservationId", "reservation_id"], body, query)?.1.map(Id::get))
}

fn in_body_or_query(
    [camel, snake]: [&'static str; 2],
    body: [Option<Id>; 2],
    query: [Option<Id>; 2],
) -> Result<NamedId, DropError> {
    let one = |[in_camel, in_snake]: [_; 2]| one_of([(camel, in_camel), (snake, in_snake)]);
    match (one(body)?, one(query)?) {
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
