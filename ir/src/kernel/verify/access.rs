//! Accesses in range, injective maps.

use super::super::expr::{Atom, Expr, Guard};
use super::super::ids::{AxisSet, VarId};
use super::super::ops::{Access, AccumMode, Inst, OpCode, Place};
use super::super::plan::{Loop, VarDef};
use super::super::print::guard_text;
use super::Checker;
use super::facts::{Copy, Facts};
use super::linear::Linear;

/// An access with everything that is known where it stands.
#[derive(Clone)]
pub(super) struct Site<'a> {
    access: Access,
    guard: Guard,
    loops: Vec<&'a Loop>,
    conditions: Vec<(Atom, bool)>,
    writes: bool,
    place: String,
}

impl<'a> Checker<'a> {
    /// Remembers an access to a buffer for [`Self::races`].
    pub(super) fn site(&mut self, access: &Access, guard: &Guard, writes: bool) {
        self.sites.push(Site {
            access: access.clone(),
            guard: guard.clone(),
            loops: self.loops.clone(),
            conditions: self.conditions.clone(),
            writes,
            place: self.place.clone(),
        });
    }

    /// What one grid point stores no other grid point stores by another statement, or reads.
    pub(super) fn races(&mut self) {
        let sites = std::mem::take(&mut self.sites);
        for (i, a) in sites.iter().enumerate() {
            for b in sites.get(i + 1..).unwrap_or_default() {
                if a.access.place != b.access.place || !(a.writes || b.writes) {
                    continue;
                }
                if let Some(var) = self.meet(a, b) {
                    self.place.clone_from(&b.place);
                    let name = self.kernel.var(var).map_or("?", |v| &v.name);
                    let other = &a.place;
                    self.error(format!(
                        "grid points that differ in `{name}` are not shown to stay apart from those at `{other}`"
                    ));
                }
            }
        }
    }

    /// A grid variable in which two grid points may differ that meet in one element, one at each site.
    fn meet(&self, a: &Site<'a>, b: &Site<'a>) -> Option<VarId> {
        let mut left: Vec<_> = self.kernel.grid.iter().map(|g| g.var).collect();
        let mut shared = Vec::new();
        loop {
            let before = left.len();
            let mut facts = Facts::new(self.plan, self.kernel, self.defs);
            facts.shared_vars.clone_from(&shared);
            for (site, copy) in [(a, Copy::First), (b, Copy::Second)] {
                for axis in &self.kernel.grid {
                    facts.mention(axis.var, copy);
                }
                for l in &site.loops {
                    facts.mention(l.index, copy);
                }
                for (atom, holds) in &site.conditions {
                    facts.assume(atom, *holds, copy);
                }
                for atom in &site.guard.atoms {
                    facts.assume(atom, true, copy);
                }
            }
            for (x, y) in a.access.index.iter().zip(&b.access.index) {
                let pair = facts.linear(x, Copy::First).zip(facts.linear(y, Copy::Second));
                if let Some((x, y)) = pair {
                    facts.assume_equal(&x, &y);
                }
            }
            left.retain(|var| {
                let expr = Expr::from(*var);
                let pair = facts.linear(&expr, Copy::First).zip(facts.linear(&expr, Copy::Second));
                let equal = pair.and_then(|(x, y)| Some((x.minus(&y)?, y.minus(&x)?)));
                let equal = equal.is_some_and(|(p, q)| facts.proves_ge0(&p) && facts.proves_ge0(&q));
                if equal {
                    shared.push(*var);
                }
                !equal
            });
            if left.is_empty() || left.len() == before {
                return left.first().copied();
            }
        }
    }

    /// Every index lies inside its dimension wherever the guard holds.
    pub(super) fn in_range(&mut self, access: &Access, guard: &Guard) {
        let (name, extents): (&str, Vec<Expr>) = match access.place {
            Place::Buffer(id) => match self.plan.buffer(id) {
                Some(b) => (&b.name, b.dims.iter().map(|d| d.extent.clone()).collect()),
                None => return self.error("the buffer is not declared"),
            },
            Place::Scratch(id) => match self.kernel.scratch_table(id) {
                Some(s) => (&s.name, s.dims.clone()),
                None => return self.error("the scratch table is not declared"),
            },
        };
        if extents.len() != access.index.len() {
            return self.error(format!(
                "`{name}` has {} dimensions, the access has {}",
                extents.len(),
                access.index.len()
            ));
        }
        let mut facts = self.facts_under(guard);
        let mut dims: Vec<Linear> = Vec::new();
        for (d, (index, extent)) in access.index.iter().zip(&extents).enumerate() {
            let Some(at) = facts.linear(index, Copy::First) else {
                let text = self.text(index);
                return self.error(format!("index `{text}` of `{name}` is not quasi-affine"));
            };
            let last = facts.linear_in(extent, Copy::First, &dims).and_then(|n| n.minus(&at)?.add_constant(-1));
            let low = facts.proves_ge0(&at);
            let high = last.is_some_and(|l| facts.proves_ge0(&l));
            if !low || !high {
                let which = match (low, high) {
                    (false, true) => "may be negative",
                    (true, false) => "may be beyond the end",
                    _ => "is not shown to be in range",
                };
                let text = self.text(index);
                let hint = match self.unbounded_gather(index) {
                    true => {
                        " (an integer tile in an index must be clamped, guarded, or come from a buffer with a range)"
                    }
                    false => "",
                };
                self.error(format!("index `{text}` {which} along dimension {d} of `{name}`{hint}"));
            }
            dims.push(at);
        }
        self.exists(guard, &mut facts);
    }

