//! The op table of the graph IR: name, operands, attributes, types and meaning of every op, declared once.
//!
//! `docs/add-an-op.md` walks through an addition. The elementwise functions of [`Op::Map`] have a table of their own,
//! [`MapFn`].

use super::axes::{AxisId, DomainId};
use super::node::{InputId, RecId};
use crate::dtype::DType;
use crate::elementwise::MapFn;
use smallvec::SmallVec;

/// A constant. Floats are compared by their bits, so that hash-consing is exact.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Scalar {
    /// Truth value.
    Bool(bool),
    /// Integer.
    Int(i64),
    /// Float, as the bits of a float64.
    Float(u64),
}

impl Scalar {
    /// A float constant.
    #[must_use]
    pub fn float(x: f64) -> Self {
        // One zero, so that equal constants are one node.
        Self::Float(if x == 0.0 { 0 } else { x.to_bits() })
    }

    /// The value as a float64: exact for floats and for integers below 2^53; 0 and 1 for truth values.
    #[must_use]
    pub fn as_f64(self) -> f64 {
        match self {
            Self::Bool(b) => f64::from(u8::from(b)),
            Self::Int(i) => i as f64,
            Self::Float(bits) => f64::from_bits(bits),
        }
    }
}

/// Which end of an order.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Extremum {
    /// The largest.
    Max,
    /// The smallest.
    Min,
}

/// The function `phi` of a threshold: `tau` solves `sum_j phi(z_j - tau) = K`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum ThresholdFamily {
    /// `clip(x, 0, 1)`: SparseK. With at most `K` members `tau` is minus infinity.
    Ramp,
    /// `max(x, 0)`: sparsemax scaled to sum `K`.
    Relu,
    /// `max(x / 2, 0)^2`: entmax with alpha 1.5.
    Entmax15,
    /// Top-p: the largest `tau` such that the members `z_j >= tau` sum to at least `K`; the smallest member if none does.
    Mass,
}

impl ThresholdFamily {
    /// Every family.
    pub const ALL: [Self; 4] = [Self::Ramp, Self::Relu, Self::Entmax15, Self::Mass];

    /// Name in the text form and in the language.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ramp => "ramp",
            Self::Relu => "relu",
            Self::Entmax15 => "entmax15",
            Self::Mass => "mass",
        }
    }
}

/// A list of axes in a meaningful order.
pub type Axes = SmallVec<[AxisId; 4]>;

