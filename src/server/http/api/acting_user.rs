//! The user for whom a request acts.

use super::body::required;
use crate::{
    domain::error::{DropError, Missing},
    server::{
        auth::{accounts, caller::Caller},
        state::AppState,
        whole_number::Id,
    },
};

/// The caller, or with the admin token the user whom the body names in the given field.
pub(super) async fn acting_user(
    state: &AppState,
    caller: &Caller,
    named: (&str, Option<Id>),
) -> Result<i64, DropError> {
    if caller.is_admin {
        let user_id = required(named)?.get();
        return if accounts::exists(&state.pool, user_id).await? {
            Ok(user_id)
        } else {
            Err(DropError::NotFound(Missing::User))
        };
    }
    let user = caller.require_user()?;
    match named.1 {
        Some(named) if named.get() != user.id => Err(DropError::Forbidden),
        _ => Ok(user.id),
    }
}
