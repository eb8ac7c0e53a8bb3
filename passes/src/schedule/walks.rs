//! Which terms a kernel computes while it walks a recurrence.
//!
//! A state that is summed away, or used position by position, is never in memory: the kernel that walks the recurrence
//! stores what is made of it. Such a term is a recurrence itself, an elementwise function of one with no more elements,
//! or a reduction over its state ([`Scheduler::is_walk`]). Recurrences that meet in it are walked together, in order of
//! dependence; what does not depend on a state, and a sum over a state that is not walked here, is stored first.
//!
//! A state that is read at other times is *kept*: it is stored, and then read like anything else.

use super::cut::{Memo, Place};
use super::{Error, Scheduler};
use rustc_hash::{FxHashMap, FxHashSet};
use weft_ir::graph::{AxisId, Graph, NodeId, Op, RecId};

/// Recurrences that must be in memory: those that are read at other times, or by one that runs the other way.
pub(super) fn kept(g: &Graph) -> FxHashSet<RecId> {
    let read_elsewhere = |id: NodeId| match g.op(id) {
        Op::Sub { axes } => match *g.op(g.args(id)[0]) {
            Op::Rec(r) if !stays_in_time(g, axes) => Some(r),
            _ => None,
        },
        _ => None,
    };
    let mut kept: FxHashSet<RecId> = g.reachable().into_iter().filter_map(read_elsewhere).collect();
    for id in g.reachable() {
        if let Op::Rec(r) = *g.op(id) {
            kept.extend(recs_below(g, g.args(id)[0]).into_iter().filter(|&x| g.rec(x).reverse != g.rec(r).reverse));
        }
    }
    kept
}

/// The recurrences in a term.
fn recs_below(g: &Graph, id: NodeId) -> Vec<RecId> {
    let (mut found, mut seen, mut stack) = (Vec::new(), FxHashSet::default(), vec![id]);
    while let Some(n) = stack.pop() {
        if seen.insert(n) {
            if let Op::Rec(r) = *g.op(n) {
                found.push(r);
            }
            stack.extend(g.args(n));
        }
    }
    found
}

/// Does a substitution leave time and batch alone?
fn stays_in_time(g: &Graph, axes: &[AxisId]) -> bool {
    axes.iter().all(|&a| g.static_extent(a).is_some())
}

/// What is known of the states in a term.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct States {
    /// It depends on a state at its own position that a kernel can walk for it, or on a previous state.
    live: bool,
    /// It depends on a previous state: only a walk can compute it.
    pub(super) previous: bool,
    /// How many reductions over states are nested in it, if a walk can store it.
    level: Option<u32>,
    /// Whether its states run from the last position to the first; none if some do and some do not.
    reverse: Option<bool>,
    /// All states in it are behind reductions of which none needs to be in one kernel with this term.
    apart: bool,
}

/// The walk that is being formed.
struct Walk {
    root: NodeId,
    walked: Vec<RecId>,
    memo: FxHashMap<NodeId, NodeId>,
    beside: Memo,
}

impl Scheduler {
    /// Is the term stored by a kernel that walks recurrences?
    pub(crate) fn is_walk(&mut self, id: NodeId) -> Result<bool, Error> {
        if matches!(self.c.g.op(id), Op::Rec(_)) {
            return Ok(true);
        }
        let walk = self.c.has_long_reduction(id) && self.states(id)?.level.is_some();
        Ok(walk && self.keeps_no_scale(id)?)
    }

    /// Is its value as good as its mantissa and its scale?
    fn keeps_no_scale(&mut self, id: NodeId) -> Result<bool, Error> {
        let (_, scale) = self.scaled(id)?;
        Ok(scale.is_none_or(|s| self.is_bounded(s)))
    }

    pub(super) fn states(&mut self, id: NodeId) -> Result<States, Error> {
        if let Some(&s) = self.states.get(&id) {
            return Ok(s);
        }
        let s = self.states_of(id)?;
        self.states.insert(id, s);
        Ok(s)
    }

