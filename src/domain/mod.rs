//! Drops, reservations and purchases, and the rules about them that need no database.
//!
//! These types are the wire format of the pages, the REST API, the server functions and `/ws`. The rules are pure: time
//! is a parameter, and nothing here reads a clock or a database. Every `*_stock` counts pairs.

pub mod edit;
pub mod error;
pub mod event;
mod readable_elements;
mod timestamp;

pub use timestamp::Timestamp;

use chrono::{DateTime, Utc};
use readable_elements::readable_elements;
use serde::{Deserialize, Deserializer, Serialize};

/// A limited edition that goes on sale at `starts_at`.
///
/// A drop is always sold by size; one without sizes has the single size [`ONE_SIZE`]. Its own counts are the sums over
/// `sizes`, sent along because every reader needs them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SneakerDrop {
    /// Positive.
    pub id: i64,
    pub name: String,
    /// Paragraphs with a blank line between them.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Price of one pair in US cents.
    pub price_cents: i32,
    /// An `https` address or a path on this site; without one a neutral background is shown.
    pub image_url: Option<String>,
    /// The maximum of purchases and active reservations together for one user; `None` is no limit.
    pub limit_per_user: Option<i32>,
    /// Rises with each committed change; a receiver ignores a state older than the one it has, within an epoch.
    pub version: i64,
    /// The first time at which a reservation is granted.
    pub starts_at: Timestamp,
    /// The first time at which reservations are refused again.
    pub ends_at: Option<Timestamp>,
    /// Whether nobody can reserve for now; holders can still buy.
    #[serde(default, deserialize_with = "or_default")]
    pub paused: bool,
    /// Available, held and sold together.
    pub total_stock: i32,
    /// Can be reserved now.
    pub available_stock: i32,
    /// In active reservations.
    pub held_stock: i32,
    /// In display order.
    #[serde(deserialize_with = "readable_elements")]
    pub sizes: Vec<Size>,
    /// Newest first. The server sends [`LATEST_PURCHASERS`]; a page keeps up to [`LISTED_PURCHASERS`] as it receives
    /// more.
    #[serde(deserialize_with = "readable_elements")]
    pub latest_purchasers: Vec<Purchaser>,
}

/// Reads a field that a server of an earlier release does not send. `default` alone does so only where a struct is read as
/// a map; the browser reads it as the sequence of its fields.
fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(field: D) -> Result<T, D::Error> {
    Option::deserialize(field).map(Option::unwrap_or_default)
}

impl SneakerDrop {
    /// Whether `now` lies between start and end; says nothing about stock.
    pub fn is_open(&self, now: DateTime<Utc>) -> bool {
        *self.starts_at <= now && !self.has_ended(now)
    }

    /// Whether somebody who has none yet can reserve a pair.
    pub fn is_on_sale(&self, now: DateTime<Utc>) -> bool {
        self.is_open(now) && !self.paused && self.available_stock > 0
    }

    pub fn has_ended(&self, now: DateTime<Utc>) -> bool {
        self.ends_at.is_some_and(|ends_at| *ends_at <= now)
    }

    /// Whether every pair is sold: none is available, and none is held that could become available again.
    pub fn is_sold_out(&self) -> bool {
        self.available_stock == 0 && self.held_stock == 0
    }

    /// Whether nothing more will be sold, but what comes back. Before the start, pairs may still be added.
    pub fn is_over(&self, now: DateTime<Utc>) -> bool {
        self.has_ended(now) || *self.starts_at <= now && self.is_sold_out()
    }

    pub fn has_size_choice(&self) -> bool {
        self.sizes.len() > 1
    }

    /// See the function [`add_purchaser`].
    pub fn add_purchaser(&mut self, purchaser: Purchaser, limit: usize) {
        add_purchaser(&mut self.latest_purchasers, purchaser, limit);
    }

    /// Takes over everything that sales change but the purchasers.
    pub fn set_stock(&mut self, of: &Self) {
        self.version = of.version;
        self.total_stock = of.total_stock;
        self.available_stock = of.available_stock;
        self.held_stock = of.held_stock;
        self.sizes = of.sizes.clone();
    }

    /// Takes in a drop that the server sent, with at most `listed` of its purchasers. An older version brings no stock, and removes
    /// nobody. What was edited is as it was sent last: the node that a page was read from may have known of a sale before it
    /// knew of an edit.
    pub fn merge(&mut self, received: &Self, listed: usize) {
        let mut known = std::mem::replace(self, received.clone());
        if received.version >= known.version {
            remove_cancelled(&mut known.latest_purchasers, &received.latest_purchasers, listed);
        } else {
            self.set_stock(&known);
        }
        self.latest_purchasers = known.latest_purchasers;
        for purchaser in &received.latest_purchasers {
            self.add_purchaser(purchaser.clone(), LISTED_PURCHASERS);
        }
    }
}

/// How many recent purchasers a card lists.
pub const LATEST_PURCHASERS: usize = 3;

/// How many recent purchasers a drop's own page lists.
pub const LISTED_PURCHASERS: usize = 20;

/// How many orders or past drops one page lists.
pub const LISTED_ON_A_PAGE: usize = 20;

