//! Wakes the log thread when it sleeps. When it does not sleep, a writer pays for one fence.
//!
//! The race: the thread goes to sleep while a writer publishes a record. The writer publishes and then asks
//! whether the thread sleeps; the thread says that it sleeps and then checks once more whether something is
//! published. So one of the two sees the other.

use std::sync::OnceLock;
use std::time::Duration;

use crate::fault::{Fault, planted};
use crate::sync::thread::{self, Thread};
use crate::sync::{AtomicBool, Ordering, fence, park_timeout};

/// Wakes one thread. See the [module](self).
#[derive(Debug, Default)]
pub(crate) struct Bell {
    sleeping: AtomicBool,
    thread: OnceLock<Thread>,
}

impl Bell {
    /// Wakes the thread if it sleeps. To be called after publishing.
    pub(crate) fn ring(&self) {
        // A SeqCst fence between the publication and the question, and one in `sleep` between the
        // announcement and the check: one of the two threads sees the other.
        fence(Ordering::SeqCst);
        if self.sleeping.load(Ordering::Relaxed)
            && let Some(thread) = self.thread.get()
        {
            thread.unpark();
        }
    }

    /// Makes the calling thread the one that is woken. Only the first call has an effect.
    pub(crate) fn belong_to_this_thread(&self) {
        let _ = self.thread.set(thread::current());
    }

    /// Sleeps for `nap` at most, unless `awake` holds after the sleep was announced.
    pub(crate) fn sleep(&self, nap: Duration, awake: impl Fn() -> bool) {
        self.sleeping.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst); // pairs with the fence in `ring`
        if planted(Fault::SkipSecondLook) || !awake() {
            park_timeout(nap);
        }
        self.sleeping.store(false, Ordering::Relaxed);
    }
}
