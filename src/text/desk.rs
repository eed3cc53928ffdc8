//! The text of the desk, for those who run drops.

use super::{BRAND, SIZE, grouped, isolated};
use crate::domain::edit::{EditError, Refusal};
#[cfg(not(target_arch = "wasm32"))]
use chrono::{DateTime, TimeZone};
use std::fmt;

/// Beside the brand, so that nobody takes these pages for the shop.
pub const DESK: &str = "Desk";
/// The skip link, first in the tab order.
pub const SKIP: &str = "Skip to the content";
pub const NEW_DROP: &str = "New drop";

pub const SIGN_IN_HINT: &str = "For those who run drops. A session ends by signing out, and after 12 hours.";
pub const ADMIN_TOKEN: &str = "Admin token";
/// The answer to a form that was sent after its session.
pub const SESSION_ENDED: &str = "Your session has ended";
pub const SESSION_ENDED_HINT: &str =
    "Nothing was changed. Sign in again in another tab, then reload this page to send the form once more.";
pub const WRONG_TOKEN: &str = "That is not the admin token. Check it and try again.";

/// What the list says of a drop, beside *Upcoming*, *Sold out* and *Ended*.
pub const DRAFT: &str = "Draft";
pub const LIVE: &str = "Live";
pub const PAUSED: &str = "Paused";
pub const ARCHIVED: &str = "Archived";

/// How old a page that follows what is stored is: `Live · as of 00:43:37`.
pub const AS_OF: &str = "as of";
/// In its place when the session has ended; leads to the sign-in.
pub const SIGNED_OUT: &str = "Signed out: sign in again";

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

/// The form of a drop.
pub const NAME: &str = "Name";
pub const DESCRIPTION: &str = "Description";
pub const DESCRIPTION_HINT: &str = "Plain text on the drop's own page. A blank line begins another paragraph.";
pub const PRICE_IN_DOLLARS: &str = "Price in dollars";
pub const START_HINT: &str = "Empty: now.";
pub const STARTED_HINT: &str = "The drop has started.";
pub const OPENS_AT_ONCE: &str = "This is not in the future: the drop opens as soon as it is published.";
pub const END: &str = "End";
pub const END_HINT: &str = "Empty: when the last pair is sold.";
pub const LIMIT: &str = "Limit per person";
pub const LIMIT_HINT: &str = "Pairs that one person can buy and hold. Empty: no limit.";
pub const PICTURE: &str = "Picture";
pub const PICTURE_HINT: &str = "A path on this site or an https address.";
/// Beside its field, if the preview cannot load it.
pub const PICTURE_MISSING: &str = "No picture comes from this address: buyers see the initials of the name.";
pub const SIZES_AND_STOCK: &str = "Sizes and pairs";
pub const SIZES_HINT: &str = "In the order in which buyers see them. With one size there is nothing to choose.";
pub const SIZES_ELSEWHERE: &str = "Pairs and sizes are added on the drop's page.";
pub const ADD_A_SIZE: &str = "Add a size";
pub const SAVE_DRAFT: &str = "Save draft";
pub const SAVE: &str = "Save";
pub const PREVIEW: &str = "Preview";
/// Above the problems of a form.
pub const NOT_SAVED: &str = "Nothing was saved yet. Please check:";

/// The states of a card in the preview, beside those with a word already.
pub const RESERVED: &str = "Reserved by the visitor";
pub const BOUGHT: &str = "Bought by the visitor";
pub const ALL_RESERVED: &str = "All reserved";
/// Who looks at the cards of the preview.
pub const SAMPLE_BUYER: &str = "alice";

