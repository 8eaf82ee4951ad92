//! One row of the table: the system, its setting, and what its figure includes.

use crate::error::PeerError;
use crate::job::Job;
use crate::sample::Sample;

pub(crate) type Measure = Box<dyn Fn(Job) -> Result<Sample, PeerError>>;

pub(crate) struct Row {
    pub(crate) system: &'static str,
    pub(crate) setting: String,
    /// What the figure includes.
    pub(crate) contains: &'static str,
    /// What the figure does not include.
    pub(crate) lacks: &'static str,
    pub(crate) measure: Measure,
}

impl Row {
    pub(crate) fn is_called(&self, only: &str) -> bool {
        format!("{}, {}", self.system, self.setting).to_lowercase().contains(&only.to_lowercase())
    }
}

/// A number with separators: `3,200`.
pub(crate) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_found_by_a_part_of_its_name_in_any_case() {
        let measure = Box::new(|_| unreachable!("it is not measured"));
        let row = Row { system: "Redis", setting: "no AOF".into(), contains: "", lacks: "", measure };
        assert!(row.is_called("redis") && row.is_called("no aof") && !row.is_called("always"));
    }

    #[test]
    fn numbers_are_grouped_by_thousands() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(thousands), ["0", "999", "1,000", "1,234,567"]);
    }
}
