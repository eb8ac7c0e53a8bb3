//! The table of partial derivatives of elementwise functions.
//!
//! One arm per function of [`MapFn`]; a function that is added does not compile without one. `docs/derivatives.md` says how to
//! write a rule.
//!
//! Conventions where a function has no derivative: `abs` and `sign` have 0 at 0; of equal operands of `max` and `min` one that
//! needs no gradient wins, else the first (so `max(x, 0)` has derivative 0 at 0); `div0` and `inv0` have 0 where the divisor is 0; `pow(x, 0)` has 0
//! in `x`, and `pow(0, p)` 0 in `p`. A
//! difference compared with a constant is compared on the other side (`z - tau < 1` as `z - 1 < tau`), so that all who ask
//! whether `z` lies within 1 of `tau` form the same float.

use super::node::{Error, Graph, NodeId};
use super::op::Op;
use crate::elementwise::MapFn;
use smallvec::SmallVec;

/// Partial derivative of an elementwise function in one of its operands: `[guards] * factors`.
#[derive(Clone, Debug, Default)]
pub struct Partial {
    /// Truth values that must hold for the derivative not to be 0.
    pub guards: SmallVec<[NodeId; 2]>,
    /// Factors; without any it is 1.
    pub factors: SmallVec<[NodeId; 3]>,
}

impl Partial {
    fn one() -> Option<Self> {
        Some(Self::default())
    }

    fn of(factors: &[NodeId]) -> Option<Self> {
        Some(Self { guards: SmallVec::new(), factors: factors.into() })
    }
}

impl Graph {
    /// `d y / d operand[at]` of an elementwise node `y`, as terms of this graph; `None` where it is 0 everywhere.
    /// `needs` says of an operand whether it needs a gradient.
    ///
    /// # Errors
    /// Never for nodes of this graph.
    pub fn partial(&mut self, y: NodeId, at: usize, needs: &dyn Fn(NodeId) -> bool) -> Result<Option<Partial>, Error> {
        let Op::Map(f) = *self.op(y) else { return Ok(None) };
        let args: SmallVec<[NodeId; 3]> = self.args(y).into();
        let x = args[at];
        Ok(match f {
            MapFn::Add => Partial::one(),
            MapFn::Sub if at == 0 => Partial::one(),
            MapFn::Sub | MapFn::Neg => {
                let minus = self.float(-1.0);
                Partial::of(&[minus])
            }
            MapFn::Mul => {
                let others: SmallVec<[NodeId; 3]> =
                    args.iter().enumerate().filter(|&(i, _)| i != at).map(|(_, &a)| a).collect();
                Partial::of(&others)
            }
            MapFn::Div | MapFn::Div0 => {
                let inverse = if f == MapFn::Div { MapFn::Inv } else { MapFn::Inv0 };
                let r = self.map(inverse, &[args[1]])?;
                if at == 0 {
                    Partial::of(&[r])
                } else {
                    let minus = self.float(-1.0);
                    Partial::of(&[minus, args[0], r, r])
                }
            }
            MapFn::Inv | MapFn::Inv0 => {
                let minus = self.float(-1.0);
                Partial::of(&[minus, y, y])
            }
            MapFn::Pow if at == 0 => {
                let one = self.float(1.0);
                let less = self.map(MapFn::Sub, &[args[1], one])?;
                let power = self.map(MapFn::Pow, &[x, less])?;
                let some = self.not_zero(args[1])?;
                some.map(|guards| Partial { guards, factors: SmallVec::from_slice(&[args[1], power]) })
            }
            MapFn::Pow => {
                let log = self.map(MapFn::Log, &[args[0]])?;
                let some = self.not_zero(args[0])?;
                some.map(|guards| Partial { guards, factors: SmallVec::from_slice(&[y, log]) })
            }
            MapFn::Exp => Partial::of(&[y]),
            MapFn::Exp2 => {
                let ln2 = self.float(std::f64::consts::LN_2);
                Partial::of(&[ln2, y])
            }
            MapFn::Log => {
                let r = self.map(MapFn::Inv, &[x])?;
                Partial::of(&[r])
            }
            MapFn::Sqrt => {
                let half = self.float(0.5);
                let r = self.map(MapFn::Inv, &[y])?;
                Partial::of(&[half, r])
            }
            MapFn::Sin => {
                let cos = self.map(MapFn::Cos, &[x])?;
                Partial::of(&[cos])
            }
            MapFn::Cos => {
                let (minus, sin) = (self.float(-1.0), self.map(MapFn::Sin, &[x])?);
                Partial::of(&[minus, sin])
            }
            MapFn::Tanh => {
                let square = self.map(MapFn::Mul, &[y, y])?;
                let one = self.float(1.0);
                let d = self.map(MapFn::Sub, &[one, square])?;
                Partial::of(&[d])
            }
            MapFn::Erf => {
                let scale = self.float(std::f64::consts::FRAC_2_SQRT_PI);
                let square = self.map(MapFn::Mul, &[x, x])?;
                let minus = self.map(MapFn::Neg, &[square])?;
                let bell = self.map(MapFn::Exp, &[minus])?;
                Partial::of(&[scale, bell])
            }
            MapFn::Abs => {
                let sign = self.map(MapFn::Sign, &[x])?;
                Partial::of(&[sign])
            }
            MapFn::Max | MapFn::Min => Some(self.winner(f == MapFn::Max, &args, at, needs)?),
            MapFn::Sign
            | MapFn::Floor
            | MapFn::IDiv
            | MapFn::Mod
            | MapFn::Lt
            | MapFn::Le
            | MapFn::Gt
            | MapFn::Ge
            | MapFn::Eq
            | MapFn::Ne
            | MapFn::And
            | MapFn::Or
            | MapFn::Not => None,
        })
    }

