//! Usernames, and what a user holds and owns.

use super::caller::Caller;
use crate::{
    domain::{LISTED_PURCHASES, Purchase, Reservation, ReservationStatus, User, Visitor, error::DropError},
    server::{
        database::{
            Pool,
            error::{fault, with_timeout},
            guard::PoolGuard,
        },
        invisible::is_invisible,
        state::AppState,
    },
};
use unicode_normalization::UnicodeNormalization;

pub(crate) struct Account {
    pub(crate) user: User,
    /// Whether the caller may act as this user: they claimed the username just now or earlier.
    pub(crate) is_claimed_by_caller: bool,
}

/// Finds the user with this name, or claims the name for the caller.
pub(crate) async fn get_or_create(state: &AppState, caller: &Caller, username: &str) -> Result<Account, DropError> {
    let Username { shown: username, key } = username.try_into()?;
    let created = sqlx::query_as!(
        User,
        "insert into users (username, username_key) values ($1, $2)
         on conflict on constraint users_username_key_unique do nothing
         returning id, username",
        username,
        key
    );
    let mut connection = PoolGuard::acquire(&state.pool).await.map_err(fault)?;
    if let Some(user) = with_timeout(created.fetch_optional(&mut *connection)).await? {
        connection.put_back();
        return Ok(Account { user, is_claimed_by_caller: true });
    }
    let user = sqlx::query_as!(User, "select id, username from users where username_key = $1", key);
    let user = with_timeout(user.fetch_one(&mut *connection)).await?;
    connection.put_back();
    let is_claimed_by_caller = caller.has_claimed(&user);
    Ok(Account { user, is_claimed_by_caller })
}

pub(crate) async fn exists(pool: &Pool, user_id: i64) -> Result<bool, DropError> {
    let found = sqlx::query_scalar!(r#"select exists (select from users where id = $1) as "exists!""#, user_id);
    let mut connection = PoolGuard::acquire(pool).await.map_err(fault)?;
    let found = with_timeout(found.fetch_one(&mut *connection)).await?;
    connection.put_back();
    Ok(found)
}

/// A visitor's active reservations and newest purchases.
pub(crate) async fn visitor(pool: &Pool, user: User) -> Result<Visitor, DropError> {
    let reservations = sqlx::query_as!(
        Reservation,
        r#"select r.id, r.drop_id, r.user_id, s.label as size, r.price_cents, r.expires_at,
                  r.created_at, r.status as "status: ReservationStatus"
           from reservations r join drop_sizes s on s.id = r.size_id
           where r.user_id = $1 and r.status = 'active' and r.expires_at > clock_timestamp()"#,
        user.id
    );
    let mut connection = PoolGuard::acquire(pool).await.map_err(fault)?;
    let reservations = with_timeout(reservations.fetch_all(&mut *connection)).await?;
    let purchases = sqlx::query_as!(
        Purchase,
        "select p.id, p.drop_id, p.user_id, p.reservation_id, s.label as size, p.price_cents, p.created_at
         from purchases p join drop_sizes s on s.id = p.size_id
         where p.user_id = $1 order by p.id desc limit $2",
        user.id,
        LISTED_PURCHASES
    );
    let purchases = with_timeout(purchases.fetch_all(&mut *connection)).await?;
    connection.put_back();
    Ok(Visitor { user, reservations, purchases })
}

/// A valid username.
struct Username {
    /// As it is shown.
    shown: String,
    /// By which it is unique: NFKC and lower case without invisible characters, so that names that look the same are the
    /// same.
    key: String,
}

impl TryFrom<&str> for Username {
    type Error = DropError;

    fn try_from(username: &str) -> Result<Self, DropError> {
        let shown: String = username.trim().nfkc().collect();
        let shown = shown.trim();
        let visible: String = shown.chars().filter(|c| !is_invisible(*c)).collect();
        let key = visible.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase().replace('ς', "σ");
        // Two joiners belong to the spelling of some languages.
        let is_fine = |c: char| !c.is_control() && (!is_invisible(c) || matches!(c, '\u{200c}' | '\u{200d}'));
        if key.is_empty() || shown.chars().count() > USERNAME_MAX_CHARS || !shown.chars().all(is_fine) {
            return Err(DropError::invalid("username", "must be 1 to 32 characters that can be seen"));
        }
        Ok(Self { shown: shown.into(), key })
    }
}

/// The longest username, in characters.
const USERNAME_MAX_CHARS: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_trimmed_and_equal_regardless_of_case_and_composition() {
        let shown = |name: &str| Username::try_from(name).expect("valid").shown;
        let key = |name: &str| Username::try_from(name).expect("valid").key;
        assert_eq!((shown("  Zoë "), key("  Zoë ")), ("Zoë".into(), "zoë".into()));
        assert_eq!(key("Zoe\u{308}"), key("ZOË"));
        assert_eq!(key("ali\u{200d}ce"), "alice");
        assert_eq!(key("a  b"), key("A B"));
        assert_eq!(key("ΟΔΟΣ"), key("οδοσ"));
        assert_eq!(shown("李小龍"), "李小龍");
        assert_eq!(shown(&"é".repeat(32)).chars().count(), 32);
    }

    #[test]
    fn invisible_and_misleading_names_are_refused() {
        for bad in ["", "   ", "\u{200b}", "\u{200d}", "\u{3164}", "a\nb", "a\0", "evil\u{202e}ecila", &"x".repeat(33)]
        {
            assert!(Username::try_from(bad).is_err(), "{bad:?}");
        }
    }
}
