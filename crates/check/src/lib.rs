//! Judges a sale from outside: from what was asked, what was answered, and when.
//!
//! Every call is recorded with the instant before it began and the instant after it ended, both from one
//! monotonic clock ([`Stopwatch`]). Somewhere between the two the engine decided; where exactly, nobody outside can
//! know. So the judge works with bounds, and counts only what is certain:
//!
//! ```text
//!              grant call                         release call
//!            start ──── end                     start ──── end
//!              │         ╞══════ certainly ═══════╡         │
//!              ╞═════════╪══════ possibly ════════╪═════════╡
//! ```
//!
//! **What the verdicts prove.** Each one counts certain breaches, so a correct engine always gets zeros, whatever
//! the threads did: a number above zero is a bug, never bad luck of the measurement.
//!
//! | verdict | a breach is counted when | what zero does not prove |
//! |---|---|---|
//! | oversold | at some instant, units *certainly* held or committed exceed all that can have been received | that no oversell hid inside the spans of overlapping calls |
//! | falsely refused | even with every *possible* holder counted and only stock that had *certainly* arrived, enough was available during the refusal's whole span | that every refusal was true: one that overlaps a grant or a release has the benefit of the doubt |
//! | two outcomes | two of confirm, release and expiry were answered for one hold, or one of them twice | that outcomes nobody asked about were single |
//! | late, early | a hold was confirmed, released or extended by a call that began at or after its deadline; a hold was seen expired by a call that ended before it | |
//! | contradicted | a refusal named enough units available | that the number it named was right |
//! | confirmed beyond received | at the end, more was confirmed (less what was cancelled) than was ever received | |
//!
//! The shorter the spans, the sharper the bounds: record around the call and nothing else. The verdicts are about
//! the recorded calls alone; if others touch the same stock, record them too.
//!
//! **The exact decision** is [`check`]: is there *any* order of the calls, each at one instant within its span, that
//! explains every answer, numbers included? It finds what the bounds must let pass, and tells it as the smallest
//! window of calls without a legal order. It costs a search: see [`specification`] for what it searches
//! and what it leaves unproven. [`judge()`] is the one for a quick look, or where `check` is undecided.
//!
//! **Deadlines** are instants of the same clock. Give the engine a clock made from the same [`Stopwatch`], and the
//! conversion is exact. A hold counts up to its deadline and not at it: from that instant it keeps nobody from buying.
//!
//! ```
//! use stockhold_check::{Call, Event, Options, Recorder, Stopwatch, check, judge};
//!
//! let mut recorder = Recorder::new(Stopwatch::new());
//! let (start_ns, end_ns) = (recorder.now_ns(), recorder.now_ns()); // around the engine's `receive`
//! recorder.record(Call { key: 0, start_ns, end_ns, event: Event::Receive { quantity: 5 } });
//! let start_ns = end_ns + 1;
//! let end_ns = start_ns + 10; // around a `reserve` that was refused
//! recorder.record(Call { key: 0, start_ns, end_ns, event: Event::Refuse { asked: 1, available: 0 } });
//!
//! let calls = recorder.into_calls();
//! let verdict = judge(&calls);
//! assert_eq!(verdict.falsely_refused, 1); // five units, nobody holds any
//!
//! let checked = check(&calls, &Options::default());
//! assert_eq!(checked.broken[0].possible, [5]); // what the refusal could have named
//! println!("{checked}");
//! ```

mod call;
mod carts;
mod check;
mod counter;
mod explore;
mod judge;
mod lives;
mod passes;
pub mod specification;
mod steps;
mod sweep;
mod tangle;
mod verdict;
mod window;

pub use call::{Call, Event, Recorder, Stopwatch};
pub use carts::{Cart, TornCart, check_carts};
pub use check::{Checked, Options, Undecided, check};
pub use judge::judge;
pub use verdict::Verdict;
pub use window::Window;
