//! What a new drop may be: its fields are read from a body and checked.

use super::body::Fields;
use crate::{
    domain::error::DropError,
    server::{
        auth::accounts::is_invisible,
        inventory::{NewDrop, NewSize},
    },
};
use chrono::{DateTime, Utc};
use serde_json::Value;
use std::collections::HashSet;

pub(super) fn new_drop(body: &Fields, now: DateTime<Utc>) -> Result<NewDrop, DropError> {
    let name = body.required("name", body.text(&["name"])?)?;
    let starts_at = body.time(&["startsAt", "starts_at", "startTime", "start_time"])?;
    let ends_at = body.time(ENDS_AT)?;
    if ends_at.is_some_and(|ends_at| ends_at <= starts_at.unwrap_or(now)) {
        return Err(DropError::invalid(body.spelling(ENDS_AT), "must be after the start"));
    }
    Ok(NewDrop {
        name: checked_label("name", name, MAX_NAME_CHARS)?,
        price_cents: price_cents(body)?,
        image_url: body.text(IMAGE_URL)?.map(|url| image_url(body.spelling(IMAGE_URL), url)).transpose()?,
        limit_per_user: body.integer(&["limitPerUser", "limit_per_user"], 1..=MAX_STOCK)?.map(|limit| limit as i32),
        starts_at,
        ends_at,
        sizes: sizes(body)?,
    })
}

fn price_cents(body: &Fields) -> Result<i32, DropError> {
    if let Some(cents) = body.integer(&["priceCents", "price_cents"], 0..=MAX_PRICE_CENTS)? {
        return Ok(cents as i32);
    }
    let expected = || DropError::invalid("price", "must be dollars from 0 to 1000000 with at most two decimals");
    // serde_json writes the shortest form of a number that reads back the same, so 19.99 is "19.99" and never 1998 cents.
    let dollars = match body.get(&["price"]) {
        None => return Err(DropError::invalid("priceCents", "is missing")),
        Some((_, Value::Number(number))) => number.to_string(),
        Some((_, Value::String(text))) => text.trim().to_owned(),
        Some(_) => return Err(expected()),
    };
    let (whole, fraction) = dollars.split_once('.').unwrap_or((&dollars, "0"));
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_digits(whole) || !is_digits(fraction) || fraction.len() > 2 {
        return Err(expected());
    }
    let cents = format!("{whole}{fraction:0<2}").parse::<i64>().map_err(|_| expected())?;
    if cents <= MAX_PRICE_CENTS { Ok(cents as i32) } else { Err(expected()) }
}

fn sizes(body: &Fields) -> Result<Vec<NewSize>, DropError> {
    let total = body.integer(TOTAL_STOCK, 1..=MAX_STOCK)?;
    let Some((_, sizes)) = body.get(&["sizes"]) else {
        let stock = body.required(TOTAL_STOCK[0], total)?;
        return Ok(vec![NewSize::one(stock as i32)]);
    };
    if total.is_some() {
        return Err(DropError::invalid(body.spelling(TOTAL_STOCK), "is the sum of sizes; send one or the other"));
    }
    let sizes = sizes.as_array().filter(|sizes| (1..=MAX_SIZES).contains(&sizes.len()));
    let sizes = sizes.ok_or_else(|| DropError::invalid("sizes", "must be a list of 1 to 50 sizes"))?;
    let mut seen = HashSet::new();
    let mut new = vec![];
    let mut sum = 0;
    for (index, size) in sizes.iter().enumerate() {
        let at = |field: &str| format!("sizes[{index}].{field}");
        let size = size
            .as_object()
            .ok_or_else(|| DropError::invalid(format!("sizes[{index}]"), "must be an object with label and stock"))?;
        let size = Fields(size.clone());
        let within = |error| match error {
            DropError::Invalid { field, expected } => DropError::Invalid { field: at(&field), expected },
            other => other,
        };
        let label = size.text(&["label"]).and_then(|label| size.required("label", label)).map_err(within)?;
        let label = checked_label("label", label, MAX_LABEL_CHARS).map_err(within)?;
        let stock = size.integer(&["stock"], 1..=MAX_STOCK);
        let stock = stock.and_then(|stock| size.required("stock", stock)).map_err(within)?;
        if !seen.insert(label.to_lowercase()) {
            return Err(DropError::invalid(at("label"), "is there twice"));
        }
        sum += stock;
        new.push(NewSize { label, stock: stock as i32 });
    }
    if sum > MAX_STOCK {
        return Err(DropError::invalid("sizes", "must not add up to more than 1000000 pairs"));
    }
    Ok(new)
}

