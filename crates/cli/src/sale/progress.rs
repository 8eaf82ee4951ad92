//! The progress display: redrawn in place on a terminal, otherwise a plain line every second. It goes to
//! standard error, so that standard output contains only the receipt.

use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const REDRAW_EVERY: Duration = Duration::from_millis(100);
const LINE_EVERY: Duration = Duration::from_secs(1);

/// Runs `work` and draws `frame` until it is done, then once more.
pub(crate) fn during<T>(frame: impl Fn() -> Vec<String> + Sync, work: impl FnOnce() -> T) -> T {
    let terminal = std::io::stderr().is_terminal();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let painter = scope.spawn(|| {
            let mut painter = Painter { terminal, lines_drawn: 0, last: String::new() };
            let mut drawn_at = Instant::now();
            while !done.load(Ordering::Relaxed) {
                std::thread::park_timeout(REDRAW_EVERY);
                if terminal || drawn_at.elapsed() >= LINE_EVERY {
                    painter.draw(&frame());
                    drawn_at = Instant::now();
                }
            }
            painter.draw(&frame());
        });
        // Dropped even if the work panics; otherwise the scope would wait for the painter for ever.
        let stop = StopPainter { done: &done, painter: painter.thread().clone() };
        let result = work();
        drop(stop);
        result
    })
}

struct StopPainter<'a> {
    done: &'a AtomicBool,
    painter: std::thread::Thread,
}

impl Drop for StopPainter<'_> {
    fn drop(&mut self) {
        self.done.store(true, Ordering::Relaxed);
        self.painter.unpark();
    }
}

struct Painter {
    terminal: bool,
    lines_drawn: usize,
    last: String,
}

impl Painter {
    fn draw(&mut self, lines: &[String]) {
        let mut text = String::new();
        if self.terminal {
            if self.lines_drawn > 0 {
                text += &format!("\x1b[{}A", self.lines_drawn); // move to the first line drawn before
            }
            for line in lines {
                text += &format!("\x1b[2K{line}\n"); // clear the line, then write it
            }
            self.lines_drawn = lines.len();
        } else {
            let line = lines.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" | ");
            text = line + "\n";
        }
        if text == self.last {
            return;
        }
        // A display that cannot be written must not end the sale.
        let _ = std::io::stderr().write_all(text.as_bytes());
        self.last = text;
    }
}

/// A bar of `width` cells, filled to `part` of `whole`.
pub(crate) fn bar(part: u64, whole: u64, width: usize) -> String {
    let filled = (part.min(whole) as usize * width).checked_div(whole as usize).unwrap_or(0);
    format!("[{}{}]", "#".repeat(filled), ".".repeat(width - filled))
}

/// A number of microseconds with a fitting unit.
pub(crate) fn latency(us: u64) -> String {
    match us {
        0..1_000 => format!("{us} µs"),
        1_000..100_000 => format!("{:.1} ms", us as f64 / 1e3),
        100_000..1_000_000 => format!("{} ms", us / 1_000),
        _ => format!("{:.1} s", us as f64 / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_are_readable() {
        assert_eq!([7, 1_500, 250_000, 3_000_000].map(latency), ["7 µs", "1.5 ms", "250 ms", "3.0 s"]);
    }

    #[test]
    fn a_bar_is_never_wider_than_its_frame() {
        assert_eq!(bar(1, 4, 4), "[#...]");
        assert_eq!(bar(9, 4, 4), "[####]");
        assert_eq!(bar(0, 0, 4), "[....]");
    }
}
