//! Every server function, under `/rpc/…`. Each says who asks and passes on; what happens is in `server`.
//!
//! All of them are plain form posts at heart, so that the buttons work before WebAssembly has loaded, and without it.

use crate::{
    domain::error::DropError,
    domain::{self, Purchaser, Reservation, Visitor},
};
use leptos::prelude::*;

/// Claims a username for this browser, or comes back to one that it has claimed.
#[server(prefix = "/rpc", endpoint = "sign_in")]
pub async fn sign_in(
    /// The name to claim.
    username: String,
) -> Result<Visitor, DropError> {
    use crate::server::{accounts, pages};
    let request = pages::request()?;
    let account = accounts::get_or_create(&request.state, &request.caller, &username).await?;
    if !account.is_callers {
        return Err(DropError::UsernameTaken);
    }
    let visitor = accounts::visitor(&request.state.pool, account.user).await?;
    request.set_cookies(request.caller.sign_in_cookies(&request.state, &visitor.user));
    Ok(visitor)
}

/// Signs this browser out; the name stays claimed by it.
#[server(prefix = "/rpc", endpoint = "sign_out")]
pub async fn sign_out() -> Result<(), DropError> {
    let request = crate::server::pages::request()?;
    request.set_cookies([request.caller.sign_out_cookie()]);
    Ok(())
}

/// Sets a pair aside for the visitor.
#[server(prefix = "/rpc", endpoint = "reserve")]
pub async fn reserve(
    /// The drop.
    drop_id: i64,
    /// Label of the size; needed where there are several.
    size: Option<String>,
) -> Result<Reservation, DropError> {
    use crate::server::{inventory, pages};
    let request = pages::request()?;
    let user_id = request.caller.require_user()?.id;
    Ok(inventory::reserve(&request.state, user_id, drop_id, size).await?.reservation)
}

/// Sells the visitor the pair that they hold.
#[server(prefix = "/rpc", endpoint = "purchase")]
pub async fn purchase(
    /// The drop.
    drop_id: i64,
) -> Result<domain::Purchase, DropError> {
    use crate::server::{inventory, pages};
    let request = pages::request()?;
    let user_id = request.caller.require_user()?.id;
    Ok(inventory::purchase(&request.state, user_id, inventory::Target::Drop(drop_id)).await?.purchase)
}

/// Gives back the pair that the visitor holds; says which one went back.
#[server(prefix = "/rpc", endpoint = "release")]
pub async fn release(
    /// The drop.
    drop_id: i64,
) -> Result<Reservation, DropError> {
    use crate::server::{inventory, pages};
    let request = pages::request()?;
    let user_id = request.caller.require_user()?.id;
    Ok(inventory::release(&request.state, user_id, drop_id).await?.reservation)
}

/// The newest purchasers of a drop, for its own page.
#[server(prefix = "/rpc", endpoint = "purchasers")]
pub async fn purchasers(
    /// The drop.
    drop_id: i64,
) -> Result<Vec<Purchaser>, DropError> {
    use crate::{domain::error::Missing, server::pages};
    pages::request()?.state.catalog.purchasers(drop_id).ok_or(DropError::NotFound(Missing::Drop))
}
