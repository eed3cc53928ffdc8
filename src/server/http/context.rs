//! The request that a server function runs for: who asks, and the answer's headers.

use crate::{
    domain::error::DropError,
    server::{auth::caller::Caller, identity::Identity, state::AppState},
};
use axum::http::{HeaderValue, header, request::Parts};
use leptos::prelude::*;
use leptos_axum::ResponseOptions;

pub(crate) struct RequestContext {
    pub(crate) state: AppState,
    pub(crate) caller: Caller,
    response: ResponseOptions,
}

/// Reads the request from the context that [`server_functions`](super::server_functions) provides.
pub(crate) fn request() -> Result<RequestContext, DropError> {
    let context = (use_context::<AppState>(), use_context::<Parts>(), use_context::<ResponseOptions>());
    let (Some(state), Some(parts), Some(response)) = context else { return Err(DropError::Internal) };
    let caller = Caller::from_headers(&state, &parts.headers);
    Ok(RequestContext { state, caller, response })
}

impl RequestContext {
    /// Who asks. A page names the user that it shows, and acts for nobody else: another tab may have signed in somebody since.
    pub(crate) fn require_shown(&self, user_id: Option<i64>) -> Result<Identity, DropError> {
        let identity = self.caller.require_identity()?;
        if user_id.is_some_and(|shown| shown != identity.id) { Err(DropError::AnotherUser) } else { Ok(identity) }
    }

    /// Adds cookies to the response.
    pub(crate) fn set_cookies(&self, cookies: impl IntoIterator<Item = HeaderValue>) {
        for cookie in cookies {
            self.response.append_header(header::SET_COOKIE, cookie);
        }
    }
}
