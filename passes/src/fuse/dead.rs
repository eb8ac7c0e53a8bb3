//! Stores that nobody reads.

use super::refs::{Buffers, writes};
use super::tidy;
use rustc_hash::FxHashSet;
use weft_ir::kernel::{BufferId, Place, Plan, Role, Stmt};

/// Drops stores into workspace that no kernel reads, what only they needed, and kernels of which nothing is left.
pub(crate) fn drop_unread(plan: &mut Plan) {
    loop {
        let uses: Vec<Buffers> = plan.kernels.iter().map(Buffers::of).collect();
        let read: FxHashSet<BufferId> = uses.iter().flat_map(|u| u.read.iter().copied()).collect();
        let temp = |b: BufferId| plan.buffer(b).is_some_and(|x| x.role == Role::Temp);
        let dead: FxHashSet<BufferId> =
            uses.iter().flat_map(|u| u.written.iter().copied()).filter(|&b| temp(b) && !read.contains(&b)).collect();
        if dead.is_empty() {
            return;
        }
        for (kernel, _) in plan.kernels.iter_mut().zip(&uses).filter(|(_, u)| !u.written.is_disjoint(&dead)) {
            without(&mut kernel.body, &dead);
            tidy::sweep(kernel);
        }
        plan.kernels.retain(|k| !Buffers::of(k).written.is_empty());
    }
}

fn without(stmts: &mut Vec<Stmt>, dead: &FxHashSet<BufferId>) {
    stmts.retain_mut(|stmt| match stmt {
        Stmt::Inst(inst) => {
            let place = inst.attrs.access.as_ref().map(|a| a.place);
            !(writes(inst.op) && matches!(place, Some(Place::Buffer(b)) if dead.contains(&b)))
        }
        Stmt::Loop(l) => {
            without(&mut l.body, dead);
            true
        }
        Stmt::While(w) => {
            without(&mut w.body, dead);
            true
        }
        Stmt::If(i) => {
            without(&mut i.then_body, dead);
            without(&mut i.else_body, dead);
            true
        }
        Stmt::Let(_) => true,
    });
}
