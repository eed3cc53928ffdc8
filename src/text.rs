//! The text of the pages and of every error: short and plain, without exclamation marks. An error says what happened
//! and what to do next.

use crate::domain::{
    ONE_SIZE, Purchase, Reservation, Timestamp,
    error::{DropError, Missing},
};
use chrono::{DateTime, Datelike, Timelike, Utc};
use std::fmt;

pub const BRAND: &str = "Sneakdrop";
/// The dashboard's heading.
pub const TAGLINE: &str = "Limited pairs. Sixty seconds each.";
/// The dashboard's description for search engines and link previews.
pub const DESCRIPTION: &str =
    "Limited-edition sneaker drops with live stock. Reserve a pair for 60 seconds, then make it yours.";

/// The skip link, first in the tab order.
pub const SKIP: &str = "Skip to the drops";
/// Names the header's navigation.
pub const PLACES: &str = "Places";
pub const DROPS: &str = "Drops";
pub const MY_PURCHASES: &str = "My purchases";
/// In the footer of every page.
pub const HOW_IT_WORKS: &str =
    "One tap holds a pair for you. Buy it before the ring runs out, or it goes back to everybody.";
/// Names the region of the toasts.
pub const MESSAGES: &str = "Messages";
pub const DISMISS: &str = "Dismiss";
/// Shown when the compiled page could not be loaded or started.
pub const NOT_LIVE: &str =
    "Part of this page did not load. The buttons work, but stock and time stand still. Reload to try again.";

pub const LIVE: &str = "Live";
/// The connection to the server is lost.
pub const RECONNECTING: &str = "Reconnecting…";
/// The device has no network.
pub const OFFLINE: &str = "Offline";
/// The server is newer than the page.
pub const OUT_OF_DATE: &str = "Out of date";
pub const NEW_VERSION: &str = "There is a new version of this page.";
pub const RELOAD: &str = "Reload";

/// The dialog's title and the button that opens it.
pub const SIGN_IN: &str = "Sign in";
/// Under the dialog's title.
pub const SIGN_IN_HINT: &str = "Pick a name. It stays with this browser, and no other can take it.";
/// After signing in, if the browser did not keep it.
pub const COOKIES_NEEDED: &str =
    "This browser did not keep your sign-in. Allow cookies for this site, then sign in again.";
pub const USERNAME: &str = "Username";
pub const USERNAME_RULE: &str = "Username must be 1 to 32 characters that can be seen.";
/// Submits the dialog's form.
pub const ENTER: &str = "Enter the drop";
pub const CLOSE: &str = "Close";
pub const SIGN_OUT: &str = "Sign out";

/// The dashboard's first section.
pub const LIVE_NOW: &str = "Live now";
pub const NOTHING_LIVE: &str = "Nothing is live right now. The next drop opens by itself.";
/// The dashboard's second section.
pub const UPCOMING: &str = "Upcoming";
/// The dashboard's third section.
pub const OVER: &str = "Sold out or ended";

/// Names the stock meter.
pub const STOCK: &str = "Stock";
/// Names the choice of size.
pub const SIZE: &str = "Size";
/// After signing in to reserve a pair.
pub const CHOOSE_A_SIZE: &str = "Choose a size, then reserve.";
pub const SIGN_IN_TO_RESERVE: &str = "Sign in to reserve";
pub const RESERVE: &str = "Reserve";
/// After a purchase.
pub const RESERVE_ANOTHER: &str = "Reserve another";
/// While the request is pending.
pub const RESERVING: &str = "Reserving…";
/// Beside the countdown.
pub const RESERVED_FOR_YOU: &str = "Reserved for you";
pub const COMPLETE_PURCHASE: &str = "Complete purchase";
/// While the request is pending.
pub const COMPLETING: &str = "Completing…";
/// Releases the reservation.
pub const GIVE_IT_BACK: &str = "Give it back";
pub const VIEW_PURCHASE: &str = "View purchase";
pub const SOLD_OUT: &str = "Sold out";
pub const ENDED: &str = "Ended";
pub const RECENT_PURCHASERS: &str = "Recent purchasers";
pub const NO_PURCHASERS: &str = "Nobody yet. The first pair is still to go.";

/// On `/purchases`.
pub const SIGN_IN_TO_SEE: &str = "Sign in to see what you bought.";
/// On `/purchases`.
pub const NO_PURCHASES: &str = "Nothing yet. Your first pair will be listed here.";
/// The title of the page of drops that are over, and the link to it.
pub const PAST_DROPS: &str = "Past drops";
pub const NOTHING_OVER: &str = "Nothing is over yet.";
/// Leads to the next page of a list.
pub const OLDER: &str = "Older";
/// The 404 page's title.
pub const NOT_FOUND: &str = "Nothing here";
pub const NOT_FOUND_HINT: &str = "This address leads nowhere. The drop may have been removed, or the link is mistyped.";
/// Leads to the dashboard.
pub const TO_THE_DROPS: &str = "To the drops";

