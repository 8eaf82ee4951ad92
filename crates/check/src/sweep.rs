//! The sweep: goes through the moments of one stock key in order of time, with every state that the key can
//! be in.
//!
//! A [`Configuration`] is a set of open calls that have happened, and the units available then. Calls that
//! have ended are forgotten, so memory grows with the overlap of calls and not with their number. If no
//! configuration is left at the end of a call, the call was not possible at any instant of its span.

use crate::history::{Effect, History, Moment, Operation};
use crate::hold::{Hold, Step};
use crate::options::{Options, Width};

/// One possible state of the key.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub(crate) struct Configuration {
    /// The slots of the open calls that have happened.
    pub(crate) done: u128,
    pub(crate) available: i64,
    /// The holds with overlapping calls, by number.
    pub(crate) holds: Vec<(u32, Hold)>,
}

/// Open calls with the same effect on the number, ordered by their ends: the search uses the first that ends.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    /// Units that each gives, or takes, if negative.
    pub(crate) units: i64,
    /// Whether they may also not happen.
    pub(crate) waived: bool,
    pub(crate) slots: Vec<(Order, u8)>,
    pub(crate) mask: u128,
}

/// The order of ends: by time, then those cut by a deadline first, then by index.
pub(crate) type Order = (u64, bool, usize);

/// Why a sweep stopped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Halt {
    /// This operation has no place in any order.
    Stuck(usize),
    /// The search would exceed its limits.
    Effort(&'static str),
}

/// The state of the sweep at one moment.
#[derive(Clone, Debug)]
pub(crate) struct Sweep<'l> {
    pub(crate) history: &'l History,
    /// The most states at one moment.
    pub(crate) states_max: usize,
    /// The most steps of the search at one moment.
    pub(crate) effort_max: usize,
    /// The operation in each slot.
    pub(crate) slots: Vec<Option<usize>>,
    pub(crate) groups: Vec<Group>,
    /// Open refusals and readings: slot, and the range that the number must be in.
    pub(crate) reads: Vec<(u8, i64, i64)>,
    /// Open operations that the search must try one by one.
    pub(crate) singles: u128,
    /// For each hold with overlapping calls, the number of calls that have ended.
    ended: Vec<u32>,
    /// Deadlines up to here have passed.
    due_ns: Option<u64>,
    pub(crate) configurations: Vec<Configuration>,
    pub(crate) overlap_max: usize,
    pub(crate) configurations_max: usize,
    /// Steps of the search left for this moment.
    pub(crate) effort: usize,
    /// Set in a narrow sweep, which looks for one legal order only: states beyond this width are left out.
    pub(crate) width: Option<Width>,
    /// States were left out, so a stuck call proves nothing.
    pub(crate) left_out: bool,
    /// Operations that may be left out, while a window is made smaller.
    pub(crate) waived: Vec<usize>,
    /// An operation that is replaced by the question whether the number can have been in this range (both
    /// included).
    pub(crate) probe: Option<(usize, i64, i64)>,
}

impl<'l> Sweep<'l> {
    /// Starts with no units available and no call open.
    pub(crate) fn new(history: &'l History, options: &Options) -> Self {
        Sweep {
            history,
            states_max: options.configurations_max,
            effort_max: options.effort_max,
            slots: Vec::new(),
            groups: Vec::new(),
            reads: Vec::new(),
            singles: 0,
            ended: vec![0; history.overlapping.len()],
            due_ns: None,
            configurations: vec![Configuration::default()],
            overlap_max: 0,
            configurations_max: 1,
            effort: 0,
            width: None,
            left_out: false,
            waived: Vec::new(),
            probe: None,
        }
    }

    /// Processes one moment.
    pub(crate) fn pass(&mut self, at_ns: u64, moment: Moment) -> Result<(), Halt> {
        self.effort = self.width.map_or(self.effort_max, |width| width.effort);
        match moment {
            Moment::Start(operation) => self.start(operation)?,
            Moment::EndBefore(operation) | Moment::End(operation) => self.end(operation)?,
            Moment::Deadline(units) => self.deadline(at_ns, units)?,
        }
        self.configurations_max = self.configurations_max.max(self.configurations.len());
        match self.configurations.len() > self.states_max {
            true => Err(Halt::Effort("too many states are possible")),
            false => Ok(()),
        }
    }