/// The page of a drop.
pub const EDIT: &str = "Edit";
pub const DUPLICATE: &str = "Duplicate";
pub const IN_THE_SHOP: &str = "See it in the shop";
pub const PURCHASES: &str = "Purchases";
pub const LOG: &str = "Log";
pub const PROOF: &str = "Stock proof";
pub const FACTS: &str = "Facts";
pub const NO_END: &str = "When the last pair is sold";
pub const NO_LIMIT: &str = "None";
pub const STEERING: &str = "Sales";
/// Buttons of a draft, and what each button will do.
pub const PUBLISH_AND_OPEN: &str = "Publish and open now";
pub const PUBLISH_HINT: &str = "Shows it to everybody in the shop.";
pub const UNPUBLISH: &str = "Make it a draft";
pub const UNPUBLISH_HINT: &str = "Hides it from buyers until it is published again.";
pub const PAUSE: &str = "Pause sales";
pub const PAUSE_HINT: &str = "Stops new reservations. Who holds a pair can still buy it.";
pub const RESUME: &str = "Resume sales";
pub const RESUME_HINT: &str = "Lets buyers reserve again.";
pub const END_NOW: &str = "End now";
pub const END_NOW_HINT: &str = "Ends the sale for good: it cannot be undone. Who holds a pair can still buy it.";
pub const ARCHIVE: &str = "Archive";
pub const ARCHIVE_HINT: &str = "Takes it out of the shop. Orders, log and figures stay here.";
pub const PUBLISH_AGAIN: &str = "Put it back into the shop";
pub const PUBLISH_AGAIN_HINT: &str = "Shows it in the shop again.";
/// That buyers can reserve from then on.
pub const PUBLISH_AGAIN_OPENS_HINT: &str = "Shows it in the shop again and opens the sale now.";
/// What buyers can do now.
pub const STATE_DRAFT: &str = "Nobody sees it yet.";
/// Before a time.
pub const STATE_UPCOMING: &str = "Buyers see it and can reserve from ";
pub const STATE_UPCOMING_EMPTY: &str = "Buyers see it, but it has no pairs to reserve.";
pub const STATE_LIVE: &str = "Buyers can reserve.";
pub const STATE_SOLD_OUT: &str = "Every pair is sold: nobody can reserve.";
pub const STATE_ARCHIVED: &str = "Buyers do not see it.";
/// Before a time.
pub const STATE_PAUSED_AT: &str = "Paused at ";
pub const STATE_PAUSED: &str = "Paused";
pub const MORE_PAIRS: &str = "Add or take back pairs";
pub const MORE_PAIRS_HINT: &str =
    "Only available pairs can be taken back, never what is held or sold. A size without any is shown no more.";
pub const PAIRS: &str = "Pairs";
pub const ADD: &str = "Add";
pub const TAKE_BACK: &str = "Take back";
pub const NEW_SIZE: &str = "New size";

/// The page of a drop's purchases, and its columns.
pub const ORDER: &str = "Order";
pub const BOUGHT_AT: &str = "Bought at";
pub const EXPORT_PURCHASES: [&str; 2] = ["Export purchases (CSV)", "Purchases for Excel"];
pub const EXPORT_RESERVATIONS: [&str; 2] = ["Export reservations (CSV)", "Reservations for Excel"];
/// Names the field that searches the purchases.
pub const ORDER_OR_NAME: &str = "Order or name";
pub const SEARCH: &str = "Search";
/// Finds an order of whatever drop.
pub const ORDER_NUMBER: &str = "Order number";
pub const FIND: &str = "Find";
pub const SHOW_ALL: &str = "Show all";
pub const NO_PURCHASES: &str = "No pair of this drop is sold yet.";
pub const NO_OLDER_PURCHASES: &str = "There are no older purchases.";
/// Unfolds the form that cancels an order.
pub const CANCEL: &str = "Cancel";
pub const CANCEL_EFFECT: &str = "The buyer sees that the order is cancelled, and the reason. It cannot be undone.";
pub const REASON_STAYS: &str = "It stays with the order and in the log: name nobody in it.";
pub const RESTOCK: &str = "Put the pair back on sale";
pub const RESTOCK_HINT: &str = "Otherwise it leaves the stock, and the total is one less.";
pub const REMOVE_REASON: &str = "Remove the reason";

