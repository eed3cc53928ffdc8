//! Every sentence that people read, in one place. Short, plain, without exclamation marks; an error says what happened
//! and what to do next.

use crate::{
    domain::error::{DropError, Missing},
    domain::{Purchase, Reservation, Size},
};
use chrono::{DateTime, Datelike, Timelike, Utc};
use std::fmt;

/// The name of the house.
pub const BRAND: &str = "Sneakdrop";
/// What the house does, for the dashboard and search engines.
pub const TAGLINE: &str = "Limited pairs. Sixty seconds each.";
/// The dashboard's description for search engines and link previews.
pub const DESCRIPTION: &str =
    "Limited-edition sneaker drops with live stock. Reserve a pair for 60 seconds, then make it yours.";

/// The link for keyboards, in front of everything.
pub const SKIP: &str = "Skip to the drops";
/// The header's navigation.
pub const PLACES: &str = "Places";
/// The way to the dashboard.
pub const DROPS: &str = "Drops";
/// The visitor's own page.
pub const MY_PURCHASES: &str = "My purchases";
/// How a drop works, on every page.
pub const HOW_IT_WORKS: &str =
    "One tap holds a pair for you. Buy it before the ring runs out, or it goes back to everybody.";
/// Where toasts are.
pub const MESSAGES: &str = "Messages";
/// Removes a toast.
pub const DISMISS: &str = "Dismiss";

/// The socket is open.
pub const LIVE: &str = "Live";
/// The socket is gone.
pub const RECONNECTING: &str = "Reconnecting…";
/// The network is gone.
pub const OFFLINE: &str = "Offline";

/// Opens the dialog, and is its title.
pub const SIGN_IN: &str = "Sign in";
/// Under the dialog's title.
pub const SIGN_IN_HINT: &str = "Pick a name. It stays with this browser, and no other can take it.";
/// The dialog's field.
pub const USERNAME: &str = "Username";
/// What a name must be.
pub const USERNAME_RULE: &str = "Username must be 1 to 32 characters that can be seen.";
/// The dialog's button.
pub const ENTER: &str = "Enter the drop";
/// Closes the dialog.
pub const CLOSE: &str = "Close";
/// Ends the session.
pub const SIGN_OUT: &str = "Sign out";

/// First section of the dashboard.
pub const LIVE_NOW: &str = "Live now";
/// The same, when there is none.
pub const NOTHING_LIVE: &str = "Nothing is live right now. The next drop opens by itself.";
/// Second section.
pub const UPCOMING: &str = "Upcoming";
/// Third section.
pub const OVER: &str = "Sold out or ended";

/// What the meter measures.
pub const STOCK: &str = "Stock";
/// The choice of sizes.
pub const SIZE: &str = "Size";
/// The action of a signed-out visitor.
pub const SIGN_IN_TO_RESERVE: &str = "Sign in to reserve";
/// The action of an open drop.
pub const RESERVE: &str = "Reserve";
/// The same, after a purchase.
pub const RESERVE_ANOTHER: &str = "Reserve another";
/// The same, while the server answers.
pub const RESERVING: &str = "Reserving…";
/// Beside the countdown.
pub const RESERVED_FOR_YOU: &str = "Reserved for you";
/// The action of a held pair.
pub const COMPLETE_PURCHASE: &str = "Complete purchase";
/// The same, while the server answers.
pub const COMPLETING: &str = "Completing…";
/// The quiet way out of a reservation.
pub const GIVE_IT_BACK: &str = "Give it back";
/// After a purchase.
pub const VIEW_PURCHASE: &str = "View purchase";
/// Every pair is sold.
pub const SOLD_OUT: &str = "Sold out";
/// The drop is over.
pub const ENDED: &str = "Ended";
/// The list of people who bought.
pub const RECENT_PURCHASERS: &str = "Recent purchasers";
/// The same, when there is nobody.
pub const NOBODY_YET: &str = "Nobody yet. The first pair is still to go.";

/// `/purchases`, signed out.
pub const SIGN_IN_TO_SEE: &str = "Sign in to see what you bought.";
/// `/purchases`, when there are none.
pub const NO_PURCHASES: &str = "Nothing yet. Your first pair will be listed here.";
/// Title of the 404 page.
pub const NOT_FOUND: &str = "Nothing here";
/// Its text.
pub const NOT_FOUND_HINT: &str = "This address leads nowhere. The drop may have been removed, or the link is mistyped.";
/// Back to the dashboard.
pub const TO_THE_DROPS: &str = "To the drops";

/// The title of a page other than the dashboard.
pub fn page_title(name: &str) -> String {
    format!("{name} · {BRAND}")
}

/// A drop's description for search engines and link previews.
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

/// `0:42`, rounded up so that the last second is shown as `0:01`.
pub fn countdown(milliseconds_left: i64) -> String {
    let seconds = whole_seconds(milliseconds_left);
    format!("{}:{:02}", seconds / 60, seconds % 60)
}

/// `Opens in 01:59:58`, with days in front when there are any.
pub fn opens_in(milliseconds_left: i64) -> String {
    let seconds = whole_seconds(milliseconds_left);
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    let days = if days > 0 { format!("{days} d ") } else { String::new() };
    format!("Opens in {days}{hours:02}:{minutes:02}:{:02}", seconds % 60)
}

/// Seconds left, rounded up and never negative.
pub fn whole_seconds(milliseconds_left: i64) -> i64 {
    milliseconds_left.max(0).saturating_add(999) / 1000
}

