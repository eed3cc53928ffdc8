//! Who is asking: a signed cookie in browsers, the same signed value as a bearer token elsewhere, or the admin token.
//!
//! A token is `v1.<user id>.<username>.<signature>`, the last two in base64url; it names its user, so that knowing the
//! caller costs no query. Two cookies carry tokens: one holds who is signed in, the other every name that this browser
//! has claimed, so that someone who signs out can come back, here and nowhere else.

use super::{
    AppState,
    database::{PoolGuard, fault, with_timeout},
};
use crate::{domain::User, domain::error::DropError};
use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, HeaderValue, header, request::Parts},
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use sqlx::PgPool;
use std::{convert::Infallible, fmt::Write};
use subtle::ConstantTimeEq;

/// How many claimed names a browser remembers: a cookie holds 4 KiB, a token at most 240 bytes.
const CLAIMED_NAMES: usize = 8;

/// A year; browsers cap it at 400 days.
const COOKIE_MAX_AGE_SECONDS: u32 = 31_536_000;

const SESSION_COOKIE: &str = "sneakdrop";
const CLAIMS_COOKIE: &str = "sneakdrop_names";

/// Who a request comes from.
#[derive(Clone, Debug, Default)]
pub struct Caller {
    /// The signed-in user.
    pub user: Option<User>,
    /// Whether the request bears the admin token.
    pub is_admin: bool,
    /// Every account that this browser or token has claimed.
    claims: Vec<User>,
    /// Whether the browser reached us over HTTPS, which decides the cookies' names and flags.
    is_https: bool,
}

impl Caller {
    /// Reads the caller from a request's headers. A bad signature is nobody, not an error.
    pub fn from_headers(state: &AppState, headers: &HeaderMap) -> Self {
        let is_https = is_https(headers);
        let key = &state.session_key;
        if let Some(bearer) = bearer(headers) {
            let user = verify(key, bearer);
            return Self {
                is_admin: state.config.admin_token.as_deref().is_some_and(|token| same(token, bearer)),
                claims: user.iter().cloned().collect(),
                user,
                is_https,
            };
        }
        let tokens = |name| cookie(headers, &cookie_name(name, is_https)).unwrap_or_default();
        Self {
            user: verify(key, tokens(SESSION_COOKIE)),
            is_admin: false,
            claims: tokens(CLAIMS_COOKIE).split('~').filter_map(|token| verify(key, token)).collect(),
            is_https,
        }
    }

    /// The signed-in user, or [`DropError::Unauthorized`].
    pub fn require_user(&self) -> Result<&User, DropError> {
        self.user.as_ref().ok_or(DropError::Unauthorized)
    }

    /// Whether this browser or token has claimed the account.
    pub fn holds(&self, user: &User) -> bool {
        self.claims.contains(user) || self.user.as_ref() == Some(user)
    }

    /// The `Set-Cookie` values that sign this browser in as `user` and remember the claim.
    pub fn sign_in_cookies(&self, state: &AppState, user: &User) -> [HeaderValue; 2] {
        let key = &state.session_key;
        let others = self.claims.iter().filter(|claim| *claim != user);
        let claims: Vec<_> =
            std::iter::once(user).chain(others).take(CLAIMED_NAMES).map(|claim| token(key, claim)).collect();
        [self.set_cookie(SESSION_COOKIE, &token(key, user)), self.set_cookie(CLAIMS_COOKIE, &claims.join("~"))]
    }

    /// The `Set-Cookie` value that signs this browser out; its claims stay.
    pub fn sign_out_cookie(&self) -> HeaderValue {
        self.set_cookie(SESSION_COOKIE, "")
    }

