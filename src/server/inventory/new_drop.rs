//! What a new drop may be. Every door reads its values as these types, which refuse what is not allowed.
//!
//! An error is the requirement, as the rest of a sentence that begins with the field's name.

use crate::{
    domain::{ONE_SIZE, error::DropError},
    server::{
        visible_text::{is_showable, key_of},
        whole_number::{NumberOrText, WholeNumber},
    },
};
use chrono::{DateTime, Datelike, NaiveDateTime, Timelike, Utc};
use serde::Deserialize;
use std::collections::HashSet;

/// A drop that does not exist yet.
pub(crate) struct NewDrop {
    pub(crate) name: DropName,
    pub(crate) description: Description,
    pub(crate) price: PriceCents,
    pub(crate) image_url: Option<ImageUrl>,
    pub(crate) limit_per_user: Option<Pairs>,
    pub(crate) sale: SaleWindow,
    pub(crate) sizes: NewSizes,
    /// Shown to nobody until it is published.
    pub(crate) is_draft: bool,
    /// By which the caller recognises the drop when it asks again.
    pub(crate) idempotency_key: Option<IdempotencyKey>,
}

/// Text that a caller chose for one request and its repetitions.
pub(crate) struct IdempotencyKey(pub(super) String);

impl TryFrom<&str> for IdempotencyKey {
    type Error = &'static str;

    fn try_from(key: &str) -> Result<Self, Self::Error> {
        let is_fine = (1..=255).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic());
        is_fine.then(|| Self(key.into())).ok_or("must be 1 to 255 visible ASCII characters")
    }
}

pub(crate) type DropName = Label<100>;

/// Up to a million dollars.
pub(crate) type PriceCents = WholeNumber<0, 100_000_000>;

/// A number of pairs.
pub(crate) type Pairs = WholeNumber<1, MAX_STOCK>;

/// Text that is shown on one line: trimmed, not blank, not too long, and everything in it can be seen.
#[derive(Clone, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Label<const MAX_CHARS: usize>(String);

impl<const MAX_CHARS: usize> TryFrom<String> for Label<MAX_CHARS> {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let text = text.trim();
        if text.chars().count() > MAX_CHARS || !is_showable(text) {
            return Err(format!("must be 1 to {MAX_CHARS} characters that can be seen"));
        }
        Ok(Self(text.into()))
    }
}

impl<const MAX_CHARS: usize> From<Label<MAX_CHARS>> for String {
    fn from(label: Label<MAX_CHARS>) -> Self {
        label.0
    }
}

/// Paragraphs with a blank line between them; may be empty.
#[derive(Default, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Description(pub(super) String);

impl TryFrom<String> for Description {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let mut lines: Vec<_> = text.trim().lines().map(str::trim).collect();
        lines.dedup_by(|next, line| next.is_empty() && line.is_empty());
        let text = lines.join("\n");
        let is_showable = lines.into_iter().all(|line| line.is_empty() || is_showable(line));
        if text.chars().count() > MAX_DESCRIPTION_CHARS || !is_showable {
            return Err(format!("must be at most {MAX_DESCRIPTION_CHARS} characters that can be seen"));
        }
        Ok(Self(text))
    }
}

impl From<Description> for String {
    fn from(description: Description) -> Self {
        description.0
    }
}

/// A price in dollars, as a number or as text.
#[derive(Deserialize)]
#[serde(try_from = "NumberOrText")]
pub(crate) struct Dollars(pub(crate) PriceCents);

impl TryFrom<NumberOrText> for Dollars {
    type Error = &'static str;

    fn try_from(price: NumberOrText) -> Result<Self, Self::Error> {
        // serde_json writes the shortest form of a number that reads back the same, so 19.99 is "19.99" and never 1998
        // cents.
        let dollars = match price {
            NumberOrText::Number(number) => number.to_string(),
            NumberOrText::Text(text) => text.trim().to_owned(),
        };
        cents(&dollars).map(Self).ok_or("must be dollars from 0 to 1000000 with at most two decimals")
    }
}

