//! The user for whom a request acts.

use super::body::required;
use crate::{
    domain::error::{DropError, Missing},
    server::{
        auth::{accounts, caller::Caller},
        identity::Identity,
        state::AppState,
        whole_number::Id,
    },
};

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
