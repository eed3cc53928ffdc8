//! Users and their sessions.

use sneakdrop::{
    domain::User,
    server::auth::session::{self, SessionKey},
};
use sqlx::PgPool;

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
    let created: Vec<(i64, String)> = sqlx::query_as(
        "insert into users (username, username_key)
         select name, name from (select 'guest' || nextval('users_id_seq') as name from generate_series(1, $1)) names
         returning id, username",
    )
    .bind(count)
    .fetch_all(db)
    .await
    .expect("the usernames are unique");
    let key = SessionKey::load(SESSION_KEY.as_bytes(), db).await.expect("the database has a session secret");
    created
        .into_iter()
        .map(|(id, username)| {
            let token = session::token(&key, &User { id, username: username.clone() });
            Person { id, username, token }
        })
        .collect()
}

/// The session token of any user, signed with any configured key.
pub(crate) async fn session_token(db: &PgPool, configured_key: &str, user_id: i64, username: &str) -> String {
    let key = SessionKey::load(configured_key.as_bytes(), db).await.expect("the database has a session secret");
    session::token(&key, &User { id: user_id, username: username.to_owned() })
}
