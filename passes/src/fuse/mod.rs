//! Fusion: kernels that are better one, made one. From plan to plan; no kernel computes anything twice afterwards that it did not
//! before.
//!
//! Two ways, and one rule for both:
//! 1. **A kernel and its reader** ([`vertical`]). Where a kernel reads what another one has stored, and each of its grid points only
//!    what the same grid point has stored, one kernel does both: the value is passed on in place of the buffer, or through a table
//!    on chip where it is read at other positions of the tile (the partner of a rotation, the sum of a norm). A buffer that
//!    nobody else reads disappears.
//! 2. **Siblings** ([`sibling`]). Kernels over one grid that do not need each other and read the same elements: loads are shared,
//!    loops over one domain become one loop that carries both states.
//!
//! **The rule** ([`cost`]): bytes between memory and grid points at a typical length become fewer, in siblings by a share that matters;
//! what a grid point holds fits half of the second-level cache of a [`Target`]; if the grid of the larger kernel becomes smaller, a
//! share that matters must be saved; and any smaller grid still has two points for each thread. Candidates are taken in the order of the plan until none is left.
//!
//! Whether two kernels *can* be one is decided by the structure of their accesses ([`stored`]) and, in the end, by the verifier: what
//! it cannot prove is not fused. Stored values are passed on as they would have been stored, so a fused plan computes the
//! same as before, to the bit but for the order of sums that lowering chooses.
//!
//! Where things are: `graft` puts two kernels into one, `axes` says which tile axes become one, `loops` merges loops, `tidy` removes
//! what is there twice or for nothing, `ids`, `refs` and `moved` rename and find references, `forms` compares indices, `dead` drops stores that
//! nobody reads.

mod axes;
mod cost;
mod dead;
mod forms;
mod graft;
pub(crate) mod ids;
mod loops;
mod moved;
pub(crate) mod refs;
mod sibling;
mod stored;
mod tidy;
mod vertical;

use rustc_hash::FxHashSet;
use weft_ir::kernel::{BufferId, Kernel, Plan, Role};

use crate::lower::Target;
use crate::schedule::Scheduled;
use cost::Cost;
pub(crate) use graft::fresh;
pub(crate) use moved::move_buffers;
use refs::Buffers;

/// Siblings are made one if this share of what they move is moved no longer: one part in so many.
const SHARE: u64 = 16;
/// The same for a kernel and its reader, if the grid of the larger one becomes smaller.
const FOLDED_SHARE: u64 = 6;
/// Grid points that a thread should have at least, if a fusion makes the grid smaller.
const POINTS: i64 = 2;

/// The machine for which plans are made: the same everywhere, so that equal sources give equal plans.
pub fn planned_for() -> Target {
    Target { threads: 16, ..Target::default() }
}

/// Decides a fusion by name: `first+second`, the names of the kernels as they stand (of a fused pair, the name of the result).
/// `None` leaves it to the cost; a fusion that is not possible does not happen.
pub type Choice<'a> = &'a dyn Fn(&str) -> Option<bool>;

/// Fuses kernels of a scheduled layer. Deterministic. Every decision is added to the notes, with the key under which a
/// [`Choice`] can reverse it.
pub fn fuse(scheduled: &mut Scheduled, target: &Target, choice: Choice<'_>) {
    let Fused { notes, choices, moved } = fuse_plan(&mut scheduled.plan, target, choice);
    scheduled.notes.extend(notes);
    scheduled.choices.fuse.extend(choices);
    let kept = scheduled.decisions.iter_mut().chain(&mut scheduled.scores);
    for buffer in kept.map(|d| &mut d.buffer).chain(&mut scheduled.outputs) {
        if let Some(Some(new)) = moved.get(buffer.index()) {
            *buffer = *new;
        }
    }
}

