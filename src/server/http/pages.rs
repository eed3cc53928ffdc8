//! The pages, rendered with a nonce for the Content-Security-Policy.

use super::{
    content::{self, filters::Wanted},
    document::shell,
    query::query,
};
use crate::{
    domain::{
        Snapshot,
        error::{DropError, Missing},
    },
    server::{
        auth::{accounts, caller::Caller},
        state::AppState,
    },
    text,
    ui::{app::FirstPaint, router::Page},
};
use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, Uri, header},
    response::{AppendHeaders, Html, IntoResponse, Redirect, Response},
};
use leptos::{
    nonce::{Nonce, provide_nonce},
    prelude::*,
    server_fn::error::ServerFnUrlError,
};

/// Renders the page at an address. Everything that it shows is read first, so nothing is streamed, and no script needs to follow the
/// document with what was read later, as Leptos's own handler would add.
pub(crate) async fn page(State(state): State<AppState>, request: Request) -> Response {
    let caller = Caller::from_headers(&state, request.headers());
    let first_paint = first_paint(&state, &caller, request.uri(), request.headers()).await;
    let outcome = query(request.uri());
    if outcome.contains_key(SIGNED_IN) && !outcome.contains_key(ERROR) && first_paint.has_visitor() {
        return Redirect::to(&with_outcome(request.uri(), None)).into_response();
    }
    let cookies = cookies(&state, &caller, &first_paint).into_iter().map(|cookie| (header::SET_COOKIE, cookie));
    let cookies = AppendHeaders(cookies.collect::<Vec<_>>());
    let status = status(&first_paint);
    let refresh = refresh(&first_paint, request.uri());
    let (document, nonce) = Owner::new().with(|| {
        provide_nonce();
        let nonce = expect_context::<Nonce>().to_string();
        let hold_seconds = state.config.reservation_ttl.as_secs();
        let options = state.leptos.clone();
        let document = shell(options, &state.package, first_paint, nonce.clone(), hold_seconds, refresh).to_html();
        (document, nonce)
    });
    let headers = [
        (header::CONTENT_SECURITY_POLICY, content_security_policy(&nonce)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (status, headers, cookies, Html(document)).into_response()
}

/// The cookies of a browser that is in use live on; the session of a user who does not exist any more ends.
fn cookies(state: &AppState, caller: &Caller, first_paint: &FirstPaint) -> Vec<HeaderValue> {
    match &first_paint.snapshot {
        Ok(_) if !first_paint.has_visitor() && caller.identity().is_some() => vec![caller.sign_out_cookie()],
        Ok(_) => {
            let size = first_paint.size.as_ref().and_then(|size| caller.size_cookie(size));
            caller.renewed_cookies(state).into_iter().chain(size).collect()
        }
        Err(_) => vec![],
    }
}

async fn first_paint(state: &AppState, caller: &Caller, uri: &Uri, headers: &HeaderMap) -> FirstPaint {
    let mut snapshot = snapshot(state, caller, uri, headers).await;
    let mut address = uri.path_and_query().map_or("/", |address| address.as_str()).to_owned();
    let mut content = None;
    let filter = Wanted::read(uri, snapshot.as_ref().map(|snapshot| &*snapshot.drops).unwrap_or_default());
    let size = filter.size.clone().or_else(|| caller.size.clone());
    if let Ok(known) = &snapshot {
        match content::content(state, caller, uri, known, &filter).await {
            Ok(html) => content = html,
            // Somebody else's order, or a page of a list that cannot begin there.
            Err(DropError::NotFound(Missing::Path)) => address = Page::NotFound.to_string(),
            Err(error) => snapshot = Err(error),
        }
    }
    if address == Page::NotFound.to_string() {
        content = Some(content::lost(state));
    }
    let notice = state.config.origins.referring_page(headers).and_then(|_| notice(uri));
    FirstPaint { address, notice, snapshot, content, show: filter.show, wanted_size: filter.size, size }
}

async fn snapshot(state: &AppState, caller: &Caller, uri: &Uri, headers: &HeaderMap) -> Result<Snapshot, DropError> {
    let page = Page::at(uri.path());
    let past = match page {
        Page::Drop(id) if !state.catalog.has(id) => state.catalog.read_past(&state.pool, id).await?,
        _ => None,
    };
    let visitor = match caller.identity() {
        Some(user) => accounts::returning_visitor(state, user, past.as_ref().map(|drop| drop.id)).await?,
        None => None,
    };
    let (epoch, mut drops) = state.catalog.snapshot();
    match page {
        Page::Drop(id) => match drops.iter_mut().find(|drop| drop.id == id) {
            // A drop's own page lists more purchasers than a card.
            Some(drop) => drop.latest_purchasers = state.catalog.purchasers(id).unwrap_or_default(),
            None => {
                drops.extend(past);
                drops.sort_by_key(|drop| (drop.starts_at, drop.id));
            }
        },
        // Anything may ask for what does not exist, and needs no drops for it but the visitor's own.
        Page::NotFound => drops.retain(|drop| {
            let reservations = visitor.iter().flat_map(|visitor| &visitor.reservations);
            reservations.into_iter().any(|held| held.drop_id == drop.id)
        }),
        _ => {}
    }
    Ok(Snapshot {
        now: state.clock.now().into(),
        epoch,
        origin: state.config.origins.of_this_site(headers),
        drops,
        visitor,
    })
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

/// When and where a browser without scripts asks for the page again: as soon as a held pair expires, or a drop of the page opens or
/// ends. Not earlier, as what is being typed may be lost.
fn refresh(FirstPaint { address, snapshot, .. }: &FirstPaint, uri: &Uri) -> Option<String> {
    let Snapshot { now, drops, visitor, .. } = snapshot.as_ref().ok()?;
    let page = Page::at(address);
    let shown = drops.iter().filter(|drop| page == Page::Dashboard || page == Page::Drop(drop.id));
    let changes = shown.flat_map(|drop| [Some(drop.starts_at), drop.ends_at]).flatten();
    let held = visitor.iter().flat_map(|visitor| &visitor.reservations).map(|held| held.expires_at);
    let seconds = changes.chain(held).filter(|at| at > now).map(|at| (*at - **now).num_seconds()).min()?;
    // An address that no page has may be one of another site, such as `//evil.test`.
    (page != Page::NotFound).then(|| format!("{};url={}", seconds + 1, with_outcome(uri, None)))
}

/// What became of a form that was posted without WebAssembly, as the redirect to this page has it in its query. Anyone can
/// make a link with such a query, so it only counts on the way from a page of this site.
fn notice(uri: &Uri) -> Option<String> {
    let query = query(uri);
    match query.get(ERROR) {
        Some(error) => Some(notice_text(ServerFnUrlError::decode_err(error))),
        // With the cookie, the browser was redirected again.
        None if query.contains_key(SIGNED_IN) => Some(text::COOKIES_NEEDED.into()),
        None => None,
    }
}

/// The address of a page with this outcome of a form in its query, and none of the forms before it.
pub(super) fn with_outcome(page: &Uri, outcome: Option<&str>) -> String {
    let query: Vec<(String, String)> =
        page.query().and_then(|query| serde_urlencoded::from_str(query).ok()).unwrap_or_default();
    let own = query.into_iter().filter(|(name, _)| ![FUNCTION, ERROR, SIGNED_IN].contains(&&**name));
    let query: Vec<_> = own.chain(outcome.map(|name| (name.to_owned(), String::new()))).collect();
    match serde_urlencoded::to_string(query) {
        Ok(query) if !query.is_empty() => format!("{}?{query}", page.path()),
        _ => page.path().to_owned(),
    }
}

/// In the query of the page to which a browser returns after signing in without WebAssembly.
pub(super) const SIGNED_IN: &str = "signed-in";

/// Where Leptos puts the path and the error of a form that was refused.
const FUNCTION: &str = "__path";
const ERROR: &str = "__err";

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
    use crate::domain::{ONE_SIZE, Reservation, ReservationStatus, SneakerDrop, Timestamp, User, Visitor};
    use chrono::{DateTime, TimeDelta};

    #[test]
    fn the_outcome_of_a_form_replaces_those_before_it() {
        for (page, without, signed_in) in [
            ("/", "/", "/?signed-in="),
            ("/?", "/", "/?signed-in="),
            ("/?size=US+9&show=live", "/?size=US+9&show=live", "/?size=US+9&show=live&signed-in="),
            ("/?size=US%209&__err=a&__path=b&signed-in&x", "/?size=US+9&x=", "/?size=US+9&x=&signed-in="),
            ("/drops/1?signed-in=&signed-in=1&%5F_err=a", "/drops/1", "/drops/1?signed-in="),
            ("http://shop.test/purchases?before=5#7", "/purchases?before=5", "/purchases?before=5&signed-in="),
        ] {
            let uri = page.parse().expect("an address");
            assert_eq!(with_outcome(&uri, None), without, "{page}");
            assert_eq!(with_outcome(&uri, Some(SIGNED_IN)), signed_in, "{page}");
        }
    }

    #[test]
    fn a_page_is_asked_for_again_after_its_next_change_and_only_at_its_own_address() {
        let at =
            |seconds: i64| Timestamp::from(DateTime::from_timestamp(1_800_000_000 + seconds, 0).expect("in range"));
        let drop = |id, starts_at, ends_at: Option<i64>| SneakerDrop {
            id,
            name: "Volt Runner".into(),
            description: String::new(),
            price_cents: 19_900,
            image_url: None,
            limit_per_user: None,
            version: 1,
            starts_at: at(starts_at),
            ends_at: ends_at.map(at),
            paused: false,
            total_stock: 10,
            available_stock: 10,
            held_stock: 0,
            sizes: vec![],
            latest_purchasers: vec![],
        };
        let just_now = Timestamp::from(*at(0) - TimeDelta::milliseconds(1));
        let just_opened = SneakerDrop { starts_at: just_now, ..drop(1, -10, None) };
        let drops = [just_opened, drop(2, -10, Some(90)), drop(3, 60, Some(900)), drop(4, -90, Some(-10))];
        let held = Reservation {
            id: 1,
            drop_id: 1,
            user_id: 7,
            size: ONE_SIZE.into(),
            price_cents: 19_900,
            status: ReservationStatus::Active,
            created_at: at(-18),
            expires_at: at(42),
        };
        let user = User { id: 7, username: "alice".into() };
        let visitor = Visitor { user, reservations: vec![held], purchases: vec![], cancelled_purchases: vec![] };
        for (address, with_held, without) in [
            ("/", Some("43;url=/"), Some("61;url=/")),
            ("/?show=live&__err=a&__path=b", Some("43;url=/?show=live"), Some("61;url=/?show=live")),
            ("/drops/1", Some("43;url=/drops/1"), None),
            ("/drops/2", Some("43;url=/drops/2"), Some("91;url=/drops/2")),
            ("/drops/3", Some("43;url=/drops/3"), Some("61;url=/drops/3")),
            ("/drops/4", Some("43;url=/drops/4"), None),
            ("/purchases?before=5", Some("43;url=/purchases?before=5"), None),
            ("/nowhere", None, None),
            ("//evil.test", None, None),
        ] {
            for (visitor, expected) in [(Some(visitor.clone()), with_held), (None, without)] {
                let first_paint = FirstPaint {
                    address: address.into(),
                    notice: None,
                    snapshot: Ok(Snapshot {
                        now: at(0),
                        epoch: String::new(),
                        origin: String::new(),
                        drops: drops.to_vec(),
                        visitor,
                    }),
                    content: None,
                    show: None,
                    wanted_size: None,
                    size: None,
                };
                let uri = address.parse().expect("an address");
                assert_eq!(refresh(&first_paint, &uri).as_deref(), expected, "{address}");
            }
        }
    }

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
