//! What the server sends over `/ws`.

use super::{Purchase, Reservation, SneakerDrop, User, Visitor, timestamp};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// What `/ws` sends. Counts are absolute and versioned, never differences: losing a event loses nothing for good.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
// The page's own reader finds the type by itself; serde's way to it takes a second reader for every field.
#[cfg_attr(feature = "ssr", serde(tag = "type"))]
pub enum ServerEvent {
    /// The first event of a connection, and the way out for a socket that fell behind.
    Snapshot {
        /// The database's clock.
        #[serde(deserialize_with = "timestamp::read")]
        now: DateTime<Utc>,
        /// Every drop.
        drops: Vec<SneakerDrop>,
    },
    /// Every ten seconds, whatever else happens: the line still stands.
    Heartbeat {
        /// The database's clock.
        #[serde(deserialize_with = "timestamp::read")]
        now: DateTime<Utc>,
    },
    /// A drop's stock changed.
    StockUpdated(StockUpdate),
    /// Somebody bought a pair.
    PurchaseCompleted {
        /// The drop.
        drop_id: i64,
        /// Pairs of the drop that can be reserved.
        new_stock: i32,
        /// The order number.
        purchase_id: i64,
        /// Who bought it.
        purchaser: User,
        /// When.
        #[serde(deserialize_with = "timestamp::read")]
        purchased_at: DateTime<Utc>,
        /// The drop's version that includes this purchase.
        version: i64,
    },
    /// A drop was created; sent whole, as nobody knows it yet.
    DropCreated {
        /// The drop.
        drop: SneakerDrop,
    },
    /// Only to the visitor's own sockets: one of their reservations was made or settled.
    Reservation {
        /// The reservation in its new state.
        reservation: Reservation,
        /// The purchase, when the reservation was completed.
        purchase: Option<Purchase>,
    },
    /// Only to the visitor's own sockets, after each snapshot: all of their state.
    Visitor {
        /// `None` when the socket belongs to nobody.
        visitor: Option<Visitor>,
    },
}

/// A drop's stock as of `version`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StockUpdate {
    /// The database's clock.
    #[serde(deserialize_with = "timestamp::read")]
    pub now: DateTime<Utc>,
    /// The drop.
    pub drop_id: i64,
    /// Pairs of the drop that can be reserved.
    pub new_stock: i32,
    /// Pairs of the drop in active reservations.
    pub held: i32,
    /// The sizes that changed.
    pub sizes: Vec<SizeLevel>,
    /// The drop's version.
    pub version: i64,
    /// What happened last.
    pub reason: Reason,
}

impl StockUpdate {
    /// Applies this to the drop if it is newer than what the drop shows; returns whether it was.
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

/// How many pairs of one size can be reserved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SizeLevel {
    /// The size.
    pub label: String,
    /// Pairs that can be reserved.
    pub available: i32,
}

/// Why stock changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reason {
    /// A pair was set aside.
    Reserved,
    /// A pair was sold.
    Purchased,
    /// A reservation lapsed.
    Expired,
    /// A pair was given back.
    Released,
    /// The drop is new.
    Created,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Size;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + seconds, 0).expect("in range")
    }

    /// On sale from 0 to 100 seconds, 5 of 10 pairs left.
    fn open_drop() -> SneakerDrop {
        let size = |label: &str| Size { label: label.into(), total_stock: 5, available_stock: 2 };
        SneakerDrop {
            id: 1,
            name: "Volt Runner".into(),
            price_cents: 19_900,
            image_url: None,
            limit_per_user: None,
            version: 7,
            starts_at: at(0),
            ends_at: Some(at(100)),
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
    fn an_older_or_equal_version_changes_nothing() {
        for version in [6, 7] {
            let mut drop = open_drop();
            assert!(!update(version).apply_to(&mut drop));
            assert_eq!(drop, open_drop());
        }
    }

    #[test]
    fn a_newer_version_moves_the_counts_and_only_the_named_sizes() {
        let mut drop = open_drop();
        assert!(update(8).apply_to(&mut drop));
        assert_eq!((drop.total_stock, drop.available_stock, drop.held_stock), (10, 3, 2));
        assert_eq!(drop.sizes.iter().map(|size| size.available_stock).collect::<Vec<_>>(), [2, 1]);
    }

    #[test]
    fn frames_spell_their_fields_as_the_protocol_does() {
        let json = serde_json::to_value(ServerEvent::StockUpdated(update(128))).expect("serialises");
        assert_eq!(json["type"], "stockUpdated");
        assert_eq!(json["dropId"], 1);
        assert_eq!(json["newStock"], 3);
        assert_eq!(json["sizes"][0]["label"], "US 9");
        assert_eq!(json["reason"], "reserved");
    }
}