macro_rules! ops {
    ($($(#[doc = $doc:literal])+ $variant:ident $({ $($field:ident : $ty:ty),* })? $(( $pty:ty ))? = $name:literal, $stratum:ident, $rule:ident, $operands:literal;)*) => {
        /// An op of the graph IR, with its attributes. Operands are in the node.
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
        pub enum Op {
            $($(#[doc = $doc])+ $variant $({ $(#[allow(missing_docs, reason = "fields are named in the op's own line")] $field: $ty),* })? $(($pty))?,)*
        }

        impl Op {
            /// Name in the text form.
            #[must_use]
            pub fn name(&self) -> &'static str {
                match self { $(Self::$variant { .. } => $name,)* }
            }

            /// Made by users, or only by rewriting?
            #[must_use]
            pub fn stratum(&self) -> Stratum {
                match self { $(Self::$variant { .. } => Stratum::$stratum,)* }
            }

            /// How a cotangent reaches the operands.
            #[must_use]
            pub fn derivative(&self) -> Derivative {
                match self { $(Self::$variant { .. } => Derivative::$rule,)* }
            }
        }

        /// The op table as documentation: name, operands, meaning.
        pub const TABLE: &[(&str, &str, &str)] = &[$(($name, $operands, concat!($($doc),+)),)*];
    };
}

/// Which half of the table an op belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stratum {
    /// What a user can write.
    Definition,
    /// What rewriting makes.
    Algorithm,
}

/// The rules of reverse differentiation, one for each kind of op. `y'` is the cotangent of the result; a cotangent of an operand is
/// summed over all axes that the operand does not have. Guards stay in front of whatever they guarded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Derivative {
    /// No operands.
    Leaf,
    /// Nothing flows: positions, counts, and what the user stops.
    Zero,
    /// `x' += y'`
    Identity,
    /// `x_i' += y' * df/dx_i`, from the table of partial derivatives ([`super::derivative`]).
    Elementwise,
    /// `a' += [c] y'`, `b' += [not c] y'`
    Branch,
    /// `f_i' += sum over axes of [guards] y' * the other factors`
    Product,
    /// `x'[i] += [i is the position of the extremum] y'`
    Extremum,
    /// `x'[i] += [i is the position of the rank] y'`
    Rank,
    /// By the implicit function theorem: `x'[j] += y' phi'(x_j - tau) / sum of phi'`, `k' -= y' / sum of phi'`.
    Threshold,
    /// `body'[x] += sum over the positions' own axes of [position == x] y'`, solved for those axes where that is possible.
    Read,
    /// A recurrence that runs the other way: `m[t]` is what reaches the state at `t - 1`.
    Recurrence,
    /// Taken care of by the rule of the recurrence.
    Previous,
    /// `via' += y'`
    StraightThrough,
}

ops! {
    #[doc = " An input or parameter at its declared axes."]
    Input(InputId) = "input", Definition, Leaf, "";
    #[doc = " A constant."]
    Const(Scalar) = "const", Definition, Leaf, "";
    #[doc = " The position on an axis, an i32."]
    Index(AxisId) = "index", Definition, Leaf, "";
    #[doc = " The extent of a domain as an i32; depends on the batch axis where the extent is ragged."]
    Size(DomainId) = "size", Definition, Leaf, "";
    #[doc = " An elementwise function."]
    Map(MapFn) = "map", Definition, Elementwise, "x..";
    #[doc = " Conversion to another element type; floats to integers round towards zero."]
    Cast(DType) = "cast", Definition, Identity, "x";
    #[doc = " `if c then a else b`; the branch not taken is not evaluated."]
    Select = "select", Definition, Branch, "c, a, b";
    #[doc = " Sum over `axes` of the product of the factors where all guards hold; with no axes, the guarded product."]
    Ein { axes: Axes, guards: u32 } = "ein", Definition, Product, "guards.., factors..";
    #[doc = " Largest or smallest value over `axes` where all guards hold; minus or plus infinity of nothing."]
    Reduce { extremum: Extremum, axes: Axes, guards: u32 } = "reduce", Definition, Extremum, "guards.., x";
    #[doc = " Position of the largest or smallest value over `axis` where all guards hold, ties to the lower index; 0 of nothing. A decision."]
    Arg { extremum: Extremum, axis: AxisId, guards: u32 } = "arg", Definition, Zero, "guards.., x";
    #[doc = " Value of the pair of rank `rank` (0 is the best) in the order (value descending, index ascending) over `axis`; minus infinity where there are fewer, plus infinity at a negative rank. A decision."]
    KthValue { axis: AxisId, guards: u32 } = "kth_value", Definition, Rank, "guards.., x, rank";
    #[doc = " Index of the same pair as `kth_value`; the largest i32 where there are fewer, -1 at a negative rank. A decision."]
    KthIndex { axis: AxisId, guards: u32 } = "kth_index", Definition, Zero, "guards.., x, rank";
    #[doc = " `tau` with `sum over axis of phi(x - tau)` where all guards hold `= k` (a float). Minus infinity where the sum cannot reach `k`, the largest member where `k <= 0`. A decision."]
    Threshold { family: ThresholdFamily, axis: AxisId, guards: u32 } = "threshold", Definition, Threshold, "guards.., x, k";
    #[doc = " Simultaneous substitution `body[axes := positions]`."]
    Sub { axes: Axes } = "sub", Definition, Read, "body, positions..";
    #[doc = " A recurrence over the time axis of its declaration: `body` at position t may read `prev`, its own value at t - 1, or at t + 1 if it is declared `reverse`."]
    Rec(RecId) = "rec", Definition, Recurrence, "body";
    #[doc = " The value of a recurrence at t - 1, and there is none at t = 0; of a `reverse` one at t + 1, and there is none at the last position (`T[b] - 1` of a ragged axis). Only inside its body."]
    Prev(RecId) = "prev", Definition, Previous, "";
    #[doc = " `x`, with zero gradient."]
    Stop = "stop", Definition, Zero, "x";
    #[doc = " Straight-through: the value of the first operand, the gradient to the second."]
    Ste = "ste", Definition, StraightThrough, "value, via";
}

impl Op {
    /// How many leading operands are guards.
    #[must_use]
    pub fn guards(&self) -> usize {
        match self {
            Self::Ein { guards, .. }
            | Self::Reduce { guards, .. }
            | Self::Arg { guards, .. }
            | Self::KthValue { guards, .. }
            | Self::KthIndex { guards, .. }
            | Self::Threshold { guards, .. } => *guards as usize,
            _ => 0,
        }
    }

    /// Axes bound by the op in its operands (for `sub`: in its first operand).
    #[must_use]
    pub fn bound(&self) -> &[AxisId] {
        match self {
            Self::Ein { axes, .. } | Self::Reduce { axes, .. } | Self::Sub { axes } => axes,
            Self::Arg { axis, .. }
            | Self::KthValue { axis, .. }
            | Self::KthIndex { axis, .. }
            | Self::Threshold { axis, .. } => std::slice::from_ref(axis),
            _ => &[],
        }
    }

    /// Integer or threshold results that must be computed once from one canonical expression, stored and reused.
    #[must_use]
    pub fn is_decision(&self) -> bool {
        matches!(self, Self::Arg { .. } | Self::KthValue { .. } | Self::KthIndex { .. } | Self::Threshold { .. })
    }

    /// Does the op range over its bound axes (everything that binds, but substitution)?
    #[must_use]
    pub fn is_reduction(&self) -> bool {
        !matches!(self, Self::Sub { .. }) && !self.bound().is_empty()
    }
}
