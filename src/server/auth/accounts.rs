//! Accounts: claiming a username, and what a user holds and owns.

use super::{caller::Caller, username::Username};
use crate::{
    domain::{
        LISTED_ON_A_PAGE, Order, Orders, Purchase, Reservation, ReservationStatus, User, Visitor, error::DropError,
    },
    server::{
        database::{
            Pool, Purpose,
            error::{fault, with_timeout},
            guard::PoolGuard,
        },
        identity::Identity,
        state::AppState,
    },
};
use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

pub(crate) struct Account {
    pub(crate) user: User,
    pub(crate) identity: Identity,
    /// Whether the caller may act as this user: they claimed the username just now or earlier.
    pub(crate) is_claimed_by_caller: bool,
}

/// How a caller that claims a name keeps the proof.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Proof {
    /// In a cookie, which a browser may refuse to keep.
    Cookie,
    /// In the answer, which the caller has.
    Token,
}

/// Finds the user with this name, or claims the name for the caller.
pub(crate) async fn get_or_create(
    state: &AppState,
    caller: &Caller,
    username: &str,
    proof: Proof,
) -> Result<Account, DropError> {
    let username = Username::try_from(username)?;
    let mut connection = PoolGuard::acquire(&state.pool).await.map_err(fault)?;
    let account = with_timeout(find_or_claim(&mut connection, caller, &username, proof)).await?;
    connection.put_back();
    account
}

async fn find_or_claim(
    connection: &mut PoolGuard,
    caller: &Caller,
    username: &Username,
    proof: Proof,
) -> Result<Result<Account, DropError>, sqlx::Error> {
    if let Some(known) = find(connection, username).await? {
        return Ok(Ok(claim_again(connection, caller, known, proof).await?));
    }
    if !caller.can_claim_more() {
        return Ok(Err(DropError::TooManyNames));
    }
    let claimed = sqlx::query!(
        "insert into users (username, username_key, username_skeletons, username_scripts, is_confirmed)
         values ($1, $2, $3, $4, $5)
         on conflict on constraint users_username_key_unique do nothing
         returning id, public_id",
        username.shown,
        username.key,
        &username.skeletons,
        username.scripts,
        proof == Proof::Token
    );
    let Some(row) = claimed.fetch_optional(&mut **connection).await? else {
        // Somebody else claimed it since.
        let known = find(connection, username).await?.ok_or(sqlx::Error::RowNotFound)?;
        return Ok(Ok(claim_again(connection, caller, known, proof).await?));
    };
    // After the insert, so that of two lookalikes that are claimed at the same time at least one sees the other.
    if has_lookalike(connection, username, row.id).await? {
        sqlx::query!("delete from users where id = $1", row.id).execute(&mut **connection).await?;
        return Ok(Err(DropError::UsernameTaken));
    }
    Ok(Ok(Account {
        user: User { id: row.id, username: username.shown.clone() },
        identity: Identity { id: row.id, public_id: row.public_id },
        is_claimed_by_caller: true,
    }))
}

/// Whether another user has a name that looks the same, and letters of other scripts. Within one script this would make `1`,
/// `l` and `I` one; a name of several scripts is like none. Each search has an order, by which the planner uses its index.
async fn has_lookalike(connection: &mut PgConnection, username: &Username, id: i64) -> Result<bool, sqlx::Error> {
    let found = sqlx::query_scalar!(
        r#"select exists (
               select from unnest($1::text[]) as own (skeleton) cross join lateral (
                   (select id from users where username_skeletons[1] = own.skeleton
                        and username_scripts > '' and username_scripts < $2
                    order by username_scripts limit 1)
                   union all
                   (select id from users where username_skeletons[1] = own.skeleton
                        and username_scripts > $2
                    order by username_scripts limit 1)
                   union all
                   (select id from users where username_skeletons[1] = own.skeleton
                        and username_scripts = $2 and $2 like '% %' and id <> $3
                    order by username_scripts limit 1)
                   union all
                   (select id from users where username_skeletons[2] = own.skeleton
                        and username_scripts > '' and username_scripts < $2
                    order by username_scripts limit 1)
                   union all
                   (select id from users where username_skeletons[2] = own.skeleton
                        and username_scripts > $2
                    order by username_scripts limit 1)
                   union all
                   (select id from users where username_skeletons[2] = own.skeleton
                        and username_scripts = $2 and $2 like '% %' and id <> $3
                    order by username_scripts limit 1)
               ) lookalike
               where $2 <> ''
           ) as "exists!""#,
        &username.skeletons,
        username.scripts,
        id
    );
    found.fetch_one(connection).await
}

