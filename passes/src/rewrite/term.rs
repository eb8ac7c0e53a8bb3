//! The language of the e-graph: the graph IR's terms, as far as rules look into them.
//!
//! What rules never look into is a leaf, a term of the workshop ([`super::workshop`]): integers, conditions, positions, decisions, and floats
//! over at most one long axis with no long sum in them. Guards and positions stand in the node itself, not among its children: they
//! are canonical terms, and two that are equal are one already.

use egg::{Id, Language};
use smallvec::SmallVec;
use weft_ir::graph::op::Axes;
use weft_ir::graph::{AxisId, MapFn, NodeId, Op};

/// Terms of the workshop, in canonical order.
pub(crate) type Leaves = SmallVec<[NodeId; 4]>;

/// What a node is, without its children.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(crate) enum Head {
    /// A term of the workshop.
    Leaf(NodeId),
    /// An elementwise function.
    Map(MapFn),
    /// Sum over `axes` of the product of the children where all guards hold.
    Ein {
        /// Bound axes, sorted.
        axes: Axes,
        /// Conditions, in canonical order.
        guards: Leaves,
    },
    /// `child[axes := positions]`, simultaneously.
    Sub {
        /// The axes replaced, sorted.
        axes: Axes,
        /// What stands in their place.
        at: Leaves,
    },
    /// A linear recurrence over an axis: `s[m] = b[m] + a[m] s[m - 1]`, and `b[m]` at the first position. Children `b`, or `b, a`; without
    /// `a` it is a prefix sum. Reversed, it reads `s[m + 1]`.
    Scan {
        /// The axis over which it runs.
        axis: AxisId,
        /// From the last position to the first?
        reverse: bool,
    },
    /// All outputs: the root.
    Outputs,
    /// Any other op over these children: rules do not look at it, but at what is in it.
    Other(Op),
}

/// A node of the e-graph.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(crate) struct Term {
    /// What it is.
    pub(crate) head: Head,
    /// Its children.
    pub(crate) args: SmallVec<[Id; 3]>,
}

impl Term {
    /// A node.
    pub(crate) fn new(head: Head, args: &[Id]) -> Self {
        Self { head, args: SmallVec::from_slice(args) }
    }

    /// Axes that the node binds in its children.
    pub(crate) fn bound(&self) -> &[AxisId] {
        match &self.head {
            Head::Ein { axes, .. } | Head::Sub { axes, .. } => axes,
            Head::Other(op) => op.bound(),
            Head::Leaf(_) | Head::Map(_) | Head::Scan { .. } | Head::Outputs => &[],
        }
    }
}

impl Language for Term {
    type Discriminant = Head;

    fn discriminant(&self) -> Head {
        self.head.clone()
    }

    fn matches(&self, other: &Self) -> bool {
        self.head == other.head && self.args.len() == other.args.len()
    }

    fn children(&self) -> &[Id] {
        &self.args
    }

    fn children_mut(&mut self) -> &mut [Id] {
        &mut self.args
    }
}
