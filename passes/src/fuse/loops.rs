//! Adjacent loops over one domain become one loop that carries both states, where that lets them share a load.

use rustc_hash::FxHashSet;
use weft_ir::kernel::{Access, Inst, Kernel, Loop, OpCode, Place, Plan, Stmt};

use super::ids::Ids;
use super::refs::{self, Ref};
use super::tidy;

/// Merges loops of a kernel until none can be merged; `share` must have run before, and has run again afterwards.
pub(super) fn merge(plan: &Plan, kernel: &mut Kernel) {
    loop {
        let mut body = std::mem::take(&mut kernel.body);
        let merged = merge_in(plan, kernel, &mut body);
        kernel.body = body;
        match merged {
            None => return,
            Some(ids) => {
                ids.apply(kernel);
                tidy::share(kernel);
            }
        }
    }
}

/// Merges one pair of loops in a list of statements or below; the ids of the second are to be renamed everywhere.
fn merge_in(plan: &Plan, kernel: &Kernel, stmts: &mut Vec<Stmt>) -> Option<Ids> {
    for i in 0..stmts.len() {
        for j in i + 1..stmts.len() {
            let (Some(Stmt::Loop(a)), Some(Stmt::Loop(b))) = (stmts.get(i), stmts.get(j)) else { continue };
            let Some(ids) = same_domain(plan, kernel, a, b) else { continue };
            if !share_a_load(a, b, &ids) {
                continue;
            }
            let Some(late) = dependents(kernel, stmts, i, j) else { continue };
            join(stmts, i, j, &late);
            return Some(ids);
        }
    }
    for stmt in stmts {
        let found = match stmt {
            Stmt::Loop(l) => merge_in(plan, kernel, &mut l.body),
            Stmt::While(w) => merge_in(plan, kernel, &mut w.body),
            Stmt::If(i) => {
                merge_in(plan, kernel, &mut i.then_body).or_else(|| merge_in(plan, kernel, &mut i.else_body))
            }
            _ => None,
        };
        if found.is_some() {
            return found;
        }
    }
    None
}

/// What makes the second loop's index, position and axis those of the first, if they run over the same elements.
pub(super) fn same_domain(plan: &Plan, kernel: &Kernel, a: &Loop, b: &Loop) -> Option<Ids> {
    let mut ids = Ids::same(kernel);
    match (a.axis, b.axis) {
        (None, None) => {}
        (Some(x), Some(y)) if kernel.axis_extent(plan, x) == kernel.axis_extent(plan, y) => ids.axes[y.index()] = x,
        _ => return None,
    }
    ids.vars[b.index.index()] = a.index;
    ids.vars[b.pos.index()] = a.pos;
    (a.domain == b.domain && a.full == b.full).then_some(ids)
}

fn loads(l: &Loop) -> Vec<&Inst> {
    let mut found = Vec::new();
    refs::each_inst(&l.body, &mut Vec::new(), &mut |inst, _| {
        if inst.op == OpCode::Load {
            found.push(inst);
        }
    });
    found
}

fn share_a_load(a: &Loop, b: &Loop, ids: &Ids) -> bool {
    let first: Vec<&Access> = loads(a).iter().filter_map(|i| i.attrs.access.as_ref()).collect();
    loads(b).iter().filter_map(|i| i.attrs.access.clone()).any(|mut access| {
        ids.access(&mut access);
        first.contains(&&access)
    })
}

/// What statements define or write, and what they use or read, buffers and tables included.
#[derive(Default)]
struct Effects {
    uses: FxHashSet<Ref>,
    defines: FxHashSet<Ref>,
    reads: FxHashSet<Place>,
    writes: FxHashSet<Place>,
}

impl Effects {
    fn add(&mut self, kernel: &Kernel, stmt: &Stmt) {
        refs::in_stmt(kernel, stmt, &mut |r| match r {
            Ref::UseVar(_) | Ref::UseValue(_) => {
                self.uses.insert(r);
            }
            Ref::DefVar(v) => {
                self.defines.insert(Ref::UseVar(v));
            }
            Ref::DefValue(v) => {
                self.defines.insert(Ref::UseValue(v));
            }
            Ref::Read(p) => {
                self.reads.insert(p);
            }
            Ref::Write(p) => {
                self.writes.insert(p);
            }
            Ref::Axis(_) => {}
        });
    }
    /// Must `later` stay behind `self`?
    fn before(&self, later: &Self) -> bool {
        !self.defines.is_disjoint(&later.uses)
            || !self.writes.is_disjoint(&later.reads)
            || !self.writes.is_disjoint(&later.writes)
            || !self.reads.is_disjoint(&later.writes)
    }
}

/// Which statements between two depend on the first; `None` if the second does.
fn dependents(kernel: &Kernel, stmts: &[Stmt], i: usize, j: usize) -> Option<Vec<usize>> {
    let effects = |stmt: &Stmt| {
        let mut e = Effects::default();
        e.add(kernel, stmt);
        e
    };
    let mut moved = Effects::default();
    moved.add(kernel, stmts.get(i)?);
    let mut late = Vec::new();
    for (n, stmt) in stmts.iter().enumerate().take(j).skip(i + 1) {
        if moved.before(&effects(stmt)) {
            moved.add(kernel, stmt);
            late.push(n);
        }
    }
    (!moved.before(&effects(stmts.get(j)?))).then_some(late)
}

/// Puts the second loop's body and state into the first, which moves down to where the second was; `late` stay behind it.
fn join(stmts: &mut Vec<Stmt>, i: usize, j: usize, late: &[usize]) {
    let mut early = Vec::new();
    let mut behind = Vec::new();
    let (mut first, mut second) = (None, None);
    for (n, stmt) in stmts.drain(i..=j).enumerate() {
        match (n + i, stmt) {
            (n, Stmt::Loop(l)) if n == i => first = Some(l),
            (n, Stmt::Loop(l)) if n == j => second = Some(l),
            (n, stmt) if late.contains(&n) => behind.push(stmt),
            (_, stmt) => early.push(stmt),
        }
    }
    if let (Some(first), Some(second)) = (&mut first, second) {
        first.carried.extend(second.carried);
        first.body.extend(second.body);
        first.yields.extend(second.yields);
        first.results.extend(second.results);
    }
    let middle = first.map(Stmt::Loop);
    let at = i.min(stmts.len());
    stmts.splice(at..at, early.into_iter().chain(middle).chain(behind));
}
