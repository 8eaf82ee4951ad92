//! All workloads side by side, as HTML boxes, which adapt to the width of the page without scaling their
//! text.

use super::args::chosen;
use super::curves::Decades;
use super::figures::Figures;
use super::report::Report;
use super::schedule::RATE;
use super::text::time;
use super::workload::Workload;
use crate::figure::thousands;

/// The workloads that were measured, each with its levels.
pub(super) fn groups(report: &Report) -> Vec<(Workload, Vec<&Figures>)> {
    let of = |workload| report.figures.iter().filter(|one| one.workload == workload).collect();
    let all = chosen(&[]).map(|workload| (workload, of(workload)));
    all.filter(|(_, figures): &(_, Vec<_>)| !figures.is_empty()).collect()
}

/// Decisions a second, on one scale that starts at zero.
pub(super) fn most(groups: &[(Workload, Vec<&Figures>)]) -> String {
    let rate = |one: &Figures| one.closed.decisions_per_second;
    let longest = groups.iter().flat_map(|(_, figures)| figures).map(|one| rate(one)).fold(1.0, f64::max);
    rows(groups, |one| (0.0, rate(one) / longest, thousands(rate(one) as u64)))
}

/// Latency from p50 to p99 at [`RATE`].
pub(super) fn spans(groups: &[(Workload, Vec<&Figures>)]) -> String {
    let all = groups.iter().flat_map(|(_, figures)| figures).filter_map(|one| one.open.first());
    let decades = Decades::around(all);
    let mut axis = String::from("<div class=\"axis\">");
    for (share, name) in decades.lines() {
        axis += &format!("<span style=\"left:{:.2}%\">{name}</span>", share * 100.0);
    }
    let rows = rows(groups, |one| {
        let Some(open) = one.open.first() else { return (0.0, 0.0, String::new()) };
        let [from, to] = [open.latency.p50_ns, open.latency.p99_ns];
        (decades.share(from), decades.share(to), format!("{} – {}", time(from), time(to)))
    });
    rows + "<div class=\"row\"><span></span><div>" + &axis + "</div></div></div>\n"
}

/// [`RATE`] as text.
pub(super) fn rate() -> String {
    thousands(RATE)
}

/// One row per workload with one box per level. `of` returns the box's begin and end as fractions of the
/// width, and its label.
fn rows(groups: &[(Workload, Vec<&Figures>)], of: impl Fn(&Figures) -> (f64, f64, String)) -> String {
    let mut html = String::new();
    for (workload, figures) in groups {
        html += &format!("<div class=\"row\"><span>{}</span><div>\n", workload.name());
        for one in figures {
            let (from, to, label) = of(one);
            html += &format!(
                "<div class=\"track\"><div><i class=\"{level}\" style=\"left:{:.2}%;width:{:.2}%\" title=\"{level}\"></i></div>\
                 <b>{label}</b></div>\n",
                from * 100.0,
                (to - from) * 100.0,
                level = one.level.name()
            );
        }
        html += "</div></div>\n";
    }
    html
}
