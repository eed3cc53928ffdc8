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
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Zone(Tz);

impl FromRequestParts<AppState> for Zone {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &AppState) -> Result<Self, Infallible> {
        // The names of zones have slashes, and the script writes them as they are.
        let zone = cookie(&parts.headers, ZONE_COOKIE).and_then(Self::named);
        Ok(zone.unwrap_or(Self::UTC))
    }
}

/// `desk.js` sets it.
const ZONE_COOKIE: &str = "sneakdrop_zone";

/// As the inputs of browsers have it.
const LOCAL_TIME: &str = "%Y-%m-%dT%H:%M";

impl Zone {
    pub(super) const UTC: Self = Self(Tz::UTC);

    pub(super) fn named(name: &str) -> Option<Self> {
        name.parse().ok().map(Self)
    }

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

    /// The value of an input, to the minute. The last hours of the year 9999 in UTC may be in the next year here.
    pub(super) fn local(self, at: Timestamp) -> String {
        at.with_timezone(&self.0).format(LOCAL_TIME).to_string().trim_start_matches('+').to_owned()
    }

    /// How far the clocks are ahead of UTC: `+02:00`. It tells apart the times that they show twice.
    pub(super) fn offset(self, at: DateTime<Utc>) -> String {
        self.clock(at).format("%:z").to_string()
    }

    /// The time that was typed, with the offset that was chosen if clocks show it twice. An error is the requirement, as the rest
    /// of a sentence that begins with the field's name.
    pub(super) fn read(self, local: &str, offset: &str) -> Result<DateTime<Utc>, &'static str> {
        match self.0.from_local_datetime(&read_local(local).ok_or("must be a date and a time")?) {
            LocalResult::Single(time) => Ok(time.to_utc()),
            LocalResult::Ambiguous(first, second) => {
                let chosen =
                    [first, second].map(|time| time.to_utc()).into_iter().find(|at| self.offset(*at) == offset);
                chosen.ok_or("comes twice, as clocks are set back then: choose which of the two is meant")
            }
            LocalResult::None => Err("must be a time that clocks show: they are set forward then, and skip it"),
        }
    }

    /// Both times that are meant by one that was typed, if clocks show it twice.
    pub(super) fn twice(self, local: &str) -> Option<[DateTime<Tz>; 2]> {
        match self.0.from_local_datetime(&read_local(local)?) {
            LocalResult::Ambiguous(first, second) => Some([first, second]),
            LocalResult::Single(_) | LocalResult::None => None,
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

fn read_local(local: &str) -> Option<NaiveDateTime> {
    // A year of five digits needs its sign.
    let sign = if local.find('-').is_some_and(|year_digits| year_digits > 4) { "+" } else { "" };
    let local = format!("{sign}{local}");
    [LOCAL_TIME, "%Y-%m-%dT%H:%M:%S"].iter().find_map(|format| NaiveDateTime::parse_from_str(&local, format).ok())
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
            // The end of what can be a time of a sale.
            ("10000-01-01T00:59", "9999-12-31T23:59:00+00:00"),
        ] {
            let time = berlin.read(local, "").expect("a time");
            assert_eq!(time.to_rfc3339(), utc, "{local}");
            assert!(local.starts_with(&berlin.local(time.into())), "{local}");
        }
        // Clocks are set forward from two to three.
        for bad in ["2026-03-29T02:30", "", "tomorrow", "2026-02-30T00:00", "2026-01-15"] {
            assert!(berlin.read(bad, "+02:00").is_err(), "{bad}");
        }
    }

    #[test]
    fn a_time_that_clocks_show_twice_is_told_apart_by_its_offset() {
        for (zone, local, offsets, utc) in [
            (Tz::Europe__Berlin, "2026-10-25T02:30", ["+02:00", "+01:00"], ["00:30", "01:30"]),
            (Tz::America__New_York, "2026-11-01T01:00", ["-04:00", "-05:00"], ["05:00", "06:00"]),
            (Tz::Australia__Lord_Howe, "2026-04-05T01:45", ["+11:00", "+10:30"], ["14:45", "15:15"]),
        ] {
            let zone = Zone(zone);
            let times = offsets.map(|offset| zone.read(local, offset).expect("one of the two"));
            assert_eq!(times.map(|time| time.format("%H:%M").to_string()), utc, "{local}");
            assert_eq!(
                times.map(|time| (zone.local(time.into()), zone.offset(time))),
                offsets.map(|offset| (local.to_owned(), offset.to_owned()))
            );
            assert_eq!(zone.twice(local).map(|both| both.map(|time| time.to_utc())), Some(times));
            for unknown in ["", "Z", "+03:00", "+02"] {
                assert!(zone.read(local, unknown).is_err_and(|expected| expected.contains("choose")), "{unknown}");
            }
        }
        // An offset that is left from another time means nothing.
        let berlin = Zone(Tz::Europe__Berlin);
        assert_eq!(berlin.read("2026-07-15T18:00", "+01:00"), berlin.read("2026-07-15T18:00", ""));
        assert_eq!(berlin.twice("2026-07-15T18:00"), None);
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
