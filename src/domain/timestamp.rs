//! Reading a timestamp in the one format in which the server writes it.
//!
//! chrono's own parser reads every format and would add 6,204 bytes to the module that the browser downloads (brotli).

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Deserializer, de::Error};

/// For `#[serde(deserialize_with)]`; expects a string such as `2026-11-21T20:41:07Z`.
pub(crate) fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<DateTime<Utc>, D::Error> {
    parse(&String::deserialize(deserializer)?).ok_or_else(|| D::Error::custom("not a timestamp in UTC"))
}

/// Like [`read`], for a timestamp that may be `null`.
pub(crate) fn read_optional<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<DateTime<Utc>>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    text.map(|text| parse(&text).ok_or_else(|| D::Error::custom("not a timestamp in UTC"))).transpose()
}

/// Reads UTC only. A fraction of a second may have any number of digits; what is finer than a microsecond, the
/// database's precision, is cut off.
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
    fn a_written_timestamp_reads_back_unchanged() {
        for microseconds in [0, 500_000, 123_456, 7] {
            let timestamp = DateTime::from_timestamp(1_800_000_000, microseconds * 1_000).expect("in range");
            let json = serde_json::to_value(timestamp).expect("a string");
            assert_eq!(read(&json).expect("readable"), timestamp);
            assert_eq!(read_optional(&json).expect("readable"), Some(timestamp));
        }
        for other in ["", "2026-11-21", "2026-11-21T20:41:07", "2026-13-21T20:41:07Z", "2026-11-21T20:41:07+01:00"] {
            assert_eq!(parse(other), None, "{other}");
        }
    }
}
