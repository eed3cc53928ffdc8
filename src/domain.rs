//! What a drop is, and what a visitor may do with it at a given moment.
//!
//! These types are the wire format of every surface: the pages, the REST API, the server functions and `/ws` send
//! the same structs. Rules here are pure: time is a parameter, and nothing reads a clock or a database.

use crate::moment;
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
    #[serde(deserialize_with = "moment::read")]
    pub starts_at: DateTime<Utc>,
    /// First moment at which none is granted any more.
    #[serde(deserialize_with = "moment::read_optional")]
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

    /// Takes in a newer state of the stock; an older one is ignored. Returns whether anything was taken.
    pub fn apply(&mut self, update: &StockUpdate) -> bool {
        if update.drop_id != self.id || update.version <= self.version {
            return false;
        }
        self.version = update.version;
        self.available_stock = update.new_stock;
        self.held_stock = update.held;
        for level in &update.sizes {
            if let Some(size) = self.sizes.iter_mut().find(|size| size.label == level.label) {
                size.available_stock = level.available;
            }
        }
        true
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
    #[serde(deserialize_with = "moment::read")]
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
    #[serde(deserialize_with = "moment::read")]
    pub expires_at: DateTime<Utc>,
    /// When it was granted.
    #[serde(deserialize_with = "moment::read")]
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
    #[serde(deserialize_with = "moment::read")]
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
    #[serde(deserialize_with = "moment::read")]
    pub now: DateTime<Utc>,
    /// Scheme and host under which this visitor sees the site, for links that others will open.
    pub origin: String,
    /// Every drop, in the order of their start.
    pub drops: Vec<SneakerDrop>,
    /// `None` when signed out.
    pub visitor: Option<Visitor>,
}

/// What `/ws` sends. Counts are absolute and versioned, never differences: losing a event loses nothing for good.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
// The page's own reader finds the type by itself; serde's way to it takes a second reader for every field.
#[cfg_attr(feature = "ssr", serde(tag = "type"))]
pub enum ServerEvent {
    /// The first event of a connection, and the way out for a socket that fell behind.
    Snapshot {
        /// The database's clock.
        #[serde(deserialize_with = "moment::read")]
        now: DateTime<Utc>,
        /// Every drop.
        drops: Vec<SneakerDrop>,
    },
    /// Every ten seconds, whatever else happens: the line still stands.
    Heartbeat {
        /// The database's clock.
        #[serde(deserialize_with = "moment::read")]
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
        #[serde(deserialize_with = "moment::read")]
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
    #[serde(deserialize_with = "moment::read")]
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

/// What a card says and offers: one of these at any moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CardState {
    /// Not started.
    Upcoming,
    /// On sale, and nobody is signed in.
    SignedOut,
    /// On sale, with pairs left.
    Open,
    /// The visitor holds a pair.
    Held(Reservation),
    /// The visitor bought a pair; `may_reserve` when the drop would give them another.
    Bought {
        /// Their newest purchase of this drop.
        purchase: Purchase,
        /// Whether the limit and the stock leave room for one more.
        may_reserve: bool,
    },
    /// None left, but reserved pairs may come back.
    AllReserved,
    /// Every pair is sold.
    SoldOut,
    /// The drop is over.
    Ended,
}

impl CardState {
    /// Decides from what is known at `now`; `purchases` are the visitor's own of this drop, newest first.
    ///
    /// A held pair outranks everything: its holder can buy it even after the drop has ended or the rest is sold.
    pub fn at(
        now: DateTime<Utc>,
        drop: &SneakerDrop,
        signed_in: bool,
        reservation: Option<&Reservation>,
        purchases: &[Purchase],
    ) -> Self {
        if let Some(reservation) = reservation.filter(|reservation| reservation.is_held(now)) {
            return Self::Held(reservation.clone());
        }
        let open_with_stock = drop.is_open(now) && drop.available_stock > 0;
        if let Some(purchase) = purchases.first() {
            let below_limit = drop.limit_per_user.is_none_or(|limit| purchases.len() < limit as usize);
            let may_reserve = open_with_stock && below_limit;
            return Self::Bought { purchase: purchase.clone(), may_reserve };
        }
        if drop.has_ended(now) {
            Self::Ended
        } else if now < drop.starts_at {
            Self::Upcoming
        } else if open_with_stock {
            if signed_in { Self::Open } else { Self::SignedOut }
        } else if drop.held_stock > 0 {
            Self::AllReserved
        } else {
            Self::SoldOut
        }
    }
}

/// Where the dashboard shows a drop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// On sale, or not yet over for someone who holds a pair.
    Live,
    /// Not started.
    Upcoming,
    /// Sold out or ended.
    Over,
}

