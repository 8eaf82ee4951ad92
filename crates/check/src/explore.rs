//! The search at one moment: what may have happened before it, so that every legal order is still to be had.
//!
//! # Why so little is tried
//!
//! Whatever may as well happen after this moment is left until after it (just-in-time linearization). Gives and takes
//! are only limited by what is there, and a set of them is possible in some order if it is possible gives first; so they
//! need to happen before this moment for two reasons alone:
//!
//! 1. a refusal or a reading that was not yet true needs them: the *smallest* sets that make one true are tried, and
//!    from each, the smallest that make another one true, and so on;
//! 2. a take that must happen now needs units: the smallest sets of gives that are enough are tried.
//!
//! Of two gives (takes) of as many units, the one that ends first goes first: in a legal order that has it the other way
//! round they can change places. So it is counts that are tried, and not sets.
//!
//! Steps of a hold whose calls overlap, and corrections that say what is available after them, happen before this moment
//! or not: both is tried, each after the smallest sets that it needs. Only a correction that can leave less than nothing
//! breaks the rule of gives first. While one is open and has not happened, everything is tried.

use std::collections::HashSet;

use crate::counter::Effect;
use crate::sweep::{Configuration, Halt, Sweep, bits};

/// Open operations of a kind that have not happened, at most so many of which may.
struct Pool {
    kin: usize,
    units: i64,
    count: usize,
}

/// Finds the smallest multisets of operations that are good for something.
struct Smallest<'a> {
    pools: &'a [Pool],
    /// The least and the most that the pools from each one on can add.
    rest: Vec<(i64, i64)>,
    chosen: Vec<usize>,
    found: Vec<Vec<usize>>,
    narrow: bool,
    left_out: bool,
}

impl Sweep<'_> {
    /// Adds to `reached` the states in which the operation of `slot` has happened, or, without one, every state
    /// that must be had before a deadline comes.
    pub(crate) fn explore(
        &mut self,
        from: Configuration,
        slot: Option<u8>,
        reached: &mut Vec<Configuration>,
    ) -> Result<(), Halt> {
        let singles = self.singles & !from.done;
        if bits(singles).any(|single| self.is_wild(single)) {
            return self.everything(from, slot, reached);
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
                Some(slot) => self.now(&state, slot, reached)?,
                None => reached.push(state.clone()),
            }
            let mut others = self.truths(&state, slot)?;
            for single in bits(self.singles & !state.done).filter(|&single| Some(single) != slot) {
                self.now(&state, single, &mut others)?;
            }
            for next in others {
                if seen.insert(next.clone()) {
                    stack.push(next);
                }
            }
        }
        Ok(())
    }

    /// One step of the search; `false` if a narrow search has none left.
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

    /// A correction that can leave less than nothing: takes that come before it may have no place after it.
    fn is_wild(&self, slot: u8) -> bool {
        let effect = self.slots[usize::from(slot)].map(|operation| self.effect(operation));
        matches!(effect, Some(Effect::Shift { delta, after }) if delta < 0 && after.is_none_or(|after| after < 0))
    }

    /// Every state that can be had, without any of the shortcuts.
    fn everything(
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
            let plain = self.kin.iter().filter_map(|kin| first(&kin.slots));
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

    /// The operation happens now, after as little as it needs.
    fn now(&mut self, state: &Configuration, slot: u8, reached: &mut Vec<Configuration>) -> Result<(), Halt> {
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
            let state = self.with(state, &pools, &chosen);
            reached.extend(self.happen(&state, slot));
        }
        Ok(())
    }

    /// Between which numbers of units available the operation can happen, if that is what it waits for.
    fn needs(&self, state: &Configuration, slot: u8) -> Option<(i64, i64)> {
        let operation = self.slots[usize::from(slot)]?;
        match self.effect(operation) {
            Effect::Take(units) => Some((units, i64::MAX)),
            Effect::Shift { delta, after: Some(after) } => Some((after - delta, after - delta)),
            Effect::Step { hold, step } => {
                let start_ns = self.line.operations[operation].start_ns;
                let stepped = step.take(state.hold(hold), start_ns).ok()?;
                (stepped.units < 0).then_some((-stepped.units, i64::MAX))
            }
            Effect::Give(_) | Effect::Read { .. } | Effect::Shift { .. } => None,
        }
    }

    /// The states after the smallest sets that make a refusal or a reading true.
    fn truths(&mut self, state: &Configuration, slot: Option<u8>) -> Result<Vec<Configuration>, Halt> {
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
        Ok(found.iter().map(|chosen| self.with(state, &pools, chosen)).collect())
    }

    /// What has not happened, by kind; without the kind of `slot`, of which that one is the first.
    fn pools(&self, state: &Configuration, slot: Option<u8>) -> Vec<Pool> {
        let without = slot.map_or(0, |slot| 1_u128 << slot);
        let without = if without & self.singles == 0 { without } else { 0 };
        let pool = |(index, kin): (usize, &crate::sweep::Kin)| {
            let count = (kin.mask & !state.done).count_ones() as usize;
            (count > 0 && kin.mask & without == 0).then_some(Pool { kin: index, units: kin.units, count })
        };
        self.kin.iter().enumerate().filter_map(pool).collect()
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
        search.from(0, 0, false, &mut self.effort, &good, &possible)?;
        self.left_out |= search.left_out;
        let mut found = search.found;
        let within = |small: &[usize], large: &[usize]| small.iter().zip(large).all(|(s, l)| s <= l);
        if found.len() > 1 {
            let all = found.clone();
            found.retain(|large| !all.iter().any(|small| small != large && within(small, large)));
        }
        Ok(found)
    }

    /// A state after so many of each kind, and after what they make true.
    fn with(&self, state: &Configuration, pools: &[Pool], chosen: &[usize]) -> Configuration {
        let mut next = state.clone();
        for (pool, &count) in pools.iter().zip(chosen) {
            let kin = &self.kin[pool.kin].slots;
            for &(_, slot) in kin.iter().filter(|(_, slot)| state.done & 1 << slot == 0).take(count) {
                next.done |= 1 << slot;
            }
            next.available += pool.units * count as i64;
        }
        self.see(&mut next);
        next
    }
}

impl Smallest<'_> {
    fn from(
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
                self.found.push(self.chosen.clone()); // more would not be smaller
                break;
            }
            self.from(at + 1, sum, takes, effort, good, possible)?;
        }
        self.chosen[at] = 0;
        Ok(())
    }
}
