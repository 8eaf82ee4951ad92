//! One cost over a size, and the verdict on its growth.

/// A cost over a size.
pub struct Series {
    /// The cost, and its unit.
    pub cost: &'static str,
    /// The size that grows.
    pub across: &'static str,
    /// The promised order of growth.
    pub order: &'static str,
    /// The allowed multiple of the lowest cost at the largest size: for the ends of caches, and the logarithm
    /// of sorts.
    pub slack: f64,
    /// Sizes and costs; for an order of the total, the cost of each entry.
    pub points: Vec<(f64, f64)>,
}

impl Series {
    /// The cost at the largest size, as a multiple of the lowest.
    pub fn growth(&self) -> f64 {
        let least = self.points.iter().map(|point| point.1).fold(f64::INFINITY, f64::min);
        self.points.last().map_or(f64::NAN, |point| point.1 / least)
    }

    pub fn holds(&self) -> bool {
        self.growth() <= self.slack
    }

    /// A row of the page's table.
    pub fn row(&self) -> String {
        let (first, last) = (self.points.first(), self.points.last());
        let point = |point: Option<&(f64, f64)>| {
            point.map_or_else(String::new, |(size, cost)| format!("{} at {}", figure(*cost), figure(*size)))
        };
        let verdict = if self.holds() { "holds" } else { "**grows faster**" };
        format!(
            "| {} | {} | {} | {} | {} | {:.1}x of {}x | {verdict} |",
            self.across,
            self.cost,
            self.order,
            point(first),
            point(last),
            self.growth(),
            self.slack
        )
    }

    pub const HEAD: &'static str = "| what grows | cost | order | at the smallest | at the largest | \
                                    against the lowest | |\n\
                                    |---|---|---|--:|--:|--:|---|";
}

pub fn figure(value: f64) -> String {
    match value {
        _ if value >= 1e6 => format!("{} M", trim(value / 1e6)),
        _ if value >= 1e4 => format!("{} k", trim(value / 1e3)),
        _ => trim(value),
    }
}

fn trim(value: f64) -> String {
    match value {
        _ if value >= 100.0 => format!("{value:.0}"),
        _ if value >= 10.0 => format!("{value:.0}"),
        _ if value >= 1.0 => format!("{value:.1}").trim_end_matches(".0").to_owned(),
        _ => format!("{value:.2}"),
    }
}
