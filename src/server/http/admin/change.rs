//! A change of a drop in words.

use super::zone::Zone;
use crate::{
    domain::Timestamp,
    server::{
        auth::admin::AdminSession,
        http::{content::filters::natural, query::query},
        inventory::{self, Actor, Change, Wanted},
        state::AppState,
    },
    text::{self, desk},
};
use axum::http::Uri;
use chrono::{DateTime, TimeDelta};
use leptos::{either::EitherOf3, prelude::*};
use serde_json::{Map, Value};
use std::{cmp::Ordering, collections::BTreeSet};

/// What a change did. What another version of the server logged, and this one does not know, is said as it is.
pub(super) fn change_in_words(change: &Change) -> Vec<Line> {
    let (before, after) = (change.before.as_object(), change.after.as_object());
    let value_in =
        |values: Option<&Map<String, Value>>, field: &str| values.and_then(|values| values.get(field).cloned());
    let mut unknown: Vec<_> = before.into_iter().chain(after).flat_map(Map::keys).collect();
    unknown.retain(|field| FIELDS.iter().all(|(known, _)| known != field));
    unknown.sort();
    unknown.dedup();
    let known = FIELDS.iter().map(|(field, name)| (*field, (*name).to_owned()));
    let unknown = unknown.into_iter().map(|field| (&**field, field.replace('_', " ")));
    let is_new = ["created", "recorded"].contains(&&*change.action);
    let fields = known
        .chain(unknown)
        .flat_map(|(field, name)| field_in_words(field, name, value_in(before, field), value_in(after, field), is_new));
    let mut lines: Vec<_> = action_in_words(change).into_iter().chain(fields).collect();
    if lines.is_empty() {
        lines.push(Line::new(&change.action));
    }
    lines
}

/// One thing that a change did: `what` alone, as in `Paused`, or with what it is now and what it was.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    what: String,
    before: Option<Said>,
    after: Option<Said>,
}

/// The value of a field.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    Text(String),
    Time(Timestamp),
}

/// The fields that this version logs, in the order in which they are said.
const FIELDS: [(&str, &str); 11] = [
    ("status", text::STATUS),
    ("is_paused", desk::PAUSED),
    ("name", desk::NAME),
    ("description", desk::DESCRIPTION),
    ("price_cents", desk::PRICE),
    ("image_url", desk::PICTURE),
    ("limit_per_user", desk::LIMIT_OF_A_CHANGE),
    ("starts_at", desk::START),
    ("ends_at", desk::END),
    ("sizes", text::SIZE),
    ("order", desk::ORDER_OF_SIZES),
];

/// What the fields that changed do not say.
fn action_in_words(change: &Change) -> Option<Line> {
    let reason = change.reason.clone().map(Said::Text);
    match (&*change.action, change.purchase_id) {
        ("edited" | "stock" | "published" | "unpublished" | "paused" | "resumed" | "archived", _) => None,
        ("created", _) => Some(Line::new(desk::CREATED)),
        ("recorded", _) => Some(Line::new(desk::RECORDED)),
        ("ended", _) => Some(Line::new(text::ENDED)),
        ("cancelled", Some(id)) => Some(Line { after: reason, ..Line::new(&desk::order_cancelled(id)) }),
        ("reason_removed", Some(id)) => Some(Line::new(&desk::reason_removed(id))),
        (unknown, _) => Some(Line { after: reason, ..Line::new(unknown) }),
    }
}

