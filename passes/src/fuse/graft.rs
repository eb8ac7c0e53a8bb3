//! Two kernels as one: the code of the second behind the code of the first, at the same grid point.

use rustc_hash::FxHashSet;
use weft_ir::kernel::{Domain, Expr, GridAxis, Kernel, Loop, Plan, Stmt, Var, VarDef, VarId};

use super::ids::Ids;

/// The name, or the name with a number behind it that is not taken.
pub(crate) fn fresh(taken: &mut FxHashSet<String>, name: &str) -> String {
    let mut out = name.to_owned();
    let mut n = 0usize;
    while !taken.insert(out.clone()) {
        n += 1;
        out = format!("{name}_{n}");
    }
    out
}

/// Names that scalars, axes and tables of a kernel may not have.
fn taken(plan: &Plan, kernel: &Kernel) -> FxHashSet<String> {
    let declared = plan.params.iter().map(|p| &p.name).chain(plan.extents.iter().map(|e| &e.name));
    let declared = declared.chain(plan.buffers.iter().map(|b| &b.name));
    let own = kernel.vars.iter().map(|v| &v.name).chain(kernel.axes.iter().map(|a| &a.name));
    declared.chain(own).chain(kernel.scratch.iter().map(|s| &s.name)).cloned().collect()
}

/// A name for a scalar, an axis or a table of a kernel.
pub(super) fn fresh_in(plan: &Plan, kernel: &Kernel, name: &str) -> String {
    fresh(&mut taken(plan, kernel), name)
}

/// `second` behind `first`. `grid` gives for each grid axis of the second the grid variable of the first that it becomes. The ids
/// are those of the first, then those of the second; the returned ones say which of the second's became which.
pub(super) fn graft(plan: &Plan, first: &Kernel, second: &Kernel, grid: &[VarId]) -> (Kernel, Ids) {
    let mut ids = Ids::behind(second, first);
    for (axis, var) in second.grid.iter().zip(grid) {
        ids.vars[axis.var.index()] = *var;
    }
    let mut names = taken(plan, first);
    let mut values: FxHashSet<String> = first.values.iter().map(|v| v.name.clone()).collect();
    let mut out = first.clone();
    // The second with its names made unique and its ids moved, its tables as long as before.
    let mut moved = second.clone();
    for var in &mut moved.vars {
        var.name = fresh(&mut names, &var.name);
    }
    for axis in &mut moved.axes {
        axis.name = fresh(&mut names, &axis.name);
    }
    for table in &mut moved.scratch {
        table.name = fresh(&mut names, &table.name);
    }
    for value in &mut moved.values {
        value.name = fresh(&mut values, &value.name);
    }
    ids.apply(&mut moved);
    out.vars.extend(moved.vars);
    out.axes.extend(moved.axes);
    out.scratch.extend(moved.scratch);
    out.values.extend(moved.values);
    out.body.extend(moved.body);
    out.lanes = first.lanes.or(moved.lanes);
    (out, ids)
}

/// Takes axes off a grid: each becomes a loop around the whole body, the first outermost. Extents are static.
pub(super) fn fold(plan: &Plan, kernel: &mut Kernel, axes: &[GridAxis]) {
    for axis in axes.iter().rev() {
        let name = kernel.var(axis.var).map_or_else(String::new, |v| v.name.clone());
        let name = fresh_in(plan, kernel, &name);
        // The grid variable becomes the loop's index, and everybody reads the position.
        let pos = VarId::new(kernel.vars.len());
        let mut ids = Ids::same(kernel);
        ids.vars[axis.var.index()] = pos;
        kernel.grid.retain(|g| g.var != axis.var);
        ids.apply(kernel);
        kernel.vars.push(Var { name, def: VarDef::Position(Expr::Var(axis.var)), axes: Default::default() });
        if let Some(var) = kernel.vars.get_mut(axis.var.index()) {
            var.def = VarDef::LoopIndex;
        }
        let body = std::mem::take(&mut kernel.body);
        kernel.body = vec![Stmt::Loop(Box::new(Loop {
            index: axis.var,
            pos,
            axis: None,
            domain: Domain::Dense { lo: Expr::Const(0), hi: axis.extent.clone() },
            full: None,
            carried: Vec::new(),
            body,
            yields: Vec::new(),
            results: Vec::new(),
        }))];
    }
}

/// All ways to put the grid of the second on the grid of the first: for each axis of the second a grid variable of the first, all
/// different, of the same extent. Axes of the first may be left over, and axes of the second that have a static extent (`None`),
/// if `partly`. Those that leave least over come first.
pub(super) fn matchings(plan: &Plan, first: &Kernel, second: &Kernel, partly: bool) -> Vec<Vec<Option<VarId>>> {
    /// More than enough: grids have few axes, and few of one extent.
    const MOST: usize = 32;
    let mut found: Vec<Vec<Option<VarId>>> = vec![Vec::new()];
    for axis in &second.grid {
        let mut next = Vec::new();
        for chosen in &found {
            let mut ids = Ids::same(second);
            for (a, v) in second.grid.iter().zip(chosen) {
                if let Some(v) = v {
                    ids.vars[a.var.index()] = *v;
                }
            }
            let mut extent = axis.extent.clone();
            ids.expr(&mut extent);
            let fits = first.grid.iter().filter(|g| g.extent == extent && !chosen.contains(&Some(g.var)));
            let none = (partly && plan.static_value(&axis.extent).is_some()).then_some(None);
            next.extend(fits.map(|g| Some(g.var)).chain(none).map(|v| {
                let mut longer = chosen.clone();
                longer.push(v);
                longer
            }));
        }
        next.truncate(MOST);
        found = next;
    }
    found.sort_by_key(|m| m.iter().filter(|v| v.is_none()).count());
    found
}

/// Does the validity of a tile axis speak of one of these grid axes?
pub(super) fn is_valid_by(kernel: &Kernel, axes: &[GridAxis]) -> bool {
    let mut found = false;
    for atom in kernel.axes.iter().flat_map(|a| &a.valid.atoms) {
        for e in [&atom.lhs, &atom.rhs] {
            e.visit(&mut |e| found |= matches!(e, Expr::Var(v) if axes.iter().any(|g| g.var == *v)));
        }
    }
    found
}
