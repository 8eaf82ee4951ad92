//! The panels of `src/design/growth.svg`.

use std::thread;

use super::plot::{COLOURS, Line, Panel, Scale, draw as lay_out};
use super::{Measured, column, many};

type Points = Vec<(f64, f64)>;

pub fn draw(measured: &Measured) -> String {
    use Scale::{Doublings, Linear, Log};
    let Measured { keys, holds, threads, carts, rates } = measured;
    // The total in milliseconds, from nanoseconds for each.
    let all_ms = |points: Points| points.into_iter().map(|(x, y)| (x, x * y / 1e6)).collect();
    let by = |points: Points, by: f64| points.into_iter().map(|(x, y)| (x, y / by)).collect();
    let carried = |at: usize| {
        let offered = rates.iter().filter(|(offered, _)| *offered > 0.0);
        offered.map(|(_, figures)| (figures[0], figures[at])).collect()
    };
    let most = rates.last().map_or(1.0, |(_, figures)| figures[0]);
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let decisions = |points, third| {
        vec![("reserve", column(points, 0)), ("by the clock", column(points, 1)), (third, column(points, 2))]
    };
    let kept =
        |points| vec![("checkpoint", all_ms(column(points, 3))), ("opening", all_ms(column(points, 4)))];
    let mut panels = vec![
        panel("one decision, ns", "stock keys", (Log, Linear), decisions(keys, "refusal")),
        panel("one decision, ns", "live holds", (Log, Linear), decisions(holds, "release")),
        panel("checkpoint of all, and opening, ms", "stock keys", (Log, Log), kept(keys)),
        panel("checkpoint of all, and opening, ms", "live holds", (Log, Log), kept(holds)),
        panel(
            "memory, bytes each",
            "stock keys, or live holds",
            (Log, Linear),
            vec![("a key", many(column(keys, 5))), ("a hold", many(column(holds, 5)))],
        ),
        panel(
            "one hot key in memory, millions per second",
            "threads",
            (Doublings, Linear),
            vec![("reserves", by(column(threads, 2), 1e6)), ("refusals", by(column(threads, 3), 1e6))],
        ),
        panel("a cart, µs", "lines", (Doublings, Log), vec![("", by(column(carts, 0), 1e3))]),
        panel(
            "acknowledged after, ms (Sync)",
            "acknowledged per second",
            (Log, Log),
            vec![("p50", carried(1)), ("p99", carried(2))],
        ),
    ];
    panels[5].mark = Some((cores as f64, format!("{cores} cores")));
    panels[7].mark = Some((most, "65,536 in flight".into()));
    lay_out(
        &panels,
        2,
        (430.0, 240.0),
        "processor time of the calling thread, unless by the clock: \
         cargo bench -p stockhold-benches --bench growth",
    )
}

fn panel(
    title: &str,
    across: &'static str,
    (x, y): (Scale, Scale),
    lines: Vec<(&'static str, Points)>,
) -> Panel {
    let lines = lines.into_iter().zip(COLOURS);
    let lines = lines.map(|((name, points), colour)| Line { name, colour, points }).collect();
    Panel { title: title.into(), across, x, y, lines, mark: None }
}
