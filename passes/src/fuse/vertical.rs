//! A kernel and one that reads what it stores, as one kernel.
//!
//! Possible where every read is of elements that the same grid point has stored. What is read at exactly the tile's positions is
//! the value itself; what is read at other positions of the tile goes through a table on chip. Axes that only one of the grids has
//! are *folded*: they become loops, whose blocks fill the table, or read it. The verifier decides: indices into tables
//! must be shown to be in range, and padding must not reach a result.

use rustc_hash::{FxHashMap, FxHashSet};
use weft_ir::kernel::verify::verify_kernel;
use weft_ir::kernel::{
    Access, AxisId, AxisSet, BufferId, Expr, Inst, Kernel, OpCode, Place, Plan, Role, Scratch, ScratchId, Stmt,
    ValueId, VarDef, VarId,
};
use weft_ir::linear::Lin;

use super::axes::{alike, common, meet};
use super::forms::Forms;
use super::graft::{fold, fresh_in, graft, is_valid_by, matchings};
use super::ids::Ids;
use super::refs::{self, Ref};
use super::stored::{Stored, at_least_zero, stored};
use super::{loops, tidy};

/// The two kernels as one, if they can be; `kept` are the buffers that others read.
pub(super) fn fused(plan: &Plan, producer: &Kernel, reader: &Kernel, kept: &FxHashSet<BufferId>) -> Option<Kernel> {
    let buffers = exchanged(producer, reader)?;
    let ways = matchings(plan, producer, reader, true);
    ways.iter().find_map(|grid| matched(plan, producer, reader, grid, &buffers, kept))
}

fn matched(
    plan: &Plan,
    producer: &Kernel,
    reader: &Kernel,
    grid: &[Option<VarId>],
    buffers: &[BufferId],
    kept: &FxHashSet<BufferId>,
) -> Option<Kernel> {
    // What only one of the grids has becomes loops.
    let rest: Vec<_> = producer.grid.iter().filter(|g| !grid.contains(&Some(g.var))).cloned().collect();
    let more: Vec<_> = reader.grid.iter().zip(grid).filter(|(_, v)| v.is_none()).map(|(g, _)| g.clone()).collect();
    let mut folded = Vec::new();
    for axis in &rest {
        folded.push((axis.var, plan.static_value(&axis.extent)?));
    }
    if is_valid_by(producer, &rest) || is_valid_by(reader, &more) {
        return None;
    }
    let (mut first, mut second) = (producer.clone(), reader.clone());
    fold(plan, &mut first, &rest);
    fold(plan, &mut second, &more);
    let grid: Vec<VarId> = grid.iter().copied().flatten().collect();
    let (mut kernel, ids) = graft(plan, &first, &second, &grid);
    kernel.name.clone_from(&reader.name);
    let split = first.body.len();
    let joint = unified(plan, &kernel, split, buffers, &folded)?;
    joint.apply(&mut kernel);
    let shared = common(plan, &kernel, split, first.axes.len());
    shared.apply(&mut kernel);
    let named = |a| shared.axis(joint.axis(a));
    // One axis fills lanes.
    let lanes = (first.lanes.map(named), second.lanes.map(|a| named(ids.axis(a))));
    kernel.lanes = match lanes {
        (Some(a), Some(b)) if a != b => return None,
        (a, b) => a.or(b),
    };
    [true, false].into_iter().find_map(|forward| {
        let mut kernel = connected(plan, &kernel, split, buffers, &folded, kept, forward)?;
        tidy::share(&mut kernel);
        loops::merge(plan, &mut kernel);
        tidy::sweep(&mut kernel);
        verify_kernel(plan, &kernel).is_ok().then_some(kernel)
    })
}

