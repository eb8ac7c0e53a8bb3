//! Rules by themselves: on terms made for them, on random terms whose axes have few names, and without each of their conditions.

mod mill;
mod negative;
mod random;

use super::conditions::Condition;
use super::cost::Cost;
use super::exact::searched;
use super::forms::smallest;
use super::rules::RULES;
use mill::Mill;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

/// Rules, and how often each was applied.
type Applied = Vec<(&'static str, usize)>;

/// Saturates what is made, without a condition if one is given, and compares the terms of each class. Says which rules were applied.
fn tried(make: impl Fn(&mut Mill), waived: Option<Condition>) -> Result<(Mill, Applied), String> {
    let run = || {
        let mut m = Mill::new();
        make(&mut m);
        let ended = m.saturate(waived)?;
        m.agree()?;
        Ok((m, ended.applied))
    };
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).unwrap_or_else(|_| Err("panicked".into()))
}

/// A rule without one of its conditions is wrong where that condition alone fails.
#[test]
fn conditions_are_needed() {
    let mut failures = Vec::new();
    for case in negative::ALL {
        let condition = (case.rule, case.condition);
        let what = format!("`{}` {}, {}", case.rule, case.condition, case.name);
        match tried(case.make, None) {
            Ok((m, _)) if m.eg.analysis.conditions.failed.contains(&condition) => {}
            Ok(_) => failures.push(format!("{what}: not asked for")),
            Err(e) => failures.push(format!("{what}: {e}")),
        }
        if tried(case.make, Some(condition)).is_ok() {
            failures.push(format!("{what}: does no harm"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Every condition has a case in which it alone fails, or a reason why there is none.
#[test]
fn every_condition_has_a_case() {
    let mut all: Vec<Condition> = RULES.iter().flat_map(|r| (0..r.conditions.len()).map(|n| (r.name, n))).collect();
    let cases = negative::ALL.iter().map(|c| (c.rule, c.condition));
    let made = negative::MADE.iter().map(|c| (c.0, c.1));
    for c in cases.chain(made) {
        assert!(RULES.iter().any(|r| r.name == c.0 && c.1 < r.conditions.len()), "{c:?} is no condition");
        all.retain(|a| *a != c);
    }
    assert!(all.is_empty(), "without a case: {all:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, max_shrink_iters: 40, ..ProptestConfig::default() })]

    /// Every term of every class of a random term's e-graph has the values of its class.
    #[test]
    fn random_terms(genes in proptest::collection::vec(any::<u8>(), 0..64)) {
        let made = tried(|m| _ = random::root(m, &genes), None);
        prop_assert!(made.is_ok(), "{}", made.err().unwrap_or_default());
    }
}

/// Terms that were not.
#[test]
fn terms_that_failed() {
    const ALL: &[&[u8]] = &[
        &[
            159, 145, 90, 173, 101, 58, 250, 99, 213, 220, 73, 31, 228, 225, 247, 169, 70, 130, 127, 50, 255, 211, 179,
            67, 184, 152, 108, 214, 236, 212, 169, 139, 155, 50, 105, 243, 26, 214, 92, 121, 18, 215, 238, 129, 170,
            143, 94, 153, 95, 226, 112, 149, 248, 66, 5, 96, 84, 102, 110, 118,
        ],
        &[187, 8, 0, 0, 0, 191, 4, 31, 0, 49, 115, 0, 4],
        &[187, 181, 1, 19, 153, 228, 65, 81],
        &[73, 170, 29, 155, 20, 41, 90, 47, 177, 30, 0, 19, 25, 90, 153, 49, 176, 82, 114, 82],
    ];
    for genes in ALL {
        let made = tried(|m| _ = random::root(m, genes), None);
        assert!(made.is_ok(), "{}", made.err().unwrap_or_default());
    }
}

/// Random terms meet every rule, and the conditions against capture are needed among them.
#[test]
fn random_terms_meet_every_rule() {
    let mut runner = TestRunner::deterministic();
    let strategy = proptest::collection::vec(any::<u8>(), 0..64);
    let mut applied: std::collections::BTreeMap<&str, usize> = RULES.iter().map(|r| (r.name, 0)).collect();
    for _ in 0..300 {
        let genes = strategy.new_tree(&mut runner).unwrap().current();
        let Ok((_, rules)) = tried(|m| _ = random::root(m, &genes), None) else { continue };
        for (rule, n) in rules {
            *applied.entry(rule).or_default() += n;
        }
    }
    let never: Vec<_> = applied.iter().filter(|(_, n)| **n == 0).collect();
    assert!(never.is_empty(), "never applied: {never:?}\n{applied:?}");
}

/// Bounds leave out nothing: with them the search finds what it finds one by one.
#[test]
fn bounds_leave_out_nothing() {
    let mut runner = TestRunner::deterministic();
    let strategy = proptest::collection::vec(any::<u8>(), 0..64);
    let (mut compared, mut gained) = (0, 0);
    for _ in 0..200 {
        let genes = strategy.new_tree(&mut runner).unwrap().current();
        let mut m = Mill::new();
        m.eg.analysis.most = 200;
        let root = random::root(&mut m, &genes);
        m.saturate(None).unwrap();
        let cost = Cost::new(&m.eg, 100);
        let seed = smallest(&m.eg);
        let price = cost.total(&seed, root);
        let of = |steps, bounded| searched(&m.eg, &cost, root, (seed.clone(), price), steps, bounded);
        let all = of(50_000, false);
        if !all.proven || !price.is_finite() {
            continue;
        }
        let found = of(50_000, true);
        let (a, b) = (all.best.1, found.best.1);
        assert!(found.proven && (a - b).abs() <= 1e-8 * a, "{a:e} one by one, {b:e} with bounds: {genes:?}");
        assert!((cost.total(&found.best.0, root) - b).abs() <= 1e-8 * b, "another cost than it says");
        compared += 1;
        gained += usize::from(price > b * 1.001);
    }
    assert!(compared > 50 && gained > 10, "{compared} compared, {gained} with something to find");
}
