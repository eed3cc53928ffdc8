//! The time left of a reservation.

use super::live::{attribute, flag, live};
use crate::{client::clock::milliseconds_until, client::store::Store, domain::Reservation, text};
use leptos::prelude::*;

/// From here on the countdown is red, and the time left is announced.
const URGENT_SECONDS: i64 = 10;

/// The ring's `pathLength`: the unit in which its dashes are measured.
const RING_LENGTH: i64 = 1000;

/// A ring that empties around `m:ss`. It turns red for the last ten seconds, which are announced once to screen
/// readers.
#[component]
pub fn Countdown(reservation: Reservation) -> impl IntoView {
    let store = expect_context::<Store>();
    let (seconds, lifetime_ms) = seconds_left(store, &reservation);
    let is_urgent = Memo::new(move |_| seconds.get() <= URGENT_SECONDS);
    // Changes once a second; the style sheet's transition makes the movement smooth.
    let offset = Memo::new(move |_| {
        let left = RING_LENGTH * 1000 * seconds.get() / lifetime_ms;
        (RING_LENGTH - left).clamp(0, RING_LENGTH)
    });
    view! {
        <div class="countdown" data-urgent=flag(move || is_urgent.get())>
            <svg viewBox="0 0 100 100" aria-hidden="true">
                <circle class="track" cx="50" cy="50" r="45" />
                <circle
                    class="left"
                    cx="50"
                    cy="50"
                    r="45"
                    pathLength=RING_LENGTH
                    stroke-dasharray=RING_LENGTH
                    stroke-dashoffset=attribute(move || Some(offset.get().to_string()))
                />
            </svg>
            <span class="time" role="timer">
                {live(Box::new(move || text::countdown(seconds.get() * 1000)))}
            </span>
            <span class="visually-hidden" aria-live="polite">
                {live(Box::new(move || match is_urgent.get() {
                    true => text::seconds_left(seconds.get_untracked()),
                    false => String::new(),
                }))}
            </span>
        </div>
    }
}

/// `0:42` alone.
pub fn time_left(store: Store, reservation: &Reservation) -> impl IntoView + use<> {
    let (seconds, _) = seconds_left(store, reservation);
    view! {
        <span class="time" data-urgent=flag(move || seconds.get() <= URGENT_SECONDS)>
            {live(Box::new(move || text::countdown(seconds.get() * 1000)))}
        </span>
    }
}

/// How many seconds a pair is still held, and for how many milliseconds it was at first.
fn seconds_left(store: Store, reservation: &Reservation) -> (Memo<i64>, i64) {
    let expires_at = *reservation.expires_at;
    let lifetime_ms = milliseconds_until(expires_at, *reservation.created_at).max(1);
    // At most the whole lifetime: the page's clock may be a little slow.
    let left_ms = move || milliseconds_until(expires_at, store.clock.now()).min(lifetime_ms);
    (Memo::new(move |_| text::whole_seconds(left_ms())), lifetime_ms)
}