    /// Integers that were loaded under a guard without `else`, and positions of lists, are used only where they exist.
    fn exists(&mut self, guard: &Guard, facts: &mut Facts<'_>) {
        let mut checked = 0;
        // Proving one may speak of further ones.
        while let Some(needed) = facts.relied.get(checked).cloned() {
            checked += 1;
            let affine = needed.atoms.iter().all(|a| guard.atoms.contains(a) || facts.proves(a, Copy::First));
            if !affine || !needed.opaque.iter().all(|v| guard.opaque.contains(v)) {
                let text = guard_text(self.plan, self.kernel, &needed);
                self.error(format!(
                    "an integer in an index is undefined unless {text}, which the guard does not imply"
                ));
            }
        }
    }

    /// Does the index contain an integer that is not index arithmetic?
    fn unbounded_gather(&self, index: &Expr) -> bool {
        let mut found = false;
        index.visit(&mut |e| {
            found |= match e {
                Expr::Value(_) => true,
                Expr::Var(v) => {
                    let def = self.kernel.var(*v).map(|v| &v.def);
                    matches!(def, Some(VarDef::Load(_) | VarDef::Entry(_) | VarDef::Scalar(_)))
                }
                _ => false,
            };
        });
        found
    }

    pub(super) fn take_in_range(&mut self, inst: &Inst) {
        let (Some(at), Some(axis)) = (&inst.attrs.at, inst.attrs.over.iter().next()) else { return };
        let extent = self.kernel.axis_extent(self.plan, axis).unwrap_or(0);
        let mut facts = self.facts(&[Copy::First]);
        let inside = facts.linear(at, Copy::First).is_some_and(|x| {
            let last = x.times(-1).and_then(|m| m.add_constant(i128::from(extent) - 1));
            facts.proves_ge0(&x) && last.is_some_and(|l| facts.proves_ge0(&l))
        });
        let text = self.text(at);
        self.check(inside, format!("position `{text}` is not shown to lie in 0..{extent}"));
    }

    /// No two grid points (`store`, exclusive `accum`) and no two elements of a tile (`store`, `table_set`) meet in one place.
    pub(super) fn injective(&mut self, inst: &Inst) {
        let Some(access) = &inst.attrs.access else { return };
        let guard = &inst.attrs.guard;
        let exclusive = inst.op == OpCode::Accum && inst.attrs.mode == Some(AccumMode::Exclusive);
        let mut facts = self.facts(&[]);
        if inst.op == OpCode::Store || exclusive {
            let mut left: Vec<_> = self.kernel.grid.iter().map(|g| g.var).collect();
            loop {
                let before = left.len();
                facts = self.two(access, guard, &facts);
                left.retain(|var| {
                    let equal = self.shown_equal(&mut facts, &Expr::from(*var));
                    if equal {
                        facts.shared_vars.push(*var);
                    }
                    !equal
                });
                if left.is_empty() || left.len() == before {
                    break;
                }
            }
            if let Some(var) = left.first() {
                let name = self.kernel.var(*var).map_or("?", |v| &v.name);
                let verb = if exclusive { "contribute" } else { "write" };
                let advice = if exclusive { "use another mode" } else { "use `accum`" };
                let message = format!(
                    "grid points that differ in `{name}` are not shown to {verb} to different places: {advice}"
                );
                return self.error(message);
            }
        }
        if inst.op == OpCode::Accum {
            return;
        }
        facts.all_vars_shared = true;
        let value = inst.args.first().and_then(|v| self.kernel.value_type(*v)).map_or(AxisSet::EMPTY, |t| t.axes);
        let mut left: Vec<_> = value.union(self.kernel.access_axes(access)).iter().collect();
        loop {
            let before = left.len();
            facts = self.two(access, guard, &facts);
            left.retain(|axis| {
                let equal = self.shown_equal(&mut facts, &Expr::from(*axis));
                if equal {
                    facts.shared_axes.push(*axis);
                }
                !equal
            });
            if left.is_empty() || left.len() == before {
                break;
            }
        }
        if let Some(axis) = left.first() {
            let name = self.kernel.axis(*axis).map_or("?", |a| &a.name);
            self.error(format!(
                "elements that differ in `{name}` are not shown to go to different places: use an accumulation"
            ));
        }
    }

    /// Two elements that go to one place, with what `known` says they share.
    fn two(&self, access: &Access, guard: &Guard, known: &Facts<'_>) -> Facts<'_> {
        let mut facts = Facts::new(self.plan, self.kernel, self.defs);
        facts.shared_vars.clone_from(&known.shared_vars);
        facts.shared_axes.clone_from(&known.shared_axes);
        facts.all_vars_shared = known.all_vars_shared;
        for copy in [Copy::First, Copy::Second] {
            for axis in &self.kernel.grid {
                facts.mention(axis.var, copy);
            }
            for l in &self.loops {
                facts.mention(l.index, copy);
            }
            for (atom, holds) in &self.conditions {
                facts.assume(atom, *holds, copy);
            }
            for atom in &guard.atoms {
                facts.assume(atom, true, copy);
            }
        }
        for index in &access.index {
            let pair = facts.linear(index, Copy::First).zip(facts.linear(index, Copy::Second));
            if let Some((a, b)) = pair {
                facts.assume_equal(&a, &b);
            }
        }
        facts
    }

    fn shown_equal(&self, facts: &mut Facts<'_>, expr: &Expr) -> bool {
        // The two are alike, so that one being less is as impossible as it being greater.
        let pair = facts.linear(expr, Copy::First).zip(facts.linear(expr, Copy::Second));
        pair.and_then(|(a, b)| a.minus(&b)).is_some_and(|d| facts.proves_ge0(&d))
    }
}