    fn states_of(&mut self, id: NodeId) -> Result<States, Error> {
        let op = self.c.g.op(id).clone();
        let args = self.c.g.args(id).to_vec();
        match &op {
            Op::Rec(r) if self.kept.contains(r) || self.is_shared(id)? => return Ok(States::default()),
            Op::Rec(r) | Op::Prev(r) => {
                let (previous, reverse) = (matches!(op, Op::Prev(_)), Some(self.c.g.rec(*r).reverse));
                let level = (!previous).then_some(0);
                return Ok(States { live: true, previous, level, reverse, apart: false });
            }
            _ => {}
        }
        let mut below = Vec::with_capacity(args.len());
        for &a in &args {
            below.push(self.states(a)?);
        }
        let moved = matches!(&op, Op::Sub { axes } if !stays_in_time(&self.c.g, axes));
        let seen = &below[usize::from(moved)..];
        let live = seen.iter().any(|s| s.live);
        let previous = seen.iter().any(|s| s.previous);
        let mut ways = seen.iter().filter(|s| s.live).map(|s| s.reverse);
        let first = ways.next().flatten();
        let reverse = first.filter(|_| ways.all(|w| w == first));
        // One kernel walks one way.
        let (level, apart) =
            if live && !moved && reverse.is_some() { self.level(&op, id, &args, &below) } else { (None, false) };
        Ok(States { live, previous, level, reverse, apart })
    }

    fn level(&self, op: &Op, id: NodeId, args: &[NodeId], below: &[States]) -> (Option<u32>, bool) {
        const NONE: (Option<u32>, bool) = (None, false);
        let live: Vec<(NodeId, States)> =
            args.iter().copied().zip(below.iter().copied()).filter(|(_, s)| s.live).collect();
        if live.iter().any(|(_, s)| s.level.is_none() && !s.apart) {
            return NONE;
        }
        let level = live.iter().filter_map(|(_, s)| s.level).max();
        let apart = live.iter().any(|(_, s)| s.apart);
        if let Op::Sub { .. } = op {
            // At positions that only the run knows, any of the state may be wanted.
            return if args[1..].iter().all(|&p| self.c.is_data_free(p)) { (level, apart) } else { NONE };
        }
        if args.iter().any(|&a| !self.streamed(a).is_empty()) {
            return NONE;
        }
        let Some(level) = level else { return (None, true) };
        let largest = live.iter().filter(|(_, s)| s.level.is_some()).map(|&(a, _)| self.elements(a)).max();
        let no_larger = largest.is_some_and(|l| self.elements(id) <= l);
        match op {
            Op::Ein { .. } | Op::Reduce { .. } | Op::Arg { .. } if !op.bound().is_empty() => {
                let short = op.bound().iter().all(|&a| self.c.g.static_extent(a).is_some());
                // A reduction of reductions only takes the states' place in memory if it reduces a state itself.
                let own = live.iter().any(|(_, s)| s.level == Some(0));
                match (own, apart) {
                    _ if !short => NONE,
                    (true, false) if no_larger => (Some(1), false),
                    (true, _) => NONE,
                    (false, _) => (None, true),
                }
            }
            Op::Ein { .. } | Op::Map(_) | Op::Cast(_) | Op::Select => {
                // What would lose its scale alone takes what it is multiplied with along.
                let bound = live.iter().any(|&(a, s)| s.level.is_some() && self.has_exp(a));
                if no_larger && (!apart || bound) { (Some(level), false) } else { NONE }
            }
            _ => NONE,
        }
    }

    /// The recurrences that the kernel of `root` walks, those that others read first.
    fn walked(&mut self, root: NodeId) -> Result<Vec<RecId>, Error> {
        let mut order = Vec::new();
        self.walked_from(root, root, true, &mut order, &mut FxHashSet::default())?;
        Ok(order)
    }

    fn walked_from(
        &mut self,
        id: NodeId,
        root: NodeId,
        in_root: bool,
        order: &mut Vec<RecId>,
        seen: &mut FxHashSet<(NodeId, bool)>,
    ) -> Result<(), Error> {
        if !seen.insert((id, in_root)) || (id != root && !self.states(id)?.live) {
            return Ok(());
        }
        // Inside a step, a reduction over another state can be stored first.
        if !in_root && self.c.g.op(id).is_reduction() && !self.states(id)?.previous {
            return Ok(());
        }
        let args = self.c.g.args(id).to_vec();
        if let Op::Rec(r) = *self.c.g.op(id) {
            self.walked_from(args[0], root, false, order, seen)?;
            if !order.contains(&r) {
                order.push(r);
            }
            return Ok(());
        }
        let moved = matches!(self.c.g.op(id), Op::Sub { axes } if !stays_in_time(&self.c.g, axes));
        for &a in &args[usize::from(moved)..] {
            self.walked_from(a, root, in_root, order, seen)?;
        }
        Ok(())
    }

