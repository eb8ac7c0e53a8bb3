//! Tests that tell a compiler from a set of templates: random layers, renaming and reordering, other spellings of the same
//! mathematics, awkward tiles and lengths, executed operations against formulas.
//!
//! `WEFT_TEMPLATES=n` makes everything about n times as long.

mod alpha;
mod digest;
pub(crate) mod examples;
mod flops;
mod fusion;
mod fuzz;
mod gradients;
mod inputs;
mod layers;
mod prefix;
pub(crate) mod random;
mod rewriting;
pub(crate) mod road;
mod schedules;
mod selection;
mod spelling;

/// How much longer than usual the tests are to run.
pub(crate) fn effort() -> usize {
    std::env::var("WEFT_TEMPLATES").ok().and_then(|n| n.parse().ok()).unwrap_or(1)
}
