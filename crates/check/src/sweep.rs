//! The sweep: through the moments of one stock key in order of time, with every state that it can be in.
//!
//! A [`Configuration`] says which of the open calls have happened and what is available then. Calls that have ended
//! are forgotten, so memory depends on how many calls overlap and not on how many there are. No configuration left
//! at the end of a call: nothing in its span made it possible.

use crate::check::Options;
use crate::counter::{Effect, Line, Moment, Operation};
use crate::passes::Width;
use crate::tangle::{Hold, Step};

/// One state that the key can be in.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub(crate) struct Configuration {
    /// Slots of the open calls that have happened.
    pub(crate) done: u128,
    pub(crate) available: i64,
    /// The holds whose calls overlap, by number.
    pub(crate) holds: Vec<(u32, Hold)>,
}

/// Open calls that do the same to the number, the first to end first: whoever needs one takes that.
#[derive(Clone, Debug)]
pub(crate) struct Kin {
    /// Units that come, or go, if negative.
    pub(crate) units: i64,
    /// They may also not happen.
    pub(crate) waived: bool,
    pub(crate) slots: Vec<(Order, u8)>,
    pub(crate) mask: u128,
}

/// In which order calls end: by time, then what a deadline cut short, then the place.
pub(crate) type Order = (u64, bool, usize);

/// Why a sweep stopped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Halt {
    /// This operation has no place.
    Stuck(usize),
    /// Too much to look at.
    Effort(&'static str),
}

/// The sweep at one moment.
#[derive(Clone, Debug)]
pub(crate) struct Sweep<'l> {
    pub(crate) line: &'l Line,
    /// States at one moment.
    pub(crate) states_max: usize,
    /// Steps of the search at one moment.
    pub(crate) effort_max: usize,
    /// The operation in each slot.
    pub(crate) slots: Vec<Option<usize>>,
    pub(crate) kin: Vec<Kin>,
    /// Open refusals and readings.
    pub(crate) reads: Vec<(u8, i64, i64)>,
    /// Open operations that the search must try one by one.
    pub(crate) singles: u128,
    /// Of each hold whose calls overlap, how many are over.
    ended: Vec<u32>,
    /// Deadlines up to here have come.
    due_ns: Option<u64>,
    pub(crate) configurations: Vec<Configuration>,
    pub(crate) overlap_max: usize,
    pub(crate) configurations_max: usize,
    /// Steps of the search left for this moment.
    pub(crate) effort: usize,
    /// Only a legal order is looked for: what is more than this is left out.
    pub(crate) width: Option<Width>,
    /// Something was, so getting stuck proves nothing.
    pub(crate) left_out: bool,
    /// Operations that a window is asked to do without.
    pub(crate) waived: Vec<usize>,
    /// An operation that is asked instead whether so many units can have been there (both ends included).
    pub(crate) probe: Option<(usize, i64, i64)>,
}