/// `is_new` if the drop, or its log, began with this change: then only what there is matters.
fn field_in_words(field: &str, name: String, before: Option<Value>, after: Option<Value>, is_new: bool) -> Vec<Line> {
    let has_value = |value: &Option<Value>| value.as_ref().is_some_and(|value| !value.is_null() && value != "");
    if before.is_none() && after.is_none() || is_new && !has_value(&after) {
        return vec![];
    }
    let sentence = match (field, &after) {
        ("is_paused", Some(Value::Bool(true))) => Some(desk::PAUSED),
        ("is_paused", Some(Value::Bool(false))) => Some(desk::RESUMED),
        ("status", Some(Value::String(status))) => match &**status {
            "draft" if is_new => Some(desk::DRAFT),
            "draft" => Some(desk::UNPUBLISHED),
            "published" => Some(desk::PUBLISHED),
            "archived" => Some(desk::ARCHIVED),
            _ => None,
        },
        _ => None,
    };
    if let Some(sentence) = sentence {
        return vec![Line::new(sentence)];
    }
    match (field, &before, &after) {
        ("sizes", None | Some(Value::Object(_)), None | Some(Value::Object(_))) => {
            sizes_in_words(before, after, is_new)
        }
        _ => {
            let before = (!is_new).then(|| Said::value(field, before));
            vec![Line { what: name, before, after: Some(Said::value(field, after)) }]
        }
    }
}

/// A line for each size: `US 9: 10 → 20 pairs`.
fn sizes_in_words(before: Option<Value>, after: Option<Value>, is_new: bool) -> Vec<Line> {
    let totals = |values: Option<Value>| match values {
        Some(Value::Object(totals)) => totals,
        _ => Map::new(),
    };
    let (mut before, mut after) = (totals(before), totals(after));
    let mut labels: Vec<_> = before.keys().chain(after.keys()).cloned().collect();
    labels.sort_by(|a, b| natural(a).partial_cmp(&natural(b)).unwrap_or(Ordering::Equal));
    labels.dedup();
    let lines = labels.into_iter().map(|label| {
        let (before, after) = (before.remove(&label), after.remove(&label));
        let pairs = |value: Option<Value>| match value.as_ref().and_then(number) {
            Some(pairs) => Said::Text(text::pairs(pairs, 1)),
            None => Said::value("sizes", value),
        };
        let before = match (before.as_ref().and_then(number), &after) {
            (Some(pairs), Some(_)) => Said::Text(desk::count(pairs)),
            _ => pairs(before),
        };
        let after = Some(pairs(after));
        Line { before: (!is_new).then_some(before), after, what: label }
    });
    lines.collect()
}

/// A number of pairs or cents.
fn number(value: &Value) -> Option<i32> {
    value.as_i64().and_then(|number| i32::try_from(number).ok()).filter(|number| *number >= 0)
}

impl Said {
    fn value(field: &str, value: Option<Value>) -> Self {
        let text = match (field, value.as_ref().and_then(number), value) {
            (_, _, None | Some(Value::Null)) => desk::NONE.into(),
            ("price_cents", Some(cents), _) => text::price(cents),
            ("limit_per_user", Some(limit), _) => text::limit(limit),
            ("order", _, Some(Value::Array(labels))) => {
                let labels: Vec<_> = labels.iter().map(|label| label.as_str().unwrap_or_default()).collect();
                labels.join(", ")
            }
            (_, _, Some(Value::String(text))) if text.is_empty() => desk::NONE.into(),
            ("starts_at" | "ends_at", _, Some(Value::String(time))) => match DateTime::parse_from_rfc3339(&time) {
                Ok(time) => return Self::Time(time.to_utc().into()),
                Err(_) => time,
            },
            (_, _, Some(Value::String(text))) => text,
            (_, _, Some(value)) => value.to_string(),
        };
        Self::Text(text)
    }

    /// What is long is folded behind its beginning.
    fn view(self, zone: Zone) -> impl IntoView + use<> {
        let text = match self {
            Self::Time(at) => return EitherOf3::A(zone.time(at)),
            Self::Text(text) => text,
        };
        if text.chars().count() <= SHORT_CHARS {
            return EitherOf3::B(view! { <bdi>{text}</bdi> });
        }
        let beginning: String = text.chars().take(SHORT_CHARS).chain(['…']).collect();
        EitherOf3::C(view! {
            <details>
                <summary>
                    <bdi>{beginning}</bdi>
                </summary>
                <p dir="auto">{text}</p>
            </details>
        })
    }
}

