//! What [`check`](crate::check()) decides, in words: the object, its calls, and what a pass leaves unproven.
//!
//! # The question
//!
//! A history is *linearizable* if every call can be given one instant within its span, both ends included, so that the
//! calls, taken one after the other in the order of these instants, are all legal for the object below
//! (Herlihy and Wing, 1990). Calls that touch may come in either order. Stock keys are decided one by one: a history is
//! linearizable if and only if it is on each of its objects.
//!
//! # The object
//!
//! One stock key: a number `available`, at first 0, and holds, each of them *live*, *confirmed*, *released* or *expired*.
//!
//! | call | legal if, at its instant | then |
//! |---|---|---|
//! | `Receive` q | | available + q |
//! | `Adjust` d | what it names, if it names it, is available + d; see *exact* | available + d, below zero too |
//! | `Grant` q | available ≥ q, and the hold is new | available − q; live, with its quantity and deadline |
//! | `Refuse` | what it names is less than was asked for and is available; see *exact* | |
//! | `Reading` | what it names is available; see *exact* | |
//! | `Release` | live, and the call began before the deadline | available + quantity; released |
//! | `Confirm` c | live, c ≤ quantity, and the call began before the deadline | available + quantity − c; c committed |
//! | `Confirm` c, retaken | expired, c ≤ quantity, available ≥ c | available − c; c committed |
//! | `Extend` | live, the call began before the deadline, and the deadline it names is no earlier | that is the deadline |
//! | `Replace` q | live, the call began before the deadline, available ≥ q − quantity | available less that; new quantity and deadline |
//! | `ExpiredSeen` | expired | |
//! | `Cancel` n | confirmed, n ≤ committed | available + n; committed − n |
//!
//! **Expiry** is a step of the hold itself: at its deadline or at any instant after it, a live hold may expire, and its
//! units are available again. Nobody need have called. What has expired stays so, but for a late confirm.
//!
//! **Exact**: a number is exact if no hold counts that is due. So at the instant of a refusal, a reading or an adjustment that
//! names a number, no live hold has its deadline at that instant or before it. Whoever answers because of a deadline
//! must have closed the hold first; and a hold past its deadline never counts against anybody who is refused.
//!
//! **A call that began before the deadline** may still confirm, release, extend or replace the hold after it,
//! as long as nobody has closed it: the engine reads its clock early in the call, and the swap that decides comes later.
//! That the clock was read before the deadline cannot be seen from outside; that the call began before it can. A call that
//! began at the deadline or later is late, whatever it read. A grant may outlast its own deadline.
//!
//! **Deadlines** are instants of the recording clock, in nanoseconds, and a hold is over *at* its deadline. An engine that
//! counts in milliseconds and rounds its clock down reaches the deadline of D ms at exactly D × 10⁶ ns, if its clock is made
//! from the same [`Stopwatch`](crate::Stopwatch). With two clocks, give deadlines as the later of the two could say.
//! `u64::MAX` is never.
//!
//! **Carts**: a hold on several keys is a hold on each of them, and each key is decided by itself. That they were one step is
//! for [`check_carts`](crate::check_carts), as far as a history shows it.
//!
//! # How it is decided
//!
//! The moments of a key, starts, ends and deadlines, are swept in order of time with all states that the key can be in:
//! which of the open calls have happened, and what is available then (Wing and Gong, 1993; just-in-time
//! linearization, Lowe, 2017; key by key, Horn and Kroening, 2015). A call that has ended is forgotten.
//! If no state is left at the end of a call, there is no legal order. Every shortcut keeps every verdict:
//!
//! - A hold whose calls follow one another has one order; only units that come and go are left of it.
//! - Answers that change nothing are placed at the first state that makes them true.
//! - What can as well happen later does. Gives and takes commute as long as enough is there, so before a moment only the
//!   smallest sets are tried that make an answer true or a take possible.
//! - Of two gives (or takes) of as many units, the one that ends first goes first.
//! - A state that another one still leads to is dropped.
//!
//! One legal order is looked for first, with few states kept; nothing is concluded from not finding it. Then all are tried.
//! What exceeds the budget of [`Options`](crate::Options) is [`Undecided`](crate::Undecided), never a pass.
//! The problem is hard in general (it contains subset sums): many calls at once, of many different quantities, will exceed it.
//!
//! # What a pass does not prove
//!
//! - That the clock and the spans are right. A span that is too wide allows more orders.
//! - Anything about calls that were not recorded. If one changed stock and is missing, the history is another.
//! - That a call that was given up on (a crash, a timeout) had no effect: record it with the end at which its effect
//!   must have been over, or leave its key out.
//! - That "busy" was said for good reason, that anything ever expires when nobody asks, or that refusals are few: these
//!   are no breaches of safety.
//! - That the keys of a cart changed at one instant.
//! - Whether the number in an adjustment is exact, where none is recorded. An engine that sweeps what is due first and
//!   corrects then may leave out a hold that came due in between; of such a one, record `None`.
