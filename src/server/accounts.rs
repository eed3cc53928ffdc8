//! Usernames and what their owners have going on.

use super::{AppState, database::fault, session::Caller};
use crate::{
    domain::{LISTED_PURCHASES, Purchase, Reservation, ReservationStatus, User, Visitor},
    error::DropError,
};
use sqlx::PgPool;
use unicode_normalization::UnicodeNormalization;

/// The longest username, in characters.
const USERNAME_MAX_CHARS: usize = 32;

/// An account looked up or made by [`get_or_create`].
pub(crate) struct Account {
    pub(crate) user: User,
    /// Whether the caller may act as it: they just made it, or made it earlier.
    pub(crate) is_callers: bool,
}

/// Finds the account of a username, or claims it for the caller.
pub(crate) async fn get_or_create(state: &AppState, caller: &Caller, username: &str) -> Result<Account, DropError> {
    let (username, key) = normalise(username)?;
    let created = sqlx::query_as!(
        User,
        "insert into users (username, username_key) values ($1, $2)
         on conflict on constraint users_username_key_unique do nothing
         returning id, username",
        username,
        key
    )
    .fetch_optional(&state.pool)
    .await
    .map_err(fault)?;
    if let Some(user) = created {
        return Ok(Account { user, is_callers: true });
    }
    let user = sqlx::query_as!(User, "select id, username from users where username_key = $1", key)
        .fetch_one(&state.pool)
        .await
        .map_err(fault)?;
    let is_callers = caller.holds(&user);
    Ok(Account { user, is_callers })
}

/// Whether a user exists, for those who may name one.
pub(crate) async fn exists(pool: &PgPool, user_id: i64) -> Result<bool, DropError> {
    let found = sqlx::query_scalar!(r#"select exists (select from users where id = $1) as "exists!""#, user_id);
    found.fetch_one(pool).await.map_err(fault)
}

/// A visitor's active reservations and newest purchases.
pub(crate) async fn visitor(pool: &PgPool, user: User) -> Result<Visitor, DropError> {
    let reservations = sqlx::query_as!(
        Reservation,
        r#"select r.id, r.drop_id, r.user_id, s.label as size, r.expires_at, r.created_at,
                  r.status as "status: ReservationStatus"
           from reservations r join drop_sizes s on s.id = r.size_id
           where r.user_id = $1 and r.status = 'active' and r.expires_at > clock_timestamp()"#,
        user.id
    )
    .fetch_all(pool)
    .await
    .map_err(fault)?;
    let purchases = sqlx::query_as!(
        Purchase,
        "select p.id, p.drop_id, p.user_id, p.reservation_id, s.label as size, p.price_cents, p.created_at
         from purchases p join drop_sizes s on s.id = p.size_id
         where p.user_id = $1 order by p.id desc limit $2",
        user.id,
        LISTED_PURCHASES
    )
    .fetch_all(pool)
    .await
    .map_err(fault)?;
    Ok(Visitor { user, reservations, purchases })
}

/// The name as it is shown and the key by which it is unique: NFKC, so that look-alikes of the same letters are one
/// name, and lower case.
fn normalise(username: &str) -> Result<(String, String), DropError> {
    let expected = || DropError::invalid("username", "must be 1 to 32 characters without control characters");
    let shown: String = username.trim().nfkc().collect();
    let shown = shown.trim();
    // A name that shows nothing, or turns the text around it, is someone else's name in disguise.
    let is_shown = |c: char| !c.is_whitespace() && !is_invisible(c);
    let is_fine = |c: char| !c.is_control() && (!is_invisible(c) || matches!(c, '\u{200c}' | '\u{200d}'));
    if shown.chars().count() > USERNAME_MAX_CHARS || !shown.chars().all(is_fine) || !shown.chars().any(is_shown) {
        return Err(expected());
    }
    Ok((shown.into(), shown.to_lowercase()))
}

/// Formatting characters without a glyph: soft hyphen, zero-width and bidirectional controls, byte order mark.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_trimmed_and_one_name_whatever_its_case_or_composition() {
        assert_eq!(normalise("  Zoë ").expect("fine"), ("Zoë".into(), "zoë".into()));
        assert_eq!(normalise("Zoe\u{308}").expect("fine").1, normalise("ZOË").expect("fine").1);
        assert_eq!(normalise("李小龍").expect("fine").0, "李小龍");
        assert_eq!(normalise(&"é".repeat(32)).expect("fine").0.chars().count(), 32);
    }

    #[test]
    fn names_that_show_nothing_or_deceive_are_refused() {
        for bad in ["", "   ", "\u{200b}", "\u{200d}", "a\nb", "a\0", "evil\u{202e}ecila", &"x".repeat(33)] {
            assert!(normalise(bad).is_err(), "{bad:?}");
        }
    }
}
