//! Integer index expressions, the affine atoms made of them, and guards.
//!
//! An expression is *quasi-affine* if products have a factor, and quotients and remainders a divisor, that is built of
//! constants and parameters only ([`Expr::is_static`]). The verifier demands it of every expression of a kernel.

use smallvec::SmallVec;

use super::ids::{AxisId, ExtentId, ParamId, ValueId, VarId};

/// A binary operation on integers. `Div`, `CeilDiv` and `Mod` round towards minus infinity, plus infinity and minus
/// infinity; their divisors are positive.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum BinOp {
    /// `a + b`
    Add,
    /// `a - b`
    Sub,
    /// `a * b`
    Mul,
    /// `a // b`, floor
    Div,
    /// `a % b`, in `0..b`
    Mod,
    /// `ceil(a / b)`
    CeilDiv,
    /// `min(a, b)`
    Min,
    /// `max(a, b)`
    Max,
}

impl BinOp {
    /// The operation on two integers; `None` on overflow or on a divisor that is not positive.
    pub fn eval(self, a: i64, b: i64) -> Option<i64> {
        match self {
            Self::Add => a.checked_add(b),
            Self::Sub => a.checked_sub(b),
            Self::Mul => a.checked_mul(b),
            Self::Div => (b > 0).then(|| a.div_euclid(b)),
            Self::Mod => (b > 0).then(|| a.rem_euclid(b)),
            Self::CeilDiv => (b > 0).then(|| a.div_euclid(b) + i64::from(a.rem_euclid(b) != 0)),
            Self::Min => Some(a.min(b)),
            Self::Max => Some(a.max(b)),
        }
    }
}

/// An integer expression over the grid, loops, extents and tile axes. It varies over the tile axes that occur in it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Expr {
    /// A number.
    Const(i64),
    /// A `size` or `tile` parameter of the plan: a number known before the plan runs.
    Param(ParamId),
    /// A run-time extent; of a ragged one the largest (`T` = max over b of `T[b]`), which is what padded buffers are allocated by.
    Extent(ExtentId),
    /// A ragged extent at an index of its outer axis: `T[b]`.
    Ragged(ExtentId, Box<Expr>),
    /// Only in the dimensions of a buffer: the index of its dimension of this number, as `b` in `[b: B, t: T[b]]`.
    Dim(u32),
    /// An integer scalar of the kernel.
    Var(VarId),
    /// The position along a tile axis, `0..extent`.
    Axis(AxisId),
    /// An element of an integer tile value: a gather.
    Value(ValueId),
    /// An operation on two expressions.
    Binary(BinOp, Box<Expr>, Box<Expr>),
}

impl Expr {
    /// `op(a, b)`, folding constants and the neutral elements of `+`, `-`, `*` and `//`.
    #[must_use]
    pub fn binary(op: BinOp, a: Self, b: Self) -> Self {
        match (op, &a, &b) {
            (_, Self::Const(x), Self::Const(y)) => {
                if let Some(n) = op.eval(*x, *y) {
                    return Self::Const(n);
                }
            }
            (BinOp::Add | BinOp::Sub, _, Self::Const(0))
            | (BinOp::Mul | BinOp::Div | BinOp::CeilDiv, _, Self::Const(1)) => {
                return a;
            }
            (BinOp::Add, Self::Const(0), _) | (BinOp::Mul, Self::Const(1), _) => return b,
            (BinOp::Mul, Self::Const(0), _) | (BinOp::Mul, _, Self::Const(0)) | (BinOp::Mod, _, Self::Const(1)) => {
                return Self::Const(0);
            }
            (BinOp::Min | BinOp::Max, x, y) if x == y => return a,
            _ => {}
        }
        Self::Binary(op, Box::new(a), Box::new(b))
    }
    /// `self // divisor`, rounding down.
    #[must_use]
    pub fn floor_div(self, divisor: impl Into<Self>) -> Self {
        Self::binary(BinOp::Div, self, divisor.into())
    }
    /// `self % divisor`, in `0..divisor`.
    #[must_use]
    pub fn modulo(self, divisor: impl Into<Self>) -> Self {
        Self::binary(BinOp::Mod, self, divisor.into())
    }
    /// `self / divisor`, rounding up.
    #[must_use]
    pub fn ceil_div(self, divisor: impl Into<Self>) -> Self {
        Self::binary(BinOp::CeilDiv, self, divisor.into())
    }
    /// The smaller of two.
    #[must_use]
    pub fn min(self, other: impl Into<Self>) -> Self {
        Self::binary(BinOp::Min, self, other.into())
    }
    /// The larger of two.
    #[must_use]
    pub fn max(self, other: impl Into<Self>) -> Self {
        Self::binary(BinOp::Max, self, other.into())
    }
    /// The ragged extent at an outer index: `T[b]`.
    #[must_use]
    pub fn ragged(extent: ExtentId, at: impl Into<Self>) -> Self {
        Self::Ragged(extent, Box::new(at.into()))
    }
    /// Is it built of constants and parameters only?
    pub fn is_static(&self) -> bool {
        match self {
            Self::Const(_) | Self::Param(_) => true,
            Self::Binary(_, a, b) => a.is_static() && b.is_static(),
            _ => false,
        }
    }
    /// Calls `f` on every sub-expression, this one first.
    pub fn visit(&self, f: &mut impl FnMut(&Self)) {
        f(self);
        match self {
            Self::Ragged(_, a) => a.visit(f),
            Self::Binary(_, a, b) => {
                a.visit(f);
                b.visit(f);
            }
            _ => {}
        }
    }
    /// A copy in which every leaf on which `f` answers is replaced by the answer (leaves: everything without operands).
    #[must_use]
    pub fn substitute(&self, f: &impl Fn(&Self) -> Option<Self>) -> Self {
        match self {
            Self::Ragged(e, a) => Self::Ragged(*e, Box::new(a.substitute(f))),
            Self::Binary(op, a, b) => Self::binary(*op, a.substitute(f), b.substitute(f)),
            leaf => f(leaf).unwrap_or_else(|| leaf.clone()),
        }
    }
    /// `self < other`, and its kin, as atoms of a guard.
    #[must_use]
    pub fn lt(self, other: impl Into<Self>) -> Atom {
        Atom { lhs: self, cmp: Cmp::Lt, rhs: other.into() }
    }
    /// `self <= other`
    #[must_use]
    pub fn le(self, other: impl Into<Self>) -> Atom {
        Atom { lhs: self, cmp: Cmp::Le, rhs: other.into() }
    }
    /// `self >= other`
    #[must_use]
    pub fn ge(self, other: impl Into<Self>) -> Atom {
        Atom { lhs: self, cmp: Cmp::Ge, rhs: other.into() }
    }
    /// `self == other`
    #[must_use]
    pub fn equals(self, other: impl Into<Self>) -> Atom {
        Atom { lhs: self, cmp: Cmp::Eq, rhs: other.into() }
    }
}