struct KnownUser {
    id: i64,
    username: String,
    public_id: Uuid,
    is_confirmed: bool,
}

async fn find(connection: &mut PgConnection, username: &Username) -> Result<Option<KnownUser>, sqlx::Error> {
    let user = sqlx::query_as!(
        KnownUser,
        "select id, username, public_id, is_confirmed from users where username_key = $1",
        username.key
    );
    user.fetch_optional(connection).await
}

/// The account of a name that is claimed already. A claim that the browser could not keep is made again.
async fn claim_again(
    connection: &mut PoolGuard,
    caller: &Caller,
    known: KnownUser,
    proof: Proof,
) -> Result<Account, sqlx::Error> {
    let KnownUser { id, username, mut public_id, is_confirmed } = known;
    let mut is_claimed_by_caller = caller.has_claimed(Identity { id, public_id });
    if !is_claimed_by_caller && !is_confirmed && caller.can_claim_more() {
        connection.begin_on("isolation level read committed").await?;
        // Waits for a batch that is reserving for this user; the next statement sees what it committed.
        sqlx::query!("select id from users where id = $1 for update", id).fetch_optional(&mut **connection).await?;
        let claimed = sqlx::query_scalar!(
            "update users set public_id = gen_random_uuid(), is_confirmed = $3
             where id = $1 and public_id = $2 and not is_confirmed
                 and not exists (select from reservations where user_id = $1 and status = 'active')
                 and not exists (select from reservations where user_id = $1 and status <> 'active')
             returning public_id",
            id,
            public_id,
            proof == Proof::Token
        );
        let claimed = claimed.fetch_optional(&mut **connection).await?;
        connection.commit().await?;
        is_claimed_by_caller = claimed.is_some();
        public_id = claimed.unwrap_or(public_id);
    }
    Ok(Account { user: User { id, username }, identity: Identity { id, public_id }, is_claimed_by_caller })
}

/// Completes the users of an earlier release, which knew fewer names to be the same. A user whose name now is that of
/// another keeps the key that they had.
pub(crate) async fn complete_usernames(pool: &Pool) -> Result<(), DropError> {
    let mut last_id = 0;
    loop {
        let rows = sqlx::query!(
            "select id, username from users where id > $1 and username_skeletons is null order by id limit 100",
            last_id
        );
        let mut connection = PoolGuard::acquire(pool).await.map_err(fault)?;
        let rows = with_timeout(rows.fetch_all(&mut *connection)).await?;
        let Some(last) = rows.last() else {
            connection.put_back();
            return Ok(());
        };
        last_id = last.id;
        for row in rows {
            let Username { key, skeletons, scripts, .. } = Username::unchecked(row.username);
            let completed = sqlx::query!(
                "update users set username_skeletons = $2, username_scripts = $3, username_key =
                     case when exists (select from users where username_key = $4) then username_key else $4 end
                 where id = $1",
                row.id,
                &skeletons,
                scripts,
                key
            );
            with_timeout(completed.execute(&mut *connection)).await?;
        }
        connection.put_back();
    }
}

/// The identity of the user with this number.
pub(crate) async fn identity_of(pool: &Pool, user_id: i64) -> Result<Option<Identity>, DropError> {
    let found = sqlx::query_as!(Identity, "select id, public_id from users where id = $1", user_id);
    let mut connection = PoolGuard::acquire_for(Purpose::Sale, pool).await.map_err(fault)?;
    let found = with_timeout(found.fetch_optional(&mut *connection)).await?;
    connection.put_back();
    Ok(found)
}

