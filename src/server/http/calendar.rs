//! `/drops/{id}.ics`: the start of a drop for people's calendars (RFC 5545).

use super::pages::page;
use crate::{
    domain::{SneakerDrop, read_id},
    server::state::AppState,
    text,
    ui::router::Page,
};
use axum::{
    extract::{Request, State},
    http::header,
    response::{IntoResponse, Response},
};
use chrono::{DateTime, TimeDelta, Utc};

/// The page of a drop, or its calendar file if the address ends with `.ics`.
pub(crate) async fn drop_or_calendar(State(state): State<AppState>, request: Request) -> Response {
    let path = request.uri().path();
    let id = path.strip_prefix("/drops/").and_then(|path| path.strip_suffix(".ics")).and_then(read_id);
    let Some(drop) = id.and_then(|id| state.catalog.get(id)) else {
        return page(State(state), request).await;
    };
    let calendar = calendar(&drop, &state.config.origins.of_this_site(request.headers()), state.clock.now());
    let headers = [
        (header::CONTENT_TYPE, "text/calendar; charset=utf-8".to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"drop-{}.ics\"", drop.id)),
        (header::CACHE_CONTROL, "no-store".to_owned()),
    ];
    (headers, calendar).into_response()
}

/// One event with an alarm five minutes before it, in UTC. A drop without an end takes an hour.
fn calendar(drop: &SneakerDrop, origin: &str, now: DateTime<Utc>) -> String {
    let page = format!("{origin}{}", Page::Drop(drop.id));
    let ends_at = drop.ends_at.map_or(*drop.starts_at + TimeDelta::hours(1), |ends_at| *ends_at);
    let lines = [
        "BEGIN:VCALENDAR".to_owned(),
        "VERSION:2.0".to_owned(),
        format!("PRODID:-//{0}//{0}//EN", text::BRAND),
        "BEGIN:VEVENT".to_owned(),
        format!("UID:drop-{}@{}", drop.id, origin.rsplit('/').next().unwrap_or_default()),
        format!("DTSTAMP:{}", utc(now)),
        // A later file about the same drop replaces an earlier one.
        format!("SEQUENCE:{}", drop.version),
        format!("DTSTART:{}", utc(*drop.starts_at)),
        format!("DTEND:{}", utc(ends_at)),
        format!("SUMMARY:{}", escaped(&drop.name)),
        format!("DESCRIPTION:{}", escaped(&format!("{}. {page}", text::price(drop.price_cents)))),
        format!("URL:{page}"),
        "BEGIN:VALARM".to_owned(),
        "ACTION:DISPLAY".to_owned(),
        format!("DESCRIPTION:{}", escaped(&drop.name)),
        "TRIGGER:-PT5M".to_owned(),
        "END:VALARM".to_owned(),
        "END:VEVENT".to_owned(),
        "END:VCALENDAR".to_owned(),
    ];
    lines.iter().map(|line| folded(line) + "\r\n").collect()
}

/// `20261126T180000Z`.
fn utc(at: DateTime<Utc>) -> String {
    at.format("%Y%m%dT%H%M%SZ").to_string()
}

/// What would end a value or begin another has a backslash before it.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for character in text.chars() {
        match character {
            '\\' | ';' | ',' => out.extend(['\\', character]),
            '\n' => out.push_str("\\n"),
            character if character.is_control() => {}
            character => out.push(character),
        }
    }
    out
}

/// A line may have 75 bytes; the rest follows in lines that begin with a space.
fn folded(line: &str) -> String {
    let (mut out, mut length) = (String::new(), 0);
    for character in line.chars() {
        if length + character.len_utf8() > MAX_LINE_BYTES {
            out.push_str("\r\n ");
            length = 1;
        }
        out.push(character);
        length += character.len_utf8();
    }
    out
}

const MAX_LINE_BYTES: usize = 75;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_name_ends_its_line_or_its_value() {
        assert_eq!(escaped("a,b;c\\d\r\nEND:VEVENT"), "a\\,b\\;c\\\\d\\nEND:VEVENT");
        let name = "ö".repeat(100);
        let line = folded(&format!("SUMMARY:{name}"));
        assert!(line.split("\r\n").all(|part| part.len() <= MAX_LINE_BYTES), "{line}");
        assert_eq!(line.replace("\r\n ", ""), format!("SUMMARY:{name}"));
    }
}
