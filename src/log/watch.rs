//! A position that only moves forward, and the callers that wait for it.
//!
//! A separate thread wakes the waiters, once a group: the log thread only stores the position and wakes that
//! thread.

use std::collections::BinaryHeap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Poll, Wake, Waker};
use std::thread::{self, Thread};

use parking_lot::Mutex;

/// A waker and the position it waits for; the heap's top is the nearest.
struct Waiting {
    position: u64,
    waker: Waker,
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.position == other.position
    }
}

impl Eq for Waiting {}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        other.position.cmp(&self.position)
    }
}

#[derive(Default)]
struct Waiters {
    heap: BinaryHeap<Waiting>,
    /// The thread that wakes the waiters, once it runs.
    waking: Option<Thread>,
}

/// A position that callers can wait for. See the [module](self).
pub(crate) struct Watch {
    position: AtomicU64,
    /// Whether the position has reached its last value.
    ended: AtomicBool,
    has_waiters: AtomicBool,
    waiters: Mutex<Waiters>,
}

impl Watch {
    pub(crate) fn new(position: u64) -> Self {
        Watch {
            position: AtomicU64::new(position),
            ended: AtomicBool::new(false),
            has_waiters: AtomicBool::new(false),
            waiters: Mutex::default(),
        }
    }

    pub(crate) fn position(&self) -> u64 {
        // SeqCst: together with `has_waiters`, see `advance`.
        self.position.load(Ordering::SeqCst)
    }

    /// Moves the position forward.
    pub(crate) fn advance(&self, position: u64) {
        // SeqCst: either a waiter that has just registered sees the new position, or this thread sees that it
        // waits.
        self.position.store(position, Ordering::SeqCst);
        self.ring();
    }

    /// Moves the position forward and wakes its waiters: for a watch without a thread that wakes them.
    pub(crate) fn advance_and_wake(&self, position: u64) {
        self.position.store(position, Ordering::SeqCst); // as in `advance`
        if self.has_waiters.load(Ordering::SeqCst) {
            self.wake_now();
        }
    }

    /// Ends the watch: the position will not move again, and callers that wait for a later one get `false`.
    pub(crate) fn end(&self) {
        self.ended.store(true, Ordering::SeqCst);
        // The waking thread itself waits for this, even if there is no other waiter.
        if let Some(thread) = &self.waiters.lock().waking {
            thread.unpark();
        }
    }

    fn ring(&self) {
        if self.has_waiters.load(Ordering::SeqCst)
            && let Some(thread) = &self.waiters.lock().waking
        {
            thread.unpark();
        }
    }

    /// `Ready(true)` once `position` is reached, `Ready(false)` if it never will be; otherwise registers
    /// `waker`.
    pub(crate) fn poll(&self, position: u64, waker: &Waker) -> Poll<bool> {
        if let Some(reached) = self.reached(position) {
            return Poll::Ready(reached);
        }
        let mut waiters = self.waiters.lock();
        waiters.heap.push(Waiting { position, waker: waker.clone() });
        self.has_waiters.store(true, Ordering::SeqCst);
        drop(waiters);
        match self.reached(position) {
            Some(reached) => Poll::Ready(reached),
            None => Poll::Pending,
        }
    }

    /// Blocks until `position` is reached; `false` if it never will be.
    pub(crate) fn wait(&self, position: u64) -> bool {
        if let Some(reached) = self.reached(position) {
            return reached;
        }
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        loop {
            if let Poll::Ready(reached) = self.poll(position, &waker) {
                return reached;
            }
            thread::park();
            if let Some(reached) = self.reached(position) {
                return reached;
            }
        }
    }

    fn reached(&self, position: u64) -> Option<bool> {
        // `ended` first: a position reached before the end counts.
        let ended = self.ended.load(Ordering::SeqCst);
        if self.position() >= position { Some(true) } else { ended.then_some(false) }
    }

    /// Runs the waking thread: returns after [`end`](Self::end), when all waiters were woken.
    pub(crate) fn wake_waiters(&self) {
        self.waiters.lock().waking = Some(thread::current());
        loop {
            let ended = self.ended.load(Ordering::SeqCst);
            let (woken, reached) = self.wake_now();
            if ended && woken == 0 {
                return;
            }
            // The log thread may have stored a position since `wake_now`: it saw `has_waiters` and unparked
            // this thread, or the position is seen here.
            if woken == 0 && self.position() == reached && !self.ended.load(Ordering::SeqCst) {
                thread::park();
            }
        }
    }

    /// Wakes the waiters whose position is reached; returns their number and the position.
    pub(crate) fn wake_now(&self) -> (usize, u64) {
        let ended = self.ended.load(Ordering::SeqCst);
        let reached = self.position();
        let mut woken = Vec::new();
        let mut waiters = self.waiters.lock();
        while waiters.heap.peek().is_some_and(|waiting| ended || waiting.position <= reached) {
            woken.extend(waiters.heap.pop());
        }
        self.has_waiters.store(!waiters.heap.is_empty(), Ordering::SeqCst);
        drop(waiters);
        let count = woken.len();
        for waiting in woken {
            // A waker is the caller's code: if it panics, the others are still woken.
            let _ = catch_unwind(AssertUnwindSafe(|| waiting.waker.wake()));
        }
        (count, reached)
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

#[cfg(all(test, not(stockhold_loom)))]
mod tests {
    use super::*;

    #[test]
    fn waiters_wake_when_their_position_is_reached_and_not_before() {
        let watch = Watch::new(10);
        assert!(watch.wait(10));
        thread::scope(|scope| {
            scope.spawn(|| watch.wake_waiters());
            let waiters: Vec<_> = (11..40).map(|at| (at, scope.spawn(|| watch.wait(11)))).collect();
            let late = scope.spawn(|| watch.wait(100));
            watch.advance(50);
            assert!(waiters.into_iter().all(|(_, waiter)| waiter.join().unwrap()));
            watch.end();
            assert!(!late.join().unwrap(), "the end wakes a waiter whose position will not come");
        });
        assert!(watch.wait(50));
        assert!(!watch.wait(51));
    }
}
