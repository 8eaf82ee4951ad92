//! What [`check`](crate::check()) decides: the object, its calls, and what a pass leaves unproven.
//!
//! # The question
//!
//! A history is *linearizable* if every call can be given one instant within its span, both ends included, so
//! that the calls, taken one after the other in the order of these instants, are all legal for the object
//! below (Herlihy and Wing, 1990). Calls that touch may come in either order. Stock keys are decided one by
//! one: a history is linearizable if and only if it is on each of its objects.
//!
//! # The object
//!
//! One stock key: a number `available`, at first 0, and holds, each of them *live*, *confirmed*, *released*
//! or *expired*.
//!
//! | call | legal if, at its instant | then |
//! |---|---|---|
//! | `Receive` q | | available + q |
//! | `Adjust` d | the number it names, if any, is available + d; see *exact* | available + d, below zero too |
//! | `Grant` q | available ≥ q, and the hold is new | available − q; live, with its quantity and deadline |
//! | `Refuse` | the number it names is available, and less than requested; see *exact* | |
//! | `Reading` | the number it names is available; see *exact* | |
//! | `Release` | live, in time | available + quantity; released |
//! | `Confirm` c | live, in time, c ≤ quantity | available + quantity − c; c committed |
//! | `Confirm` c, retaken | expired, c ≤ quantity, available ≥ c | available − c; c committed |
//! | `Extend` | live, in time, and the new deadline is no earlier | that is the deadline |
//! | `Replace` q | live, in time, available ≥ q − quantity | available less that; new quantity and deadline |
//! | `ExpiredSeen` | expired | |
//! | `Cancel` n | confirmed, n ≤ committed | available + n; committed − n |
//!
//! *In time* means that the call began before the deadline.
//!
//! **Expiry** is a step of the hold itself: at its deadline or at any instant after it, a live hold may
//! expire, and its units are available again. It needs no call. An expired hold stays expired, unless a late
//! confirm retakes it.
//!
//! **Exact**: a number is exact if it counts no hold that is due. So at the instant of a refusal, a reading
//! or an adjustment that names a number, no live hold has its deadline at that instant or before it. An
//! engine must close a due hold before such an answer; a hold past its deadline never counts against a
//! refused request.
//!
//! **A call that began before the deadline** may still confirm, release, extend or replace the hold after it,
//! as long as no other call has closed it: the engine reads its clock early in the call, and the deciding
//! swap comes later. That the clock was read before the deadline cannot be seen from outside; that the call
//! began before it can. A call that began at the deadline or later is late, whatever time it read. A grant
//! may outlast its own deadline.
//!
//! **Deadlines** are instants of the recording clock, in nanoseconds, and a hold is over *at* its deadline.
//! An engine that counts in milliseconds and rounds its clock down reaches the deadline of D ms at exactly D
//! × 10⁶ ns, if its clock is made from the same [`Stopwatch`](crate::Stopwatch). With two clocks, record the
//! latest instant that the deadline can be on the recording clock. `u64::MAX` is never.
//!
//! **Carts**: a hold on several keys is a hold on each of them, and each key is decided by itself. Whether
//! they were one step is decided by [`check_carts`](crate::check_carts), as far as a history shows it.
//!
//! # How it is decided
//!
//! The moments of a key, starts, ends and deadlines, are swept in order of time with all states that the key
//! can be in: which of the open calls have happened, and how many units are available then (Wing and Gong,
//! 1993; just-in-time linearization, Lowe, 2017; key by key, Horn and Kroening, 2015). A call that has ended
//! is forgotten. If no state is left at the end of a call, there is no legal order. Every shortcut keeps
//! every verdict:
//!
//! - A hold whose calls follow one another has one order; only the units that it gives and takes are kept.
//! - Reads are placed at the first state that makes them true.
//! - An operation that can as well happen later is left until later. Gives and takes commute while enough
//!   units are available, so before a moment only the smallest sets are tried that make a read true or a take
//!   possible.
//! - Of two gives (or takes) of equal size, the one that ends first goes first.
//! - A state that can still be reached from another one is dropped.
//!
//! A narrow search with few states looks for one legal order first; if it fails, that proves nothing, and a
//! full search follows. A key that exceeds the limits of [`Options`](crate::Options) is
//! [`Undecided`](crate::Undecided), never a pass. The problem is hard in general (it contains subset sum):
//! many overlapping calls of many different quantities will exceed them.
//!
//! # What a pass does not prove
//!
//! - The clock and the spans are right. A span that is too wide allows more orders.
//! - Anything about calls that were not recorded. If a call that changed stock is missing, the verdict is
//!   about another history.
//! - An abandoned call (a crash, a timeout) had no effect: record it with an end by which it must have taken
//!   effect, or leave its key out.
//! - "Busy" was answered for good reason, holds expire without further calls, or refusals are few: these are
//!   not matters of safety.
//! - The keys of a cart changed at one instant.
//! - The number in an adjustment is exact, where none is recorded.