/// What fusion did to a plan.
#[derive(Clone, Debug)]
pub struct Fused {
    /// A line for each decision.
    pub notes: Vec<String>,
    /// The decisions by key: one kernel, or two.
    pub choices: Vec<(String, bool)>,
    /// Where each buffer is now; none: it is no longer needed.
    pub moved: Vec<Option<BufferId>>,
}

/// Fuses kernels of a plan, which the verifier accepts.
pub fn fuse_plan(plan: &mut Plan, target: &Target, choice: Choice<'_>) -> Fused {
    dead::drop_unread(plan);
    let mut f = Fusion { plan, target, choice, notes: Vec::new(), choices: Vec::new(), refused: FxHashSet::default() };
    while f.step() {}
    let (notes, choices) = (f.notes, f.choices);
    let moved = drop_buffers(plan);
    Fused { notes, choices, moved }
}

struct Fusion<'a> {
    plan: &'a mut Plan,
    target: &'a Target,
    choice: Choice<'a>,
    notes: Vec<String>,
    choices: Vec<(String, bool)>,
    /// Pairs that were looked at, by name and kind of fusion.
    refused: FxHashSet<(String, String, bool)>,
}

impl Fusion<'_> {
    /// Fuses one pair.
    fn step(&mut self) -> bool {
        let buffers: Vec<Buffers> = self.plan.kernels.iter().map(Buffers::of).collect();
        let n = buffers.len();
        for vertical in [true, false] {
            for j in 0..n {
                for i in (0..j).rev() {
                    let (Some(a), Some(b)) = (buffers.get(i), buffers.get(j)) else { continue };
                    let related = match vertical {
                        true => !a.written.is_disjoint(&b.read),
                        false => !a.read.is_disjoint(&b.read) && !a.before(b),
                    };
                    if related && self.pair(&buffers, i, j, vertical) {
                        return true;
                    }
                }
            }
        }
        false
    }

    fn pair(&mut self, buffers: &[Buffers], i: usize, j: usize, vertical: bool) -> bool {
        let Some(late) = between(buffers, i, j) else { return false };
        let (Some(first), Some(second)) = (self.plan.kernels.get(i), self.plan.kernels.get(j)) else { return false };
        let names = (first.name.clone(), second.name.clone());
        if !self.refused.insert((names.0.clone(), names.1.clone(), vertical)) {
            return false;
        }
        let key = format!("{}+{}", names.0, names.1);
        let wanted = (self.choice)(&key);
        if wanted == Some(false) {
            self.notes.push(format!("{key}: two kernels, as chosen"));
            self.choices.push((key, false));
            return false;
        }
        let before = (Cost::of(self.plan, first), Cost::of(self.plan, second));
        let all = before.0.moved.iter().zip(&before.1.moved).map(|(a, b)| a.saturating_add(*b)).collect::<Vec<u64>>();
        let candidates = if vertical {
            let others = buffers.iter().enumerate().filter(|(k, _)| *k != i && *k != j);
            let kept: FxHashSet<BufferId> = others.flat_map(|(_, b)| b.read.iter().copied()).collect();
            vertical::fused(self.plan, first, second, &kept).into_iter().collect()
        } else {
            sibling::fused(self.plan, first, second)
        };
        // Of several ways the one that moves least, the first of equals.
        let costed = candidates.into_iter().map(|k| (Cost::of(self.plan, &k), k));
        let Some((after, mut kernel)) = costed.min_by_key(|(c, _)| c.total()) else { return false };
        let before_total = all.iter().fold(0u64, |a, b| a.saturating_add(*b));
        let saved = before_total.saturating_sub(after.total());
        let capacity = self.target.l2_bytes / 2;
        let fewer = after.points < before.0.points.max(before.1.points);
        // It is the larger kernel that needs its grid.
        let larger = if before.0.total() > before.1.total() { &before.0 } else { &before.1 };
        let enough = match (vertical, after.points < larger.points) {
            (true, false) => 1,
            (true, true) => before_total / FOLDED_SHARE,
            (false, _) => before_total / SHARE,
        };
        if wanted.is_none() {
            if saved < enough.max(1) {
                return false;
            }
            if after.held > capacity {
                let (held, most) = (after.held >> 10, capacity >> 10);
                self.notes.push(format!("{key}: two kernels: one would hold {held} KiB of {most}"));
                self.choices.push((key, false));
                return false;
            }
            if fewer && after.points < POINTS * i64::from(self.target.threads) {
                self.notes.push(format!("{key}: two kernels: one would have {} grid points", after.points));
                self.choices.push((key, false));
                return false;
            }
        }
        let spared = cost::spared(&all, &after.moved);
        let spared: Vec<&str> = spared.iter().filter_map(|b| self.plan.buffer(*b)).map(|b| b.name.as_str()).collect();
        let percent = saved.saturating_mul(100) / before_total.max(1);
        self.notes.push(format!("{key}: one kernel: moves {percent} % less ({})", spared.join(", ")));
        self.choices.push((key, true));
        if !vertical {
            kernel.name = self.joint_name(&names.0, &names.1);
        }
        self.replace(i, j, &late, kernel);
        true
    }

    /// A name for two kernels: both, while that is not too long.
    fn joint_name(&self, first: &str, second: &str) -> String {
        const LONGEST: usize = 24;
        let both = format!("{first}_{second}");
        let name = if both.len() <= LONGEST { both } else { first.to_owned() };
        let others = self.plan.kernels.iter().map(|k| &k.name).filter(|k| *k != first && *k != second);
        fresh(&mut others.cloned().collect(), &name)
    }

    /// Puts a kernel in place of two; `late` are those between them that need the first.
    fn replace(&mut self, i: usize, j: usize, late: &[usize], kernel: Kernel) {
        let (a, b) = (self.plan.kernels.get(i), self.plan.kernels.get(j));
        let names: Vec<String> = a.into_iter().chain(b).chain([&kernel]).map(|k| k.name.clone()).collect();
        self.refused.retain(|(a, b, _)| !names.contains(a) && !names.contains(b));
        let mut early = Vec::new();
        let mut behind = vec![kernel];
        for (n, k) in self.plan.kernels.drain(i..=j).enumerate() {
            match n + i {
                n if n == i || n == j => {}
                n if late.contains(&n) => behind.push(k),
                _ => early.push(k),
            }
        }
        early.extend(behind);
        self.plan.kernels.splice(i..i, early);
    }
}

