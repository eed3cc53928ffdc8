//! The database's clock, as this node estimates it.

use chrono::{DateTime, TimeDelta, Utc};
use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// The database's time without a query: the last reading carried on by this machine's monotonic clock, which nobody can
/// set. Until the first reading it is this machine's clock.
#[derive(Default)]
pub struct DatabaseClock(Mutex<Reading>);

struct Reading {
    now: DateTime<Utc>,
    read_at: Instant,
    is_from_database: bool,
}

impl DatabaseClock {
    pub fn now(&self) -> DateTime<Utc> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).now()
    }

    /// Takes in a reading of the database's clock that was requested and received at these times. Half the round trip is
    /// the best estimate of when the database read its clock.
    pub(crate) fn set(&self, now: DateTime<Utc>, requested: Instant, received: Instant) {
        let mut reading = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let round_trip = received - requested;
        let is_off = (now - reading.now()).abs() > TimeDelta::seconds(1);
        if !reading.is_from_database || round_trip <= MAX_ROUND_TRIP || is_off {
            *reading = Reading { now, read_at: requested + round_trip / 2, is_from_database: true };
        }
    }
}

impl Reading {
    fn now(&self) -> DateTime<Utc> {
        self.now + TimeDelta::from_std(self.read_at.elapsed()).unwrap_or_default()
    }
}

impl Default for Reading {
    fn default() -> Self {
        Self { now: Utc::now(), read_at: Instant::now(), is_from_database: false }
    }
}

/// A reading that took longer says too little about when the clock was read.
const MAX_ROUND_TRIP: Duration = Duration::from_millis(100);

/// How far this estimate may be from the database's clock.
pub(crate) const CLOCK_TOLERANCE: TimeDelta = TimeDelta::milliseconds(100);