/// The title of a page other than the dashboard: `My purchases · Sneakdrop`.
pub fn page_title(name: &str) -> String {
    format!("{name} · {BRAND}")
}

/// A drop page's description for search engines and link previews.
pub fn drop_description(name: &str, price_cents: i32) -> String {
    format!("{name}, {}. Live stock, 60 seconds to make a pair yours.", price(price_cents))
}

/// `$199` or `$199.50`.
pub fn price(cents: i32) -> String {
    let (dollars, cents) = (cents / 100, cents % 100);
    if cents == 0 { format!("${}", grouped(dollars)) } else { format!("${}.{cents:02}", grouped(dollars)) }
}

/// `41 of 100 left`.
pub fn stock_left(available: i32, total: i32) -> String {
    format!("{} of {} left", grouped(available), grouped(total))
}

/// `97 of 100 sold`.
pub fn sold(sold: i32, total: i32) -> String {
    format!("{} of {} sold", grouped(sold), grouped(total))
}

/// `3 reserved right now`.
pub fn reserved_now(held: i32) -> String {
    format!("{} reserved right now", grouped(held))
}

/// `All reserved. 3 may come back.`
pub fn all_reserved(held: i32) -> String {
    format!("All reserved. {} may come back.", grouped(held))
}

/// `1 per person`.
pub fn limit(limit: i32) -> String {
    format!("{} per person", grouped(limit))
}

/// `0:42`, rounded up: the last second is shown as `0:01`.
pub fn countdown(milliseconds_left: i64) -> String {
    let seconds = whole_seconds(milliseconds_left);
    format!("{}:{:02}", seconds / 60, seconds % 60)
}

/// `Opens in 01:59:58` or `Opens in 1 d 00:00:00`.
pub fn opens_in(milliseconds_left: i64) -> String {
    let seconds = whole_seconds(milliseconds_left);
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    let days = if days > 0 { format!("{days} d ") } else { String::new() };
    format!("Opens in {days}{hours:02}:{minutes:02}:{:02}", seconds % 60)
}

/// Rounds up; never negative.
pub fn whole_seconds(milliseconds_left: i64) -> i64 {
    milliseconds_left.max(0).saturating_add(999) / 1000
}

/// `10 seconds left`, for screen readers.
pub fn seconds_left(seconds: i64) -> String {
    if seconds == 1 { "1 second left".into() } else { format!("{seconds} seconds left") }
}

/// `just now`, `2 min ago`, `3 h ago`, `5 d ago`.
pub fn ago(then: DateTime<Utc>, now: DateTime<Utc>) -> String {
    match (now - then).num_seconds().max(0) {
        0..60 => "just now".into(),
        seconds @ 60..3_600 => format!("{} min ago", seconds / 60),
        seconds @ 3_600..86_400 => format!("{} h ago", seconds / 3_600),
        seconds => format!("{} d ago", seconds / 86_400),
    }
}

/// `21 Nov 2026, 20:41 UTC`.
pub fn date(at: Timestamp) -> String {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month = MONTHS[at.month0() as usize];
    format!("{} {month} {}, {:02}:{:02} UTC", at.day(), at.year(), at.hour(), at.minute())
}

/// `Order 000123`.
pub fn order_number(purchase: &Purchase) -> String {
    format!("Order {:06}", purchase.id)
}

/// On a card: `Yours. Order 000123`.
pub fn purchased(purchase: &Purchase) -> String {
    format!("Yours. {}", order_number(purchase))
}

/// A size's label for screen readers: `US 9, 4 left` or `US 9, none left`.
pub fn size_and_stock(label: &str, available: i32) -> String {
    match available {
        0 => format!("{label}, none left"),
        left => format!("{label}, {} left", grouped(left)),
    }
}

/// A toast: `US 9 is reserved for 60 seconds. Complete the purchase to keep it.`
pub fn reservation_granted(reservation: &Reservation, left_ms: i64) -> String {
    let seconds = whole_seconds(left_ms).min(lifetime_seconds(reservation));
    let what = if reservation.size == ONE_SIZE { "Reserved" } else { &format!("{} is reserved", reservation.size) };
    format!("{what} for {seconds} seconds. Complete the purchase to keep it.")
}

/// A toast: `Your 60 seconds are up. The pair went back.`
pub fn reservation_expired(reservation: &Reservation) -> String {
    format!("Your {} seconds are up. The pair went back.", lifetime_seconds(reservation))
}

/// A toast: `Order 000123. The pair is yours.`
pub fn purchase_completed(purchase: &Purchase) -> String {
    format!("{}. The pair is yours.", order_number(purchase))
}

/// A toast after a release.
pub const RELEASED: &str = "You gave the pair back.";

/// In place of [`SIZE`]: `US 9 just went. Choose another.`
pub fn size_gone(label: &str) -> String {
    format!("{label} just went. Choose another.")
}

/// For screen readers: `Volt Runner is open.`
pub fn opened(name: &str) -> String {
    format!("{name} is open.")
}