/// Longer texts are folded.
const SHORT_CHARS: usize = 100;

impl Line {
    fn new(what: &str) -> Self {
        Self { what: what.into(), before: None, after: None }
    }

    fn view(self, zone: Zone) -> impl IntoView + use<> {
        let Self { what, before, after } = self;
        view! {
            <li>
                <bdi>{what}</bdi>
                {after
                    .map(|after| {
                        let before = before.map(|before| (before.view(zone), desk::BECAME));
                        view! {
                            ": "
                            {before}
                            {after.view(zone)}
                        }
                    })}
            </li>
        }
    }
}

/// How old a change may be that a page says was done.
const JUST_NOW: TimeDelta = TimeDelta::seconds(30);

/// On the page that follows a press: what the session has just done to the drop. It is read from the log, so no address can make a
/// page say something else.
pub(super) async fn done(state: &AppState, session: &AdminSession, drop_id: i64, uri: &Uri) -> Option<String> {
    query(uri).get(DONE)?;
    let wanted = Wanted { drop_id: Some(drop_id), ..Wanted::default() };
    let changes = inventory::changes(&state.pool, wanted).await.ok()?.changes;
    let actor = Actor::Session(session.id).to_string();
    let own = changes.into_iter().find(|change| change.actor == actor)?;
    (state.clock.now() - *own.created_at < JUST_NOW).then(|| what_was_done(&own))
}

/// In the query of a page's address: it follows a press.
pub(super) const DONE: &str = "done";

pub(super) fn done_line(done: Option<String>) -> impl IntoView {
    done.map(|done| view! { <p class="done" role="status">{done}</p> })
}

/// A change in one line, for whoever made it: `5 pairs added to EU 40`.
fn what_was_done(change: &Change) -> String {
    let total = |values: &Value, label: &str| values["sizes"][label].as_i64().unwrap_or(0);
    match (&*change.action, change.purchase_id) {
        ("stock", _) => {
            let sizes = [&change.before, &change.after].map(|values| values["sizes"].as_object());
            let labels: BTreeSet<_> = sizes.into_iter().flatten().flat_map(Map::keys).collect();
            let moved = labels.into_iter().map(|label| {
                let pairs = total(&change.after, label) - total(&change.before, label);
                desk::pairs_moved(label, pairs as i32)
            });
            moved.collect::<Vec<_>>().join(", ")
        }
        ("cancelled", Some(id)) => desk::order_cancelled(id),
        ("reason_removed", Some(id)) => desk::reason_removed(id),
        ("created", _) if change.after["status"] == "published" => desk::PUBLISHED.into(),
        ("created" | "edited", _) => desk::SAVED.into(),
        ("published", _) => desk::PUBLISHED.into(),
        ("unpublished", _) => desk::UNPUBLISHED.into(),
        ("paused", _) => desk::SALES_PAUSED.into(),
        ("resumed", _) => desk::SALES_RESUMED.into(),
        ("ended", _) => desk::SALE_ENDED.into(),
        ("archived", _) => desk::ARCHIVED.into(),
        (unknown, _) => unknown.into(),
    }
}

/// Several changes, each with when and by whom.
pub(super) fn list_of_changes(changes: &[Change], zone: Zone) -> Option<impl IntoView + use<>> {
    let list = changes.iter().map(|change| {
        view! {
            <li>
                {zone.time(change.created_at)} ", " {desk::actor(&change.actor)} {change_list(change, zone)}
            </li>
        }
    });
    (!changes.is_empty()).then(|| view! { <ul>{list.collect_view()}</ul> })
}

