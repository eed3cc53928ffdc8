//! Signed tokens that prove who a user is.
//!
//! A token is `v2.<user id>.<public id>.<day>.<signature>`: the ids of its [`Identity`], so that reading it costs no query,
//! and the day on which it was made, so that a browser's can be renewed. Browsers keep it in a cookie, other clients send it
//! as a bearer token.

use crate::server::identity::Identity;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use sqlx::PgExecutor;
use std::fmt::Write;

/// Signs tokens. Derived from the configured key, which all nodes share, and a secret of the database, so that a token is
/// valid for one database only.
#[derive(Clone)]
pub struct SessionKey(Hmac<Sha256>);

impl SessionKey {
    pub async fn load(configured: &[u8], database: impl PgExecutor<'_>) -> Result<Self, sqlx::Error> {
        let secret = sqlx::query_scalar!(r#"select session_secret::text as "secret!" from shop"#);
        Ok(Self::new(configured, &secret.fetch_one(database).await?))
    }

    pub(super) fn new(configured: &[u8], secret: &str) -> Self {
        let mac = Hmac::new_from_slice(configured).expect("HMAC takes a key of any length");
        Self(mac).derive(secret.as_bytes())
    }

    /// A key for another purpose: what one of them signs, the other does not verify.
    pub(super) fn derive(&self, purpose: &[u8]) -> Self {
        let derived = self.0.clone().chain_update(purpose).finalize().into_bytes();
        Self(Hmac::new_from_slice(&derived).expect("HMAC takes a key of any length"))
    }

    /// The message with its signature behind it.
    pub(super) fn signed(&self, mut message: String) -> String {
        let signature = BASE64.encode(self.0.clone().chain_update(&message).finalize().into_bytes());
        write!(message, ".{signature}").expect("writing to a String cannot fail");
        message
    }

    /// The message, if it has its signature behind it.
    pub(super) fn verified<'a>(&self, signed: &'a str) -> Option<&'a str> {
        let (message, signature) = signed.rsplit_once('.')?;
        self.0.clone().chain_update(message).verify_slice(&BASE64.decode(signature).ok()?).ok()?;
        Some(message)
    }
}

/// What a token proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Session {
    pub(super) identity: Identity,
    /// The day on which the token was made, see [`day_of`].
    pub(super) day: i64,
}

/// A token that is made at `now`.
pub fn token(key: &SessionKey, identity: Identity, now: DateTime<Utc>) -> String {
    let Identity { id, public_id } = identity;
    key.signed(format!("v2.{id}.{}.{}", public_id.simple(), day_of(now)))
}

pub(super) fn verify(key: &SessionKey, token: &str) -> Option<Session> {
    let mut parts = key.verified(token)?.split('.');
    let ("v2", id, public_id, day) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?) else { return None };
    let identity = Identity { id: id.parse().ok()?, public_id: public_id.parse().ok()? };
    Some(Session { identity, day: day.parse().ok()? })
}

/// Days since 1970.
pub(super) fn day_of(time: DateTime<Utc>) -> i64 {
    time.timestamp().div_euclid(86_400)
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn a_token_proves_its_user_and_nothing_else() {
        let (key, now) = (SessionKey::new(b"key", "secret"), DateTime::UNIX_EPOCH);
        let identity = Identity { id: 7, public_id: Uuid::from_u128(77) };
        let token = token(&key, identity, now);
        assert_eq!(verify(&key, &token), Some(Session { identity, day: 0 }));
        assert_eq!(verify(&SessionKey::new(b"another key", "secret"), &token), None);
        assert_eq!(verify(&SessionKey::new(b"key", "another secret"), &token), None);
        assert_eq!(verify(&key, &token.replacen("v2.7", "v2.8", 1)), None);
        assert_eq!(verify(&key, &token[..token.len() - 1]), None);
        assert_eq!(verify(&key, ""), None);
    }
}
