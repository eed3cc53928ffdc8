//! When a drop starts or ends.

use super::live::live;
use crate::{
    client::clock::milliseconds_until,
    client::store::Store,
    domain::{SneakerDrop, Timestamp},
    text,
    ui::card_state::CardState,
};
use chrono::{DateTime, Datelike, TimeDelta, Utc};
use leptos::prelude::*;

/// The next change of a drop, or its last.
#[derive(Clone, Copy, PartialEq)]
pub struct Moment {
    what: &'static str,
    at: Timestamp,
    /// Of now.
    year: i32,
    /// Whether the drop ends within a day.
    is_last_day: bool,
}

impl Moment {
    /// `None` if there is nothing to say: the drop is live and has no end, or is sold out.
    pub fn of(drop: &SneakerDrop, state: &CardState, now: DateTime<Utc>) -> Option<Self> {
        let (what, at) = match (state, drop.ends_at) {
            (CardState::Upcoming, _) => (text::OPENS, drop.starts_at),
            (CardState::SoldOut, _) => return None,
            (_, Some(ends_at)) if drop.has_ended(now) => (text::ENDED_AT, ends_at),
            (_, ends_at) => (text::ENDS, ends_at?),
        };
        let is_last_day = what == text::ENDS && *at - now < TimeDelta::days(1);
        Some(Self { what, at, year: now.year(), is_last_day })
    }
}

/// `Opens Thu 26 Nov, 18:00` with a calendar file, or `Ends Thu 26 Nov, 18:00` with a countdown on the last day.
#[component]
pub fn When(id: i64, name: String, when: Moment) -> impl IntoView {
    let store = expect_context::<Store>();
    let Moment { what, at, year, is_last_day } = when;
    let remind = (what == text::OPENS).then(|| {
        view! {
            <a href=format!("/drops/{id}.ics") download aria-label=format!("{}, {name}", text::REMIND_ME)>
                {text::REMIND_ME}
            </a>
        }
    });
    let left = move || text::ends_in(milliseconds_until(*at, store.clock.now()));
    view! {
        <p class="when">
            <span>
                {what} " "
                <time datetime=at.to_string()>{text::date(at, at.year() != year)}</time>
            </span>
            {remind}
            {is_last_day.then(|| view! { <span>{live(Box::new(left))}</span> })}
        </p>
    }
}
