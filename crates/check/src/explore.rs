//! The search at one moment: the sets of open operations that must be tried before it, so that no legal order
//! is lost.
//!
//! # Why few sets are tried
//!
//! An operation that can as well happen after this moment is left until later (just-in-time linearization).
//! Gives and takes are limited only by the available units, and a set of them is possible in some order if it
//! is possible with the gives first. So they need to happen before this moment for only two reasons:
//!
//! 1. a refusal or a reading that was not yet true needs them: the *smallest* sets that make one true are
//!    tried, and from each, the smallest that make another one true, and so on;
//! 2. a take that must happen now needs units: the smallest sufficient sets of gives are tried.
//!
//! Of two gives (takes) of equal size, the one that ends first goes first: in a legal order that has them the
//! other way round they can be exchanged. So counts are tried instead of sets.
//!
//! Steps of a hold with overlapping calls, and corrections that name the resulting number, happen before this
//! moment or not: both are tried, each after the smallest sets that it needs. Only a correction that can
//! leave a negative number breaks the rule of gives first. While one is open and has not happened, all orders
//! are tried.

use std::collections::HashSet;

use crate::history::Effect;
use crate::sweep::{Configuration, Halt, Sweep, bits};

/// The open operations of a group that have not happened, of which at most `count` may happen.
struct Pool {
    group: usize,
    units: i64,
    count: usize,
}

/// Finds the smallest multisets of operations that satisfy a condition.
struct Smallest<'a> {
    pools: &'a [Pool],
    /// The least and the most units that the pools from each one on can add.
    rest: Vec<(i64, i64)>,
    chosen: Vec<usize>,
    found: Vec<Vec<usize>>,
    narrow: bool,
    left_out: bool,
}