/// Kernels between two that need the first; `None` if the second needs one of them.
fn between(buffers: &[Buffers], i: usize, j: usize) -> Option<Vec<usize>> {
    let mut late = vec![i];
    for n in i + 1..j {
        let b = buffers.get(n)?;
        if late.iter().any(|&l| buffers.get(l).is_some_and(|x| x.before(b))) {
            late.push(n);
        }
    }
    late.retain(|&l| l != i);
    let second = buffers.get(j)?;
    let free = late.iter().all(|&l| buffers.get(l).is_some_and(|x| !x.before(second)));
    free.then_some(late)
}

/// Removes buffers that no kernel mentions, but for what the caller gives or gets.
fn drop_buffers(plan: &mut Plan) -> Vec<Option<BufferId>> {
    let mut used = FxHashSet::default();
    for kernel in &plan.kernels {
        let b = Buffers::of(kernel);
        used.extend(b.read.union(&b.written).copied());
    }
    let mut moved = Vec::new();
    let mut kept = Vec::new();
    for (n, buffer) in std::mem::take(&mut plan.buffers).into_iter().enumerate() {
        let keep = buffer.role != Role::Temp || used.contains(&BufferId::new(n));
        moved.push(keep.then(|| BufferId::new(kept.len())));
        kept.extend(keep.then_some(buffer));
    }
    plan.buffers = kept;
    plan.kernels.iter_mut().for_each(|k| move_buffers(k, &moved));
    moved
}
