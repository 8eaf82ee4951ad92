//! Progress and bad lines on standard error: a bar on a terminal, otherwise a line every two seconds.

use std::fmt::{self, Display};
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use crate::figure::thousands;

/// Number of bad lines that are shown; the others are only counted.
const BAD_LINES_SHOWN: u64 = 20;

const BAR_PERIOD: Duration = Duration::from_millis(100);
const PLAIN_PERIOD: Duration = Duration::from_secs(2);

/// The progress of a run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reached {
    /// Bytes of the file that were processed.
    pub bytes: u64,
    /// Number of lines.
    pub granted: u64,
    /// Number of lines.
    pub refused: u64,
}

/// Standard error, as a terminal or as a file.
#[derive(Debug)]
pub struct Screen {
    terminal: bool,
    /// Size of the order file; 0 if it is unknown.
    total_bytes: u64,
    began: Instant,
    due: Instant,
    bar_shown: bool,
    bad_lines: u64,
}

impl Screen {
    /// Shows a bar if standard error is a terminal.
    pub fn new(total_bytes: u64) -> Self {
        let terminal = io::stderr().is_terminal();
        let began = Instant::now();
        let due = began + if terminal { BAR_PERIOD } else { PLAIN_PERIOD };
        Screen { terminal, total_bytes, began, due, bar_shown: false, bad_lines: 0 }
    }

    /// Shows the progress, if the last display is old enough.
    pub fn progress(&mut self, reached: Reached) {
        let now = Instant::now();
        if now < self.due {
            return;
        }
        self.due = now + if self.terminal { BAR_PERIOD } else { PLAIN_PERIOD };
        let seconds = (now - self.began).as_secs_f64();
        let text = describe(reached, self.total_bytes, seconds);
        if self.terminal {
            let bar = bar(reached.bytes, self.total_bytes);
            // Return, clear the line, and write without a line break, so that the next display replaces this
            // one.
            show(format_args!("\r\x1b[2K{bar}{text}"));
            self.bar_shown = true;
        } else {
            show(format_args!("{text}\n"));
        }
    }

    /// Shows a bad line; after the first few, only counts it.
    pub fn bad_line(&mut self, file: &str, number: u64, why: &dyn Display) {
        self.bad_lines += 1;
        if self.bad_lines <= BAD_LINES_SHOWN {
            self.print(&format!("{file} line {number}: {why}"));
        } else if self.bad_lines == BAD_LINES_SHOWN + 1 {
            self.print("more bad lines follow; they are counted and not shown");
        }
    }

    /// Removes the bar.
    pub fn clear(&mut self) {
        if self.bar_shown {
            show(format_args!("\r\x1b[2K"));
            self.bar_shown = false;
        }
    }

    fn print(&mut self, text: &str) {
        self.clear();
        show(format_args!("{text}\n"));
    }
}

/// Writes to standard error. A failure must not end the run, so it is ignored.
fn show(text: fmt::Arguments<'_>) {
    let mut out = io::stderr().lock();
    let _ = out.write_fmt(text).and_then(|()| out.flush());
}

fn bar(done: u64, total: u64) -> String {
    const WIDTH: u64 = 24;
    if total == 0 {
        return String::new();
    }
    let filled = (done.min(total) * WIDTH / total) as usize;
    format!("[{}{}] ", "#".repeat(filled), "-".repeat(WIDTH as usize - filled))
}

fn describe(reached: Reached, total_bytes: u64, seconds: f64) -> String {
    let decided = reached.granted + reached.refused;
    let rate = thousands((decided as f64 / seconds.max(1e-3)) as u64);
    let done = match total_bytes {
        0 => String::new(),
        total => format!("{}%  ", reached.bytes.min(total) * 100 / total),
    };
    let left = match total_bytes.checked_sub(reached.bytes) {
        Some(left) if reached.bytes > 0 && total_bytes > 0 => {
            format!("  {:.0} s left", seconds * left as f64 / reached.bytes as f64)
        }
        _ => String::new(),
    };
    let (granted, refused) = (thousands(reached.granted), thousands(reached.refused));
    format!("{done}{} decided  {granted} granted  {refused} refused  {rate}/s{left}", thousands(decided))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_a_fraction_of_the_file() {
        let reached = Reached { bytes: 500, granted: 1_200, refused: 800 };
        let text = describe(reached, 1_000, 2.0);
        assert_eq!(text, "50%  2,000 decided  1,200 granted  800 refused  1,000/s  2 s left");
        assert_eq!(bar(500, 1_000), "[############------------] ");
        assert_eq!(describe(reached, 0, 2.0), "2,000 decided  1,200 granted  800 refused  1,000/s");
        assert_eq!(bar(1, 0), "");
    }
}