/// The lines of a change as a list, of which what is too much is folded.
pub(super) fn change_list(change: &Change, zone: Zone) -> impl IntoView + use<> {
    let mut lines = change_in_words(change);
    let rest = if lines.len() > SHOWN_LINES + 1 { lines.split_off(SHOWN_LINES) } else { vec![] };
    let rest = (!rest.is_empty()).then(|| {
        view! {
            <details>
                <summary>{desk::more(rest.len())}</summary>
                <ul>{rest.into_iter().map(|line| line.view(zone)).collect_view()}</ul>
            </details>
        }
    });
    view! {
        <ul class="change">{lines.into_iter().map(|line| line.view(zone)).collect_view()}</ul>
        {rest}
    }
}

/// How many lines of a change are not folded: all but the sizes of a drop that has many.
const SHOWN_LINES: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn change(action: &str, before: Value, after: Value) -> Change {
        Change {
            id: 1,
            drop_id: 7,
            edit_version: 2,
            actor: "token".into(),
            action: action.into(),
            before,
            after,
            reason: None,
            purchase_id: None,
            created_at: DateTime::UNIX_EPOCH.into(),
        }
    }

    /// Each line as it is read on the page.
    fn read(change: &Change) -> Vec<String> {
        let said = |said: Said| match said {
            Said::Text(text) => text,
            Said::Time(at) => at.to_string(),
        };
        let lines = change_in_words(change).into_iter().map(|Line { what, before, after }| {
            let before = before.map(|before| format!("{} → ", said(before))).unwrap_or_default();
            after.map_or_else(|| what.clone(), |after| format!("{what}: {before}{}", said(after)))
        });
        lines.collect()
    }

    fn words(action: &str, before: Value, after: Value) -> Vec<String> {
        read(&change(action, before, after))
    }

    #[test]
    fn each_field_says_what_it_was_and_what_it_became() {
        for (before, after, expected) in [
            (json!({ "price_cents": 19_900 }), json!({ "price_cents": 18_950 }), "Price: $199 → $189.50"),
            (json!({ "name": "Court 76" }), json!({ "name": "Court 77" }), "Name: Court 76 → Court 77"),
            (json!({ "description": "" }), json!({ "description": "One." }), "Description: none → One."),
            (json!({ "limit_per_user": null }), json!({ "limit_per_user": 2 }), "Limit: none → 2 per person"),
            (json!({ "image_url": "/a.svg" }), json!({ "image_url": null }), "Picture: /a.svg → none"),
            (
                json!({ "starts_at": "2030-01-31T18:00:00Z" }),
                json!({ "starts_at": "2030-01-31T20:30:00.5+01:00" }),
                "Start: 2030-01-31T18:00:00Z → 2030-01-31T19:30:00Z",
            ),
            (
                json!({ "ends_at": null }),
                json!({ "ends_at": "2030-01-31T18:00:00Z" }),
                "End: none → 2030-01-31T18:00:00Z",
            ),
            (json!({ "sizes": { "US 9": 1_000 } }), json!({ "sizes": { "US 9": 1_010 } }), "US 9: 1,000 → 1,010 pairs"),
            (json!({ "sizes": { "US 9": 2 } }), json!({ "sizes": { "US 9": 1 } }), "US 9: 2 → 1 pair"),
            (json!({}), json!({ "sizes": { "XL": 5 } }), "XL: none → 5 pairs"),
            (json!({ "sizes": { "XL": 5 } }), json!({}), "XL: 5 pairs → none"),
            (json!({ "order": ["S", "M"] }), json!({ "order": ["M", "S"] }), "Order of the sizes: S, M → M, S"),
            (json!({ "is_paused": false }), json!({ "is_paused": true }), "Paused"),
            (json!({ "is_paused": true }), json!({ "is_paused": false }), "Resumed"),
            (json!({ "status": "draft" }), json!({ "status": "published" }), "Published"),
            (json!({ "status": "published" }), json!({ "status": "draft" }), "Unpublished"),
            (json!({ "status": "published" }), json!({ "status": "archived" }), "Archived"),
        ] {
            assert_eq!(words("edited", before, after), [expected]);
        }
    }

    #[test]
    fn a_change_of_several_fields_has_a_line_for_each() {
        let before = json!({ "sizes": { "US 10": 1, "US 9": 1, "US 9.5": 1 }, "price_cents": 100, "name": "A" });
        let after = json!({ "sizes": { "US 10": 2, "US 9": 2, "US 9.5": 2 }, "price_cents": 0, "name": "B" });
        let expected =
            ["Name: A → B", "Price: $1 → Free", "US 9: 1 → 2 pairs", "US 9.5: 1 → 2 pairs", "US 10: 1 → 2 pairs"];
        assert_eq!(words("edited", before, after), expected);
    }

    #[test]
    fn what_begins_with_a_change_has_no_past() {
        let after = json!({
            "name": "Court 76", "description": "", "price_cents": 12_900, "image_url": null, "limit_per_user": 1,
            "ends_at": null, "status": "draft", "sizes": { "S": 1, "M": 2 },
        });
        let expected =
            ["Created", "Draft", "Name: Court 76", "Price: $129", "Limit: 1 per person", "M: 2 pairs", "S: 1 pair"];
        assert_eq!(words("created", json!({}), after), expected);
        let recorded = words("recorded", json!({}), json!({ "sizes": { "S": 1 } }));
        assert_eq!(recorded, ["In stock when this log began", "S: 1 pair"]);
    }

    #[test]
    fn actions_say_what_fields_do_not() {
        let ended = words("ended", json!({ "ends_at": null }), json!({ "ends_at": "2030-01-31T18:00:00Z" }));
        assert_eq!(ended, ["Ended", "End: none → 2030-01-31T18:00:00Z"]);
        let cancelled = change("cancelled", json!({}), json!({}));
        let reason = Some("Paid twice".into());
        let cancelled = Change { purchase_id: Some(123), reason, ..cancelled };
        assert_eq!(read(&cancelled), ["Order 000123 cancelled: Paid twice"]);
        let sizes = |pairs: i32| json!({ "sizes": { "US 9": pairs } });
        let taken_out = Change { before: sizes(3), after: sizes(2), ..cancelled };
        assert_eq!(read(&taken_out), ["Order 000123 cancelled: Paid twice", "US 9: 3 → 2 pairs"]);
        let removed = Change { purchase_id: Some(123), ..change("reason_removed", json!({}), json!({})) };
        assert_eq!(read(&removed), ["Reason of order 000123 removed"]);
    }

    /// Of an older server, a newer one, or whoever wrote into the log by SQL.
    #[test]
    fn what_is_not_known_is_said_as_it_is() {
        for (action, before, after, expected) in [
            ("boosted", json!({}), json!({}), vec!["boosted"]),
            (
                "boosted",
                json!({ "price_cents": 1 }),
                json!({ "price_cents": 2 }),
                vec!["boosted", "Price: $0.01 → $0.02"],
            ),
            ("edited", json!({ "box_colour": "red" }), json!({ "box_colour": 7 }), vec!["box colour: red → 7"]),
            ("edited", json!({ "price_cents": -5 }), json!({ "price_cents": "x" }), vec!["Price: -5 → x"]),
            ("edited", json!({ "starts_at": "infinity" }), json!({ "starts_at": 5 }), vec!["Start: infinity → 5"]),
            ("edited", json!({ "status": "draft" }), json!({ "status": "shown" }), vec!["Status: draft → shown"]),
            ("edited", json!({ "sizes": [1] }), json!({ "sizes": { "S": {} } }), vec!["Size: [1] → {\"S\":{}}"]),
            ("edited", json!({ "sizes": { "S": 1 } }), json!({ "sizes": { "S": "two" } }), vec!["S: 1 → two"]),
            ("edited", json!([1]), json!(null), vec!["edited"]),
            ("paused", json!({}), json!({}), vec!["paused"]),
            ("cancelled", json!({}), json!({}), vec!["cancelled"]),
        ] {
            assert_eq!(words(action, before, after), expected);
        }
    }
}
