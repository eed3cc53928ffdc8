//! Grouped bar charts, as SVG.
//!
//! Hand-written: the three charts of the report share one fixed layout, for which `plotters` would be one more
//! dependency. What it costs has not been measured.

use super::format::number;
use std::fmt::Write;

pub(crate) struct BarChart<'a> {
    pub(crate) title: &'a str,
    pub(crate) x_label: &'a str,
    /// With the unit of the values.
    pub(crate) y_label: &'a str,
    /// For values that differ by orders of magnitude.
    pub(crate) is_logarithmic: bool,
    pub(crate) groups: Vec<String>,
    /// At most two: the name in the legend, and one value per group.
    pub(crate) series: Vec<(String, Vec<f64>)>,
}

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 380.0;

/// The edges of the plot. The title and the legend are above it, the labels of the axes to its left and below.
const LEFT: f64 = 84.0;
const RIGHT: f64 = 736.0;
const TOP: f64 = 84.0;
const BOTTOM: f64 = 316.0;

/// The share of a group's width that its bars fill.
const FILLED_SHARE: f64 = 0.7;

/// Of the series. Like the background, they are fixed, so that a chart is readable on a dark page too.
const COLOURS: [&str; 2] = ["#8a8f98", "#2563c9"];

impl BarChart<'_> {
    pub(crate) fn svg(&self) -> String {
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" \
             height=\"{HEIGHT}\" font-family=\"system-ui, sans-serif\" font-size=\"13\" fill=\"#2b2f36\" role=\"img\">\n\
             <title>{title}</title>\n\
             <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" rx=\"8\" fill=\"#fafaf8\"/>\n\
             <text x=\"20\" y=\"32\" font-size=\"17\" font-weight=\"600\">{title}</text>\n",
            title = self.title,
        );
        self.legend(&mut svg);
        let axis = Axis::new(self.series.iter().flat_map(|(_, values)| values.iter().copied()), self.is_logarithmic);
        for tick in axis.ticks() {
            let y = axis.y(tick);
            push_element(
                &mut svg,
                format_args!("<line x1=\"{LEFT}\" x2=\"{RIGHT}\" y1=\"{y:.1}\" y2=\"{y:.1}\" stroke=\"#dcdcd8\"/>"),
            );
            push_text(&mut svg, LEFT - 8.0, y + 4.0, "end", &number(tick));
        }
        self.bars(&mut svg, &axis);
        push_element(
            &mut svg,
            format_args!("<line x1=\"{LEFT}\" x2=\"{RIGHT}\" y1=\"{BOTTOM}\" y2=\"{BOTTOM}\" stroke=\"#2b2f36\"/>"),
        );
        push_text(&mut svg, (LEFT + RIGHT) / 2.0, HEIGHT - 18.0, "middle", self.x_label);
        let middle = (TOP + BOTTOM) / 2.0;
        push_element(
            &mut svg,
            format_args!(
                "<text x=\"20\" y=\"{middle}\" text-anchor=\"middle\" transform=\"rotate(-90 20 {middle})\">{}</text>",
                self.y_label
            ),
        );
        svg.push_str("</svg>\n");
        svg
    }

    fn legend(&self, svg: &mut String) {
        let mut x = LEFT;
        for ((name, _), colour) in self.series.iter().zip(COLOURS) {
            push_element(
                svg,
                format_args!("<rect x=\"{x}\" y=\"48\" width=\"12\" height=\"12\" rx=\"2\" fill=\"{colour}\"/>"),
            );
            push_text(svg, x + 18.0, 59.0, "start", name);
            x += 48.0 + 8.0 * name.len() as f64;
        }
    }

    fn bars(&self, svg: &mut String, axis: &Axis) {
        let group_width = (RIGHT - LEFT) / self.groups.len() as f64;
        let bar_width = group_width * FILLED_SHARE / self.series.len() as f64;
        for (group, name) in self.groups.iter().enumerate() {
            let middle = LEFT + group_width * (group as f64 + 0.5);
            push_text(svg, middle, BOTTOM + 20.0, "middle", name);
            let mut x = middle - group_width * FILLED_SHARE / 2.0;
            for ((_, values), colour) in self.series.iter().zip(COLOURS) {
                if let Some(value) = values.get(group).filter(|value| value.is_finite()) {
                    let y = axis.y(*value);
                    let (width, height) = (bar_width - 4.0, BOTTOM - y);
                    push_element(
                        svg,
                        format_args!(
                            "<rect x=\"{:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" fill=\"{colour}\"/>",
                            x + 2.0
                        ),
                    );
                    push_text(svg, x + bar_width / 2.0, y - 5.0, "middle", &number(*value));
                }
                x += bar_width;
            }
        }
    }
}

/// The vertical axis.
struct Axis {
    min: f64,
    max: f64,
    /// Between two ticks: a factor if the axis is logarithmic, otherwise a difference.
    step: f64,
    is_logarithmic: bool,
}

impl Axis {
    fn new(values: impl Iterator<Item = f64>, is_logarithmic: bool) -> Self {
        let (min, max) = values
            .filter(|value| value.is_finite() && *value > 0.0)
            .fold((f64::INFINITY, 1.0_f64), |(min, max), value| (min.min(value), max.max(value)));
        if is_logarithmic {
            let min = 10_f64.powf(min.min(max / 10.0).log10().floor());
            return Self { min, max: 10_f64.powf(max.log10().ceil()), step: 10.0, is_logarithmic };
        }
        // About five ticks, a round number apart.
        let rough = max / 5.0;
        let power = 10_f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power);
        let step = step.into_iter().find(|step| *step >= rough).unwrap_or(rough);
        Self { min: 0.0, max: (max / step).ceil() * step, step, is_logarithmic }
    }

    fn ticks(&self) -> Vec<f64> {
        let next = |tick: &f64| if self.is_logarithmic { tick * self.step } else { tick + self.step };
        let ticks = std::iter::successors(Some(self.min), |tick| Some(next(tick)));
        // The tolerance is for rounding errors of the sum.
        ticks.take_while(|tick| *tick <= self.max * 1.001).collect()
    }

    fn y(&self, value: f64) -> f64 {
        let share = if self.is_logarithmic {
            (value / self.min).log10() / (self.max / self.min).log10()
        } else {
            value / self.max
        };
        BOTTOM - share.clamp(0.0, 1.0) * (BOTTOM - TOP)
    }
}

fn push_text(svg: &mut String, x: f64, y: f64, anchor: &str, content: &str) {
    push_element(svg, format_args!("<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{content}</text>"));
}

fn push_element(svg: &mut String, element: std::fmt::Arguments) {
    writeln!(svg, "{element}").expect("writing to a String cannot fail");
}
