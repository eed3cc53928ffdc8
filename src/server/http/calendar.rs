//! `/drops/{id}.ics`: the opening of a drop for people's calendars (RFC 5545).

use super::pages::page;
use crate::{
    domain::{error::DropError, read_id},
    server::{
        database::{
            Pool,
            error::{fault, with_timeout},
            guard::PoolGuard,
        },
        state::AppState,
    },
    text,
    ui::router::Page,
};
use axum::{
    extract::{Request, State},
    http::header,
    response::{IntoResponse, Response},
};
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use uuid::Uuid;

/// The page of a drop, or its calendar file if the address ends with `.ics`.
pub(crate) async fn drop_or_calendar(State(state): State<AppState>, request: Request) -> Response {
    let path = request.uri().path();
    let id = path.strip_prefix("/drops/").and_then(|path| path.strip_suffix(".ics")).and_then(read_id);
    let Some(drop_id) = id else { return page(State(state), request).await };
    match Opening::read(&state.pool, drop_id).await {
        Ok(Some(opening)) => {
            let origin = state.config.origins.of_this_site(request.headers());
            let headers = [
                (header::CONTENT_TYPE, "text/calendar; charset=utf-8".to_owned()),
                (header::CONTENT_DISPOSITION, format!("attachment; filename=\"drop-{drop_id}.ics\"")),
                (header::CACHE_CONTROL, "no-store".to_owned()),
            ];
            (headers, opening.calendar(&origin, state.clock.now())).into_response()
        }
        Ok(None) => page(State(state), request).await,
        Err(error) => error.into_response(),
    }
}

/// When a drop opens, for those who put it into their calendars.
struct Opening {
    drop_id: i64,
    name: String,
    price_cents: i32,
    starts_at: DateTime<Utc>,
    /// Rises with every change of what is here.
    edit_version: i64,
    /// The drop was shown, and is not shown any more.
    is_called_off: bool,
    /// Of this shop.
    calendar_id: Uuid,
}

impl Opening {
    /// As it is, or as it was when it was shown last; `None` of a drop that never was. What is known of one that was deleted is in
    /// the log.
    async fn read(pool: &Pool, drop_id: i64) -> Result<Option<Self>, DropError> {
        let opening = sqlx::query_as!(
            Self,
            r#"select $1::bigint as "drop_id!", known ->> 'name' as "name!", (known ->> 'price_cents')::integer as "price_cents!",
                      (known ->> 'starts_at')::timestamptz as "starts_at!",
                      coalesce(d.edit_version, l.edit_version + 1) as "edit_version!",
                      d.status is distinct from 'published' as "is_called_off!", s.calendar_id
               from shop s left join drops d on d.id = $1
               cross join (
                   select max(edit_version) as edit_version,
                          max(id) filter (where after ->> 'status' = 'published') as shown_by,
                          max(id) filter (where before ->> 'status' = 'published') as hidden_by
                   from drop_changes where drop_id = $1
               ) l
               cross join lateral (
                   select coalesce(to_jsonb(d), (
                       select jsonb_object_agg(field, value order by id) from drop_changes, jsonb_each(after) f (field, value)
                       where drop_id = $1
                   )) || coalesce((
                       -- Without what was changed since it was hidden.
                       select jsonb_object_agg(field, value order by id desc) from drop_changes, jsonb_each(before) f (field, value)
                       where drop_id = $1 and id > l.hidden_by and l.hidden_by > coalesce(l.shown_by, 0)
                   ), '{}') as known
               ) k
               where d.status = 'published'
                   or coalesce(l.shown_by, l.hidden_by) is not null and known ?& '{name,price_cents,starts_at}'"#,
            drop_id
        );
        let mut connection = PoolGuard::acquire(pool).await.map_err(fault)?;
        let opening = with_timeout(opening.fetch_optional(&mut *connection)).await?;
        connection.put_back();
        Ok(opening)
    }

