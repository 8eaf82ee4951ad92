//! A quantity that changes by known amounts at known instants: its highest value, and its lowest value within
//! a span.

/// Collects the changes in any order. The quantity is zero before the first.
#[derive(Default)]
pub(crate) struct Timeline {
    changes: Vec<(u64, i64)>,
}

impl Timeline {
    /// Adds `delta` to the quantity from `at_ns` on.
    pub(crate) fn add(&mut self, at_ns: u64, delta: i64) {
        self.changes.push((at_ns, delta));
    }

    /// Sorts the changes and adds them up: instants in order, each with the value from there on. The first is
    /// zero.
    pub(crate) fn settle(mut self) -> Sums {
        self.changes.sort_unstable_by_key(|&(at_ns, _)| at_ns);
        let mut points = vec![(0, 0)];
        for (at_ns, delta) in self.changes {
            let (last_ns, value) = *points.last().expect("starts with one");
            match at_ns == last_ns {
                true => points.last_mut().expect("starts with one").1 += delta,
                false => points.push((at_ns, value + delta)),
            }
        }
        Sums { points }
    }
}

/// The quantity over time.
pub(crate) struct Sums {
    points: Vec<(u64, i64)>,
}

impl Sums {
    /// The first instant of the highest value, and the value.
    pub(crate) fn peak(&self) -> (u64, i64) {
        self.points.iter().copied().rev().max_by_key(|&(_, value)| value).expect("starts with one")
    }

    /// For each span (both ends included), the lowest value at any instant of it.
    ///
    /// Takes the spans in the order of their ends, over a stack of the points that have no lower point after
    /// them. O((points + spans) log) time and linear memory.
    pub(crate) fn floors(&self, spans: &[(u64, u64)]) -> Vec<i64> {
        let mut floors = vec![0; spans.len()];
        let mut by_end: Vec<usize> = (0..spans.len()).collect();
        by_end.sort_unstable_by_key(|&span| spans[span].1);

        let mut lowest: Vec<(usize, i64)> = Vec::new(); // indices and values both ascend
        let mut next = 0;
        for span in by_end {
            let (start_ns, end_ns) = spans[span];
            while next < self.points.len() && self.points[next].0 <= end_ns {
                let value = self.points[next].1;
                while lowest.last().is_some_and(|&(_, other)| other >= value) {
                    lowest.pop();
                }
                lowest.push((next, value));
                next += 1;
            }
            // The last point at or before the start of the span; there is one, at zero.
            let first = self.points.partition_point(|&(at_ns, _)| at_ns <= start_ns) - 1;
            floors[span] = lowest[lowest.partition_point(|&(point, _)| point < first)].1;
        }
        floors
    }
}

#[cfg(test)]
mod tests {
    use stockhold_seeded::Rng;

    use super::*;

    fn settled(changes: &[(u64, i64)]) -> Sums {
        let mut steps = Timeline::default();
        for &(at_ns, delta) in changes {
            steps.add(at_ns, delta);
        }
        steps.settle()
    }

    #[test]
    fn changes_at_one_instant_count_together() {
        let quantity = settled(&[(7, 5), (7, -5), (3, 1)]);
        assert_eq!(quantity.peak(), (3, 1));
    }

    #[test]
    fn a_floor_includes_both_ends_of_its_span() {
        let quantity = settled(&[(0, 9), (10, -4), (20, 4)]);
        assert_eq!(quantity.floors(&[(0, 9), (0, 10), (15, 15), (19, 30), (20, 30)]), [9, 5, 5, 5, 9]);
    }

    #[test]
    fn floors_equal_those_found_by_trying_every_instant() {
        let mut rng = Rng::new(1);
        let mut roll = |sides: u64| rng.below(sides);
        for _ in 0..200 {
            let changes: Vec<_> = (0..roll(20)).map(|_| (roll(40), roll(9) as i64 - 4)).collect();
            let spans: Vec<_> =
                (0..10).map(|_| (roll(45), roll(10))).map(|(start, long)| (start, start + long)).collect();
            let value = |at: u64| {
                changes.iter().filter(|&&(from, _)| from <= at).map(|&(_, delta)| delta).sum::<i64>()
            };
            let tried: Vec<_> = spans.iter().map(|&(s, e)| (s..=e).map(value).min().unwrap()).collect();
            assert_eq!(settled(&changes).floors(&spans), tried, "{changes:?} {spans:?}");
        }
    }
}
