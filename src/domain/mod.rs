//! What a drop is, and what a visitor may do with it at a given moment.
//!
//! These types are the wire format of every surface: the pages, the REST API, the server functions and `/ws` send
//! the same structs. Rules here are pure: time is a parameter, and nothing reads a clock or a database.

pub mod error;
pub mod event;
mod timestamp;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// A limited edition that goes on sale at `starts_at`: the subject of everything else.
///
/// A drop is always sold by size; one without sizes has the single [`ONE_SIZE`]. Its own stock figures are the sums
/// over `sizes`, kept here because every reader wants them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SneakerDrop {
    /// Identity, positive.
    pub id: i64,
    /// The name on the box.
    pub name: String,
    /// Price of one pair in US cents.
    pub price_cents: i32,
    /// An `https` address or a path of ours; `None` shows a neutral box.
    pub image_url: Option<String>,
    /// The most pairs one person may hold and own together; `None` is no limit.
    pub limit_per_user: Option<i32>,
    /// Grows by one with each committed change of stock; a receiver drops what is older than it has.
    pub version: i64,
    /// First moment at which a reservation is granted.
    #[serde(deserialize_with = "timestamp::read")]
    pub starts_at: DateTime<Utc>,
    /// First moment at which none is granted any more.
    #[serde(deserialize_with = "timestamp::read_optional")]
    pub ends_at: Option<DateTime<Utc>>,
    /// Pairs that exist.
    pub total_stock: i32,
    /// Pairs that can be reserved now.
    pub available_stock: i32,
    /// Pairs that somebody holds in an active reservation.
    pub held_stock: i32,
    /// In the order of the shelf.
    pub sizes: Vec<Size>,
    /// Newest first: [`LATEST_PURCHASERS`] from the server, up to [`LISTED_PURCHASERS`] as a page learns of more.
    pub latest_purchasers: Vec<Purchaser>,
}

impl SneakerDrop {
    /// Whether reservations are granted at `now`, stock aside.
    pub fn is_open(&self, now: DateTime<Utc>) -> bool {
        self.starts_at <= now && !self.has_ended(now)
    }

    /// Whether the drop is over at `now`.
    pub fn has_ended(&self, now: DateTime<Utc>) -> bool {
        self.ends_at.is_some_and(|ends_at| ends_at <= now)
    }

    /// Whether nothing is left and nothing may come back.
    pub fn is_sold_out(&self) -> bool {
        self.available_stock == 0 && self.held_stock == 0
    }

    /// Whether there is a choice of size to make.
    pub fn has_size_choice(&self) -> bool {
        self.sizes.len() > 1
    }

    /// Puts a purchaser among the newest `most`, unless this purchase is known already.
    pub fn add_purchaser(&mut self, purchaser: Purchaser, most: usize) {
        add_purchaser(&mut self.latest_purchasers, purchaser, most);
    }

    /// Takes in a whole state of the same drop, unless it is older; no known purchaser is forgotten.
    pub fn merge(&mut self, fresh: &Self) {
        for purchaser in &fresh.latest_purchasers {
            self.add_purchaser(purchaser.clone(), LISTED_PURCHASERS);
        }
        if fresh.version > self.version {
            let latest_purchasers = std::mem::take(&mut self.latest_purchasers);
            *self = Self { latest_purchasers, ..fresh.clone() };
        }
    }
}

/// How many recent purchasers a card names.
pub const LATEST_PURCHASERS: usize = 3;

/// How many recent purchasers a drop's own page names.
pub const LISTED_PURCHASERS: usize = 20;

/// How many purchases a visitor's own list holds.
pub const LISTED_PURCHASES: i64 = 200;

/// The label of the only size of a drop that comes without sizes.
pub const ONE_SIZE: &str = "One size";

/// Inserts in order of purchase, newest first, keeping at most `most` and each purchase once.
pub fn add_purchaser(list: &mut Vec<Purchaser>, purchaser: Purchaser, most: usize) {
    let at = list.partition_point(|known| known.purchase_id > purchaser.purchase_id);
    if list.get(at).is_none_or(|known| known.purchase_id != purchaser.purchase_id) {
        list.insert(at, purchaser);
        list.truncate(most);
    }
}

