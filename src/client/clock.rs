//! The page's estimate of the server's time, in one signal for the whole page.
//!
//! The device's clock may be wrong and is not used. The estimate is the time in a message from the server plus the time
//! since on the page's monotonic timer. Each message is late by its network delay, so the reading that gives the latest
//! time is the most accurate. Only recent readings count, because the two clocks drift apart.

use chrono::{DateTime, TimeDelta, Utc};
use gloo_timers::callback::Interval;
use leptos::prelude::*;
use std::cell::RefCell;
use wasm_bindgen::JsCast;
use web_sys::PerformanceNavigationTiming;

/// Short enough that no displayed second is skipped.
const TICK_MS: u32 = 200;

/// How long a reading counts. The server sends its time at least every ten seconds, and the last reading always counts.
const RECENT_MS: f64 = 8_000.0;

/// A tick that is later than this shows that the page was frozen; background tabs tick once a second. And if the device's clock
/// has gone on so much further than the page's timer, the device slept.
const JUMP_MS: f64 = 1_800.0;

#[derive(Clone, Copy)]
pub struct Clock {
    now: RwSignal<DateTime<Utc>>,
}

thread_local! {
    /// When each recent message arrived, on the page's timer, and the server's time minus that; oldest first. Empty until
    /// [`Clock::start`].
    static READINGS: RefCell<Vec<(f64, f64)>> = const { RefCell::new(vec![]) };
}

impl Clock {
    /// A stopped clock at the Unix epoch.
    pub fn new() -> Self {
        Self { now: RwSignal::new(DateTime::UNIX_EPOCH) }
    }

    /// The current time; subscribes to it. It advances five times a second. Before [`start`](Self::start) it is the
    /// time that the server rendered the page with, so that hydration renders the same.
    pub fn now(self) -> DateTime<Utc> {
        self.now.get()
    }

    pub fn now_untracked(self) -> DateTime<Utc> {
        self.now.get_untracked()
    }

    /// Whether the page is rendered already, and time goes by.
    pub fn is_started(self) -> bool {
        READINGS.with_borrow(|readings| !readings.is_empty())
    }

    /// Sets the time for the first paint, without starting the clock.
    pub fn set(self, now: DateTime<Utc>) {
        self.now.set(now);
    }

    /// Adds a reading: a message with the server's time has just arrived.
    pub fn read(self, server_now: DateTime<Utc>) {
        self.read_as_of(server_now, page_timer_ms());
    }

    /// Starts the clock, only in the browser. The page's own timestamp is taken as received when its first byte
    /// arrived. `on_wake` is called when the timer has jumped.
    pub fn start(self, on_wake: impl Fn() + 'static) {
        self.read_as_of(self.now_untracked(), response_start_ms());
        self.tick();
        let mut last_tick = (page_timer_ms(), js_sys::Date::now());
        Interval::new(TICK_MS, move || {
            let tick = (page_timer_ms(), js_sys::Date::now());
            let (timer_ms, device_ms) = (tick.0 - last_tick.0, tick.1 - last_tick.1);
            if timer_ms > JUMP_MS || (device_ms - timer_ms).abs() > JUMP_MS {
                on_wake();
            }
            last_tick = tick;
            self.tick();
        })
        .forget();
    }

    fn read_as_of(self, server_now: DateTime<Utc>, timer_ms: f64) {
        let offset_ms = server_now.timestamp_millis() as f64 - timer_ms;
        READINGS.with_borrow_mut(|readings| {
            // A busy server sends its time often; what neither is the latest nor gives the latest time is not needed.
            readings.retain(|(_, known_ms)| *known_ms > offset_ms);
            readings.push((timer_ms, offset_ms));
        });
    }

    fn tick(self) {
        let timer_ms = page_timer_ms();
        let latest = READINGS.with_borrow_mut(|readings| {
            while readings.len() > 1 && timer_ms - readings[0].0 > RECENT_MS {
                readings.remove(0);
            }
            readings.first().copied()
        });
        if let Some((_, offset_ms)) = latest {
            self.now.set(DateTime::UNIX_EPOCH + TimeDelta::milliseconds((offset_ms + timer_ms) as i64));
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
