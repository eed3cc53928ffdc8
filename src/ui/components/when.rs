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

/// A change of a drop, ahead or past.
#[derive(Clone, Copy, PartialEq)]
struct Moment {
    what: &'static str,
    at: Timestamp,
    /// Of now.
    year: i32,
    /// Whether the drop ends within a day.
    is_last_day: bool,
}

impl Moment {
    fn new(what: &'static str, at: Timestamp, now: DateTime<Utc>) -> Self {
        let is_last_day = what == text::ENDS && *at - now < TimeDelta::days(1);
        Self { what, at, year: now.year(), is_last_day }
    }
}

/// `Opens Thu 26 Nov, 18:00` with a calendar file until it opens, and then `Ends Thu 26 Nov, 18:00` with a countdown on the last
/// day, if it has an end. The style sheet shows one of them, in the room of the larger: what stands below stays where it is when
/// the drop opens or sells out.
#[component]
pub fn When(id: i64, name: Memo<String>, drop: RwSignal<SneakerDrop>, state: Memo<CardState>) -> impl IntoView {
    let store = expect_context::<Store>();
    let start =
        Memo::new(move |before: Option<&Option<Moment>>| match state.with(|state| *state == CardState::Upcoming) {
            true => Some(Moment::new(text::OPENS, drop.with(|drop| drop.starts_at), store.clock.now())),
            false => before.copied().flatten(),
        });
    let end = Memo::new(move |before: Option<&Option<Moment>>| {
        if state.with(|state| *state == CardState::SoldOut) {
            return before.copied().flatten();
        }
        let now = store.clock.now();
        drop.with(|drop| {
            let what = if drop.has_ended(now) { text::ENDED_AT } else { text::ENDS };
            drop.ends_at.map(|ends_at| Moment::new(what, ends_at, now))
        })
    });
    let remind = move || {
        view! {
            <a href=format!("/drops/{id}.ics") download aria-label=format!("{}, {}", text::REMIND_ME, name.get())>
                {text::REMIND_ME}
            </a>
        }
    };
    let left = move |at: Timestamp| {
        let left = move || text::ends_in(milliseconds_until(*at, store.clock.now()));
        view! { <span>{live(Box::new(left))}</span> }
    };
    view! {
        {move || start.get().map(|start| view! { <p class="when start">{said(start)} {remind()}</p> })}
        {move || end.get().map(|end| view! { <p class="when end">{said(end)} {end.is_last_day.then(|| left(end.at))}</p> })}
    }
}

fn said(Moment { what, at, year, .. }: Moment) -> impl IntoView {
    view! {
        <span>
            {what} " "
            <time datetime=at.to_string()>{text::date(at, at.year() != year)}</time>
        </span>
    }
}
