//! The pages, rendered with a nonce for the Content-Security-Policy.

use super::document::shell;
use crate::{
    domain::{Snapshot, error::DropError},
    server::{
        auth::{accounts, caller::Caller, origin},
        state::AppState,
    },
    text,
    ui::{app::FirstPaint, router::Page},
};
use axum::{
    extract::{Query, Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, Uri, header},
    response::{IntoResponse, Redirect, Response},
};
use leptos::{nonce::use_nonce, prelude::*, server_fn::error::ServerFnUrlError};
use leptos_axum::{ResponseOptions, render_app_async_with_context};
use std::collections::HashMap;

/// Renders the page at an address. Everything that it shows is read first, so nothing is streamed.
pub(crate) async fn page(State(state): State<AppState>, request: Request) -> Response {
    let caller = Caller::from_headers(&state, request.headers());
    let first_paint = first_paint(&state, &caller, request.uri(), request.headers()).await;
    if request.uri().query().is_some_and(|query| query.trim_end_matches('=') == SIGNED_IN) && first_paint.has_visitor()
    {
        return Redirect::to(request.uri().path()).into_response();
    }
    let cookies = cookies(&state, &caller, &first_paint);
    let status = status(&first_paint);
    let options = state.leptos.clone();
    let context = move || {
        let response = expect_context::<ResponseOptions>();
        response.set_status(status);
        if let Some(nonce) = use_nonce() {
            response.insert_header(header::CONTENT_SECURITY_POLICY, content_security_policy(&nonce));
        }
        response.insert_header(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        cookies.iter().for_each(|cookie| response.append_header(header::SET_COOKIE, cookie.clone()));
    };
    let document = move || shell(options.clone(), first_paint.clone(), use_nonce().map(|nonce| nonce.to_string()));
    render_app_async_with_context(context, document)(request).await
}

/// The cookies of a browser that is in use live on; the session of a user who does not exist any more ends.
fn cookies(state: &AppState, caller: &Caller, first_paint: &FirstPaint) -> Vec<HeaderValue> {
    match &first_paint.snapshot {
        Ok(_) if !first_paint.has_visitor() && caller.identity().is_some() => vec![caller.sign_out_cookie()],
        Ok(_) => caller.renewed_cookies(state),
        Err(_) => vec![],
    }
}

async fn first_paint(state: &AppState, caller: &Caller, uri: &Uri, headers: &HeaderMap) -> FirstPaint {
    let mut snapshot = snapshot(state, caller, headers).await;
    let address = uri.path_and_query().map_or("/", |address| address.as_str());
    // A drop's own page lists more purchasers than a card.
    if let (Page::Drop(id), Ok(snapshot)) = (Page::at(address), &mut snapshot)
        && let Some(drop) = snapshot.drops.iter_mut().find(|drop| drop.id == id)
    {
        drop.latest_purchasers = state.catalog.purchasers(id).unwrap_or_default();
    }
    let notice = origin::is_referred_by_this_site(headers).then(|| notice(uri)).flatten();
    FirstPaint { address: address.into(), notice, snapshot }
}

async fn snapshot(state: &AppState, caller: &Caller, headers: &HeaderMap) -> Result<Snapshot, DropError> {
    let visitor = match caller.identity() {
        Some(user) => accounts::returning_visitor(&state.pool, user).await?,
        None => None,
    };
    let catalog = &state.catalog;
    Ok(Snapshot { now: state.clock.now().into(), origin: origin::origin(headers), drops: catalog.drops(), visitor })
}

fn status(FirstPaint { address, snapshot, .. }: &FirstPaint) -> StatusCode {
    let exists = |id| snapshot.as_ref().is_ok_and(|snapshot| snapshot.drops.iter().any(|drop| drop.id == id));
    match (Page::at(address), snapshot) {
        (Page::NotFound, _) => StatusCode::NOT_FOUND,
        (_, Err(error)) => StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
        (Page::Drop(id), Ok(_)) if !exists(id) => StatusCode::NOT_FOUND,
        _ => StatusCode::OK,
    }
}

/// What became of a form that was posted without WebAssembly, as the redirect to this page has it in its query. Anyone can
/// make a link with such a query, so it only counts on the way from a page of this site.
fn notice(uri: &Uri) -> Option<String> {
    let Query(query) = Query::<HashMap<String, String>>::try_from_uri(uri).unwrap_or_default();
    match query.get("__err") {
        Some(error) => Some(notice_text(ServerFnUrlError::decode_err(error))),
        // With the cookie, the browser was redirected again.
        None if query.contains_key(SIGNED_IN) => Some(text::COOKIES_NEEDED.into()),
        None => None,
    }
}

/// In the query of the page to which a browser returns after signing in without WebAssembly.
pub(super) const SIGNED_IN: &str = "signed-in";

/// The text of an error from the query. Its own words are never shown.
fn notice_text(error: DropError) -> String {
    match error {
        DropError::Invalid { field, .. } if field == "username" => text::USERNAME_RULE.into(),
        DropError::Invalid { .. } | DropError::MalformedBody(_) => DropError::Internal.to_string(),
        DropError::SizeRequired { .. } => DropError::SizeRequired { sizes_left: vec![] }.to_string(),
        DropError::UnknownSize { .. } => DropError::UnknownSize { sizes_left: vec![] }.to_string(),
        other => other.to_string(),
    }
}

fn content_security_policy(nonce: &str) -> HeaderValue {
    // `cargo leptos watch` reloads the page over a socket on a port of its own.
    let reload = if std::env::var_os("LEPTOS_WATCH").is_some() { " ws:" } else { "" };
    let policy = format!(
        "default-src 'none'; script-src 'self' 'nonce-{nonce}' 'wasm-unsafe-eval'; style-src 'self'; font-src 'self'; \
         img-src 'self' https:; connect-src 'self'{reload}; manifest-src 'self'; base-uri 'none'; form-action 'self'; \
         frame-ancestors 'none'"
    );
    HeaderValue::try_from(policy).expect("a nonce is base64")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forged_link_cannot_put_its_words_on_the_page() {
        let forged = "Send your card number to evil.test";
        for error in [
            DropError::invalid(forged, forged),
            DropError::invalid("username", forged),
            DropError::MalformedBody(forged.into()),
            DropError::SizeRequired { sizes_left: vec![forged.into()] },
            DropError::UnknownSize { sizes_left: vec![forged.into()] },
        ] {
            assert!(!notice_text(error).contains("evil.test"));
        }
    }
}
