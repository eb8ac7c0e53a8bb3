//! Where a guard is false, a value is computed all the same, and hidden. Multiplied by a weight of 0 it is only hidden if it
//! is finite: 0 times infinity is NaN. This file says which terms are finite whatever finite numbers the inputs hold.

use super::Scheduler;
use rustc_hash::FxHashMap;
use weft_ir::graph::{MapFn, NodeId, Op};

/// What a term may be at positions where nothing is known of it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) enum Kind {
    /// A number.
    Finite,
    /// A number or an infinity.
    Infinite,
    /// Anything, NaN too.
    Undefined,
}

/// What is known of a stored value.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Known {
    /// What it may be.
    pub(crate) kind: Kind,
    /// A bound that it is not below, if it is nowhere negative.
    pub(crate) lower: Option<f64>,
    /// 1 if it is nowhere negative, -1 if nowhere positive.
    pub(crate) sign: Option<i32>,
}

use Kind::{Finite, Infinite, Undefined};

impl Scheduler {
    /// May a term be infinite or NaN at positions where a guard around it is false, though inputs are finite?
    pub(crate) fn is_wild(&self, id: NodeId) -> bool {
        self.kind_in(id, &mut FxHashMap::default()) != Finite
    }

    /// Is a term 0 wherever its reads are: a read, or a product of reads?
    pub(crate) fn is_zero_on_padding(&self, id: NodeId) -> bool {
        let args = self.c.g.args(id);
        match self.c.g.op(id) {
            Op::Input(_) | Op::Const(_) => true,
            Op::Sub { .. } => self.is_zero_on_padding(args[0]),
            Op::Ein { axes, guards: 0 } => axes.is_empty() && args.iter().all(|&a| self.is_zero_on_padding(a)),
            _ => false,
        }
    }

    /// What the value stored in place of a term may be.
    pub(crate) fn kind_of(&self, id: NodeId) -> Kind {
        self.kind_in(id, &mut FxHashMap::default())
    }

    fn kind_in(&self, id: NodeId, memo: &mut FxHashMap<NodeId, Kind>) -> Kind {
        if let Some(&k) = memo.get(&id) {
            return k;
        }
        let k = self.kind_here(id, memo);
        memo.insert(id, k);
        k
    }

    fn kind_here(&self, id: NodeId, memo: &mut FxHashMap<NodeId, Kind>) -> Kind {
        if !self.c.g.dtype(id).is_float() {
            return Finite;
        }
        let op = self.c.g.op(id);
        let args = self.c.g.args(id);
        let worst = |s: &Self, args: &[NodeId], memo: &mut _| args.iter().map(|&a| s.kind_in(a, memo)).max();
        match op {
            Op::Input(i) => self.known.get(i).map_or(Finite, |k| k.kind),
            Op::Map(f) => self.kind_of_map(*f, args, memo),
            Op::Ein { axes, .. } => {
                let factors = self.c.g.operands(id);
                let worst = worst(self, factors, memo).unwrap_or(Finite);
                // Zero times infinity, or infinities of both signs in one sum.
                if worst == Finite || (factors.len() == 1 && axes.is_empty()) { worst } else { Undefined }
            }
            // Of nothing, an extremum is infinite.
            Op::Reduce { guards, .. } => {
                let empty = if *guards > 0 { Infinite } else { Finite };
                worst(self, self.c.g.operands(id), memo).unwrap_or(Finite).max(empty)
            }
            Op::KthValue { .. } | Op::Threshold { .. } => Undefined,
            Op::Select => worst(self, &args[1..], memo).unwrap_or(Finite),
            Op::Sub { .. } | Op::Cast(_) | Op::Rec(_) => self.kind_in(args[0], memo),
            _ => Finite,
        }
    }

    fn kind_of_map(&self, f: MapFn, args: &[NodeId], memo: &mut FxHashMap<NodeId, Kind>) -> Kind {
        let kinds: Vec<Kind> = args.iter().map(|&a| self.kind_in(a, memo)).collect();
        let worst = kinds.iter().copied().max().unwrap_or(Finite);
        if worst == Undefined {
            return Undefined;
        }
        let x = args[0];
        let above_zero = self.lower_bound(x).is_some_and(|b| b > 0.0);
        match f {
            MapFn::Exp if self.is_bounded(x) => Finite,
            // What has no long axis is the same where a guard is false as where it is true: if it is infinite, the value that is
            // seen is no better.
            MapFn::Exp | MapFn::Exp2 if self.c.long_axes(x).is_empty() => worst,
            MapFn::Exp | MapFn::Exp2 => Infinite,
            MapFn::Inv => {
                if above_zero {
                    Finite
                } else {
                    Infinite
                }
            }
            MapFn::Inv0 | MapFn::Tanh | MapFn::Erf | MapFn::Sign => Finite,
            MapFn::Log if above_zero => worst,
            MapFn::Log if self.lower_bound(x).is_some() => Infinite,
            MapFn::Sqrt if self.lower_bound(x).is_some() => worst,
            // A power of something not negative is infinite at most.
            MapFn::Pow if above_zero => worst.max(Infinite),
            MapFn::Log | MapFn::Sqrt | MapFn::Pow => Undefined,
            MapFn::Add | MapFn::Sub if kinds.iter().filter(|&&k| k != Finite).count() > 1 => Undefined,
            MapFn::Add | MapFn::Sub | MapFn::Neg | MapFn::Abs | MapFn::Max | MapFn::Min | MapFn::Floor => worst,
            _ if worst == Finite => match f {
                MapFn::Div | MapFn::Div0 => Infinite,
                _ => Finite,
            },
            _ => Undefined,
        }
    }

    /// A constant lower bound of at least 0 of a float term, where one is plain.
    pub(super) fn lower_bound(&self, id: NodeId) -> Option<f64> {
        let args = self.c.g.args(id);
        match self.c.g.op(id) {
            Op::Const(k) => Some(k.as_f64()).filter(|&k| k >= 0.0),
            Op::Input(i) => self.known.get(i).and_then(|k| k.lower),
            Op::Sub { .. } => self.lower_bound(args[0]),
            Op::Map(MapFn::Add) => args.iter().try_fold(0.0, |sum, &a| Some(sum + self.lower_bound(a)?)),
            Op::Map(MapFn::Max) => args.iter().filter_map(|&a| self.lower_bound(a)).reduce(f64::max),
            Op::Map(MapFn::Min) => {
                args.iter().map(|&a| self.lower_bound(a)).try_fold(f64::INFINITY, |m, b| Some(m.min(b?)))
            }
            Op::Map(MapFn::Sqrt) => self.lower_bound(args[0]).map(f64::sqrt),
            // A sum of products: factors that are not negative, and others an even number of times.
            Op::Ein { .. } => {
                let factors = self.c.g.operands(id);
                let even = |f: NodeId| factors.iter().filter(|&&g| g == f).count() % 2 == 0;
                let up = factors.iter().all(|&f| even(f) || self.lower_bound(f).is_some());
                (up || self.sign(id) == Some(1)).then_some(0.0)
            }
            _ => (self.sign(id) == Some(1)).then_some(0.0),
        }
    }
}