    pub(crate) fn effect(&self, operation: usize) -> Effect {
        match self.probe {
            Some((probed, least, most)) if probed == operation => Effect::Read { least, most },
            _ => self.history.operations[operation].effect,
        }
    }

    fn start(&mut self, operation: usize) -> Result<(), Halt> {
        let effect = self.effect(operation);
        if matches!(effect, Effect::Read { .. }) && self.waived.contains(&operation) {
            return Ok(());
        }
        let slot = match self.slots.iter().position(Option::is_none) {
            Some(slot) => slot,
            None if self.slots.len() < 128 => {
                self.slots.push(None);
                self.slots.len() - 1
            }
            None => return Err(Halt::Effort("more than 128 calls overlap")),
        };
        self.slots[slot] = Some(operation);
        self.overlap_max = self.overlap_max.max(self.slots.iter().flatten().count());
        self.join(slot as u8, operation, effect);
        if matches!(effect, Effect::Read { .. } | Effect::Step { step: Step::Seen, .. }) {
            self.see_all();
        }
        Ok(())
    }

    /// Adds an open operation to the lists of the search.
    pub(crate) fn join(&mut self, slot: u8, operation: usize, effect: Effect) {
        let units = match effect {
            Effect::Read { least, most } => return self.reads.push((slot, least, most)),
            Effect::Shift { .. } | Effect::Step { .. } => {
                self.singles |= 1 << slot;
                return;
            }
            Effect::Give(units) => units,
            Effect::Take(units) => -units,
        };
        let waived = self.waived.contains(&operation);
        let Operation { end_ns, before_deadline, .. } = self.history.operations[operation];
        let entry = ((end_ns, !before_deadline, operation), slot);
        let place = self.groups.iter().position(|group| (group.units, group.waived) == (units, waived));
        let group = match place {
            Some(place) => &mut self.groups[place],
            None => {
                self.groups.push(Group { units, waived, slots: Vec::new(), mask: 0 });
                self.groups.last_mut().expect("just pushed")
            }
        };
        let place = group.slots.partition_point(|other| *other < entry);
        group.slots.insert(place, entry);
        group.mask |= 1 << slot;
    }

    fn leave(&mut self, slot: u8) {
        self.slots[usize::from(slot)] = None;
        self.reads.retain(|read| read.0 != slot);
        self.singles &= !(1 << slot);
        for group in &mut self.groups {
            if group.mask & 1 << slot != 0 {
                group.slots.retain(|other| other.1 != slot);
                group.mask &= !(1 << slot);
            }
        }
        self.groups.retain(|group| group.mask != 0);
    }

    fn end(&mut self, operation: usize) -> Result<(), Halt> {
        let Some(slot) = self.slots.iter().position(|&open| open == Some(operation)) else {
            return Ok(()); // it was left out
        };
        let (slot, bit) = (slot as u8, 1_u128 << slot);
        let waived = self.waived.contains(&operation);
        let mut reached = Vec::with_capacity(self.configurations.len());
        for configuration in std::mem::take(&mut self.configurations) {
            if configuration.done & bit != 0 {
                reached.push(configuration);
                continue;
            }
            if waived {
                reached.push(configuration.clone());
            }
            self.explore(configuration, Some(slot), &mut reached)?;
        }
        if reached.is_empty() {
            return Err(Halt::Stuck(operation));
        }
        self.leave(slot);
        for configuration in &mut reached {
            configuration.done &= !bit;
        }
        self.configurations = reached;
        if let Effect::Step { hold, .. } = self.history.operations[operation].effect {
            self.ended[hold as usize] += 1;
            // This call may have been the last one that could end the hold; and a hold that no open call can
            // change is no difference between two states.
            self.settle_all();
            self.forget(hold);
        }
        self.prune();
        Ok(())
    }

