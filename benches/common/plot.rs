//! Draws panels of lines as one SVG, each with its own axes, readable on light and dark pages.

/// The scale of an axis.
#[derive(Clone, Copy, PartialEq, Eq)]
#[allow(dead_code)] // not all by every benchmark
pub enum Scale {
    /// Linear, from zero.
    Linear,
    Log,
    /// Logarithmic, with powers of two as ticks.
    Doublings,
}

pub struct Line {
    /// The label; empty if it is the panel's only line.
    pub name: &'static str,
    pub colour: &'static str,
    pub points: Vec<(f64, f64)>,
}

pub struct Panel {
    /// The meaning of the lines, and the unit.
    pub title: String,
    /// The meaning of the horizontal axis, and its unit; empty if the panel below has it.
    pub across: &'static str,
    pub x: Scale,
    pub y: Scale,
    pub lines: Vec<Line>,
    /// A position with a vertical mark, and its name.
    pub mark: Option<(f64, String)>,
}

#[allow(dead_code)] // not by every benchmark
pub const COLOURS: [&str; 4] = ["#1b6ca8", "#c0561b", "#2a7f4f", "#6b4fa0"];

const LEFT: f64 = 62.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 42.0;

/// Draws panels in rows of `columns`, each of this width and height in pixels, with `caption` below.
pub fn draw(panels: &[Panel], columns: usize, (width, height): (f64, f64), caption: &str) -> String {
    let rows = panels.len().div_ceil(columns);
    let (whole_width, whole_height) = (width * columns as f64, height * rows as f64 + 34.0);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {whole_width} {whole_height}\" \
         font-family=\"sans-serif\" font-size=\"11\">\n<rect width=\"100%\" height=\"100%\" fill=\"#fcfcfa\"/>\n"
    );
    for (number, panel) in panels.iter().enumerate() {
        let (column, row) = ((number % columns) as f64, (number / columns) as f64);
        svg += &format!("<g transform=\"translate({} {})\">\n", column * width, row * height);
        panel.draw(&mut svg, width, height);
        svg += "</g>\n";
    }
    svg + &format!(
        "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\" fill=\"#666\">{}</text>\n</svg>\n",
        whole_width / 2.0,
        whole_height - 14.0,
        escape(caption)
    )
}

impl Panel {
    fn draw(&self, svg: &mut String, width: f64, height: f64) {
        let points = || self.lines.iter().flat_map(|line| &line.points);
        let marked = self.mark.iter().map(|(at, _)| *at);
        let across = Axis::of(self.x, points().map(|point| point.0).chain(marked), (LEFT, width - RIGHT));
        let bottom = height - if self.across.is_empty() { 14.0 } else { 44.0 };
        let up = Axis::of(self.y, points().map(|point| point.1), (bottom, TOP));

        *svg += &format!(
            "<text x=\"{LEFT}\" y=\"18\" fill=\"#222\" font-size=\"12\">{}</text>\n",
            escape(&self.title)
        );
        let mut legend = LEFT;
        for line in self.lines.iter().filter(|line| !line.name.is_empty()) {
            *svg += &format!(
                "<line x1=\"{legend}\" x2=\"{}\" y1=\"30\" y2=\"30\" stroke=\"{}\" stroke-width=\"2.5\"/>\
                 <text x=\"{}\" y=\"34\" fill=\"#444\">{}</text>\n",
                legend + 14.0,
                line.colour,
                legend + 18.0,
                escape(line.name)
            );
            legend += 34.0 + 5.8 * line.name.chars().count() as f64;
        }
        for tick in up.ticks() {
            let y = up.at(tick);
            *svg += &format!(
                "<line x1=\"{LEFT}\" x2=\"{}\" y1=\"{y:.1}\" y2=\"{y:.1}\" stroke=\"#ddd\"/>\
                 <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\" fill=\"#666\">{}</text>\n",
                width - RIGHT,
                LEFT - 6.0,
                y + 4.0,
                short(tick, self.y)
            );
        }
        if !self.across.is_empty() {
            for tick in across.ticks() {
                let x = across.at(tick);
                *svg += &format!(
                    "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{bottom}\" y2=\"{}\" stroke=\"#999\"/>\
                     <text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\" fill=\"#666\">{}</text>\n",
                    bottom + 4.0,
                    bottom + 16.0,
                    short(tick, self.x)
                );
            }
            *svg += &format!(
                "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\" fill=\"#222\">{}</text>\n",
                (LEFT + width - RIGHT) / 2.0,
                bottom + 32.0,
                escape(self.across)
            );
        }
        if let Some((at, name)) = &self.mark {
            let x = across.at(*at);
            let (anchor, aside) = if x < width / 2.0 { ("start", 4.0) } else { ("end", -4.0) };
            *svg += &format!(
                "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{TOP}\" y2=\"{bottom}\" stroke=\"#888\" stroke-dasharray=\"3 3\"/>\
                 <text x=\"{:.1}\" y=\"{}\" text-anchor=\"{anchor}\" fill=\"#666\">{}</text>\n",
                x + aside,
                bottom - 6.0,
                escape(name)
            );
        }
        for line in &self.lines {
            let at: Vec<(f64, f64)> = line.points.iter().map(|(x, y)| (across.at(*x), up.at(*y))).collect();
            let drawn: Vec<String> = at.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
            *svg += &format!(
                "<polyline fill=\"none\" stroke=\"{}\" stroke-width=\"1.4\" points=\"{}\"/>\n",
                line.colour,
                drawn.join(" ")
            );
            // Dots only if there are few points.
            for (x, y) in at.iter().filter(|_| at.len() <= 16) {
                *svg +=
                    &format!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2.6\" fill=\"{}\"/>\n", line.colour);
            }
        }
    }
}