impl Dollars {
    /// A price as people type it, whatever their country takes for a point: `149.50`, `149,50`, `1,299.00`, `1.299,00`. An error
    /// is the requirement, as the rest of a sentence that begins with the field's name.
    pub(crate) fn typed(text: &str) -> Result<Self, &'static str> {
        let text = text.trim();
        let text = text.strip_prefix('$').unwrap_or(text).trim_start();
        // What has no more than two digits after it separates cents, and everything else groups of three digits.
        let point = text.rfind(['.', ',']).filter(|point| text.len() - point <= 3);
        let (whole, fraction) = point.map_or((text, "0"), |point| (&text[..point], &text[point + 1..]));
        let separator =
            whole.chars().find(|character| matches!(character, '.' | ',' | '\'' | '’') || character.is_whitespace());
        let groups: Vec<_> = separator.map_or(vec![whole], |separator| whole.split(separator).collect());
        let are_groups = groups.len() == 1
            || (1..=3).contains(&groups[0].len())
                && groups[1..].iter().all(|group| group.len() == 3)
                && point.is_none_or(|point| !text[point..].starts_with(|point| Some(point) == separator));
        let price = cents(&format!("{}.{fraction}", groups.concat())).filter(|_| are_groups);
        let is_ambiguous = point.is_none() && groups.len() == 2 && matches!(separator, Some('.' | ','));
        match price.map(Self) {
            Some(_) if is_ambiguous => {
                Err("can be read in two ways: leave out what separates the thousands, as in 1299.00")
            }
            price => price.ok_or("must be dollars from 0 to 1000000 with at most two decimals"),
        }
    }
}

fn cents(dollars: &str) -> Option<PriceCents> {
    let (whole, fraction) = dollars.split_once('.').unwrap_or((dollars, "0"));
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_digits(whole) || !is_digits(fraction) || fraction.len() > 2 {
        return None;
    }
    let cents = format!("{whole}{fraction:0<2}").parse::<i64>().ok()?;
    cents.try_into().ok()
}

/// An `https` address with a host, or a path on this server.
#[derive(Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct ImageUrl(String);

impl TryFrom<String> for ImageUrl {
    type Error = &'static str;

    fn try_from(url: String) -> Result<Self, Self::Error> {
        let is_plain = url.chars().count() <= MAX_URL_CHARS
            && url.chars().all(|c| !c.is_control() && !c.is_whitespace() && !matches!(c, '\\' | '"' | '<' | '>'));
        let is_remote = url
            .strip_prefix("https://")
            .and_then(|rest| rest.split(['/', '?', '#']).next())
            .is_some_and(|host| !host.is_empty() && !host.contains('@'));
        let is_ours = url.starts_with('/') && !url.starts_with("//");
        if is_plain && (is_remote || is_ours) {
            Ok(Self(url))
        } else {
            Err("must be an https address or a path that begins with one slash")
        }
    }
}

impl From<ImageUrl> for String {
    fn from(url: ImageUrl) -> Self {
        url.0
    }
}

/// A time at which a sale starts or ends, in the years that every reader of a timestamp understands.
#[derive(Clone, Copy, PartialEq, PartialOrd, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct SaleTime(pub(crate) DateTime<Utc>);

impl TryFrom<String> for SaleTime {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        DateTime::parse_from_rfc3339(&text).map_err(|_| what_is_missing(&text))?.to_utc().try_into()
    }
}

impl TryFrom<DateTime<Utc>> for SaleTime {
    type Error = &'static str;

    fn try_from(time: DateTime<Utc>) -> Result<Self, Self::Error> {
        // chrono reads a leap second as a nanosecond beyond the last; PostgreSQL has none.
        if time.nanosecond() >= 1_000_000_000 {
            Err("must not be a leap second")
        } else if !(2000..=9999).contains(&time.year()) {
            Err("must be in the years 2000 to 9999 in UTC")
        } else {
            Ok(Self(time))
        }
    }
}

fn what_is_missing(time: &str) -> &'static str {
    let is = |format| NaiveDateTime::parse_from_str(time, format).is_ok();
    if is("%Y-%m-%dT%H:%M:%S%.f") {
        "must have a time zone, such as Z for UTC or +01:00"
    } else if is("%Y-%m-%dT%H:%M%#z") || is("%Y-%m-%dT%H:%MZ") {
        "must have seconds, such as 2030-01-31T18:00:00Z"
    } else if is("%Y-%m-%dT%H:%M") {
        "must have seconds and a time zone, such as 2030-01-31T18:00:00Z"
    } else {
        "must be a time such as 2030-01-31T18:00:00Z"
    }
}

/// From when to when a drop sells.
pub(crate) struct SaleWindow {
    /// `None` is now.
    pub(super) starts_at: Option<DateTime<Utc>>,
    pub(super) ends_at: Option<DateTime<Utc>>,
}

impl SaleWindow {
    /// Without an end.
    pub(crate) fn starting(at: DateTime<Utc>) -> Self {
        Self { starts_at: Some(at), ends_at: None }
    }

