//! Recurrences as sums: what a state holds is what every position before has put in, as far as it is left.
//!
//! So a layer that is written as a recurrence has the forms of one that is written as a sum over pairs, blocks among them: Mamba-2's
//! duality (Dao, Gu, "Transformers are SSMs", arXiv:2405.21060, section 3), and chunks of gated linear attention.

use super::{Found, Phase, Rounding, Rule, decay};
use crate::rewrite::build;
use crate::rewrite::linear::logarithm;
use crate::rewrite::term::{Head, Term};
use crate::rewrite::workshop::Eg;
use egg::Id;
use weft_ir::graph::{Error, MapFn, NodeId};

pub(super) const UNROLL: Rule = Rule {
    name: "a recurrence as a sum",
    phase: Phase::Factors,
    mathematics: "S[t] = sum over j <= t of exp(sum over j < i <= t of e[i]) b[j], where S[t] = b[t] + exp(e[t]) S[t - 1]; \
                  and likewise from the last position to the first",
    conditions: &["e is nowhere positive"],
    guard: "S runs over positions, and what is put in has no long sum in it",
    rounding: Rounding::Bounded,
    example: (
        "S[t], S[t] = k[t] + exp(-g[t]) * S[t - 1]",
        "sum(j: exp(sum(i: -g[i] where j < i <= t)) * k[j] where j <= t)",
    ),
    apply: unroll,
};

fn unroll(eg: &mut Eg, class: Id, term: &Term) -> Result<Vec<Found>, Error> {
    let &Head::Scan { axis, reverse } = &term.head else { return Ok(Vec::new()) };
    let addend = term.args[0];
    let Some(product) = Product::of(eg, addend) else { return Ok(Vec::new()) };
    if !eg.analysis.is_base(axis) {
        return Ok(Vec::new());
    }
    let exponent = match term.args.get(1) {
        Some(&kept) => {
            let Some(leaf) = eg[kept].data.leaf else { return Ok(Vec::new()) };
            let Some(log) = logarithm(&mut eg.analysis.canon, leaf)? else { return Ok(Vec::new()) };
            let log = build::leaf(eg, log);
            let falls = decay::sign(eg, log, &[]) == Some(-1);
            if !eg.analysis.met_by(kept, &UNROLL, 0, falls) {
                return Ok(Vec::new());
            }
            Some(log)
        }
        None => None,
    };
    let mut taken = build::mentioned(eg, term);
    taken.extend(&eg[class].data.free);
    taken.insert(axis);
    let j = eg.analysis.fresh(axis, &taken);
    taken.insert(j);
    let i = eg.analysis.fresh(axis, &taken);
    let (here, from, at) = (eg.analysis.index(axis)?, eg.analysis.index(j)?, eg.analysis.index(i)?);
    let (early, late) = if reverse { (here, from) } else { (from, here) };
    let ordered = eg.analysis.canon.map(MapFn::Le, &[early, late])?;
    // What is put in, and what is left of it: forwards, the step at the later position is in that; backwards, the one at the earlier.
    let (low, high) = if reverse { (MapFn::Le, MapFn::Lt) } else { (MapFn::Lt, MapFn::Le) };
    let mut forms = vec![(product.clone(), low, high)];
    // Backwards, what is put in is often kept once already: then both are.
    if let (true, Some(&kept)) = (reverse, term.args.get(1))
        && let Some(n) = product.factors.iter().position(|&a| eg.find(a) == eg.find(kept))
    {
        let mut rest = product;
        rest.factors.remove(n);
        forms.push((rest, MapFn::Le, MapFn::Le));
    }
    let mut found = Vec::new();
    for (put_in, low, high) in forms {
        let at_j = [(axis, from)];
        let mut guards = vec![ordered];
        for &g in &put_in.guards {
            guards.push(eg.analysis.canon.substitute(g, &at_j)?);
        }
        let mut factors = Vec::new();
        for &f in &put_in.factors {
            factors.push(build::sub(eg, f, &at_j)?);
        }
        if let Some(e) = exponent {
            let between = [eg.analysis.canon.map(low, &[early, at])?, eg.analysis.canon.map(high, &[at, late])?];
            let e = build::sub(eg, e, &[(axis, at)])?;
            let sum = build::ein(eg, &[i], &between, &[e])?;
            factors.push(build::map(eg, MapFn::Exp, &[sum])?);
        }
        let to = build::ein(eg, &[j], &guards, &factors)?;
        found.push(Found { inner: put_in.term.into_iter().map(|t| (0, t)).collect(), to });
    }
    Ok(found)
}

/// What is put in, as a product of leaves.
#[derive(Clone)]
struct Product {
    guards: Vec<NodeId>,
    factors: Vec<Id>,
    /// The term that says so, if it is not a leaf.
    term: Option<Term>,
}

impl Product {
    fn of(eg: &Eg, addend: Id) -> Option<Self> {
        let plain = |id: Id| eg[id].data.leaf.is_some();
        if plain(addend) {
            return Some(Self { guards: Vec::new(), factors: vec![addend], term: None });
        }
        eg[addend].nodes.iter().find_map(|t| match &t.head {
            Head::Ein { axes, guards } if axes.is_empty() && t.args.iter().all(|&a| plain(a)) => {
                Some(Self { guards: guards.to_vec(), factors: t.args.to_vec(), term: Some(t.clone()) })
            }
            _ => None,
        })
    }
}