    fn deadline(&mut self, at_ns: u64, units: i64) -> Result<(), Halt> {
        // The operations that must happen before the deadline.
        let mut reached = Vec::with_capacity(self.configurations.len());
        for configuration in std::mem::take(&mut self.configurations) {
            self.explore(configuration, None, &mut reached)?;
        }
        self.due_ns = Some(at_ns);
        for configuration in &mut reached {
            configuration.available += units;
        }
        self.configurations = reached;
        self.settle_all();
        self.see_all();
        let holds: Vec<u32> =
            self.configurations.iter().flat_map(|c| c.holds.iter().map(|&(hold, _)| hold)).collect();
        for hold in holds {
            self.forget(hold);
        }
        self.prune();
        Ok(())
    }

    fn is_due(&self, deadline_ns: u64) -> bool {
        self.due_ns.is_some_and(|due_ns| deadline_ns <= due_ns)
    }

    /// Whether a hold is due while a call that can still end or extend it has not happened: then no read is
    /// possible.
    pub(crate) fn is_blocked(&self, configuration: &Configuration) -> bool {
        configuration
            .holds
            .iter()
            .any(|(_, hold)| matches!(hold, Hold::Live { deadline_ns, .. } if self.is_due(*deadline_ns)))
    }

    /// Expires the holds that are due and that no open call can end or extend any more.
    pub(crate) fn settle(&self, configuration: &mut Configuration) {
        for place in 0..configuration.holds.len() {
            let (number, hold) = configuration.holds[place];
            if let Hold::Live { quantity, deadline_ns } = hold
                && self.is_due(deadline_ns)
                && !self.is_contested(configuration, number, deadline_ns)
            {
                configuration.holds[place].1 = Hold::Expired { quantity };
                configuration.available += quantity;
            }
        }
    }

    fn is_contested(&self, configuration: &Configuration, number: u32, deadline_ns: u64) -> bool {
        bits(self.singles & !configuration.done).any(|slot| {
            let Some(operation) = self.slots[usize::from(slot)] else { return false };
            let Operation { start_ns, effect, .. } = self.history.operations[operation];
            // Starts are processed in order of time, so every call that began before the deadline is open or
            // has ended.
            matches!(effect, Effect::Step { hold, step }
                if hold == number && start_ns < deadline_ns && step.needs_live())
        })
    }

    fn settle_all(&mut self) {
        let mut configurations = std::mem::take(&mut self.configurations);
        for configuration in &mut configurations {
            self.settle(configuration);
        }
        self.configurations = configurations;
        self.see_all();
    }

    /// Lets reads happen as soon as they can: they change nothing, so they prevent no other operation.
    pub(crate) fn see(&self, configuration: &mut Configuration) {
        let unseen = |read: &&(u8, i64, i64)| configuration.done & 1 << read.0 == 0;
        if self.reads.iter().any(|read| unseen(&read)) && !self.is_blocked(configuration) {
            for &(slot, least, most) in &self.reads {
                if (least..=most).contains(&configuration.available) {
                    configuration.done |= 1 << slot;
                }
            }
        }
        for slot in bits(self.singles & !configuration.done) {
            if let Some(operation) = self.slots[usize::from(slot)]
                && let Effect::Step { hold, step: Step::Seen } = self.effect(operation)
                && matches!(configuration.hold(hold), Some(Hold::Expired { .. }))
            {
                configuration.done |= 1 << slot;
            }
        }
    }

    fn see_all(&mut self) {
        let mut configurations = std::mem::take(&mut self.configurations);
        for configuration in &mut configurations {
            self.see(configuration);
        }
        self.configurations = configurations;
    }

