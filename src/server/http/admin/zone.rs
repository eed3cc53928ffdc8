//! The time zone in which the desk shows times and reads them.

use crate::{
    domain::Timestamp,
    server::{auth::caller::cookie, state::AppState},
    text::desk,
};
use axum::{extract::FromRequestParts, http::request::Parts};
use chrono::{DateTime, LocalResult, NaiveDateTime, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use leptos::prelude::*;
use std::convert::Infallible;

/// That of the browser, which the desk's script keeps in a cookie; UTC without the script.
#[derive(Clone, Copy)]
pub(super) struct Zone(Tz);

impl FromRequestParts<AppState> for Zone {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &AppState) -> Result<Self, Infallible> {
        // The names of zones have slashes, and the script writes them as they are.
        let zone = cookie(&parts.headers, ZONE_COOKIE).and_then(|name| name.parse().ok());
        Ok(zone.map_or(Self::UTC, Self))
    }
}

/// `desk.js` sets it.
const ZONE_COOKIE: &str = "sneakdrop_zone";

/// As the inputs of browsers have it.
const LOCAL_TIME: &str = "%Y-%m-%dT%H:%M";

impl Zone {
    pub(super) const UTC: Self = Self(Tz::UTC);

    /// As in the database of time zones: `Europe/Berlin`.
    pub(super) fn name(self) -> &'static str {
        self.0.name()
    }

    /// As the clocks there show it.
    pub(super) fn clock(self, at: DateTime<Utc>) -> DateTime<Tz> {
        at.with_timezone(&self.0)
    }

    /// Up to so many times that are multiples of `apart` on the clocks there, from `from` on.
    pub(super) fn round_times(self, from: DateTime<Utc>, apart: TimeDelta, count: i32) -> Vec<DateTime<Utc>> {
        let local = self.clock(from).naive_local().and_utc().timestamp();
        let apart_seconds = apart.num_seconds();
        let first = (local + apart_seconds - 1).div_euclid(apart_seconds) * apart_seconds;
        let first = DateTime::from_timestamp(first, 0).unwrap_or_default().naive_utc();
        let local = (0..count).map(|index| first + apart * index);
        // A time that the clocks skip has no mark, and of one that comes twice it is the first.
        local.filter_map(|local| Some(self.0.from_local_datetime(&local).earliest()?.to_utc())).collect()
    }

    /// The value of an input, to the minute.
    pub(super) fn local(self, at: Timestamp) -> String {
        at.with_timezone(&self.0).format(LOCAL_TIME).to_string()
    }

    /// The time that was typed. An error is the requirement, as the rest of a sentence that begins with the field's name. What
    /// comes twice, when clocks are set back, is the first.
    pub(super) fn read(self, local: &str) -> Result<DateTime<Utc>, &'static str> {
        let read = |format| NaiveDateTime::parse_from_str(local, format).ok();
        let local = read(LOCAL_TIME).or_else(|| read("%Y-%m-%dT%H:%M:%S")).ok_or("must be a date and a time")?;
        match self.0.from_local_datetime(&local) {
            LocalResult::Single(time) | LocalResult::Ambiguous(time, _) => Ok(time.to_utc()),
            LocalResult::None => Err("must be a time that the clocks of this time zone show"),
        }
    }

    /// A time in words: `Fri 27 Nov 2026, 18:00 CET`.
    pub(super) fn time(self, at: Timestamp) -> impl IntoView + use<> {
        view! { <time datetime=at.to_string()>{desk::date(at.with_timezone(&self.0))}</time> }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_times_follow_the_clocks_of_their_zone() {
        let berlin = Zone(Tz::Europe__Berlin);
        for (local, utc) in [
            ("2026-01-15T18:00", "2026-01-15T17:00:00+00:00"),
            ("2026-07-15T18:00", "2026-07-15T16:00:00+00:00"),
            ("2026-07-15T18:00:30", "2026-07-15T16:00:30+00:00"),
            // Clocks are set back from three to two.
            ("2026-10-25T02:30", "2026-10-25T00:30:00+00:00"),
        ] {
            let time = berlin.read(local).expect("a time");
            assert_eq!(time.to_rfc3339(), utc, "{local}");
            assert!(local.starts_with(&berlin.local(time.into())), "{local}");
        }
        // Clocks are set forward from two to three.
        for bad in ["2026-03-29T02:30", "", "tomorrow", "2026-02-30T00:00", "2026-01-15"] {
            assert!(berlin.read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn round_times_are_round_on_the_clocks_of_their_zone() {
        let from = |utc: &str| utc.parse::<DateTime<Utc>>().expect("a time");
        let times = |zone: Tz, utc, apart| {
            let times = Zone(zone).round_times(from(utc), apart, 3);
            times.into_iter().map(|at| Zone(zone).local(at.into())).collect::<Vec<_>>()
        };
        let (hours, days) = (TimeDelta::hours(6), TimeDelta::days(1));
        let kolkata = times(Tz::Asia__Kolkata, "2026-07-15T18:31:00Z", hours);
        assert_eq!(kolkata, ["2026-07-16T06:00", "2026-07-16T12:00", "2026-07-16T18:00"]);
        assert_eq!(times(Tz::UTC, "2026-07-15T18:00:00Z", hours)[0], "2026-07-15T18:00");
        // Also on the days on which clocks are set.
        let berlin = times(Tz::Europe__Berlin, "2026-10-24T12:00:00Z", days);
        assert_eq!(berlin, ["2026-10-25T00:00", "2026-10-26T00:00", "2026-10-27T00:00"]);
        assert_eq!(
            times(Tz::Europe__Berlin, "2026-03-29T00:30:00Z", TimeDelta::hours(1)),
            ["2026-03-29T03:00", "2026-03-29T04:00"]
        );
    }
}
