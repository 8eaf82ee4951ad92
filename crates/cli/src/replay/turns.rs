//! The order of decisions: carts that share a stock key are decided in file order, by any workers.
//!
//! A cart may ask for stock keys that belong to several workers. It is sent to one of them, with the number
//! of carts that each other worker must have decided before: up to the last cart that was sent to it for one
//! of these keys. Each worker decides its carts in the order in which they were sent. So only such a cart,
//! and later carts on one of its keys, ever wait.
//!
//! There is no deadlock: a cart waits only for carts that were sent before it, so the first undecided cart
//! never waits. A worker that ends early sets a flag, and the workers that wait for it end too.

use std::collections::HashSet;
use std::hash::BuildHasherDefault;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use super::key::{CartPlace, IdentityHasher, worker_of};

/// Number of buckets that store the last cart of a stock key. Keys may share one; then a cart may wait
/// without need.
const BUCKETS: usize = 1 << 14;

/// Workers, and the number of carts that each must have decided.
pub type After = Vec<(usize, u64)>;

/// Assigns carts to workers.
#[derive(Debug)]
pub struct Turns {
    /// Number of carts sent to each worker.
    sent: Box<[u64]>,
    /// For the stock keys of each bucket: the worker that received the last cart, and its number of carts by
    /// then.
    last: Box<[(usize, u64)]>,
}

impl Turns {
    pub fn new(workers: usize) -> Self {
        let buckets = if workers > 1 { BUCKETS } else { 0 };
        Turns { sent: vec![0; workers].into(), last: vec![(0, 0); buckets].into() }
    }

    /// The worker of a cart on these stock keys, and the carts that it must wait for. `after_all` = all carts
    /// sent before.
    pub fn next(
        &mut self,
        stock_hashes: impl Iterator<Item = u64> + Clone,
        after_all: bool,
    ) -> (usize, After) {
        let workers = self.sent.len();
        if workers == 1 {
            return (0, After::new());
        }
        // Of the workers of its keys, the one with the lowest number: that makes fewer changes of worker,
        // each of which is a wait.
        let worker = stock_hashes.clone().map(|hash| worker_of(hash, workers)).min().unwrap_or(0);
        let mut after = After::new();
        if after_all {
            after.extend(self.sent.iter().copied().enumerate().filter(|&(other, _)| other != worker));
        }
        self.sent[worker] += 1;
        for hash in stock_hashes {
            let last = &mut self.last[(hash >> 32) as usize % BUCKETS];
            let (other, count) = std::mem::replace(last, (worker, self.sent[worker]));
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
struct WorkerState {
    decided: AtomicU64,
    ended: AtomicBool,
}

/// State that the workers share.
#[derive(Debug)]
pub struct Board {
    workers: Box<[WorkerState]>,
    /// Orders with an undecided cart: their later carts must not be decided either.
    blocked: Mutex<HashSet<u128, BuildHasherDefault<IdentityHasher>>>,
}

/// A worker that another one waits for has ended early.
#[derive(Debug)]
pub struct Ended;

impl Board {
    pub fn new(workers: usize) -> Self {
        Board { workers: (0..workers).map(|_| WorkerState::default()).collect(), blocked: Mutex::default() }
    }

    /// Waits until all carts of `after` are decided.
    pub fn wait(&self, after: &[(usize, u64)]) -> Result<(), Ended> {
        after.iter().try_for_each(|&(worker, count)| self.wait_for(&self.workers[worker], count))
    }

    fn wait_for(&self, worker: &WorkerState, count: u64) -> Result<(), Ended> {
        let mut rounds = 0_u32;
        // Acquire pairs with the Release in `decided`: the next decision sees the effects of those before.
        while worker.decided.load(Ordering::Acquire) < count {
            if worker.ended.load(Ordering::Acquire) && worker.decided.load(Ordering::Acquire) < count {
                return Err(Ended);
            }
            match rounds {
                0..64 => std::hint::spin_loop(),
                64..1_024 => thread::yield_now(),
                _ => thread::sleep(Duration::from_micros(50)),
            }
            rounds = rounds.saturating_add(1);
        }
        Ok(())
    }

    /// Counts one more decision of `worker`. Release pairs with the Acquire in `wait_for`.
    pub fn decided(&self, worker: usize) {
        self.workers[worker].decided.fetch_add(1, Ordering::Release);
    }

    /// Returns a guard that marks `worker` as ended when it is dropped.
    pub fn mark_ended_on_drop(&self, worker: usize) -> impl Drop + '_ {
        struct End<'a>(&'a AtomicBool);
        impl Drop for End<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Release);
            }
        }
        End(&self.workers[worker].ended)
    }

    /// Records that a cart of this order was not decided.
    pub fn block(&self, place: CartPlace) {
        self.blocked.lock().unwrap_or_else(PoisonError::into_inner).insert(place.order);
    }

    /// Whether an earlier cart of the same order was not decided.
    pub fn is_blocked(&self, place: CartPlace) -> bool {
        place.before > 0 && self.blocked.lock().unwrap_or_else(PoisonError::into_inner).contains(&place.order)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A hash that belongs to `worker` of 2, in `bucket`.
    fn hash(worker: u64, bucket: u64) -> u64 {
        bucket << 32 | worker
    }

    fn next(turns: &mut Turns, hashes: &[u64]) -> (usize, After) {
        turns.next(hashes.iter().copied(), false)
    }

    #[test]
    fn a_cart_waits_only_for_the_last_cart_on_one_of_its_keys() {
        let (a, b, c) = (hash(0, 1), hash(1, 2), hash(1, 3));
        let mut turns = Turns::new(2);
        assert_eq!(next(&mut turns, &[a]), (0, vec![]));
        assert_eq!(next(&mut turns, &[b]), (1, vec![]));
        assert_eq!(next(&mut turns, &[b]), (1, vec![]), "one worker keeps the order");
        assert_eq!(next(&mut turns, &[c, b, a]), (0, vec![(1, 2)]), "after both of b");
        assert_eq!(next(&mut turns, &[a]), (0, vec![]));
        assert_eq!(next(&mut turns, &[c]), (1, vec![(0, 2)]), "after the cart of all three");
        assert_eq!(next(&mut turns, &[c]), (1, vec![]));
        assert_eq!(turns.next([a].into_iter(), true), (0, vec![(1, 4)]), "after all");
        assert_eq!(Turns::new(1).next([a, b].into_iter(), true), (0, vec![]));
    }

    #[test]
    fn a_wait_for_a_worker_that_has_ended_fails() {
        let board = Board::new(2);
        board.decided(1);
        assert!(board.wait(&[(1, 1)]).is_ok());
        drop(board.mark_ended_on_drop(1));
        assert!(board.wait(&[(1, 1)]).is_ok());
        assert!(board.wait(&[(0, 0), (1, 2)]).is_err());
    }

    #[test]
    fn an_undecided_cart_blocks_later_carts_of_its_order_only() {
        let board = Board::new(1);
        board.block(CartPlace { order: 7, before: 0 });
        assert!(board.is_blocked(CartPlace { order: 7, before: 1 }));
        assert!(
            !board.is_blocked(CartPlace { order: 7, before: 0 })
                && !board.is_blocked(CartPlace { order: 8, before: 1 })
        );
    }
}