    /// The state after one operation happens now, if it can.
    pub(crate) fn happen(&self, configuration: &Configuration, slot: u8) -> Option<Configuration> {
        let operation = self.slots[usize::from(slot)]?;
        let mut next = configuration.clone();
        next.done |= 1 << slot;
        match self.effect(operation) {
            Effect::Read { .. } => return None, // done by `see`
            Effect::Give(units) => next.available += units,
            Effect::Take(units) => {
                next.available -= units;
                if next.available < 0 {
                    return None;
                }
            }
            Effect::Shift { delta, after } => {
                next.available += delta;
                if after.is_some_and(|after| after != next.available || self.is_blocked(configuration)) {
                    return None;
                }
            }
            Effect::Step { hold, step } => {
                let start_ns = self.history.operations[operation].start_ns;
                let stepped = step.take(configuration.hold(hold), start_ns).ok()?;
                next.available += stepped.units;
                if stepped.units < 0 && next.available < 0 {
                    return None;
                }
                match next.holds.binary_search_by_key(&hold, |&(number, _)| number) {
                    Ok(place) => next.holds[place].1 = stepped.hold,
                    Err(place) => next.holds.insert(place, (hold, stepped.hold)),
                }
                self.settle(&mut next);
            }
        }
        self.see(&mut next);
        Some(next)
    }

    /// Drops a hold from every state once no later call names it and its deadline has passed: no call can
    /// tell the difference.
    fn forget(&mut self, number: u32) {
        if self.ended[number as usize] < self.history.overlapping[number as usize] {
            return;
        }
        let waits = |hold| matches!(hold, Hold::Live { deadline_ns, .. } if deadline_ns != u64::MAX);
        for configuration in &mut self.configurations {
            configuration.holds.retain(|&(other, hold)| other != number || waits(hold));
        }
    }

    /// Drops every state that can still be reached from another one.
    fn prune(&mut self) {
        self.configurations.sort_unstable();
        self.configurations.dedup();
        if self.configurations.len() < 2 {
            return;
        }
        let all = std::mem::take(&mut self.configurations);
        let kept = all
            .iter()
            .enumerate()
            .filter(|&(at, state)| {
                !all.iter().enumerate().any(|(other, from)| {
                    other != at && self.leads_to(from, state) && (other < at || !self.leads_to(state, from))
                })
            })
            .map(|(_, state)| state.clone())
            .collect();
        self.configurations = kept;
        if let Some(Width { states, .. }) = self.width
            && self.configurations.len() > states
        {
            // Keep those with the fewest open reads, and of these the ones that used the fewest other
            // operations.
            let reads = self.reads.iter().fold(0_u128, |set, read| set | 1 << read.0);
            self.configurations.sort_by_key(|state| {
                ((reads & !state.done).count_ones(), (state.done & !reads).count_ones())
            });
            self.configurations.truncate(states);
            self.left_out = true;
        }
    }

    /// Whether open gives and takes lead from `from` to `to`.
    fn leads_to(&self, from: &Configuration, to: &Configuration) -> bool {
        let (gained, lost) = (to.done & !from.done, from.done & !to.done);
        if from.holds != to.holds || gained & self.singles != 0 || lost & self.singles != 0 {
            return false;
        }
        let (mut units, mut takes, mut plain) = (0, false, 0);
        for group in &self.groups {
            if lost & group.mask != 0 {
                return false;
            }
            let count = (gained & group.mask).count_ones();
            units += group.units * i64::from(count);
            takes |= count > 0 && group.units < 0;
            plain |= group.mask;
        }
        // Gives first, then takes: the number is lowest after the last take, so that one decides.
        if from.available + units != to.available || takes && to.available < 0 {
            return false;
        }
        // The reads done in `to` must be done in `from` too, or be possible on the way: at its end.
        let blocked = gained & !plain != 0 && self.is_blocked(to);
        !blocked
            && self
                .reads
                .iter()
                .all(|&(slot, least, most)| gained & 1 << slot == 0 || (least..=most).contains(&to.available))
    }
}

impl Configuration {
    pub(crate) fn hold(&self, number: u32) -> Option<Hold> {
        let place = self.holds.binary_search_by_key(&number, |&(other, _)| other).ok()?;
        Some(self.holds[place].1)
    }
}

/// The slots in a set.
pub(crate) fn bits(mut set: u128) -> impl Iterator<Item = u8> {
    std::iter::from_fn(move || {
        let slot = (set != 0).then(|| set.trailing_zeros() as u8)?;
        set &= set - 1;
        Some(slot)
    })
}