/// How long the reservation was granted for, rounded to the nearest second.
fn lifetime_seconds(reservation: &Reservation) -> i64 {
    let lifetime = *reservation.expires_at - *reservation.created_at;
    whole_seconds(lifetime.num_milliseconds() - 500)
}

/// What happened and what to do next.
impl fmt::Display for DropError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&error_sentence(self))
    }
}

fn error_sentence(error: &DropError) -> String {
    match error {
        DropError::Invalid { field, .. } if field == "username" => USERNAME_RULE.into(),
        DropError::Invalid { field, expected } => format!("{field} {expected}."),
        DropError::MalformedBody(problem) => format!("The request could not be read: {problem}."),
        DropError::BodyTooLarge => "The body is larger than 64 KiB.".into(),
        DropError::BodyTimedOut => "The rest of the body did not come. Send it again.".into(),
        DropError::WrongContentType => "Send the body as application/json, not compressed.".into(),
        DropError::Unauthorized => "Sign in first.".into(),
        DropError::Forbidden => "You can only act for yourself.".into(),
        DropError::AnotherUser => {
            "Somebody else signed in with this browser. Nothing was done; try again as them.".into()
        }
        DropError::ForeignOrigin => {
            "This request came from a page of another site. If it did not, a proxy must pass on its Host header.".into()
        }
        DropError::NotFound(Missing::Drop) => "There is no such drop.".into(),
        DropError::NotFound(Missing::Reservation) => "There is no such reservation.".into(),
        DropError::NotFound(Missing::User) => "There is no such user.".into(),
        DropError::NotFound(Missing::Path) => "There is nothing at this address.".into(),
        DropError::MethodNotAllowed => "This address does not take that method.".into(),
        DropError::UsernameTaken => "That name is taken. Choose another, or use the browser that claimed it.".into(),
        DropError::TooManyNames => "This browser has as many names as it can keep. Use one of them.".into(),
        DropError::SoldOut => "The last pair just went. Another may come back.".into(),
        DropError::NotStarted { starts_at } => format!("This drop opens at {}.", date(*starts_at)),
        DropError::Ended => "This drop has ended.".into(),
        DropError::LimitReached { limit: 1 } => "One pair per person, and you have yours.".into(),
        DropError::LimitReached { limit } => format!("{limit} pairs per person, and you have yours."),
        DropError::NoActiveReservation => "You hold no pair of this drop. Reserve one first.".into(),
        DropError::ReservationExpired => "Time ran out and the pair went back. Reserve again.".into(),
        DropError::SizeRequired { sizes_left } => format!("Choose a size{}.", size_list(sizes_left)),
        DropError::UnknownSize { sizes_left } => {
            format!("There is no such size. Choose another{}.", size_list(sizes_left))
        }
        DropError::TooManyRequests => "Your earlier requests are still waiting. Try again in a moment.".into(),
        DropError::Unavailable => "The shop is busy. Nothing was changed; try again in a moment.".into(),
        DropError::Unknown => {
            "No answer came. It may have worked; trying again is safe, as nothing happens twice.".into()
        }
        DropError::Internal => "Something went wrong on our side. Try again.".into(),
        DropError::Unreachable => "The shop could not be reached. Check the connection and try again.".into(),
    }
}

/// `: US 8, US 9`, or nothing when no size is left.
fn size_list(sizes_left: &[String]) -> String {
    if sizes_left.is_empty() { String::new() } else { format!(": {}", sizes_left.join(", ")) }
}

/// `1,000,000`: thousands are grouped because the numbers are read from a distance.
fn grouped(number: i32) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_countdown_shows_the_last_second_until_it_is_over() {
        assert_eq!(countdown(60_000), "1:00");
        assert_eq!(countdown(41_001), "0:42");
        assert_eq!(countdown(1), "0:01");
        assert_eq!(countdown(0), "0:00");
        assert_eq!(countdown(-5), "0:00");
        assert_eq!(opens_in(7_198_000), "Opens in 01:59:58");
        assert_eq!(opens_in(86_400_000), "Opens in 1 d 00:00:00");
    }

    #[test]
    fn prices_show_cents_only_if_there_are_any_and_group_thousands() {
        assert_eq!(price(19_900), "$199");
        assert_eq!(price(100_000_000), "$1,000,000");
        assert_eq!(price(1_234_505), "$12,345.05");
        assert_eq!(price(0), "$0");
    }

    #[test]
    fn a_purchase_in_the_future_of_this_clock_is_just_now() {
        let now = DateTime::from_timestamp(1_800_000_000, 0).expect("in range");
        let ago_after = |seconds| ago(now - chrono::TimeDelta::seconds(seconds), now);
        assert_eq!(ago_after(-3), "just now");
        assert_eq!(ago_after(120), "2 min ago");
        assert_eq!(ago_after(3_600), "1 h ago");
        assert_eq!(ago_after(86_400 * 3), "3 d ago");
    }
}
