//! Which terms may be infinite or NaN though the inputs are finite.
//!
//! A weight of 0, where a guard is false, does not make an infinity 0: values that may be infinite are selected away there, which
//! costs a comparison for every product. So it is worth knowing that most are not.

use super::Scheduler;
use weft_ir::graph::{MapFn, NodeId, Op};

impl Scheduler {
    /// May a term be infinite or NaN at positions where a guard around it is false, though inputs are finite?
    pub(crate) fn is_wild(&self, id: NodeId) -> bool {
        let mut stack = vec![id];
        let mut seen = rustc_hash::FxHashSet::default();
        while let Some(n) = stack.pop() {
            if !seen.insert(n) {
                continue;
            }
            let args = self.c.g.args(n);
            let wild = match self.c.g.op(n) {
                Op::Reduce { .. } | Op::KthValue { .. } | Op::Threshold { .. } => true,
                Op::Map(MapFn::Pow) => true,
                Op::Map(MapFn::Inv | MapFn::Log) => !args.iter().all(|&x| self.is_positive(x)),
                Op::Input(i) => self.wild.contains(i),
                _ => false,
            };
            if wild {
                return true;
            }
            stack.extend(args);
        }
        false
    }

    /// Is a term bounded from below by a positive constant? (Not merely positive: an exponential comes arbitrarily near 0.)
    fn is_positive(&self, id: NodeId) -> bool {
        let args = self.c.g.args(id);
        match self.c.g.op(id) {
            Op::Const(c) => c.as_f64() > 0.0,
            Op::Map(MapFn::Add) => {
                args.iter().all(|&x| self.is_not_negative(x)) && args.iter().any(|&x| self.is_positive(x))
            }
            Op::Map(MapFn::Sqrt) => args.iter().all(|&x| self.is_positive(x)),
            Op::Map(MapFn::Max) => args.iter().any(|&x| self.is_positive(x)),
            Op::Sub { .. } => args.first().is_some_and(|&x| self.is_positive(x)),
            _ => false,
        }
    }

    /// Is a term nowhere negative?
    pub(crate) fn is_not_negative(&self, id: NodeId) -> bool {
        let args = self.c.g.args(id);
        match self.c.g.op(id) {
            Op::Const(c) => c.as_f64() >= 0.0,
            Op::Input(i) => self.not_negative.contains(i),
            Op::Map(MapFn::Exp | MapFn::Sqrt | MapFn::Abs) => true,
            Op::Map(MapFn::Add) => args.iter().all(|&x| self.is_not_negative(x)),
            Op::Map(MapFn::Max) => args.iter().any(|&x| self.is_not_negative(x)),
            Op::Sub { .. } => args.first().is_some_and(|&x| self.is_not_negative(x)),
            // A sum of products: factors that are not negative, and others an even number of times.
            Op::Ein { .. } => {
                let factors = self.c.g.operands(id);
                let times = |x: NodeId| factors.iter().filter(|&&y| y == x).count();
                factors.iter().all(|&x| self.is_not_negative(x) || times(x) % 2 == 0)
            }
            _ => false,
        }
    }
}
