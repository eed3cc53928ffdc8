//! The content of the pages that only the server renders, as HTML. Nothing in it changes while the page is open, except that
//! the document's script puts times into the visitor's zone.

pub(super) mod filters;
mod lost;
mod order;
mod orders;
mod past_drops;
mod row;

use super::query::before;
use crate::{
    domain::{
        Snapshot,
        error::{DropError, Missing},
        read_id,
    },
    server::{
        auth::{accounts, caller::Caller},
        catalog::{Catalog, PastCursor},
        state::AppState,
    },
    ui::router::Page,
};
use axum::http::Uri;
use filters::Wanted;
use leptos::prelude::*;

/// The content of such a page; on the dashboard and on a drop's page the filters, if there is much to filter.
pub(super) async fn content(
    state: &AppState,
    caller: &Caller,
    uri: &Uri,
    snapshot: &Snapshot,
    filter: &Wanted,
) -> Result<Option<String>, DropError> {
    let html = match (Page::at(uri.path()), &snapshot.visitor) {
        (Page::Dashboard | Page::Drop(_), _) => {
            return Ok((snapshot.drops.len() > UNFILTERED || *filter != Wanted::default())
                .then(|| filters::content(filter, snapshot).to_html()));
        }
        (Page::PastDrops, _) => {
            let before = before(uri, PastCursor::read)?;
            past_drops::content(Catalog::past_drops(&state.pool, before).await?).to_html()
        }
        (Page::Purchases, Some(_)) => {
            let before = before(uri, read_id)?;
            let orders = accounts::orders(&state.pool, caller.require_identity()?, before).await?;
            orders::content(orders, snapshot).to_html()
        }
        (Page::Order(id), Some(visitor)) => {
            let order = accounts::order(&state.pool, caller.require_identity()?, id).await?;
            order::content(order.ok_or(DropError::NotFound(Missing::Path))?, &visitor.user).to_html()
        }
        (Page::Purchases | Page::Order(_), None) => orders::signed_out().to_html(),
        (Page::NotFound, _) => lost(state),
    };
    Ok(Some(html))
}

/// How many drops need no filters.
const UNFILTERED: usize = 8;

/// The content of a page that does not exist.
pub(super) fn lost(state: &AppState) -> String {
    lost::content(&state.catalog.drops(), state.clock.now()).to_html()
}
