//! Bars in groups, as SVG. Colours and background are fixed, so that a chart reads the same on a dark page.

use crate::report::figure;
use std::fmt::Write;

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 380.0;
/// Where the plot lies: room for the title and the legend above, for labels to the left and below.
const LEFT: f64 = 84.0;
const RIGHT: f64 = 736.0;
const TOP: f64 = 84.0;
const BOTTOM: f64 = 316.0;
/// The part of a group's width that its bars fill.
const FILLED: f64 = 0.7;
const COLOURS: [&str; 2] = ["#8a8f98", "#2563c9"];

pub(crate) struct Chart<'a> {
    pub(crate) title: &'a str,
    /// What the groups are.
    pub(crate) across: &'a str,
    /// What the bars' heights are, with its unit.
    pub(crate) up: &'a str,
    /// Each power of ten is as high as the next: for values that differ by far.
    pub(crate) is_logarithmic: bool,
    pub(crate) groups: Vec<String>,
    /// At most two: what a colour stands for, and its value in each group.
    pub(crate) series: Vec<(String, Vec<f64>)>,
}

impl Chart<'_> {
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
        let axis = Axis::over(self.series.iter().flat_map(|(_, values)| values.iter().copied()), self.is_logarithmic);
        for tick in axis.ticks() {
            let y = axis.y(tick);
            line(
                &mut svg,
                format_args!("<line x1=\"{LEFT}\" x2=\"{RIGHT}\" y1=\"{y:.1}\" y2=\"{y:.1}\" stroke=\"#dcdcd8\"/>"),
            );
            text(&mut svg, LEFT - 8.0, y + 4.0, "end", &figure(tick));
        }
        self.bars(&mut svg, &axis);
        line(
            &mut svg,
            format_args!("<line x1=\"{LEFT}\" x2=\"{RIGHT}\" y1=\"{BOTTOM}\" y2=\"{BOTTOM}\" stroke=\"#2b2f36\"/>"),
        );
        text(&mut svg, (LEFT + RIGHT) / 2.0, HEIGHT - 18.0, "middle", self.across);
        let middle = (TOP + BOTTOM) / 2.0;
        line(
            &mut svg,
            format_args!(
                "<text x=\"20\" y=\"{middle}\" text-anchor=\"middle\" transform=\"rotate(-90 20 {middle})\">{}</text>",
                self.up
            ),
        );
        svg.push_str("</svg>\n");
        svg
    }

    fn legend(&self, svg: &mut String) {
        let mut x = LEFT;
        for ((name, _), colour) in self.series.iter().zip(COLOURS) {
            line(svg, format_args!("<rect x=\"{x}\" y=\"48\" width=\"12\" height=\"12\" rx=\"2\" fill=\"{colour}\"/>"));
            text(svg, x + 18.0, 59.0, "start", name);
            x += 48.0 + 8.0 * name.len() as f64;
        }
    }

    fn bars(&self, svg: &mut String, axis: &Axis) {
        let group_width = (RIGHT - LEFT) / self.groups.len() as f64;
        let bar_width = group_width * FILLED / self.series.len() as f64;
        for (group, name) in self.groups.iter().enumerate() {
            let middle = LEFT + group_width * (group as f64 + 0.5);
            text(svg, middle, BOTTOM + 20.0, "middle", name);
            let mut x = middle - group_width * FILLED / 2.0;
            for ((_, values), colour) in self.series.iter().zip(COLOURS) {
                if let Some(value) = values.get(group).filter(|value| value.is_finite()) {
                    let y = axis.y(*value);
                    let (width, height) = (bar_width - 4.0, BOTTOM - y);
                    line(
                        svg,
                        format_args!(
                            "<rect x=\"{:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" fill=\"{colour}\"/>",
                            x + 2.0
                        ),
                    );
                    text(svg, x + bar_width / 2.0, y - 5.0, "middle", &figure(*value));
                }
                x += bar_width;
            }
        }
    }
}

/// The scale of values, and where on it they lie.
struct Axis {
    least: f64,
    most: f64,
    step: f64,
    is_logarithmic: bool,
}

impl Axis {
    fn over(values: impl Iterator<Item = f64>, is_logarithmic: bool) -> Self {
        let (least, most) = values
            .filter(|value| value.is_finite() && *value > 0.0)
            .fold((f64::INFINITY, 1.0_f64), |(least, most), value| (least.min(value), most.max(value)));
        if is_logarithmic {
            let least = 10_f64.powf(least.min(most / 10.0).log10().floor());
            return Self { least, most: 10_f64.powf(most.log10().ceil()), step: 10.0, is_logarithmic };
        }
        // About five lines, a round number apart.
        let rough = most / 5.0;
        let power = 10_f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power);
        let step = step.into_iter().find(|step| *step >= rough).unwrap_or(rough);
        Self { least: 0.0, most: (most / step).ceil() * step, step, is_logarithmic }
    }

    fn ticks(&self) -> Vec<f64> {
        let next = |tick: &f64| if self.is_logarithmic { tick * self.step } else { tick + self.step };
        let ticks = std::iter::successors(Some(self.least), |tick| Some(next(tick)));
        // A little more, as sums of fractions are never exact.
        ticks.take_while(|tick| *tick <= self.most * 1.001).collect()
    }

    fn y(&self, value: f64) -> f64 {
        let share = if self.is_logarithmic {
            (value / self.least).log10() / (self.most / self.least).log10()
        } else {
            value / self.most
        };
        BOTTOM - share.clamp(0.0, 1.0) * (BOTTOM - TOP)
    }
}

fn text(svg: &mut String, x: f64, y: f64, anchor: &str, content: &str) {
    line(svg, format_args!("<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{content}</text>"));
}

fn line(svg: &mut String, element: std::fmt::Arguments) {
    writeln!(svg, "{element}").expect("writing to a String cannot fail");
}
