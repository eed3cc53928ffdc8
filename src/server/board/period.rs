//! Which part of a sale the charts show. A drop that sells out within a minute and is open for days would be one vertical line.

use chrono::{DateTime, TimeDelta, Utc};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Period {
    #[default]
    All,
    /// So many seconds from the first event on.
    First(i64),
    /// So many seconds up to now, or to the last event of a drop that is over.
    Last(i64),
}

impl Period {
    /// Those other than [`Period::All`].
    const PARTS: [Self; 4] = [Self::First(60), Self::First(600), Self::First(3_600), Self::Last(600)];

    /// By its name in an address, as its `Display` writes it; all of the time if it has none that is known.
    pub(crate) fn named(name: Option<&str>) -> Self {
        Self::PARTS.into_iter().find(|part| name == Some(&part.to_string())).unwrap_or_default()
    }

    /// All of the time, and the parts that are shorter; none if there is no choice.
    pub(super) fn shorter_than(sale: TimeDelta) -> Vec<Self> {
        let parts = Self::PARTS.into_iter().filter(|part| part.length().is_some_and(|length| length < sale));
        let periods: Vec<_> = std::iter::once(Self::All).chain(parts).collect();
        if periods.len() > 1 { periods } else { vec![] }
    }

    /// Within a sale that began and ended at these times.
    pub(super) fn between(self, first: DateTime<Utc>, until: DateTime<Utc>) -> (DateTime<Utc>, DateTime<Utc>) {
        let length = self.length().unwrap_or(TimeDelta::MAX).min(until - first);
        match self {
            Self::All | Self::First(_) => (first, first + length),
            Self::Last(_) => (until - length, until),
        }
    }

    fn length(self) -> Option<TimeDelta> {
        match self {
            Self::All => None,
            Self::First(seconds) | Self::Last(seconds) => Some(TimeDelta::seconds(seconds)),
        }
    }
}

/// Its name in an address.
impl std::fmt::Display for Period {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::First(seconds) => write!(f, "first-{seconds}"),
            Self::Last(seconds) => write!(f, "last-{seconds}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + seconds, 0).expect("in range")
    }

    #[test]
    fn a_period_lies_within_the_sale() {
        let between = |period: Period, last| {
            let (from, until) = period.between(at(0), at(last));
            ((from - at(0)).num_seconds(), (until - at(0)).num_seconds())
        };
        assert_eq!(between(Period::All, 100_000), (0, 100_000));
        assert_eq!(between(Period::First(60), 100_000), (0, 60));
        assert_eq!(between(Period::Last(600), 100_000), (99_400, 100_000));
        // An address that was kept from a longer sale.
        assert_eq!(between(Period::First(3_600), 40), (0, 40));
        assert_eq!(between(Period::Last(600), 40), (0, 40));
    }

    #[test]
    fn only_parts_of_the_sale_can_be_chosen() {
        let choices = |seconds| Period::shorter_than(TimeDelta::seconds(seconds));
        assert_eq!(choices(60), []);
        assert_eq!(choices(61), [Period::All, Period::First(60)]);
        assert_eq!(choices(601), [Period::All, Period::First(60), Period::First(600), Period::Last(600)]);
        assert_eq!(choices(3_601).len(), 5);
    }

    #[test]
    fn a_period_is_found_by_its_name() {
        for period in Period::shorter_than(TimeDelta::days(1)) {
            assert_eq!(Period::named(Some(&period.to_string())), period);
        }
        for unknown in [None, Some(""), Some("first-61"), Some("last")] {
            assert_eq!(Period::named(unknown), Period::All);
        }
    }
}
