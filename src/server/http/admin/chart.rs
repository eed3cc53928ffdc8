//! The charts of a drop's board, as SVG of the server.
//!
//! Hand-written: two charts with one shape of axes, without a script, a font or a style of their own. A chart is as wide as the
//! page lets it be, while its text keeps its size: what is drawn is in a coordinate system that stretches, and where the
//! text stands is a share of the width and height. Colours, patterns and sizes are in `board.css`.

use super::zone::Zone;
use crate::{
    server::board::{Stock, Timeline, round_durations},
    text::board as words,
};
use chrono::{DateTime, TimeDelta, Utc};
use leptos::prelude::*;

/// Available, held and sold pairs over time, stacked: together they are the total.
pub(super) fn stock(drop_name: &str, timeline: &Timeline, zone: Zone) -> impl IntoView + use<> {
    let total = timeline.stocks().map(|(_, stock)| stock.total()).max().unwrap_or_default();
    let axes = Axes { from: timeline.from, until: timeline.until(), zone, marks: value_marks(total as f64, 1.0) };
    // The edges of the areas, from the bottom up.
    let edge = |height: fn(Stock) -> i64| -> Vec<Point> {
        timeline.stocks().map(|(at, stock)| (axes.x(at), axes.y(height(stock) as f64))).collect()
    };
    let [bottom, sold, held, top] =
        [edge(|_| 0), edge(|stock| stock.sold), edge(|stock| stock.sold + stock.held), edge(Stock::total)];
    let end = timeline.end();
    let legend = [
        (swatch(Some("available"), None), words::AVAILABLE, end.available),
        (swatch(None, Some(HELD)), words::HELD, end.held),
        (swatch(Some("sold"), None), words::SOLD, end.sold),
    ];
    let legend = legend.map(|(swatch, name, count)| {
        view! {
            <li>
                {swatch} {name} " " <b>{words::number(count)}</b>
            </li>
        }
    });
    let areas = [("available", area(&held, &top)), ("sold", area(&bottom, &sold))];
    let edges = [&sold, &held, &top].map(|edge| ("edge", line(edge)));
    let drawing = (stretched(areas), hatched(HELD, area(&sold, &held)), stretched(edges));
    let description = words::stock_description(
        drop_name,
        (zone.clock(timeline.from), zone.clock(timeline.until())),
        timeline.start.total(),
        [end.available, end.held, end.sold],
    );
    view! {
        <figure class="chart">
            <figcaption>
                <h2>{words::STOCK_OVER_TIME}</h2>
                <ul>{legend.collect_view()}</ul>
            </figcaption>
            {svg("board-stock", &axes, words::PAIRS, words::STOCK_OVER_TIME.into(), description, drawing.into_any())}
        </figure>
    }
}

/// How many reservations and purchases there were in each step, by the unit of time in which these numbers are easy to read.
pub(super) fn rates(drop_name: &str, timeline: &Timeline, zone: Zone) -> impl IntoView + use<> {
    let (reserved, bought): (Vec<_>, Vec<_>) = timeline.rates().unzip();
    let most = |rates: &[f64]| rates.iter().copied().fold(0.0, f64::max);
    let per_second = most(&reserved).max(most(&bought));
    let (seconds, unit) = unit_of(per_second);
    let highest = per_second * seconds;
    let marks = value_marks(highest, highest.min(0.5));
    let axes = Axes { from: timeline.from, until: timeline.until(), zone, marks };
    let ends: Vec<_> = timeline.stocks().map(|(at, _)| axes.x(at)).collect();
    let levels = |rates: &[f64]| -> Vec<Point> {
        let levels = ends.windows(2).zip(rates);
        levels.flat_map(|(ends, rate)| [(ends[0], axes.y(rate * seconds)), (ends[1], axes.y(rate * seconds))]).collect()
    };
    let bottom = levels(&vec![0.0; reserved.len()]);
    let legend = view! {
        <li>{swatch(None, Some(RESERVED))} {words::RESERVATIONS}</li>
        <li>
            <svg class="swatch-line" viewBox="0 0 16 16" aria-hidden="true">
                <path class="line" d="M0 8H16" />
            </svg>
            {words::PURCHASES}
        </li>
    };
    let edges = [("edge", line(&levels(&reserved))), ("line", line(&levels(&bought)))];
    let drawing = (hatched(RESERVED, area(&bottom, &levels(&reserved))), stretched(edges));
    let most = [&reserved, &bought].map(|rates| words::rate(most(rates) * seconds));
    let description = words::rates_description(drop_name, unit, &most);
    view! {
        <figure class="chart small">
            <figcaption>
                <h2>{words::rates_in(unit)}</h2>
                <ul>{legend}</ul>
            </figcaption>
            {svg("board-rates", &axes, unit, words::rates_in(unit), description, drawing.into_any())}
        </figure>
    }
}

