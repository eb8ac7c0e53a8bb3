//! Some kernels of a plan as a plan of their own.

use crate::fuse::move_buffers;
use crate::fuse::refs::Buffers;
use rustc_hash::FxHashSet;
use weft_ir::kernel::{BufferId, Plan, Role};

/// A part of a plan.
#[derive(Clone, Debug)]
pub struct Part {
    /// The part.
    pub plan: Plan,
    /// For every buffer of the part the buffer of the whole plan that it is.
    pub whole: Vec<BufferId>,
}

impl Part {
    /// Follows what [`crate::fuse::fuse_plan`] did to the buffers of the part.
    pub fn moved(&mut self, moved: &[Option<BufferId>]) {
        let left = self.whole.iter().zip(moved).filter(|(_, m)| m.is_some());
        self.whole = left.map(|(w, _)| *w).collect();
    }
}

/// The plan of the kernels at some positions, with the buffers that they mention, under other roles.
pub(super) fn part(plan: &Plan, what: &str, kernels: &[usize], role: &dyn Fn(BufferId) -> Role) -> Part {
    let mut made =
        Plan { name: format!("{}.{what}", plan.name), buffers: Vec::new(), kernels: Vec::new(), ..plan.clone() };
    made.kernels.extend(kernels.iter().filter_map(|&n| plan.kernels.get(n).cloned()));
    let mut mentioned: FxHashSet<BufferId> = FxHashSet::default();
    for kernel in &made.kernels {
        let Buffers { read, written } = Buffers::of(kernel);
        mentioned.extend(read);
        mentioned.extend(written);
    }
    let (mut whole, mut moved) = (Vec::new(), Vec::new());
    for (n, buffer) in plan.buffers.iter().enumerate() {
        let id = BufferId::new(n);
        moved.push(mentioned.contains(&id).then(|| BufferId::new(whole.len())));
        if mentioned.contains(&id) {
            let mut buffer = buffer.clone();
            buffer.role = role(id);
            if buffer.role.is_given() {
                buffer.init = None;
            }
            made.buffers.push(buffer);
            whole.push(id);
        }
    }
    made.kernels.iter_mut().for_each(|k| move_buffers(k, &moved));
    Part { plan: made, whole }
}
