//! Two kernels over one grid that do not depend on each other, as one kernel: loads of the same elements are shared, and loops over
//! the same elements become one loop.

use weft_ir::kernel::verify::verify_kernel;
use weft_ir::kernel::{Access, AxisId, AxisSet, Expr, Inst, Kernel, OpCode, Plan, Stmt, VarId};

use super::forms::Forms;
use super::graft::{alike, graft, matchings};
use super::ids::Ids;
use super::{loops, refs, tidy};

/// The kernels as one, if their grids agree, for each way in which they do.
pub(super) fn fused(plan: &Plan, first: &Kernel, second: &Kernel) -> Vec<Kernel> {
    if first.grid.len() != second.grid.len() {
        return Vec::new();
    }
    matchings(first, second).iter().filter_map(|grid| matched(plan, first, second, grid)).collect()
}

fn matched(plan: &Plan, first: &Kernel, second: &Kernel, grid: &[VarId]) -> Option<Kernel> {
    let (mut kernel, ids) = graft(plan, first, second, grid);
    let split = first.body.len();
    let lanes = (first.lanes, second.lanes.map(|a| ids.axis(a)));
    let mut joint = Ids::same(&kernel);
    // Rows are rows.
    if let (Some(a), Some(b)) = lanes {
        if !alike(plan, &kernel, a, b) {
            return None;
        }
        joint.axes[b.index()] = a;
    }
    kernel.lanes = lanes.0.or(lanes.1);
    joint.apply(&mut kernel);
    let joint = unified(plan, &kernel, split, first.axes.len());
    joint.apply(&mut kernel);
    tidy::share(&mut kernel);
    loops::merge(plan, &mut kernel);
    tidy::sweep(&mut kernel);
    verify_kernel(plan, &kernel).is_ok().then_some(kernel)
}

/// Whole axes of the second that read something exactly as axes of the first do, as those axes.
fn unified(plan: &Plan, kernel: &Kernel, split: usize, own: usize) -> Ids {
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
            let free = !looped.contains(x) && !looped.contains(y) && x.index() < own && y.index() >= own;
            if free && !taken.contains(x) && !taken.contains(y) && alike(plan, kernel, x, y) {
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
