/// Percentiles of a set of durations, in milliseconds.
#[derive(Clone, Copy)]
pub(crate) struct Latency {
    pub(crate) p50: f64,
    pub(crate) p90: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
    pub(crate) max: f64,
}

impl Latency {
    /// Every percentile of an empty set is NaN.
    pub(crate) fn from_micros(mut micros: Vec<u32>) -> Self {
        micros.sort_unstable();
        let percentile_ms = |share: f64| {
            let rank = (micros.len() as f64 * share).ceil() as usize;
            micros.get(rank.max(1) - 1).map_or(f64::NAN, |micros| f64::from(*micros) / 1000.0)
        };
        Self {
            p50: percentile_ms(0.5),
            p90: percentile_ms(0.9),
            p99: percentile_ms(0.99),
            p999: percentile_ms(0.999),
            max: percentile_ms(1.0),
        }
    }
}
