//! Reading a moment as this program writes it; chrono's own reader knows every way to write one, and weighs accordingly.

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Deserializer, de::Error};

/// For `#[serde(deserialize_with)]`.
pub(crate) fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<DateTime<Utc>, D::Error> {
    parse(&String::deserialize(deserializer)?).ok_or_else(|| D::Error::custom("not a moment in UTC"))
}

/// The same for a moment that may be missing.
pub(crate) fn read_optional<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<DateTime<Utc>>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    text.map(|text| parse(&text).ok_or_else(|| D::Error::custom("not a moment in UTC"))).transpose()
}

/// `2026-11-21T20:41:07Z`, with any fraction of a second; as exact as the database's microseconds.
fn parse(text: &str) -> Option<DateTime<Utc>> {
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<u32>().ok();
    let fraction = text.strip_suffix('Z')?.get(20..).unwrap_or("0");
    let microseconds = format!("{fraction:0<6}").get(..6)?.parse().ok()?;
    let date = NaiveDate::from_ymd_opt(text.get(..4)?.parse().ok()?, number(5, 7)?, number(8, 10)?)?;
    Some(date.and_hms_micro_opt(number(11, 13)?, number(14, 16)?, number(17, 19)?, microseconds)?.and_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_read_as_it_was_written() {
        for microseconds in [0, 500_000, 123_456, 7] {
            let moment = DateTime::from_timestamp(1_800_000_000, microseconds * 1_000).expect("in range");
            let json = serde_json::to_value(moment).expect("a string");
            assert_eq!(read(&json).expect("readable"), moment);
            assert_eq!(read_optional(&json).expect("readable"), Some(moment));
        }
        for other in ["", "2026-11-21", "2026-11-21T20:41:07", "2026-13-21T20:41:07Z", "2026-11-21T20:41:07+01:00"] {
            assert_eq!(parse(other), None, "{other}");
        }
    }
}
