//! The server functions, under `/rpc/…`. Each identifies the caller and passes the request on to `server`.
//!
//! All of them accept a plain form post, so that every button works before WebAssembly has loaded, and without it.

use crate::domain::{self, Purchaser, Reservation, Visitor, error::DropError};
use leptos::prelude::*;

/// Claims a username for this browser, or signs in with one that this browser has claimed before.
#[server(prefix = "/rpc", endpoint = "sign_in")]
pub async fn sign_in(username: String) -> Result<Visitor, DropError> {
    use crate::server::{
        auth::accounts::{self, Proof},
        http::context,
    };
    let request = context::request()?;
    let account = accounts::get_or_create(&request.state, &request.caller, &username, Proof::Cookie).await?;
    if !account.is_claimed_by_caller {
        return Err(DropError::UsernameTaken);
    }
    let visitor = accounts::visitor(&request.state, account.identity).await?.ok_or(DropError::Unavailable)?;
    request.set_cookies(request.caller.sign_in_cookies(&request.state, account.identity));
    Ok(visitor)
}

/// Signs out. The username stays claimed by this browser.
#[server(prefix = "/rpc", endpoint = "sign_out")]
pub async fn sign_out(
    /// Whom the page shows as signed in.
    user_id: Option<i64>,
) -> Result<(), DropError> {
    let request = crate::server::http::context::request()?;
    if request.require_shown(user_id) == Err(DropError::AnotherUser) {
        return Err(DropError::AnotherUser);
    }
    request.set_cookies([request.caller.sign_out_cookie()]);
    Ok(())
}

/// Reserves a pair for the visitor; returns their active reservation if they already hold one of this drop.
#[server(prefix = "/rpc", endpoint = "reserve")]
pub async fn reserve(
    /// Whom the page shows as signed in.
    user_id: Option<i64>,
    drop_id: i64,
    /// The size's label; required if the drop has several.
    size: Option<String>,
) -> Result<Reservation, DropError> {
    use crate::server::{http::context, inventory};
    let request = context::request()?;
    let user = request.require_shown(user_id)?;
    let reservation = inventory::reserve(&request.state.inventory, user, drop_id, size).await?.reservation;
    request.set_cookies(request.caller.size_cookie(&reservation.size));
    Ok(reservation)
}

/// Purchases the pair that the visitor holds.
#[server(prefix = "/rpc", endpoint = "purchase")]
pub async fn purchase(
    /// Whom the page shows as signed in.
    user_id: Option<i64>,
    drop_id: i64,
    /// The reservation that the page shows, so that a late copy of the request buys no other pair.
    reservation_id: Option<i64>,
) -> Result<domain::Purchase, DropError> {
    use crate::server::{http::context, inventory};
    let request = context::request()?;
    let user = request.require_shown(user_id)?;
    let target = inventory::Target::Drop(drop_id, reservation_id);
    Ok(inventory::purchase(&request.state.inventory, user, target).await?.purchase)
}

/// Releases the pair that the visitor holds; returns its reservation.
#[server(prefix = "/rpc", endpoint = "release")]
pub async fn release(
    /// Whom the page shows as signed in.
    user_id: Option<i64>,
    drop_id: i64,
    /// The reservation that the page shows, so that a late copy of the request gives no other pair back.
    reservation_id: Option<i64>,
) -> Result<Reservation, DropError> {
    use crate::server::{http::context, inventory};
    let request = context::request()?;
    let user = request.require_shown(user_id)?;
    Ok(inventory::release(&request.state.inventory, user, drop_id, reservation_id).await?.reservation)
}

/// The newest purchasers of a drop, at most [`LISTED_PURCHASERS`](domain::LISTED_PURCHASERS), for its own page.
#[server(prefix = "/rpc", endpoint = "purchasers")]
pub async fn purchasers(drop_id: i64) -> Result<Vec<Purchaser>, DropError> {
    use crate::{domain::error::Missing, server::http::context};
    let state = context::request()?.state;
    if let Some(purchasers) = state.catalog.purchasers(drop_id) {
        return Ok(purchasers);
    }
    let past = state.catalog.read_past(&state.pool, drop_id).await?;
    past.map(|drop| drop.latest_purchasers).ok_or(DropError::NotFound(Missing::Drop))
}
