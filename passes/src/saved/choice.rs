//! What is saved, and what is computed again.
//!
//! Forward's kernels may run again in backward; what backward then still reads of forward is saved. The choice is the set of kernels that
//! run again. It costs their time, and the time in which saved buffers are written; it is found by steps from "none":
//! 1. while a step makes that time less, the best one is taken;
//! 2. while more is saved than may be, the step that costs the least time for a byte that it spares.
//!
//! A step adds a kernel, or a kernel with all that it needs: the rotated key needs the key, which is as large, so that one of the two
//! alone spares nothing. Kernels that decide never run again, nor do those that write a buffer together with others.

use super::{Error, Request, Saved};
use crate::cost::model::{Rates, seconds_at};
use crate::cost::{Extents, Walk};
use crate::fuse::planned_for;
use crate::fuse::refs::Buffers;
use crate::schedule::Scheduled;
use rustc_hash::FxHashSet;
use std::collections::BTreeSet;
use weft_ir::kernel::{BufferId, Plan};

/// The choice.
pub(super) struct Chosen {
    /// Kernels of forward that run again.
    pub(super) again: BTreeSet<usize>,
    /// Saved buffers; does a kernel that decides write it?
    pub(super) saved: Vec<(BufferId, bool)>,
    /// Sizes of all buffers.
    bytes: Vec<Option<u64>>,
    most: Option<u64>,
}

pub(super) fn choose<E: Extents>(
    scheduled: &Scheduled,
    uses: &[Buffers],
    forward: &FxHashSet<usize>,
    request: &Request<E>,
) -> Result<Chosen, Error> {
    let plan = &scheduled.plan;
    let search = Search::new(scheduled, uses, forward, request);
    let mut now = search.cost(BTreeSet::new());
    while let Some(next) =
        search.steps(&now).filter(|s| s.seconds < now.seconds).min_by(|a, b| a.seconds.total_cmp(&b.seconds))
    {
        now = next;
    }
    if let Some(most) = request.most {
        while now.bytes > most {
            let price = |s: &State| (s.seconds - now.seconds) / (now.bytes - s.bytes) as f64;
            let fewer = search.steps(&now).filter(|s| s.bytes < now.bytes);
            let Some(next) = fewer.min_by(|a, b| price(a).total_cmp(&price(b))) else {
                let names = now.saved.iter().filter_map(|&b| plan.buffer(b)).map(|b| format!("`{}`", b.name));
                let what = names.collect::<Vec<_>>().join(", ");
                return Err(Error::TooLittle { least: now.bytes, most, what });
            };
            now = next;
        }
    }
    let decides = |b: &BufferId| search.decides.iter().any(|&k| uses.get(k).is_some_and(|u| u.written.contains(b)));
    let saved = now.saved.iter().map(|b| (*b, decides(b))).collect();
    Ok(Chosen { again: now.again, saved, bytes: search.bytes, most: request.most })
}

/// A choice with what it costs.
struct State {
    again: BTreeSet<usize>,
    saved: BTreeSet<BufferId>,
    seconds: f64,
    bytes: u64,
}

struct Search<'p> {
    uses: &'p [Buffers],
    forward: &'p FxHashSet<usize>,
    /// Of every kernel.
    seconds: Vec<f64>,
    /// Of every buffer.
    bytes: Vec<Option<u64>>,
    /// Kernels that decide.
    decides: FxHashSet<usize>,
    /// Kernels that may run again.
    free: BTreeSet<usize>,
    /// What the caller has.
    given: FxHashSet<BufferId>,
    /// Bytes that are written in a second.
    rate: f64,
}

impl<'p> Search<'p> {
    fn new<E: Extents>(
        scheduled: &Scheduled,
        uses: &'p [Buffers],
        forward: &'p FxHashSet<usize>,
        request: &Request<E>,
    ) -> Self {
        let plan = &scheduled.plan;
        let (target, rates) = (planned_for(), Rates::default());
        let made: FxHashSet<BufferId> = scheduled.decisions.iter().map(|d| d.buffer).collect();
        let decides: FxHashSet<usize> =
            (0..uses.len()).filter(|&k| uses.get(k).is_some_and(|u| !u.written.is_disjoint(&made))).collect();
        let alone = |k: usize| {
            let others = uses.iter().enumerate().filter(|(n, _)| *n != k);
            let mut clash = others.filter(|(_, u)| uses.get(k).is_some_and(|own| !u.written.is_disjoint(&own.written)));
            clash.next().is_none()
        };
        let free = forward.iter().copied().filter(|&k| !decides.contains(&k) && alone(k)).collect();
        let inputs = plan.buffers.iter().enumerate().filter(|(_, b)| b.role.is_given()).map(|(n, _)| BufferId::new(n));
        let given = inputs.chain(scheduled.outputs.iter().take(request.outputs).copied()).collect();
        Self {
            uses,
            forward,
            seconds: plan.kernels.iter().map(|k| seconds_at(plan, k, &target, &rates, &request.extents)).collect(),
            bytes: bytes(plan, &request.extents),
            decides,
            free,
            given,
            rate: rates.far_bytes * f64::from(target.threads.max(1)),
        }
    }

