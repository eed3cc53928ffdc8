//! Who may do what under `/admin`. The routes ask, not each page, so that no page can forget to.

use super::{document::error_page, sign_in};
use crate::{
    domain::error::{DropError, Missing},
    server::{
        auth::admin,
        http::{accept::shows_a_page, pages::page},
        state::AppState,
    },
};
use axum::{
    extract::{Request, State},
    http::Method,
    middleware::Next,
    response::{IntoResponse, Redirect, Response},
};

/// Without an admin token there is no desk. With one, it is only for pages of this site and for programs: those of
/// `CORS_ORIGIN` may act for their visitors, but neither act nor read for the admin.
pub(super) async fn require_own_page(State(state): State<AppState>, request: Request, next: Next) -> Response {
    if state.admin_access.is_none() {
        return if asks_for_a_page(request.method()) {
            page(State(state), request).await
        } else {
            DropError::NotFound(Missing::Path).into_response()
        };
    }
    if !state.config.origins.may_act_for_the_admin(request.headers()) {
        return DropError::ForeignOrigin.into_response();
    }
    next.run(request).await
}

/// Whoever is signed out is led to the sign-in, and from there to the page that was asked for. What comes after finds the session as
/// [`AdminSession`](admin::AdminSession).
pub(super) async fn require_session(State(state): State<AppState>, mut request: Request, next: Next) -> Response {
    // A script that fetches a page wants to know that it is signed out.
    let is_fetched = request.headers().get("sec-fetch-mode").is_some_and(|mode| mode != "navigate");
    let asks_for_a_page = asks_for_a_page(request.method()) && !is_fetched;
    let is_form = shows_a_page(request.headers());
    match admin::session(&state, request.headers()).await {
        Ok(Some(session)) => {
            request.extensions_mut().insert(session);
            next.run(request).await
        }
        Ok(None) if asks_for_a_page => sign_in::lead_to_sign_in(request.uri()).into_response(),
        // Whoever signs out is out.
        Ok(None) if is_form && request.uri().path() == "/admin/sign-out" => {
            Redirect::to("/admin/sign-in").into_response()
        }
        Ok(None) if is_form => sign_in::session_ended(&state),
        Ok(None) => DropError::Unauthorized.into_response(),
        Err(error) if asks_for_a_page || is_form => error_page(&state, &error),
        Err(error) => error.into_response(),
    }
}

/// Anything else is a call.
pub(super) fn asks_for_a_page(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}
