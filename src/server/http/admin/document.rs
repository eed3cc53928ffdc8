//! The HTML document of every page of the desk.

use super::files::{SCRIPT, STYLE_SHEET};
use crate::{
    domain::error::DropError,
    server::{http::document::document_head, state::AppState},
    text::{self, desk},
};
use axum::{
    http::{HeaderName, header},
    response::{IntoResponse, Response},
};
use chrono::{DateTime, Utc};
use leptos::prelude::*;

/// A page of the desk.
pub(super) fn document(state: &AppState, place: Place<'_>, content: impl IntoView) -> Response {
    let title = match place {
        Place::SignIn => text::SIGN_IN,
        Place::Drops => text::DROPS,
        Place::NewDrop => desk::NEW_DROP,
        Place::Log => desk::LOG,
        Place::Other(title) => title,
    };
    let html = view! {
        <!DOCTYPE html>
        <html lang="en">
            {document_head(
                view! {
                    <link rel="stylesheet" href=state.package.style_sheet.clone() />
                    <link rel="stylesheet" href=STYLE_SHEET.address.clone() />
                    <script defer src=SCRIPT.address.clone()></script>
                    <title>{desk::page_title(title)}</title>
                },
            )}
            <body>
                <a class="skip" href="#content">
                    {desk::SKIP}
                </a>
                {header(place)}
                <main id="content" class="desk" tabindex="-1" data-zone=(place != Place::SignIn).then_some("")>
                    {content}
                </main>
            </body>
        </html>
    };
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (HeaderName::from_static("x-robots-tag"), "noindex"),
    ];
    (headers, html.to_html()).into_response()
}

/// Where a page is, for its title and the navigation.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place<'a> {
    /// Outside, where there is nothing to navigate to.
    SignIn,
    Drops,
    NewDrop,
    /// Of all drops.
    Log,
    /// Any other page, by its title.
    Other(&'a str),
}

/// A page that says what went wrong, with the error's status.
pub(super) fn error_page(state: &AppState, error: &DropError) -> Response {
    let title = match error {
        DropError::NotFound(_) => text::NOT_FOUND,
        // Perhaps what was pressed before was done, and only the page that shows it cannot be read.
        DropError::Unavailable | DropError::Unknown => desk::NOT_AVAILABLE,
        _ => desk::NOT_DONE,
    };
    let content = view! {
        <h1>{title}</h1>
        <p>{error.to_string()}</p>
    };
    refused(document(state, Place::Other(title), content), error)
}

/// A page that says itself what went wrong, with the error's status.
pub(super) fn refused(mut page: Response, error: &DropError) -> Response {
    let call = error.clone().into_response();
    *page.status_mut() = call.status();
    let retry_after = call.headers().get(header::RETRY_AFTER).cloned();
    page.headers_mut().extend(retry_after.map(|seconds| (header::RETRY_AFTER, seconds)));
    page
}

fn header(place: Place<'_>) -> impl IntoView {
    let navigation = (place != Place::SignIn).then(|| {
        view! {
            <div class="inside">
                <nav aria-label=text::PLACES>
                    <a href="/admin" aria-current=(place == Place::Drops).then_some("page")>
                        {text::DROPS}
                    </a>
                    <a href="/admin/drops/new" aria-current=(place == Place::NewDrop).then_some("page")>
                        {desk::NEW_DROP}
                    </a>
                    <a href="/admin/log" aria-current=(place == Place::Log).then_some("page")>
                        {desk::LOG}
                    </a>
                </nav>
                {following()}
                <form method="post" action="/admin/sign-out">
                    <button class="quiet">{text::SIGN_OUT}</button>
                </form>
            </div>
        }
    });
    view! {
        <header class="site desk">
            <a class="brand" href="/">
                {text::BRAND}
            </a>
            <span class="desk-name">{desk::DESK}</span>
            {navigation}
        </header>
    }
}

/// Whether the page follows what is stored, and how old it is. A script fills it on pages that do.
fn following() -> impl IntoView {
    view! {
        <p id="following" class="following">
            <span role="status" data-said-live=desk::LIVE data-said-reconnecting=text::RECONNECTING></span>
            <span class="as-of">" · " {desk::AS_OF} " " <time></time></span>
            <a href="/admin/sign-in" target="_blank">
                {desk::SIGNED_OUT}
            </a>
        </p>
    }
}

/// The attributes of a page that follows what is stored: the time, and the next one at which it changes by itself, so that
/// *Upcoming* does not stay after the opening.
pub(super) fn moments(
    now: DateTime<Utc>,
    changes: impl IntoIterator<Item = DateTime<Utc>>,
) -> (String, Option<String>) {
    let next = changes.into_iter().filter(|at| *at > now).min();
    (now.to_rfc3339(), next.map(|at| at.to_rfc3339()))
}

/// Scripts only as files, and pictures as on the buyers' pages.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; \
     img-src 'self' https:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
