//! The sessions of those who run the shop, apart from those of its visitors.
//!
//! Whoever has the admin token signs in with it once and gets a cookie: `admin.<id>.<secret>.<end>.<signature>`, with the id
//! and the secret of a row of `admin_sessions`, and the second at which the session ends. It is valid while the signature is,
//! the end has not come and the row is there.

use super::{
    caller::{cookie, cookie_name},
    session::SessionKey,
};
use crate::{
    domain::error::DropError,
    server::{
        database::{
            error::{fault, with_timeout},
            guard::PoolGuard,
        },
        state::AppState,
    },
};
use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, HeaderValue, request::Parts},
};
use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};
use subtle::ConstantTimeEq;
use uuid::Uuid;

/// The session of a request under `/admin`, where the routes let nobody in without one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AdminSession {
    /// Of its row.
    pub(crate) id: i64,
}

impl<S: Sync> FromRequestParts<S> for AdminSession {
    type Rejection = DropError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, DropError> {
        parts.extensions.get().copied().ok_or(DropError::Unauthorized)
    }
}

/// How an admin token lets people in.
pub struct AdminAccess {
    /// So that tokens are compared in a time that says nothing about their length.
    token_digest: [u8; 32],
    key: SessionKey,
    failed_tries: FailedTries,
    failed_tries_of_known_browsers: FailedTries,
}

impl AdminAccess {
    /// Sessions are signed with a key of their own. It is another one if the token changes, which ends every session.
    pub(in crate::server) fn new(admin_token: &str, session_key: &SessionKey) -> Self {
        let token_digest: [u8; 32] = Sha256::digest(admin_token).into();
        let key = session_key.derive(&[b"admin sessions ", &token_digest[..]].concat());
        let [failed_tries, failed_tries_of_known_browsers] = Default::default();
        Self { token_digest, key, failed_tries, failed_tries_of_known_browsers }
    }

    /// Browsers that have signed in before share a limit apart from that of strangers. Otherwise anybody could keep everybody
    /// out, by trying wrong tokens when a drop begins.
    fn failed_tries_of(&self, known_cookie: Option<&str>) -> &FailedTries {
        let is_known = known_cookie.is_some_and(|cookie| self.key.verified(cookie) == Some(KNOWN));
        if is_known { &self.failed_tries_of_known_browsers } else { &self.failed_tries }
    }
}

/// Begins a session if this is the admin token, and returns the `Set-Cookie` values that keep it, and that the browser is known.
pub(crate) async fn sign_in(
    state: &AppState,
    headers: &HeaderMap,
    token: &str,
) -> Result<[HeaderValue; 2], SignInRefusal> {
    let access = state.admin_access.as_ref().ok_or(SignInRefusal::WrongToken)?;
    let is_right = Sha256::digest(token)[..].ct_eq(&access.token_digest).into();
    let known_cookie = cookie(headers, &cookie_name(KNOWN_COOKIE, state.config.origins.is_https(headers)));
    access.failed_tries_of(known_cookie).judge(is_right, Instant::now())?;
    let begun = sqlx::query!(
        "with expired as (delete from admin_sessions where expires_at <= clock_timestamp())
         insert into admin_sessions (expires_at) values (clock_timestamp() + make_interval(secs => $1))
         returning id, secret, expires_at",
        f64::from(SESSION_SECONDS)
    );
    let mut connection = PoolGuard::acquire(&state.pool).await.map_err(fault)?;
    let row = with_timeout(begun.fetch_one(&mut *connection)).await?;
    connection.put_back();
    let proof = Proof { session: AdminSession { id: row.id }, secret: row.secret, end: row.expires_at.timestamp() };
    Ok([
        set_cookie(state, headers, SESSION_COOKIE, &proof.signed(&access.key), SESSION_SECONDS),
        set_cookie(state, headers, KNOWN_COOKIE, &access.key.signed(KNOWN.into()), KNOWN_SECONDS),
    ])
}

/// Why no session begins.
pub(crate) enum SignInRefusal {
    WrongToken,
    /// Also for the right token.
    TooManyTries {
        retry_after_seconds: u64,
    },
    Fault(DropError),
}

impl From<DropError> for SignInRefusal {
    fn from(error: DropError) -> Self {
        Self::Fault(error)
    }
}

