//! Parks one thread at each step of the sales path while other threads go on. There must never be a hang nor
//! a false refusal.
//!
//! `tests/stalled.sh` builds the failpoints in and runs it. On the stock keys that the parked thread touches,
//! a call that needs more units than there are gets the answer in the table. On all other keys every decision
//! is made at once, with the exceptions in the table:
//!
//! | parked | answer |
//! |---|---|
//! | reserve, before its take | the truth: the units of the parked reserve are on sale |
//! | reserve, behind its take | the truth: its units are held |
//! | reserve past its own deadline, after its registration | `Busy` (`Reclaiming`) on every key ¹ |
//! | cart, from the first line taken until that line is settled | `Busy` (`Pending`) |
//! | cart that rolls back | `Busy` for each line until its units are back, then they are on sale |
//! | release, part confirm, cancel, replace by fewer: from announcement to give-back | `Busy` (`Pending`) |
//! | replace by more, late confirm: from the take until it is settled | `Busy` (`Pending`) |
//! | a change that lost to another, until it withdraws its announcement | `Busy` (`Pending`) |
//! | confirm of the whole hold, extend | the truth: its units are held |
//! | release and expiry, behind the give-back | the truth; only the slot is not free yet |
//! | sweep, from the start to the end of a turn | `Busy` (`Reclaiming`) on every key; grants go on |
//! | gather and split, at any cell | the truth: other threads gather themselves |
//! | receive and adjust, from the announcement to the end | `Busy` (`Pending`) |
//! | cart, from its lines in the table to its end | a cart that finds too few lines is `Busy` (`Room`) |
//! | growth of the slots | the truth, from other shards; `Busy` (`Growing`) if there is only one shard |
//! | growth of the lines of carts | the truth; carts and replaces are `Busy` (`Growing`) |
//! | log thread, fold, or any thread between draw and fill | the truth, until the ring is full ² |
//! | claim that found no room, before it subtracts its length | the truth; that part of the ring is missing |
//!
//! ¹ It can be neither closed nor forgotten.
//!
//! ² Takes are `Busy` (`LogBehind`) once three quarters of the ring are used, calls that give back once all of
//! it is.
//!
//! A receive or an adjust of such a key answers `Busy` as a call does that needs more units than there are: the
//! number in its answer is of one instant. On the keys of a parked turn that is every key.
//!
//! Calls on the parked thread's hold are `Busy` (`Changing`) while its word says `Changing`. Before that, the
//! parked thread keeps no other from changing the hold; after it, every thread sees the outcome.

#![cfg(stockhold_faults)]

mod busy;
mod case;
#[path = "../common/mod.rs"]
mod common;
mod fixture;
mod hold;
mod numbers;
mod ring;
mod run;
mod steps;
mod trade;
mod watchdog;
