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

    fn new(configured: &[u8], secret: &str) -> Self {
        let mac = |key: &[u8]| Hmac::new_from_slice(key).expect("HMAC takes a key of any length");
        Self(mac(&mac(configured).chain_update(secret).finalize().into_bytes()))
    }

    fn sign(&self, message: &str) -> Hmac<Sha256> {
        self.0.clone().chain_update(message)
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
    let mut token = format!("v2.{id}.{}.{}", public_id.simple(), day_of(now));
    let signature = BASE64.encode(key.sign(&token).finalize().into_bytes());
    write!(token, ".{signature}").expect("writing to a String cannot fail");
    token
}

pub(super) fn verify(key: &SessionKey, token: &str) -> Option<Session> {
    let (signed, signature) = token.rsplit_once('.')?;
    key.sign(signed).verify_slice(&BASE64.decode(signature).ok()?).ok()?;
    let mut parts = signed.split('.');
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