    /// What a choice costs.
    fn cost(&self, again: BTreeSet<usize>) -> State {
        let backward = (0..self.uses.len()).filter(|k| !self.forward.contains(k) || again.contains(k));
        let read: FxHashSet<BufferId> =
            backward.filter_map(|k| self.uses.get(k)).flat_map(|u| u.read.iter().copied()).collect();
        let mut saved = BTreeSet::new();
        for u in self.forward.iter().filter(|k| !again.contains(k)).filter_map(|&k| self.uses.get(k)) {
            saved.extend(u.written.iter().copied().filter(|b| read.contains(b) && !self.given.contains(b)));
        }
        // What has no size at these extents is not cheap.
        let size = |b: &BufferId| self.bytes.get(b.index()).copied().flatten().unwrap_or(u64::MAX);
        let bytes = saved.iter().map(size).fold(0, u64::saturating_add);
        let runs: f64 = again.iter().filter_map(|&k| self.seconds.get(k)).sum();
        State { seconds: runs + bytes as f64 / self.rate, again, saved, bytes }
    }

    /// The choices one step on.
    fn steps<'s>(&'s self, from: &'s State) -> impl Iterator<Item = State> + 's {
        let writes = |k: usize| self.uses.get(k).is_some_and(|u| u.written.iter().any(|b| from.saved.contains(b)));
        let kernels = self.free.iter().copied().filter(move |&k| !from.again.contains(&k) && writes(k));
        let ways = kernels.flat_map(|k| [BTreeSet::from([k]), self.with_needs(k)]);
        ways.map(|added| self.cost(from.again.union(&added).copied().collect()))
    }

    /// A kernel with all of those below it that may run again.
    fn with_needs(&self, kernel: usize) -> BTreeSet<usize> {
        let mut all = BTreeSet::from([kernel]);
        let mut pending = vec![kernel];
        while let Some(k) = pending.pop() {
            let Some(own) = self.uses.get(k) else { continue };
            for &below in &self.free {
                let feeds = self.uses.get(below).is_some_and(|u| !u.written.is_disjoint(&own.read));
                if feeds && all.insert(below) {
                    pending.push(below);
                }
            }
        }
        all
    }
}

/// Sizes of the buffers of a plan.
fn bytes(plan: &Plan, extents: &impl Extents) -> Vec<Option<u64>> {
    let Some(any) = plan.kernels.first() else { return vec![None; plan.buffers.len()] };
    let walk = Walk::new(plan, any, extents);
    let size = |b: &weft_ir::kernel::Buffer| {
        b.dims.iter().try_fold(b.elem.bytes(), |n, d| n.checked_mul(u64::try_from(walk.most(&d.extent)?).ok()?))
    };
    plan.buffers.iter().map(size).collect()
}

impl Chosen {
    fn size(&self, b: BufferId) -> Option<u64> {
        self.bytes.get(b.index()).copied().flatten()
    }

    pub(super) fn list(&self, plan: &Plan) -> Vec<Saved> {
        let one = |&(b, decision): &(BufferId, bool)| {
            let name = plan.buffer(b).map(|b| b.name.clone()).unwrap_or_default();
            Saved { name, bytes: self.size(b), decision }
        };
        self.saved.iter().map(one).collect()
    }

    pub(super) fn notes(&self, plan: &Plan) -> Vec<String> {
        let mut notes = Vec::new();
        for Saved { name, bytes, decision } in self.list(plan) {
            let size = bytes.map_or_else(|| "of unknown size".to_owned(), people);
            notes.push(format!("{name}: saved for backward, {size}{}", if decision { ", a decision" } else { "" }));
        }
        for &k in &self.again {
            if let Some(kernel) = plan.kernels.get(k) {
                notes.push(format!("{}: computed again in backward", kernel.name));
            }
        }
        let all = self.saved.iter().filter_map(|(b, _)| self.size(*b)).fold(0, u64::saturating_add);
        let most = self.most.map_or_else(String::new, |m| format!(" of at most {}", people(m)));
        notes.push(format!("saved for backward: {}{most}", people(all)));
        notes
    }
}

/// Bytes for people.
fn people(bytes: u64) -> String {
    let mut unit = "B";
    let mut n = bytes as f64;
    for next in ["KiB", "MiB", "GiB", "TiB"] {
        if n < 1024.0 {
            break;
        }
        n /= 1024.0;
        unit = next;
    }
    if unit == "B" { format!("{bytes} B") } else { format!("{n:.1} {unit}") }
}
