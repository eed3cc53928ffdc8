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

    /// The times from `from` on that are multiples of `apart` on the clocks there.
    pub(super) fn round_times(self, from: DateTime<Utc>, apart: TimeDelta) -> impl Iterator<Item = DateTime<Utc>> {
        let local = self.clock(from).naive_local().and_utc().timestamp();
        let first = local.div_euclid(apart.num_seconds()) * apart.num_seconds();
        let first = DateTime::from_timestamp(first, 0).unwrap_or_default().naive_utc();
        let local = std::iter::successors(Some(first), move |local| local.checked_add_signed(apart));
        local.filter_map(move |local| {
            // Clocks that are set forward skip a time, and clocks that are set back show it twice.
            let times = self.0.from_local_datetime(&local);
            [times.earliest(), times.latest()].into_iter().flatten().map(|at| at.to_utc()).find(|at| *at >= from)
        })
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
    pub(super) fn date(self, at: Timestamp) -> String {
        desk::date(at.with_timezone(&self.0))
    }

    pub(super) fn time(self, at: Timestamp) -> impl IntoView + use<> {
        view! { <time datetime=at.to_string()>{self.date(at)}</time> }
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
            let times = Zone(zone).round_times(from(utc), apart).take(3);
            times.map(|at| Zone(zone).clock(at).format("%dT%H:%M %Z").to_string()).collect::<Vec<_>>()
        };
        let (hour, day) = (TimeDelta::hours(1), TimeDelta::days(1));
        let kolkata = times(Tz::Asia__Kolkata, "2026-07-15T18:31:00Z", hour * 6);
        assert_eq!(kolkata, ["16T06:00 IST", "16T12:00 IST", "16T18:00 IST"]);
        assert_eq!(times(Tz::UTC, "2026-07-15T18:00:00Z", hour)[0], "15T18:00 UTC");
        // Also on the days on which clocks are set.
        let berlin = |utc, apart| times(Tz::Europe__Berlin, utc, apart);
        assert_eq!(berlin("2026-10-24T12:00:00Z", day), ["25T00:00 CEST", "26T00:00 CET", "27T00:00 CET"]);
        assert_eq!(berlin("2026-03-29T00:30:00Z", hour), ["29T03:00 CEST", "29T04:00 CEST", "29T05:00 CEST"]);
        assert_eq!(berlin("2026-10-25T00:10:00Z", hour), ["25T02:00 CET", "25T03:00 CET", "25T04:00 CET"]);
        assert_eq!(berlin("2026-10-25T01:10:00Z", hour / 2), ["25T02:30 CET", "25T03:00 CET", "25T03:30 CET"]);
    }
}