/// The page of the audit log, and its columns.
pub const WHEN: &str = "When";
pub const WHO: &str = "Who";
pub const WHAT: &str = "What changed";
pub const NO_CHANGES: &str = "Nothing was changed yet.";
pub const NO_OLDER_CHANGES: &str = "There are no older changes.";

/// What a change did.
pub const CREATED: &str = "Created";
/// What was done, as the page that follows says it.
pub const SAVED: &str = "Saved";
pub const SALES_PAUSED: &str = "Sales paused";
pub const SALES_RESUMED: &str = "Sales resumed";
pub const SALE_ENDED: &str = "Sale ended";
pub const PUBLISHED: &str = "Published";
pub const UNPUBLISHED: &str = "Unpublished";
pub const RESUMED: &str = "Resumed";
/// When the log began, its drops were there already.
pub const RECORDED: &str = "In stock when this log began";
/// The fields that a change names, beside [`PRICE`] and [`START`].
pub const LIMIT_OF_A_CHANGE: &str = "Limit";
pub const ORDER_OF_SIZES: &str = "Order of the sizes";
/// In the place of a field's value.
pub const NONE: &str = "none";
/// Between what a field was and what it became.
pub const BECAME: &str = " → ";

/// Of one's own edits.
pub const EDITED_ELSEWHERE: &str = "You edited this drop on another page since you opened this one, so nothing was done. Look at what changed, then \
     save again.";

/// The titles of an error's page.
pub const NOT_AVAILABLE: &str = "Not available right now";
pub const NOT_DONE: &str = "That did not work";

/// The document's title: `Drops · Sneakdrop desk`.
pub fn page_title(name: &str) -> String {
    format!("{name} · {BRAND} desk")
}

/// The button that publishes a drop that opens later: `Publish: opens Thu 3 Dec 2026, 10:00 CET`.
pub fn publish_and_open_later(date: &str) -> String {
    format!("Publish: opens {date}")
}

/// The rest of [`STATE_PAUSED`]: `: nobody can reserve; 7 held pairs can still be bought.`
pub fn paused(held: i32, is_upcoming: bool) -> String {
    let rest = if is_upcoming { "nobody can reserve, not even after the start" } else { "nobody can reserve" };
    format!(": {rest}{}.", held_can_be_bought(held))
}

/// `Nobody can reserve; 7 held pairs can still be bought.`
pub fn over_but_held(held: i32) -> String {
    format!("Nobody can reserve{}.", held_can_be_bought(held))
}

/// `No pair is left to reserve; 7 held pairs can still be bought.`
pub fn all_held(held: i32) -> String {
    format!("No pair is left to reserve{}.", held_can_be_bought(held))
}

fn held_can_be_bought(held: i32) -> String {
    match held {
        0 => String::new(),
        1 => "; 1 held pair can still be bought".into(),
        held => format!("; {} held pairs can still be bought", grouped(held)),
    }
}

/// `Too many wrong tries. Wait 42 seconds, then try again.`
pub fn too_many_tries(seconds: u64) -> String {
    let seconds = if seconds == 1 { "1 second".into() } else { format!("{seconds} seconds") };
    format!("Too many wrong tries. Wait {seconds}, then try again.")
}

/// The title of a drop's form.
pub fn edit_title(name: &str) -> String {
    format!("Edit {name}")
}

/// `Fri 27 Nov 2026, 18:00 CET`.
#[cfg(not(target_arch = "wasm32"))]
pub fn date<Tz: TimeZone<Offset: fmt::Display>>(at: DateTime<Tz>) -> String {
    at.format("%a %-d %b %Y, %H:%M %Z").to_string()
}

/// Above the times of a form.
pub fn times_in(zone: &str) -> String {
    format!("Times are in the time zone {zone}.")
}

