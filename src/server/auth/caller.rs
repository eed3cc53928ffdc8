//! The caller of a request.

use super::session::{Session, day_of, token, verify, verify_all};
use crate::{
    domain::{ONE_SIZE, error::DropError},
    server::{identity::Identity, state::AppState},
};
use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, HeaderValue, header, request::Parts},
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use std::convert::Infallible;
use subtle::ConstantTimeEq;

/// Whom a request comes from.
#[derive(Clone, Debug, Default)]
pub(crate) struct Caller {
    /// The signed-in user. Whether there still is such a user is known to the database alone.
    session: Option<Session>,
    /// Whether the request bears the admin token.
    pub(crate) is_admin: bool,
    /// Every user whose name this browser has claimed.
    claims: Vec<Session>,
    /// The size that this browser reserved or looked for last.
    pub(crate) size: Option<String>,
    /// Whether the request has an `Authorization` header, and its cookies were not read.
    has_bearer: bool,
    /// Whether the request came over HTTPS, which decides the names and flags of cookies.
    is_https: bool,
    /// Whether cookies must be marked as travelling from pages of other sites.
    is_cross_site: bool,
}

impl Caller {
    /// Reads the caller from a request's headers. With a bad signature nobody is signed in, which is no error.
    pub(crate) fn from_headers(state: &AppState, headers: &HeaderMap) -> Self {
        let is_https = state.config.origins.is_https(headers);
        let is_cross_site = is_https && state.config.origins.are_cross_site();
        let key = &state.session_key;
        if let Some(bearer) = bearer(headers) {
            let session = verify(key, bearer);
            return Self {
                is_admin: state.config.admin_token.as_deref().is_some_and(|token| same(token, bearer)),
                claims: session.into_iter().collect(),
                session,
                size: None,
                has_bearer: true,
                is_https,
                is_cross_site,
            };
        }
        let tokens = |name| cookie(headers, &cookie_name(name, is_https)).unwrap_or_default();
        let size = BASE64.decode(tokens(SIZE_COOKIE)).ok().and_then(|size| String::from_utf8(size).ok());
        Self {
            session: verify(key, tokens(SESSION_COOKIE)),
            is_admin: false,
            claims: verify_all(key, tokens(CLAIMS_COOKIE)),
            size: size.filter(|size| !size.is_empty()),
            has_bearer: false,
            is_https,
            is_cross_site,
        }
    }

    /// The signed-in user, if the request has a valid session.
    pub(crate) fn identity(&self) -> Option<Identity> {
        self.session.map(|session| session.identity)
    }

    /// The signed-in user, or [`DropError::Unauthorized`].
    pub(crate) fn require_identity(&self) -> Result<Identity, DropError> {
        self.identity().ok_or(DropError::Unauthorized)
    }

    /// Whether this browser or token has claimed the name of the user.
    pub(crate) fn has_claimed(&self, user: Identity) -> bool {
        self.claims.iter().chain(&self.session).any(|session| session.identity == user)
    }

    /// Whether this browser can remember another name.
    pub(crate) fn can_claim_more(&self) -> bool {
        self.claims.len() < MAX_CLAIMS
    }

    /// The `Set-Cookie` values that sign this browser in as `user` and remember the claim.
    pub(crate) fn sign_in_cookies(&self, state: &AppState, user: Identity) -> [HeaderValue; 2] {
        let token = token(&state.session_key, [user], state.clock.now());
        [self.set_cookie(SESSION_COOKIE, &token), self.claims_cookie(state, Some(user))]
    }

    /// The `Set-Cookie` values that let this browser's cookies live on, once a day.
    pub(crate) fn renewed_cookies(&self, state: &AppState) -> Vec<HeaderValue> {
        let today = day_of(state.clock.now());
        let is_old = |session: &Session| session.day < today;
        match self.session {
            _ if self.has_bearer => vec![],
            Some(session) if is_old(&session) => self.sign_in_cookies(state, session.identity).into(),
            None if self.claims.iter().any(is_old) => vec![self.claims_cookie(state, None)],
            _ => vec![],
        }
    }