impl Sweep<'_> {
    /// Adds to `reached` the states in which the operation of `slot` has happened. Without a slot, adds every
    /// state that must be tried before a deadline passes.
    pub(crate) fn explore(
        &mut self,
        from: Configuration,
        slot: Option<u8>,
        reached: &mut Vec<Configuration>,
    ) -> Result<(), Halt> {
        let singles = self.singles & !from.done;
        if bits(singles).any(|single| self.is_wild(single)) {
            return self.explore_all(from, slot, reached);
        }
        let mut seen = HashSet::new();
        let mut stack = vec![from];
        while let Some(state) = stack.pop() {
            if !self.spend()? {
                break;
            }
            match slot {
                Some(slot) if state.done & 1 << slot != 0 => {
                    reached.push(state);
                    continue;
                }
                Some(slot) => self.happen_with_needs(&state, slot, reached)?,
                None => reached.push(state.clone()),
            }
            let mut others = self.satisfy_reads(&state, slot)?;
            for single in bits(self.singles & !state.done).filter(|&single| Some(single) != slot) {
                self.happen_with_needs(&state, single, &mut others)?;
            }
            for next in others {
                if seen.insert(next.clone()) {
                    stack.push(next);
                }
            }
        }
        Ok(())
    }

    /// Counts one step of the search; `false` if a narrow search has none left.
    fn spend(&mut self) -> Result<bool, Halt> {
        match self.effort.checked_sub(1) {
            Some(left) => self.effort = left,
            None if self.width.is_some() => {
                self.left_out = true;
                return Ok(false);
            }
            None => return Err(Halt::Effort("the search takes too many steps")),
        }
        Ok(true)
    }

    /// Whether this is a correction that can leave a negative number: a take before it may be impossible
    /// after it.
    fn is_wild(&self, slot: u8) -> bool {
        let effect = self.slots[usize::from(slot)].map(|operation| self.effect(operation));
        matches!(effect, Some(Effect::Shift { delta, after }) if delta < 0 && after.is_none_or(|after| after < 0))
    }

    /// Adds every reachable state, without any of the shortcuts.
    fn explore_all(
        &mut self,
        from: Configuration,
        slot: Option<u8>,
        reached: &mut Vec<Configuration>,
    ) -> Result<(), Halt> {
        let mut seen = HashSet::from([from.clone()]);
        let mut stack = vec![from];
        while let Some(state) = stack.pop() {
            if !self.spend()? {
                break;
            }
            match slot {
                Some(slot) if state.done & 1 << slot != 0 => {
                    reached.push(state);
                    continue;
                }
                Some(_) => {}
                None => reached.push(state.clone()),
            }
            let first =
                |slots: &[(_, u8)]| slots.iter().map(|s| s.1).find(|slot| state.done & 1 << slot == 0);
            let plain = self.groups.iter().filter_map(|group| first(&group.slots));
            for next in plain.chain(bits(self.singles & !state.done)) {
                if let Some(next) = self.happen(&state, next)
                    && !seen.contains(&next)
                {
                    seen.insert(next.clone());
                    stack.push(next);
                }
            }
        }
        Ok(())
    }

    /// Adds the states in which the operation happens now, after the smallest sets that it needs.
    fn happen_with_needs(
        &mut self,
        state: &Configuration,
        slot: u8,
        reached: &mut Vec<Configuration>,
    ) -> Result<(), Halt> {
        if let Some(next) = self.happen(state, slot) {
            reached.push(next);
            return Ok(());
        }
        let Some((least, most)) = self.needs(state, slot) else { return Ok(()) };
        let (least, most) = (least - state.available, most.saturating_sub(state.available));
        let mut pools = self.pools(state, Some(slot));
        if most > i64::MAX / 2 {
            pools.retain(|pool| pool.units > 0);
        }
        let available = state.available;
        let enough =
            |sum: i64, takes: bool| (least..=most).contains(&sum) && (!takes || available + sum >= 0);
        let possible = |(low, high): (i64, i64)| low <= most && least <= high;
        for chosen in self.smallest(&pools, enough, possible)? {
            let state = self.after(state, &pools, &chosen);
            reached.extend(self.happen(&state, slot));
        }
        Ok(())
    }

    /// The range of available units in which the operation can happen, if it depends on them.
    fn needs(&self, state: &Configuration, slot: u8) -> Option<(i64, i64)> {
        let operation = self.slots[usize::from(slot)]?;
        match self.effect(operation) {
            Effect::Take(units) => Some((units, i64::MAX)),
            Effect::Shift { delta, after: Some(after) } => Some((after - delta, after - delta)),
            Effect::Step { hold, step } => {
                let start_ns = self.history.operations[operation].start_ns;
                let stepped = step.take(state.hold(hold), start_ns).ok()?;
                (stepped.units < 0).then_some((-stepped.units, i64::MAX))
            }
            Effect::Give(_) | Effect::Read { .. } | Effect::Shift { .. } => None,
        }
    }

    /// The states after the smallest sets of operations that make a refusal or a reading true.
    fn satisfy_reads(&mut self, state: &Configuration, slot: Option<u8>) -> Result<Vec<Configuration>, Halt> {
        if self.is_blocked(state) {
            return Ok(Vec::new());
        }
        let unseen: Vec<(i64, i64)> = self
            .reads
            .iter()
            .filter(|read| state.done & 1 << read.0 == 0)
            .map(|&(_, least, most)| {
                (least.saturating_sub(state.available), most.saturating_sub(state.available))
            })
            .collect();
        if unseen.is_empty() {
            return Ok(Vec::new());
        }
        let pools = self.pools(state, slot);
        let available = state.available;
        let hit = |sum: i64, takes: bool| {
            unseen.iter().any(|&(least, most)| (least..=most).contains(&sum))
                && (!takes || available + sum >= 0)
        };
        let possible =
            |(low, high): (i64, i64)| unseen.iter().any(|&(least, most)| low <= most && least <= high);
        let found = self.smallest(&pools, hit, possible)?;
        Ok(found.iter().map(|chosen| self.after(state, &pools, chosen)).collect())
    }

    /// The operations that have not happened, by group; without the group of `slot`, of which that one is the
    /// first.
    fn pools(&self, state: &Configuration, slot: Option<u8>) -> Vec<Pool> {
        let without = slot.map_or(0, |slot| 1_u128 << slot);
        let without = if without & self.singles == 0 { without } else { 0 };
        let pool = |(index, group): (usize, &crate::sweep::Group)| {
            let count = (group.mask & !state.done).count_ones() as usize;
            (count > 0 && group.mask & without == 0).then_some(Pool {
                group: index,
                units: group.units,
                count,
            })
        };
        self.groups.iter().enumerate().filter_map(pool).collect()
    }

    fn smallest(
        &mut self,
        pools: &[Pool],
        good: impl Fn(i64, bool) -> bool,
        possible: impl Fn((i64, i64)) -> bool,
    ) -> Result<Vec<Vec<usize>>, Halt> {
        let mut rest = vec![(0, 0); pools.len() + 1];
        for (at, pool) in pools.iter().enumerate().rev() {
            let sum = pool.units * pool.count as i64;
            rest[at] = (rest[at + 1].0 + sum.min(0), rest[at + 1].1 + sum.max(0));
        }
        let mut search = Smallest {
            pools,
            rest,
            chosen: vec![0; pools.len()],
            found: Vec::new(),
            narrow: self.width.is_some(),
            left_out: false,
        };
        search.extend_from(0, 0, false, &mut self.effort, &good, &possible)?;
        self.left_out |= search.left_out;
        let mut found = search.found;
        let within = |small: &[usize], large: &[usize]| small.iter().zip(large).all(|(s, l)| s <= l);
        if found.len() > 1 {
            let all = found.clone();
            found.retain(|large| !all.iter().any(|small| small != large && within(small, large)));
        }
        Ok(found)
    }

    /// The state after the chosen count of each pool, and after the reads that they make true.
    fn after(&self, state: &Configuration, pools: &[Pool], chosen: &[usize]) -> Configuration {
        let mut next = state.clone();
        for (pool, &count) in pools.iter().zip(chosen) {
            let group = &self.groups[pool.group].slots;
            for &(_, slot) in group.iter().filter(|(_, slot)| state.done & 1 << slot == 0).take(count) {
                next.done |= 1 << slot;
            }
            next.available += pool.units * count as i64;
        }
        self.see(&mut next);
        next
    }
}

impl Smallest<'_> {
    fn extend_from(
        &mut self,
        at: usize,
        sum: i64,
        takes: bool,
        effort: &mut usize,
        good: &impl Fn(i64, bool) -> bool,
        possible: &impl Fn((i64, i64)) -> bool,
    ) -> Result<(), Halt> {
        let (low, high) = self.rest[at];
        if at == self.pools.len() || !possible((sum + low, sum + high)) {
            return Ok(());
        }
        match effort.checked_sub(1) {
            Some(left) => *effort = left,
            None if self.narrow => {
                self.left_out = true;
                return Ok(());
            }
            None => return Err(Halt::Effort("the search takes too many steps")),
        }
        let Pool { units, count, .. } = self.pools[at];
        for chosen in 0..=count {
            self.chosen[at] = chosen;
            let (sum, takes) = (sum + units * chosen as i64, takes || chosen > 0 && units < 0);
            if chosen > 0 && good(sum, takes) {
                self.found.push(self.chosen.clone()); // a larger count would not be smaller
                break;
            }
            self.extend_from(at + 1, sum, takes, effort, good, possible)?;
        }
        self.chosen[at] = 0;
        Ok(())
    }
}
