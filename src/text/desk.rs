//! The text of the desk, for those who run drops.

use super::{BRAND, grouped};

/// Beside the brand, so that nobody takes these pages for the shop.
pub const DESK: &str = "Desk";
/// The skip link, first in the tab order.
pub const SKIP: &str = "Skip to the content";
pub const NEW_DROP: &str = "New drop";

pub const SIGN_IN_HINT: &str = "For those who run drops. A session ends by signing out, and after 12 hours.";
pub const ADMIN_TOKEN: &str = "Admin token";
pub const WRONG_TOKEN: &str = "That is not the admin token. Check it and try again.";

/// What the list says of a drop, beside *Upcoming*, *Sold out* and *Ended*.
pub const DRAFT: &str = "Draft";
pub const LIVE: &str = "Live";
pub const PAUSED: &str = "Paused";
pub const ARCHIVED: &str = "Archived";

/// Which drops are listed.
pub const ALL: &str = "All drops";
pub const DRAFTS: &str = "Drafts";

/// The columns of the list.
pub const DROP: &str = "Drop";
pub const PRICE: &str = "Price";
pub const START: &str = "Start";
pub const AVAILABLE: &str = "Available";
pub const HELD: &str = "Held";
pub const SOLD: &str = "Sold";
/// Instead of a list, in a shop without drops.
pub const NO_DROPS: &str = "There is no drop yet.";

/// The title of an error's page.
pub const NOT_DONE: &str = "That did not work";

/// The document's title: `Drops · Sneakdrop desk`.
pub fn page_title(name: &str) -> String {
    format!("{name} · {BRAND} desk")
}

/// `Too many wrong tries. Wait 42 seconds, then try again.`
pub fn too_many_tries(seconds: u64) -> String {
    let seconds = if seconds == 1 { "1 second".into() } else { format!("{seconds} seconds") };
    format!("Too many wrong tries. Wait {seconds}, then try again.")
}

/// A number of pairs.
pub fn count(pairs: i32) -> String {
    grouped(pairs)
}
