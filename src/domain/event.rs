//! The events of the WebSocket `/ws`.

use super::{Purchase, Reservation, SneakerDrop, Timestamp, User, Visitor, readable_elements::readable_elements};
use serde::{Deserialize, Deserializer, Serialize};

/// Where a page to which no socket can be opened asks for the two events that one begins with, a line each.
pub const SNAPSHOT_PATH: &str = "/snapshot";

/// The time of its answer by the database's clock, as JSON. Also of an answer that only says that nothing has changed.
pub const NOW_HEADER: &str = "sneakdrop-now";

/// What the server sends over `/ws`: an object whose `type` names the event. Counts are absolute and carry a version, so
/// that a later event makes up for a lost one.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum ServerEvent {
    /// The first event of a connection, and what a connection receives instead of the events it was too slow for.
    Snapshot(DropsSnapshot),
    /// Sent every ten seconds and on request, so that a page can detect a dead connection and correct its clock.
    Heartbeat(Heartbeat),
    StockUpdated(StockUpdate),
    PurchaseCompleted(PurchaseCompleted),
    DropCreated(DropCreated),
    /// A drop was edited. Sent instead of a stock update.
    DropUpdated(DropUpdated),
    /// A drop is not shown any more: it was archived, became a draft, or does not exist.
    DropRemoved(DropRemoved),
    /// Sent to the holder's own connections only, when their reservation was granted, completed, expired or released.
    Reservation(ReservationChange),
    /// Follows each snapshot: the state of the visitor to whom the connection belongs.
    Visitor(VisitorState),
}

