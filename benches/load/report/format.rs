//! Results as text.

use crate::latency::Latency;

pub(crate) const UNKNOWN: &str = "–";

/// Formats a number with three significant digits below 100 unless it is whole, and with thousands separators.
pub(crate) fn number(value: f64) -> String {
    if !value.is_finite() {
        return UNKNOWN.into();
    }
    if value < 100.0 && value.fract() != 0.0 {
        return if value < 10.0 { format!("{value:.2}") } else { format!("{value:.1}") };
    }
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

pub(crate) fn p50_and_p99(latency: &Latency) -> String {
    format!("{} / {}", number(latency.p50), number(latency.p99))
}
