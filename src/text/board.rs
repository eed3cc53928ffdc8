//! The text of a drop's board.

use super::grouped;
use chrono::{DateTime, NaiveTime, TimeDelta, TimeZone};
use std::fmt;

pub const AVAILABLE: &str = "Available";
pub const HELD: &str = "Held";
pub const SOLD: &str = "Sold";

/// Its headings.
pub const BOARD: &str = "Board";
pub const STOCK_OVER_TIME: &str = "Stock over time";
pub const BY_SIZE: &str = "By size";
/// The periods that the charts can show.
pub const PERIOD: &str = "Period of the charts";
pub const WHOLE_PERIOD: &str = "All";
/// Before the first event.
pub const NOTHING_YET: &str = "Nothing has happened yet. The board begins when the drop opens.";
/// In place of the figures while they cannot be read.
pub const UNAVAILABLE: &str = "The figures are not available right now. The page asks for them again.";
/// The unit of stock.
pub const PAIRS: &str = "pairs";

/// The figures of a drop or a size.
pub const RESERVATIONS: &str = "Reservations";
pub const PURCHASES: &str = "Purchases";
pub const EXPIRED: &str = "Expired";
pub const GIVEN_BACK: &str = "Given back";
/// Purchases, in the headline and in a table.
pub const PURCHASES_CANCELLED: &str = "Cancelled purchases";
pub const CANCELLED: &str = "Cancelled";
/// From reservation to purchase.
pub const CONVERSION: &str = "Conversion";
/// From a reservation to its purchase.
pub const MEDIAN_TIME: &str = "Median time to buy";
/// The row of all sizes.
pub const ALL_SIZES: &str = "All";
/// Where there is nothing to compute a figure from.
pub const NONE: &str = "–";

/// Unfolds the table of what the charts show.
pub const FIGURES_OF_THE_CHART: &str = "Figures of the charts";
pub const UNTIL: &str = "Until";
/// Under the table.
pub const SINCE_THE_ROW_BEFORE: &str =
    "Stock is that at the time of its row. Reservations and purchases are those since the row before.";

/// What only the node that answered knows.
pub const CONNECTED_NOW: &str = "Connected now";
pub const REFUSED: &str = "Refused";
pub const NOTHING_REFUSED: &str = "No request was refused.";
pub const NODE_ONLY: &str =
    "What this node alone has seen, and forgets when it stops. Other nodes have connections and refusals of their own.";

/// `12,345`.
pub fn number(number: i64) -> String {
    grouped(number)
}

/// `95 of 100`.
pub fn of(part: i64, whole: i64) -> String {
    format!("{} of {}", grouped(part), grouped(whole))
}

/// `71 %`, or a dash.
pub fn share(share: Option<f64>) -> String {
    share.map_or(NONE.into(), |share| {
        // Only all is 100 %, and only none is 0 %.
        let percent = share * 100.0;
        let rounded = percent.round();
        match percent {
            percent if percent > 0.0 && rounded == 0.0 => "< 1 %".into(),
            percent if percent < 100.0 && rounded == 100.0 => "> 99 %".into(),
            _ => format!("{rounded} %"),
        }
    })
}

/// `14.2 s`, `3 min 20 s` or `2 h 5 min`, or a dash.
pub fn duration(seconds: Option<f64>) -> String {
    seconds.map_or(NONE.into(), |seconds| match seconds.round() as i64 {
        0..60 => format!("{seconds:.1} s"),
        whole @ 60..3_600 => format!("{} min {} s", whole / 60, whole % 60),
        whole => format!("{} h {} min", grouped(whole / 3_600), whole / 60 % 60),
    })
}

/// `26 Nov 2026`.
fn day<Tz: TimeZone<Offset: fmt::Display>>(at: &DateTime<Tz>) -> String {
    at.format("%-d %b %Y").to_string()
}