/// The ids of the hatched areas.
const HELD: &str = "board-held";
const RESERVED: &str = "board-reserved";

/// In the coordinates of what is drawn, from the top left.
type Point = (f64, f64);

/// The width and the height of what is drawn.
const SIDE: f64 = 1_000.0;

/// The most marks of an axis.
const MAX_MARKS: usize = 6;

struct Axes {
    from: DateTime<Utc>,
    /// After `from`.
    until: DateTime<Utc>,
    /// Whose clocks the times are on.
    zone: Zone,
    /// Of the values, from 0 up. The last is positive and not below any value.
    marks: Vec<f64>,
}

impl Axes {
    fn x(&self, at: DateTime<Utc>) -> f64 {
        SIDE * ((at - self.from).as_seconds_f64() / (self.until - self.from).as_seconds_f64()).clamp(0.0, 1.0)
    }

    fn y(&self, value: f64) -> f64 {
        let highest = self.marks.last().copied().unwrap_or(1.0);
        SIDE * (1.0 - value / highest).clamp(0.0, 1.0)
    }

    /// Round times, and how many seconds they are apart.
    fn times(&self) -> (Vec<DateTime<Utc>>, i64) {
        let times = |apart| {
            let times = self.zone.round_times(self.from, TimeDelta::seconds(apart));
            times.take_while(|time| *time <= self.until)
        };
        let fits = |apart: &i64| times(*apart).nth(MAX_MARKS).is_none();
        let apart = round_durations().find(fits).expect("the durations grow without end");
        (times(apart).collect(), apart)
    }
}

/// Round values that are at least so far apart, from 0 to `highest` or the next one above it.
fn value_marks(highest: f64, least_apart: f64) -> Vec<f64> {
    if highest <= 0.0 {
        return vec![0.0, 1.0];
    }
    let rough = (highest / (MAX_MARKS - 1) as f64).max(least_apart);
    let power = 10_f64.powf(rough.log10().floor());
    let round = [1.0, 2.0, 5.0].map(|factor| factor * power);
    // The tolerance is for errors of rounding.
    let apart = round.into_iter().find(|apart| *apart >= rough * 0.999).unwrap_or(10.0 * power);
    (0..=(highest / apart - 0.001).ceil() as u32).map(|index| f64::from(index) * apart).collect()
}

/// The seconds and the name of the shortest unit of time in which the highest rate is at least one.
fn unit_of(highest_per_second: f64) -> (f64, &'static str) {
    let [first, .., last] = words::UNITS;
    let shortest = words::UNITS.into_iter().find(|(seconds, _)| highest_per_second * seconds >= 1.0);
    shortest.unwrap_or(if highest_per_second > 0.0 { last } else { first })
}

