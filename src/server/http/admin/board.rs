//! The board on the page of a drop.

use super::{chart, zone::Zone};
use crate::{
    server::board::{Board, BusySecond, Figures, NodeFigures, Period, Stock, Timeline},
    text::{self, board as words, desk},
};
use leptos::{either::Either, prelude::*};

pub(super) fn content(board: &Board, zone: Zone) -> impl IntoView + use<> {
    let history = match &board.timeline {
        Some(timeline) => Either::Left(history(board, timeline, zone)),
        None => Either::Right(view! { <p class="empty">{words::NOTHING_YET}</p> }),
    };
    view! {
        <section id="board" data-drop=board.drop_id aria-label=words::BOARD>
            {history}
            {sizes(board)}
            {node(&board.node, zone)}
        </section>
    }
}

/// In its place while it cannot be read. A page that follows the sale asks for it again.
pub(super) fn unavailable() -> impl IntoView {
    view! {
        <section id="board" aria-label=words::BOARD>
            <p class="empty">{words::UNAVAILABLE}</p>
        </section>
    }
}

fn history(board: &Board, timeline: &Timeline, zone: Zone) -> impl IntoView + use<> {
    let span = timeline.until() - timeline.from;
    let second = |busy: BusySecond| (busy.count, words::time_within(zone.clock(busy.at), span));
    // Of seconds with one reservation each, none is the busiest.
    let busiest = timeline.busiest_to_reserve.filter(|reserved| reserved.count > 1);
    let busiest = busiest.map(|reserved| words::busiest(second(reserved), timeline.busiest_to_buy.map(second)));
    view! {
        {headline(&board.all)}
        {periods(board)}
        <p class="quiet">{words::as_of(zone.clock(board.read_at))} " " {busiest}</p>
        {chart::stock(&board.drop_name, timeline, zone)}
        {chart::rates(&board.drop_name, timeline, zone)}
        <details>
            <summary>{words::FIGURES_OF_THE_CHART}</summary>
            {steps(timeline, zone)}
            <p class="quiet">{words::SINCE_THE_ROW_BEFORE} " " {desk::times_in(zone.name())}</p>
        </details>
        <p class="quiet">{words::complete_since(board.pruned_until.map(|until| zone.clock(until)))}</p>
    }
}

fn headline(all: &Figures) -> impl IntoView + use<> {
    let figures = [
        (words::SOLD, words::of(all.stock.sold, all.stock.total())),
        (words::AVAILABLE, words::number(all.stock.available)),
        (words::HELD, words::number(all.stock.held)),
        (words::CONVERSION, words::share(all.conversion())),
        (words::MEDIAN_TIME, words::duration(all.median_seconds)),
        (words::EXPIRED, words::number(all.expired)),
        (words::GIVEN_BACK, words::number(all.released)),
        (words::PURCHASES_CANCELLED, words::number(all.purchases_cancelled)),
    ];
    let figures = figures.map(|(name, value)| {
        view! {
            <div>
                <dt>{name}</dt>
                <dd>{value}</dd>
            </div>
        }
    });
    view! { <dl class="headline">{figures.collect_view()}</dl> }
}

/// Links to the same board with other periods.
fn periods(board: &Board) -> impl IntoView + use<> {
    let periods = board.periods.iter().map(|period| {
        let label = match period {
            Period::All => words::WHOLE_PERIOD.into(),
            Period::First(seconds) => words::first_period(*seconds),
            Period::Last(seconds) => words::last_period(*seconds),
        };
        view! {
            <a
                href=format!("/admin/drops/{}?period={period}#board", board.drop_id)
                aria-current=(*period == board.period).then_some("true")
            >
                {label}
            </a>
        }
    });
    let has_choice = !board.periods.is_empty();
    has_choice.then(|| view! { <nav class="periods" aria-label=words::PERIOD>{periods.collect_view()}</nav> })
}

