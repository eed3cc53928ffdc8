//! Signed tokens that prove who a user is.
//!
//! A token is `v1.<user id>.<username>.<signature>`, the last two in base64url. It contains the user, so that reading it
//! costs no query. Browsers keep it in a cookie, other clients send it as a bearer token.

use crate::domain::User;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
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

/// A token for `user`.
pub fn token(key: &SessionKey, user: &User) -> String {
    let mut token = format!("v1.{}.{}", user.id, BASE64.encode(&user.username));
    let signature = BASE64.encode(key.sign(&token).finalize().into_bytes());
    write!(token, ".{signature}").expect("writing to a String cannot fail");
    token
}

pub(super) fn verify(key: &SessionKey, token: &str) -> Option<User> {
    let (signed, signature) = token.rsplit_once('.')?;
    key.sign(signed).verify_slice(&BASE64.decode(signature).ok()?).ok()?;
    let mut parts = signed.split('.');
    let (Some("v1"), Some(id), Some(username), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return None;
    };
    let username = String::from_utf8(BASE64.decode(username).ok()?).ok()?;
    Some(User { id: id.parse().ok()?, username })
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
}