impl Section {
    /// The section of a drop at `now`. `held_by_me` keeps the card of a visitor's pair among the live ones.
    pub fn at(now: DateTime<Utc>, drop: &SneakerDrop, held_by_me: bool) -> Self {
        if held_by_me {
            Self::Live
        } else if drop.has_ended(now) {
            Self::Over
        } else if now < drop.starts_at {
            Self::Upcoming
        } else if drop.available_stock > 0 || drop.held_stock > 0 {
            Self::Live
        } else {
            Self::Over
        }
    }
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

    fn reservation(expires_in: i64) -> Reservation {
        Reservation {
            id: 1,
            drop_id: 1,
            user_id: 1,
            size: "US 9".into(),
            status: ReservationStatus::Active,
            expires_at: at(expires_in),
            created_at: at(0),
        }
    }

    fn purchase() -> Purchase {
        let size = "US 9".into();
        Purchase { id: 1, drop_id: 1, user_id: 1, reservation_id: 1, size, price_cents: 1, created_at: at(5) }
    }

    fn update(version: i64) -> StockUpdate {
        let sizes = vec![SizeLevel { label: "US 9".into(), available: 1 }];
        StockUpdate { now: at(1), drop_id: 1, new_stock: 3, held: 2, sizes, version, reason: Reason::Reserved }
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
    fn an_older_or_equal_version_changes_nothing() {
        for version in [6, 7] {
            let mut drop = open_drop();
            assert!(!drop.apply(&update(version)));
            assert_eq!(drop, open_drop());
        }
    }

    #[test]
    fn a_newer_version_moves_the_counts_and_only_the_named_sizes() {
        let mut drop = open_drop();
        assert!(drop.apply(&update(8)));
        assert_eq!((drop.total_stock, drop.available_stock, drop.held_stock), (10, 3, 2));
        assert_eq!(drop.sizes.iter().map(|size| size.available_stock).collect::<Vec<_>>(), [2, 1]);
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

    #[test]
    fn a_card_follows_the_clock_from_upcoming_to_ended() {
        let drop = open_drop();
        let state = |seconds| CardState::at(at(seconds), &drop, true, None, &[]);
        assert_eq!(state(-1), CardState::Upcoming);
        assert_eq!(state(0), CardState::Open);
        assert_eq!(state(100), CardState::Ended);
    }

    #[test]
    fn a_held_pair_outranks_an_ended_drop_until_the_moment_it_lapses() {
        let drop = open_drop();
        let held = reservation(130);
        let state = |seconds| CardState::at(at(seconds), &drop, true, Some(&held), &[]);
        assert_eq!(state(129), CardState::Held(held.clone()));
        assert_eq!(state(130), CardState::Ended);
    }

    #[test]
    fn the_last_pair_reserved_by_someone_else_may_come_back() {
        let mut drop = open_drop();
        drop.available_stock = 0;
        assert_eq!(CardState::at(at(1), &drop, true, None, &[]), CardState::AllReserved);
        drop.held_stock = 0;
        assert_eq!(CardState::at(at(1), &drop, true, None, &[]), CardState::SoldOut);
    }

    #[test]
    fn a_buyer_may_reserve_again_only_below_the_limit_and_with_stock() {
        let mut drop = open_drop();
        let bought = [purchase()];
        let may_reserve = |drop: &SneakerDrop| match CardState::at(at(10), drop, true, None, &bought) {
            CardState::Bought { may_reserve, .. } => may_reserve,
            other => panic!("{other:?}"),
        };
        assert!(may_reserve(&drop));
        drop.limit_per_user = Some(2);
        assert!(may_reserve(&drop));
        drop.limit_per_user = Some(1);
        assert!(!may_reserve(&drop));
        drop.limit_per_user = None;
        drop.available_stock = 0;
        assert!(!may_reserve(&drop));
    }

    #[test]
    fn whoever_holds_the_last_pair_still_sees_it_among_the_live_drops() {
        let mut drop = open_drop();
        drop.available_stock = 0;
        drop.held_stock = 0;
        assert_eq!(Section::at(at(1), &drop, false), Section::Over);
        assert_eq!(Section::at(at(1), &drop, true), Section::Live);
        assert_eq!(Section::at(at(-1), &open_drop(), false), Section::Upcoming);
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
