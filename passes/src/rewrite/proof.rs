//! A derivation: from the definition to the algorithm, one rule at a time.
//!
//! Terms of a derivation are made as they stand, not canonically: what a rule does would be undone by the canonical form, or done by it
//! without being shown.

use super::carried::{Carried, declare};
use super::import::Choice;
use super::rules::{RULES, Rule};
use super::term::{Head, Term};
use super::workshop::Eg;
use egg::{FlatTerm, Id, Language, RecExpr};
use rustc_hash::FxHashMap;
use weft_ir::graph::{AxisId, Error, Graph, NodeId, Op};

/// One rule applied at one place.
#[derive(Clone, Debug)]
pub struct Step {
    /// The rule's number in [`super::rules`].
    pub rule: usize,
    /// Was it applied from right to left?
    pub backwards: bool,
    /// What was there.
    pub before: NodeId,
    /// What is there now.
    pub after: NodeId,
    /// All outputs after the step, in the order of [`Derivation::outputs`].
    pub outputs: Vec<NodeId>,
}

/// How an algorithm follows from a definition.
#[derive(Clone, Debug)]
pub struct Derivation {
    /// The graph in which all terms are.
    pub graph: Graph,
    /// Outputs that are derived: their numbers in the graph.
    pub derived: Vec<usize>,
    /// Their terms in the definition.
    pub start: Vec<NodeId>,
    /// The steps.
    pub steps: Vec<Step>,
}

impl Derivation {
    /// The whole layer with these terms as its derived outputs.
    ///
    /// # Errors
    /// Never for terms of the derivation.
    pub fn at(&self, outputs: &[NodeId]) -> Result<Graph, Error> {
        let mut g = self.graph.clone();
        for (&n, &node) in self.derived.iter().zip(outputs) {
            g.outputs[n].node = node;
        }
        super::import::pruned(&g).map(|p| p.0)
    }
}

/// How many terms a choice has as a tree: a proof writes every term out, whoever shares it.
pub(crate) fn tree_size(eg: &Eg, choice: &Choice, root: Id) -> f64 {
    let mut memo: FxHashMap<Id, f64> = FxHashMap::default();
    size_of(eg, choice, eg.find(root), &mut memo)
}

fn size_of(eg: &Eg, choice: &Choice, id: Id, memo: &mut FxHashMap<Id, f64>) -> f64 {
    if let Some(&n) = memo.get(&id) {
        return n;
    }
    let args = choice.get(&id).map(|t| t.args.clone()).unwrap_or_default();
    let n = 1.0 + args.iter().map(|&a| size_of(eg, choice, eg.find(a), memo)).sum::<f64>();
    memo.insert(id, n);
    n
}

/// A chosen term as an expression.
fn expression(eg: &Eg, choice: &Choice, root: Id) -> RecExpr<Term> {
    let mut expr = RecExpr::default();
    let mut memo: FxHashMap<Id, Id> = FxHashMap::default();
    write(eg, choice, eg.find(root), &mut expr, &mut memo);
    expr
}

fn write(eg: &Eg, choice: &Choice, id: Id, expr: &mut RecExpr<Term>, memo: &mut FxHashMap<Id, Id>) -> Id {
    if let Some(&done) = memo.get(&id) {
        return done;
    }
    let mut term = choice[&id].clone();
    for a in &mut term.args {
        *a = write(eg, choice, eg.find(*a), expr, memo);
    }
    let made = expr.add(term);
    memo.insert(id, made);
    made
}

/// The derivation of one choice from another. The e-graph must have been saturated with explanations.
///
/// # Errors
/// Only for terms that are not well-formed.
pub(crate) fn derive(
    eg: &mut Eg,
    root: Id,
    from: &Choice,
    to: &Choice,
    derived: Vec<usize>,
) -> Result<Derivation, Error> {
    let (start, end) = (expression(eg, from, root), expression(eg, to, root));
    let mut explanation = eg.explain_equivalence(&start, &end);
    let flat = explanation.make_flat_explanation().clone();
    let mut w = Writer { recs: FxHashMap::default() };
    let outputs = |w: &mut Writer, eg: &mut Eg, t: &FlatTerm<Term>| {
        t.children.iter().map(|c| w.node(eg, c)).collect::<Result<Vec<NodeId>, Error>>()
    };
    let start = outputs(&mut w, eg, &flat[0])?;
    let mut steps = Vec::new();
    for pair in flat.windows(2) {
        let Some((before, after)) = changed(&pair[0], &pair[1]) else { continue };
        let (name, backwards) = match (after.forward_rule, after.backward_rule) {
            (Some(r), _) => (r, false),
            (None, Some(r)) => (r, true),
            (None, None) => continue,
        };
        let rule = RULES.iter().position(|r: &&Rule| r.name == name.as_str()).unwrap_or(RULES.len());
        let (before, after) = (w.node(eg, before)?, w.node(eg, after)?);
        let outputs = outputs(&mut w, eg, &pair[1])?;
        steps.push(Step { rule, backwards, before, after, outputs });
    }
    Ok(Derivation { graph: eg.analysis.canon.g.clone(), derived, start, steps })
}