/// The buffers that the one stores and the other reads, all of them by loads of tiles.
fn exchanged(producer: &Kernel, reader: &Kernel) -> Option<Vec<BufferId>> {
    let (stores, reads) = (refs::Buffers::of(producer), refs::Buffers::of(reader));
    let apart = reads.written.is_disjoint(&stores.read) && reads.written.is_disjoint(&stores.written);
    let mut buffers: Vec<BufferId> = stores.written.intersection(&reads.read).copied().collect();
    buffers.sort_unstable();
    let mut mentions = 0usize;
    for stmt in &reader.body {
        refs::in_stmt(reader, stmt, &mut |r| {
            mentions += usize::from(matches!(r, Ref::Read(Place::Buffer(b)) if buffers.contains(&b)));
        });
    }
    let mut tiles = 0usize;
    refs::each_inst(&reader.body, &mut Vec::new(), &mut |inst, _| {
        tiles += usize::from(load_of(inst, &buffers).is_some());
    });
    (apart && !buffers.is_empty() && tiles == mentions).then_some(buffers)
}

fn load_of(inst: &Inst, buffers: &[BufferId]) -> Option<BufferId> {
    match inst.attrs.access.as_ref()?.place {
        Place::Buffer(b) if inst.op == OpCode::Load && buffers.contains(&b) => Some(b),
        _ => None,
    }
}

/// Index of a load in each dimension, counted from what the grid point has stored.
fn offsets(forms: &mut Forms<'_>, stored: &Stored, load: &Inst) -> Option<Vec<Lin<usize>>> {
    let index = &load.attrs.access.as_ref()?.index;
    index.iter().zip(&stored.dims).map(|(e, dim)| forms.of(e)?.checked_add(&dim.base, -1)).collect()
}

fn axis_of(forms: &Forms<'_>, form: &Lin<usize>) -> Option<AxisId> {
    match forms.atom(*form.as_var()?)? {
        Expr::Axis(a) => Some(*a),
        _ => None,
    }
}

/// Axes of the reader that run over a stored tile as an axis of the producer does, as that axis.
fn unified(plan: &Plan, kernel: &Kernel, split: usize, buffers: &[BufferId], folded: &[(VarId, i64)]) -> Option<Ids> {
    let (before, after) = kernel.body.split_at_checked(split)?;
    let mut forms = Forms::new(plan, kernel);
    let mut known = FxHashMap::default();
    let mut own = AxisSet::EMPTY;
    for &b in buffers {
        let s = stored(plan, kernel, before, b, folded, &mut forms)?;
        own = own.union(kernel.access_axes(s.inst.attrs.access.as_ref()?));
        known.insert(b, s);
    }
    let mut loads = Vec::new();
    let mut looped = AxisSet::EMPTY;
    for stmt in after {
        looped = looped.union(refs::loop_axes(stmt));
    }
    refs::each_inst(after, &mut Vec::new(), &mut |inst, _| {
        if let Some(b) = load_of(inst, buffers) {
            loads.push((b, inst));
        }
    });
    let mut ids = Ids::same(kernel);
    let mut pairs: Vec<(AxisId, AxisId)> = Vec::new();
    for (b, load) in loads {
        let s = known.get(&b)?;
        for (offset, dim) in offsets(&mut forms, s, load)?.iter().zip(&s.dims) {
            let (Some(a), Some(c)) = (dim.axis, axis_of(&forms, offset)) else { continue };
            if own.contains(c) || looped.contains(c) || pairs.iter().any(|(x, _)| *x == c) || !alike(plan, kernel, a, c)
            {
                continue;
            }
            // Two axes may become one if no statement has both.
            let apart = |x: AxisId| !after.iter().any(|s| meet(kernel, s, AxisSet::from_iter([x, c])));
            if pairs.iter().all(|&(x, y)| y != a || apart(x)) {
                pairs.push((c, a));
                ids.axes[c.index()] = a;
            }
        }
    }
    Some(ids)
}

/// What stands in place of a load.
enum Instead {
    /// The stored value.
    Value(ValueId),
    /// The stored value over more axes, or a read of a table.
    Inst(Box<Inst>),
}