    fn set_cookie(&self, name: &str, value: &str) -> HeaderValue {
        let max_age = if value.is_empty() { 0 } else { COOKIE_MAX_AGE_SECONDS };
        let mut cookie =
            format!("{}={value}; Path=/; Max-Age={max_age}; HttpOnly; SameSite=Lax", cookie_name(name, self.is_https));
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

/// Signs sessions: made of what the nodes of a shop share and what their database alone has.
#[derive(Clone)]
pub struct SessionKey(Hmac<Sha256>);

impl SessionKey {
    /// The key of this database's visitors.
    pub async fn load(configured: &[u8], pool: &PgPool) -> Result<Self, DropError> {
        let secret = sqlx::query_scalar!(r#"select session_secret::text as "secret!" from shop"#);
        let mut connection = PoolGuard::acquire(pool).await.map_err(fault)?;
        let secret = with_timeout(secret.fetch_one(&mut *connection)).await?;
        connection.put_back();
        Ok(Self::new(configured, &secret))
    }

    fn new(configured: &[u8], secret: &str) -> Self {
        let mac = |key: &[u8]| Hmac::new_from_slice(key).expect("HMAC takes a key of any length");
        Self(mac(&mac(configured).chain_update(secret).finalize().into_bytes()))
    }

    fn sign(&self, message: &str) -> Hmac<Sha256> {
        self.0.clone().chain_update(message)
    }
}

/// The signed proof that its bearer is `user`.
pub fn token(key: &SessionKey, user: &User) -> String {
    let mut token = format!("v1.{}.{}", user.id, BASE64.encode(&user.username));
    let signature = BASE64.encode(key.sign(&token).finalize().into_bytes());
    write!(token, ".{signature}").expect("writing to a String cannot fail");
    token
}

fn verify(key: &SessionKey, token: &str) -> Option<User> {
    let (signed, signature) = token.rsplit_once('.')?;
    key.sign(signed).verify_slice(&BASE64.decode(signature).ok()?).ok()?;
    let mut parts = signed.split('.');
    let (Some("v1"), Some(id), Some(username), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return None;
    };
    let username = String::from_utf8(BASE64.decode(username).ok()?).ok()?;
    Some(User { id: id.parse().ok()?, username })
}

/// Whether a request that changes something, or opens a socket, may come from where it says. Browsers always send
/// `Origin` with those; other programs need not.
pub(crate) fn is_same_origin(headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
    matches!((origin, host), (Some((_, origin)), Some(host)) if origin.eq_ignore_ascii_case(host))
}

/// Scheme and host under which the caller sees us.
pub(crate) fn origin(headers: &HeaderMap) -> String {
    let scheme = if is_https(headers) { "https" } else { "http" };
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
    format!("{scheme}://{host}")
}

/// What the proxy in front of us says; we never speak TLS ourselves.
pub(crate) fn is_https(headers: &HeaderMap) -> bool {
    headers.get("x-forwarded-proto").is_some_and(|scheme| scheme == "https")
}

/// The `__Host-` prefix keeps a sibling domain from planting a cookie, and demands `Secure`.
fn cookie_name(name: &str, is_https: bool) -> String {
    if is_https { format!("__Host-{name}") } else { name.into() }
}

fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
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

/// Compares secrets in a time that tells nothing about where they differ.
fn same(expected: &str, given: &str) -> bool {
    expected.as_bytes().ct_eq(given.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zoe() -> User {
        User { id: 7, username: "Zoë".into() }
    }

    #[test]
    fn a_token_proves_its_user_and_nothing_else() {
        let key = SessionKey::new(b"key", "secret");
        let token = token(&key, &zoe());
        assert_eq!(verify(&key, &token), Some(zoe()));
        assert_eq!(verify(&SessionKey::new(b"another key", "secret"), &token), None);
        assert_eq!(verify(&SessionKey::new(b"key", "another secret"), &token), None);
        assert_eq!(verify(&key, &token.replacen("v1.7", "v1.8", 1)), None);
        assert_eq!(verify(&key, &token[..token.len() - 1]), None);
        assert_eq!(verify(&key, ""), None);
    }

    #[test]
    fn only_our_own_pages_are_of_the_same_origin() {
        let headers = |origin: &'static str| {
            let mut headers = HeaderMap::from_iter([(header::HOST, HeaderValue::from_static("shop.test:3000"))]);
            headers.insert(header::ORIGIN, HeaderValue::from_static(origin));
            headers
        };
        assert!(is_same_origin(&headers("http://shop.test:3000")));
        assert!(is_same_origin(&headers("https://SHOP.test:3000")));
        for foreign in ["http://evil.test", "http://shop.test", "http://shop.test:3000.evil.test", "null", ""] {
            assert!(!is_same_origin(&headers(foreign)), "{foreign}");
        }
        assert!(is_same_origin(&HeaderMap::new()), "programs send no Origin");
    }
}
