//! Is a term defined wherever its axes stand, or only behind the guards of its users?

use rustc_hash::{FxHashMap, FxHashSet};
use weft_ir::graph::prove::Prover;
use weft_ir::graph::{Graph, MapFn, NodeId, Op};

/// Why a term may have no finite value at some positions.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
struct Partial {
    /// A function with poles or overflow: `exp`, `inv`, `log`.
    function: bool,
    /// A read that is in range only where some guard holds.
    read: bool,
}

impl Partial {
    fn or(self, other: Self) -> Self {
        Self { function: self.function || other.function, read: self.read || other.read }
    }
}

/// What is known of nodes already asked for.
#[derive(Clone, Default, Debug)]
pub(super) struct Defined {
    known: FxHashMap<NodeId, Partial>,
}

impl Defined {
    /// Is the term defined everywhere? Reductions with guards are taken to hide what is undefined in functions below them: that is
    /// what guards are for.
    pub(super) fn everywhere(&mut self, g: &Graph, id: NodeId) -> bool {
        self.of(g, id) == Partial::default()
    }

    fn of(&mut self, g: &Graph, id: NodeId) -> Partial {
        let mut needed = vec![id];
        while let Some(&n) = needed.last() {
            if self.known.contains_key(&n) {
                needed.pop();
                continue;
            }
            let below: Vec<NodeId> = g.args(n).iter().copied().filter(|a| !self.known.contains_key(a)).collect();
            if below.is_empty() {
                let own = self.own(g, n);
                self.known.insert(n, own);
                needed.pop();
            } else {
                needed.extend(below);
            }
        }
        self.known[&id]
    }

    /// From what is known of the operands.
    fn own(&self, g: &Graph, id: NodeId) -> Partial {
        let below = g.args(id).iter().fold(Partial::default(), |p, a| p.or(self.known[a]));
        match g.op(id) {
            Op::Map(f) => {
                let poles = matches!(
                    f,
                    MapFn::Exp | MapFn::Exp2 | MapFn::Inv | MapFn::Div | MapFn::Log | MapFn::Sqrt | MapFn::Pow
                );
                Partial { function: poles || below.function, ..below }
            }
            Op::Sub { axes } => {
                let prover = Prover::new(g);
                let inside = axes.iter().zip(&g.args(id)[1..]).all(|(&a, &p)| prover.in_range(p, g.axis(a).domain));
                Partial { read: !inside || below.read, ..below }
            }
            Op::Prev(_) => Partial { read: true, function: false },
            // The recurrence guards its own state.
            Op::Rec(_) => Partial::default(),
            op if op.is_reduction() || !g.guards(id).is_empty() => {
                let hidden = !g.guards(id).is_empty();
                Partial { function: below.function && !hidden, read: below.read && !self.reads_hidden(g, id) }
            }
            _ => below,
        }
    }

    /// Do the guards of a reduction keep every read below it in range?
    fn reads_hidden(&self, g: &Graph, id: NodeId) -> bool {
        let mut prover = Prover::new(g);
        for &guard in g.guards(id) {
            prover.push(guard, true);
        }
        let mut seen: FxHashSet<NodeId> = FxHashSet::default();
        let mut stack: Vec<NodeId> = g.args(id).to_vec();
        while let Some(n) = stack.pop() {
            if !self.known[&n].read || !seen.insert(n) {
                continue;
            }
            match g.op(n) {
                Op::Prev(_) => return false,
                Op::Sub { axes } => {
                    let inside = |(&a, &p): (_, &NodeId)| prover.in_range(p, g.axis(a).domain);
                    // Positions inside the body stand at other places than the guards speak of.
                    if self.known[&g.args(n)[0]].read || !axes.iter().zip(&g.args(n)[1..]).all(inside) {
                        return false;
                    }
                    stack.extend(&g.args(n)[1..]);
                }
                _ => stack.extend(g.args(n)),
            }
        }
        true
    }
}