/// That a field was changed elsewhere as well, as the rest of a sentence that begins with its name: `is now 99`.
pub fn changed_meanwhile(now: &str) -> String {
    if now.is_empty() { "is empty now".into() } else { format!("is now {}", isolated(now)) }
}

/// What is wrong with a field of a drop's form, whose requirement is the rest of the sentence.
pub fn problem(field: &str, expected: &str) -> String {
    let label = match field {
        "name" => NAME,
        "description" => DESCRIPTION,
        "price" => "Price",
        "startsAt" => START,
        "endsAt" => END,
        "limitPerUser" => LIMIT,
        "imageUrl" => PICTURE,
        "sizes" => SIZES_AND_STOCK,
        "pairs" => PAIRS,
        "size" => SIZE,
        _ => {
            let (index, part) = field.strip_prefix("sizes[").and_then(|rest| rest.split_once("].")).unwrap_or_default();
            let number = index.parse::<usize>().unwrap_or_default() + 1;
            return match part {
                "label" => format!("The name of size {number} {expected}."),
                _ => format!("The pairs of size {number} {expected}."),
            };
        }
    };
    format!("{label} {expected}.")
}

/// Names the inputs and buttons of a row of sizes.
pub fn size_label(index: usize) -> String {
    format!("Name of size {}", index + 1)
}

pub fn size_stock(index: usize) -> String {
    format!("Pairs of size {}", index + 1)
}

pub fn move_up(index: usize) -> String {
    format!("Move size {} up", index + 1)
}

pub fn move_down(index: usize) -> String {
    format!("Move size {} down", index + 1)
}

pub fn remove_size(index: usize) -> String {
    format!("Remove size {}", index + 1)
}

/// The title of a page about one drop: `Purchases · Volt Runner`.
pub fn page_of_drop(page: &str, drop: &str) -> String {
    format!("{page} · {}", isolated(drop))
}

/// `000123`.
pub fn order_number(purchase_id: i64) -> String {
    format!("{purchase_id:06}")
}

/// `412 completed, 3 cancelled`.
pub fn purchases_counted(completed: i32, cancelled: i32) -> String {
    format!("{} completed, {} cancelled", grouped(completed), grouped(cancelled))
}

/// Instead of purchases.
pub fn nothing_found(search: &str) -> String {
    format!("No order and no name matches “{}”.", isolated(search))
}

/// Instead of the order with this number.
pub fn no_such_order(search: &str) -> String {
    format!("No order has the number “{}”.", isolated(search))
}

/// The button that does it.
pub fn cancel_order(purchase_id: i64) -> String {
    format!("Cancel order {}", order_number(purchase_id))
}

/// In the log, before the reason.
pub fn order_cancelled(purchase_id: i64) -> String {
    format!("Order {} cancelled", order_number(purchase_id))
}

/// In the place of another row of a size.
pub fn most_sizes(most: usize) -> String {
    format!("A drop has at most {most} sizes.")
}

/// What was done: `5 pairs added to EU 40`.
pub fn pairs_moved(label: &str, pairs: i32) -> String {
    let how = if pairs < 0 { "taken back from" } else { "added to" };
    format!("{} {how} {label}", super::pairs(pairs.abs(), 1))
}

/// In the log.
pub fn reason_removed(purchase_id: i64) -> String {
    format!("Reason of order {} removed", order_number(purchase_id))
}

/// The button that does it, in full.
pub fn remove_reason_of(purchase_id: i64) -> String {
    format!("Remove the reason of order {}", order_number(purchase_id))
}

/// Over both times that clocks show as one.
pub fn which_time(field: &str) -> String {
    format!("{}: clocks show this time twice. Which is meant?", if field == "startsAt" { START } else { END })
}

/// One of them: `02:30 CEST (UTC+02:00)`.
#[cfg(not(target_arch = "wasm32"))]
pub fn clock_time<Z: TimeZone<Offset: fmt::Display>>(at: &DateTime<Z>) -> String {
    at.format("%H:%M %Z (UTC%:z)").to_string()
}

