//! Signed tokens that prove who a user is.
//!
//! A token is `v3.<day>.<user id>.<public id>.<signature>`: the ids of its [`Identity`], so that reading it costs no query,
//! and the day on which it was made, so that a browser's can be renewed. Browsers keep it in a cookie, other clients send it
//! as a bearer token. The one that proves every name of a browser has several ids under one signature, which takes a third of
//! the room and costs the same however many there are.

use crate::server::identity::Identity;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use sqlx::PgExecutor;
use std::fmt::Write;
use uuid::Uuid;

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
pub fn token(key: &SessionKey, identities: impl IntoIterator<Item = Identity>, now: DateTime<Utc>) -> String {
    let mut message = format!("v3.{}", day_of(now));
    for Identity { id, public_id } in identities {
        write!(message, ".{id}.{}", BASE64.encode(public_id)).expect("writing to a String cannot fail");
    }
    key.signed(message)
}

/// The session that a token proves which is of one user.
pub(super) fn verify(key: &SessionKey, token: &str) -> Option<Session> {
    match verify_all(key, token)[..] {
        [session] => Some(session),
        _ => None,
    }
}

/// Everybody whom a token proves; nobody if it is not what it should be.
pub(super) fn verify_all(key: &SessionKey, token: &str) -> Vec<Session> {
    key.verified(token).and_then(read).unwrap_or_default()
}

fn read(message: &str) -> Option<Vec<Session>> {
    let mut parts = message.strip_prefix("v3.")?.split('.');
    let day = parts.next()?.parse().ok()?;
    let mut sessions = vec![];
    while let Some(id) = parts.next() {
        let public_id = Uuid::from_slice(&BASE64.decode(parts.next()?).ok()?).ok()?;
        sessions.push(Session { identity: Identity { id: id.parse().ok()?, public_id }, day });
    }
    Some(sessions)
}

/// Days since 1970.
pub(super) fn day_of(time: DateTime<Utc>) -> i64 {
    time.timestamp().div_euclid(86_400)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_proves_its_user_and_nothing_else() {
        let (key, now) = (SessionKey::new(b"key", "secret"), DateTime::UNIX_EPOCH);
        let identity = Identity { id: 7, public_id: Uuid::from_u128(77) };
        let token = token(&key, [identity], now);
        assert_eq!(verify(&key, &token), Some(Session { identity, day: 0 }));
        assert_eq!(verify(&SessionKey::new(b"another key", "secret"), &token), None);
        assert_eq!(verify(&SessionKey::new(b"key", "another secret"), &token), None);
        assert_eq!(verify(&key, &token.replacen(".7.", ".8.", 1)), None);
        assert_eq!(verify(&key, &token[..token.len() - 1]), None);
        assert_eq!(verify(&key, ""), None);
    }

    #[test]
    fn a_token_of_several_users_is_the_session_of_none() {
        let (key, now) = (SessionKey::new(b"key", "secret"), DateTime::UNIX_EPOCH);
        let users = [7, 8].map(|id| Identity { id, public_id: Uuid::from_u128(77) });
        let token = token(&key, users, now);
        assert_eq!(verify_all(&key, &token), users.map(|identity| Session { identity, day: 0 }));
        assert_eq!(verify(&key, &token), None);
        assert_eq!(verify_all(&key, &token.replacen(".8.", ".9.", 1)), []);
        for nobody in ["", "v3.0", "v3.0.7", "v3.0.7.x", "v3..7", "v2.0"] {
            assert_eq!(verify_all(&key, &key.signed(nobody.into())), [], "{nobody}");
        }
    }
}
