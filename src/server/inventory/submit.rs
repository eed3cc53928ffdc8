//! What pages and the REST API ask of a drop. Each waits for its reply; asking again returns what already exists.

use super::{
    command::{Answer, Callers, Command, Granted, Purchased, Released, Request},
    handle::Inventory,
    settled::{self, Settled},
    worker,
};
use crate::{
    domain::error::{DropError, Missing},
    server::{
        database::{
            Pool, Purpose,
            error::{fault, with_timeout},
            guard::PoolGuard,
        },
        identity::Identity,
    },
};
use std::time::Duration;
use tokio::time::timeout;

/// Reserves one pair for a user. A user who holds one already gets the same reservation, whatever size they name.
pub(crate) async fn reserve(
    inventory: &Inventory,
    user: Identity,
    drop_id: i64,
    size: Option<String>,
) -> Result<Granted, DropError> {
    let reply = if inventory.is_sold_out_for(user.id, drop_id, size.as_deref()) {
        Err(DropError::SoldOut)
    } else {
        // Sizes that don't exist become one, so that they are repetitions of one command and cannot fill a queue.
        let size =
            size.map(|label| if inventory.catalog.may_have_size(drop_id, &label) { label } else { String::new() });
        submit(inventory, drop_id, user, |callers| Request::Reserve(size, callers)).await
    };
    let (granted, is_repeated) = counted(inventory, drop_id, reply)?;
    Ok(Granted { was_held: granted.was_held || is_repeated, ..granted })
}

/// What to buy.
#[derive(Clone, Copy)]
pub(crate) enum Target {
    /// The pair that the user holds of this drop, if it is that of this reservation or none is given.
    Drop(i64, Option<i64>),
    /// The pair of this reservation.
    Reservation(i64),
}

/// Sells a user the pair that they hold. Purchasing again returns the same purchase.
pub(crate) async fn purchase(inventory: &Inventory, user: Identity, target: Target) -> Result<Purchased, DropError> {
    let (drop_id, reservation_id) = match target {
        Target::Drop(drop_id, reservation_id) => (drop_id, reservation_id),
        // The user and the drop of a reservation never change, so they can be read without the lock.
        Target::Reservation(id) => (drop_of(&inventory.pool, user, id).await?, Some(id)),
    };
    let reply = match submit(inventory, drop_id, user, |callers| Request::Purchase(reservation_id, callers)).await {
        Err(DropError::NoActiveReservation) => {
            settled::read(&inventory.pool, user.id, drop_id, reservation_id).await.and_then(Settled::purchased)
        }
        reply => reply.map(|(purchased, _)| purchased),
    };
    counted(inventory, drop_id, reply)
}

async fn drop_of(pool: &Pool, user: Identity, reservation_id: i64) -> Result<i64, DropError> {
    let drop_id = sqlx::query_scalar!(
        r#"select drop_id as "drop_id?" from users
           left join reservations on reservations.id = $1 and user_id = users.id
           where users.id = $2 and public_id = $3"#,
        reservation_id,
        user.id,
        user.public_id
    );
    let mut connection = PoolGuard::acquire_for(Purpose::Sale, pool).await.map_err(fault)?;
    let drop_id = with_timeout(drop_id.fetch_optional(&mut *connection)).await?;
    connection.put_back();
    drop_id.ok_or(DropError::Unauthorized)?.ok_or(DropError::NotFound(Missing::Reservation))
}

/// Releases the pair that a user holds of a drop, if it is that of this reservation or none is given. Releasing again returns
/// the same reservation, also after it expired.
pub(crate) async fn release(
    inventory: &Inventory,
    user: Identity,
    drop_id: i64,
    reservation_id: Option<i64>,
) -> Result<Released, DropError> {
    let reply = match submit(inventory, drop_id, user, |callers| Request::Release(reservation_id, callers)).await {
        Err(DropError::NoActiveReservation) => {
            settled::read(&inventory.pool, user.id, drop_id, reservation_id).await.and_then(Settled::released)
        }
        reply => reply.map(|(released, _)| released),
    };
    counted(inventory, drop_id, reply)
}

/// The reply of a drop, counted if it is a refusal.
fn counted<R>(inventory: &Inventory, drop_id: i64, reply: Result<R, DropError>) -> Result<R, DropError> {
    if let Err(error) = &reply {
        inventory.refusals.count(&inventory.catalog, drop_id, error);
    }
    reply
}

/// Puts a command into its drop's queue and waits for the reply. A command whose callers stop waiting before its batch
/// begins is left out.
async fn submit<R: Clone>(
    inventory: &Inventory,
    drop_id: i64,
    user: Identity,
    request: impl FnOnce(Callers<R>) -> Request,
) -> Answer<R> {
    // A drop that does not exist gets no queue and no worker, and a draft is answered as one.
    if !inventory.catalog.has(drop_id) && !is_or_was_shown(&inventory.pool, drop_id).await? {
        return Err(DropError::NotFound(Missing::Drop));
    }
    let (callers, answer) = Callers::one();
    if inventory.batcher.enqueue(drop_id, Command { user, request: request(callers) })? {
        inventory.tasks.spawn(worker::run(inventory.clone(), drop_id));
    }
    match timeout(REPLY_TIMEOUT, answer).await {
        Ok(answer) => answer.unwrap_or(Err(DropError::Internal)),
        Err(_) => Err(DropError::Unknown),
    }
}

/// How long a caller waits for a reply: longer than a transaction may take with another one before it. A batch that is
/// repeated may take longer still, and its outcome is then unknown to the caller.
const REPLY_TIMEOUT: Duration = Duration::from_secs(20);

/// Whether a drop exists that the catalog does not have, and is no draft.
async fn is_or_was_shown(pool: &Pool, drop_id: i64) -> Result<bool, DropError> {
    let found = sqlx::query_scalar!(
        r#"select exists (select from drops where id = $1 and status <> 'draft') as "exists!""#,
        drop_id
    );
    let mut connection = PoolGuard::acquire(pool).await.map_err(fault)?;
    let found = with_timeout(found.fetch_one(&mut *connection)).await?;
    connection.put_back();
    Ok(found)
}
