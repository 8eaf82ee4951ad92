//! One thread is parked at each step of the sales path while the others go on: no call hangs, and none is
//! refused falsely.
//!
//! `tests/stalled.sh` builds the failpoints in and runs it. The tests state the answers of other threads
//! while one is parked, on the stock keys that it touches. On all other keys every decision is made at once,
//! with these exceptions:
//!
//! | parked | who would be refused is answered |
//! |---|---|
//! | reserve, before its take | the truth: its units are on sale |
//! | reserve, behind its take | the truth: its units are held |
//! | reserve, from its registration on, past its own deadline | `Busy` (`Reclaiming`) on every key: it can be neither closed nor forgotten |
//! | cart, from the first line taken until that line is settled | `Busy` (`Pending`) |
//! | cart that rolls back, line by line | `Busy` until the line was given back, then it is on sale |
//! | release, part confirm, cancel, replace by fewer: from the announcement to the give-back | `Busy` (`Pending`) |
//! | replace by more, late confirm: from the take until it is settled | `Busy` (`Pending`) |
//! | a change that was beaten, until what it announced is withdrawn | `Busy` (`Pending`) |
//! | confirm of the whole, extend | the truth: its units are held |
//! | release and expiry, behind the give-back | the truth; its slot alone is not free yet |
//! | sweep, from the beginning of a turn to its end | `Busy` (`Reclaiming`) on every key; grants go on |
//! | gather and split, at any cell | the truth: others gather themselves |
//! | receive, before it adds | the truth: nothing was received yet |
//! | growth of the slots | the truth: others find room in other shards, or are `Busy` (`Growing`) if there is one alone |
//! | growth of the lines of carts | the truth; carts and replaces are `Busy` (`Growing`) |
//! | log thread, fold, anybody between draw and fill | the truth; takes are `Busy` (`LogBehind`) when three quarters of the ring are used, what gives back when all of it is |
//! | claim that found no room, before it takes back what it counted | the truth; that much of the ring is missing |
//!
//! And on a hold: while its word says `Changing` whoever wants it is `Busy` (`Changing`); before that a
//! parked thread keeps nobody from changing it, and behind it everybody sees the outcome.

#![cfg(stockhold_faults)]

mod case;
#[path = "../common/mod.rs"]
mod common;
mod hold;
mod play;
mod ring;
mod scene;
mod stage;
mod steps;
mod trade;
mod why;
