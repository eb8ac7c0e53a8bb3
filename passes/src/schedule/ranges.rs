//! Loop ranges: guards projected onto the loop's axis over one row tile.
//!
//! For an affine guard `own(J) + rows(t) + c >= 0`, some row of the tile satisfies it iff `own(J) >= -max rows - c`, and all rows do
//! iff `own(J) >= -min rows - c`. Row terms are monotone in t (the row itself, or its quotients by constants), so
//! their extremes over the tile are at its corners t0 and t1 - 1: exact, also for quotients, where a projection over
//! the rationals would lose up to a block. `own` is a multiple of J, or a quotient of J by a constant, which inverts.

use super::emit::Emitter;
use super::{Error, Scheduler};
use rustc_hash::FxHashSet;
use weft_ir::graph::prove::{Form, Var};
use weft_ir::graph::{AxisId, MapFn, NodeId, Op};
use weft_ir::kernel::Expr;

/// Range of a loop's axis, and the part of it where the affine guards hold for all rows.
#[derive(Clone, Debug)]
pub(crate) struct Range {
    pub(crate) lo: Expr,
    pub(crate) hi: Expr,
    pub(crate) full: Option<(Expr, Expr)>,
}

/// One end of a range that one guard implies.
enum End {
    /// `J >= weak` for some row, `J >= strong` for all.
    Low { weak: Expr, strong: Expr },
    /// `J < weak` for some row, `J < strong` for all.
    High { weak: Expr, strong: Expr },
}

/// The positions of an axis that one tile covers: axis, first position, and one past the last that exists.
#[derive(Clone, Debug)]
pub(crate) struct TileSpan {
    pub(crate) axis: AxisId,
    pub(crate) t0: Expr,
    pub(crate) t1: Expr,
}

impl Scheduler {
    /// Does every condition on the loop's positions that the code for these terms and guards will have follow from those guards that
    /// bound the loop? (The `opaque` ones are decided element by element.) Conditions are guards of reductions, and that reads stay
    /// inside their memory. Only then may a `full` range be claimed.
    pub(crate) fn claims_hold(
        &mut self,
        terms: &[NodeId],
        opaque: &[NodeId],
        guards: &[NodeId],
        axis: AxisId,
    ) -> Result<bool, Error> {
        let mut stack: Vec<NodeId> = terms.iter().chain(opaque).chain(guards).copied().collect();
        let mut seen = FxHashSet::default();
        while let Some(n) = stack.pop() {
            if !self.has(n, axis) || !seen.insert(n) {
                continue;
            }
            let args = self.c.g.args(n).to_vec();
            match self.c.g.op(n).clone() {
                Op::Sub { axes } => {
                    for (&a, &p) in axes.iter().zip(&args[1..]) {
                        if self.has(p, axis) && !self.stays_inside(p, a, guards)? {
                            return Ok(false);
                        }
                    }
                }
                op if op.is_reduction() => {
                    let own = self.c.g.guards(n).to_vec();
                    if own.iter().any(|&g| self.has(g, axis) && !self.implied(g, guards)) {
                        return Ok(false);
                    }
                }
                _ => {}
            }
            stack.extend(args);
        }
        Ok(true)
    }

    /// Is a position inside the domain of an axis wherever the guards hold? Data is: its range was checked when it was written.
    fn stays_inside(&mut self, position: NodeId, of: AxisId, guards: &[NodeId]) -> Result<bool, Error> {
        let free =
            matches!(self.c.g.op(position), Op::Index(i) if self.c.g.axis(*i).domain == self.c.g.axis(of).domain);
        if free || self.find(position, |op| matches!(op, Op::Input(_))).is_some() {
            return Ok(true);
        }
        let Some(form) = self.c.int_form(position) else { return Ok(false) };
        let size = self.c.make(&Op::Size(self.c.g.axis(of).domain), &[])?;
        let Some(size) = self.c.int_form(size) else { return Ok(false) };
        let Some(room) = size.checked_add(&form, -1).and_then(|f| f.offset(-1)) else { return Ok(false) };
        let (low, high) = (self.c.at_least_zero(&form)?, self.c.at_least_zero(&room)?);
        let holds = |s: &Self, c: NodeId| s.c.known(c) == Some(true) || s.implied(c, guards);
        Ok(holds(self, low) && holds(self, high))
    }
}

impl Emitter<'_, '_> {
    /// Splits guards into those that bound the loop and those that must be decided element by element.
    pub(crate) fn bounding(&self, guards: &[NodeId], axis: AxisId) -> (Vec<NodeId>, Vec<NodeId>) {
        guards.iter().partition(|&&g| self.ends(g, axis).is_some())
    }

    /// The range of `axis` from `0 .. extent` under guards that bound it.
    pub(crate) fn range(&self, guards: &[NodeId], axis: AxisId, extent: Expr) -> Range {
        let (mut lo, mut hi) = (Expr::Const(0), extent.clone());
        let (mut full_lo, mut full_hi) = (Expr::Const(0), extent);
        for &g in guards {
            for end in self.ends(g, axis).into_iter().flatten() {
                match end {
                    End::Low { weak, strong } => {
                        lo = lo.max(weak);
                        full_lo = full_lo.max(strong);
                    }
                    End::High { weak, strong } => {
                        hi = hi.min(weak);
                        full_hi = full_hi.min(strong);
                    }
                }
            }
        }
        Range { lo, hi, full: Some((full_lo, full_hi)) }
    }

