//! The user for whom a request acts.

use super::body::Fields;
use crate::{
    domain::error::{DropError, Missing},
    server::{
        auth::{accounts, caller::Caller},
        state::AppState,
    },
};

/// The caller, or with the admin token the user whom the body names.
pub(super) async fn acting_user(state: &AppState, caller: &Caller, body: &Fields) -> Result<i64, DropError> {
    let named = body.id(&["userId", "user_id"])?;
    if caller.is_admin {
        let user_id = body.required("userId", named)?;
        return if accounts::exists(&state.pool, user_id).await? {
            Ok(user_id)
        } else {
            Err(DropError::NotFound(Missing::User))
        };
    }
    let user = caller.require_user()?;
    match named {
        Some(named) if named != user.id => Err(DropError::Forbidden),
        _ => Ok(user.id),
    }
}