impl ServerEvent {
    /// Reads the event of a `type`; `None` if this build does not know the type.
    ///
    /// serde's own reader of tagged enums copies the whole event into values of its own before it looks for the tag, and
    /// a reader of those is compiled for every type in it.
    pub fn read<'de, D: Deserializer<'de>>(event_type: &str, event: D) -> Result<Option<Self>, D::Error> {
        Ok(Some(match event_type {
            "snapshot" => Self::Snapshot(DropsSnapshot::deserialize(event)?),
            "heartbeat" => Self::Heartbeat(Heartbeat::deserialize(event)?),
            "stockUpdated" => Self::StockUpdated(StockUpdate::deserialize(event)?),
            "purchaseCompleted" => Self::PurchaseCompleted(PurchaseCompleted::deserialize(event)?),
            "dropCreated" => Self::DropCreated(DropCreated::deserialize(event)?),
            "dropUpdated" => Self::DropUpdated(DropUpdated::deserialize(event)?),
            "dropRemoved" => Self::DropRemoved(DropRemoved::deserialize(event)?),
            "reservation" => Self::Reservation(ReservationChange::deserialize(event)?),
            "visitor" => Self::Visitor(VisitorState::deserialize(event)?),
            _ => return Ok(None),
        }))
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DropsSnapshot {
    /// By the database's clock.
    pub now: Timestamp,
    /// See [`Snapshot::epoch`](super::Snapshot::epoch).
    pub epoch: String,
    /// The build of the server.
    pub build: String,
    #[serde(deserialize_with = "readable_elements")]
    pub drops: Vec<SneakerDrop>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// By the database's clock.
    pub now: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PurchaseCompleted {
    pub drop_id: i64,
    /// The drop's available pairs.
    pub new_stock: i32,
    pub purchase_id: i64,
    pub purchaser: User,
    pub purchased_at: Timestamp,
    /// The drop's first version that includes this purchase.
    pub version: i64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DropCreated {
    pub drop: SneakerDrop,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DropUpdated {
    pub drop: SneakerDrop,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DropRemoved {
    pub drop_id: i64,
    /// Higher than any that the drop had.
    pub version: i64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReservationChange {
    pub reservation: Reservation,
    /// Present when the reservation was completed.
    pub purchase: Option<Purchase>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VisitorState {
    /// `None` for a connection without a session.
    pub visitor: Option<Visitor>,
}

/// A drop's stock after the change that raised it to `version`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StockUpdate {
    /// By the database's clock.
    pub now: Timestamp,
    pub drop_id: i64,
    /// The drop's available pairs.
    pub new_stock: i32,
    /// Pairs of the drop in active reservations.
    pub held: i32,
    /// Only the sizes that changed.
    #[serde(deserialize_with = "readable_elements")]
    pub sizes: Vec<SizeLevel>,
    pub version: i64,
    /// Of the latest of the changes that this update covers.
    pub reason: Reason,
}

impl StockUpdate {
    /// Applies the update if it belongs to `drop` and is newer than it; returns whether it was applied.
    pub fn apply_to(&self, drop: &mut SneakerDrop) -> bool {
        if self.drop_id != drop.id || self.version <= drop.version {
            return false;
        }
        drop.version = self.version;
        drop.available_stock = self.new_stock;
        drop.held_stock = self.held;
        for level in &self.sizes {
            if let Some(size) = drop.sizes.iter_mut().find(|size| size.label == level.label) {
                size.available_stock = level.available;
            }
        }
        true
    }
}

/// The stock of one size.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SizeLevel {
    pub label: String,
    /// Pairs that can be reserved.
    pub available: i32,
}

/// Why stock changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reason {
    Reserved,
    Purchased,
    Expired,
    Released,
    /// The drop was created.
    Created,
    /// Its people changed it, or cancelled a purchase.
    Edited,
    /// One that this build does not know. Never sent.
    #[serde(other)]
    Other,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Size;
    use chrono::DateTime;

    fn at(seconds: i64) -> Timestamp {
        DateTime::from_timestamp(1_800_000_000 + seconds, 0).expect("in range").into()
    }

    /// On sale from 0 to 100 seconds, 5 of 10 pairs left.
    fn open_drop() -> SneakerDrop {
        let size = |label: &str| Size { label: label.into(), total_stock: 5, available_stock: 2 };
        SneakerDrop {
            id: 1,
            name: "Volt Runner".into(),
            description: String::new(),
            price_cents: 19_900,
            image_url: None,
            limit_per_user: None,
            version: 7,
            starts_at: at(0),
            ends_at: Some(at(100)),
            paused: false,
            total_stock: 10,
            available_stock: 4,
            held_stock: 1,
            sizes: vec![size("US 8"), size("US 9")],
            latest_purchasers: vec![],
        }
    }

    fn update(version: i64) -> StockUpdate {
        let sizes = vec![SizeLevel { label: "US 9".into(), available: 1 }];
        StockUpdate { now: at(1), drop_id: 1, new_stock: 3, held: 2, sizes, version, reason: Reason::Reserved }
    }

    #[test]
    fn an_update_of_an_older_or_equal_version_changes_nothing() {
        for version in [6, 7] {
            let mut drop = open_drop();
            assert!(!update(version).apply_to(&mut drop));
            assert_eq!(drop, open_drop());
        }
    }

    #[test]
    fn a_newer_update_changes_the_counts_and_only_the_listed_sizes() {
        let mut drop = open_drop();
        assert!(update(8).apply_to(&mut drop));
        assert_eq!((drop.total_stock, drop.available_stock, drop.held_stock), (10, 3, 2));
        assert_eq!(drop.sizes.iter().map(|size| size.available_stock).collect::<Vec<_>>(), [2, 1]);
    }

    #[test]
    fn events_use_the_field_names_of_the_protocol() {
        let json = serde_json::to_value(ServerEvent::StockUpdated(update(128))).expect("serialises");
        assert_eq!(json["type"], "stockUpdated");
        assert_eq!(json["dropId"], 1);
        assert_eq!(json["newStock"], 3);
        assert_eq!(json["sizes"][0]["label"], "US 9");
        assert_eq!(json["reason"], "reserved");
    }
}