/// The stock at some of the times that the chart shows, with the first and the last.
fn steps(timeline: &Timeline, zone: Zone) -> impl IntoView + use<> {
    let columns =
        [words::UNTIL, words::AVAILABLE, words::HELD, words::SOLD, text::TOTAL, words::RESERVATIONS, words::PURCHASES];
    let span = timeline.until() - timeline.from;
    let row = |at, stock: Stock, moved: Option<[i64; 2]>| {
        let moved = moved.map_or([words::NONE; 2].map(String::from), |moved| moved.map(words::number));
        let counts = [stock.available, stock.held, stock.sold, stock.total()].map(words::number);
        Row { name: words::time_within(zone.clock(at), span), values: counts.into_iter().chain(moved).collect() }
    };
    let start = row(timeline.from, timeline.start, None);
    let steps_in_a_row = timeline.steps.len().div_ceil(MAX_ROWS - 1);
    let rows = timeline.steps.chunks(steps_in_a_row).filter_map(|steps| {
        let reservations = steps.iter().map(|step| step.reservations).sum();
        let purchases = steps.iter().map(|step| step.purchases).sum();
        steps.last().map(|last| row(last.until, last.stock, Some([reservations, purchases])))
    });
    table(words::FIGURES_OF_THE_CHART, &columns, std::iter::once(start).chain(rows).collect())
}

/// How many rows the table of the charts' figures has: what somebody reads, or listens to.
const MAX_ROWS: usize = 30;

fn sizes(board: &Board) -> impl IntoView + use<> {
    let columns = [
        text::SIZE,
        words::AVAILABLE,
        words::HELD,
        words::SOLD,
        text::TOTAL,
        words::RESERVATIONS,
        words::PURCHASES,
        words::EXPIRED,
        words::GIVEN_BACK,
        words::CANCELLED,
        words::CONVERSION,
        words::MEDIAN_TIME,
    ];
    let row = |label: &str, figures: &Figures| {
        let Figures { stock, completed, expired, released, purchases_cancelled, median_seconds } = figures;
        let counts = [
            stock.available,
            stock.held,
            stock.sold,
            stock.total(),
            figures.reservations(),
            *completed,
            *expired,
            *released,
            *purchases_cancelled,
        ];
        let shares = [words::share(figures.conversion()), words::duration(*median_seconds)];
        Row { name: label.to_owned(), values: counts.map(words::number).into_iter().chain(shares).collect() }
    };
    let rows = board.sizes.iter().map(|(label, figures)| row(label, figures));
    // Of a single size the row would say the same again.
    let all = (board.sizes.len() > 1).then(|| row(words::ALL_SIZES, &board.all));
    view! {
        <h2>{words::BY_SIZE}</h2>
        {table(words::BY_SIZE, &columns, rows.chain(all).collect())}
    }
}

fn node(node: &NodeFigures, zone: Zone) -> impl IntoView + use<> {
    let refusals = node.refusals.iter().map(|(code, count)| {
        view! {
            <div>
                <dt>{words::refusal(code).to_owned()}</dt>
                <dd>{words::number(*count as i64)}</dd>
            </div>
        }
    });
    let refusals = match node.refusals.is_empty() {
        true => Either::Left(view! { <p>{words::NOTHING_REFUSED}</p> }),
        false => Either::Right(view! { <dl class="refusals">{refusals.collect_view()}</dl> }),
    };
    view! {
        <h2>{words::on_this_node(zone.clock(node.since))}</h2>
        <p class="quiet">{words::NODE_ONLY}</p>
        <h3>{words::CONNECTED_NOW}</h3>
        <p>{words::connected(node.pages, node.socket_io_clients)}</p>
        <h3>{words::REFUSED}</h3>
        {refusals}
    }
}

