//! The HTML page: the machine, the main figures, all workloads side by side, and each with its curves and its
//! table.

use super::curves::{Decades, curves};
use super::figures::Figures;
use super::overview::{groups, most, rate, spans};
use super::report::Report;
use super::text;
use super::workload::Workload;
use crate::figure::thousands;

const STYLE: &str = include_str!("page.css");

pub(super) fn page(report: &Report) -> String {
    let groups = groups(report);
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
         <title>stockhold bench</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<h1>stockhold bench</h1>\n\
         <p>{}; stockhold {}, {} s a measurement.</p>\n",
        escaped(&report.machine.to_string()),
        report.version,
        report.seconds
    );
    for caveat in report.machine.caveats() {
        page += &format!("<p class=\"caveat\">{}</p>\n", escaped(&caveat));
    }
    if let Some(disk) = &report.disk {
        page += &format!("<p>{}.</p>\n", escaped(&text::disk(disk)));
    }
    page += &format!("<p class=\"soft\">{}</p>\n", text::LACKS);
    if let Some(first) = report.figures.first() {
        page += &headline(first);
    }
    page += &levels(report);
    page += &format!(
        "<div class=\"plots\">\n<figure><figcaption>Highest number of decisions a second</figcaption>\n\
         <p class=\"soft\">One thread per core, many in flight; counted when acknowledged.</p>\n{}</figure>\n\
         <figure><figcaption>Time to acknowledgement, p50 – p99</figcaption>\n\
         <p class=\"soft\">At {} operations a second, from the time at which each was due. Logarithmic \
         scale.</p>\n{}</figure>\n</div>\n",
        most(&groups),
        rate(),
        spans(&groups)
    );
    for (workload, figures) in &groups {
        page += &section(*workload, figures);
    }
    page += "<h2>Columns</h2>\n<dl>\n";
    for (name, meaning) in text::LEGEND {
        page += &format!("<dt>{name}</dt><dd>{}</dd>\n", escaped(meaning));
    }
    page += "</dl>\n<p class=\"soft\">After each measurement, the answers to the clients, the counters and the \
             levels agreed.</p>\n";
    page + "</body>\n</html>\n"
}

/// The first measured workload and level, in large figures.
fn headline(one: &Figures) -> String {
    let closed = &one.closed;
    let mut tiles = vec![(
        thousands(closed.decisions_per_second as u64),
        "decisions a second, the highest rate".to_string(),
    )];
    for open in &one.open {
        let [p50, p99] = [open.latency.p50_ns, open.latency.p99_ns].map(text::time);
        let rate = thousands(open.offered_per_second);
        tiles.push((p99, format!("p99 from due to acknowledged, at {rate} a second (p50 {p50})")));
    }
    if let Some(bytes) = closed.log_bytes_per_decision {
        tiles.push((text::bytes(bytes), "of log per decision".to_string()));
    }
    if let Some(bytes) = closed.memory_bytes_per_hold {
        tiles.push((text::bytes(bytes), "of memory per hold".to_string()));
    }
    let mut html = format!(
        "<h2>{} at {}</h2>\n<p class=\"soft\">{}. {}.</p>\n<div class=\"tiles\">\n",
        one.workload.name(),
        one.level.name(),
        escaped(&one.workload.sentence()),
        escaped(&one.level.sentence())
    );
    for (figure, meaning) in tiles {
        html += &format!("<div><b>{figure}</b>{meaning}</div>\n");
    }
    html + "</div>\n"
}

/// The legend of the colours.
fn levels(report: &Report) -> String {
    let mut html = String::from("<h2>All measurements</h2>\n<ul class=\"levels\">\n");
    let mut seen = Vec::new();
    for level in report.figures.iter().map(|one| one.level) {
        if !seen.contains(&level) {
            seen.push(level);
            let (name, sentence) = (level.name(), escaped(&level.sentence()));
            html += &format!("<li>{}<b>{name}</b>: {sentence}</li>\n", swatch(&name));
        }
    }
    html + "</ul>\n"
}

fn swatch(level: &str) -> String {
    format!(
        "<svg class=\"swatch {level}\" viewBox=\"0 0 28 8\"><line class=\"line\" x1=\"0\" x2=\"28\" y1=\"4\" y2=\"4\"/></svg>"
    )
}

fn section(workload: Workload, figures: &[&Figures]) -> String {
    let mut html = format!(
        "<h2>{}</h2>\n<p class=\"soft\">{}</p>\n<div class=\"plots\">\n",
        workload.name(),
        escaped(&workload.sentence())
    );
    let decades = Decades::around(figures.iter().flat_map(|one| &one.open));
    let captions = [format!("At {} a second", rate()), "At half of each level's highest rate".to_string()];
    for (number, caption) in captions.into_iter().enumerate() {
        html += &format!(
            "<figure><figcaption>{caption}</figcaption>\n{}</figure>\n",
            curves(figures, number, decades)
        );
    }
    html += "</div>\n<div class=\"scroll\"><table>\n<tr>";
    for column in text::COLUMNS {
        html += &format!("<th>{column}</th>");
    }
    html += "</tr>\n";
    for one in figures {
        for (number, open) in one.open.iter().enumerate() {
            let closed = text::closed(one).map(|cell| if number == 0 { cell } else { String::new() });
            let cells = closed.into_iter().chain(text::open_loop(open));
            html += if number == 0 { "<tr class=\"level\">" } else { "<tr>" };
            cells.for_each(|cell| html += &format!("<td>{}</td>", escaped(&cell)));
            html += "</tr>\n";
        }
        for sentence in one.open.iter().filter_map(text::behind) {
            html += &format!("<tr><td colspan=\"{}\">{sentence}</td></tr>\n", text::COLUMNS.len());
        }
    }
    html + "</table></div>\n"
}

/// Escapes text for use between tags.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_contain_a_tag() {
        assert_eq!(escaped("<b> & co"), "&lt;b&gt; &amp; co");
    }
}