/// A visitor with their active reservations and their purchases of current drops; `None` if there is no such user any more.
pub(crate) async fn visitor(state: &AppState, identity: Identity) -> Result<Option<Visitor>, DropError> {
    read_visitor(state, identity, None, false).await
}

/// The same for a visitor who comes back with their proof. So they keep it, and their claim is confirmed.
/// `past` is a drop that is not current and of which the purchases matter all the same.
pub(crate) async fn returning_visitor(
    state: &AppState,
    identity: Identity,
    past: Option<i64>,
) -> Result<Option<Visitor>, DropError> {
    read_visitor(state, identity, past, true).await
}

async fn read_visitor(
    state: &AppState,
    identity: Identity,
    past: Option<i64>,
    comes_back: bool,
) -> Result<Option<Visitor>, DropError> {
    let mut limits = state.catalog.limits();
    limits.0.extend(past);
    limits.1.extend(past.map(|_| 1));
    let mut connection = PoolGuard::acquire(&state.pool).await.map_err(fault)?;
    let visitor = with_timeout(query_visitor(&mut connection, identity, limits, comes_back)).await?;
    connection.put_back();
    Ok(visitor)
}

async fn query_visitor(
    connection: &mut PgConnection,
    identity: Identity,
    (drop_ids, limits): (Vec<i64>, Vec<i64>),
    comes_back: bool,
) -> Result<Option<Visitor>, sqlx::Error> {
    let Identity { id: user_id, public_id } = identity;
    let rows = sqlx::query!(
        r#"select u.username, u.is_confirmed, r.id as "id?", r.drop_id as "drop_id?", s.label as "size?",
                  r.price_cents as "price_cents?", r.expires_at as "expires_at?", r.created_at as "created_at?"
           from users u
           left join reservations r
               on r.user_id = u.id and r.status = 'active' and r.expires_at > clock_timestamp()
           left join drop_sizes s on s.id = r.size_id
           where u.id = $1 and u.public_id = $2
           order by r.expires_at"#,
        user_id,
        public_id
    );
    let rows = rows.fetch_all(&mut *connection).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let user = User { id: user_id, username: row.username.clone() };
    if comes_back && !row.is_confirmed {
        let confirmed =
            sqlx::query!("update users set is_confirmed = true where id = $1 and public_id = $2", user_id, public_id);
        if confirmed.execute(&mut *connection).await?.rows_affected() == 0 {
            return Ok(None);
        }
    }
    let reservations = rows.into_iter().filter_map(|row| {
        Some(Reservation {
            id: row.id?,
            drop_id: row.drop_id?,
            user_id,
            size: row.size?,
            price_cents: row.price_cents?,
            status: ReservationStatus::Active,
            expires_at: row.expires_at?.into(),
            created_at: row.created_at?.into(),
        })
    });
    let reservations = reservations.collect();
    let purchases = sqlx::query_as!(
        Purchase,
        "select p.id, p.drop_id, p.user_id, p.reservation_id, s.label as size, p.price_cents, p.created_at
         from unnest($2::bigint[], $3::bigint[]) as current (drop_id, most)
         cross join lateral (
             select * from purchases where user_id = $1 and drop_id = current.drop_id and status = 'completed'
             order by id desc limit most
         ) p
         join drop_sizes s on s.id = p.size_id
         order by p.id desc",
        user_id,
        &drop_ids,
        &limits
    );
    let purchases = purchases.fetch_all(&mut *connection).await?;
    // Of any drop: a page of one that is over long ago may show the purchase.
    let cancelled = sqlx::query_scalar!(
        "select id from purchases where user_id = $1 and status = 'cancelled' order by id desc limit $2",
        user_id,
        MOST_CANCELLED
    );
    let cancelled_purchases = cancelled.fetch_all(&mut *connection).await?;
    Ok(Some(Visitor { user, reservations, purchases, cancelled_purchases }))
}

/// Of how many cancelled purchases a visitor's pages hear, the newest first.
const MOST_CANCELLED: i64 = 100;

