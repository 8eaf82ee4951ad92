//! One page: how it was measured, on what, and the plots.

use super::plot::{bars, curves, escaped};
use super::text;
use super::{Report, chosen};

const STYLE: &str = "
:root { color-scheme: light dark; --ink: #1c1e21; --soft: #666b73; --rule: #d9dce1; --paper: #fff;
  --sync: #1b6ca8; --interval: #a8541b; --memory: #2a7f4f; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8eb; --soft: #9aa1ab; --rule: #3a3f46; --paper: #16181b;
  --sync: #63b3ed; --interval: #f0a35e; --memory: #68c690; } }
body { margin: 2rem auto; max-width: 60rem; padding: 0 1rem; font: 15px/1.5 system-ui, sans-serif;
  color: var(--ink); background: var(--paper); }
h1 { font-size: 1.6rem; margin-bottom: .2rem; } h2 { font-size: 1.15rem; margin: 2.2rem 0 .2rem; }
p { margin: .3rem 0; } .soft { color: var(--soft); }
.pair { display: flex; flex-wrap: wrap; gap: 1.5rem; align-items: flex-start; }
svg { width: 100%; height: auto; } .pair > svg.bars { flex: 2 1 16rem; } .pair > svg.curves { flex: 3 1 24rem; }
svg text { fill: var(--soft); font: 11px system-ui, sans-serif; } svg text.strong { fill: var(--ink); }
.rule { stroke: var(--rule); } .line { fill: none; stroke-width: 1.8; } .dashed { stroke-dasharray: 5 4; }
.sync { color: var(--sync); } .interval { color: var(--interval); } .memory { color: var(--memory); }
rect.sync, rect.interval, rect.memory { fill: currentColor; } .line { stroke: currentColor; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-size: 13px; white-space: nowrap; }
td, th { padding: .15rem .6rem; text-align: right; font-weight: normal; } th { color: var(--soft); }
td:first-child, th:first-child { text-align: left; padding-left: 0; }
tr.level td { border-top: 1px solid var(--rule); }
";

pub(super) fn page(report: &Report) -> String {
    let told = std::iter::once(report.machine.to_string()).chain(report.machine.caveats());
    let machine = told.map(|line| escaped(&line)).collect::<Vec<_>>().join("<br/>\n");
    let (version, seconds) = (report.version, report.seconds);
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
         <title>stockhold bench</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<h1>stockhold bench</h1>\n\
         <p>{machine}</p>\n\
         <p class=\"soft\">stockhold {version}, {seconds} s a measurement. Bars: the most decisions a second that were \
         acknowledged, with a thread a core and many in flight. Curves: how long an acknowledgement took, from when the \
         operation was due, at 100,000 offered a second (solid) and at half of the most (dashed); both axes are \
         logarithmic. No network and no replication is in any figure. After each measurement the clients' answers, the \
         counters and the book agreed.</p>\n"
    );
    for workload in chosen(&[]) {
        let figures: Vec<_> = report.figures.iter().filter(|one| one.workload == workload).collect();
        if figures.is_empty() {
            continue;
        }
        let (name, sentence) = (workload.name(), escaped(&workload.sentence()));
        page += &format!("<h2>{name}</h2>\n<p class=\"soft\">{sentence}</p>\n<div class=\"pair\">\n");
        page += &bars(&figures);
        page += &curves(&figures);
        page += "</div>\n<div class=\"scroll\"><table>\n<tr>";
        for column in text::COLUMNS {
            page += &format!("<th>{column}</th>");
        }
        page += "</tr>\n";
        for one in figures {
            for (number, open) in one.open.iter().enumerate() {
                let closed = text::closed(one).map(|cell| if number == 0 { cell } else { String::new() });
                let cells = closed.into_iter().chain(text::open_loop(open));
                page += if number == 0 { "<tr class=\"level\">" } else { "<tr>" };
                cells.for_each(|cell| page += &format!("<td>{}</td>", escaped(&cell)));
                page += "</tr>\n";
            }
        }
        page += "</table></div>\n";
    }
    page += &format!("<p class=\"soft\">{}</p>\n", escaped(text::LEGEND).replace('\n', "<br/>\n"));
    page + "</body>\n</html>\n"
}
