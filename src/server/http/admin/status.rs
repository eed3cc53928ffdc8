//! The status of a drop in one word, for those who run it.

use super::zone::Zone;
use crate::{
    domain::{SneakerDrop, Timestamp},
    server::catalog::DropStatus,
    text::{self, desk},
};
use chrono::{DateTime, Utc};
use leptos::prelude::*;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DeskStatus {
    Draft,
    Upcoming,
    Live,
    /// Live or upcoming, but nobody can reserve.
    Paused,
    SoldOut,
    Ended,
    Archived,
}

/// What a drop's status depends on.
pub(super) struct StatusFacts {
    pub(super) status: DropStatus,
    pub(super) is_paused: bool,
    pub(super) starts_at: DateTime<Utc>,
    pub(super) ends_at: Option<DateTime<Utc>>,
    pub(super) sold_out_since: Option<DateTime<Utc>>,
}

impl DeskStatus {
    /// What cannot be undone comes first: a pause matters as long as there is something left to sell.
    pub(super) fn at(now: DateTime<Utc>, drop: &StatusFacts) -> Self {
        let is_past = |time: Option<DateTime<Utc>>| time.is_some_and(|time| time <= now);
        let is_upcoming = now < drop.starts_at;
        match drop.status {
            DropStatus::Draft => Self::Draft,
            DropStatus::Archived => Self::Archived,
            _ if is_past(drop.ends_at) => Self::Ended,
            _ if !is_upcoming && is_past(drop.sold_out_since) => Self::SoldOut,
            _ if drop.is_paused => Self::Paused,
            _ if is_upcoming => Self::Upcoming,
            _ => Self::Live,
        }
    }

    pub(super) fn of(status: DropStatus, drop: &SneakerDrop, now: DateTime<Utc>) -> Self {
        let facts = StatusFacts {
            status,
            is_paused: drop.paused,
            starts_at: *drop.starts_at,
            ends_at: drop.ends_at.map(|ends_at| *ends_at),
            sold_out_since: drop.is_sold_out().then_some(now),
        };
        Self::at(now, &facts)
    }

    /// What buyers can do now, in one sentence.
    pub(super) fn sentence(
        self,
        drop: &SneakerDrop,
        paused_at: Option<Timestamp>,
        zone: Zone,
        now: DateTime<Utc>,
    ) -> impl IntoView + use<> {
        let (before, at, after) = self.words(drop, paused_at, now);
        view! {
            {before}
            {at.map(|at| zone.time(at))}
            {after}
        }
    }

    /// The sentence, in the middle of which a time may stand.
    fn words(
        self,
        drop: &SneakerDrop,
        paused_at: Option<Timestamp>,
        now: DateTime<Utc>,
    ) -> (&'static str, Option<Timestamp>, String) {
        let (held, is_empty) = (drop.held_stock, drop.available_stock == 0);
        match self {
            Self::Draft => (desk::STATE_DRAFT, None, String::new()),
            Self::Upcoming if is_empty => (desk::STATE_UPCOMING_EMPTY, None, String::new()),
            Self::Upcoming => (desk::STATE_UPCOMING, Some(drop.starts_at), ".".into()),
            Self::Live if is_empty => ("", None, desk::all_held(held)),
            Self::Live => (desk::STATE_LIVE, None, String::new()),
            Self::Paused => {
                let before = if paused_at.is_some() { desk::STATE_PAUSED_AT } else { desk::STATE_PAUSED };
                (before, paused_at, desk::paused(held, now < *drop.starts_at))
            }
            Self::SoldOut => (desk::STATE_SOLD_OUT, None, String::new()),
            Self::Ended => ("", None, desk::over_but_held(held)),
            Self::Archived => (desk::STATE_ARCHIVED, None, String::new()),
        }
    }

    /// The word, with a shape before it.
    pub(super) fn badge(self) -> impl IntoView {
        let (name, label) = match self {
            Self::Draft => ("draft", desk::DRAFT),
            Self::Upcoming => ("upcoming", text::UPCOMING),
            Self::Live => ("live", desk::LIVE),
            Self::Paused => ("paused", desk::PAUSED),
            Self::SoldOut => ("sold-out", text::SOLD_OUT),
            Self::Ended => ("ended", text::ENDED),
            Self::Archived => ("archived", desk::ARCHIVED),
        };
        view! {
            <span class="badge" data-status=name>
                {label}
            </span>
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + seconds, 0).expect("in range")
    }

    /// On sale from 0 to 100 seconds.
    fn published() -> StatusFacts {
        StatusFacts {
            status: DropStatus::Published,
            is_paused: false,
            starts_at: at(0),
            ends_at: Some(at(100)),
            sold_out_since: None,
        }
    }

    #[test]
    fn a_published_drop_is_upcoming_then_live_then_ended() {
        for (seconds, expected) in
            [(-1, DeskStatus::Upcoming), (0, DeskStatus::Live), (99, DeskStatus::Live), (100, DeskStatus::Ended)]
        {
            assert_eq!(DeskStatus::at(at(seconds), &published()), expected, "{seconds}");
        }
        assert_eq!(DeskStatus::at(at(1_000), &StatusFacts { ends_at: None, ..published() }), DeskStatus::Live);
    }

    #[test]
    fn a_pause_is_said_until_nothing_more_can_be_sold() {
        let paused = || StatusFacts { is_paused: true, ..published() };
        let sold_out = || StatusFacts { sold_out_since: Some(at(50)), ..paused() };
        for (seconds, drop, expected) in [
            (-1, paused(), DeskStatus::Paused),
            (50, paused(), DeskStatus::Paused),
            (49, sold_out(), DeskStatus::Paused),
            (50, sold_out(), DeskStatus::SoldOut),
            (50, StatusFacts { is_paused: false, ..sold_out() }, DeskStatus::SoldOut),
            (100, paused(), DeskStatus::Ended),
            (100, sold_out(), DeskStatus::Ended),
        ] {
            assert_eq!(DeskStatus::at(at(seconds), &drop), expected, "{seconds}");
        }
    }

    #[test]
    fn a_drop_without_stock_that_has_not_started_is_upcoming() {
        let empty = StatusFacts { sold_out_since: Some(at(-50)), ..published() };
        assert_eq!(DeskStatus::at(at(-1), &empty), DeskStatus::Upcoming);
        assert_eq!(DeskStatus::at(at(0), &empty), DeskStatus::SoldOut);
    }

    #[test]
    fn a_draft_and_an_archived_drop_are_that_whatever_their_times() {
        for (status, expected) in [(DropStatus::Draft, DeskStatus::Draft), (DropStatus::Archived, DeskStatus::Archived)]
        {
            for seconds in [-1, 50, 100] {
                for is_paused in [false, true] {
                    let drop = StatusFacts { status, is_paused, sold_out_since: Some(at(50)), ..published() };
                    assert_eq!(DeskStatus::at(at(seconds), &drop), expected);
                }
            }
        }
    }
}