    /// The guard that a float is not 0; `None` for one that always is.
    fn not_zero(&mut self, x: NodeId) -> Result<Option<SmallVec<[NodeId; 2]>>, Error> {
        if let Some(c) = self.constant(x) {
            return Ok((c.as_f64() != 0.0).then(SmallVec::new));
        }
        let zero = self.float(0.0);
        Ok(Some(SmallVec::from_slice(&[self.map(MapFn::Ne, &[x, zero])?])))
    }

    /// Where an operand is the extremum of all: one that needs a gradient only if no other that needs none equals it, and no
    /// earlier one.
    fn winner(
        &mut self,
        largest: bool,
        args: &[NodeId],
        at: usize,
        needs: &dyn Fn(NodeId) -> bool,
    ) -> Result<Partial, Error> {
        let mut guards = SmallVec::new();
        for (i, &other) in args.iter().enumerate() {
            if i == at {
                continue;
            }
            if other == args[at] {
                if i < at {
                    // Written twice: the first has it.
                    guards.push(self.bool(false));
                }
                continue;
            }
            let strict = i < at || !needs(other);
            let (low, high) = if largest { (other, args[at]) } else { (args[at], other) };
            guards.push(self.compared(strict, low, high)?);
        }
        Ok(Partial { guards, factors: SmallVec::new() })
    }

    /// `low < high` or `low <= high`, with a difference beside a constant taken apart.
    fn compared(&mut self, strict: bool, low: NodeId, high: NodeId) -> Result<NodeId, Error> {
        let apart = |g: &Self, x: NodeId| match g.op(x) {
            Op::Map(MapFn::Sub) => Some((g.args(x)[0], g.args(x)[1])),
            _ => None,
        };
        let (low, high) = match (apart(self, low), self.constant(high), self.constant(low), apart(self, high)) {
            // z - tau < c
            (Some((z, tau)), Some(c), _, _) => (self.less(z, c.as_f64())?, tau),
            // c < z - tau
            (_, _, Some(c), Some((z, tau))) => (tau, self.less(z, c.as_f64())?),
            _ => (low, high),
        };
        self.map(if strict { MapFn::Lt } else { MapFn::Le }, &[low, high])
    }

    /// `x - c`, and `x` itself where `c` is 0.
    fn less(&mut self, x: NodeId, c: f64) -> Result<NodeId, Error> {
        if c == 0.0 {
            return Ok(x);
        }
        let c = self.float(c);
        self.map(MapFn::Sub, &[x, c])
    }
}
