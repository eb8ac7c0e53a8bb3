//! Rules: what is equal to what, and when.
//!
//! A rule is a line of mathematics with a function that finds its instances at one node of the e-graph. Its *conditions* make it sound and
//! are checked always; its *guard* says where it is worth the trouble, and may change without making anything wrong.

mod algebra;
mod between;
mod blocks;
mod carry;
mod cases;
mod codes;
mod decay;
mod expand;
mod guards;
mod near;
mod ones;
mod parts;
mod prefix;
mod push;
mod swap;
mod telescope;
mod unroll;
mod window;

use super::term::Term;
use super::workshop::Eg;
use egg::Id;
use weft_ir::graph::Error;

/// What a rule does to the rounding of results.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rounding {
    /// The same operations on the same numbers.
    Exact,
    /// Sums in another order: n roundings either way.
    Reassociates,
    /// In range only because of facts about exponents or signs, which are among the conditions.
    Bounded,
    /// A difference of sums: roundings of the addends stay where the addends have gone.
    Cancels,
}

/// What a rule is for. Rewriting that stops at a phase uses its rules and those of the phases before.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub enum Phase {
    /// In which order, and over what, sums are.
    Sums,
    /// Which factors depend on what: products over sums, exponentials of sums, codes, conditions that are decided.
    Factors,
    /// What is far is summed in blocks and carried.
    Blocks,
}

/// A family of equalities.
pub(crate) struct Rule {
    /// The name, in derivations and options.
    pub(crate) name: &'static str,
    /// The first phase in which it is used.
    pub(crate) phase: Phase,
    /// The equality.
    pub(crate) mathematics: &'static str,
    /// What makes it sound.
    pub(crate) conditions: &'static [&'static str],
    /// What makes it worthwhile.
    pub(crate) guard: &'static str,
    /// What it does to rounding.
    pub(crate) rounding: Rounding,
    /// A worked example, before and after.
    pub(crate) example: (&'static str, &'static str),
    /// Finds instances at a node.
    pub(crate) apply: fn(&mut Eg, Id, &Term) -> Result<Vec<Found>, Error>,
}

/// An instance: the node, with some children as the terms that were matched, equals another class.
pub(crate) struct Found {
    /// Children that were looked into: their number, and the term that was found there.
    pub(crate) inner: Vec<(usize, Term)>,
    /// What it is equal to.
    pub(crate) to: Id,
}

impl Found {
    /// An instance that looks at the node alone.
    pub(crate) fn plain(to: Id) -> Self {
        Self { inner: Vec::new(), to }
    }
}

/// All rules, in the order in which they are tried.
pub(crate) const RULES: &[&Rule] = &[
    &push::PUSH,
    &algebra::FLATTEN,
    &cases::CASES,
    &cases::AT,
    &swap::SWAP,
    &swap::FIRST,
    &between::MERGE,
    &between::STEPS,
    &between::AROUND,
    &telescope::TELESCOPE,
    &unroll::UNROLL,
    &ones::COUNT,
    &expand::DISTRIBUTE,
    &expand::SPLIT_EXP,
    &guards::DECIDE,
    &codes::PULL,
    &codes::SOLVE,
    &codes::ONE_HOT,
    &near::NEAR_FAR,
    &decay::ANCHOR,
    &window::WITHIN,
    &prefix::PREFIX,
    &blocks::BLOCKS,
    &carry::CARRY,
];

/// The terms of a class.
pub(crate) fn terms(eg: &Eg, class: Id) -> Vec<Term> {
    eg[class].nodes.clone()
}