/// The session that a request's cookie proves. The database is asked only if the signature is right, so that strangers do not
/// keep it busy.
pub(crate) async fn session(state: &AppState, headers: &HeaderMap) -> Result<Option<AdminSession>, DropError> {
    let proof = state.admin_access.as_ref().and_then(|access| {
        let cookie = cookie(headers, &cookie_name(SESSION_COOKIE, state.config.origins.is_https(headers)))?;
        Proof::read(&access.key, cookie, state.clock.now())
    });
    let Some(Proof { session, secret, .. }) = proof else { return Ok(None) };
    let found = sqlx::query_scalar!(
        "select id from admin_sessions where id = $1 and secret = $2 and expires_at > clock_timestamp()",
        session.id,
        secret
    );
    let mut connection = PoolGuard::acquire(&state.pool).await.map_err(fault)?;
    let found = with_timeout(found.fetch_optional(&mut *connection)).await?;
    connection.put_back();
    Ok(found.map(|id| AdminSession { id }))
}

/// Ends a session, on every node, and returns the `Set-Cookie` value that removes its cookie.
pub(crate) async fn sign_out(
    state: &AppState,
    headers: &HeaderMap,
    session: AdminSession,
) -> Result<HeaderValue, DropError> {
    let ended = sqlx::query!("delete from admin_sessions where id = $1", session.id);
    let mut connection = PoolGuard::acquire(&state.pool).await.map_err(fault)?;
    with_timeout(ended.execute(&mut *connection)).await?;
    connection.put_back();
    Ok(set_cookie(state, headers, SESSION_COOKIE, "", 0))
}

/// `Lax`: a link from a chat or a mail opens the page of the desk. What changes something is asked for its `Origin`.
fn set_cookie(state: &AppState, headers: &HeaderMap, name: &str, value: &str, max_age_seconds: u32) -> HeaderValue {
    let is_https = state.config.origins.is_https(headers);
    let (name, secure) = (cookie_name(name, is_https), if is_https { "; Secure" } else { "" });
    let cookie = format!("{name}={value}; Path=/; Max-Age={max_age_seconds}; HttpOnly; SameSite=Lax{secure}");
    HeaderValue::try_from(cookie).expect("proofs are base64url, digits and dots")
}

/// What the cookie says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Proof {
    session: AdminSession,
    secret: Uuid,
    /// In seconds since 1970.
    end: i64,
}

impl Proof {
    fn signed(self, key: &SessionKey) -> String {
        let Self { session: AdminSession { id }, secret, end } = self;
        key.signed(format!("admin.{id}.{}.{end}", secret.simple()))
    }

    fn read(key: &SessionKey, cookie: &str, now: DateTime<Utc>) -> Option<Self> {
        let mut parts = key.verified(cookie)?.split('.');
        let ("admin", id, secret, end) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?) else {
            return None;
        };
        let session = AdminSession { id: id.parse().ok()? };
        let proof = Self { session, secret: secret.parse().ok()?, end: end.parse().ok()? };
        (now.timestamp() < proof.end).then_some(proof)
    }
}

/// When the first try with a wrong token was, and how many there were in the period that began with it.
#[derive(Default)]
struct FailedTries(Mutex<Option<(Instant, u32)>>);

impl FailedTries {
    fn judge(&self, is_right: bool, now: Instant) -> Result<(), SignInRefusal> {
        let mut tries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, count) = tries.filter(|(since, _)| now - *since < TRIES_PERIOD).unwrap_or((now, 0));
        if count >= MAX_FAILED_TRIES {
            let left = TRIES_PERIOD - (now - since);
            return Err(SignInRefusal::TooManyTries { retry_after_seconds: left.as_secs_f64().ceil() as u64 });
        }
        if !is_right {
            *tries = Some((since, count + 1));
            return Err(SignInRefusal::WrongToken);
        }
        Ok(())
    }
}

/// With more failed tries than this, a node lets nobody else in for the rest of the period. A token that is random as
/// `script/server` makes it needs no limit; one that somebody thought up does.
const MAX_FAILED_TRIES: u32 = 10;

const TRIES_PERIOD: Duration = Duration::from_secs(60);

/// 12 hours: a working day and its evening.
const SESSION_SECONDS: u32 = 43_200;