    /// An end for a loop whose positions some guards do not speak of: 0 where one of them holds for no row of the tile, beyond every
    /// extent (positions are i32) where all may. Only for conditions that hold in one interval of rows, as `t == 0` does.
    pub(crate) fn end_by_rows(&self, guards: &[NodeId], axis: AxisId) -> Option<Expr> {
        let mut end: Option<Expr> = None;
        for &g in guards {
            let Some((relation, _)) = self.s.c.comparison(g) else { continue };
            let (term, both) = match relation {
                MapFn::Le => (self.s.c.g.args(g)[1], false),
                MapFn::Eq => (self.s.c.g.args(g)[0], true),
                _ => continue,
            };
            let Some(form) = self.s.form_vars(term) else { continue };
            let rows = |v: &Var| matches!(v, Var::Axis(a) if *a != axis && self.spans.iter().any(|s| s.axis == *a));
            let plain = form.terms().all(|(v, _)| rows(v) || matches!(v, Var::Extent(_)));
            if !plain || !form.terms().any(|(v, _)| rows(v)) {
                continue;
            }
            let mut most: Vec<Expr> = self.extremes(&form).map(|(_, most)| most).into_iter().collect();
            if both {
                most.extend(form.scaled(-1).and_then(|f| self.extremes(&f)).map(|(_, most)| most));
            }
            for most in most {
                let some = (most + 1).max(Expr::Const(0)).min(Expr::Const(1));
                let here = some * i64::from(i32::MAX);
                end = Some(match end {
                    Some(end) => end.min(here),
                    None => here,
                });
            }
        }
        end
    }

    /// Least and largest value of a form over the row tile.
    fn extremes(&self, form: &Form) -> Option<(Expr, Expr)> {
        let (mut least, mut most) = (Expr::Const(form.constant()), Expr::Const(form.constant()));
        for (v, c) in form.terms() {
            let (low, high) = self.corners(v)?;
            most = most + (if c > 0 { high.clone() } else { low.clone() }) * c;
            least = least + (if c > 0 { low } else { high }) * c;
        }
        Some((least, most))
    }

    /// What one guard says about the axis; nothing if it is no interval condition on it.
    fn ends(&self, guard: NodeId, axis: AxisId) -> Option<Vec<End>> {
        let (relation, _) = self.s.c.comparison(guard)?;
        let term = match relation {
            MapFn::Le => self.s.c.g.args(guard)[1],
            MapFn::Eq => self.s.c.g.args(guard)[0],
            _ => return None,
        };
        let form = self.s.form_vars(term)?;
        let mut ends = vec![self.end(&form, axis)?];
        if relation == MapFn::Eq {
            ends.push(self.end(&form.scaled(-1)?, axis)?);
        }
        Some(ends)
    }

    /// `form >= 0` as an end of the range of `axis`.
    fn end(&self, form: &Form, axis: AxisId) -> Option<End> {
        let mentions = |v: &Var| mentions(v, axis);
        let own: Vec<(&Var, i64)> = form.terms().filter(|(v, _)| mentions(v)).collect();
        let &[(own, a)] = own.as_slice() else { return None };
        let (least, most) = self.extremes(&form.checked_add(&Form::var(own.clone()), -a)?)?;
        let zero = Expr::Const(0);
        // own * a + rest >= 0
        let bound = |rest: Expr| if a > 0 { (zero.clone() - rest).ceil_div(a) } else { rest.floor_div(-a) };
        let (weak, strong) = (bound(most), bound(least));
        // own >= bound, or own <= bound; a quotient of J by m inverts to J.
        let (weak, strong) = match own {
            Var::Axis(_) => (weak, strong),
            Var::Quotient(inside, m) => {
                let k = inside.checked_add(&Form::var(Var::Axis(axis)), -1)?.as_constant()?;
                let invert = |b: Expr| if a > 0 { b * *m - k } else { b * *m + (m - 1 - k) };
                (invert(weak), invert(strong))
            }
            _ => return None,
        };
        Some(if a > 0 { End::Low { weak, strong } } else { End::High { weak: weak + 1, strong: strong + 1 } })
    }

    /// Does a guard follow from where the loop starts, for every row?
    pub(crate) fn starts_inside(&self, guard: NodeId, axis: AxisId) -> bool {
        let ends = self.ends(guard, axis).unwrap_or_default();
        let exact = |e: &End| matches!(e, End::Low { weak, strong } if weak == strong);
        !ends.is_empty() && ends.iter().all(exact)
    }

    /// Least and largest value over the row tile of a variable that the loop does not change.
    fn corners(&self, v: &Var) -> Option<(Expr, Expr)> {
        match v {
            Var::Axis(a) if self.spans.iter().any(|s| s.axis == *a) => {
                let span = self.spans.iter().find(|s| s.axis == *a)?;
                Some((span.t0.clone(), span.t1.clone() - 1))
            }
            Var::Axis(a) if self.whole.contains_key(a) => {
                Some((Expr::Const(0), Expr::Const(self.s.static_size(*a) - 1)))
            }
            Var::Axis(a) => {
                // A scalar of the grid or of an outer loop; a tile axis varies, and has no corner here.
                let e = self.positions.get(a)?;
                self.is_scalar(e).then(|| (e.clone(), e.clone()))
            }
            Var::Extent(d) => {
                let e = self.domain_extent(*d);
                Some((e.clone(), e))
            }
            Var::Quotient(inside, m) => {
                let (low, high) = self.extremes(inside)?;
                Some((low.floor_div(*m), high.floor_div(*m)))
            }
            Var::Term(..) => None,
        }
    }
}

fn mentions(v: &Var, axis: AxisId) -> bool {
    match v {
        Var::Axis(a) => *a == axis,
        Var::Quotient(inside, _) => inside.terms().any(|(v, _)| mentions(v, axis)),
        Var::Term(_, at) => at.iter().any(|(_, f)| f.terms().any(|(v, _)| mentions(v, axis))),
        Var::Extent(_) => false,
    }
}
