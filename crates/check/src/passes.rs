//! One legal order is enough, so a narrow sweep with few states looks for one first. A full sweep follows if
//! it fails.

use crate::history::{History, Moment};
use crate::options::{Options, Width};
use crate::sweep::{Halt, Sweep};

/// The widths to try, each where the one before found no order.
const WIDTHS: [Width; 3] = [
    Width { states: 24, effort: 4_000 },
    Width { states: 200, effort: 40_000 },
    Width { states: 1_000, effort: 400_000 },
];
/// Moments between two sweeps that are kept for a restart, and between a restart and the narrowest width.
const STRIDE: usize = 64;
/// How many sweeps are kept: a wrong choice shows within that many strides.
const KEPT: usize = 4;

/// The end of a sweep over the moments.
pub(crate) struct Run<'l> {
    /// Where it stopped early, if it did.
    pub(crate) halt: Option<(usize, Halt)>,
    /// The sweep at that moment.
    pub(crate) sweep: Sweep<'l>,
    /// An earlier moment, and the sweep there with no state left out.
    pub(crate) complete: (usize, Sweep<'l>),
}

/// Sweeps over all moments.
pub(crate) fn run<'l>(history: &'l History, moments: &[(u64, Moment)], options: &'l Options) -> Run<'l> {
    let mut sweep = Sweep::new(history, options);
    // The last without a state left out: only from there can a sweep prove that there is no legal order.
    let mut complete = (0, sweep.clone());
    let mut kept = vec![(0, sweep.clone())];
    let (mut level, mut hard_until, mut at) = (0, 0, 0);
    while at < moments.len() {
        if at > hard_until {
            level = 0;
        }
        if at % STRIDE == 0 && at > kept[kept.len() - 1].0 {
            if !sweep.left_out {
                complete = (at, sweep.clone());
            }
            kept.push((at, sweep.clone()));
            if kept.len() > KEPT {
                kept.remove(0);
            }
        }
        sweep.width = Some(WIDTHS[level]);
        let (at_ns, moment) = moments[at];
        match sweep.pass(at_ns, moment) {
            Ok(()) => at += 1,
            // No state was left out, so this is a proof.
            Err(halt @ Halt::Stuck(_)) if !sweep.left_out => {
                return Run { halt: Some((at, halt)), sweep, complete };
            }
            Err(Halt::Stuck(_)) if level + 1 < WIDTHS.len() => {
                level += 1;
                hard_until = at + STRIDE;
                let (configurations_max, overlap_max) = (sweep.configurations_max, sweep.overlap_max);
                kept.truncate(1);
                (at, sweep) = kept[0].clone();
                (sweep.configurations_max, sweep.overlap_max) = (configurations_max, overlap_max);
            }
            Err(_) => break,
        }
    }
    let mut halt = None;
    if at < moments.len() {
        let from;
        (from, sweep) = complete.clone();
        sweep.width = None;
        let mut rest = moments.iter().enumerate().skip(from);
        halt = rest.find_map(|(at, &(at_ns, moment))| Some((at, sweep.pass(at_ns, moment).err()?)));
    }
    Run { halt, sweep, complete }
}
