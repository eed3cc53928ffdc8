//! `/admin/sign-in` and `/admin/sign-out`.

use super::{
    document::{Place, document, error_page, refused},
    form::Form,
};
use crate::{
    domain::error::DropError,
    server::{
        auth::admin::{self, AdminSession, SignInRefusal},
        state::AppState,
    },
    text::{self, desk},
};
use axum::{
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{AppendHeaders, IntoResponse, Redirect, Response},
};
use leptos::prelude::*;
use serde::Deserialize;

pub(super) async fn page(State(state): State<AppState>, headers: HeaderMap) -> Response {
    match admin::session(&state, &headers).await {
        Ok(Some(_)) => Redirect::to("/admin").into_response(),
        Ok(None) => form(&state, None),
        Err(error) => error_page(&state, &error),
    }
}

#[derive(Deserialize)]
pub(super) struct SignInForm {
    token: String,
}

pub(super) async fn sign_in(
    State(state): State<AppState>,
    headers: HeaderMap,
    Form(SignInForm { token }): Form<SignInForm>,
) -> Response {
    match admin::sign_in(&state, &headers, &token).await {
        Ok(cookies) => {
            let cookies = AppendHeaders(cookies.map(|cookie| (header::SET_COOKIE, cookie)));
            (cookies, Redirect::to("/admin")).into_response()
        }
        Err(SignInRefusal::WrongToken) => {
            refused(form(&state, Some(desk::WRONG_TOKEN.into())), &DropError::Unauthorized)
        }
        Err(SignInRefusal::TooManyTries { retry_after_seconds: seconds }) => {
            let page = form(&state, Some(desk::too_many_tries(seconds)));
            (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, seconds.to_string())], page).into_response()
        }
        Err(SignInRefusal::Fault(error)) => refused(form(&state, Some(error.to_string())), &error),
    }
}

pub(super) async fn sign_out(State(state): State<AppState>, headers: HeaderMap, session: AdminSession) -> Response {
    match admin::sign_out(&state, &headers, session).await {
        Ok(cookie) => ([(header::SET_COOKIE, cookie)], Redirect::to("/admin/sign-in")).into_response(),
        Err(error) => error_page(&state, &error),
    }
}

/// For a form that was sent after its session: a browser that reloads this page sends the form again.
pub(super) fn session_ended(state: &AppState) -> Response {
    let content = view! {
        <h1>{desk::SESSION_ENDED}</h1>
        <p>{desk::SESSION_ENDED_HINT}</p>
        <p>
            <a href="/admin/sign-in" target="_blank">
                {text::SIGN_IN}
            </a>
        </p>
    };
    refused(document(state, Place::SignIn, content), &DropError::Unauthorized)
}

/// Says why a token that was sent did not let its sender in.
fn form(state: &AppState, problem: Option<String>) -> Response {
    let content = view! {
        <form method="post" action="/admin/sign-in" class="sign-in">
            <h1>{text::SIGN_IN}</h1>
            <p class="quiet">{desk::SIGN_IN_HINT}</p>
            <label for="token">{desk::ADMIN_TOKEN}</label>
            <input
                id="token"
                name="token"
                type="password"
                required
                autofocus
                autocomplete="current-password"
                aria-invalid=problem.is_some().then_some("true")
                aria-describedby="token-error"
            />
            <p id="token-error" class="field-error" role="alert">
                {problem}
            </p>
            <button class="primary">{text::SIGN_IN}</button>
        </form>
    };
    document(state, Place::SignIn, content)
}