    /// An error is about the end.
    pub(crate) fn new(
        starts_at: Option<SaleTime>,
        ends_at: Option<SaleTime>,
        now: DateTime<Utc>,
    ) -> Result<Self, &'static str> {
        match ends_at {
            Some(ends_at) if ends_at <= starts_at.unwrap_or(SaleTime(now)) => Err("must be after the start"),
            _ => Ok(Self { starts_at: starts_at.map(|time| time.0), ends_at: ends_at.map(|time| time.0) }),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewSize {
    pub(crate) label: Label<20>,
    pub(crate) stock: Pairs,
}

/// At least one size.
pub(crate) struct NewSizes(pub(super) Vec<NewSize>);

impl NewSizes {
    /// The only size of a drop without sizes.
    pub(crate) fn one(stock: Pairs) -> Self {
        Self(vec![NewSize { label: Label(ONE_SIZE.into()), stock }])
    }
}

impl TryFrom<Vec<NewSize>> for NewSizes {
    type Error = DropError;

    fn try_from(sizes: Vec<NewSize>) -> Result<Self, DropError> {
        if !(1..=MAX_SIZES).contains(&sizes.len()) {
            return Err(DropError::invalid("sizes", format!("must be a list of 1 to {MAX_SIZES} sizes")));
        }
        let mut seen = HashSet::new();
        for (index, size) in sizes.iter().enumerate() {
            if !seen.insert(key_of(&size.label.0)) {
                return Err(DropError::invalid(
                    format!("sizes[{index}].label"),
                    "is there twice, or looks the same as another",
                ));
            }
        }
        if sizes.iter().map(|size| size.stock.get()).sum::<i64>() > MAX_STOCK {
            return Err(DropError::invalid("sizes", format!("must not add up to more than {MAX_STOCK} pairs")));
        }
        Ok(Self(sizes))
    }
}

/// Of one drop, in pairs.
pub(super) const MAX_STOCK: i64 = 1_000_000;
pub(crate) const MAX_SIZES: usize = 50;
const MAX_DESCRIPTION_CHARS: usize = 2_000;
const MAX_URL_CHARS: usize = 2_048;

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{from_value, json};

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
            assert_eq!(from_value::<Dollars>(price).expect("a price").0.get(), cents);
        }
        for bad in [json!(1.999), json!(-1), json!(1_000_000.01), json!("1e3"), json!("."), json!(true), json!(1e30)] {
            assert!(from_value::<Dollars>(bad.clone()).is_err(), "{bad}");
        }
    }

    #[test]
    fn typed_prices_have_a_point_or_a_comma_and_never_two_meanings() {
        for (typed, cents) in [
            ("149,50", 14_950),
            ("149.50", 14_950),
            (" $149,5 ", 14_950),
            ("149", 14_900),
            ("0,99", 99),
            ("1299.00", 129_900),
            ("1299,00", 129_900),
            ("1,299.00", 129_900),
            ("1.299,00", 129_900),
            ("1 299,00", 129_900),
            ("1\u{a0}299", 129_900),
            ("1\u{202f}299,5", 129_950),
            ("1’299.00", 129_900),
            ("999,999.99", 99_999_999),
            ("1,000,000", 100_000_000),
            ("1.000.000,00", 100_000_000),
        ] {
            assert_eq!(Dollars::typed(typed).map(|price| price.0.get()), Ok(cents), "{typed}");
        }
        for typed in ["1,299", "1.299", "12.345", "999,999"] {
            assert!(Dollars::typed(typed).is_err_and(|expected| expected.contains("two ways")), "{typed}");
        }
        for typed in [
            "",
            ",",
            "149,",
            ",50",
            "1.299.00",
            "1,299,00",
            "1.299,000.00",
            "12 34",
            "1,2,3",
            "1,29,900.00",
            "-1",
            "1e3",
            "a,bcd",
            "1.000.001,00",
            "1,234.567",
            "149,50 €",
            "１,50",
        ] {
            assert!(Dollars::typed(typed).is_err_and(|expected| expected.starts_with("must be")), "{typed}");
        }
        // Programs have one way to write a price.
        assert!(from_value::<Dollars>(json!("149,50")).is_err());
    }

    #[test]
    fn an_image_is_an_https_address_or_a_path_of_this_site() {
        let image_url = |url: &str| ImageUrl::try_from(url.to_owned());
        for fine in ["https://cdn.test/a.webp?x=1", "/shoes/volt-runner.dd12f4b1.svg"] {
            assert!(image_url(fine).is_ok(), "{fine}");
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
            assert!(image_url(bad).is_err(), "{bad}");
        }
    }
}