/// A table of numbers, the first column being the name of the row. It scrolls sideways where it is wider than the page, also by
/// the keyboard.
fn table(name: &'static str, columns: &[&'static str], rows: Vec<Row>) -> impl IntoView + use<> {
    let columns = columns.iter().map(|column| view! { <th scope="col">{*column}</th> });
    let rows = rows.into_iter().map(|Row { name, values }| {
        view! {
            <tr>
                <th scope="row">
                    <bdi>{name}</bdi>
                </th>
                {values.into_iter().map(|value| view! { <td>{value}</td> }).collect_view()}
            </tr>
        }
    });
    view! {
        <div class="wide" role="region" tabindex="0" aria-label=name>
            <table>
                <thead>
                    <tr>{columns.collect_view()}</tr>
                </thead>
                <tbody>{rows.collect_view()}</tbody>
            </table>
        </div>
    }
}

struct Row {
    name: String,
    values: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::board::Step;
    use chrono::{DateTime, TimeDelta};

    /// One pair is sold in each of the steps.
    fn board(steps: i64, sizes: &[&str]) -> Board {
        let from = DateTime::from_timestamp(1_800_000_000, 0).expect("in range");
        let stock = |sold| Stock { available: steps - sold, held: 0, sold };
        let step =
            |sold| Step { until: from + TimeDelta::seconds(sold), stock: stock(sold), reservations: 1, purchases: 1 };
        let figures = Figures { stock: stock(steps), completed: steps, ..Figures::default() };
        Board {
            drop_id: 7,
            drop_name: "Volt <b> Runner".into(),
            read_at: from + TimeDelta::seconds(steps),
            period: Period::All,
            periods: vec![],
            timeline: (steps > 0).then(|| Timeline {
                from,
                start: stock(0),
                steps: (1..=steps).map(step).collect(),
                busiest_to_reserve: None,
                busiest_to_buy: None,
            }),
            all: figures.clone(),
            sizes: sizes.iter().map(|label| (label.to_string(), figures.clone())).collect(),
            pruned_until: None,
            node: NodeFigures { since: from, pages: 1, socket_io_clients: 0, refusals: vec![("sold_out", 1_234)] },
        }
    }

    /// How many rows the tables of a page have, without those of the columns' names.
    fn rows(html: &str) -> usize {
        html.matches("scope=\"row\"").count()
    }

    #[test]
    fn the_table_of_the_charts_has_few_rows_with_every_pair_in_them() {
        for steps in [1, 2, 29, 30, 31, 58, 119, 120] {
            let board = board(steps, &[]);
            let timeline = board.timeline.as_ref().expect("something happened");
            let html = super::steps(timeline, Zone::UTC).to_html();
            assert!((2..=MAX_ROWS).contains(&rows(&html)), "{steps} steps: {} rows", rows(&html));
            let cells: Vec<_> =
                html.split("<td>").skip(1).map(|cell| cell.split('<').next().unwrap_or_default()).collect();
            let purchases = cells.iter().skip(5).step_by(6).filter_map(|cell| cell.parse::<i64>().ok());
            assert_eq!(purchases.sum::<i64>(), steps, "{html}");
            assert_eq!(cells[cells.len() - 4], words::number(steps), "the last row has all that was sold: {html}");
        }
    }

    #[test]
    fn several_sizes_have_a_row_for_all_of_them() {
        assert_eq!(rows(&sizes(&board(1, &["One size"])).to_html()), 1);
        assert_eq!(rows(&sizes(&board(1, &["S", "M"])).to_html()), 3);
    }

    #[test]
    fn what_has_not_begun_has_no_chart() {
        let html = content(&board(0, &["One size"]), Zone::UTC).to_html();
        assert!(html.contains(words::NOTHING_YET) && !html.contains("<figure"), "{html}");
    }

    #[test]
    fn a_board_is_one_element_without_styles_and_scripts_of_its_own() {
        let html = content(&board(40, &["<S>", "M"]), Zone::UTC).to_html();
        assert!(html.starts_with("<section id=\"board\" data-drop=\"7\"") && html.ends_with("</section>"), "{html}");
        assert_eq!(html.matches("<section").count(), 1, "{html}");
        assert!(html.contains("&lt;S&gt;") && html.contains("1,234"), "{html}");
        for never in ["style=", "<script", "<style", "<b> Runner", "<S>"] {
            assert!(!html.contains(never), "{never} in {html}");
        }
    }
}
