//! The text of the pages and of every error: short and plain, without exclamation marks. An error says what happened
//! and what to do next.

#[cfg(not(target_arch = "wasm32"))]
pub mod board;
pub mod desk;

use crate::domain::{
    ONE_SIZE, Purchase, Reservation, Timestamp,
    error::{DropError, Missing},
};
use chrono::{DateTime, Utc};
use std::fmt;

pub const BRAND: &str = "Sneakdrop";
/// The dashboard's heading.
pub const TAGLINE: &str = "Limited pairs, live stock, one at a time.";

/// The skip link, first in the tab order.
pub const SKIP: &str = "Skip to the drops";
/// Names the header's navigation.
pub const PLACES: &str = "Places";
pub const DROPS: &str = "Drops";
pub const MY_PURCHASES: &str = "My purchases";
/// In the footer of every page.
pub const HOW_IT_WORKS: &str = "A reserved pair is held for you. Buy it before the ring runs out, or it goes back to everybody. Prices are in US dollars.";
/// Passes a drop's address on, and what is said when it was copied.
pub const SHARE: &str = "Share";
pub const LINK_COPIED: &str = "Link copied";
/// Names the region of the toasts.
pub const MESSAGES: &str = "Messages";
pub const DISMISS: &str = "Dismiss";
/// Shown when the compiled page could not be loaded or started.
pub const NOT_LIVE: &str =
    "Part of this page did not load. The buttons work, but stock and time stand still. Reload to try again.";

pub const CONNECTED: &str = "Connected";
/// Changes come every few seconds.
pub const CONNECTED_SLOWER: &str = "Connected, slower";
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
/// Instead of drops, if the filters leave none.
pub const NOTHING_MATCHES: &str = "No drop matches.";
/// The dashboard's second section.
pub const UPCOMING: &str = "Upcoming";
/// The dashboard's third section.
pub const OVER: &str = "Sold out or ended";

/// Names the stock meter.
pub const STOCK: &str = "Stock";
/// In the form that filters the drops.
pub const SHOW: &str = "Show";
pub const ANY: &str = "Any size";
pub const EVERYTHING: &str = "Everything";
/// Leads back from a filter that leaves nothing.
pub const SHOW_EVERYTHING: &str = "Show everything";
pub const FILTER: &str = "Filter";
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
/// Names the bar of the held pairs.
pub const HELD_PAIRS: &str = "Held for you";
/// While the request is pending.
pub const COMPLETING: &str = "Completing…";
/// Releases the reservation.
pub const GIVE_IT_BACK: &str = "Give it back";
/// Instead of [`GIVE_IT_BACK`], until it is given back.
pub const KEEP_IT: &str = "Keep it";
/// Instead of completing the purchase, beside [`KEEP_IT`].
pub const GIVING_BACK: &str = "Giving it back…";
pub const VIEW_PURCHASE: &str = "View purchase";
pub const SOLD_OUT: &str = "Sold out";
pub const ENDED: &str = "Ended";
/// Nobody can reserve for now.
pub const PAUSED: &str = "Paused";
pub const RECENT_PURCHASERS: &str = "Recent purchasers";
/// Instead of the purchasers.
pub const NONE_SOLD: &str = "No pair sold yet.";
/// Instead of [`NONE_SOLD`] when no pair can be sold any more.
pub const NONE_WAS_SOLD: &str = "No pair was sold.";

/// On `/purchases`.
pub const SIGN_IN_TO_SEE: &str = "Sign in to see what you bought.";
/// What a receipt says, with the values beside.
pub const SHOE: &str = "Shoe";
pub const BOUGHT_BY: &str = "Bought by";
pub const TIME: &str = "Time";
pub const STATUS: &str = "Status";
pub const COMPLETED: &str = "Completed";
pub const CANCELLED: &str = "Cancelled";
/// Why a purchase was cancelled.
pub const REASON: &str = "Reason";
pub const TOTAL: &str = "Total";
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

