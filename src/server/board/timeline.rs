//! What became of a drop's pairs over time: pure arithmetic on times and counts.

use chrono::{DateTime, TimeDelta, Utc};

/// Equal steps on round times. The first begins at or just before the beginning of the period, and the last may be shorter than
/// the others.
#[derive(Debug)]
pub struct Timeline {
    pub from: DateTime<Utc>,
    /// At `from`.
    pub start: Stock,
    /// At least one, at most [`MAX_STEPS`].
    pub steps: Vec<Step>,
    /// The seconds of the clock in which most was reserved and bought.
    pub busiest_to_reserve: Option<BusySecond>,
    pub busiest_to_buy: Option<BusySecond>,
}

#[derive(Debug)]
pub struct Step {
    pub until: DateTime<Utc>,
    /// At `until`.
    pub stock: Stock,
    /// Within the step, whatever became of them.
    pub reservations: i64,
    /// Within the step, also those that were cancelled later.
    pub purchases: i64,
}

/// The pairs of a drop or a size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stock {
    pub available: i64,
    pub held: i64,
    pub sold: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BusySecond {
    pub at: DateTime<Utc>,
    pub count: i64,
}

/// What moved within a step, or after the timeline.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Moved {
    /// `None` after the timeline.
    pub(super) step: Option<i32>,
    /// From available to held.
    pub(super) reserved: i64,
    /// From held to sold.
    pub(super) bought: i64,
    /// From held to available: expired or released.
    pub(super) returned: i64,
    /// From sold to available.
    pub(super) purchases_cancelled: i64,
    /// Added to what is available, or taken away.
    pub(super) restocked: i64,
}

/// The steps of a timeline, before anything is known of them.
#[derive(Debug)]
pub(super) struct Grid {
    pub(super) from: DateTime<Utc>,
    pub(super) until: DateTime<Utc>,
    /// Whole seconds.
    pub(super) step: TimeDelta,
}

impl Grid {
    pub(super) fn new(first: DateTime<Utc>, until: DateTime<Utc>) -> Self {
        let (from, step) = grid(first, until);
        Self { from, until: until.max(from + TimeDelta::seconds(1)), step }
    }

    /// The index of the last step. What happens at its end belongs to it.
    pub(super) fn last(&self) -> usize {
        let last = self.until - TimeDelta::microseconds(1) - self.from;
        (last.num_milliseconds() / self.step.num_milliseconds()) as usize
    }
}

/// More steps would show no more at the width of a page.
const MAX_STEPS: usize = 120;

impl Timeline {
    /// Goes back from `now`, the stock after everything that moved, so that the past is wrong, not the present, if some is
    /// missing.
    pub(super) fn new(grid: &Grid, now: Stock, moved: &[Moved]) -> Self {
        let mut steps = vec![Moved::default(); grid.last() + 1];
        let mut stock = now;
        for moved in moved {
            match moved.step.and_then(|step| steps.get_mut(usize::try_from(step).ok()?)) {
                Some(step) => *step = *moved,
                None => stock = moved.undo(stock),
            }
        }
        let mut steps: Vec<_> = steps
            .iter()
            .enumerate()
            .rev()
            .map(|(index, moved)| {
                let until = (grid.from + grid.step * (index as i32 + 1)).min(grid.until);
                let step = Step { until, stock, reservations: moved.reserved, purchases: moved.bought };
                stock = moved.undo(stock);
                step
            })
            .collect();
        steps.reverse();
        Self { from: grid.from, start: stock, steps, busiest_to_reserve: None, busiest_to_buy: None }
    }

    pub fn until(&self) -> DateTime<Utc> {
        self.steps.last().map_or(self.from, |step| step.until)
    }

    /// The stock at the end.
    pub fn end(&self) -> Stock {
        self.steps.last().map_or(self.start, |step| step.stock)
    }

    /// The stock at the start and at the end of each step.
    pub fn stocks(&self) -> impl Iterator<Item = (DateTime<Utc>, Stock)> {
        std::iter::once((self.from, self.start)).chain(self.steps.iter().map(|step| (step.until, step.stock)))
    }