/// What a proof says that a rule did.
pub(crate) struct Claim {
    /// The rule's name.
    pub(crate) rule: String,
    /// What it was applied to.
    pub(crate) from: RecExpr<Term>,
    /// What it gave.
    pub(crate) to: RecExpr<Term>,
}

/// Every claim of the proof that one choice is the other.
pub(crate) fn claims(eg: &mut Eg, root: Id, from: &Choice, to: &Choice) -> Vec<Claim> {
    let (start, end) = (expression(eg, from, root), expression(eg, to, root));
    let mut explanation = eg.explain_equivalence(&start, &end);
    let flat = explanation.make_flat_explanation();
    let mut found = Vec::new();
    for pair in flat.windows(2) {
        let Some((before, after)) = changed(&pair[0], &pair[1]) else { continue };
        let (before_expr, after_expr) = (alone(before), alone(after));
        match (after.forward_rule, after.backward_rule) {
            (Some(rule), _) => found.push(Claim { rule: rule.to_string(), from: before_expr, to: after_expr }),
            (None, Some(rule)) => found.push(Claim { rule: rule.to_string(), from: after_expr, to: before_expr }),
            (None, None) => {}
        }
    }
    found
}

/// A term of a proof as an expression.
fn alone(t: &FlatTerm<Term>) -> RecExpr<Term> {
    fn add(t: &FlatTerm<Term>, expr: &mut RecExpr<Term>) -> Id {
        let args: Vec<Id> = t.children.iter().map(|c| add(c, expr)).collect();
        expr.add(Term::new(t.node.head.clone(), &args))
    }
    let mut expr = RecExpr::default();
    add(t, &mut expr);
    expr
}

/// Where a step changed a term: the subterms before and after.
fn changed<'a>(
    before: &'a FlatTerm<Term>,
    after: &'a FlatTerm<Term>,
) -> Option<(&'a FlatTerm<Term>, &'a FlatTerm<Term>)> {
    if after.forward_rule.is_some() || after.backward_rule.is_some() {
        return Some((before, after));
    }
    before.children.iter().zip(&after.children).find_map(|(b, a)| changed(b, a))
}

/// Makes nodes of terms as they stand.
struct Writer {
    recs: FxHashMap<(AxisId, bool, Vec<NodeId>), NodeId>,
}

impl Writer {
    fn node(&mut self, eg: &mut Eg, t: &FlatTerm<Term>) -> Result<NodeId, Error> {
        let args = t.children.iter().map(|c| self.node(eg, c)).collect::<Result<Vec<NodeId>, Error>>()?;
        debug_assert_eq!(args.len(), t.node.children().len());
        let c = &mut eg.analysis.canon;
        match &t.node.head {
            Head::Leaf(n) => Ok(*n),
            Head::Map(f) => c.raw(Op::Map(*f), &args),
            Head::Ein { axes, guards } => {
                let all: Vec<NodeId> = guards.iter().chain(&args).copied().collect();
                c.raw(Op::Ein { axes: axes.clone(), guards: guards.len() as u32 }, &all)
            }
            Head::Sub { axes, at } => {
                let all: Vec<NodeId> = args.iter().chain(at).copied().collect();
                c.raw(Op::Sub { axes: axes.iter().copied().collect() }, &all)
            }
            Head::Scan { axis, reverse } => self.recurrence(eg, *axis, *reverse, args),
            Head::Other(op) => c.raw(op.clone(), &args),
            Head::Outputs => Err(Error::Missing("outputs within a term".into())),
        }
    }

    fn recurrence(&mut self, eg: &mut Eg, time: AxisId, reverse: bool, args: Vec<NodeId>) -> Result<NodeId, Error> {
        let key = (time, reverse, args);
        if let Some(&n) = self.recs.get(&key) {
            return Ok(n);
        }
        let dtype = eg.analysis.canon.g.dtype(key.2[0]);
        let Carried { rec, last, started } = declare(eg, "S", time, reverse, &key.2, dtype)?;
        let c = &mut eg.analysis.canon;
        let all: Vec<NodeId> = [started].into_iter().chain(key.2[1..].iter().copied()).chain([last]).collect();
        let kept = c.raw(Op::Ein { axes: Default::default(), guards: 1 }, &all)?;
        let body = c.raw(Op::Map(weft_ir::graph::MapFn::Add), &[key.2[0], kept])?;
        let made = c.raw(Op::Rec(rec), &[body])?;
        self.recs.insert(key, made);
        Ok(made)
    }
}
