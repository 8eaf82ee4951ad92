//! Loom's atomics, each with a shadow that makes loom explore every order of the accesses to it.
//!
//! Loom 0.7 decides which orders are worth exploring by the *last* access to an object, and a load overwrites another
//! thread's. So of "one thread loads, another loads and then swaps" it explores one order only when the first thread runs
//! first: it never lets the swap come before the load. Every compare-and-swap loop is that pattern. A relaxed
//! store to a shadow in front of each access makes all accesses of one atomic depend on each other, hence every order
//! of them be explored; it carries no data and orders nothing, so what a load may see stays as weak as it was.

use std::ops::{Deref, DerefMut};

use loom::sync::atomic::{self as raw, Ordering};

macro_rules! explored {
    ($name:ident, $value:ty) => {
        #[derive(Debug, Default)]
        pub(crate) struct $name {
            shadow: raw::AtomicBool,
            value: raw::$name,
        }

        #[allow(dead_code)]
        impl $name {
            pub(crate) fn new(value: $value) -> Self {
                $name { shadow: raw::AtomicBool::new(false), value: raw::$name::new(value) }
            }

            fn touched(&self) -> &raw::$name {
                self.shadow.store(true, Ordering::Relaxed);
                &self.value
            }

            pub(crate) fn load(&self, order: Ordering) -> $value {
                self.touched().load(order)
            }

            pub(crate) fn store(&self, value: $value, order: Ordering) {
                self.touched().store(value, order);
            }

            pub(crate) fn swap(&self, value: $value, order: Ordering) -> $value {
                self.touched().swap(value, order)
            }

            pub(crate) fn compare_exchange(
                &self,
                old: $value,
                new: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                self.touched().compare_exchange(old, new, success, failure)
            }

            pub(crate) fn compare_exchange_weak(
                &self,
                old: $value,
                new: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                self.touched().compare_exchange_weak(old, new, success, failure)
            }

            pub(crate) fn fetch_or(&self, bits: $value, order: Ordering) -> $value {
                self.touched().fetch_or(bits, order)
            }

            pub(crate) fn fetch_and(&self, bits: $value, order: Ordering) -> $value {
                self.touched().fetch_and(bits, order)
            }
        }
    };
    ($name:ident, $value:ty, number) => {
        explored!($name, $value);

        #[allow(dead_code)]
        impl $name {
            pub(crate) fn fetch_add(&self, more: $value, order: Ordering) -> $value {
                self.touched().fetch_add(more, order)
            }

            pub(crate) fn fetch_sub(&self, less: $value, order: Ordering) -> $value {
                self.touched().fetch_sub(less, order)
            }

            pub(crate) fn fetch_max(&self, other: $value, order: Ordering) -> $value {
                self.touched().fetch_max(other, order)
            }
        }
    };
}

explored!(AtomicBool, bool);
explored!(AtomicU32, u32, number);
explored!(AtomicU64, u64, number);

/// A mutex that is only ever tried, so that nobody waits at it.
#[derive(Debug)]
pub(crate) struct TryMutex<T> {
    held: AtomicBool,
    value: parking_lot::Mutex<T>,
}

pub(crate) struct TryMutexGuard<'m, T> {
    held: &'m AtomicBool,
    /// `None` only while it is dropped: before others may see the mutex free.
    value: Option<parking_lot::MutexGuard<'m, T>>,
}

impl<T> TryMutex<T> {
    pub(crate) fn new(value: T) -> Self {
        TryMutex { held: AtomicBool::new(false), value: parking_lot::Mutex::new(value) }
    }

    pub(crate) fn try_lock(&self) -> Option<TryMutexGuard<'_, T>> {
        self.held.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).ok()?;
        Some(TryMutexGuard { held: &self.held, value: self.value.try_lock() })
    }
}

impl<T> Drop for TryMutexGuard<'_, T> {
    fn drop(&mut self) {
        self.value = None;
        self.held.store(false, Ordering::Release);
    }
}

impl<T> Deref for TryMutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.value.as_deref().expect("held")
    }
}

impl<T> DerefMut for TryMutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.value.as_deref_mut().expect("held")
    }
}
