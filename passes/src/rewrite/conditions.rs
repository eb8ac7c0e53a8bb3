//! Conditions of rules, as they are asked.
//!
//! Every rule asks for each of its conditions by its number, so that there is one place that knows which ones failed: derivations tell what almost fired, and
//! tests take single conditions to hold, to see that a rule without them is wrong.

use super::rules::Rule;
use egg::Id;
use std::collections::BTreeSet;

/// A condition: the name of its rule, and its number there.
pub(crate) type Condition = (&'static str, usize);

/// A rule that almost fired: all that it asks of a term was there, but for one condition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Missed {
    /// The rule's name.
    pub(crate) rule: &'static str,
    /// What does not meet the condition.
    pub(crate) class: Id,
    /// How it fails.
    pub(crate) why: &'static str,
}

/// More near misses than these are not told.
const MISSED: usize = 32;

/// What was asked in a run.
#[derive(Default)]
pub(crate) struct Conditions {
    /// A condition that is taken to hold, whether it does or not.
    pub(crate) waived: Option<Condition>,
    /// Conditions that failed.
    pub(crate) failed: BTreeSet<Condition>,
    /// Rules that almost fired.
    pub(crate) missed: Vec<Missed>,
}

impl Conditions {
    /// Is a condition met?
    pub(crate) fn met(&mut self, rule: &Rule, number: usize, holds: bool) -> bool {
        debug_assert!(number < rule.conditions.len(), "`{}` has no condition {number}", rule.name);
        if !holds {
            self.failed.insert((rule.name, number));
        }
        holds || self.waived == Some((rule.name, number))
    }

    /// The same, of a class where everything else is as the rule wants it.
    pub(crate) fn met_by(&mut self, class: Id, rule: &Rule, number: usize, holds: bool) -> bool {
        if !holds {
            self.miss(rule.name, class, rule.conditions.get(number).copied().unwrap_or_default());
        }
        self.met(rule, number, holds)
    }

    /// Notes that a rule failed for one condition only.
    pub(crate) fn miss(&mut self, rule: &'static str, class: Id, why: &'static str) {
        let missed = Missed { rule, class, why };
        if self.missed.len() < MISSED && !self.missed.contains(&missed) {
            self.missed.push(missed);
        }
    }
}
