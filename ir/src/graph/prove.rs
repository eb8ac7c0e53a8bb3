//! Proofs about integer and boolean terms: is a position in its axis, does one guard imply another?
//!
//! A [`Prover`] holds facts: the truth of some boolean terms, and the extents of axes. It reasons over linear forms in
//! axes, runtime extents (symbolic, at least 1), quotients by constants, and *opaque* integer terms, which are
//! whatever it cannot look into (a decision, an input) with the range that their op implies. Substitution is looked
//! through by an environment, so a boolean `let` read at another position is as good as written in place.
//!
//! Everything is sound and incomplete: `true` is a proof, `false` says nothing.

use super::axes::{AxisId, DomainId, Extent};
use super::node::{Graph, NodeId};
use super::op::{Op, Scalar};
use crate::dtype::{Class, DType};
use crate::elementwise::MapFn;
use crate::linear::{Lin, System};
use std::collections::{BTreeMap, BTreeSet};

/// What a linear form of the prover ranges over.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Var {
    /// Position on an axis.
    Axis(AxisId),
    /// Runtime extent of a domain.
    Extent(DomainId),
    /// `floor(form / divisor)`.
    Quotient(Box<Form>, i64),
    /// An integer term that is not looked into, where its free axes stand at these forms.
    Term(NodeId, Vec<(AxisId, Form)>),
}

/// A linear form over [`Var`]s.
pub type Form = Lin<Var>;

type Env = BTreeMap<AxisId, Form>;

/// One disjunct of a fact.
#[derive(Clone, Debug)]
enum Atom {
    /// `form >= 0`
    AtLeastZero(Form),
    /// An opaque truth value at these positions, and whether it holds.
    Opaque(NodeId, Vec<(AxisId, Form)>, bool),
}

/// A formula in negation normal form.
#[derive(Clone, Debug)]
enum Formula {
    Known(bool),
    Atom(Atom),
    All(Vec<Formula>),
    Any(Vec<Formula>),
}

/// Facts about one graph, and proofs from them.
#[derive(Clone, Debug)]
pub struct Prover<'g> {
    graph: &'g Graph,
    facts: Vec<Formula>,
}

/// How many case distinctions one proof may make.
const CASES: usize = 256;

impl<'g> Prover<'g> {
    /// No facts beyond the extents of axes.
    #[must_use]
    pub fn new(graph: &'g Graph) -> Self {
        Self { graph, facts: Vec::new() }
    }

    /// Adds the fact that a boolean term holds, or does not hold.
    #[must_use]
    pub fn assume(mut self, condition: NodeId, holds: bool) -> Self {
        self.push(condition, holds);
        self
    }

    /// Adds a fact in place.
    pub fn push(&mut self, condition: NodeId, holds: bool) {
        let fact = self.formula(condition, &Env::new(), holds, 0);
        self.facts.push(fact);
    }

