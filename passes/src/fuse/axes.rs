//! Tile axes that may become one.

use weft_ir::kernel::{Access, AxisId, AxisSet, Expr, Inst, Kernel, OpCode, Plan, Stmt};

use super::forms::Forms;
use super::ids::Ids;
use super::refs::Ref;
use super::{loops, refs};

/// Are two axes alike: as long, and with the same elements that are not padding (if the second were the first)?
pub(super) fn alike(plan: &Plan, kernel: &Kernel, one: AxisId, other: AxisId) -> bool {
    let (Some(a), Some(b)) = (kernel.axis(one), kernel.axis(other)) else { return false };
    let mut ids = Ids::same(kernel);
    ids.axes[other.index()] = one;
    let mut valid = b.valid.clone();
    ids.guard(&mut valid);
    kernel.axis_extent(plan, one) == kernel.axis_extent(plan, other) && a.valid == valid
}

/// Does a tile statement have all these axes?
pub(super) fn meet(kernel: &Kernel, stmt: &Stmt, axes: AxisSet) -> bool {
    let mut found = false;
    let mut check = |inst: &Inst| {
        let mut all = inst.attrs.over.union(inst.attrs.on);
        let attrs = &inst.attrs;
        all = all.union(kernel.guard_axes(&attrs.guard));
        all = attrs.to.map_or(all, |a| all.union(a.into()));
        all = attrs.at.as_ref().map_or(all, |e| all.union(kernel.expr_axes(e)));
        all = attrs.access.as_ref().map_or(all, |x| all.union(kernel.access_axes(x)));
        for v in inst.args.iter().chain(&inst.results) {
            all = all.union(kernel.value_type(*v).map_or(AxisSet::EMPTY, |t| t.axes));
        }
        found |= all.contains_all(axes);
    };
    refs::each_inst(std::slice::from_ref(stmt), &mut Vec::new(), &mut |inst, _| check(inst));
    refs::in_stmt(kernel, stmt, &mut |r| {
        if let Ref::DefVar(v) = r {
            found |= kernel.var(v).is_some_and(|v| v.axes.contains_all(axes));
        }
    });
    found
}

/// Whole axes of the second that read something exactly as axes of the first do, as those axes.
pub(super) fn common(plan: &Plan, kernel: &Kernel, split: usize, own: usize) -> Ids {
    let mut ids = Ids::same(kernel);
    let Some((before, after)) = kernel.body.split_at_checked(split) else { return ids };
    let mut forms = Forms::new(plan, kernel);
    // Loops over the same elements will become one: seen so, their loads can be compared.
    let mut paired = Ids::same(kernel);
    for l in before.iter().chain(after) {
        let Stmt::Loop(b) = l else { continue };
        let same = before.iter().take_while(|x| !std::ptr::eq(*x, l)).find_map(|x| match x {
            Stmt::Loop(a) => loops::same_domain(plan, kernel, a, b),
            _ => None,
        });
        if let Some(same) = same
            && after.iter().any(|x| std::ptr::eq(x, l))
        {
            paired.vars[b.index.index()] = same.var(b.index);
            paired.vars[b.pos.index()] = same.var(b.pos);
            b.axis.into_iter().for_each(|y| paired.axes[y.index()] = same.axis(y));
        }
    }
    let left = loads(before);
    let right: Vec<Access> = loads(after)
        .into_iter()
        .map(|access| {
            let mut access = access.clone();
            paired.access(&mut access);
            access
        })
        .collect();
    let looped = before.iter().chain(after).map(refs::loop_axes).fold(AxisSet::EMPTY, AxisSet::union);
    let mut taken = AxisSet::EMPTY;
    for b in &right {
        for a in &left {
            let Some((x, y)) = only_difference(&mut forms, a, b) else { continue };
            let apart = || !after.iter().any(|s| meet(kernel, s, AxisSet::from_iter([x, y])));
            let free = !looped.contains(x) && !looped.contains(y) && x.index() < own && y.index() >= own;
            if free && !taken.contains(x) && !taken.contains(y) && alike(plan, kernel, x, y) && apart() {
                ids.axes[y.index()] = x;
                taken = taken.union(AxisSet::from_iter([x, y]));
            }
        }
    }
    ids
}

fn loads(stmts: &[Stmt]) -> Vec<&Access> {
    let mut found = Vec::new();
    refs::each_inst(stmts, &mut Vec::new(), &mut |inst: &Inst, _| {
        if inst.op == OpCode::Load {
            found.extend(&inst.attrs.access);
        }
    });
    found
}

/// The one pair of axes in which two accesses to one place differ.
fn only_difference(forms: &mut Forms<'_>, a: &Access, b: &Access) -> Option<(AxisId, AxisId)> {
    if a.place != b.place {
        return None;
    }
    let mut pair = None;
    for (x, y) in a.index.iter().zip(&b.index) {
        let difference = forms.of(x)?.checked_add(&forms.of(y)?, -1)?;
        if difference.as_constant() == Some(0) {
            continue;
        }
        let (mut plus, mut minus) = (None, None);
        for (n, factor) in difference.terms() {
            match (forms.atom(*n)?, factor) {
                (Expr::Axis(a), f) if f > 0 && plus.is_none() => plus = Some((*a, f)),
                (Expr::Axis(a), f) if f < 0 && minus.is_none() => minus = Some((*a, -f)),
                _ => return None,
            }
        }
        let (Some((x, f)), Some((y, g)), 0) = (plus, minus, difference.constant()) else { return None };
        if f != g || pair.is_some_and(|p| p != (x, y)) {
            return None;
        }
        pair = Some((x, y));
    }
    pair
}
