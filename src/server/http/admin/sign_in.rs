//! `/admin/sign-in` and `/admin/sign-out`.

use super::{
    document::{Place, document, error_page, refused},
    form::Form,
};
use crate::{
    domain::error::DropError,
    server::{
        auth::admin::{self, AdminSession, SignInRefusal},
        http::query::query,
        state::AppState,
    },
    text::{self, desk},
};
use axum::{
    extract::State,
    http::{HeaderMap, StatusCode, Uri, header},
    response::{AppendHeaders, IntoResponse, Redirect, Response},
};
use leptos::prelude::*;
use serde::Deserialize;

/// `/admin/sign-in?to=<page>`
pub(super) async fn page(State(state): State<AppState>, headers: HeaderMap, uri: Uri) -> Response {
    let to = query(&uri).remove("to").unwrap_or_default();
    match admin::session(&state, &headers).await {
        Ok(Some(_)) => Redirect::to(destination(&to)).into_response(),
        Ok(None) => form(&state, &to, None),
        Err(error) => error_page(&state, &error),
    }
}

/// For whoever asked for a page of the desk before signing in.
pub(super) fn lead_to_sign_in(asked_for: &Uri) -> Redirect {
    let to = asked_for.path_and_query().map_or("", |address| address.as_str());
    match serde_urlencoded::to_string([("to", to)]) {
        Ok(query) if destination(to) == to && to != START => Redirect::to(&format!("/admin/sign-in?{query}")),
        _ => Redirect::to("/admin/sign-in"),
    }
}

/// Where whoever signs in is led: to an address of the desk, and to nothing else.
fn destination(to: &str) -> &str {
    let path = &to[..to.find(['?', '#']).unwrap_or(to.len())];
    let is_of_the_desk = path == START || path.strip_prefix(START).is_some_and(|rest| rest.starts_with('/'));
    let is_plain = to.bytes().all(|byte| byte.is_ascii_graphic()) && !path.contains(['\\', '%']);
    let leads_elsewhere = path.split('/').any(|segment| [".", ".."].contains(&segment));
    let is_door = ["/admin/sign-in", "/admin/sign-out"].contains(&path);
    if is_of_the_desk && is_plain && !leads_elsewhere && !is_door { to } else { START }
}

/// The page that the desk begins with.
const START: &str = "/admin";

#[derive(Deserialize)]
pub(super) struct SignInForm {
    token: String,
    #[serde(default)]
    to: String,
}

pub(super) async fn sign_in(
    State(state): State<AppState>,
    headers: HeaderMap,
    Form(SignInForm { token, to }): Form<SignInForm>,
) -> Response {
    match admin::sign_in(&state, &headers, &token).await {
        Ok(cookies) => {
            let cookies = AppendHeaders(cookies.map(|cookie| (header::SET_COOKIE, cookie)));
            (cookies, Redirect::to(destination(&to))).into_response()
        }
        Err(SignInRefusal::WrongToken) => {
            refused(form(&state, &to, Some(desk::WRONG_TOKEN.into())), &DropError::Unauthorized)
        }
        Err(SignInRefusal::TooManyTries { retry_after_seconds: seconds }) => {
            let page = form(&state, &to, Some(desk::too_many_tries(seconds)));
            (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, seconds.to_string())], page).into_response()
        }
        Err(SignInRefusal::Fault(error)) => refused(form(&state, &to, Some(error.to_string())), &error),
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
fn form(state: &AppState, to: &str, problem: Option<String>) -> Response {
    let content = view! {
        <form method="post" action="/admin/sign-in" class="sign-in">
            <h1>{text::SIGN_IN}</h1>
            <p class="quiet">{desk::SIGN_IN_HINT}</p>
            <input type="hidden" name="to" value=destination(to).to_owned() />
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signing_in_leads_to_pages_of_the_desk_alone() {
        for page in [
            "/admin",
            "/admin?show=live",
            "/admin/drops/7",
            "/admin/drops/7?period=first-60#board",
            "/admin/drops/7/purchases?search=a%26b+%231&before=5",
            "/admin/log?drop=//evil.test",
        ] {
            assert_eq!(destination(page), page);
        }
        for elsewhere in [
            "",
            "/",
            "/drops/7",
            "/administrator",
            "//evil.test/admin",
            "https://evil.test/admin",
            "/\\evil.test",
            "/admin/../purchases",
            "/admin/./../purchases",
            "/admin/%2e%2e/purchases",
            "/admin/\\..\\..",
            "/admin/\tx",
            "/admin/x\r\nSet-Cookie: a=b",
            "/admin/é",
            "/admin/sign-in",
            "/admin/sign-in?to=/admin/sign-in",
            "/admin/sign-out",
            "admin",
        ] {
            assert_eq!(destination(elsewhere), "/admin", "{elsewhere:?}");
        }
    }

    #[test]
    fn who_is_led_to_the_sign_in_takes_along_what_was_asked_for() {
        for (asked_for, location) in [
            ("/admin", "/admin/sign-in"),
            ("/admin/drops/7?period=all", "/admin/sign-in?to=%2Fadmin%2Fdrops%2F7%3Fperiod%3Dall"),
            ("/admin/sign-out", "/admin/sign-in"),
            ("/admin/%2e%2e/x", "/admin/sign-in"),
        ] {
            let answer = lead_to_sign_in(&asked_for.parse().expect("an address")).into_response();
            assert_eq!(answer.headers()[header::LOCATION], location, "{asked_for}");
        }
    }
}