    /// Number of facts; with [`Prover::truncate`] a scope is left.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.facts.len()
    }

    /// Forgets all facts but the first `depth`.
    pub fn truncate(&mut self, depth: usize) {
        self.facts.truncate(depth);
    }

    /// Does `condition` hold wherever the facts do?
    #[must_use]
    pub fn implies(&self, condition: NodeId) -> bool {
        self.refutes(self.formula(condition, &Env::new(), false, 0))
    }

    /// Can the facts not hold together?
    #[must_use]
    pub fn contradictory(&self) -> bool {
        self.refutes(Formula::Known(true))
    }

    /// Is an integer term within `0 .. extent` of a domain wherever the facts hold?
    #[must_use]
    pub fn in_range(&self, value: NodeId, domain: DomainId) -> bool {
        self.not_negative(value) && self.below_extent(value, domain)
    }

    /// Is an integer term at least 0 wherever the facts hold?
    #[must_use]
    pub fn not_negative(&self, value: NodeId) -> bool {
        self.form(value, &Env::new(), 0)
            .and_then(|f| f.scaled(-1))
            .and_then(|f| f.offset(-1))
            .is_some_and(|below| self.refutes(Formula::Atom(Atom::AtLeastZero(below))))
    }

    /// Is an integer term below the extent of a domain wherever the facts hold?
    #[must_use]
    pub fn below_extent(&self, value: NodeId, domain: DomainId) -> bool {
        self.form(value, &Env::new(), 0)
            .and_then(|f| f.checked_add(&self.extent(domain), -1))
            .is_some_and(|above| self.refutes(Formula::Atom(Atom::AtLeastZero(above))))
    }

    /// The linear form of an integer term, with quotients and opaque terms as variables.
    #[must_use]
    pub fn form_of(&self, value: NodeId) -> Option<Form> {
        self.form(value, &Env::new(), 0)
    }

    /// Is `form >= 0` wherever the facts hold?
    #[must_use]
    pub fn proves(&self, form: &Form) -> bool {
        form.scaled(-1).and_then(|f| f.offset(-1)).is_some_and(|v| self.refutes(Formula::Atom(Atom::AtLeastZero(v))))
    }

    fn extent(&self, domain: DomainId) -> Form {
        match self.graph.domain(domain).extent {
            Extent::Const(n) => Form::new(n),
            _ => Form::var(Var::Extent(domain)),
        }
    }

    // ---- terms to forms

    fn positions(&self, id: NodeId, env: &Env) -> Vec<(AxisId, Form)> {
        self.graph
            .free(id)
            .iter()
            .map(|a| (a, env.get(&a).cloned().unwrap_or_else(|| Form::var(Var::Axis(a)))))
            .collect()
    }

    /// The environment in which the body of a substitution stands.
    fn enter(&self, id: NodeId, axes: &[AxisId], env: &Env, depth: u32) -> Option<Env> {
        let args = self.graph.args(id);
        let mut inner = env.clone();
        for (&a, &p) in axes.iter().zip(&args[1..]) {
            inner.insert(a, self.form(p, env, depth + 1)?);
        }
        Some(inner)
    }

    fn form(&self, id: NodeId, env: &Env, depth: u32) -> Option<Form> {
        let g = self.graph;
        if g.dtype(id).class() != Class::Int || depth > 200 {
            return None;
        }
        let opaque = || Some(Form::var(Var::Term(id, self.positions(id, env))));
        let arg = |k: usize| self.form(g.args(id)[k], env, depth + 1);
        match g.op(id) {
            Op::Const(Scalar::Int(c)) => Some(Form::new(*c)),
            Op::Index(a) => Some(env.get(a).cloned().unwrap_or_else(|| Form::var(Var::Axis(*a)))),
            Op::Size(d) => Some(self.extent(*d)),
            Op::Cast(_) if g.dtype(g.args(id)[0]).class() == Class::Int => arg(0),
            Op::Stop => arg(0),
            Op::Sub { axes } => {
                let inner = self.enter(id, axes, env, depth)?;
                self.form(g.args(id)[0], &inner, depth + 1)
            }
            Op::Map(f) => {
                let linear = match f {
                    MapFn::Add => {
                        (0..g.args(id).len()).try_fold(Form::default(), |acc, k| acc.checked_add(&arg(k)?, 1))
                    }
                    MapFn::Sub => arg(0).zip(arg(1)).and_then(|(a, b)| a.checked_add(&b, -1)),
                    MapFn::Neg => arg(0).and_then(|a| a.scaled(-1)),
                    MapFn::Mul => (0..g.args(id).len()).try_fold(Form::new(1), |acc, k| acc.times(&arg(k)?)),
                    MapFn::IDiv => arg(0).zip(arg(1)).and_then(|(a, b)| self.quotient(&a, b.as_constant()?)),
                    MapFn::Mod => arg(0).zip(arg(1)).and_then(|(a, b)| {
                        let m = b.as_constant()?;
                        a.checked_add(&self.quotient(&a, m)?, -m)
                    }),
                    _ => None,
                };
                linear.or_else(opaque)
            }
            _ => opaque(),
        }
    }

    /// `floor(form / m)` with multiples of `m` taken out of the quotient; `None` if `m` is not positive.
    #[must_use]
    pub fn quotient(&self, form: &Form, m: i64) -> Option<Form> {
        if m <= 0 {
            return None;
        }
        let (high, low) = form.split_multiple(m);
        match self.constant_range(&low) {
            Some((lo, hi)) if lo >= 0 && hi < m => Some(high),
            _ => high.checked_add(&Form::var(Var::Quotient(Box::new(low), m)), 1),
        }
    }

    /// Range of a form over axes with constant extents.
    fn constant_range(&self, form: &Form) -> Option<(i64, i64)> {
        let (mut lo, mut hi) = (form.constant(), form.constant());
        for (v, c) in form.terms() {
            let top = match v {
                Var::Axis(a) => self.graph.static_extent(*a)?.checked_sub(1)?,
                Var::Term(id, _) => self.term_range(*id).1?.as_constant()?,
                _ => return None,
            };
            if matches!(v, Var::Term(id, _) if self.term_range(*id).0.is_none()) {
                return None;
            }
            let x = c.checked_mul(top)?;
            lo = lo.checked_add(x.min(0))?;
            hi = hi.checked_add(x.max(0))?;
        }
        Some((lo, hi))
    }

    /// Least value and largest value of an opaque integer term, as its op implies them.
    fn term_range(&self, id: NodeId) -> (Option<Form>, Option<Form>) {
        let g = self.graph;
        match g.op(id) {
            Op::Arg { axis, .. } => (Some(Form::default()), self.extent(g.axis(*axis).domain).offset(-1)),
            Op::KthIndex { .. } => (Some(Form::default()), None),
            // A count: a sum of ones.
            Op::Ein { .. }
                if g.operands(id).iter().all(|&f| matches!(g.constant(f), Some(Scalar::Int(c)) if c >= 0)) =>
            {
                (Some(Form::default()), None)
            }
            _ => (None, None),
        }
    }

    // ---- booleans to formulas

    fn formula(&self, id: NodeId, env: &Env, holds: bool, depth: u32) -> Formula {
        let g = self.graph;
        let opaque = || Formula::Atom(Atom::Opaque(id, self.positions(id, env), holds));
        if g.dtype(id) != DType::Bool || depth > 200 {
            return opaque();
        }
        let args = g.args(id);
        let junction = |all: bool| {
            let parts = args.iter().map(|&a| self.formula(a, env, holds, depth + 1)).collect();
            if all { Formula::All(parts) } else { Formula::Any(parts) }
        };
        // a - b + slack >= 0
        let compare = |a: usize, b: usize, slack: i64| {
            let (a, b) = (self.form(args[a], env, depth + 1)?, self.form(args[b], env, depth + 1)?);
            a.checked_add(&b, -1)?.offset(slack).map(|f| Formula::Atom(Atom::AtLeastZero(f)))
        };
        let formula = match g.op(id) {
            Op::Const(Scalar::Bool(b)) => Some(Formula::Known(*b == holds)),
            Op::Map(MapFn::Not) => Some(self.formula(args[0], env, !holds, depth + 1)),
            Op::Map(MapFn::And) => Some(junction(holds)),
            Op::Map(MapFn::Or) => Some(junction(!holds)),
            Op::Map(MapFn::Le) => {
                if holds {
                    compare(1, 0, 0)
                } else {
                    compare(0, 1, -1)
                }
            }
            Op::Map(MapFn::Lt) => {
                if holds {
                    compare(1, 0, -1)
                } else {
                    compare(0, 1, 0)
                }
            }
            Op::Map(f @ (MapFn::Eq | MapFn::Ne)) => {
                if holds == (*f == MapFn::Eq) {
                    compare(1, 0, 0).zip(compare(0, 1, 0)).map(|(a, b)| Formula::All(vec![a, b]))
                } else {
                    compare(1, 0, -1).zip(compare(0, 1, -1)).map(|(a, b)| Formula::Any(vec![a, b]))
                }
            }
            Op::Select => {
                let branch = |k: usize, taken: bool| {
                    Formula::All(vec![
                        self.formula(args[0], env, taken, depth + 1),
                        self.formula(args[k], env, holds, depth + 1),
                    ])
                };
                Some(Formula::Any(vec![branch(1, true), branch(2, false)]))
            }
            Op::Sub { axes } => {
                self.enter(id, axes, env, depth).map(|inner| self.formula(args[0], &inner, holds, depth + 1))
            }
            _ => None,
        };
        formula.unwrap_or_else(opaque)
    }

    // ---- refutation

    /// Can the facts and `extra` not hold together?
    fn refutes(&self, extra: Formula) -> bool {
        let mut pending: Vec<Formula> = self.facts.clone();
        pending.push(extra);
        let mut budget = CASES;
        self.refute(&mut Vec::new(), pending, &mut budget)
    }

    fn refute(&self, atoms: &mut Vec<Atom>, mut pending: Vec<Formula>, budget: &mut usize) -> bool {
        let start = atoms.len();
        let mut choices: Vec<Vec<Formula>> = Vec::new();
        let mut known_false = false;
        while let Some(f) = pending.pop() {
            match f {
                Formula::Known(b) => known_false |= !b,
                Formula::Atom(a) => atoms.push(a),
                Formula::All(parts) => pending.extend(parts),
                Formula::Any(parts) => choices.push(parts),
            }
        }
        let refuted = known_false || self.atoms_clash(atoms) || {
            // Fewest alternatives first; each must be refuted.
            choices.sort_by_key(Vec::len);
            match choices.first().cloned() {
                None => false,
                Some(parts) => {
                    let rest: Vec<Formula> = choices.drain(1..).map(Formula::Any).collect();
                    parts.into_iter().all(|p| {
                        if *budget == 0 {
                            return false;
                        }
                        *budget -= 1;
                        let mut next = rest.clone();
                        next.push(p);
                        self.refute(atoms, next, budget)
                    })
                }
            }
        };
        atoms.truncate(start);
        refuted
    }

    fn atoms_clash(&self, atoms: &[Atom]) -> bool {
        let mut system = System::new();
        for (i, a) in atoms.iter().enumerate() {
            match a {
                Atom::AtLeastZero(f) => system.at_least_zero(f.clone()),
                Atom::Opaque(id, at, holds) => {
                    let clash = |b: &Atom| matches!(b, Atom::Opaque(id2, at2, holds2) if id == id2 && at == at2 && holds != holds2);
                    if atoms[..i].iter().any(clash) {
                        return true;
                    }
                }
            }
        }
        self.add_variable_facts(&mut system);
        system.numbered().infeasible()
    }

    /// Adds what is known of every variable: ranges of axes, extents, quotients and opaque terms.
    pub fn add_variable_facts(&self, system: &mut System<Var>) {
        let mut done: BTreeSet<Var> = BTreeSet::new();
        let (mut pending, mut seen): (Vec<Var>, usize) = (Vec::new(), 0);
        loop {
            // Facts about a variable may mention others.
            for row in &system.rows()[seen..] {
                pending.extend(row.terms().map(|(v, _)| v).filter(|v| !done.contains(v)).cloned());
            }
            seen = system.rows().len();
            let Some(v) = pending.pop() else { return };
            if done.contains(&v) {
                continue;
            }
            let form = Form::var(v.clone());
            let mut below = |hi: Option<Form>| {
                if let Some(f) = hi.and_then(|hi| hi.checked_add(&form, -1)) {
                    system.at_least_zero(f);
                }
            };
            match &v {
                Var::Axis(a) => {
                    below(self.extent(self.graph.axis(*a).domain).offset(-1));
                    system.at_least_zero(form.clone());
                }
                Var::Extent(d) => match self.graph.domain(*d).extent {
                    Extent::Derived { base, mul, add, div } => {
                        let inside = self.extent(base).scaled(mul).and_then(|f| f.offset(add));
                        let (lo, hi) = (form.scaled(div), form.scaled(div).and_then(|f| f.offset(div - 1)));
                        if let (Some(inside), Some(lo), Some(hi)) = (inside, lo, hi) {
                            for f in [inside.checked_add(&lo, -1), hi.checked_add(&inside, -1)].into_iter().flatten() {
                                system.at_least_zero(f);
                            }
                        }
                    }
                    _ => {
                        if let Some(f) = form.offset(-1) {
                            system.at_least_zero(f);
                        }
                    }
                },
                Var::Quotient(inside, m) => {
                    let (lo, hi) = (form.scaled(*m), form.scaled(*m).and_then(|f| f.offset(m - 1)));
                    for f in
                        [lo.and_then(|lo| inside.checked_add(&lo, -1)), hi.and_then(|hi| hi.checked_add(inside, -1))]
                            .into_iter()
                            .flatten()
                    {
                        system.at_least_zero(f);
                    }
                }
                Var::Term(id, _) => {
                    let (lo, hi) = self.term_range(*id);
                    below(hi);
                    if let Some(f) = lo.and_then(|lo| form.checked_add(&lo, -1)) {
                        system.at_least_zero(f);
                    }
                }
            }
            done.insert(v);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Axis, Role};
    use super::*;

    struct Fixture {
        g: Graph,
        t: AxisId,
        j: AxisId,
    }

    fn fixture() -> Fixture {
        let mut g = Graph::new("f");
        let b = g.add_domain("b", Extent::Runtime, Role::Plain);
        let b = g.add_axis("b", b);
        let time = g.add_domain("t", Extent::Ragged(b), Role::Time);
        let t = g.add_axis("t", time);
        let j = g.add_axis("j", time);
        Fixture { g, t, j }
    }

    fn domain(g: &Graph, a: AxisId) -> DomainId {
        let Axis { domain, .. } = *g.axis(a);
        domain
    }

    #[test]
    fn a_shift_needs_its_guard() {
        let mut f = fixture();
        let (t, one, zero) = (f.g.index(f.t).unwrap(), f.g.int(1), f.g.int(0));
        let back = f.g.map(MapFn::Sub, &[t, one]).unwrap();
        let first = f.g.map(MapFn::Eq, &[t, zero]).unwrap();
        let d = domain(&f.g, f.t);
        assert!(!Prover::new(&f.g).in_range(back, d));
        assert!(Prover::new(&f.g).assume(first, false).in_range(back, d));
    }

    #[test]
    fn boolean_lets_are_looked_through() {
        // fresh[t] = t == 0 or last[t - 1];  not fresh  =>  t >= 1, and last[t - 1] is false
        let mut f = fixture();
        let (t, one, zero, four) = (f.g.index(f.t).unwrap(), f.g.int(1), f.g.int(0), f.g.int(4));
        let phase = f.g.map(MapFn::Mod, &[t, four]).unwrap();
        let three = f.g.int(3);
        let last = f.g.map(MapFn::Eq, &[phase, three]).unwrap();
        let back = f.g.map(MapFn::Sub, &[t, one]).unwrap();
        let last_back = f.g.sub(last, &[(f.t, back)]).unwrap();
        let first = f.g.map(MapFn::Eq, &[t, zero]).unwrap();
        let fresh = f.g.map(MapFn::Or, &[first, last_back]).unwrap();
        let p = Prover::new(&f.g).assume(fresh, false);
        assert!(p.in_range(back, domain(&f.g, f.t)));
        // (t - 1) % 4 != 3  =>  t % 4 != 0
        let start = f.g.map(MapFn::Eq, &[phase, zero]).unwrap();
        let p = Prover::new(&f.g).assume(fresh, false);
        assert!(!p.implies(start));
    }

    #[test]
    fn windows_imply_causality() {
        let mut f = fixture();
        let (t, j, zero, w) = (f.g.index(f.t).unwrap(), f.g.index(f.j).unwrap(), f.g.int(0), f.g.int(16));
        let age = f.g.map(MapFn::Sub, &[t, j]).unwrap();
        let (lo, hi) = (f.g.map(MapFn::Le, &[zero, age]).unwrap(), f.g.map(MapFn::Lt, &[age, w]).unwrap());
        let window = f.g.map(MapFn::And, &[lo, hi]).unwrap();
        let causal = f.g.map(MapFn::Le, &[j, t]).unwrap();
        let p = Prover::new(&f.g).assume(window, true);
        assert!(p.implies(causal));
        assert!(!Prover::new(&f.g).assume(causal, true).implies(window));
        let strict = f.g.map(MapFn::Lt, &[t, j]).unwrap();
        assert!(Prover::new(&f.g).assume(window, true).assume(strict, true).contradictory());
    }

    #[test]
    fn complete_blocks_of_a_ragged_time_are_in_range() {
        // axis c = |t| // 16;  k[c * 16 + l] is in range, and so is pick[j // 16] under j // 16 < t // 16
        let mut f = fixture();
        let time = domain(&f.g, f.t);
        let blocks = f.g.add_domain("c", Extent::Derived { base: time, mul: 1, add: 0, div: 16 }, Role::Plain);
        let c = f.g.add_axis("c", blocks);
        let within = f.g.add_domain("l", Extent::Const(16), Role::Plain);
        let l = f.g.add_axis("l", within);
        let (c, l, n) = (f.g.index(c).unwrap(), f.g.index(l).unwrap(), f.g.int(16));
        let start = f.g.map(MapFn::Mul, &[c, n]).unwrap();
        let at = f.g.map(MapFn::Add, &[start, l]).unwrap();
        assert!(Prover::new(&f.g).in_range(at, time));
        let (t, j) = (f.g.index(f.t).unwrap(), f.g.index(f.j).unwrap());
        let (tb, jb) = (f.g.map(MapFn::IDiv, &[t, n]).unwrap(), f.g.map(MapFn::IDiv, &[j, n]).unwrap());
        let older = f.g.map(MapFn::Lt, &[jb, tb]).unwrap();
        assert!(!Prover::new(&f.g).in_range(jb, blocks));
        assert!(Prover::new(&f.g).assume(older, true).in_range(jb, blocks));
    }
}