/// One size of a drop and its own stock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Size {
    /// Unique within the drop, such as `US 9`.
    pub label: String,
    /// Pairs that exist in this size.
    pub total_stock: i32,
    /// Pairs that can be reserved now.
    pub available_stock: i32,
}

/// A person, as others see them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Identity, positive.
    pub id: i64,
    /// 1 to 32 characters, unique whatever their case.
    pub username: String,
}

/// Somebody who bought a pair, as a card names them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Purchaser {
    /// The person's identity.
    pub id: i64,
    /// The person's name.
    pub username: String,
    /// Which purchase this is; orders the list.
    pub purchase_id: i64,
    /// When it was made.
    #[serde(deserialize_with = "timestamp::read")]
    pub purchased_at: DateTime<Utc>,
}

/// One pair set aside for one person until `expires_at`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reservation {
    /// Identity, positive.
    pub id: i64,
    /// The drop that the pair belongs to.
    pub drop_id: i64,
    /// Who holds it.
    pub user_id: i64,
    /// Label of the pair's size.
    pub size: String,
    /// Leaves `Active` exactly once.
    pub status: ReservationStatus,
    /// First moment at which it can no longer be bought.
    #[serde(deserialize_with = "timestamp::read")]
    pub expires_at: DateTime<Utc>,
    /// When it was granted.
    #[serde(deserialize_with = "timestamp::read")]
    pub created_at: DateTime<Utc>,
}

impl Reservation {
    /// Whether the pair can still be bought at `now`.
    pub fn is_held(&self, now: DateTime<Utc>) -> bool {
        self.status == ReservationStatus::Active && now < self.expires_at
    }
}

/// The life of a reservation: from `Active` to exactly one of the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(sqlx::Type), sqlx(type_name = "text", rename_all = "lowercase"))]
#[serde(rename_all = "lowercase")]
pub enum ReservationStatus {
    /// The pair is set aside.
    Active,
    /// The pair was bought.
    Completed,
    /// Time ran out and the pair went back.
    Expired,
    /// The holder gave the pair back.
    Cancelled,
}

/// A pair that was sold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Purchase {
    /// Identity, positive; the order number.
    pub id: i64,
    /// The drop that the pair belonged to.
    pub drop_id: i64,
    /// Who bought it.
    pub user_id: i64,
    /// The reservation that it completes.
    pub reservation_id: i64,
    /// Label of the pair's size.
    pub size: String,
    /// What was paid, in US cents: the drop's price at that moment.
    pub price_cents: i32,
    /// When it was bought.
    #[serde(deserialize_with = "timestamp::read")]
    pub created_at: DateTime<Utc>,
}

/// What a signed-in visitor has going on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Visitor {
    /// Who they are.
    pub user: User,
    /// Their active reservations.
    pub reservations: Vec<Reservation>,
    /// What they bought, newest first, at most [`LISTED_PURCHASES`].
    pub purchases: Vec<Purchase>,
}

/// Everything a page needs for its first paint, true at `now`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The database's clock.
    #[serde(deserialize_with = "timestamp::read")]
    pub now: DateTime<Utc>,
    /// Scheme and host under which this visitor sees the site, for links that others will open.
    pub origin: String,
    /// Every drop, in the order of their start.
    pub drops: Vec<SneakerDrop>,
    /// `None` when signed out.
    pub visitor: Option<Visitor>,
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn a_drop_is_open_from_its_first_moment_until_just_before_its_last() {
        let drop = open_drop();
        assert!(!drop.is_open(at(-1)));
        assert!(drop.is_open(at(0)));
        assert!(drop.is_open(at(99)));
        assert!(!drop.is_open(at(100)));
    }

    #[test]
    fn purchasers_stay_newest_first_without_repeats_whatever_order_they_arrive_in() {
        let mut drop = open_drop();
        for purchase_id in [4, 9, 4, 2, 7, 9] {
            let username = format!("user{purchase_id}");
            drop.add_purchaser(Purchaser { id: purchase_id, username, purchase_id, purchased_at: at(purchase_id) }, 3);
        }
        assert_eq!(drop.latest_purchasers.iter().map(|known| known.purchase_id).collect::<Vec<_>>(), [9, 7, 4]);
    }
}