/// The requirement for the reason of a cancellation.
pub fn reason_refused(expected: &str) -> String {
    format!("The reason {expected}.")
}

/// Who made a change, as the log has it: `Desk session 12`.
pub fn actor(actor: &str) -> String {
    match actor.split_once(' ') {
        Some(("session", number)) => format!("Desk session {number}"),
        Some(("sql", role)) => format!("SQL as {role}"),
        None if actor == "token" => "REST token".into(),
        None if actor == "seed" => "Sample data".into(),
        None if actor == "migration" => "Migration".into(),
        _ => actor.into(),
    }
}

/// A drop in a choice: `7 · Volt Runner`, as names may be the same.
pub fn numbered_drop(id: i64, name: &str) -> String {
    format!("{id} · {}", isolated(name))
}

/// In the place of the name of a drop that was deleted.
pub fn deleted_drop(id: i64) -> String {
    format!("Drop {id}, deleted")
}

/// Unfolds the rest of a list: `12 more`.
pub fn more(count: usize) -> String {
    format!("{count} more")
}

/// A number of pairs.
pub fn count(pairs: i32) -> String {
    grouped(pairs)
}

/// The verdict of the stock proof.
pub const BALANCED: &str =
    "The stock adds up: in every size, available, held and sold pairs are the total, by the tables and by the log.";
/// Before the time.
pub const PROVED: &str = "Proved";
/// Before what is wrong.
pub const NOT_BALANCED: &str = "The stock does not add up.";
pub const PROVE_AGAIN: &str = "Prove again";
pub const EXPORT_JSON: &str = "Export as JSON";
/// The columns of the proof of a size, beside *Pairs*.
pub const BY_THE_TABLES: &str = "By the tables";
pub const BY_THE_LOG: &str = "By the log";
pub const AGREE: &str = "Agree";
pub const YES: &str = "Yes";
pub const NO: &str = "No";
/// Its rows, beside *Total*, *Held*, *Cancelled*, *Sold* and *Available*.
pub const PURCHASES_MADE: &str = "Purchases made";
pub const ALL_TOGETHER: &str = "Available + held + sold";
/// Of an entry of the audit log.
pub const DOES_NOT_FOLLOW: &str = "does not begin with what the entry before ended with";
/// What holds in every committed state.
pub const INVARIANTS: &str = "What must always hold";
/// Above where each number comes from, by the tables and by the log.
pub const HOW_IT_IS_PROVED: &str = "Where the numbers come from";
pub const TOTAL_PROVED: [&str; 2] = ["as stored with the size", "after the last change in the audit log"];
pub const HELD_PROVED: [&str; 2] = ["as stored with the size", "the active reservations"];
pub const PURCHASES_PROVED: [&str; 2] = ["all purchases, also cancelled ones", "the completed reservations"];
pub const CANCELLED_PROVED: [&str; 2] = ["the cancelled purchases", "the cancellations in the audit log"];
pub const SOLD_PROVED: [&str; 2] =
    ["the completed purchases", "the completed reservations without the cancellations in the audit log"];
pub const AVAILABLE_PROVED: [&str; 2] = ["as stored with the size", "the total without what is held and sold"];
pub const BALANCE_PROVED: [&str; 2] = ["added up", "the total"];
pub const PRUNED_NOTE: &str = "Reservations that expired or were released may be deleted after a while. No step needs them; \
     they are only counted for information.";

/// `version 128, edit version 3`
pub fn versions(version: i64, edit_version: i64) -> String {
    format!("version {version}, edit version {edit_version}")
}

/// `US 9, Held: 3 by the tables, 2 by the log.`
pub fn disagreement(label: &str, step: &str, tables: i64, log: i64) -> String {
    format!("{}, {step}: {} by the tables, {} by the log.", isolated(label), number(tables), number(log))
}

