//! Whose turn it is: what shares a stock key is decided in file order, whichever workers decide it.
//!
//! A cart may ask for stock keys that belong to several workers. It goes to one of them, and says how far which others
//! must have come before: to the last that was sent for one of its keys. Each worker decides what it is sent in the
//! order in which it was sent, and so only such a cart, and what follows it on one of its keys, ever waits.
//!
//! Nobody waits for ever: everything waits for what was sent before it alone, so of all that is undecided the first
//! never waits. A worker that ends early says so, and whoever waits for it ends too.

use std::collections::HashSet;
use std::hash::BuildHasherDefault;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use super::key::{Folded, Place, worker_of};

/// Places in which the last cart of a stock key is noted. Keys may share one: then some cart waits without need.
const PLACES: usize = 1 << 14;

/// Workers, and how many carts each must have decided.
pub type After = Vec<(usize, u64)>;

/// Gives carts to workers.
#[derive(Debug)]
pub struct Turns {
    /// Carts sent to each worker.
    sent: Box<[u64]>,
    /// For the stock keys of each place, which worker was sent the last cart, and how many it had been sent by then.
    last: Box<[(usize, u64)]>,
}

impl Turns {
    /// For so many workers.
    pub fn new(workers: usize) -> Self {
        let places = if workers > 1 { PLACES } else { 0 };
        Turns { sent: vec![0; workers].into(), last: vec![(0, 0); places].into() }
    }

    /// The worker of a cart that asks for these stock keys, and what it comes after. `behind_all` = after all that was sent.
    pub fn next(
        &mut self,
        stock_hashes: impl Iterator<Item = u64> + Clone,
        behind_all: bool,
    ) -> (usize, After) {
        let workers = self.sent.len();
        if workers == 1 {
            return (0, After::new());
        }
        // The first worker that one of its keys belongs to: many carts have several keys, and each change of worker is
        // a wait.
        let worker = stock_hashes.clone().map(|hash| worker_of(hash, workers)).min().unwrap_or(0);
        let mut after = After::new();
        if behind_all {
            after.extend(self.sent.iter().copied().enumerate().filter(|&(other, _)| other != worker));
        }
        self.sent[worker] += 1;
        for hash in stock_hashes {
            let place = &mut self.last[(hash >> 32) as usize % PLACES];
            let (other, count) = std::mem::replace(place, (worker, self.sent[worker]));
            if other == worker || count == 0 {
                continue;
            }
            match after.iter_mut().find(|(waited, _)| *waited == other) {
                Some((_, most)) => *most = count.max(*most),
                None => after.push((other, count)),
            }
        }
        (worker, after)
    }
}

#[derive(Debug, Default)]
struct Progress {
    decided: AtomicU64,
    ended: AtomicBool,
}

/// What the workers tell each other.
#[derive(Debug)]
pub struct Board {
    workers: Box<[Progress]>,
    /// Orders with a cart that was not decided, so that none after it can be.
    waiting: Mutex<HashSet<u128, BuildHasherDefault<Folded>>>,
}

/// A worker that another one waits for has ended early.
#[derive(Debug)]
pub struct Ended;

impl Board {
    /// For so many workers.
    pub fn new(workers: usize) -> Self {
        Board { workers: (0..workers).map(|_| Progress::default()).collect(), waiting: Mutex::default() }
    }

    /// Waits until all of `after` is decided.
    pub fn wait(&self, after: &[(usize, u64)]) -> Result<(), Ended> {
        after.iter().try_for_each(|&(worker, count)| self.wait_for(&self.workers[worker], count))
    }

    fn wait_for(&self, worker: &Progress, count: u64) -> Result<(), Ended> {
        let mut looks = 0_u32;
        // Acquire: what was decided before is seen by what is decided now.
        while worker.decided.load(Ordering::Acquire) < count {
            if worker.ended.load(Ordering::Acquire) && worker.decided.load(Ordering::Acquire) < count {
                return Err(Ended);
            }
            match looks {
                0..64 => std::hint::spin_loop(),
                64..1_024 => thread::yield_now(),
                _ => thread::sleep(Duration::from_micros(50)),
            }
            looks = looks.saturating_add(1);
        }
        Ok(())
    }

    /// `worker` has decided one more.
    pub fn decided(&self, worker: usize) {
        self.workers[worker].decided.fetch_add(1, Ordering::Release);
    }

    /// Says that `worker` has ended, when it is dropped.
    pub fn until_the_end(&self, worker: usize) -> impl Drop + '_ {
        struct End<'a>(&'a AtomicBool);
        impl Drop for End<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Release);
            }
        }
        End(&self.workers[worker].ended)
    }

    /// A cart of this order was not decided.
    pub fn hold_up(&self, place: Place) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(place.order);
    }

    /// Whether a cart of the same order, before this one, was not decided.
    pub fn is_held_up(&self, place: Place) -> bool {
        place.before > 0 && self.waiting.lock().unwrap_or_else(PoisonError::into_inner).contains(&place.order)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A hash that belongs to `worker` of 2 and is noted in `place`.
    fn hash(worker: u64, place: u64) -> u64 {
        place << 32 | worker
    }

    fn next(turns: &mut Turns, hashes: &[u64]) -> (usize, After) {
        turns.next(hashes.iter().copied(), false)
    }

    #[test]
    fn what_shares_a_key_waits_for_the_last_of_it_and_nothing_else_waits() {
        let (a, b, c) = (hash(0, 1), hash(1, 2), hash(1, 3));
        let mut turns = Turns::new(2);
        assert_eq!(next(&mut turns, &[a]), (0, vec![]));
        assert_eq!(next(&mut turns, &[b]), (1, vec![]));
        assert_eq!(next(&mut turns, &[b]), (1, vec![]), "its own worker keeps the order");
        assert_eq!(next(&mut turns, &[c, b, a]), (0, vec![(1, 2)]), "behind both of b");
        assert_eq!(next(&mut turns, &[a]), (0, vec![]));
        assert_eq!(next(&mut turns, &[c]), (1, vec![(0, 2)]), "behind the cart of all three");
        assert_eq!(next(&mut turns, &[c]), (1, vec![]));
        assert_eq!(turns.next([a].into_iter(), true), (0, vec![(1, 4)]), "behind all");
        assert_eq!(Turns::new(1).next([a, b].into_iter(), true), (0, vec![]));
    }

    #[test]
    fn whoever_waits_for_a_worker_that_ended_ends() {
        let board = Board::new(2);
        board.decided(1);
        assert!(board.wait(&[(1, 1)]).is_ok());
        drop(board.until_the_end(1));
        assert!(board.wait(&[(1, 1)]).is_ok());
        assert!(board.wait(&[(0, 0), (1, 2)]).is_err());
    }

    #[test]
    fn an_order_holds_up_its_own_later_carts() {
        let board = Board::new(1);
        board.hold_up(Place { order: 7, before: 0 });
        assert!(board.is_held_up(Place { order: 7, before: 1 }));
        assert!(
            !board.is_held_up(Place { order: 7, before: 0 })
                && !board.is_held_up(Place { order: 8, before: 1 })
        );
    }
}