    /// One event, in UTC, during which people are free, with an alarm five minutes before it. Another file about the same drop
    /// replaces an earlier one: it has the same `UID`, and a `SEQUENCE` that is higher if the drop was changed.
    fn calendar(&self, origin: &str, now: DateTime<Utc>) -> String {
        let page = format!("{origin}{}", Page::Drop(self.drop_id));
        let name = escaped(&self.name);
        let begins_at = self.starts_at.min(last_second() - LENGTH);
        let description = format!("{}. {page}", text::price(self.price_cents));
        let status = if self.is_called_off { "CANCELLED" } else { "CONFIRMED" };
        let head = [
            "BEGIN:VCALENDAR".to_owned(),
            "VERSION:2.0".to_owned(),
            format!("PRODID:-//{0}//{0}//EN", text::BRAND),
            "BEGIN:VEVENT".to_owned(),
            format!("UID:drop-{}@{}", self.drop_id, self.calendar_id),
            format!("DTSTAMP:{}", utc(now)),
            format!("SEQUENCE:{}", self.edit_version.min(i32::MAX.into())),
            format!("STATUS:{status}"),
            format!("DTSTART:{}", utc(begins_at)),
            format!("DTEND:{}", utc(begins_at + LENGTH)),
            "TRANSP:TRANSPARENT".to_owned(),
            format!("SUMMARY:{name}"),
            format!("DESCRIPTION:{}", escaped(&description)),
            format!("URL:{page}"),
        ];
        let alarm = [
            "BEGIN:VALARM".to_owned(),
            "ACTION:DISPLAY".to_owned(),
            format!("DESCRIPTION:{name}"),
            "TRIGGER:-PT5M".to_owned(),
            "END:VALARM".to_owned(),
        ];
        let alarm = alarm.into_iter().filter(|_| !self.is_called_off);
        let end = ["END:VEVENT".to_owned(), "END:VCALENDAR".to_owned()];
        head.into_iter().chain(alarm).chain(end).map(|line| folded(&line) + "\r\n").collect()
    }
}

/// Of the entry. A sale may last for weeks, which nobody wants to see in a calendar.
const LENGTH: TimeDelta = TimeDelta::minutes(15);

/// Years have four digits.
fn last_second() -> DateTime<Utc> {
    NaiveDate::from_ymd_opt(9999, 12, 31)
        .and_then(|day| day.and_hms_opt(23, 59, 59))
        .map_or(DateTime::<Utc>::MAX_UTC, |time| time.and_utc())
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

    fn opening(starts_at: &str) -> Opening {
        Opening {
            drop_id: 7,
            name: "Night; Market, \"Low\"".into(),
            price_cents: 19_900,
            starts_at: starts_at.parse().expect("a time"),
            edit_version: 3,
            is_called_off: false,
            calendar_id: Uuid::from_u128(1),
        }
    }

    /// The lines of a calendar that begin with a name.
    fn lines<'a>(calendar: &'a str, name: &str) -> Vec<&'a str> {
        calendar.split("\r\n").filter_map(|line| line.strip_prefix(name)?.strip_prefix(':')).collect()
    }

    #[test]
    fn an_entry_has_a_length_and_years_of_four_digits_and_takes_nobodys_time() {
        for (starts_at, expected) in [
            ("2026-11-26T18:00:00Z", ["20261126T180000Z", "20261126T181500Z"]),
            ("2026-12-31T23:59:59.9Z", ["20261231T235959Z", "20270101T001459Z"]),
            ("9999-12-31T23:44:59Z", ["99991231T234459Z", "99991231T235959Z"]),
            ("9999-12-31T23:59:59.999999Z", ["99991231T234459Z", "99991231T235959Z"]),
        ] {
            let opening = opening(starts_at);
            let calendar = opening.calendar("https://shop.test", opening.starts_at);
            let times = ["DTSTART", "DTEND"].map(|name| lines(&calendar, name).concat());
            assert_eq!(times, expected, "{starts_at}");
            assert_eq!(lines(&calendar, "TRANSP"), ["TRANSPARENT"]);
        }
    }

    #[test]
    fn a_drop_is_the_same_entry_under_every_host_also_when_it_was_called_off() {
        let on = opening("2026-11-26T18:00:00Z");
        let off = Opening { is_called_off: true, edit_version: 4, ..opening("2026-11-26T18:00:00Z") };
        let [here, there] = ["https://shop.test", "http://127.0.0.1:3000"].map(|at| on.calendar(at, on.starts_at));
        let off = off.calendar("https://shop.test", on.starts_at);
        assert_eq!(lines(&here, "UID"), lines(&there, "UID"));
        assert_eq!(lines(&here, "UID"), lines(&off, "UID"));
        assert_eq!([&here, &off].map(|calendar| lines(calendar, "STATUS")), [["CONFIRMED"], ["CANCELLED"]]);
        assert_eq!([&here, &off].map(|calendar| lines(calendar, "SEQUENCE")), [["3"], ["4"]]);
        assert!(here.contains("BEGIN:VALARM") && !off.contains("VALARM"), "nobody is called to what does not open");
    }
}
