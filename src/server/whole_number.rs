//! Whole numbers within limits.

use serde::Deserialize;
use serde_json::Number;

/// A whole number from `MIN` to `MAX`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Number")]
pub(crate) struct WholeNumber<const MIN: i64, const MAX: i64>(i64);

/// The id of a row.
pub(crate) type Id = WholeNumber<1, { i64::MAX }>;

impl<const MIN: i64, const MAX: i64> WholeNumber<MIN, MAX> {
    pub(crate) fn get(self) -> i64 {
        self.0
    }
}

impl<const MIN: i64, const MAX: i64> TryFrom<Number> for WholeNumber<MIN, MAX> {
    /// The requirement, as the rest of a sentence that begins with the field's name.
    type Error = String;

    fn try_from(number: Number) -> Result<Self, String> {
        let whole = number.as_i64().filter(|whole| (MIN..=MAX).contains(whole));
        whole.map(Self).ok_or_else(|| format!("must be a whole number from {MIN} to {MAX}"))
    }
}