macro_rules! from_leaf {
    ($($id:ty => $variant:ident),*) => {$(
        impl From<$id> for Expr {
            fn from(x: $id) -> Self { Self::$variant(x) }
        }
    )*};
}
from_leaf!(i64 => Const, ParamId => Param, ExtentId => Extent, VarId => Var, AxisId => Axis, ValueId => Value);

macro_rules! operators {
    ($($trait:ident $method:ident $op:ident),*) => {$(
        impl<R: Into<Expr>> std::ops::$trait<R> for Expr {
            type Output = Self;
            fn $method(self, other: R) -> Self { Self::binary(BinOp::$op, self, other.into()) }
        }
    )*};
}
operators!(Add add Add, Sub sub Sub, Mul mul Mul);

/// A comparison of two integers.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Cmp {
    /// `<`
    Lt,
    /// `<=`
    Le,
    /// `>`
    Gt,
    /// `>=`
    Ge,
    /// `==`
    Eq,
    /// `!=`
    Ne,
}

impl Cmp {
    /// Every comparison with its sign.
    pub const ALL: [(Self, &'static str); 6] =
        [(Self::Lt, "<"), (Self::Le, "<="), (Self::Gt, ">"), (Self::Ge, ">="), (Self::Eq, "=="), (Self::Ne, "!=")];

    /// Its sign in the text form.
    pub fn sign(self) -> &'static str {
        Self::ALL.iter().find(|(c, _)| *c == self).map_or("?", |(_, s)| s)
    }
    /// Compares two integers.
    pub fn eval(self, a: i64, b: i64) -> bool {
        match self {
            Self::Lt => a < b,
            Self::Le => a <= b,
            Self::Gt => a > b,
            Self::Ge => a >= b,
            Self::Eq => a == b,
            Self::Ne => a != b,
        }
    }
    /// The comparison that holds exactly where this one does not.
    #[must_use]
    pub fn negated(self) -> Self {
        match self {
            Self::Lt => Self::Ge,
            Self::Le => Self::Gt,
            Self::Gt => Self::Le,
            Self::Ge => Self::Lt,
            Self::Eq => Self::Ne,
            Self::Ne => Self::Eq,
        }
    }
}

/// An affine condition: a comparison of two integer expressions.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Atom {
    /// Left side.
    pub lhs: Expr,
    /// The comparison.
    pub cmp: Cmp,
    /// Right side.
    pub rhs: Expr,
}

/// A conjunction of affine atoms and opaque conditions (rank-n tiles of bool); empty means *always*.
///
/// A guard is a **strong zero**: where it is false, the guarded thing is not computed but replaced (`select`, never a
/// product with 0). The atoms stand first and are tested first: an opaque condition may be garbage where an atom is
/// false. Atoms are kept apart because inside a loop's `full` range those that speak of the loop need not be tested.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Guard {
    /// Affine conditions, in the order in which they are tested.
    pub atoms: SmallVec<[Atom; 2]>,
    /// Opaque conditions: boolean tile values.
    pub opaque: SmallVec<[ValueId; 1]>,
}

impl Guard {
    /// The guard that is always true.
    pub fn always() -> Self {
        Self::default()
    }
    /// Is it the empty conjunction?
    pub fn is_always(&self) -> bool {
        self.atoms.is_empty() && self.opaque.is_empty()
    }
    /// This guard and one more atom.
    #[must_use]
    pub fn and(mut self, atom: Atom) -> Self {
        self.atoms.push(atom);
        self
    }
    /// This guard and one more opaque condition.
    #[must_use]
    pub fn and_value(mut self, condition: ValueId) -> Self {
        self.opaque.push(condition);
        self
    }
}

impl From<Atom> for Guard {
    fn from(atom: Atom) -> Self {
        Self::always().and(atom)
    }
}

impl FromIterator<Atom> for Guard {
    fn from_iter<I: IntoIterator<Item = Atom>>(atoms: I) -> Self {
        Self { atoms: atoms.into_iter().collect(), opaque: SmallVec::new() }
    }
}