/// Replaces the reads of buffers by what the producer computed.
fn connected(
    plan: &Plan,
    kernel: &Kernel,
    split: usize,
    buffers: &[BufferId],
    folded: &[(VarId, i64)],
    kept: &FxHashSet<BufferId>,
    forward: bool,
) -> Option<Kernel> {
    let (before, after) = kernel.body.split_at_checked(split)?;
    let mut forms = Forms::new(plan, kernel);
    let mut out = kernel.clone();
    let mut instead: FxHashMap<ValueId, Instead> = FxHashMap::default();
    let mut tables: FxHashMap<BufferId, Inst> = FxHashMap::default();
    for &b in buffers {
        let s = stored(plan, kernel, before, b, folded, &mut forms)?;
        let value = *s.inst.args.first()?;
        let mut loads = Vec::new();
        refs::each_inst(after, &mut Vec::new(), &mut |inst, _| {
            if load_of(inst, &[b]).is_some() {
                loads.push(inst);
            }
        });
        for load in loads {
            let result = *load.results.first()?;
            let at = offsets(&mut forms, &s, load)?;
            // Outside the tile lies what another grid point has stored.
            let alone = at.iter().zip(&s.dims).all(|(o, d)| d.local != Lin::default() || o.as_constant() == Some(0));
            if !alone {
                return None;
            }
            let exact = forward && folded.is_empty() && at.iter().zip(&s.dims).all(|(o, d)| *o == d.local);
            if exact && is_redundant(plan, kernel, &mut forms, load) {
                let (have, want) = (kernel.value_type(value)?, kernel.value_type(result)?);
                if have == want {
                    instead.insert(result, Instead::Value(value));
                    continue;
                }
                if have.elem == want.elem && want.axes.contains_all(have.axes) {
                    let mut expand = Inst { op: OpCode::Expand, args: [value].into_iter().collect(), ..load.clone() };
                    expand.attrs = Default::default();
                    expand.attrs.on = want.axes.minus(have.axes);
                    instead.insert(result, Instead::Inst(Box::new(expand)));
                    continue;
                }
            }
            let order = table_order(kernel, &s);
            if order.is_empty() {
                return None;
            }
            let table = match tables.get(&b).and_then(|set| set.attrs.access.as_ref()) {
                Some(access) => access.place,
                None => {
                    let name = fresh_in(plan, &out, &format!("{}_tile", plan.buffer(b)?.name));
                    let dims = order.iter().map(|&k| s.dims.get(k).map(|d| Expr::Const(d.extent)));
                    let dims = dims.collect::<Option<Vec<Expr>>>()?;
                    out.scratch.push(Scratch { name, elem: plan.buffer(b)?.elem, dims, init: None });
                    let place = Place::Scratch(ScratchId::new(out.scratch.len() - 1));
                    let mut set = s.inst.clone();
                    let index = order.iter().filter_map(|&k| Some(forms.expr(&s.dims.get(k)?.local))).collect();
                    set.op = OpCode::TableSet;
                    set.attrs.access = Some(Access { place, index });
                    tables.insert(b, set);
                    place
                }
            };
            let index = order.iter().filter_map(|&k| at.get(k)).map(|form| forms.expr(form)).collect();
            let mut read = load.clone();
            read.op = OpCode::TableRead;
            read.attrs.access = Some(Access { place: table, index });
            instead.insert(result, Instead::Inst(Box::new(read)));
        }
    }
    let mut body = std::mem::take(&mut out.body);
    let mut second = body.split_off(split);
    set_tables(&mut body, buffers, &tables, &|b| {
        kept.contains(&b) || plan.buffer(b).is_none_or(|x| x.role != Role::Temp)
    });
    let mut ids = Ids::same(kernel);
    replace(&mut second, &mut instead, &mut ids);
    body.extend(second);
    out.body = body;
    ids.apply(&mut out);
    Some(out)
}