/// `US 9: change 17 of the log begins with 10 pairs, but the one before ended with 9.`
pub fn gap_in_the_log(label: &str, change_id: i64, begins: Option<i64>, ended: Option<i64>) -> String {
    let pairs = |total: Option<i64>| total.map_or("no such size".into(), |total| format!("{} pairs", number(total)));
    let before = match ended {
        None => "there was no such size before".into(),
        Some(_) => format!("the one before ended with {}", pairs(ended)),
    };
    format!("{}: change {change_id} of the log begins with {}, but {before}.", isolated(label), pairs(begins))
}

/// `This does not hold (3 times): a reservation has at most one purchase.`
pub fn violated(invariant: &str, times: i64) -> String {
    let times = if times == 1 { "once".into() } else { format!("{} times", number(times)) };
    format!("This does not hold ({times}): {invariant}.")
}

/// Whether an invariant holds.
pub fn holds(violations: i64) -> String {
    match violations {
        0 => "holds".into(),
        1 => "violated once".into(),
        times => format!("violated {} times", number(times)),
    }
}

/// `Reservations stored: 12, of them 1 active, 8 completed, 2 expired, 1 released.`
pub fn reservations_stored(stored: i64, active: i64, completed: i64, expired: i64, released: i64) -> String {
    let [stored, active, completed, expired, released] = [stored, active, completed, expired, released].map(number);
    format!(
        "Reservations stored: {stored}, of them {active} active, {completed} completed, {expired} expired, \
         {released} released."
    )
}

/// `Purchases made: 8, of them 7 completed, 1 cancelled.`
pub fn purchases_made(made: i64, completed: i64, cancelled: i64) -> String {
    let [made, completed, cancelled] = [made, completed, cancelled].map(number);
    format!("Purchases made: {made}, of them {completed} completed, {cancelled} cancelled.")
}

/// Unfolds the changes of a total.
pub fn changes_of_the_total(count: usize) -> String {
    if count == 1 {
        "The total in the audit log: 1 entry".into()
    } else {
        format!("The total in the audit log: {count} entries")
    }
}

/// `17: 10 → 12 pairs`; a size that did not exist is `–`.
pub fn logged_total(change_id: i64, before: Option<i64>, after: Option<i64>) -> String {
    let [before, after] = [before, after].map(|total| total.map_or("–".into(), number));
    format!("{change_id}: {before} → {after} pairs")
}

/// A number, which may be negative where something is wrong.
pub fn number(number: i64) -> String {
    let sign = if number < 0 { "−" } else { "" };
    format!("{sign}{}", grouped(number.unsigned_abs()))
}

/// What happened and what to do next.
impl fmt::Display for EditError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Drop(error) => error.fmt(f),
            Self::EditedMeanwhile { .. } => f.write_str(
                "Somebody else edited this drop since you opened this page, so nothing was done. Look at what changed, \
                 then try again.",
            ),
            Self::Refused(refusal) => refusal.fmt(f),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sentence = match self {
            Self::NotAvailable { available } => {
                return write!(f, "Only {available} pairs of this size are available; the others are held or sold.");
            }
            Self::HasStarted => "The drop has started, so its start stays as it is.",
            Self::HasNotStarted => "The drop has not started. Unpublish or archive it instead.",
            Self::HasEnded => "The drop has ended, so its end stays as it is. Duplicate it to begin another.",
            Self::EndHasPassed => "The end of the drop has passed. Choose a later one, then publish.",
            Self::IsNotOver => "The drop is not over, or a pair is held. End it first, and wait until nothing is held.",
            Self::IsNotPublished => "The drop is not published.",
            Self::IsNoDraft => "The drop is published. Add pairs or a size, or take back what is available.",
            Self::SizeExists => "The drop has this size already. Add pairs to it.",
            Self::NoSuchSize => "The drop has no such size.",
            Self::NoSuchPurchase => "The drop has no such purchase.",
        };
        f.write_str(sentence)
    }
}
