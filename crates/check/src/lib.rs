//! Judges a sale from its recorded calls: requests, answers, and their times.
//!
//! Every call is recorded with the instant before it began and the instant after it ended, both from one
//! monotonic clock ([`Stopwatch`]). The engine decided at some instant between the two, which cannot be known
//! from outside. So the judge works with bounds, and counts only what is certain:
//!
//! ```text
//!              grant call                         release call
//!            start ──── end                     start ──── end
//!              │         ╞══════ certainly ═══════╡         │
//!              ╞═════════╪══════ possibly ════════╪═════════╡
//! ```
//!
//! **What the verdicts prove.** Each one counts certain breaches, so a correct engine always gets zeros,
//! however its threads were scheduled: a number above zero is a bug, never an accident of the measurement.
//!
//! - *Oversold*: at some instant, units *certainly* held or committed exceed all that can have been received.
//!   Zero does not prove that there was no oversell within the spans of overlapping calls.
//! - *Falsely refused*: even with every *possible* hold counted and only stock that had *certainly* arrived,
//!   enough was available during the refusal's whole span. Zero does not prove that every refusal was right:
//!   one that overlaps a grant or a release is never counted.
//! - *Two outcomes*: two of confirm, release and expiry were answered for one hold, or one of them twice.
//!   Zero does not prove that a hold without a recorded outcome had only one.
//! - *Late*: a hold was confirmed, released or extended by a call that began at or after its deadline.
//!   *Early*: a hold was reported as expired by a call that ended before its deadline.
//! - *Contradicted*: a refusal named enough units available. Zero does not prove that the number it named was
//!   right.
//! - *Wrong numbers*: a reading or a correction named fewer units available than there were, or more, at every
//!   instant of its call. Zero does not prove that a number within the bounds was right.
//! - *Confirmed beyond received*: at the end, more was confirmed (less what was cancelled) than was ever
//!   received.
//!
//! The shorter the spans, the tighter the bounds: take the times directly around the call. The verdicts cover
//! the recorded calls alone; if other callers change the same stock, record their calls too.
//!
//! **The exact decision** is [`check`]: is there *any* order of the calls, each at one instant within its
//! span, that explains every answer, numbers included? It finds breaches that the bounds cannot show, and
//! reports the smallest window of calls without a legal order. It needs a search: see [`specification`] for
//! what it searches and what it leaves unproven. Use [`judge()`] for a quick verdict, or where `check` is
//! undecided.
//!
//! **Deadlines** are instants of the same clock. Give the engine a clock made from the same [`Stopwatch`],
//! and the conversion is exact. A hold counts until just before its deadline: from that instant on its units
//! are available.
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
//! assert_eq!(verdict.falsely_refused, 1); // five units, none of them held
//!
//! let checked = check(&calls, &Options::default());
//! assert_eq!(checked.broken[0].possible, [5]); // what the refusal could have named
//! println!("{checked}");
//! ```

mod call;
mod carts;
mod check;
mod explore;
mod history;
mod hold;
mod judge;
mod lives;
mod options;
mod passes;
pub mod specification;
mod sweep;
mod timeline;
mod verdict;
mod window;

pub use call::{Call, Event, Recorder, Stopwatch};
pub use carts::{Cart, TornCart, check_carts};
pub use check::{Checked, Undecided, check};
pub use judge::judge;
pub use options::Options;
pub use verdict::Verdict;
pub use window::Window;