    /// The `Set-Cookie` value that signs this browser out; its claims stay.
    pub(crate) fn sign_out_cookie(&self) -> HeaderValue {
        self.set_cookie(SESSION_COOKIE, "")
    }

    /// The `Set-Cookie` value by which this browser remembers a size, if it is another than before.
    pub(crate) fn size_cookie(&self, size: &str) -> Option<HeaderValue> {
        let is_new = size != ONE_SIZE && !self.has_bearer && self.size.as_deref() != Some(size);
        is_new.then(|| self.set_cookie(SIZE_COOKIE, &BASE64.encode(size)))
    }

    /// The names that were claimed before, after the one of `user`.
    fn claims_cookie(&self, state: &AppState, user: Option<Identity>) -> HeaderValue {
        let known = self.claims.iter().map(|claim| claim.identity).filter(|claim| user != Some(*claim));
        self.set_cookie(CLAIMS_COOKIE, &token(&state.session_key, user.into_iter().chain(known), state.clock.now()))
    }

    fn set_cookie(&self, name: &str, value: &str) -> HeaderValue {
        let max_age = if value.is_empty() { 0 } else { COOKIE_MAX_AGE_SECONDS };
        let (name, same_site) = (cookie_name(name, self.is_https), if self.is_cross_site { "None" } else { "Lax" });
        let mut cookie = format!("{name}={value}; Path=/; Max-Age={max_age}; HttpOnly; SameSite={same_site}");
        if self.is_https {
            cookie.push_str("; Secure");
        }
        HeaderValue::try_from(cookie).expect("tokens are base64url, digits and dots")
    }
}

impl FromRequestParts<AppState> for Caller {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Infallible> {
        Ok(Self::from_headers(state, &parts.headers))
    }
}

/// The `__Host-` prefix keeps a sibling domain from planting a cookie, and demands `Secure`.
pub(super) fn cookie_name(name: &str, is_https: bool) -> String {
    if is_https { format!("__Host-{name}") } else { name.into() }
}

pub(crate) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|cookies| cookies.to_str().ok())
        .flat_map(|cookies| cookies.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find_map(|(key, value)| (key == name).then_some(value))
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Compares secrets in constant time.
fn same(expected: &str, given: &str) -> bool {
    expected.as_bytes().ct_eq(given.as_bytes()).into()
}

/// How many claimed names a browser remembers, in at most 43 bytes each: all cookies of a request together stay far below the
/// 4,096 bytes that common proxies take as one header.
const MAX_CLAIMS: usize = 36;

/// One year; browsers allow 400 days.
const COOKIE_MAX_AGE_SECONDS: u32 = 31_536_000;

const SESSION_COOKIE: &str = "sneakdrop";
const CLAIMS_COOKIE: &str = "sneakdrop_names";
const SIZE_COOKIE: &str = "sneakdrop_size";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::{auth::session::SessionKey, identity::Identity};
    use chrono::DateTime;
    use uuid::Uuid;

    #[test]
    fn cookies_of_a_browser_with_many_names_fit_into_a_header() {
        let key = SessionKey::new(b"key", "secret");
        let names = (0..MAX_CLAIMS).map(|_| Identity { id: i64::MAX, public_id: Uuid::max() });
        let now = DateTime::UNIX_EPOCH;
        let cookies = [
            (SESSION_COOKIE, token(&key, names.clone().take(1), now)),
            (CLAIMS_COOKIE, token(&key, names, now)),
            // The longest label of a size.
            (SIZE_COOKIE, BASE64.encode("\u{1f45f}".repeat(20))),
        ];
        let length: usize = cookies.iter().map(|(name, value)| cookie_name(name, true).len() + value.len() + 3).sum();
        // Those of the desk and of other programs on this host need room as well.
        assert!(length < 2_500, "{length}");
    }
}