impl<'l> Sweep<'l> {
    /// Nothing available, nothing open.
    pub(crate) fn new(line: &'l Line, options: &Options) -> Self {
        Sweep {
            line,
            states_max: options.configurations_max,
            effort_max: options.effort_max,
            slots: Vec::new(),
            kin: Vec::new(),
            reads: Vec::new(),
            singles: 0,
            ended: vec![0; line.tangled.len()],
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

    /// Goes through one moment.
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
            _ => self.line.operations[operation].effect,
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

    /// Puts an open operation where the search looks for it.
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
        let Operation { end_ns, before_deadline, .. } = self.line.operations[operation];
        let entry = ((end_ns, !before_deadline, operation), slot);
        let place = self.kin.iter().position(|kin| (kin.units, kin.waived) == (units, waived));
        let kin = match place {
            Some(place) => &mut self.kin[place],
            None => {
                self.kin.push(Kin { units, waived, slots: Vec::new(), mask: 0 });
                self.kin.last_mut().expect("just pushed")
            }
        };
        let place = kin.slots.partition_point(|other| *other < entry);
        kin.slots.insert(place, entry);
        kin.mask |= 1 << slot;
    }

    fn leave(&mut self, slot: u8) {
        self.slots[usize::from(slot)] = None;
        self.reads.retain(|read| read.0 != slot);
        self.singles &= !(1 << slot);
        for kin in &mut self.kin {
            if kin.mask & 1 << slot != 0 {
                kin.slots.retain(|other| other.1 != slot);
                kin.mask &= !(1 << slot);
            }
        }
        self.kin.retain(|kin| kin.mask != 0);
    }

    fn end(&mut self, operation: usize) -> Result<(), Halt> {
        let Some(slot) = self.slots.iter().position(|&open| open == Some(operation)) else {
            return Ok(()); // done without
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
        if let Effect::Step { hold, .. } = self.line.operations[operation].effect {
            self.ended[hold as usize] += 1;
            // Another may have waited for this one alone to end the hold; and what nobody can touch any more is
            // no difference between two states.
            self.settle_all();
            self.forget(hold);
        }
        self.prune();
        Ok(())
    }

    fn deadline(&mut self, at_ns: u64, units: i64) -> Result<(), Halt> {
        // What had to happen before.
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

    /// A hold is due, and a call that can still end or extend it has yet to happen: no number can be answered.
    pub(crate) fn is_blocked(&self, configuration: &Configuration) -> bool {
        configuration
            .holds
            .iter()
            .any(|(_, hold)| matches!(hold, Hold::Live { deadline_ns, .. } if self.is_due(*deadline_ns)))
    }

    /// Ends the holds that are due and that no open call can end or extend any more.
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
            let Operation { start_ns, effect, .. } = self.line.operations[operation];
            // Starts come in order of time, so every call that began before the deadline is open by now, or over.
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

    /// Answers that change nothing happen as soon as they can: it keeps nobody else from anything.
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

    /// One operation happens now, if it can.
    pub(crate) fn happen(&self, configuration: &Configuration, slot: u8) -> Option<Configuration> {
        let operation = self.slots[usize::from(slot)]?;
        let mut next = configuration.clone();
        next.done |= 1 << slot;
        match self.effect(operation) {
            Effect::Read { .. } => return None, // seen, or not
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
                let start_ns = self.line.operations[operation].start_ns;
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

    /// Drops a hold from every state once no call names it and no deadline is to come: nobody can tell any more.
    fn forget(&mut self, number: u32) {
        if self.ended[number as usize] < self.line.tangled[number as usize] {
            return;
        }
        let waits = |hold| matches!(hold, Hold::Live { deadline_ns, .. } if deadline_ns != u64::MAX);
        for configuration in &mut self.configurations {
            configuration.holds.retain(|&(other, hold)| other != number || waits(hold));
        }
    }

    /// Drops every state that another one still leads to.
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
            // Those with the fewest answers left to make true, and of these the ones that used the least for it.
            let reads = self.reads.iter().fold(0_u128, |set, read| set | 1 << read.0);
            self.configurations.sort_by_key(|state| {
                ((reads & !state.done).count_ones(), (state.done & !reads).count_ones())
            });
            self.configurations.truncate(states);
            self.left_out = true;
        }
    }

    /// Whether `to` comes out of `from` by what is open and does nothing but give or take.
    fn leads_to(&self, from: &Configuration, to: &Configuration) -> bool {
        let (gained, lost) = (to.done & !from.done, from.done & !to.done);
        if from.holds != to.holds || gained & self.singles != 0 || lost & self.singles != 0 {
            return false;
        }
        let (mut units, mut takes, mut plain) = (0, false, 0);
        for kin in &self.kin {
            if lost & kin.mask != 0 {
                return false;
            }
            let count = (gained & kin.mask).count_ones();
            units += kin.units * i64::from(count);
            takes |= count > 0 && kin.units < 0;
            plain |= kin.mask;
        }
        // Gives first, then takes: the last of them has the least, so it decides.
        if from.available + units != to.available || takes && to.available < 0 {
            return false;
        }
        // What `to` has seen, `from` has seen, or sees on the way: at its end.
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