/// Dimensions of a table: those in which the tile extends, the lanes axis last, so that vectors lie together.
fn table_order(kernel: &Kernel, s: &Stored) -> Vec<usize> {
    let mut order: Vec<usize> = (0..s.dims.len()).filter(|&k| s.dims[k].local != Lin::default()).collect();
    order.sort_by_key(|&k| s.dims[k].axis.is_some() && s.dims[k].axis == kernel.lanes);
    order
}

/// Is a load's guard true at all elements that are not padding?
fn is_redundant(plan: &Plan, kernel: &Kernel, forms: &mut Forms<'_>, load: &Inst) -> bool {
    let Some(access) = &load.attrs.access else { return false };
    let mut valid = Vec::new();
    for axis in kernel.access_axes(access).iter().filter_map(|a| kernel.axis(a)) {
        valid.extend(axis.valid.atoms.iter().filter_map(|a| at_least_zero(forms, a)));
    }
    load.attrs.guard.opaque.is_empty()
        && load.attrs.guard.atoms.iter().all(|atom| {
            at_least_zero(forms, atom)
                .is_some_and(|form| valid.contains(&form) || least(plan, kernel, forms, &form).is_some_and(|n| n >= 0))
        })
}

/// A lower bound of a form over tile axes and grid axes of static extent.
fn least(plan: &Plan, kernel: &Kernel, forms: &Forms<'_>, form: &Lin<usize>) -> Option<i64> {
    let mut sum = form.constant();
    for (n, factor) in form.terms() {
        let last = match forms.atom(*n)? {
            Expr::Axis(a) => kernel.axis_extent(plan, *a)?,
            Expr::Var(v) if kernel.var(*v)?.def == VarDef::Grid => {
                plan.static_value(&kernel.grid.iter().find(|g| g.var == *v)?.extent)?
            }
            _ => return None,
        };
        sum = sum.checked_add(factor.min(0).checked_mul(last.checked_sub(1)?)?)?;
    }
    Some(sum)
}

/// Writes tables behind the stores, and drops stores that nobody reads.
fn set_tables(
    stmts: &mut Vec<Stmt>,
    buffers: &[BufferId],
    tables: &FxHashMap<BufferId, Inst>,
    kept: &dyn Fn(BufferId) -> bool,
) {
    let old = std::mem::take(stmts);
    for mut stmt in old {
        let target = match &mut stmt {
            Stmt::Inst(inst) if inst.op == OpCode::Store => match inst.attrs.access.as_ref().map(|a| a.place) {
                Some(Place::Buffer(b)) if buffers.contains(&b) => Some(b),
                _ => None,
            },
            Stmt::Loop(l) => {
                set_tables(&mut l.body, buffers, tables, kept);
                None
            }
            _ => None,
        };
        if target.is_none_or(kept) {
            stmts.push(stmt);
        }
        stmts.extend(target.and_then(|b| tables.get(&b)).map(|set| Stmt::Inst(Box::new(set.clone()))));
    }
}

fn replace(stmts: &mut Vec<Stmt>, instead: &mut FxHashMap<ValueId, Instead>, ids: &mut Ids) {
    stmts.retain_mut(|stmt| match stmt {
        Stmt::Let(_) => true,
        Stmt::Inst(inst) => match inst.results.first().and_then(|r| instead.remove(r)) {
            None => true,
            Some(Instead::Value(v)) => {
                ids.values[inst.results[0].index()] = v;
                false
            }
            Some(Instead::Inst(new)) => {
                *inst = new;
                true
            }
        },
        Stmt::Loop(l) => {
            replace(&mut l.body, instead, ids);
            true
        }
        Stmt::While(w) => {
            replace(&mut w.body, instead, ids);
            true
        }
        Stmt::If(i) => {
            replace(&mut i.then_body, instead, ids);
            replace(&mut i.else_body, instead, ids);
            true
        }
    });
}
