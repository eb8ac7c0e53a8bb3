//! Two kernels over one grid that do not depend on each other, as one kernel: loads of the same elements are shared, and loops over
//! the same elements become one loop.

use weft_ir::kernel::verify::verify_kernel;
use weft_ir::kernel::{Kernel, Plan, VarId};

use super::axes::{alike, common};
use super::graft::{graft, matchings};
use super::ids::Ids;
use super::{loops, tidy};

/// The kernels as one, if their grids agree, for each way in which they do.
pub(super) fn fused(plan: &Plan, first: &Kernel, second: &Kernel) -> Vec<Kernel> {
    if first.grid.len() != second.grid.len() {
        return Vec::new();
    }
    let ways = matchings(plan, first, second, false).into_iter();
    let ways = ways.map(|grid| grid.into_iter().flatten().collect::<Vec<VarId>>());
    ways.filter_map(|grid| matched(plan, first, second, &grid)).collect()
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
    let joint = common(plan, &kernel, split, first.axes.len());
    joint.apply(&mut kernel);
    tidy::share(&mut kernel);
    loops::merge(plan, &mut kernel);
    tidy::sweep(&mut kernel);
    verify_kernel(plan, &kernel).is_ok().then_some(kernel)
}
