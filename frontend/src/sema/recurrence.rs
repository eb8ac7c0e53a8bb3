//! Which recurrences can run in parallel: inferred from the body, reported, and used by the streaming and chunking passes.

use crate::diagnostics::Span;
use rustc_hash::FxHashMap;
use std::fmt;
use weft_ir::graph::{Graph, MapFn, NodeId, Op, RecId};

/// A recurrence of a layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recurrence {
    /// Its name.
    pub name: String,
    /// The [`Op::Rec`] node.
    pub node: NodeId,
    /// How it may be run.
    pub class: RecurrenceClass,
    /// The name in its definition.
    pub span: Span,
}

/// How a recurrence may be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RecurrenceClass {
    /// `u + c * S[t-1]`, `c` free of `S`, element by element of the state.
    LinearDiagonal,
    /// Linear in `S[t-1]`, with state axes contracted or re-indexed.
    LinearDense,
    /// `max(u, c + S[t-1])`, or the same with `min`: linear over a tropical semiring.
    Tropical,
    /// `log(exp(u) + exp(c + S[t-1]))`: linear over the log semiring.
    LogSumExp,
    /// Anything else: runs step by step.
    Sequential,
}

impl fmt::Display for RecurrenceClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LinearDiagonal => "linear-diagonal",
            Self::LinearDense => "linear-dense",
            Self::Tropical => "monoid (max-plus)",
            Self::LogSumExp => "monoid (logsumexp)",
            Self::Sequential => "sequential",
        })
    }
}

/// How a term depends on the value before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Dependence {
    /// Not at all.
    Free,
    /// `c * S` for a `c` free of `S`, or a sum of such and free terms; element by element.
    Diagonal,
    /// The same, with state axes contracted or re-indexed.
    Dense,
    /// `max` or `min` of free terms and `c + S`.
    Tropical(bool),
    /// A sum of free terms and `c * exp(c' + S)`: its logarithm is the recurrence.
    ExpSum,
    /// `log` of such a sum.
    LogSum,
    /// `c + S`: linear with coefficient 1, element by element. The basis of the monoid classes.
    Shift,
    /// Anything else.
    Other,
}

/// The class of a recurrence with this body.
pub(super) fn classify(graph: &Graph, rec: RecId, body: NodeId) -> RecurrenceClass {
    let mut memo = FxHashMap::default();
    match dependence(graph, rec, body, &mut memo) {
        Dependence::Free | Dependence::Diagonal | Dependence::Shift => RecurrenceClass::LinearDiagonal,
        Dependence::Dense => RecurrenceClass::LinearDense,
        Dependence::Tropical(_) => RecurrenceClass::Tropical,
        Dependence::LogSum => RecurrenceClass::LogSumExp,
        Dependence::ExpSum | Dependence::Other => RecurrenceClass::Sequential,
    }
}

fn dependence(g: &Graph, rec: RecId, x: NodeId, memo: &mut FxHashMap<NodeId, Dependence>) -> Dependence {
    use Dependence::{Dense, Diagonal, ExpSum, Free, LogSum, Other, Shift, Tropical};
    if let Some(&d) = memo.get(&x) {
        return d;
    }
    let args: Vec<Dependence> = g.args(x).iter().map(|&a| dependence(g, rec, a, memo)).collect();
    let all_free = args.iter().all(|&d| d == Free);
    let linear = |d: Dependence| matches!(d, Free | Diagonal | Dense | Shift);
    let sum = |args: &[Dependence], plain: bool| {
        let bound: Vec<Dependence> = args.iter().copied().filter(|&d| d != Free).collect();
        match bound.as_slice() {
            [] => Free,
            // Adding what is free of S keeps `c + S`, an exponential sum, and linearity.
            [one] if plain => match one {
                Tropical(_) | LogSum | Other => Other,
                d => *d,
            },
            several if several.iter().all(|&d| d == ExpSum) => ExpSum,
            several if several.iter().all(|&d| linear(d)) => {
                if several.contains(&Dense) {
                    Dense
                } else {
                    Diagonal
                }
            }
            _ => Other,
        }
    };
    let result = match g.op(x) {
        Op::Prev(r) if *r == rec => Shift,
        _ if all_free => Free,
        Op::Map(MapFn::Add) => sum(&args, true),
        Op::Map(MapFn::Sub) => match (args[0], args[1]) {
            (d, Free) if d != Other => sum(&[d], true),
            (Free | Shift | Diagonal, Shift | Diagonal) => Diagonal,
            (a, b) if linear(a) && linear(b) => Dense,
            _ => Other,
        },
        Op::Map(MapFn::Neg) if linear(args[0]) => {
            if args[0] == Dense {
                Dense
            } else {
                Diagonal
            }
        }
        Op::Map(MapFn::Mul) | Op::Ein { .. } => {
            let guards = g.op(x).guards();
            let bound: Vec<Dependence> = args[guards..].iter().copied().filter(|&d| d != Free).collect();
            let summed = !g.op(x).bound().is_empty();
            match bound.as_slice() {
                [one] if args[..guards].iter().all(|&d| d == Free) => match (one, summed) {
                    (Shift | Diagonal, false) => Diagonal,
                    (Shift | Diagonal | Dense, _) => Dense,
                    (ExpSum, false) => ExpSum,
                    _ => Other,
                },
                _ => Other,
            }
        }
        Op::Map(MapFn::Div | MapFn::Div0) if args[1] == Free => match args[0] {
            Shift | Diagonal => Diagonal,
            d @ (Dense | ExpSum) => d,
            _ => Other,
        },
        Op::Map(MapFn::Exp) if args[0] == Shift => ExpSum,
        Op::Map(MapFn::Log) if args[0] == ExpSum => LogSum,
        Op::Map(f @ (MapFn::Max | MapFn::Min)) => {
            let max = *f == MapFn::Max;
            if args.iter().all(|&d| matches!(d, Free | Shift) || d == Tropical(max)) { Tropical(max) } else { Other }
        }
        Op::Cast(to) if to.is_float() => args[0],
        // A conditional that does not look at S is a coefficient of 0 or 1.
        Op::Select if args[0] == Free => match (args[1], args[2]) {
            (a, b) if a == b => a,
            (Free, d) | (d, Free) => match d {
                // Restart: the branch without S has coefficient 0, which is minus infinity in the monoid classes.
                Shift => Diagonal,
                d => d,
            },
            (Shift, Tropical(m)) | (Tropical(m), Shift) => Tropical(m),
            (a, b) => sum(&[a, b], false),
        },
        Op::Sub { .. } if args[1..].iter().all(|&d| d == Free) && linear(args[0]) => Dense,
        Op::Stop => Other,
        _ => Other,
    };
    memo.insert(x, result);
    result
}