/// A chart with its axes. `id` is the beginning of the ids of its title and its description.
fn svg(
    id: &str,
    axes: &Axes,
    unit: &'static str,
    title: String,
    description: String,
    drawing: AnyView,
) -> impl IntoView + use<> {
    let (title_id, description_id) = (format!("{id}-title"), format!("{id}-description"));
    let marks: Vec<_> = axes.marks.iter().map(|value| (axes.y(*value), words::rate(*value))).collect();
    let has_short_values = marks.iter().all(|(_, text)| text.len() <= SHORT_VALUE);
    let values = marks.into_iter().map(|(y, text)| {
        let y = percent(y);
        view! {
            <line class="grid" x1="0" x2="100%" y1=y.clone() y2=y.clone() />
            <text class="value" x="-8" y=y dy="0.32em">
                {text}
            </text>
        }
    });
    let (times, apart) = axes.times();
    let times = times.into_iter().enumerate().map(|(index, at)| {
        let x = percent(axes.x(at));
        // A text at an end of the axis stays within the chart.
        let anchor = match axes.x(at) / SIDE {
            ..0.05 => "start",
            0.95.. => "end",
            _ => "middle",
        };
        view! {
            <line class="grid" x1=x.clone() x2=x.clone() y1="0" y2="100%" />
            <text class="time" data-odd=(index % 2 == 1).then_some("") x=x y="100%" dy="1.4em" text-anchor=anchor>
                {words::time_mark(axes.zone.clock(at), apart)}
            </text>
        }
    });
    view! {
        <svg class="plot" data-short=has_short_values.then_some("") role="img" aria-labelledby=title_id aria-describedby=description_id>
            <title id=title_id.clone()>{title}</title>
            <desc id=description_id.clone()>{description}</desc>
            <text class="unit" x="0" y="0" dy="-0.7em">
                {unit}
            </text>
            {drawing}
            {values.collect_view()}
            {times.collect_view()}
            <text class="days" x="0" y="100%" dy="2.8em">
                {words::days_of(&axes.zone.clock(axes.from), &axes.zone.clock(axes.until), axes.zone.name())}
            </text>
        </svg>
    }
}

/// The most characters of values that need little room beside the chart.
const SHORT_VALUE: usize = 5;

