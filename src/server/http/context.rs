//! The request that a server function runs for: who asks, and the answer's headers.

use crate::{
    domain::error::DropError,
    server::{auth::caller::Caller, state::AppState},
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
    /// Adds cookies to the response.
    pub(crate) fn set_cookies(&self, cookies: impl IntoIterator<Item = HeaderValue>) {
        for cookie in cookies {
            self.response.append_header(header::SET_COOKIE, cookie);
        }
    }
}
