//! The seconds that are left of a reservation.

use crate::{client::clock::milliseconds_until, client::store::Store, domain::Reservation, text};
use leptos::prelude::*;

/// From here on the countdown is unmistakable.
const URGENT_SECONDS: i64 = 10;

/// What the ring's length is called, and its drained part measured in.
const RING_LENGTH: i64 = 1000;

/// A draining ring around `m:ss`, red for the last ten seconds, which are also announced once.
#[component]
pub fn Countdown(
    /// What is counted down.
    reservation: Reservation,
) -> impl IntoView {
    let store = expect_context::<Store>();
    let expires_at = reservation.expires_at;
    let lifetime_ms = milliseconds_until(expires_at, reservation.created_at).max(1);
    // Never more than there was: the page's clock may be a little late.
    let left_ms = move || milliseconds_until(expires_at, store.clock.now()).min(lifetime_ms);
    let seconds = Memo::new(move |_| text::whole_seconds(left_ms()));
    let is_urgent = Memo::new(move |_| seconds.get() <= URGENT_SECONDS);
    // Whole seconds, which the style sheet turns into one smooth movement.
    let drained = Memo::new(move |_| {
        let left = RING_LENGTH * 1000 * seconds.get() / lifetime_ms;
        (RING_LENGTH - left).clamp(0, RING_LENGTH)
    });
    view! {
        <div class="countdown" data-urgent=move || is_urgent.get().then_some("")>
            <svg viewBox="0 0 100 100" aria-hidden="true">
                <circle class="track" cx="50" cy="50" r="45" />
                <circle
                    class="left"
                    cx="50"
                    cy="50"
                    r="45"
                    pathLength=RING_LENGTH
                    stroke-dasharray=RING_LENGTH
                    stroke-dashoffset=move || drained.get()
                />
            </svg>
            <span class="time" role="timer">
                {move || text::countdown(seconds.get() * 1000)}
            </span>
            <span class="visually-hidden" aria-live="polite">
                {move || is_urgent.get().then(|| text::seconds_left(URGENT_SECONDS))}
            </span>
        </div>
    }
}
