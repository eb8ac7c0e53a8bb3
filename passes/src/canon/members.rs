//! Membership in the best `K` as membership in a list.
//!
//! `in_top_k` compares a score with that of rank `K - 1`: `v < z or (z == v and j <= at)`. Where scores depend on the row, each
//! kernel that asks computes them anew, rounded in its own order, and the member of rank `K - 1` itself may drop out. Then what
//! is stored is the list of the best `K` of each row, and to be a member is to stand in it:
//! `1 <= count(r: kth_index(z, r) == j)`. The list is linear in the rows, everybody reads the same one, and a sum over members
//! can walk it. (Scores that do not depend on the row are stored, and compared as they are.)

use super::Canon;
use weft_ir::graph::{AxisId, Error, Extent, Graph, MapFn, NodeId, Op, Role, Scalar};

/// The longest list that is made.
const LONGEST: i64 = 1 << 12;

/// A comparison with the pair of a rank.
struct Membership {
    /// The position of that pair.
    at: NodeId,
    /// The position that is asked about.
    position: NodeId,
    /// How many members there are at most.
    count: i64,
}

impl Canon {
    /// The canonical form of a term of the source in which conditions stand together, if one of them is a membership: a
    /// conjunction, what is guarded, or the comparison alone. Only in the pool is the comparison a membership, so the conditions
    /// of the pool must stand beside it.
    pub(super) fn with_members(
        &mut self,
        from: &Graph,
        id: NodeId,
        memo: &rustc_hash::FxHashMap<NodeId, NodeId>,
    ) -> Result<Option<Vec<NodeId>>, Error> {
        let guards = from.guards(id);
        let together: Vec<NodeId> = match from.op(id) {
            Op::Map(MapFn::And | MapFn::Or) => conditions(from, id),
            _ => guards.iter().flat_map(|&g| conditions(from, g)).collect(),
        };
        let mut found = false;
        let mut all = Vec::new();
        for &n in &together {
            let member = self.ranked(from, n).filter(|m| {
                let known = |g: &NodeId| together.contains(g) || from.constant(*g) == Some(Scalar::Bool(true));
                from.guards(m.at).iter().all(|&g| conditions(from, g).iter().all(known))
            });
            found |= member.is_some();
            all.push(match member {
                Some(m) => self.listed(&m, memo)?,
                None => memo.get(&n).copied().unwrap_or(n),
            });
        }
        if !found {
            return Ok(None);
        }
        let condition = self.all(&all)?;
        if guards.is_empty() {
            return Ok(Some(vec![condition]));
        }
        // One conjunction stands for all guards.
        let holds = self.bool(true)?;
        let mut args = vec![condition];
        args.extend(guards[1..].iter().map(|_| holds));
        args.extend(from.operands(id).iter().map(|a| memo[a]));
        Ok(Some(args))
    }

    /// Is a term of the source the comparison of a score that depends on a row with the pair of a constant rank?
    fn ranked(&self, from: &Graph, id: NodeId) -> Option<Membership> {
        let &Op::Map(MapFn::Or) = from.op(id) else { return None };
        let &[above, tie] = from.args(id) else { return None };
        let (&Op::Map(MapFn::Lt), &Op::Map(MapFn::And)) = (from.op(above), from.op(tie)) else { return None };
        let (&[best, score], &[equal, first]) = (from.args(above), from.args(tie)) else { return None };
        let (&Op::Map(MapFn::Eq), &Op::Map(MapFn::Le)) = (from.op(equal), from.op(first)) else { return None };
        let &[position, at] = from.args(first) else { return None };
        let same = matches!(from.args(equal), [a, b] if (*a, *b) == (score, best) || (*a, *b) == (best, score));
        let (Op::KthValue { axis, guards }, Op::KthIndex { axis: other, guards: others }) =
            (from.op(best), from.op(at))
        else {
            return None;
        };
        let one = same && axis == other && guards == others && from.args(best) == from.args(at);
        let own = from.operands(best).first() == Some(&score) && *from.op(position) == Op::Index(*axis);
        let by_row = from.free(score).iter().any(|a| a != *axis && self.is_long(a));
        let Some(Scalar::Int(rank)) = from.constant(*from.operands(best).get(1)?) else { return None };
        let fits = (0..LONGEST).contains(&rank);
        (one && own && by_row && fits).then_some(Membership { at, position, count: rank + 1 })
    }

    /// The same as a question to the list.
    fn listed(&mut self, m: &Membership, memo: &rustc_hash::FxHashMap<NodeId, NodeId>) -> Result<NodeId, Error> {
        let (at, position) = (memo[&m.at], memo[&m.position]);
        let op = self.g.op(at).clone();
        let rank = self.rank_axis(at, m.count);
        let mut args = self.g.args(at).to_vec();
        let Some(last) = args.last_mut() else { return Ok(at) };
        *last = self.raw(Op::Index(rank), &[])?;
        let entry = self.make(&op, &args)?;
        if let Some(label) = self.g.label(at).map(ToOwned::to_owned) {
            self.g.set_label(entry, &label);
        }
        let here = self.map(MapFn::Eq, &[entry, position])?;
        let one = self.int(1)?;
        let count = self.ein(&[rank], &[here], &[one])?;
        self.map(MapFn::Le, &[one, count])
    }

    /// The axis along which the list of a selection lies, under the name that it has where it is bound.
    fn rank_axis(&mut self, at: NodeId, count: i64) -> AxisId {
        if let Some(&axis) = self.ranks.get(&at) {
            return axis;
        }
        let taken = |c: &Self, name: &str| c.g.domains().iter().any(|d| &*d.name == name);
        let mut name = "rank".to_owned();
        while taken(self, &name) {
            name.push('_');
        }
        let domain = self.g.add_domain(&name, Extent::Const(count), Role::Plain);
        let axis = self.bound_axis(domain, self.depth[at.index()] + 1, 0);
        self.ranks.insert(at, axis);
        axis
    }
}

/// The conditions of a conjunction, in order.
fn conditions(g: &Graph, id: NodeId) -> Vec<NodeId> {
    let mut found = Vec::new();
    let mut pending = vec![id];
    while let Some(n) = pending.pop() {
        match g.op(n) {
            Op::Map(MapFn::And) => pending.extend(g.args(n).iter().rev()),
            _ => found.push(n),
        }
    }
    found
}