const SESSION_COOKIE: &str = "sneakdrop_admin";

const KNOWN_COOKIE: &str = "sneakdrop_known";

/// What it says, signed. No session's proof says this. It is the same for every browser, and only another admin token or session
/// key ends it: whoever has it may still not sign in without the token.
const KNOWN: &str = "known";

/// A year.
const KNOWN_SECONDS: u32 = 31_536_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::{auth::session, identity::Identity};

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + seconds, 0).expect("in range")
    }

    fn access(token: &str, configured_key: &[u8]) -> AdminAccess {
        AdminAccess::new(token, &SessionKey::new(configured_key, "secret"))
    }

    #[test]
    fn a_proof_is_valid_until_its_end_for_one_admin_token_and_one_session_key() {
        let access_of_others = [access("another token", b"key"), access("token", b"another key")];
        let access = access("token", b"key");
        let proof = Proof {
            session: AdminSession { id: 7 },
            secret: Uuid::from_u128(77),
            end: at(i64::from(SESSION_SECONDS)).timestamp(),
        };
        let cookie = proof.signed(&access.key);
        for (seconds, expected) in [(0, Some(proof)), (43_199, Some(proof)), (43_200, None)] {
            assert_eq!(Proof::read(&access.key, &cookie, at(seconds)), expected, "{seconds}");
        }
        for other in access_of_others {
            assert_eq!(Proof::read(&other.key, &cookie, at(0)), None);
        }
        for forged in [cookie.replacen("admin.7", "admin.8", 1), cookie[..cookie.len() - 1].into(), String::new()] {
            assert_eq!(Proof::read(&access.key, &forged, at(0)), None, "{forged}");
        }
    }

    #[test]
    fn neither_key_signs_what_the_other_proves() {
        let session_key = SessionKey::new(b"key", "secret");
        let access = AdminAccess::new("token", &session_key);
        let proof = Proof { session: AdminSession { id: 7 }, secret: Uuid::from_u128(77), end: at(60).timestamp() };
        assert_eq!(Proof::read(&session_key, &proof.signed(&session_key), at(0)), Some(proof));
        assert_eq!(Proof::read(&access.key, &proof.signed(&session_key), at(0)), None);
        let identity = Identity { id: 7, public_id: Uuid::from_u128(77) };
        for key in [&session_key, &access.key] {
            assert_eq!(session::verify(key, &proof.signed(key)), None, "not even with the same key");
            assert_eq!(Proof::read(key, &session::token(key, [identity], at(0)), at(0)), None);
        }
    }

    #[test]
    fn only_a_browser_that_signed_in_with_this_token_is_known() {
        let earlier = access("another token", b"key");
        let access = access("token", b"key");
        let is_known =
            |cookie: Option<&str>| std::ptr::eq(access.failed_tries_of(cookie), &access.failed_tries_of_known_browsers);
        let proof = Proof { session: AdminSession { id: 7 }, secret: Uuid::from_u128(77), end: at(60).timestamp() };
        assert!(is_known(Some(&access.key.signed(KNOWN.into()))));
        for stranger in [None, Some("known"), Some(""), Some(&*proof.signed(&access.key))] {
            assert!(!is_known(stranger), "{stranger:?}");
        }
        assert!(!is_known(Some(&earlier.key.signed(KNOWN.into()))));
    }

    #[test]
    fn after_ten_failed_tries_nobody_gets_in_until_the_minute_is_over() {
        let begin = Instant::now();
        let tries = FailedTries::default();
        let judge = |is_right, seconds| match tries.judge(is_right, begin + Duration::from_secs(seconds)) {
            Ok(()) => 0,
            Err(SignInRefusal::WrongToken) => 1,
            Err(SignInRefusal::TooManyTries { retry_after_seconds }) => retry_after_seconds,
            Err(SignInRefusal::Fault(error)) => panic!("{error}"),
        };
        for second in 100..110 {
            assert_eq!(judge(false, second), 1, "{second}");
            assert_eq!(judge(true, second), u64::from(second == 109) * 51, "{second}");
        }
        assert_eq!((judge(false, 130), judge(true, 130)), (30, 30));
        assert_eq!((judge(true, 159), judge(true, 160)), (1, 0));
        assert_eq!(judge(false, 161), 1);
    }
}