/// The longest username, counted as browsers count what is typed into a field: in UTF-16 code units.
pub const USERNAME_MAX_LENGTH: usize = 32;

/// The label of the only size of a drop that was created without sizes.
pub const ONE_SIZE: &str = "One size";

/// The id in an address, in its one spelling: digits without a sign, the first of which is not zero.
pub fn read_id(digits: &str) -> Option<i64> {
    digits.parse().ok().filter(|_| !digits.starts_with(['+', '-', '0']))
}

/// Inserts in order of purchase, newest first. Each purchase is listed once, and only the newest `limit` are kept.
pub fn add_purchaser(list: &mut Vec<Purchaser>, purchaser: Purchaser, limit: usize) {
    let at = list.partition_point(|known| known.purchase_id > purchaser.purchase_id);
    if list.get(at).is_none_or(|known| known.purchase_id != purchaser.purchase_id) {
        list.insert(at, purchaser);
        list.truncate(limit);
    }
}

/// Removes from a list those who would be among the newest purchasers if their purchase had not been cancelled. At most `listed`
/// of the newest are there: if there are fewer, they are all.
pub fn remove_cancelled(list: &mut Vec<Purchaser>, newest: &[Purchaser], listed: usize) {
    let oldest = match newest {
        [.., oldest] if newest.len() >= listed => oldest.purchase_id,
        _ => 0,
    };
    list.retain(|known| {
        known.purchase_id < oldest || newest.iter().any(|newest| newest.purchase_id == known.purchase_id)
    });
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Size {
    /// Unique within the drop, such as `US 9`.
    pub label: String,
    pub total_stock: i32,
    pub available_stock: i32,
}

#[cfg(feature = "ssr")]
impl Size {
    /// Those that buyers see. A size of which all pairs were taken back is gone, unless the drop has no other.
    pub fn shown(mut sizes: Vec<Self>) -> Vec<Self> {
        if sizes.iter().any(|size| size.total_stock > 0) {
            sizes.retain(|size| size.total_stock > 0);
        }
        sizes
    }
}

/// A user, with what everyone may see of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Positive.
    pub id: i64,
    /// 1 to [`USERNAME_MAX_LENGTH`] characters; unique regardless of case.
    pub username: String,
}

/// A purchase as it is listed in public.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Purchaser {
    /// The user's id.
    pub id: i64,
    pub username: String,
    /// Orders the list.
    pub purchase_id: i64,
    pub purchased_at: Timestamp,
}

/// One pair held for one user until `expires_at`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reservation {
    /// Positive.
    pub id: i64,
    pub drop_id: i64,
    pub user_id: i64,
    /// The size's label.
    pub size: String,
    /// The drop's price when the pair was reserved, in US cents: what its purchase costs.
    pub price_cents: i32,
    pub status: ReservationStatus,
    /// The first time at which the pair cannot be bought any more.
    pub expires_at: Timestamp,
    pub created_at: Timestamp,
}

impl Reservation {
    /// Whether the holder can still buy the pair at `now`.
    pub fn is_held(&self, now: DateTime<Utc>) -> bool {
        self.status == ReservationStatus::Active && now < *self.expires_at
    }
}

/// A reservation is created as `Active` and changes once, to one of the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(sqlx::Type), sqlx(type_name = "text", rename_all = "lowercase"))]
#[serde(rename_all = "lowercase")]
pub enum ReservationStatus {
    Active,
    /// The pair was purchased.
    Completed,
    /// The pair returned to stock at `expires_at`.
    Expired,
    /// The holder released the pair.
    Cancelled,
    /// One that this build does not know. Never sent.
    #[serde(other)]
    Other,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Purchase {
    /// Positive; shown as the order number.
    pub id: i64,
    pub drop_id: i64,
    pub user_id: i64,
    pub reservation_id: i64,
    /// The size's label.
    pub size: String,
    /// The price paid, in US cents: the reservation's.
    pub price_cents: i32,
    pub created_at: Timestamp,
}

/// The signed-in visitor with everything that their own pages show.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Visitor {
    pub user: User,
    /// The active ones.
    #[serde(deserialize_with = "readable_elements")]
    pub reservations: Vec<Reservation>,
    /// Those of the current drops, newest first: of each drop as many as its limit, or the newest if it has none.
    #[serde(deserialize_with = "readable_elements")]
    pub purchases: Vec<Purchase>,
    /// Ids of their newest purchases that were cancelled, of any drop.
    #[serde(default, deserialize_with = "or_default")]
    pub cancelled_purchases: Vec<i64>,
}

/// A purchase with its drop as it looks now.
pub struct Order {
    pub purchase: Purchase,
    pub drop_name: String,
    pub image_url: Option<String>,
    pub is_cancelled: bool,
    /// Why it was cancelled, unless that was removed.
    pub cancel_reason: Option<String>,
    /// Whether the drop has no page any more.
    pub is_archived: bool,
}

/// One page of a user's orders, newest first.
pub struct Orders {
    pub orders: Vec<Order>,
    /// The query of the page of older ones, if there are any.
    pub older: Option<String>,
}

