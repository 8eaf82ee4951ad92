//! The stack of free slots and the queue of expired ones: no index is lost, and none comes out twice.

use std::sync::Arc;

use super::explore;
use crate::hold::indices::{IndexQueue, IndexStack, Links};
use crate::sync::Ordering::Relaxed;
use crate::sync::{AtomicU32, thread};

/// Links of four slots.
struct Four([AtomicU32; 4]);

impl Links for Four {
    fn link(&self, index: u32) -> Option<&AtomicU32> {
        self.0.get(index as usize)
    }
}

fn stack(indices: &[u32]) -> Arc<(IndexStack, Four)> {
    let stack = (IndexStack::new(), Four(std::array::from_fn(|_| AtomicU32::new(0))));
    indices.iter().for_each(|&index| stack.0.push(&stack.1, index));
    Arc::new(stack)
}

/// What was handed out and what is left are together `expected`, each once.
fn once_each(out: impl IntoIterator<Item = u32>, rest: impl FnMut() -> Option<u32>, expected: &[u32]) {
    let mut all: Vec<_> = out.into_iter().chain(std::iter::from_fn(rest).take(8)).collect();
    all.sort_unstable();
    assert!(all.windows(2).all(|pair| pair[0] < pair[1]), "handed out twice: {all:?}");
    assert_eq!(all, expected, "lost");
}

/// One thread pops while another pops two and pushes the first back on top of a different one: the first pop
/// notices that the stack has changed.
pub(super) fn a_stack_that_changes_back() {
    let stack = stack(&[2, 1, 0]);
    let other = Arc::clone(&stack);
    let other = thread::spawn(move || {
        let (stack, links) = &*other;
        let (first, second) = (stack.pop(links), stack.pop(links));
        if let Some(first) = first {
            stack.push(links, first);
        }
        second
    });
    let (free, links) = &*stack;
    let mine = free.pop(links);
    let other = other.join().unwrap();
    once_each(mine.into_iter().chain(other), || free.pop(links), &[0, 1, 2]);
}

/// Two threads push and one pops.
fn stack_of_three() {
    let stack = stack(&[0]);
    let others = [1, 2].map(|index| {
        let stack = Arc::clone(&stack);
        thread::spawn(move || stack.0.push(&stack.1, index))
    });
    let (free, links) = &*stack;
    let mine = free.pop(links);
    assert!(mine.is_some(), "never empty, and said to be");
    others.into_iter().for_each(|other| other.join().unwrap());
    once_each(mine, || free.pop(links), &[0, 1, 2]);
}

/// Two threads push and one pops, in a queue of this length that has `first` in it from the start.
fn queue_of(size: u32) {
    let queue = IndexQueue::new(size);
    assert_eq!(queue.put(0), None);
    let queue = Arc::new(queue);
    let others = [1, 2].map(|index| {
        let queue = Arc::clone(&queue);
        thread::spawn(move || queue.put(index))
    });
    let mine = queue.get();
    let others = others.map(|other| other.join().unwrap());
    if !others.contains(&Some(0)) {
        assert!(mine.is_some(), "something was in all along, and was not found");
    }
    let out = others.into_iter().flatten().chain(mine);
    once_each(out, || queue.get(), &[0, 1, 2]);
}

/// Two threads pop the last two indices while a third is pushed: each gets one, and no index comes out twice.
fn two_pops() {
    let queue = IndexQueue::new(2);
    assert_eq!([0, 1].map(|index| queue.put(index)), [None, None]);
    let queue = Arc::new(queue);
    let other = Arc::clone(&queue);
    let other = thread::spawn(move || other.get());
    let pusher = Arc::clone(&queue);
    let pusher = thread::spawn(move || pusher.put(2));
    let mine = queue.get();
    let (other, pushed) = (other.join().unwrap(), pusher.join().unwrap());
    once_each(mine.into_iter().chain(other).chain(pushed), || queue.get(), &[0, 1, 2]);
}

/// A thread that pops an index sees what was done to its slot before it was pushed.
fn what_comes_out_is_as_it_went_in() {
    let queue = Arc::new((IndexQueue::new(1), Four(std::array::from_fn(|_| AtomicU32::new(0)))));
    let others = [1, 2].map(|index| {
        let queue = Arc::clone(&queue);
        thread::spawn(move || {
            queue.1.link(index).unwrap().store(7, Relaxed);
            queue.0.put(index)
        })
    });
    let seen = |index: u32| queue.1.link(index).unwrap().load(Relaxed);
    if let Some(index) = queue.0.get() {
        assert_eq!(seen(index), 7, "handed over too early");
    }
    for other in others {
        other.join().unwrap();
    }
}

#[test]
fn a_pop_while_the_stack_changes_back() {
    explore(a_stack_that_changes_back);
}

#[test]
fn two_pushers_and_a_popper_at_the_stack() {
    explore(stack_of_three);
}

#[test]
fn two_pushers_and_a_popper_at_a_queue_of_two() {
    explore(|| queue_of(2));
}

#[test]
fn two_pushers_and_a_popper_at_a_queue_of_three() {
    explore(|| queue_of(3));
}

#[test]
fn two_poppers_and_a_pusher_at_the_queue() {
    explore(two_pops);
}

#[test]
fn an_index_brings_its_slot_along() {
    explore(what_comes_out_is_as_it_went_in);
}