/// `10 seconds left`, for those who listen.
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
pub fn date(at: DateTime<Utc>) -> String {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month = MONTHS[at.month0() as usize];
    format!("{} {month} {}, {:02}:{:02} UTC", at.day(), at.year(), at.hour(), at.minute())
}

/// `Order 000123`.
pub fn order(purchase: &Purchase) -> String {
    format!("Order {:06}", purchase.id)
}

/// `Yours. Order 000123`.
pub fn yours(purchase: &Purchase) -> String {
    format!("Yours. {}", order(purchase))
}

/// What a size button says to a screen reader: `US 9, 4 left` or `US 9, none left`.
pub fn size(size: &Size) -> String {
    match size.available_stock {
        0 => format!("{}, none left", size.label),
        left => format!("{}, {} left", size.label, grouped(left)),
    }
}

/// Toast after a reservation was granted.
pub fn reserved(reservation: &Reservation) -> String {
    format!("Reserved for {} seconds. Complete the purchase to keep it.", lifetime_seconds(reservation))
}

/// Toast after a reservation lapsed: `Your 60 seconds are up. The pair went back.`
pub fn expired(reservation: &Reservation) -> String {
    format!("Your {} seconds are up. The pair went back.", lifetime_seconds(reservation))
}

/// Toast after a purchase.
pub fn bought(purchase: &Purchase) -> String {
    format!("{}. The pair is yours.", order(purchase))
}

/// Toast after a pair was given back.
pub const GIVEN_BACK: &str = "You gave the pair back.";
/// Toast when the drop that a visitor is looking at has none left.
pub fn sold_out(name: &str) -> String {
    format!("{name} is sold out.")
}

fn lifetime_seconds(reservation: &Reservation) -> i64 {
    let lifetime = reservation.expires_at - reservation.created_at;
    whole_seconds(lifetime.num_milliseconds() - 500)
}

/// What went wrong and what to do next.
impl fmt::Display for DropError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&error(self))
    }
}

fn error(error: &DropError) -> String {
    match error {
        DropError::Invalid { field, .. } if field == "username" => USERNAME_RULE.into(),
        DropError::Invalid { field, expected } => format!("{field} {expected}."),
        DropError::MalformedBody(problem) => format!("The request could not be read: {problem}."),
        DropError::BodyTooLarge => "The body is larger than 64 KiB.".into(),
        DropError::WrongContentType => "Send the body as application/json.".into(),
        DropError::Unauthorized => "Sign in first.".into(),
        DropError::Forbidden => "You can only act for yourself.".into(),
        DropError::NotFound(Missing::Drop) => "There is no such drop.".into(),
        DropError::NotFound(Missing::Reservation) => "There is no such reservation.".into(),
        DropError::NotFound(Missing::User) => "There is no such user.".into(),
        DropError::NotFound(Missing::Path) => "There is nothing at this address.".into(),
        DropError::MethodNotAllowed => "This address does not take that method.".into(),
        DropError::UsernameTaken => "That name is taken. Choose another, or use the browser that claimed it.".into(),
        DropError::SoldOut => "The last pair just went. Another may come back.".into(),
        DropError::NotStarted { starts_at } => format!("This drop opens at {}.", date(*starts_at)),
        DropError::Ended => "This drop has ended.".into(),
        DropError::LimitReached { limit: 1 } => "One pair per person, and you have yours.".into(),
        DropError::LimitReached { limit } => format!("{limit} pairs per person, and you have yours."),
        DropError::NoActiveReservation => "You hold no pair of this drop. Reserve one first.".into(),
        DropError::ReservationExpired => "Time ran out and the pair went back. Reserve again.".into(),
        DropError::SizeRequired { sizes_left } => format!("Choose a size{}.", listed(sizes_left)),
        DropError::UnknownSize { sizes_left } => {
            format!("There is no such size. Choose another{}.", listed(sizes_left))
        }
        DropError::Unavailable => "The shop is busy. Nothing was changed; try again in a moment.".into(),
        DropError::Unknown => "The answer got lost. Try again: you will not get a second pair.".into(),
        DropError::Internal => "Something went wrong on our side. Try again.".into(),
        DropError::Unreachable => "The shop could not be reached. Check the connection and try again.".into(),
    }
}

fn listed(sizes_left: &[String]) -> String {
    if sizes_left.is_empty() { String::new() } else { format!(": {}", sizes_left.join(", ")) }
}

/// `1,000,000`: thousands are grouped because these numbers are read across a room.
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
    fn prices_and_counts_read_as_on_a_price_tag() {
        assert_eq!(price(19_900), "$199");
        assert_eq!(price(100_000_000), "$1,000,000");
        assert_eq!(price(1_234_505), "$12,345.05");
        assert_eq!(price(0), "$0");
    }

    #[test]
    fn a_purchase_from_a_clock_ahead_of_ours_is_just_now() {
        let now = DateTime::from_timestamp(1_800_000_000, 0).expect("in range");
        let ago_after = |seconds| ago(now - chrono::TimeDelta::seconds(seconds), now);
        assert_eq!(ago_after(-3), "just now");
        assert_eq!(ago_after(120), "2 min ago");
        assert_eq!(ago_after(3_600), "1 h ago");
        assert_eq!(ago_after(86_400 * 3), "3 d ago");
    }
}