    /// Reservations and purchases per second in each step. A last step of less than a second counts as one.
    pub fn rates(&self) -> impl Iterator<Item = (f64, f64)> {
        let starts = std::iter::once(self.from).chain(self.steps.iter().map(|step| step.until));
        starts.zip(&self.steps).map(|(start, step)| {
            let seconds = ((step.until - start).num_milliseconds() as f64 / 1000.0).max(1.0);
            (step.reservations as f64 / seconds, step.purchases as f64 / seconds)
        })
    }
}

impl Stock {
    pub fn total(self) -> i64 {
        self.available + self.held + self.sold
    }

    pub(super) fn plus(self, other: Self) -> Self {
        Self { available: self.available + other.available, held: self.held + other.held, sold: self.sold + other.sold }
    }
}

/// Where the first step begins, and how long a step is.
fn grid(first: DateTime<Utc>, until: DateTime<Utc>) -> (DateTime<Utc>, TimeDelta) {
    let (first, until) = (first.timestamp(), until.timestamp());
    let from = |step: i64| first.div_euclid(step) * step;
    let fits = |step: &i64| (until - from(*step)) / step < MAX_STEPS as i64;
    let step = round_durations().find(fits).expect("the durations grow without end");
    (DateTime::from_timestamp(from(step), 0).expect("not after the first event"), TimeDelta::seconds(step))
}

/// Durations in seconds of which clocks and calendars show multiples, from the shortest on.
pub(crate) fn round_durations() -> impl Iterator<Item = i64> {
    const MINUTE: i64 = 60;
    const HOUR: i64 = 60 * MINUTE;
    const DAY: i64 = 24 * HOUR;
    let within_a_minute = [1, 2, 5, 10, 15, 30];
    let within_an_hour = within_a_minute.map(|minutes| minutes * MINUTE);
    let within_a_day = [1, 2, 3, 6, 12].map(|hours| hours * HOUR);
    let days = [1, 2, 5, 10, 30].map(|days| days * DAY);
    let longer = std::iter::successors(Some(90 * DAY), |days| Some(days * 2));
    within_a_minute.into_iter().chain(within_an_hour).chain(within_a_day).chain(days).chain(longer)
}