/// A drop that is over.
pub struct PastDrop {
    pub id: i64,
    pub name: String,
    pub price_cents: i32,
    pub image_url: Option<String>,
    pub total_stock: i32,
    pub sold_stock: i32,
    /// When it ended or its last pair was sold.
    pub over_since: Timestamp,
}

/// One page of the drops that are over, latest first.
pub struct PastDrops {
    pub drops: Vec<PastDrop>,
    /// The query of the page of earlier ones, if there are any.
    pub older: Option<String>,
}

/// The data of a page's first paint, as of `now`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// By the database's clock.
    pub now: Timestamp,
    /// The history of the database that the versions belong to. In another epoch the same version is another state: what
    /// was known before counts no more.
    pub epoch: String,
    /// Scheme and host under which this visitor opened the site, for absolute links in the document's metadata.
    pub origin: String,
    /// The current ones, and the page's own; ordered by start.
    #[serde(deserialize_with = "readable_elements")]
    pub drops: Vec<SneakerDrop>,
    /// `None` when signed out.
    pub visitor: Option<Visitor>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_one_spelling() {
        for id in [1, 9, 10, 1_000, i64::MAX] {
            assert_eq!(read_id(&id.to_string()), Some(id));
        }
        for nothing in [
            "",
            "0",
            "00",
            "01",
            "007",
            "+5",
            "-1",
            "-0",
            " 5",
            "5 ",
            "1.0",
            "1e3",
            "0x1",
            "1_0",
            "x",
            "\u{661}",
            "9223372036854775808",
        ] {
            assert_eq!(read_id(nothing), None, "{nothing:?}");
        }
    }

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + seconds, 0).expect("in range")
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
            starts_at: at(0).into(),
            ends_at: Some(at(100).into()),
            paused: false,
            total_stock: 10,
            available_stock: 4,
            held_stock: 1,
            sizes: vec![size("US 8"), size("US 9")],
            latest_purchasers: vec![],
        }
    }

    #[test]
    fn a_drop_is_open_from_its_start_until_just_before_its_end() {
        let drop = open_drop();
        assert!(!drop.is_open(at(-1)));
        assert!(drop.is_open(at(0)));
        assert!(drop.is_open(at(99)));
        assert!(!drop.is_open(at(100)));
    }

    fn purchaser(purchase_id: i64) -> Purchaser {
        let username = format!("user{purchase_id}");
        Purchaser { id: purchase_id, username, purchase_id, purchased_at: at(purchase_id).into() }
    }

    #[test]
    fn what_was_edited_is_as_it_was_sent_last_and_stock_as_in_the_newest_version() {
        for (version, available_stock) in [(6, 4), (7, 9), (8, 9)] {
            let mut drop = open_drop();
            let received = SneakerDrop { price_cents: 100, paused: true, version, available_stock: 9, ..open_drop() };
            drop.merge(&received, LATEST_PURCHASERS);
            assert_eq!((drop.price_cents, drop.paused), (100, true), "{version}");
            assert_eq!((drop.version, drop.available_stock), (version.max(7), available_stock));
        }
    }

    #[test]
    fn purchasers_whose_purchase_was_cancelled_are_listed_no_more() {
        for (known, received, listed, expected) in [
            // A card's three leave open who is older.
            (vec![9, 8, 7, 6, 5], vec![9, 7, 6], LATEST_PURCHASERS, vec![9, 7, 6, 5]),
            (vec![9, 8, 7, 6, 5], vec![9, 7], LATEST_PURCHASERS, vec![9, 7]),
            // Who would be listed is cancelled, however old.
            (vec![9, 8, 7, 6, 5], vec![9, 8, 7, 6], LISTED_PURCHASERS, vec![9, 8, 7, 6]),
            (vec![9, 8, 7, 6, 5], vec![9, 8, 7], LISTED_PURCHASERS, vec![9, 8, 7]),
            (vec![3, 2, 1], vec![], LISTED_PURCHASERS, vec![]),
            (vec![2], vec![4, 3, 2], LISTED_PURCHASERS, vec![4, 3, 2]),
            ((1..=20).rev().collect(), (2..=21).rev().filter(|id| *id != 5).collect(), LISTED_PURCHASERS, {
                (2..=21).rev().filter(|id| *id != 5).collect()
            }),
        ] {
            let drop = |ids: &[i64]| SneakerDrop {
                latest_purchasers: ids.iter().copied().map(purchaser).collect(),
                ..open_drop()
            };
            let mut known = drop(&known);
            known.merge(&drop(&received), listed);
            let ids: Vec<_> = known.latest_purchasers.iter().map(|purchaser| purchaser.purchase_id).collect();
            assert_eq!(ids, expected, "{received:?}");
        }
    }

    #[test]
    fn purchasers_are_listed_once_and_newest_first_in_any_order_of_arrival() {
        let mut drop = open_drop();
        for purchase_id in [4, 9, 4, 2, 7, 9] {
            drop.add_purchaser(purchaser(purchase_id), 3);
        }
        assert_eq!(drop.latest_purchasers.iter().map(|known| known.purchase_id).collect::<Vec<_>>(), [9, 7, 4]);
    }
}
