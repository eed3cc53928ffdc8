//! The page's estimate of the server's time, in one signal for the whole page.
//!
//! The device's clock may be wrong and is not used. The estimate is the time in a message from the server plus the time
//! since on the page's monotonic timer. Each message is late by its network delay, so the reading that gives the latest
//! time is the most accurate. Only recent readings count, because the two clocks drift apart.

use chrono::{DateTime, TimeDelta, Utc};
use gloo_timers::callback::Interval;
use leptos::prelude::*;
use std::collections::VecDeque;
use wasm_bindgen::JsCast;
use web_sys::PerformanceNavigationTiming;

/// Short enough that no displayed second is skipped.
const TICK_MS: u32 = 200;

/// A minute's worth of heartbeats, which are sent every ten seconds.
const RECENT_READINGS: usize = 6;

#[derive(Clone, Copy)]
pub struct Clock {
    now: RwSignal<DateTime<Utc>>,
    /// Server time minus the page's timer, one for each recent reading, oldest first. Empty until
    /// [`start`](Self::start).
    offsets_ms: StoredValue<VecDeque<f64>>,
}

impl Clock {
    /// A stopped clock at the Unix epoch.
    pub fn new() -> Self {
        Self { now: RwSignal::new(DateTime::UNIX_EPOCH), offsets_ms: StoredValue::default() }
    }

    /// The current time; subscribes to it. It advances five times a second. Before [`start`](Self::start) it is the
    /// time that the server rendered the page with, so that hydration renders the same.
    pub fn now(self) -> DateTime<Utc> {
        self.now.get()
    }

    pub fn now_untracked(self) -> DateTime<Utc> {
        self.now.get_untracked()
    }

    /// Sets the time for the first paint, without starting the clock.
    pub fn set(self, now: DateTime<Utc>) {
        self.now.set(now);
    }

    /// Adds a reading: a message with the server's time has just arrived.
    pub fn read(self, server_now: DateTime<Utc>) {
        self.read_as_of(server_now, page_timer_ms());
    }

    /// Replaces all earlier readings: the page may have been suspended, or connected to another server.
    pub fn restart(self, server_now: DateTime<Utc>) {
        self.offsets_ms.update_value(VecDeque::clear);
        self.read(server_now);
    }

    /// Starts the clock, only in the browser. The page's own timestamp is taken as received when its first byte
    /// arrived.
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

/// Negative if `then` is past.
pub fn milliseconds_until(then: DateTime<Utc>, now: DateTime<Utc>) -> i64 {
    (then - now).num_milliseconds()
}

/// Milliseconds since the page was opened, on a monotonic timer.
pub fn page_timer_ms() -> f64 {
    window().performance().map_or(0.0, |performance| performance.now())
}

/// When the page's first byte arrived, on the page's timer.
fn response_start_ms() -> f64 {
    let performance = window().performance();
    let entry = performance.map(|performance| performance.get_entries_by_type("navigation").get(0));
    entry
        .and_then(|entry| entry.dyn_into::<PerformanceNavigationTiming>().ok())
        .map_or_else(page_timer_ms, |timing| timing.response_start())
}
