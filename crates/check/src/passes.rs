//! One legal order is enough, so that is looked for first, with few states kept; all of them only if need be.

use crate::check::Options;
use crate::counter::{Line, Moment};
use crate::sweep::{Halt, Sweep};

/// What a narrow sweep keeps and spends at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Width {
    pub(crate) states: usize,
    pub(crate) effort: usize,
}

/// Each is for where the one before got stuck.
const WIDTHS: [Width; 3] = [
    Width { states: 24, effort: 4_000 },
    Width { states: 200, effort: 40_000 },
    Width { states: 1_000, effort: 400_000 },
];
/// Moments between two sweeps that are kept to come back to, and from getting stuck to being narrow again.
const STRIDE: usize = 64;
/// How many are kept: a wrong choice shows within so many strides.
const KEPT: usize = 4;

/// How a sweep over the moments ended.
pub(crate) struct Run<'l> {
    /// Where it stopped, if it did.
    pub(crate) halt: Option<(usize, Halt)>,
    /// As it was then.
    pub(crate) sweep: Sweep<'l>,
    /// A moment before, and the sweep there with nothing left out.
    pub(crate) whole: (usize, Sweep<'l>),
}

/// Sweeps over all moments.
pub(crate) fn run<'l>(line: &'l Line, moments: &[(u64, Moment)], options: &'l Options) -> Run<'l> {
    let mut sweep = Sweep::new(line, options);
    // The last at which nothing had been left out: only from there can it be proven that there is no legal order.
    let mut whole = (0, sweep.clone());
    let mut kept = vec![(0, sweep.clone())];
    let (mut level, mut hard_until, mut at) = (0, 0, 0);
    while at < moments.len() {
        if at > hard_until {
            level = 0;
        }
        if at % STRIDE == 0 && at > kept[kept.len() - 1].0 {
            if !sweep.left_out {
                whole = (at, sweep.clone());
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
            // Nothing was left out, so this is proven.
            Err(halt @ Halt::Stuck(_)) if !sweep.left_out => {
                return Run { halt: Some((at, halt)), sweep, whole };
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
        (from, sweep) = whole.clone();
        sweep.width = None;
        let mut rest = moments.iter().enumerate().skip(from);
        halt = rest.find_map(|(at, &(at_ns, moment))| Some((at, sweep.pass(at_ns, moment).err()?)));
    }
    Run { halt, sweep, whole }
}
