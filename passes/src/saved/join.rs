//! Forward and backward, one after the other, as one plan.

use super::Part;
use crate::fuse::{fresh, move_buffers};
use crate::schedule::Scheduled;
use rustc_hash::FxHashMap;
use weft_ir::kernel::{Buffer, BufferId, Plan};

/// Replaces the plan of a joint schedule by the parts that were made of it: forward, then backward. What both have of one buffer is one
/// buffer; what backward computes again is another one. Inputs are the first buffers, as in the joint plan.
pub fn join(scheduled: &mut Scheduled, forward: &Part, backward: &Part) {
    let joint = &scheduled.plan;
    let mut made = Plan { buffers: Vec::new(), kernels: Vec::new(), ..joint.clone() };
    let mut names = joint.buffers.iter().map(|b| b.name.clone()).collect();
    // Where the buffers of the joint plan are; where backward has its own, those of forward.
    let mut at: FxHashMap<BufferId, BufferId> = FxHashMap::default();
    let push = |made: &mut Plan, buffer: Buffer| {
        made.buffers.push(buffer);
        BufferId::new(made.buffers.len() - 1)
    };
    for (n, buffer) in joint.buffers.iter().enumerate().filter(|(_, b)| b.role.is_given()) {
        at.insert(BufferId::new(n), push(&mut made, buffer.clone()));
    }
    for (part, is_first) in [(forward, true), (backward, false)] {
        let mut moved = Vec::new();
        for (buffer, &whole) in part.plan.buffers.iter().zip(&part.whole) {
            let shared = at.get(&whole).filter(|_| is_first || buffer.role.is_given());
            let id = match (shared, joint.buffer(whole)) {
                (Some(&id), _) => id,
                (None, Some(own)) => {
                    let mut own = own.clone();
                    if at.contains_key(&whole) {
                        own.role = buffer.role;
                        own.name = fresh(&mut names, &own.name);
                    }
                    push(&mut made, own)
                }
                (None, None) => push(&mut made, buffer.clone()),
            };
            at.entry(whole).or_insert(id);
            moved.push(Some(id));
        }
        for kernel in &part.plan.kernels {
            let mut kernel = kernel.clone();
            move_buffers(&mut kernel, &moved);
            let mut taken = made.kernels.iter().map(|k| k.name.clone()).collect();
            kernel.name = fresh(&mut taken, &kernel.name);
            made.kernels.push(kernel);
        }
    }
    let kept = scheduled.decisions.iter_mut().chain(&mut scheduled.scores);
    for buffer in kept.map(|d| &mut d.buffer).chain(&mut scheduled.outputs) {
        if let Some(&id) = at.get(buffer) {
            *buffer = id;
        }
    }
    scheduled.plan = made;
}