/// Text that is shown on one line: trimmed, not blank, not too long, without control characters.
fn checked_label(field: &str, text: &str, most_chars: usize) -> Result<String, DropError> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > most_chars || text.chars().any(|c| c.is_control() || is_invisible(c)) {
        let expected = format!("must be 1 to {most_chars} characters without control characters");
        return Err(DropError::invalid(field, expected));
    }
    Ok(text.into())
}

/// An `https` address with a host, or a path on this server.
fn image_url(field: &str, url: &str) -> Result<String, DropError> {
    let is_plain = url.chars().count() <= MAX_URL_CHARS
        && url.chars().all(|c| !c.is_control() && !c.is_whitespace() && !matches!(c, '\\' | '"' | '<' | '>'));
    let is_remote = url
        .strip_prefix("https://")
        .and_then(|rest| rest.split(['/', '?', '#']).next())
        .is_some_and(|host| !host.is_empty() && !host.contains('@'));
    let is_ours = url.starts_with('/') && !url.starts_with("//");
    if is_plain && (is_remote || is_ours) {
        Ok(url.into())
    } else {
        Err(DropError::invalid(field, "must be an https address or a path that begins with one slash"))
    }
}

const MAX_PRICE_CENTS: i64 = 100_000_000;
const MAX_STOCK: i64 = 1_000_000;
const MAX_SIZES: usize = 50;
const MAX_NAME_CHARS: usize = 100;
const MAX_LABEL_CHARS: usize = 20;
const MAX_URL_CHARS: usize = 2_048;

/// The documented spelling first, then those of the systems that this one replaces.
const ENDS_AT: &[&str] = &["endsAt", "ends_at", "endTime", "end_time"];
const IMAGE_URL: &[&str] = &["imageUrl", "image_url"];
const TOTAL_STOCK: &[&str] = &["totalStock", "total_stock"];

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn fields(value: Value) -> Fields {
        match value {
            Value::Object(fields) => Fields(fields),
            other => panic!("{other} is not an object"),
        }
    }

    #[test]
    fn decimal_dollars_become_exact_cents() {
        for (price, cents) in [
            (json!(19.99), 1_999),
            (json!(0.29), 29),
            (json!(1.1), 110),
            (json!(250), 25_000),
            (json!("1.15"), 115),
            (json!(1_000_000), 100_000_000),
            (json!(0), 0),
        ] {
            assert_eq!(price_cents(&fields(json!({ "price": price }))), Ok(cents));
        }
        for bad in [json!(1.999), json!(-1), json!(1_000_000.01), json!("1e3"), json!("."), json!(true), json!(1e30)] {
            assert!(price_cents(&fields(json!({ "price": bad }))).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_image_is_an_https_address_or_a_path_of_this_site() {
        for fine in ["https://cdn.test/a.webp?x=1", "/shoes/volt-runner.svg"] {
            assert!(image_url("imageUrl", fine).is_ok(), "{fine}");
        }
        for bad in [
            "",
            "http://cdn.test/a",
            "//cdn.test/a",
            "javascript:alert(1)",
            "https://",
            "https:///a",
            "a.svg",
            "/a b",
            "/\\cdn.test",
            "https://a@cdn.test/",
            "data:image/png;base64,AA",
        ] {
            assert!(image_url("imageUrl", bad).is_err(), "{bad}");
        }
    }
}
