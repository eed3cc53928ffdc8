//! Whole numbers within limits.

use serde::Deserialize;
use serde_json::Number;

/// A whole number from `MIN` to `MAX`. It is read from a number, also one such as `100.0`, or from text, as clients written in
/// JavaScript send them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "NumberOrText")]
pub(crate) struct WholeNumber<const MIN: i64, const MAX: i64>(i64);

/// The id of a row.
pub(crate) type Id = WholeNumber<1, { i64::MAX }>;

/// How callers send a number.
#[derive(Deserialize)]
#[serde(untagged, expecting = "must be a number")]
pub(crate) enum NumberOrText {
    Number(Number),
    Text(String),
}

impl NumberOrText {
    fn whole(&self) -> Option<i64> {
        match self {
            Self::Number(number) => number.as_i64().or_else(|| {
                // Beyond this, floats are not exact.
                let exact = number.as_f64().filter(|float| float.fract() == 0.0 && float.abs() < 2_f64.powi(53));
                exact.map(|float| float as i64)
            }),
            Self::Text(text) => text.parse().ok().filter(|_| !text.starts_with('+')),
        }
    }
}

impl<const MIN: i64, const MAX: i64> WholeNumber<MIN, MAX> {
    pub(crate) fn get(self) -> i64 {
        self.0
    }
}

impl<const MIN: i64, const MAX: i64> TryFrom<NumberOrText> for WholeNumber<MIN, MAX> {
    /// The requirement, as the rest of a sentence that begins with the field's name.
    type Error = String;

    fn try_from(number: NumberOrText) -> Result<Self, String> {
        let whole = number.whole().filter(|whole| (MIN..=MAX).contains(whole));
        whole.map(Self).ok_or_else(|| format!("must be a whole number from {MIN} to {MAX}"))
    }
}

impl<const MIN: i64, const MAX: i64> WholeNumber<MIN, MAX> {
    /// A number as people type it: `1000`, `1,000`, `1.000`, `1 000`.
    pub(crate) fn typed(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let separator =
            text.chars().find(|character| matches!(character, '.' | ',' | '\'' | '’') || character.is_whitespace());
        let groups: Vec<_> = separator.map_or(vec![text], |separator| text.split(separator).collect());
        let are_groups =
            groups.len() == 1 || (1..=3).contains(&groups[0].len()) && groups[1..].iter().all(|group| group.len() == 3);
        Self::try_from(NumberOrText::Text(if are_groups { groups.concat() } else { text.to_owned() }))
    }
}

impl<const MIN: i64, const MAX: i64> TryFrom<i64> for WholeNumber<MIN, MAX> {
    type Error = String;

    fn try_from(number: i64) -> Result<Self, String> {
        Self::try_from(NumberOrText::Number(number.into()))
    }
}