/// Paths with their classes, as wide and as high as the chart.
fn stretched<const N: usize>(paths: [(&'static str, String); N]) -> impl IntoView {
    let paths = paths.map(|(class, path)| view! { <path class=class d=path /> });
    view! {
        <svg viewBox=format!("0 0 {SIDE} {SIDE}") preserveAspectRatio="none" width="100%" height="100%">
            {paths.collect_view()}
        </svg>
    }
}

/// An area whose pattern is not stretched with it: of a rectangle as large as the chart, the path is what is seen.
fn hatched(id: &'static str, path: String) -> impl IntoView {
    view! {
        <pattern id=hatch_of(id) width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
            <rect class="between" width="6" height="6" />
            <rect class="hatch" width="2" height="6" />
        </pattern>
        <clipPath id=id clipPathUnits="objectBoundingBox">
            <path d=path transform=format!("scale({})", 1.0 / SIDE) />
        </clipPath>
        <rect width="100%" height="100%" fill=format!("url(#{})", hatch_of(id)) clip-path=format!("url(#{id})") />
    }
}

/// In a legend, the area with this class, or the hatched one with this id.
fn swatch(class: Option<&'static str>, hatched: Option<&str>) -> impl IntoView + use<> {
    let fill = hatched.map(|id| format!("url(#{})", hatch_of(id)));
    view! {
        <svg class="swatch" viewBox="0 0 16 16" aria-hidden="true">
            <rect class=class width="16" height="16" fill=fill />
        </svg>
    }
}

fn hatch_of(id: &str) -> String {
    format!("{id}-hatch")
}

/// What lies between two edges.
fn area(lower: &[Point], upper: &[Point]) -> String {
    let back = lower.iter().rev().copied();
    format!("{}Z", line(&upper.iter().copied().chain(back).collect::<Vec<_>>()))
}

fn line(points: &[Point]) -> String {
    let points = points.iter().enumerate();
    points.map(|(index, (x, y))| format!("{}{x:.1} {y:.1}", if index == 0 { 'M' } else { 'L' })).collect()
}

/// A coordinate as a share of the width or height.
fn percent(coordinate: f64) -> String {
    format!("{:.2}%", coordinate / SIDE * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::board::Step;

    /// Stock from one step to the next, from the start on.
    fn timeline(step: TimeDelta, stocks: &[[i64; 3]]) -> Timeline {
        let from = DateTime::from_timestamp(1_800_000_000, 0).expect("in range");
        let stock = |[available, held, sold]: [i64; 3]| Stock { available, held, sold };
        let steps = stocks.windows(2).enumerate().map(|(index, stocks)| Step {
            until: from + step * (index as i32 + 1),
            stock: stock(stocks[1]),
            reservations: (stocks[0][0] - stocks[1][0]).max(0),
            purchases: (stocks[1][2] - stocks[0][2]).max(0),
        });
        let (busiest_to_reserve, busiest_to_buy) = (None, None);
        Timeline { from, start: stock(stocks[0]), steps: steps.collect(), busiest_to_reserve, busiest_to_buy }
    }

    /// What drops can be: nothing sold, one pair, all in one step, no pair at all, a million, some days with more stock, years.
    fn timelines() -> Vec<Timeline> {
        let growing: Vec<_> = (0..=120).map(|step| [1_000_000 - 8_000 * step, 3_000 * step, 5_000 * step]).collect();
        vec![
            timeline(TimeDelta::seconds(1), &[[25, 0, 0]; 2]),
            timeline(TimeDelta::seconds(1), &[[1, 0, 0], [0, 1, 0]]),
            timeline(TimeDelta::seconds(1), &[[800, 0, 0], [0, 0, 800], [0, 0, 800]]),
            timeline(TimeDelta::minutes(1), &[[0, 0, 0]; 3]),
            timeline(TimeDelta::minutes(5), &growing),
            timeline(TimeDelta::hours(1), &[[7, 0, 0], [6, 1, 0], [6, 0, 1], [16, 0, 1], [15, 1, 1]]),
            timeline(TimeDelta::days(90), &[[3, 0, 0], [2, 0, 1], [0, 0, 3], [1, 0, 2]]),
        ]
    }

    fn render(timeline: &Timeline) -> [String; 2] {
        [stock("Volt Runner", timeline, Zone::UTC).to_html(), rates("Volt Runner", timeline, Zone::UTC).to_html()]
    }

    /// The values of an attribute, in their order.
    fn attributes<'a>(html: &'a str, name: &str) -> Vec<&'a str> {
        let before = format!(" {name}=\"");
        let values = html.split(&*before).skip(1);
        values.map(|rest| rest.split('"').next().expect("a quoted value")).collect()
    }

    fn points(path: &str) -> Vec<Point> {
        let points = path.trim_end_matches('Z').split(['M', 'L']).skip(1);
        let number = |text: &str| text.parse().unwrap_or_else(|error| panic!("{error}: {text} in {path}"));
        points.map(|point| point.split_once(' ').expect("two numbers")).map(|(x, y)| (number(x), number(y))).collect()
    }

    #[test]
    fn everything_lies_within_the_chart() {
        for html in timelines().iter().flat_map(render) {
            let paths: Vec<_> = attributes(&html, "d").into_iter().filter(|path| *path != "M0 8H16").collect();
            assert!(paths.len() >= 3, "{html}");
            for (x, y) in paths.into_iter().flat_map(points) {
                assert!((0.0..=SIDE).contains(&x) && (0.0..=SIDE).contains(&y), "{x} {y} in {html}");
            }
            for share in ["x", "x1", "x2", "y", "y1", "y2"].map(|name| attributes(&html, name)).concat() {
                let share: f64 = share.trim_end_matches('%').parse().expect("a number");
                assert!((0.0..=100.0).contains(&share) || share == -8.0, "{share} in {html}");
            }
            assert!(!html.contains("NaN") && !html.contains("inf%"), "{html}");
        }
    }

    #[test]
    fn the_areas_lie_on_each_other_and_reach_from_nothing_to_the_total() {
        for timeline in timelines() {
            let html = stock("Volt Runner", &timeline, Zone::UTC).to_html();
            let [available, sold, held, ..] = attributes(&html, "d")[..] else { panic!("three areas: {html}") };
            let edges = |path| {
                let mut upper = points(path);
                let mut lower = upper.split_off(upper.len() / 2);
                lower.reverse();
                (lower, upper)
            };
            let [(bottom, sold), (held_from, held), (available_from, top)] = [sold, held, available].map(edges);
            assert_eq!((&held_from, &available_from), (&sold, &held));
            assert!(bottom.iter().all(|(_, y)| *y == SIDE), "{bottom:?}");
            let marks = value_marks(timeline.stocks().map(|(_, stock)| stock.total()).max().unwrap_or(0) as f64, 1.0);
            let highest = marks.last().expect("at least two");
            for ((_, y), (_, stock)) in top.iter().zip(timeline.stocks()) {
                let pairs = (SIDE - y) / SIDE * highest;
                assert!((pairs - stock.total() as f64).abs() <= highest * 1e-4, "{pairs} instead of {stock:?}");
            }
        }
    }

    #[test]
    fn marks_of_values_are_round_few_and_reach_the_highest() {
        for highest in [0.03, 0.6, 1.0, 4.7, 5.0, 7.0, 25.0, 100.0, 133.0, 999.0, 1_000_001.0, 5e7] {
            let marks = value_marks(highest, 0.0);
            assert!((2..=MAX_MARKS).contains(&marks.len()), "{highest}: {marks:?}");
            assert!(marks[0] == 0.0 && marks[marks.len() - 1] >= highest * 0.999, "{highest}: {marks:?}");
            let apart = marks[1];
            let digits = format!("{apart:e}");
            assert!(["1e", "2e", "5e"].iter().any(|round| digits.starts_with(round)), "{highest}: {marks:?}");
            // Nearly half of the chart may be empty, but no more.
            assert!(marks[marks.len() - 1] < highest * 2.0, "{highest}: {marks:?}");
        }
        assert_eq!(value_marks(0.0, 1.0), [0.0, 1.0]);
        assert_eq!(value_marks(2.0, 1.0), [0.0, 1.0, 2.0]);
    }

    #[test]
    fn marks_of_times_are_round_and_few() {
        let from = DateTime::from_timestamp(1_800_000_007, 0).expect("in range");
        for seconds in [1, 9, 40, 97, 3_600, 7_920, 86_400, 260_000, 31_000_000, 4_000_000_000] {
            let (until, marks) = (from + TimeDelta::seconds(seconds), vec![0.0, 1.0]);
            let axes = Axes { from, until, zone: Zone::UTC, marks };
            let (times, apart) = axes.times();
            assert!((1..=MAX_MARKS).contains(&times.len()), "{seconds}: {times:?}");
            assert!(round_durations().any(|round| round == apart), "{seconds}: {apart}");
            assert!(times.iter().all(|time| time.timestamp() % apart == 0), "{seconds}: {times:?}");
            assert!(times.iter().all(|time| (from..=axes.until).contains(time)), "{seconds}: {times:?}");
        }
    }

    #[test]
    fn a_name_is_text_wherever_it_stands() {
        let html = timelines().into_iter().flat_map(|timeline| {
            let name = "<script>\"&'</title>";
            [stock(name, &timeline, Zone::UTC).to_html(), rates(name, &timeline, Zone::UTC).to_html()]
        });
        for html in html {
            assert!(html.contains("&lt;script&gt;"), "{html}");
            assert!(!html.contains("<script>") && !html.contains("'</title>"), "{html}");
        }
    }
}