impl Moved {
    /// The stock before, given the stock after.
    fn undo(&self, after: Stock) -> Stock {
        Stock {
            available: after.available + self.reserved - self.returned - self.purchases_cancelled - self.restocked,
            held: after.held - self.reserved + self.bought + self.returned,
            sold: after.sold - self.bought + self.purchases_cancelled,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: f64) -> DateTime<Utc> {
        let midnight = DateTime::from_timestamp(1_800_000_000 / 86_400 * 86_400, 0).expect("in range");
        midnight + TimeDelta::milliseconds((seconds * 1_000.0) as i64)
    }

    fn stock(available: i64, held: i64, sold: i64) -> Stock {
        Stock { available, held, sold }
    }

    #[derive(Clone, Copy)]
    enum Change {
        Reserved,
        Bought,
        Returned,
        PurchaseCancelled,
        Restocked(i64),
    }

    /// Counts changes per step, as the database does.
    fn timeline(first: f64, until: f64, now: Stock, changes: &[(f64, Change)]) -> Timeline {
        let grid = Grid::new(at(first), at(until));
        let moved: Vec<_> = (0..=grid.last() as i32)
            .map(Some)
            .chain([None])
            .map(|step| {
                let mut moved = Moved { step, ..Moved::default() };
                let step_at = |at: DateTime<Utc>| {
                    let index = (at - grid.from).num_milliseconds().div_euclid(grid.step.num_milliseconds());
                    (at <= grid.until).then(|| (index as i32).min(grid.last() as i32))
                };
                for (_, change) in changes.iter().filter(|(seconds, _)| step_at(at(*seconds)) == step) {
                    match change {
                        Change::Reserved => moved.reserved += 1,
                        Change::Bought => moved.bought += 1,
                        Change::Returned => moved.returned += 1,
                        Change::PurchaseCancelled => moved.purchases_cancelled += 1,
                        Change::Restocked(pairs) => moved.restocked += pairs,
                    }
                }
                moved
            })
            .collect();
        Timeline::new(&grid, now, &moved)
    }

    #[test]
    fn steps_are_equal_begin_on_round_times_and_are_few() {
        for first in [0.0, 7.3, 86_399.9] {
            for span in [0.0, 0.4, 1.0, 40.0, 119.9, 120.0, 3_601.0, 86_400.0, 3.0 * 86_400.0, 4e7, 4e9, 2.5e11] {
                let timeline = timeline(first, first + span, stock(5, 0, 0), &[]);
                let count = timeline.steps.len();
                assert!((1..=MAX_STEPS).contains(&count), "{span}: {count} steps");
                assert!(count > MAX_STEPS / 4 || span < 40.0, "{span}: {count} steps");
                assert!(timeline.from <= at(first) && timeline.until() >= at(first + span), "{span}: {timeline:?}");
                let ends: Vec<_> = timeline.stocks().map(|(at, _)| at).collect();
                let step = ends[1] - ends[0];
                assert!(ends[..count].windows(2).all(|ends| ends[1] - ends[0] == step), "{span}: {ends:?}");
                assert!(ends[count] - ends[count - 1] <= step && ends[count] > ends[count - 1], "{span}: {ends:?}");
                let is_round = round_durations()
                    .any(|round| timeline.from.timestamp() % round == 0 && round >= step.num_seconds());
                assert!(is_round || count == 1, "{span}: from {} by {step}", timeline.from);
            }
        }
    }

    #[test]
    fn stock_is_what_happened_and_always_adds_up() {
        let changes = [
            (0.5, Change::Reserved),
            (1.5, Change::Reserved),
            (2.0, Change::Reserved),
            (2.5, Change::Bought),
            (3.5, Change::Returned),
            (3.6, Change::Restocked(10)),
            (4.5, Change::PurchaseCancelled),
        ];
        let timeline = timeline(0.0, 5.0, stock(14, 1, 0), &changes);
        let stocks: Vec<_> = timeline.stocks().map(|(_, stock)| stock).collect();
        let expected = [(5, 0, 0), (4, 1, 0), (3, 2, 0), (2, 2, 1), (13, 1, 1), (14, 1, 0)];
        assert_eq!(stocks, expected.map(|(available, held, sold)| stock(available, held, sold)));
        assert_eq!(stocks.iter().map(|stock| stock.total()).collect::<Vec<_>>(), [5, 5, 5, 5, 15, 15]);
        let moved: Vec<_> = timeline.steps.iter().map(|step| (step.reservations, step.purchases)).collect();
        assert_eq!(moved, [(1, 0), (1, 0), (1, 1), (0, 0), (0, 0)]);
    }

    #[test]
    fn what_is_missing_changes_the_past_and_not_the_present() {
        // Two of five are sold, and one of their reservations is not among the changes.
        let changes = [(1.5, Change::Reserved), (2.5, Change::Bought)];
        let timeline = timeline(0.0, 3.0, stock(3, 0, 2), &changes);
        assert_eq!((timeline.start, timeline.end()), (stock(4, 0, 1), stock(3, 0, 2)));
    }

    #[test]
    fn a_period_ends_with_the_stock_that_there_was() {
        let changes = [
            (0.5, Change::Reserved),
            (1.5, Change::Reserved),
            (1.6, Change::Bought),
            (5.0, Change::Returned),
            (5.1, Change::Restocked(4)),
            (90.0, Change::Reserved),
        ];
        let timeline = |first, until| timeline(first, until, stock(7, 1, 1), &changes);
        assert_eq!((timeline(0.0, 90.0).start, timeline(0.0, 90.0).end()), (stock(5, 0, 0), stock(7, 1, 1)));
        assert_eq!((timeline(0.0, 2.0).start, timeline(0.0, 2.0).end()), (stock(5, 0, 0), stock(3, 1, 1)));
        // What happens at the end of a period is part of it.
        assert_eq!((timeline(2.0, 5.0).start, timeline(2.0, 5.0).end()), (stock(3, 1, 1), stock(4, 0, 1)));
    }

    #[test]
    fn rates_are_per_second_of_each_step() {
        let changes = [0.0, 0.1, 4.9, 5.0, 10.0, 10.1].map(|seconds| (seconds, Change::Reserved));
        let rates = |until| -> Vec<f64> {
            timeline(0.0, until, stock(0, 6, 0), &changes).rates().map(|(reserved, _)| reserved).collect()
        };
        let by_five_seconds = rates(500.0);
        assert_eq!(by_five_seconds[..4], [0.6, 0.2, 0.4, 0.0]);
        // The last step is shorter than the others, and counts as a second at least.
        assert_eq!(rates(12.0)[10..], [2.0, 0.0]);
        assert_eq!(rates(10.2)[10..], [2.0]);
    }
}
