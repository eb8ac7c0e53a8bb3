//! Derivations are checked step by step: what a rule finds in a term, alone and afresh, is what the proof says that it found.
//!
//! A proof of egg says that two terms were put into one class in the name of a rule, and at which place. That the rule gives the one from
//! the other is looked at here: both terms are put into an e-graph that has nothing else, the rule is applied once, and what it gives is compared with the
//! other term in canonical form, since its bound axes may have other names.

use super::engine::{saturate, saturate_by};
use super::extract::extract;
use super::forms::smallest;
use super::import::{Choice, Export};
use super::proof::Claim;
use super::rules::{Phase, RULES};
use super::workshop::Eg;
use super::{Saturated, Settings, proof};
use egg::Id;
use rustc_hash::FxHashMap;
use weft_ir::graph::{Error, Graph, NodeId};

/// What came of checking a derivation.
#[derive(Clone, Debug, Default)]
pub struct Replayed {
    /// The number of steps that were checked.
    pub steps: usize,
    /// Steps that their rules do not give: number, rule, and both terms.
    pub failed: Vec<(usize, String, String)>,
}

/// Checks the derivation of the cheapest form with blocks of this length.
///
/// # Errors
/// Only for graphs that are not well-formed.
pub fn replay(graph: &Graph, settings: Settings, length: i64, at: i64) -> Result<Replayed, Error> {
    let mut s = Saturated::new(graph, settings, length, Phase::Blocks, true)?;
    let choice = extract(&s.eg, s.root, &s.start, at).choice;
    let claims = proof::claims(&mut s.eg, s.root, &s.start, &choice);
    let mut done = Replayed { steps: claims.len(), ..Replayed::default() };
    let mut workshop = s.eg.analysis;
    let mut proven: Vec<&Claim> = Vec::new();
    let mut open: Vec<(usize, &Claim)> = claims.iter().enumerate().collect();
    for help in [Help::None, Help::Proven, Help::Rules] {
        for (n, claim) in std::mem::take(&mut open) {
            let mut eg = Eg::new(workshop);
            for other in proven.iter().filter(|_| help != Help::None) {
                let (a, b) = (eg.add_expr(&other.from), eg.add_expr(&other.to));
                eg.union(a, b);
            }
            if gives(&mut eg, claim, help)? {
                proven.push(claim);
            } else {
                open.push((n, claim));
            }
            workshop = eg.analysis;
        }
    }
    done.failed =
        open.into_iter().map(|(n, c)| (n, c.rule.clone(), format!("{:?}\n  to {:?}", c.from, c.to))).collect();
    Ok(done)
}

/// What a rule may use of a term's parts. A step has one form of each; the rule may have looked at another, which is equal for its own reasons.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Help {
    /// Nothing, but that substitutions are carried out.
    None,
    /// What other steps prove.
    Proven,
    /// What rules find in the parts.
    Rules,
}

/// Does a rule give what is claimed?
fn gives(eg: &mut Eg, claim: &Claim, help: Help) -> Result<bool, Error> {
    let Some(rule) = RULES.iter().find(|r| r.name == claim.rule) else { return Ok(false) };
    let parts = |eg: &mut Eg| match help {
        Help::Rules => saturate(eg, Phase::Blocks).map(|_| ()),
        _ if rule.name == SUBSTITUTE => Ok(()),
        _ => saturate_by(eg, |r| r.name == SUBSTITUTE).map(|_| ()),
    };
    let (from, to) = (eg.add_expr(&claim.from), eg.add_expr(&claim.to));
    eg.rebuild();
    parts(eg)?;
    let mut found: Vec<Id> = Vec::new();
    // Twice, since what it makes first may turn out to depend on less than it seems to.
    for _ in 0..2 {
        let class = eg.find(from);
        for term in eg[class].nodes.clone() {
            found.extend((rule.apply)(eg, class, &term)?.into_iter().map(|f| f.to));
        }
        eg.rebuild();
        parts(eg)?;
    }
    if found.iter().any(|&f| eg.find(f) == eg.find(to)) {
        return Ok(true);
    }
    let choice = smallest(eg);
    let wanted = canonical(eg, &choice, to)?;
    for f in found {
        if canonical(eg, &choice, f)? == wanted {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The rule whose steps derivations do not show.
const SUBSTITUTE: &str = "substitute";

fn canonical(eg: &mut Eg, choice: &Choice, id: Id) -> Result<NodeId, Error> {
    Export { eg, choice, memo: FxHashMap::default(), ordered: false }.node(id)
}