/// A time in a table whose first and last rows are this far apart: `18:00:07`, `26 Nov, 18:00:07` or `26 Nov 2026, 18:00`.
pub fn time_within<Tz: TimeZone<Offset: fmt::Display>>(at: DateTime<Tz>, span: TimeDelta) -> String {
    let format = match span.num_days() {
        0 => "%H:%M:%S",
        1..100 => "%-d %b, %H:%M:%S",
        _ => "%-d %b %Y, %H:%M",
    };
    at.format(format).to_string()
}

/// On the axis of a chart whose marks are this far apart: `18:00:10`, `18:00`, or a day.
pub fn time_mark<Tz: TimeZone<Offset: fmt::Display>>(at: DateTime<Tz>, seconds_apart: i64) -> String {
    let is_midnight = at.time() == NaiveTime::MIN;
    let format = match seconds_apart {
        ..60 => "%H:%M:%S",
        60..86_400 if !is_midnight => "%H:%M",
        60..2_592_000 => "%-d %b",
        _ => "%b %Y",
    };
    at.format(format).to_string()
}

/// Under the axis of times: `26 Nov 2026, Europe/Berlin` or `26 Nov 2026 to 2 Dec 2026, Europe/Berlin`.
pub fn days_of<Tz: TimeZone<Offset: fmt::Display>>(from: &DateTime<Tz>, until: &DateTime<Tz>, zone: &str) -> String {
    let (first, last) = (day(from), day(until));
    if first == last { format!("{first}, {zone}") } else { format!("{first} to {last}, {zone}") }
}

/// `First minute`, `First 10 minutes`, `First hour`.
pub fn first_period(seconds: i64) -> String {
    format!("First {}", length(seconds))
}

/// `Last 10 minutes`.
pub fn last_period(seconds: i64) -> String {
    format!("Last {}", length(seconds))
}

fn length(seconds: i64) -> String {
    let (count, unit) = if seconds % 3_600 == 0 { (seconds / 3_600, "hour") } else { (seconds / 60, "minute") };
    if count == 1 { unit.into() } else { format!("{count} {unit}s") }
}

/// A unit of time in which charts count: its seconds, and what it is called.
pub const UNITS: [(f64, &str); 4] =
    [(1.0, "per second"), (60.0, "per minute"), (3_600.0, "per hour"), (86_400.0, "per day")];

/// `Reservations and purchases per second`.
pub fn rates_in(unit: &str) -> String {
    format!("Reservations and purchases {unit}")
}

/// What a chart of stock shows, in words.
pub fn stock_description<Tz: TimeZone<Offset: fmt::Display>>(
    name: &str,
    (from, until): (DateTime<Tz>, DateTime<Tz>),
    total_at_start: i64,
    [available, held, sold]: [i64; 3],
) -> String {
    format!(
        "{name} from {} to {}: {} at the start; at the end {} available, {} held and {} sold.",
        moment(from),
        moment(until),
        pairs(total_at_start),
        grouped(available),
        grouped(held),
        grouped(sold),
    )
}

/// What a chart of rates shows, in words.
pub fn rates_description(name: &str, unit: &str, [reservations, purchases]: &[String; 2]) -> String {
    format!("{name}: at most {reservations} reservations and {purchases} purchases {unit}.")
}

/// `213`, `4.7` or `0.25`.
pub fn rate(rate: f64) -> String {
    if rate >= 10.0 || rate.fract() == 0.0 {
        return grouped(rate.round());
    }
    let decimals = if rate < 0.1 { 4 } else { 2 };
    format!("{rate:.decimals$}").trim_end_matches('0').trim_end_matches('.').into()
}

/// `26 Nov 2026, 18:00:07 CET`.
fn moment<Tz: TimeZone<Offset: fmt::Display>>(at: DateTime<Tz>) -> String {
    at.format("%-d %b %Y, %H:%M:%S %Z").to_string()
}

/// `As of 26 Nov 2026, 18:02:10 CET.`
pub fn as_of<Tz: TimeZone<Offset: fmt::Display>>(at: DateTime<Tz>) -> String {
    format!("As of {}.", moment(at))
}

