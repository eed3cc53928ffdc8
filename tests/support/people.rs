//! Users and their sessions.

use chrono::{DateTime, Utc};
use sneakdrop::server::{
    auth::session::{self, SessionKey},
    identity::Identity,
};
use sqlx::{PgPool, types::Uuid};

pub(crate) const SESSION_KEY: &str = "a session key for tests, longer than 32 characters";

/// A user with an account and a valid session.
#[derive(Clone, Debug)]
pub(crate) struct Person {
    pub(crate) id: i64,
    pub(crate) username: String,
    /// The bearer token of the session.
    pub(crate) token: String,
}

/// Inserts users with one statement, which is faster than signing them in.
pub(crate) async fn create_people(db: &PgPool, count: i32) -> Vec<Person> {
    let created: Vec<(i64, Uuid, String)> = sqlx::query_as(
        "insert into users (username, username_key)
         select name, name from (select 'guest' || nextval('users_id_seq') as name from generate_series(1, $1)) names
         returning id, public_id, username",
    )
    .bind(count)
    .fetch_all(db)
    .await
    .expect("the usernames are unique");
    let key = SessionKey::load(SESSION_KEY.as_bytes(), db).await.expect("the database has a session secret");
    created
        .into_iter()
        .map(|(id, public_id, username)| {
            let token = session::token(&key, [Identity { id, public_id }], Utc::now());
            Person { id, username, token }
        })
        .collect()
}

pub(crate) async fn identity_of(db: &PgPool, user_id: i64) -> Identity {
    let public_id = sqlx::query_scalar("select public_id from users where id = $1").bind(user_id).fetch_one(db).await;
    Identity { id: user_id, public_id: public_id.expect("the user exists") }
}

/// The session token of any identity, signed with any configured key.
pub(crate) async fn session_token(
    db: &PgPool,
    configured_key: &str,
    identity: Identity,
    made_at: DateTime<Utc>,
) -> String {
    let key = SessionKey::load(configured_key.as_bytes(), db).await.expect("the database has a session secret");
    session::token(&key, [identity], made_at)
}