    /// Factors of a product of which one walk can store the product become its read: those with a state in them, and what is
    /// computed for the same elements.
    pub(super) fn join_walks(&mut self, args: &[NodeId], guards: usize, root: NodeId) -> Result<Vec<NodeId>, Error> {
        let (mut joined, mut rest, mut live) = (Vec::new(), Vec::new(), false);
        for &f in &args[guards..] {
            let walk = self.is_walk(f)?;
            live |= walk;
            let beside = !self.states(f)?.live && self.c.is_heavy(f) && self.streamed(f).is_empty();
            if walk || beside { joined.push(f) } else { rest.push(f) }
        }
        if !live || joined.len() < 2 || rest.is_empty() {
            return Ok(args.to_vec());
        }
        let product = self.c.product_of(&joined)?;
        if product == root || !self.is_walk(product)? {
            return Ok(args.to_vec());
        }
        let read = self.stored(product)?;
        Ok(args[..guards].iter().copied().chain([read]).chain(rest).collect())
    }

    // ---- what a walk computes

    /// The term with everything that the walk of `root` does not compute replaced by reads.
    pub(super) fn cut_walk(&mut self, root: NodeId) -> Result<NodeId, Error> {
        let walked = self.walked(root)?;
        let mut walk = Walk { root, walked, memo: FxHashMap::default(), beside: Memo::default() };
        self.cut_walked(root, &mut walk)
    }

    fn cut_walked(&mut self, id: NodeId, w: &mut Walk) -> Result<NodeId, Error> {
        if let Some(&done) = w.memo.get(&id) {
            return Ok(done);
        }
        let free = id != w.root && !self.states(id)?.previous;
        let made = if free && self.is_shared(id)? { self.stored(id)? } else { self.cut_walked_one(id, w)? };
        if free && !self.is_read(made) {
            self.note_computed(id, w.root)?;
        }
        w.memo.insert(id, made);
        Ok(made)
    }

    fn cut_walked_one(&mut self, id: NodeId, w: &mut Walk) -> Result<NodeId, Error> {
        let op = self.c.g.op(id).clone();
        let args = self.c.g.args(id).to_vec();
        let states = self.states(id)?;
        if id != w.root && !states.live {
            return self.cut_beside(id, w);
        }
        match &op {
            Op::Rec(r) if !w.walked.contains(r) => return self.stored(id),
            Op::Sub { axes } => {
                let mut map = Vec::new();
                for (&a, &p) in axes.iter().zip(&args[1..]) {
                    map.push((a, self.cut_walked(p, w)?));
                }
                if !matches!(self.c.g.op(args[0]), Op::Rec(_) | Op::Prev(_)) {
                    let moved = self.c.push_through(args[0], &map)?;
                    return self.cut_walked(moved, w);
                }
                let body = self.cut_walked(args[0], w)?;
                return Ok(self.c.substitute(body, &map)?);
            }
            _ if op.is_reduction() && id != w.root && !states.previous => {
                let mut own = Vec::new();
                self.walked_from(id, id, true, &mut own, &mut FxHashSet::default())?;
                if own.iter().any(|r| !w.walked.contains(r)) {
                    return self.stored(id);
                }
            }
            _ => {}
        }
        let mut new = Vec::with_capacity(args.len());
        for a in args {
            new.push(self.cut_walked(a, w)?);
        }
        Ok(self.c.make(&op, &new)?)
    }

    /// A term without a state in it. It is stored where it is a pass of its own, or where it has fewer axes than what the
    /// walk stores, so that each grid point would compute it again.
    fn cut_beside(&mut self, id: NodeId, w: &mut Walk) -> Result<NodeId, Error> {
        let op = self.c.g.op(id).clone();
        let args = self.c.g.args(id).to_vec();
        let all: Vec<AxisId> = self.c.g.free(w.root).iter().collect();
        let whole = matches!(op, Op::Sub { .. }) || op.is_reduction() || !self.c.is_heavy(id);
        if whole || all.iter().all(|&a| self.has(id, a)) {
            return self.cut_at(id, Place::Inside, w.root, &mut w.beside);
        }
        if self.c.g.dtype(id).is_float() && self.is_no_larger(id, &args) && self.keeps_no_scale(id)? {
            return self.stored(id);
        }
        let mut new = Vec::with_capacity(args.len());
        for a in args {
            new.push(self.cut_beside(a, w)?);
        }
        Ok(self.c.make(&op, &new)?)
    }
}
