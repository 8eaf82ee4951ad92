//! Starts the engine's threads, and ends them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle, Thread};
use std::time::Duration;

use crossbeam::channel;
use parking_lot::Mutex;

use super::core::Core;
use crate::checkpoint::manifest_set::ManifestSet;
use crate::error::OpenError;
use crate::log::recovery::OpenLog;
use crate::log::writer::{self, WriterSetup};

/// Groups that may wait for the fold.
const FOLD_QUEUE: usize = 64;

/// The threads of an engine: log, waking, fold, checkpoints, and the driver of expiry.
pub(crate) struct Threads {
    running: Mutex<Vec<JoinHandle<()>>>,
    stop: Arc<AtomicBool>,
    driver: Option<Thread>,
    core: Arc<Core>,
}

impl Threads {
    pub(super) fn start(
        core: &Arc<Core>,
        log: Option<OpenLog>,
        manifest_set: Option<ManifestSet>,
    ) -> Result<Threads, OpenError> {
        let stop = Arc::new(AtomicBool::new(false));
        let mut threads = Threads {
            running: Mutex::default(),
            stop: Arc::clone(&stop),
            driver: None,
            core: Arc::clone(core),
        };
        let started = (|| {
            let spawn = |name: &str, body: Box<dyn FnOnce() + Send>| {
                let thread = thread::Builder::new().name(format!("stockhold-{name}")).spawn(body);
                thread.map_err(|error| OpenError::Thread(error.to_string()))
            };
            let (sender, receiver) = channel::bounded(FOLD_QUEUE);
            let (shared, durability) = (Arc::clone(&core.log), core.config.durability);
            let follow = Arc::clone(core);
            let fold =
                move || follow.follower.run(&receiver, follow.checkpointer.as_ref(), &follow.log.spare);
            threads.running.lock().push(spawn("fold", Box::new(fold))?);
            if let (Some(log), Some(manifest_set)) = (&log, manifest_set) {
                let (core, locked) = (Arc::clone(core), Arc::clone(&log.directory));
                let checkpoint = move || {
                    if let Some(checkpointer) = &core.checkpointer {
                        checkpointer.run(manifest_set, &core.log);
                    }
                    drop(locked); // no other engine opens the directory before
                };
                threads.running.lock().push(spawn("checkpoint", Box::new(checkpoint))?);
            }
            let wake = Arc::clone(core);
            threads.running.lock().push(spawn("wake", Box::new(move || wake.log.durable.wake_waiters()))?);
            if let Some(period) = core.config.driver_period {
                let (core, stop) = (Arc::clone(core), Arc::clone(&stop));
                let driver = spawn("expiry", Box::new(move || drive(&core, period, &stop)))?;
                threads.driver = Some(driver.thread().clone());
                threads.running.lock().push(driver);
            }
            let writer = WriterSetup { shared, log, fold: sender, durability };
            threads.running.lock().push(spawn("log", Box::new(move || writer::run(writer)))?);
            Ok(())
        })();
        if let Err(error) = started {
            core.log.ring.close();
            core.log.durable.end();
            threads.join();
            return Err(error);
        }
        Ok(threads)
    }

    /// An engine without threads.
    #[cfg(all(test, not(stockhold_loom)))]
    pub(super) fn none(core: &Arc<Core>) -> Threads {
        Threads { running: Mutex::default(), stop: Arc::default(), driver: None, core: Arc::clone(core) }
    }

    /// Waits until all have ended; the ring is closed before.
    pub(crate) fn join(&self) {
        self.stop.store(true, Ordering::Release); // pairs with the driver's Acquire
        if let Some(driver) = &self.driver {
            driver.unpark();
        }
        if let Some(checkpointer) = &self.core.checkpointer {
            checkpointer.end();
        }
        // The lock is held while joining, so that a second shutdown returns only when all have ended.
        let mut running = self.running.lock();
        for thread in running.drain(..) {
            // The last handle may be dropped by a waker, on one of these threads, which ends by itself. A
            // panic of the log thread has poisoned the engine; the other threads have nothing to lose.
            if thread.thread().id() != thread::current().id() {
                let _ = thread.join();
            }
        }
    }
}

/// The driver: expires what is due, forgets old op keys, ships overdue commitments, and saves the time.
fn drive(core: &Core, period: Duration, stop: &AtomicBool) {
    while !stop.load(Ordering::Acquire) {
        let now = core.now();
        core.sweep(now);
        core.clean_up(now);
        core.ship_overdue(now);
        core.save_time();
        thread::park_timeout(period);
    }
}
