//! The state of a drop's card, and the section of the dashboard that the card belongs to.

use crate::{
    domain::{Purchase, Reservation, SneakerDrop},
    text,
};
use chrono::{DateTime, Utc};

/// Decides what a card shows and which action it offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CardState {
    Upcoming,
    /// Pairs are available, but the visitor is not signed in.
    SignedOut,
    /// Pairs are available to the visitor.
    Open,
    /// The visitor holds a pair.
    Held(Reservation),
    /// The visitor bought a pair.
    Bought {
        /// The newest of this drop.
        purchase: Purchase,
        /// Whether the limit, the stock and the time allow another reservation.
        may_reserve: bool,
    },
    /// Nobody can reserve for now.
    Paused,
    /// No pair is available, but held pairs may become available again.
    AllReserved,
    SoldOut,
    Ended,
}

impl CardState {
    /// `reservation` and `purchases` are the visitor's own of this drop; purchases are newest first.
    ///
    /// A held pair comes before everything else: its holder can buy it even after the drop has ended.
    pub fn at(
        now: DateTime<Utc>,
        drop: &SneakerDrop,
        is_signed_in: bool,
        reservation: Option<&Reservation>,
        purchases: &[Purchase],
    ) -> Self {
        if let Some(reservation) = reservation.filter(|reservation| reservation.is_held(now)) {
            return Self::Held(reservation.clone());
        }
        if let Some(purchase) = purchases.first() {
            let below_limit = drop.limit_per_user.is_none_or(|limit| purchases.len() < limit as usize);
            let may_reserve = drop.is_on_sale(now) && below_limit;
            return Self::Bought { purchase: purchase.clone(), may_reserve };
        }
        if drop.has_ended(now) {
            Self::Ended
        } else if now < *drop.starts_at {
            Self::Upcoming
        } else if drop.paused && !drop.is_sold_out() {
            Self::Paused
        } else if drop.is_on_sale(now) {
            if is_signed_in { Self::Open } else { Self::SignedOut }
        } else if drop.held_stock > 0 {
            Self::AllReserved
        } else {
            Self::SoldOut
        }
    }
}

/// A section of the dashboard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// On sale, or with a pair that the visitor holds.
    Live,
    Upcoming,
    /// Sold out or ended.
    Over,
}

impl Section {
    /// The section of a drop at `now`; `is_held` if the visitor holds a pair of it.
    pub fn at(now: DateTime<Utc>, drop: &SneakerDrop, is_held: bool) -> Self {
        if is_held {
            Self::Live
        } else if drop.has_ended(now) {
            Self::Over
        } else if now < *drop.starts_at {
            Self::Upcoming
        } else if drop.available_stock > 0 || drop.held_stock > 0 {
            Self::Live
        } else {
            Self::Over
        }
    }
}

/// What is said in the place of purchasers while there are none.
pub fn none_sold(now: DateTime<Utc>, drop: &SneakerDrop) -> &'static str {
    // A pair that is held after the end can still be bought.
    match drop.has_ended(now) && drop.held_stock == 0 {
        true => text::NONE_WAS_SOLD,
        false => text::NONE_SOLD,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{ReservationStatus, Size};

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

    fn reservation(expires_in: i64) -> Reservation {
        Reservation {
            id: 1,
            drop_id: 1,
            user_id: 1,
            size: "US 9".into(),
            price_cents: 19_900,
            status: ReservationStatus::Active,
            expires_at: at(expires_in).into(),
            created_at: at(0).into(),
        }
    }

    fn purchase() -> Purchase {
        let size = "US 9".into();
        Purchase { id: 1, drop_id: 1, user_id: 1, reservation_id: 1, size, price_cents: 1, created_at: at(5).into() }
    }

    #[test]
    fn a_card_changes_from_upcoming_to_open_to_ended_with_time() {
        let drop = open_drop();
        let state = |seconds| CardState::at(at(seconds), &drop, true, None, &[]);
        assert_eq!(state(-1), CardState::Upcoming);
        assert_eq!(state(0), CardState::Open);
        assert_eq!(state(100), CardState::Ended);
    }

    #[test]
    fn a_held_pair_is_shown_after_the_drop_has_ended_until_it_expires() {
        let drop = open_drop();
        let held = reservation(130);
        let state = |seconds| CardState::at(at(seconds), &drop, true, Some(&held), &[]);
        assert_eq!(state(129), CardState::Held(held.clone()));
        assert_eq!(state(130), CardState::Ended);
    }

    #[test]
    fn a_paused_drop_offers_nothing_but_what_is_held_and_is_still_upcoming_sold_out_or_ended() {
        let mut drop = SneakerDrop { paused: true, ..open_drop() };
        let held = reservation(60);
        let state = |drop: &SneakerDrop, seconds, held| CardState::at(at(seconds), drop, true, held, &[]);
        assert_eq!(state(&drop, -1, None), CardState::Upcoming);
        assert_eq!(state(&drop, 1, None), CardState::Paused);
        assert_eq!(state(&drop, 1, Some(&held)), CardState::Held(held.clone()));
        assert_eq!(state(&drop, 100, None), CardState::Ended);
        let bought = CardState::at(at(1), &drop, true, None, &[purchase()]);
        assert_eq!(bought, CardState::Bought { purchase: purchase(), may_reserve: false });
        (drop.available_stock, drop.held_stock) = (0, 0);
        assert_eq!(state(&drop, 1, None), CardState::SoldOut);
    }

    #[test]
    fn a_drop_is_sold_out_only_if_no_pair_is_held() {
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
    fn a_first_purchase_is_expected_only_while_there_can_be_one() {
        for (seconds, held_stock, said) in [
            (-1, 0, text::NONE_SOLD),
            (1, 1, text::NONE_SOLD),
            (100, 1, text::NONE_SOLD),
            (100, 0, text::NONE_WAS_SOLD),
            (1_000, 0, text::NONE_WAS_SOLD),
        ] {
            let drop = SneakerDrop { held_stock, ..open_drop() };
            assert_eq!(none_sold(at(seconds), &drop), said, "{seconds} {held_stock}");
        }
    }

    #[test]
    fn a_sold_out_drop_stays_live_for_a_visitor_who_holds_a_pair() {
        let mut drop = open_drop();
        drop.available_stock = 0;
        drop.held_stock = 0;
        assert_eq!(Section::at(at(1), &drop, false), Section::Over);
        assert_eq!(Section::at(at(1), &drop, true), Section::Live);
        assert_eq!(Section::at(at(-1), &open_drop(), false), Section::Upcoming);
    }
}
