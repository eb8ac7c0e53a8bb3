//! Which sums of exponentials share a running maximum.

use super::{Group, Reduction};
use crate::schedule::{Error, Scheduler};
use rustc_hash::{FxHashMap, FxHashSet};
use weft_ir::graph::{AxisId, MapFn, NodeId, Op};

impl Scheduler {
    /// Sums share a running maximum if exponents and guards are equal, or if they are addends of one sum of exponentials. A sum
    /// that something divides by needs a tight maximum, so nothing else joins.
    pub(super) fn group(&mut self, reductions: &mut [Reduction], body: NodeId) -> Result<Vec<Group>, Error> {
        let scaled: Vec<usize> = (0..reductions.len()).filter(|&n| reductions[n].scale.is_some()).collect();
        let mut leader: FxHashMap<usize, usize> = scaled.iter().map(|&n| (n, n)).collect();
        let find = |leader: &FxHashMap<usize, usize>, mut n: usize| {
            while leader[&n] != n {
                n = leader[&n];
            }
            n
        };
        let same = |a: &Reduction, b: &Reduction| {
            a.scale == b.scale && a.guards.len() == b.guards.len() && a.guards.iter().all(|g| b.guards.contains(g))
        };
        for &a in &scaled {
            for &b in &scaled {
                if a < b && same(&reductions[a], &reductions[b]) {
                    let (x, y) = (find(&leader, a), find(&leader, b));
                    leader.insert(y, x);
                }
            }
        }
        for meeting in self.addends(body, reductions) {
            for pair in meeting.windows(2) {
                if let (Some(_), Some(_)) = (leader.get(&pair[0]), leader.get(&pair[1])) {
                    let (x, y) = (find(&leader, pair[0]), find(&leader, pair[1]));
                    leader.insert(y, x);
                }
            }
        }
        let mut groups: Vec<Group> = Vec::new();
        let mut by_leader: FxHashMap<usize, usize> = FxHashMap::default();
        for &n in &scaled {
            let l = find(&leader, n);
            let at = match by_leader.get(&l) {
                Some(&at) => at,
                None => {
                    // The maximum varies over the rows on which exponents and guards depend.
                    let mut axes = Vec::new();
                    for &m in &scaled {
                        if find(&leader, m) == l {
                            let r = &reductions[m];
                            for &x in r.guards.iter().chain(&r.scale) {
                                axes.extend(self.c.g.free(x).iter().filter(|&a| self.has(r.node, a)));
                            }
                        }
                    }
                    axes.sort_unstable();
                    axes.dedup();
                    let dtype = self.c.concrete(weft_ir::DType::Float);
                    let maximum = self.stand_in("max", &axes, dtype)?;
                    groups.push(Group { members: Vec::new(), maximum });
                    by_leader.insert(l, groups.len() - 1);
                    groups.len() - 1
                }
            };
            groups[at].members.push(n);
            reductions[n].group = Some(at);
        }
        for r in reductions.iter_mut() {
            let axes: Vec<AxisId> = self.c.g.free(r.node).iter().collect();
            r.accumulator = Some(self.stand_in("acc", &axes, self.c.g.dtype(r.node))?);
        }
        Ok(groups)
    }

    /// Reductions that meet as addends of one sum.
    pub(super) fn addends(&self, body: NodeId, reductions: &[Reduction]) -> Vec<Vec<usize>> {
        let mut found = Vec::new();
        let mut stack = vec![body];
        let mut seen = FxHashSet::default();
        while let Some(n) = stack.pop() {
            if !seen.insert(n) {
                continue;
            }
            if *self.c.g.op(n) == Op::Map(MapFn::Add) {
                let direct = |&a: &NodeId| {
                    reductions.iter().position(|r| {
                        r.node == a
                            || matches!(self.c.g.op(a), Op::Ein { axes, guards: 0 } if axes.is_empty() && self.c.g.args(a).contains(&r.node))
                    })
                };
                let members: Vec<usize> = self.c.g.args(n).iter().filter_map(direct).collect();
                if members.len() > 1 && members.len() == self.c.g.args(n).len() {
                    found.push(members);
                }
            }
            stack.extend(self.c.g.args(n));
        }
        found
    }
}
