//! What a kernel stores into a buffer, as seen from its grid point: which elements a tile covers, and where in the tile an element of
//! the buffer lies.

use weft_ir::kernel::{AxisId, BufferId, Cmp, Expr, Inst, Kernel, OpCode, Place, Plan, Stmt, VarDef, VarId};
use weft_ir::linear::Lin;

use super::forms::Forms;

/// One dimension of a stored buffer.
#[derive(Clone, Debug)]
pub(super) struct DimTile {
    /// First index that the grid point covers: over grid variables and extents only.
    pub(super) base: Lin<usize>,
    /// Index in the tile at which the store stands: a tile axis, a folded grid axis, both or neither.
    pub(super) local: Lin<usize>,
    /// The tile axis, if it alone is the index.
    pub(super) axis: Option<AxisId>,
    /// Number of indices that the grid point covers.
    pub(super) extent: i64,
}

/// The only store into a buffer.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    pub(super) inst: Inst,
    pub(super) dims: Vec<DimTile>,
}

/// An atom of a guard as a form that is >= 0; `None` for other comparisons.
pub(super) fn at_least_zero(forms: &mut Forms<'_>, atom: &weft_ir::kernel::Atom) -> Option<Lin<usize>> {
    let (a, b) = (forms.of(&atom.lhs)?, forms.of(&atom.rhs)?);
    match atom.cmp {
        Cmp::Lt => b.checked_add(&a, -1)?.offset(-1),
        Cmp::Le => b.checked_add(&a, -1),
        Cmp::Gt => a.checked_add(&b, -1)?.offset(-1),
        Cmp::Ge => a.checked_add(&b, -1),
        Cmp::Eq | Cmp::Ne => None,
    }
}

/// The store into `buffer`, where there is one, in the loops `folded` (folded grid axes, with their extents) and no others, whose
/// guard says no more than that indices are in range, so that every grid point stores all of its tile that exists.
pub(super) fn stored(
    plan: &Plan,
    kernel: &Kernel,
    stmts: &[Stmt],
    buffer: BufferId,
    folded: &[(VarId, i64)],
    forms: &mut Forms<'_>,
) -> Option<Stored> {
    let mut found = Vec::new();
    collect(stmts, folded, true, Place::Buffer(buffer), &mut found);
    let [(inst, true)] = found[..] else { return None };
    if inst.op != OpCode::Store || !inst.attrs.guard.opaque.is_empty() {
        return None;
    }
    let access = inst.attrs.access.as_ref()?;
    let mut dims = Vec::new();
    let mut seen = Vec::new();
    for index in &access.index {
        let dim = dim_tile(plan, kernel, &forms.of(index)?, folded, forms)?;
        for (atom, _) in dim.local.terms() {
            if seen.contains(atom) {
                return None;
            }
            seen.push(*atom);
        }
        dims.push(dim);
    }
    // Every element of the value has a place of its own.
    let value = kernel.value_type(*inst.args.first()?)?;
    if !kernel.access_axes(access).contains_all(value.axes) {
        return None;
    }
    let mut in_range = Vec::new();
    for (k, dim) in plan.buffer(buffer)?.dims.iter().enumerate() {
        let extent = dim.extent.substitute(&|e| match e {
            Expr::Dim(d) => access.index.get(*d as usize).cloned(),
            _ => None,
        });
        let at = forms.of(access.index.get(k)?)?;
        in_range.push(forms.of(&extent)?.checked_add(&at, -1)?.offset(-1)?);
        in_range.push(at);
    }
    for axis in kernel.access_axes(access).iter() {
        let valid = &kernel.axis(axis)?.valid;
        in_range.extend(valid.atoms.iter().filter_map(|a| at_least_zero(forms, a)));
    }
    for atom in &inst.attrs.guard.atoms {
        let form = at_least_zero(forms, atom)?;
        if !in_range.contains(&form) {
            return None;
        }
    }
    Some(Stored { inst: inst.clone(), dims })
}

/// Statements that write a place, and whether they stand in folded loops only.
fn collect<'s>(
    stmts: &'s [Stmt],
    folded: &[(VarId, i64)],
    plain: bool,
    place: Place,
    found: &mut Vec<(&'s Inst, bool)>,
) {
    for stmt in stmts {
        match stmt {
            Stmt::Let(_) => {}
            Stmt::Inst(inst) => {
                let here = inst.attrs.access.as_ref().is_some_and(|a| a.place == place);
                if here {
                    found.push((inst, plain));
                }
            }
            Stmt::Loop(l) => {
                let is_folded = folded.iter().any(|(v, _)| *v == l.index);
                collect(&l.body, folded, plain && is_folded, place, found);
            }
            Stmt::While(w) => collect(&w.body, folded, false, place, found),
            Stmt::If(i) => {
                collect(&i.then_body, folded, false, place, found);
                collect(&i.else_body, folded, false, place, found);
            }
        }
    }
}

fn dim_tile(
    plan: &Plan,
    kernel: &Kernel,
    index: &Lin<usize>,
    folded: &[(VarId, i64)],
    forms: &Forms<'_>,
) -> Option<DimTile> {
    let (mut axis, mut outer) = (None, None);
    let mut local = Lin::default();
    let mut base = index.clone();
    for (n, factor) in index.terms() {
        match forms.atom(*n)? {
            Expr::Axis(a) if factor == 1 && axis.is_none() => axis = Some(*a),
            Expr::Axis(_) => return None,
            Expr::Var(v) if folded.iter().any(|(f, _)| f == v) => {
                if outer.is_some() {
                    return None;
                }
                outer = Some((factor, folded.iter().find(|(f, _)| f == v)?.1));
            }
            atom if is_of_the_grid(kernel, atom) => continue,
            _ => return None,
        }
        let term = Lin::var(*n).scaled(factor)?;
        base = base.checked_add(&term, -1)?;
        local = local.checked_add(&term, 1)?;
    }
    let inner = match axis {
        Some(a) => kernel.axis_extent(plan, a)?,
        None => 1,
    };
    let extent = match outer {
        // Blocks that adjoin, so that nothing of the table stays empty.
        Some((factor, count)) if factor == inner => factor.checked_mul(count)?,
        Some(_) => return None,
        None => inner,
    };
    Some(DimTile { base, local, axis: axis.filter(|_| outer.is_none()), extent })
}

/// Is an expression the same for everything that happens at a grid point, and known before it runs?
fn is_of_the_grid(kernel: &Kernel, e: &Expr) -> bool {
    let mut fixed = true;
    e.visit(&mut |e| {
        fixed &= match e {
            Expr::Var(v) => kernel.var(*v).is_some_and(|v| v.def == VarDef::Grid),
            Expr::Axis(_) | Expr::Value(_) | Expr::Dim(_) => false,
            _ => true,
        };
    });
    fixed
}