/// The dashboard's description for search engines and link previews.
pub fn description(hold_seconds: u64) -> String {
    let held = hold(hold_seconds);
    format!("Limited-edition sneaker drops with live stock. Reserve a pair for {held}, then make it yours.")
}

/// A drop page's description for search engines and link previews.
pub fn drop_description(name: &str, price_cents: i32, hold_seconds: u64) -> String {
    format!("{name}, {}. Live stock, {} to make a pair yours.", price(price_cents), hold(hold_seconds))
}

/// How long a pair is held: `60 seconds`.
fn hold(seconds: impl fmt::Display) -> String {
    let seconds = grouped(seconds);
    if seconds == "1" { "1 second".into() } else { format!("{seconds} seconds") }
}

/// `$199`, `$199.50` or `Free`.
pub fn price(cents: i32) -> String {
    if cents == 0 {
        return "Free".into();
    }
    // In the preview of a price that cannot be read.
    #[cfg(feature = "ssr")]
    if cents < 0 {
        return "$…".into();
    }
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

/// Of a drop that is not open yet: `100 pairs`, or `100 pairs in 8 sizes`.
pub fn pairs(total: i32, sizes: usize) -> String {
    let pairs = if total == 1 { "1 pair".into() } else { format!("{} pairs", grouped(total)) };
    if sizes > 1 { format!("{pairs} in {sizes} sizes") } else { pairs }
}

/// `4 left`, under a size. Of a size without stock `gone`, or `none now` if a pair may come back.
pub fn left(available: i32, may_come_back: bool) -> String {
    match (available, may_come_back) {
        (0, false) => "gone".into(),
        (0, true) => "none now".into(),
        (left, _) => format!("{} left", grouped(left)),
    }
}

/// Unfolds what is not shown: `All 50 sizes`.
pub fn all_sizes(count: usize) -> String {
    format!("All {count} sizes")
}

/// `Complete purchase · $199`.
pub fn complete_purchase(price_cents: i32) -> String {
    format!("Complete purchase · {}", price(price_cents))
}

/// The first letters of a name's first two words, for a drop without a picture; digits and pictograms count, quotation marks do
/// not. `initials` of the document's script is the same: the tables of what belongs together are too large for the module.
#[cfg(not(target_arch = "wasm32"))]
pub fn initials(name: &str) -> String {
    use unicode_segmentation::UnicodeSegmentation;
    let is_shown = |grapheme: &&str| {
        let is_pictogram = |first| matches!(first, '\u{2600}'..='\u{26ff}' | '\u{1f000}'..='\u{1ffff}');
        grapheme.chars().next().is_some_and(|first| first.is_alphanumeric() || is_pictogram(first))
    };
    name.split_whitespace().filter_map(|word| word.graphemes(true).find(is_shown)).take(2).collect()
}

#[cfg(target_arch = "wasm32")]
pub fn initials(name: &str) -> String {
    call_document("initials", &name.into()).as_string().unwrap_or_default()
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

/// `3 d 4 h`, `1:59:58` or `0:42`, rounded up: the last second is shown as `0:01`.
pub fn countdown(milliseconds_left: i64) -> String {
    let seconds = whole_seconds(milliseconds_left);
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours) {
        (0, 0) => format!("{minutes}:{:02}", seconds % 60),
        (0, _) => format!("{hours}:{minutes:02}:{:02}", seconds % 60),
        _ => format!("{days} d {hours} h"),
    }
}

/// `Opens in 1:59:58`.
pub fn opens_in(milliseconds_left: i64) -> String {
    format!("Opens in {}", countdown(milliseconds_left))
}

/// `Ends in 1:59:58`.
pub fn ends_in(milliseconds_left: i64) -> String {
    format!("Ends in {}", countdown(milliseconds_left))
}

/// Before a time.
pub const OPENS: &str = "Opens";
pub const ENDS: &str = "Ends";
pub const ENDED_AT: &str = "Ended";
/// A file for the visitor's calendar.
pub const REMIND_ME: &str = "Remind me";

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

/// `until 18:00:42 UTC`, for browsers without scripts.
#[cfg(not(target_arch = "wasm32"))]
pub fn until(at: Timestamp) -> String {
    at.format("until %H:%M:%S UTC").to_string()
}

/// Nothing: where this runs, the countdown goes on.
#[cfg(target_arch = "wasm32")]
pub fn until(_: Timestamp) -> String {
    String::new()
}

/// `Thu 26 Nov, 18:00 UTC`, with `has_year` also its year. The document's script puts it into the visitor's zone.
#[cfg(not(target_arch = "wasm32"))]
pub fn date(at: Timestamp, has_year: bool) -> String {
    at.format(if has_year { "%a %-d %b %Y, %H:%M UTC" } else { "%a %-d %b, %H:%M UTC" }).to_string()
}

/// `Thu 26 Nov, 18:00` in the visitor's zone, with the year if it is another one, by the document's script.
#[cfg(target_arch = "wasm32")]
pub fn date(at: Timestamp, _: bool) -> String {
    let milliseconds = at.timestamp_millis() as f64;
    call_document("localTime", &milliseconds.into()).as_string().unwrap_or_default()
}

/// Puts the times of what the server rendered into the visitor's zone, if they are not yet.
pub fn localize() {
    #[cfg(target_arch = "wasm32")]
    call_document("localTimes", &wasm_bindgen::JsValue::NULL);
}

/// Calls a function of the document's script.
#[cfg(target_arch = "wasm32")]
fn call_document(name: &str, argument: &wasm_bindgen::JsValue) -> wasm_bindgen::JsValue {
    use wasm_bindgen::{JsCast, JsValue};
    let function = js_sys::Reflect::get(&js_sys::global(), &name.into()).unwrap_or_default();
    function.unchecked_into::<js_sys::Function>().call1(&JsValue::NULL, argument).unwrap_or_default()
}

/// `Order 000123`.
pub fn order_number(purchase: &Purchase) -> String {
    format!("Order {:06}", purchase.id)
}

/// To its buyer.
pub fn order_cancelled(purchase: &Purchase) -> String {
    format!("{} was cancelled.", order_number(purchase))
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
    format!("{what} for {}. Complete the purchase to keep it.", hold(seconds))
}

/// A toast: `Your 60 seconds are up. The pair went back.`
pub fn reservation_expired(reservation: &Reservation) -> String {
    let seconds = lifetime_seconds(reservation);
    let are_up = if seconds == 1 { "is up" } else { "are up" };
    format!("Your {} {are_up}. The pair went back.", hold(seconds))
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

/// What is announced of a drop.
pub const OPEN: &str = "open";
pub const FULLY_RESERVED: &str = "fully reserved";
pub const IS_SOLD_OUT: &str = "sold out";

/// For screen readers: `Volt Runner is open.`
pub fn announced(name: &str, state: &str) -> String {
    format!("{} is {state}.", isolated(name))
}

/// A name within a sentence, whichever way it is written.
fn isolated(name: &str) -> String {
    format!("\u{2068}{name}\u{2069}")
}

/// How long the reservation was granted for, rounded to the nearest second.
fn lifetime_seconds(reservation: &Reservation) -> i64 {
    let lifetime = *reservation.expires_at - *reservation.created_at;
    whole_seconds(lifetime.num_milliseconds() - 500)
}

/// To a caller of the REST API that is not the shop's own service.
pub const ADMIN_TOKEN_NEEDED: &str = "This call needs the admin token, as Authorization: Bearer.";
/// Of a field of a form, as the rest of a sentence that begins with its name.
pub const UTF8_RULE: &str = "must be text in UTF-8";
/// To a client whose handshake has another key.
pub const WEBSOCKET_KEY_RULE: &str = "must be there once, with 16 bytes in base64";
/// To a Socket.IO client that asks for more than there is.
pub const NO_SUCH_NAMESPACE: &str = "There is only the namespace /.";
/// To a client of the second replaced system.
pub const PURCHASE_DONE: &str = "Purchase completed.";

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
        DropError::SoldOut => "The last pair just went.".into(),
        DropError::NotStarted { starts_at } => format!("This drop opens at {}.", date(*starts_at, true)),
        DropError::Ended => "This drop has ended.".into(),
        DropError::Paused => "Sales are paused. This page says when they go on.".into(),
        DropError::LimitReached { limit: 1 } => "One pair per person, and you have yours.".into(),
        DropError::LimitReached { limit } => format!("{limit} pairs per person, and you have yours."),
        DropError::NoActiveReservation => "You hold no pair of this drop. Reserve one first.".into(),
        DropError::ReservationExpired => "Time ran out and the pair went back. Reserve again.".into(),
        DropError::PurchaseCancelled => "This order was cancelled, and its pair went back.".into(),
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

/// `: US 8, US 9`, or nothing when no size is left. `join` would be a kilobyte in the browser's module.
fn size_list(sizes_left: &[String]) -> String {
    let mut list = String::new();
    for size in sizes_left {
        list += if list.is_empty() { ": " } else { ", " };
        list += size;
    }
    list
}

/// `1,000,000`: thousands are grouped because the numbers are read from a distance.
fn grouped(number: impl fmt::Display) -> String {
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
        assert_eq!(opens_in(7_198_000), "Opens in 1:59:58");
        assert_eq!(opens_in(273_600_000), "Opens in 3 d 4 h");
    }

    #[test]
    fn prices_show_cents_only_if_there_are_any_and_group_thousands() {
        assert_eq!(price(19_900), "$199");
        assert_eq!(price(100_000_000), "$1,000,000");
        assert_eq!(price(1_234_505), "$12,345.05");
        assert_eq!(price(0), "Free");
    }

    #[test]
    fn descriptions_say_how_long_this_shop_holds_a_pair() {
        for (seconds, said) in [(1, "1 second"), (25, "25 seconds"), (60, "60 seconds"), (1_800, "1,800 seconds")] {
            assert!(description(seconds).contains(&format!("Reserve a pair for {said}, then")), "{seconds}");
            let of_drop = drop_description("Halo Air", 100, seconds);
            assert_eq!(of_drop, format!("Halo Air, $1. Live stock, {said} to make a pair yours."));
        }
    }

    #[test]
    fn initials_are_whole_and_no_punctuation() {
        for (name, shown) in [
            ("Volt Runner", "VR"),
            ("Volt", "V"),
            ("  Volt   Runner II", "VR"),
            ("\"Volt\" Runner", "VR"),
            ("\u{201c}Volt\u{201d} \u{2018}Runner\u{2019}", "VR"),
            ("\u{ab}Volt & Co", "VC"),
            ("\u{2067}Volt\u{2069} (Runner)", "VR"),
            ("574 \u{2014} Legacy", "5L"),
            ("\u{1f1e9}\u{1f1ea} Edition", "\u{1f1e9}\u{1f1ea}E"),
            ("\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467} Pack", "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}P"),
            ("e\u{301}clair A\u{30a}ngstrom", "e\u{301}A\u{30a}"),
            ("1\u{fe0f}\u{20e3} One", "1\u{fe0f}\u{20e3}O"),
            ("\u{1f44b}\u{1f3fd}\u{1f44b} x", "\u{1f44b}\u{1f3fd}x"),
            ("\u{97f4} \u{978b}", "\u{97f4}\u{978b}"),
            ("\u{26a1}\u{fe0f} Bolt", "\u{26a1}\u{fe0f}B"),
            ("\u{2026} \u{2014}", ""),
            ("", ""),
        ] {
            assert_eq!(initials(name), shown, "{name}");
        }
    }

    #[test]
    fn a_size_is_gone_only_if_none_may_come_back() {
        for (available, may_come_back, said) in
            [(0, false, "gone"), (0, true, "none now"), (1, false, "1 left"), (1_000, true, "1,000 left")]
        {
            assert_eq!(left(available, may_come_back), said);
        }
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