/// Maps a range of numbers to a range of pixels.
struct Axis {
    scale: Scale,
    least: f64,
    most: f64,
    from: f64,
    to: f64,
}

impl Axis {
    fn of(scale: Scale, numbers: impl Iterator<Item = f64>, (from, to): (f64, f64)) -> Axis {
        let (mut least, mut most) = (f64::INFINITY, f64::NEG_INFINITY);
        for number in numbers {
            (least, most) = (least.min(number), most.max(number));
        }
        let (least, most) = match scale {
            Scale::Linear => (0.0, nice(most)),
            Scale::Log => (below(least), above(most)),
            Scale::Doublings => (least, most),
        };
        Axis { scale, least, most, from, to }
    }

    fn at(&self, number: f64) -> f64 {
        let part = match self.scale {
            Scale::Linear => (number - self.least) / (self.most - self.least),
            Scale::Log | Scale::Doublings => (number / self.least).ln() / (self.most / self.least).ln(),
        };
        self.from + part * (self.to - self.from)
    }

    fn ticks(&self) -> Vec<f64> {
        if self.scale == Scale::Linear {
            return (0..=4).map(|part| self.most * f64::from(part) / 4.0).collect();
        }
        if self.scale == Scale::Doublings {
            let step = if self.most / self.least > 100.0 { 4.0 } else { 2.0 };
            let ticks = std::iter::successors(Some(self.least), |tick| Some(tick * step));
            return ticks.take_while(|tick| *tick <= self.most).collect();
        }
        let few = (self.most / self.least) < 300.0;
        let steps: &[f64] = if few { &[1.0, 2.0, 5.0] } else { &[1.0] };
        (-9..15)
            .flat_map(|power| steps.iter().map(move |step| step * 10f64.powi(power)))
            .filter(|tick| (self.least * 0.999..=self.most * 1.001).contains(tick))
            .collect()
    }
}

const STEPS: [f64; 4] = [1.0, 2.0, 5.0, 10.0];

fn power(value: f64) -> f64 {
    10f64.powf((value.max(1e-9) * 1.000_001).log10().floor())
}

/// The next power of ten, times 1, 2 or 5, above; and below.
fn above(value: f64) -> f64 {
    let power = power(value);
    STEPS.into_iter().map(|step| step * power).find(|step| *step * 1.000_001 >= value).unwrap_or(value)
}

fn below(value: f64) -> f64 {
    let power = power(value);
    STEPS.into_iter().rev().map(|step| step * power).find(|step| *step <= value * 1.000_001).unwrap_or(value)
}

/// The next number above whose quarters are round.
fn nice(value: f64) -> f64 {
    let power = power(value);
    let steps = [1.0, 1.2, 1.6, 2.0, 2.4, 3.2, 4.0, 6.0, 8.0, 10.0];
    steps.into_iter().map(|step| step * power).find(|step| *step >= value).unwrap_or(value)
}

fn short(value: f64, scale: Scale) -> String {
    let trim = |value: f64, suffix| {
        let digits = if value < 10.0 { format!("{value:.1}") } else { format!("{value:.0}") };
        format!("{}{suffix}", digits.trim_end_matches(".0"))
    };
    match value {
        _ if value == 0.0 => "0".into(),
        _ if value >= 1e6 => trim(value / 1e6, " M"),
        _ if value >= 1e4 || (value >= 1e3 && scale == Scale::Log) => trim(value / 1e3, " k"),
        _ if value < 0.1 => format!("{value}"),
        _ => trim(value, ""),
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