/// Who made a reservation.
pub(crate) async fn holder_of(pool: &Pool, reservation_id: i64) -> Result<Option<Identity>, DropError> {
    let holder = sqlx::query_as!(
        Identity,
        "select u.id, u.public_id from reservations r join users u on u.id = r.user_id where r.id = $1",
        reservation_id
    );
    let mut connection = PoolGuard::acquire_for(Purpose::Sale, pool).await.map_err(fault)?;
    let holder = with_timeout(holder.fetch_optional(&mut *connection)).await?;
    connection.put_back();
    Ok(holder)
}

/// A purchase of a user, and what was bought.
struct OrderRow {
    id: i64,
    drop_id: i64,
    user_id: i64,
    reservation_id: i64,
    label: String,
    price_cents: i32,
    created_at: DateTime<Utc>,
    name: String,
    image_url: Option<String>,
    is_cancelled: bool,
    cancel_reason: Option<String>,
    is_archived: bool,
}

impl From<OrderRow> for Order {
    fn from(row: OrderRow) -> Self {
        let OrderRow { id, drop_id, user_id, reservation_id, label: size, price_cents, created_at, .. } = row;
        let created_at = created_at.into();
        Self {
            purchase: Purchase { id, drop_id, user_id, reservation_id, size, price_cents, created_at },
            drop_name: row.name,
            image_url: row.image_url,
            is_cancelled: row.is_cancelled,
            cancel_reason: row.cancel_reason,
            is_archived: row.is_archived,
        }
    }
}

/// One page of a user's orders: those before a purchase, or the newest.
pub(crate) async fn orders(pool: &Pool, user: Identity, before: Option<i64>) -> Result<Orders, DropError> {
    // `+ 0` rules out the index by id, which the planner would search through everybody's purchases.
    let rows = sqlx::query_as!(
        OrderRow,
        r#"select p.id, p.drop_id, p.user_id, p.reservation_id, s.label, p.price_cents, p.created_at, d.name, d.image_url,
                p.status = 'cancelled' as "is_cancelled!", p.cancel_reason, d.status = 'archived' as "is_archived!"
         from users u join purchases p on p.user_id = u.id
         join drop_sizes s on s.id = p.size_id join drops d on d.id = p.drop_id
         where u.id = $1 and u.public_id = $4 and p.id < $2 order by p.id + 0 desc limit $3"#,
        user.id,
        before.unwrap_or(i64::MAX),
        LISTED_ON_A_PAGE as i64 + 1,
        user.public_id
    );
    let mut connection = PoolGuard::acquire(pool).await.map_err(fault)?;
    let mut rows = with_timeout(rows.fetch_all(&mut *connection)).await?;
    connection.put_back();
    let has_older = rows.len() > LISTED_ON_A_PAGE;
    rows.truncate(LISTED_ON_A_PAGE);
    let older = rows.last().filter(|_| has_older).map(|row| format!("before={}", row.id));
    Ok(Orders { orders: rows.into_iter().map(Order::from).collect(), older })
}

/// One of a user's orders, if it is theirs.
pub(crate) async fn order(pool: &Pool, user: Identity, purchase_id: i64) -> Result<Option<Order>, DropError> {
    let row = sqlx::query_as!(
        OrderRow,
        r#"select p.id, p.drop_id, p.user_id, p.reservation_id, s.label, p.price_cents, p.created_at, d.name, d.image_url,
                p.status = 'cancelled' as "is_cancelled!", p.cancel_reason, d.status = 'archived' as "is_archived!"
         from purchases p join users u on u.id = p.user_id
         join drop_sizes s on s.id = p.size_id join drops d on d.id = p.drop_id
         where p.id = $1 and u.id = $2 and u.public_id = $3"#,
        purchase_id,
        user.id,
        user.public_id
    );
    let mut connection = PoolGuard::acquire(pool).await.map_err(fault)?;
    let row = with_timeout(row.fetch_optional(&mut *connection)).await?;
    connection.put_back();
    Ok(row.map(Order::from))
}
