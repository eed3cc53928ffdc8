//! What happens in the shop, as the clients of the two replaced systems hear of it.

use super::{EVENT, MESSAGE};
use crate::domain::{
    SneakerDrop, User,
    event::{Reason, ServerEvent},
};
use serde::Serialize;
use serde_json::json;

/// What an event of `/ws` is to the two systems' clients.
pub(super) fn packets(event: &ServerEvent) -> Vec<String> {
    match event {
        ServerEvent::StockUpdated(update) => stock(update.drop_id, update.new_stock, reason(update.reason)).into(),
        ServerEvent::DropUpdated(updated) => {
            stock_of(&updated.drop, Some(if updated.drop.paused { "paused" } else { "edited" })).into()
        }
        // Nothing of it is left to be had.
        ServerEvent::DropRemoved(removed) => stock(removed.drop_id, 0, Some("removed")).into(),
        ServerEvent::PurchaseCompleted(completed) => {
            let (drop_id, purchaser) = (completed.drop_id, &completed.purchaser);
            let first = PurchaseCompleted { drop_id, new_stock: completed.new_stock, purchaser };
            let second = PurchaseComplete { drop_id, user_id: purchaser.id, purchase_id: completed.purchase_id };
            vec![packet("purchaseCompleted", first), packet("purchase_complete", second)]
        }
        // Its stock follows.
        ServerEvent::DropCreated(_)
        | ServerEvent::Snapshot(_)
        | ServerEvent::Heartbeat(_)
        | ServerEvent::Reservation(_)
        | ServerEvent::Visitor(_) => vec![],
    }
}

pub(super) fn stock_of(drop: &SneakerDrop, reason: Option<&'static str>) -> [String; 2] {
    stock(drop.id, drop.available_stock, reason)
}

fn stock(drop_id: i64, available: i32, reason: Option<&'static str>) -> [String; 2] {
    [
        packet("stockUpdated", StockUpdated { drop_id, new_stock: available }),
        packet("stock_update", StockUpdate { drop_id, available_stock: available, reason }),
    ]
}

/// As the second system says it; of a reservation it says nothing.
fn reason(reason: Reason) -> Option<&'static str> {
    match reason {
        Reason::Reserved | Reason::Other => None,
        Reason::Expired => Some("reservation_expired"),
        Reason::Purchased => Some("purchased"),
        Reason::Released => Some("released"),
        Reason::Created => Some("created"),
        Reason::Edited => Some("edited"),
    }
}

fn packet(event: &str, fields: impl Serialize) -> String {
    format!("{MESSAGE}{EVENT}{}", json!([event, fields]))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StockUpdated {
    drop_id: i64,
    new_stock: i32,
}

#[derive(Serialize)]
struct StockUpdate {
    #[serde(rename = "dropId")]
    drop_id: i64,
    available_stock: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PurchaseCompleted<'a> {
    drop_id: i64,
    new_stock: i32,
    purchaser: &'a User,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PurchaseComplete {
    drop_id: i64,
    user_id: i64,
    purchase_id: i64,
}
