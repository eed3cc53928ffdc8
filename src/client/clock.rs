//! The browser's idea of the server's clock: one ticker for the whole page.
//!
//! The device's own clock is never asked. What counts is the time the server said it was, plus the time that has passed
//! since on the page's monotonic timer, which nobody can set. What the server says is late by the way it took, so the
//! latest of the recent estimates is the best one; only recent ones count, as two clocks never run at the same speed.

use chrono::{DateTime, TimeDelta, Utc};
use gloo_timers::callback::Interval;
use leptos::prelude::*;
use std::collections::VecDeque;
use wasm_bindgen::JsCast;
use web_sys::PerformanceNavigationTiming;

/// Fine enough that a second is never seen to be skipped.
const TICK_MS: u32 = 200;

/// Heartbeats come every ten seconds: a minute's worth.
const RECENT_READINGS: usize = 6;

/// The current time, for everything on the page that counts.
#[derive(Clone, Copy)]
pub struct Clock {
    now: RwSignal<DateTime<Utc>>,
    /// Server time minus the page's timer, in milliseconds, as lately read; known once the page is live.
    offsets_ms: StoredValue<VecDeque<f64>>,
}

impl Clock {
    /// A clock that stands at the epoch until it is [`set`](Self::set).
    pub fn new() -> Self {
        Self { now: RwSignal::new(DateTime::UNIX_EPOCH), offsets_ms: StoredValue::default() }
    }

    /// The time, as a signal that ticks five times a second. Until the page is live it stands where the server
    /// rendered it, so that both render the same.
    pub fn now(self) -> DateTime<Utc> {
        self.now.get()
    }

    /// The time, without subscribing.
    pub fn now_untracked(self) -> DateTime<Utc> {
        self.now.get_untracked()
    }

    /// Sets the clock for the first paint.
    pub fn set(self, now: DateTime<Utc>) {
        self.now.set(now);
    }

    /// Takes in what the server says the time is, as of now.
    pub fn read(self, server_now: DateTime<Utc>) {
        self.read_as_of(server_now, page_timer_ms());
    }

    /// Forgets all earlier readings: the page may have slept, or another server answers.
    pub fn restart(self, server_now: DateTime<Utc>) {
        self.offsets_ms.update_value(VecDeque::clear);
        self.read(server_now);
    }

    /// Starts ticking from the time at which the server began to answer with this page.
    pub fn start(self) {
        self.read_as_of(self.now_untracked(), response_start_ms());
        self.tick();
        Interval::new(TICK_MS, move || self.tick()).forget();
    }

    fn read_as_of(self, server_now: DateTime<Utc>, timer_ms: f64) {
        let offset_ms = server_now.timestamp_millis() as f64 - timer_ms;
        self.offsets_ms.update_value(|offsets_ms| {
            offsets_ms.push_back(offset_ms);
            if offsets_ms.len() > RECENT_READINGS {
                offsets_ms.pop_front();
            }
        });
    }

    fn tick(self) {
        let latest = self.offsets_ms.with_value(|offsets_ms| offsets_ms.iter().copied().reduce(f64::max));
        if let Some(offset_ms) = latest {
            let milliseconds = (offset_ms + page_timer_ms()) as i64;
            self.now.set(DateTime::UNIX_EPOCH + TimeDelta::milliseconds(milliseconds));
        }
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

/// Milliseconds until `then`, negative when it is past.
pub fn milliseconds_until(then: DateTime<Utc>, now: DateTime<Utc>) -> i64 {
    (then - now).num_milliseconds()
}

/// Milliseconds since the page was opened, on a timer that nobody can set.
pub fn page_timer_ms() -> f64 {
    window().performance().map_or(0.0, |performance| performance.now())
}

/// When the first byte of this page arrived, on the page's timer.
fn response_start_ms() -> f64 {
    let performance = window().performance();
    let entry = performance.map(|performance| performance.get_entries_by_type("navigation").get(0));
    entry
        .and_then(|entry| entry.dyn_into::<PerformanceNavigationTiming>().ok())
        .map_or_else(page_timer_ms, |timing| timing.response_start())
}
