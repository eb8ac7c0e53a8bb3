//! Padding takes part in no reduction and reaches no store.

use smallvec::SmallVec;

use super::super::expr::{Atom, Cmp, Expr, Guard};
use super::super::ids::{AxisId, AxisSet, ValueId};
use super::super::ops::{Inst, Monoid, OpCode};
use super::super::plan::Domain;
use super::super::print::guard_text;
use super::super::types::Literal;
use super::Checker;
use super::facts::Copy;
use crate::elementwise::MapFn;

/// What is known about a value on the padding of one of its axes, where its other axes exist.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Padded {
    /// Axes on whose padding the value is 0 (false).
    pub(super) zero: AxisSet,
    /// Axes on whose padding the value is -inf.
    pub(super) least: AxisSet,
    /// Axes on whose padding the value is inf.
    pub(super) greatest: AxisSet,
    /// Axes on whose padding the value is undefined, or infinite, so that 0 times it is not 0.
    pub(super) wild: AxisSet,
}

impl Checker<'_> {
    /// Conditions under which an element of the axis exists; none if all elements do.
    fn existence(&self, axis: AxisId) -> SmallVec<[Atom; 1]> {
        let Some(decl) = self.kernel.axis(axis) else { return SmallVec::new() };
        if !decl.valid.is_always() {
            return decl.valid.atoms.iter().cloned().collect();
        }
        let Some(l) = self.loops.iter().find(|l| l.axis == Some(axis)) else { return SmallVec::new() };
        let (lo, hi) = match &l.domain {
            Domain::Dense { lo, hi } | Domain::Strided { lo, hi, .. } => (lo.clone(), hi),
            Domain::List { count, .. } | Domain::Table { count } => (Expr::Const(0), count),
            Domain::Point { .. } => return SmallVec::new(),
        };
        let exists = Atom { lhs: Expr::from(l.index) + axis, cmp: Cmp::Lt, rhs: hi.clone() };
        // A static range that the step divides has no partial tile.
        let length = self.plan.static_value(&(hi.clone() - lo));
        let step = self.kernel.axis_extent(self.plan, axis);
        if length.zip(step).is_some_and(|(n, s)| s > 0 && n % s == 0) {
            return SmallVec::new();
        }
        SmallVec::from_iter([exists])
    }

    /// Axes of `axes` whose padding (if they have any) the guard excludes, at elements that are not padding of the axes `rows`:
    /// what is computed on the padding of a row concerns nobody.
    fn excluded(&self, guard: &Guard, axes: AxisSet, rows: AxisSet) -> AxisSet {
        let mut out = AxisSet::EMPTY;
        for axis in axes.iter() {
            let mut facts = None;
            let mut conditions = self.existence(axis);
            conditions.retain(|c| !guard.atoms.contains(c));
            let all = conditions.is_empty() || {
                let facts = facts.get_or_insert_with(|| self.facts_under(guard));
                // An axis must not be shown to exist by itself.
                let others = rows.minus(AxisSet::one(axis));
                for atom in others.iter().flat_map(|a| self.existence(a)) {
                    facts.assume(&atom, true, Copy::First);
                }
                conditions.iter().all(|c| facts.proves(c, Copy::First))
            };
            if all {
                out.insert(axis);
            }
        }
        out
    }

    /// Axes that may have padding here.
    fn partial(&self, axes: AxisSet) -> AxisSet {
        axes.iter().filter(|a| !self.existence(*a).is_empty()).collect()
    }

    /// Axes whose padding neither the guard excludes nor a neutral value makes harmless. A value is known to be neutral on the
    /// padding of an axis where the other axes exist; with two such axes nothing is known where both are padding.
    fn unsettled(&self, axes: AxisSet, excluded: AxisSet, neutral: AxisSet) -> AxisSet {
        let rest = self.partial(axes.minus(excluded));
        if rest.len() <= 1 { rest.minus(neutral) } else { rest }
    }

    fn padded_value(&self, v: ValueId) -> Padded {
        self.padded.get(&v).copied().unwrap_or_default()
    }

    /// Notes atoms that a loop's `full` range claims and that do not follow from it.
    pub(super) fn full_claims(&mut self, guard: &Guard) {
        for l in self.loops.clone() {
            let Some((lo, hi)) = &l.full else { continue };
            let speaks = |a: &Atom| self.kernel.is_claimed(a, l);
            let (claimed, given): (Vec<_>, Vec<_>) = guard.atoms.iter().cloned().partition(speaks);
            if claimed.is_empty() {
                continue;
            }
            let mut facts = self.facts(&[Copy::First]);
            let step = l.axis.and_then(|a| self.kernel.axis_extent(self.plan, a)).unwrap_or(1);
            let end = Expr::from(l.index) + step;
            let mut known = vec![Expr::from(l.index).ge(lo.clone()), end.clone().le(hi.clone())];
            if let Some(last) = l.domain.end() {
                known.push(end.le(last.clone()));
            }
            let others = self.kernel.guard_axes(guard).minus(l.axis.map_or(AxisSet::EMPTY, AxisSet::one));
            known.extend(others.iter().flat_map(|a| self.existence(a)));
            for atom in known.iter().chain(&given) {
                facts.assume(atom, true, Copy::First);
            }
            for atom in claimed {
                if !facts.proves(&atom, Copy::First) {
                    let text = guard_text(self.plan, self.kernel, &Guard::from(atom));
                    let place = format!("kernel `{}`, at `{}`", self.kernel.name, self.place);
                    self.claims.push(super::VerifyError {
                        place,
                        message: format!("{text} is not shown inside the `full` range"),
                    });
                }
            }
        }
    }

    fn axes_of(&self, v: ValueId) -> AxisSet {
        self.kernel.value_type(v).map_or(AxisSet::EMPTY, |t| t.axes)
    }

    /// Checks an op and notes what its results are on padding.
    pub(super) fn padding(&mut self, inst: &Inst) {
        let attrs = &inst.attrs;
        let over = attrs.over;
        let strictly = |c: &Self, axes| c.excluded(&attrs.guard, axes, AxisSet::EMPTY);
        let arg = |i: usize| inst.args.get(i).copied().unwrap_or(ValueId::new(usize::MAX));
        let (a, b) = (self.padded_value(arg(0)), self.padded_value(arg(1)));
        let all = inst.args.iter().fold(AxisSet::EMPTY, |s, v| s.union(self.axes_of(*v)));
        let excluded = |c: &Self| {
            let rows = all.union(c.kernel.guard_axes(&attrs.guard)).minus(over);
            c.excluded(&attrs.guard, over, rows)
        };
        match inst.op {
            OpCode::Store | OpCode::TableSet | OpCode::Hist => {
                let axes = all.union(attrs.access.as_ref().map_or(AxisSet::EMPTY, |x| self.kernel.access_axes(x)));
                let bad = self.partial(axes.minus(strictly(self, axes)));
                self.no_padding(bad, "is written");
            }
            OpCode::Accum | OpCode::TableAdd => {
                let axes = all.union(attrs.access.as_ref().map_or(AxisSet::EMPTY, |x| self.kernel.access_axes(x)));
                let neutral = match attrs.monoid {
                    Some(Monoid::Max) => a.least,
                    Some(Monoid::Min) => a.greatest,
                    _ => a.zero,
                };
                let bad = self.unsettled(axes, strictly(self, axes), neutral);
                self.no_padding(bad, "is added");
            }
            OpCode::Reduce => {
                let neutral = match attrs.monoid {
                    Some(Monoid::Max) => a.least,
                    Some(Monoid::Min) => a.greatest,
                    Some(Monoid::Sum | Monoid::Any) => a.zero,
                    _ => AxisSet::EMPTY,
                };
                let bad = self.unsettled(over, excluded(self), neutral);
                self.no_padding(bad, "is reduced");
            }
            OpCode::Online => {
                let bad = self.unsettled(over, excluded(self), a.least);
                self.no_padding(bad, "takes part in a softmax");
            }
            OpCode::Combine => {
                let wild = inst.args.iter().fold(AxisSet::EMPTY, |s, v| s.union(self.padded_value(*v).wild));
                let bad = self.unsettled(over, excluded(self), a.least.minus(wild));
                self.no_padding(bad, "is combined");
            }
            OpCode::TopK | OpCode::Compact | OpCode::RankCount | OpCode::Search => {
                let bad = self.unsettled(over, excluded(self), AxisSet::EMPTY);
                self.no_padding(bad, "is selected from");
            }
            OpCode::Scan if attrs.rev => {
                let bad = self.partial(over);
                self.no_padding(bad, "comes first in a reversed scan");
            }
            OpCode::Dot => {
                // One factor 0 and the other tame, so that the product is 0.
                let harmless = a.zero.minus(b.wild).union(b.zero.minus(a.wild));
                let bad = self.unsettled(over, excluded(self), harmless);
                self.no_padding(bad, "takes part in a dot (both operands must be 0 there: `else 0.0`)");
            }
            _ => {}
        }
        self.note(inst, a, b);
    }

    /// Are these integers that index arithmetic makes?
    fn are_positions(&self, values: &[ValueId]) -> bool {
        let is_position = |v: &ValueId| self.defs.inst(*v).is_some_and(|i| i.op == OpCode::Index);
        values.len() == 2 && values.iter().all(is_position)
    }

    fn no_padding(&mut self, axes: AxisSet, what: &str) {
        for axis in axes.iter().filter_map(|a| self.kernel.axis(a)) {
            let name = axis.name.clone();
            self.error(format!("padding of axis `{name}` {what}"));
        }
    }

    fn note(&mut self, inst: &Inst, a: Padded, b: Padded) {
        let attrs = &inst.attrs;
        let own = |c: &Self, i: usize| inst.results.get(i).map_or(AxisSet::EMPTY, |r| c.axes_of(*r));
        let axes = own(self, 0);
        let wild = inst.args.iter().fold(AxisSet::EMPTY, |s, v| s.union(self.padded_value(*v).wild));
        let zeros = || inst.args.iter().map(|v| (self.axes_of(*v), self.padded_value(*v).zero));
        // Results are as wild as their operands unless said otherwise.
        let mut out = Padded { wild: wild.intersection(axes), ..Padded::default() };
        match (inst.op, attrs.function) {
            (OpCode::Load | OpCode::TableRead, _) => {
                let excluded = self.excluded(&attrs.guard, axes, axes);
                // Elements of the guard's padding get the constant; other padding is read like any element.
                match attrs.otherwise {
                    None if attrs.guard.is_always() => {}
                    None => out.wild = axes,
                    Some(Literal::Float(x)) if x == f64::NEG_INFINITY => (out.least, out.wild) = (excluded, axes),
                    Some(Literal::Float(x)) if x == f64::INFINITY => (out.greatest, out.wild) = (excluded, axes),
                    Some(Literal::Float(0.0) | Literal::Int(0) | Literal::Bool(false)) => out.zero = excluded,
                    Some(_) => {}
                }
            }
            (OpCode::Fill, _) => match attrs.value {
                Some(Literal::Float(x)) if x == f64::NEG_INFINITY => (out.least, out.wild) = (axes, axes),
                Some(Literal::Float(x)) if x == f64::INFINITY => (out.greatest, out.wild) = (axes, axes),
                // Spread over whatever axis, it stays 0 there.
                Some(Literal::Float(0.0) | Literal::Int(0) | Literal::Bool(false)) => out.zero = AxisSet::ALL,
                _ => {}
            },
            (OpCode::Online, _) => {
                // The weights are 0 wherever the guard is false.
                let weights = own(self, 2);
                let weight = Padded { zero: self.excluded(&attrs.guard, weights, weights), ..Padded::default() };
                if let Some(w) = inst.results.get(2) {
                    self.padded.insert(*w, weight);
                }
                // -inf in the maximum of an empty row must not make it wild for what is multiplied by the factor.
                for r in inst.results.iter().take(2) {
                    self.padded
                        .insert(*r, Padded { wild: a.wild.minus(attrs.over).intersection(axes), ..Padded::default() });
                }
                return;
            }
            (OpCode::Map, Some(MapFn::Mul)) | (OpCode::Rescale, _) => {
                let zero = zeros().fold(AxisSet::EMPTY, |s, (_, z)| s.union(z));
                out.zero = zero.minus(wild).intersection(axes);
            }
            (OpCode::Map, Some(MapFn::And)) => {
                out.zero = zeros().fold(AxisSet::EMPTY, |s, (_, z)| s.union(z)).intersection(axes);
            }
            (OpCode::Map, Some(MapFn::Div)) => (out.zero, out.wild) = (AxisSet::EMPTY, axes),
            (OpCode::Map, Some(MapFn::Exp | MapFn::Exp2)) => (out.zero, out.wild) = (a.least, out.wild.minus(a.least)),
            (OpCode::Map, Some(MapFn::Inv | MapFn::Log | MapFn::Pow)) => out.wild = axes,
            (
                OpCode::Map,
                Some(
                    MapFn::Add
                    | MapFn::Sub
                    | MapFn::Neg
                    | MapFn::Abs
                    | MapFn::Min
                    | MapFn::Max
                    | MapFn::Or
                    | MapFn::Sqrt,
                ),
            )
            | (OpCode::Cast | OpCode::Expand, _) => {
                // 0 where every operand is; an operand without the axis is not.
                out.zero = zeros().fold(axes, |s, (_, z)| s.intersection(z));
                out.least = if inst.args.len() == 1 && inst.op != OpCode::Map { a.least } else { AxisSet::EMPTY };
                out.greatest = if inst.args.len() == 1 && inst.op != OpCode::Map { a.greatest } else { AxisSet::EMPTY };
            }
            // Where it is true the element exists: what a guard says, as a tile.
            (OpCode::Map, Some(f)) if comparison(f).is_some() && self.are_positions(&inst.args) => {
                let cmp = comparison(f).unwrap_or(Cmp::Eq);
                let [lhs, rhs] = [0, 1].map(|n| inst.args.get(n).map_or(Expr::Const(0), |v| Expr::Value(*v)));
                out.zero = self.excluded(&Guard::from(Atom { lhs, cmp, rhs }), axes, axes);
            }
            (OpCode::Select, _) => {
                let c = inst.args.get(2).map_or(Padded::default(), |v| self.padded_value(*v));
                out.wild = a.wild.union(b.wild.minus(a.zero)).union(c.wild).intersection(axes);
                out.zero = b.zero.intersection(c.zero).union(a.zero.intersection(c.zero)).intersection(axes);
                out.least = b.least.intersection(c.least).union(a.zero.intersection(c.least));
                out.greatest = b.greatest.intersection(c.greatest).union(a.zero.intersection(c.greatest));
            }
            (OpCode::Rename, _) => {
                let keep = |s: AxisSet| s.intersection(axes);
                out =
                    Padded { zero: keep(a.zero), least: keep(a.least), greatest: keep(a.greatest), wild: keep(a.wild) };
                // The new axis has another padding than the old one.
                out.wild = out.wild.union(attrs.to.map_or(AxisSet::EMPTY, AxisSet::one));
            }
            (OpCode::Compact, _) => out.wild = axes,
            _ => {}
        }
        for r in &inst.results {
            self.padded.insert(*r, out);
        }
    }
}

fn comparison(f: MapFn) -> Option<Cmp> {
    Some(match f {
        MapFn::Lt => Cmp::Lt,
        MapFn::Le => Cmp::Le,
        MapFn::Gt => Cmp::Gt,
        MapFn::Ge => Cmp::Ge,
        MapFn::Eq => Cmp::Eq,
        _ => return None,
    })
}