/// `Most in one second: 210 reservations at 18:00:01, 64 purchases at 18:00:09.` Each of them has its own second.
pub fn busiest(reservations: (i64, String), purchases: Option<(i64, String)>) -> String {
    let reserved = format!("{} reservations at {}", grouped(reservations.0), reservations.1);
    let bought = purchases.map(|(count, at)| match count {
        1 => format!(", 1 purchase at {at}"),
        _ => format!(", {} purchases at {at}", grouped(count)),
    });
    format!("Most in one second: {reserved}{}.", bought.unwrap_or_default())
}

/// Since when nothing is missing.
pub fn complete_since<Tz: TimeZone<Offset: fmt::Display>>(pruned_until: Option<DateTime<Tz>>) -> String {
    pruned_until.map_or("Complete: no reservation of this drop was deleted.".into(), |at| {
        format!(
            "Complete since {}. Older reservations that were not completed have been deleted, so before then fewer are shown \
             as held, expired and given back than there were.",
            moment(at)
        )
    })
}

/// The heading of what the node that answered knows.
pub fn on_this_node<Tz: TimeZone<Offset: fmt::Display>>(since: DateTime<Tz>) -> String {
    format!("On this node since {}", moment(since))
}

/// `1,204 pages and 3 other clients`.
pub fn connected(pages: usize, clients: usize) -> String {
    let pages = if pages == 1 { "1 page".into() } else { format!("{} pages", grouped(pages)) };
    match clients {
        0 => pages,
        1 => format!("{pages} and 1 Socket.IO client"),
        _ => format!("{pages} and {} Socket.IO clients", grouped(clients)),
    }
}

/// Why requests were refused, by the code of their error.
pub fn refusal(code: &str) -> &str {
    match code {
        "sold_out" => "Sold out",
        "not_started" => "Not open yet",
        "ended" => "Ended",
        "paused" => "Paused",
        "limit_reached" => "Limit per person reached",
        "size_required" => "No size named",
        "unknown_size" => "No such size",
        "no_active_reservation" => "Held no pair",
        "reservation_expired" => "Reservation had expired",
        "cancelled" => "Purchase was cancelled",
        "too_many_requests" => "Too many requests of one person",
        "unavailable" => "Too busy, or database unreachable",
        "unknown" => "Outcome unknown",
        "unauthorized" => "Account unknown",
        "internal" => "A fault of the server",
        other => other,
    }
}

/// `1 pair`, `100 pairs`.
fn pairs(count: i64) -> String {
    if count == 1 { "1 pair".into() } else { format!("{} {PAIRS}", grouped(count)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_all_are_a_hundred_percent_and_only_none_are_zero() {
        let shown = [None, Some(0.0), Some(0.001), Some(0.714), Some(0.9999), Some(1.0)].map(share);
        assert_eq!(shown, ["–", "0 %", "< 1 %", "71 %", "> 99 %", "100 %"]);
    }

    #[test]
    fn a_duration_has_the_units_that_matter() {
        let shown = [None, Some(0.04), Some(14.24), Some(59.4), Some(59.7), Some(200.0), Some(7_500.0)].map(duration);
        assert_eq!(shown, ["–", "0.0 s", "14.2 s", "59.4 s", "1 min 0 s", "3 min 20 s", "2 h 5 min"]);
    }

    #[test]
    fn a_period_is_named_by_its_length() {
        let shown = [first_period(60), first_period(600), first_period(3_600), last_period(600)];
        assert_eq!(shown, ["First minute", "First 10 minutes", "First hour", "Last 10 minutes"]);
    }

    #[test]
    fn a_rate_has_as_many_digits_as_can_be_told_apart() {
        let shown = [0.0, 0.005, 0.3, 0.1 + 0.2, 2.0, 4.75, 12.4, 1_234.0].map(rate);
        assert_eq!(shown, ["0", "0.005", "0.3", "0.3", "2", "4.75", "12", "1,234"]);
    }
}
