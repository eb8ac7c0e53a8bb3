//! The syntax tree of a Weft file, exactly as the grammar of the reference manual has it: nothing is resolved, inlined or desugared here.
//!
//! Invariants that the parser guarantees and consumers may rely on:
//! - every node's [`Span`] lies in the file's source, on character boundaries, and encloses the spans of its children;
//! - lists that the grammar calls non-empty ([`Reduce`](ExprKind::Reduce) binders, [`Subscript`](ExprKind::Subscript) subscripts, pieces, declarations) are non-empty;
//! - an expression is at most [`MAX_DEPTH`](crate::syntax::MAX_DEPTH) nodes high, so recursive functions over it cannot exhaust the stack;
//! - integer literals fit an `i64`, float literals are finite;
//! - `return` and pieces occur only in functions, `out` only in layers.
//!
//! Names are not looked up: whether `t` is an index, a size or a tensor is the resolver's business, as is whether `f(x)` names a builtin.

use std::fmt;
use std::sync::Arc;

pub use super::words::{AxisRole, BinaryOp, CompareOp, Dtype, Reducer, UnaryOp};
use crate::diagnostics::{SourceId, Span};

/// A node of a plain type together with the place where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spanned<T> {
    /// The value.
    pub node: T,
    /// Where it stands.
    pub span: Span,
}

/// An identifier.
#[derive(Clone, PartialEq, Eq)]
pub struct Name {
    /// The identifier itself; cheap to clone.
    pub text: Arc<str>,
    /// Where it stands.
    pub span: Span,
}

impl Name {
    /// The identifier as a string slice.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}..{}", self.text, self.span.start, self.span.end)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A whole file: `{ use | group | fn | layer }`.
#[derive(Clone, Debug)]
pub struct File {
    /// The source that all spans of this tree point into.
    pub source: SourceId,
    /// The items in source order.
    pub items: Vec<Item>,
    /// All comments in source order. They mean nothing to the compiler; the formatter puts them back.
    pub comments: Vec<Comment>,
}

/// A comment from `#` to the end of its line.
#[derive(Clone, Debug)]
pub struct Comment {
    /// The text including `#`, without the line end and without trailing blanks.
    pub text: Arc<str>,
    /// Where it stands.
    pub span: Span,
    /// True if nothing but blanks stands before it on its line.
    pub own_line: bool,
}

/// A top-level item.
#[derive(Clone, Debug)]
pub enum Item {
    /// `use path.{a, b}`
    Use(Use),
    /// `group NAME[axes] { .. }`
    Group(Group),
    /// `fn NAME[axes](..) = ..`
    Fn(Fn),
    /// `layer NAME { .. }`
    Layer(Layer),
}

impl Item {
    /// The whole item, from its keyword to its last token.
    pub fn span(&self) -> Span {
        match self {
            Item::Use(x) => x.span,
            Item::Group(x) => x.span,
            Item::Fn(x) => x.span,
            Item::Layer(x) => x.span,
        }
    }
}

/// `use a.b.c` (all names of the module `a/b/c`) or `use a.b.{x, y}`.
#[derive(Clone, Debug)]
pub struct Use {
    /// The module's path.
    pub path: Path,
    /// The names taken from it; `None` takes all.
    pub names: Option<Vec<Name>>,
    /// The whole item.
    pub span: Span,
}

/// A named family of tensors, polymorphic in its axes: `group ssd_params[e, n] { wz[n,e], a_log[n] ~ log(uniform(1, 16)) }`.
#[derive(Clone, Debug)]
pub struct Group {
    /// The group's name.
    pub name: Name,
    /// Its formal axes.
    pub axes: Vec<Name>,
    /// Its tensors.
    pub fields: Vec<TensorDecl>,
    /// From `{` to `}`.
    pub body_span: Span,
    /// The whole item.
    pub span: Span,
}

/// A function.
#[derive(Clone, Debug)]
pub struct Fn {
    /// The function's name.
    pub name: Name,
    /// Formal axes in brackets; empty if there are none. An actual call may bind one of them to several axes.
    pub axes: Vec<Name>,
    /// Parameters in order.
    pub params: Vec<FnParam>,
    /// The named result `-> y[d]`, which pieces define.
    pub result: Option<FnResult>,
    /// The body.
    pub body: FnBody,
    /// From `{` to `}`, or the expression after `=`.
    pub body_span: Span,
    /// The whole item.
    pub span: Span,
}

/// One parameter of a function.
#[derive(Clone, Debug)]
pub enum FnParam {
    /// A value: a tensor over (some of) the formal axes, or a scalar.
    Tensor(FnTensor),
    /// A parameter group: `p: ssd_params[e, hs]`.
    Group(GroupUse),
}

/// `NAME [axes] [where NAME axes] [: dtype] [= default]`.
#[derive(Clone, Debug)]
pub struct FnTensor {
    /// The parameter's name.
    pub name: Name,
    /// The axes at which the body addresses it; all other axes of an argument ride along.
    pub axes: Vec<Name>,
    /// The name under which the body knows the argument's guard (`z[j] where pool[j]`).
    pub guard: Option<GuardParam>,
    /// The required element type.
    pub dtype: Option<Spanned<Dtype>>,
    /// The value of an argument that is left out.
    pub default: Option<Expr>,
    /// The whole parameter.
    pub span: Span,
}

/// The guard of an argument, as a function's parameter: `where pool[j]`.
#[derive(Clone, Debug)]
pub struct GuardParam {
    /// Its name.
    pub name: Name,
    /// The axes at which the body addresses it.
    pub axes: Vec<Name>,
    /// From the name to the closing bracket.
    pub span: Span,
}

/// The named result of a function: `-> y[d]`.
#[derive(Clone, Debug)]
pub struct FnResult {
    /// Its name.
    pub name: Name,
    /// Its axes.
    pub axes: Vec<Name>,
    /// From the name to the closing bracket.
    pub span: Span,
}

/// What a function computes.
#[derive(Clone, Debug)]
pub enum FnBody {
    /// `= expr`
    Expr(Expr),
    /// `{ stmt .. }`
    Block(Vec<Stmt>),
}

/// A layer: what is compiled.
#[derive(Clone, Debug)]
pub struct Layer {
    /// Its name.
    pub name: Name,
    /// Declarations and statements in source order.
    pub items: Vec<LayerItem>,
    /// From `{` to `}`.
    pub body_span: Span,
    /// The whole item.
    pub span: Span,
}

/// One line of a layer.
#[derive(Clone, Debug)]
pub enum LayerItem {
    /// A declaration other than `index` (which functions have too, and which is therefore a statement).
    Decl(Decl),
    /// A statement.
    Stmt(Stmt),
}

impl LayerItem {
    /// The whole declaration or statement.
    pub fn span(&self) -> Span {
        match self {
            LayerItem::Decl(x) => x.span,
            LayerItem::Stmt(x) => x.span,
        }
    }
}

/// A declaration.
#[derive(Clone, Debug)]
pub struct Decl {
    /// Which.
    pub kind: DeclKind,
    /// From the keyword to the last entry.
    pub span: Span,
}

/// The declarations that only layers have. Each keyword may be followed by several entries.
#[derive(Clone, Debug)]
pub enum DeclKind {
    /// `size E = 512, D = 64`: integers with defaults, set by `-D`.
    Size(Vec<ValueDecl>),
    /// `const GAMMA = 1`: reals with defaults, set by `-D`.
    Const(Vec<ValueDecl>),
    /// `require E == H * D`: facts.
    Require(Vec<Expr>),
    /// `axis b, t: time, c = |t| // LB`: axes with a runtime or derived extent.
    Axis(Vec<AxisDecl>),
    /// `in x[b,t,e]`
    In(Vec<OperandDecl>),
    /// `param wq[h,d,e] ~ normal(0, 0.02), k: ssd_params[e, hs]`
    Param(Vec<OperandDecl>),
}

/// `NAME = expr` in `size` and `const`.
#[derive(Clone, Debug)]
pub struct ValueDecl {
    /// The name.
    pub name: Name,
    /// The default, a constant expression of earlier sizes and constants.
    pub value: Expr,
    /// The whole entry.
    pub span: Span,
}

/// `NAME [: time] [= extent]` in `axis`; the axis is its first index.
#[derive(Clone, Debug)]
pub struct AxisDecl {
    /// The axis, and its first index.
    pub name: Name,
    /// Its role, if any.
    pub role: Option<Spanned<AxisRole>>,
    /// The extent where it is derived from others; else the inputs give it.
    pub extent: Option<Expr>,
    /// The whole entry.
    pub span: Span,
}

/// An entry of `in` and `param`.
#[derive(Clone, Debug)]
pub enum OperandDecl {
    /// A tensor.
    Tensor(TensorDecl),
    /// A group of tensors.
    Group(GroupUse),
}

/// `NAME [axes] [: dtype] [~ init]`.
#[derive(Clone, Debug)]
pub struct TensorDecl {
    /// The tensor's name.
    pub name: Name,
    /// Its axes in the order of its layout; empty for a scalar.
    pub axes: Vec<Name>,
    /// Its element type; unannotated is the type parameter `float`.
    pub dtype: Option<Spanned<Dtype>>,
    /// The distribution of initial values: `~ normal(0, 0.02)`.
    pub init: Option<Expr>,
    /// The whole entry.
    pub span: Span,
}

/// `NAME : GROUP axes`.
#[derive(Clone, Debug)]
pub struct GroupUse {
    /// The name of the instance: its tensors are `name.field`.
    pub name: Name,
    /// The group.
    pub group: Name,
    /// The actual axes.
    pub axes: Vec<Name>,
    /// The whole entry.
    pub span: Span,
}

/// A statement.
#[derive(Clone, Debug)]
pub struct Stmt {
    /// Which.
    pub kind: StmtKind,
    /// From the first to the last token.
    pub span: Span,
}

/// The statements of layers and function bodies.
#[derive(Clone, Debug)]
pub enum StmtKind {
    /// `let q[b,t] = ..`
    Let(Binding),
    /// `rec S[t,n] = ..`: may read itself at `t-1`.
    Rec(Binding),
    /// `out y[b,t,e] = ..` (layers only)
    Out(Binding),
    /// `y[2*i + 1] = ..`: a piece of the function's named result (functions only).
    Piece(Piece),
    /// `index i, j: t, e: E`
    Index(Vec<IndexDecl>),
    /// `return ..` (functions only)
    Return(Expr),
}

/// The definition of a value.
#[derive(Clone, Debug)]
pub struct Binding {
    /// Its name.
    pub name: Name,
    /// Its indices in order; empty for a scalar.
    pub axes: Vec<Name>,
    /// Its element type, where it is pinned.
    pub dtype: Option<Spanned<Dtype>>,
    /// Its value at those indices.
    pub value: Expr,
}

/// `NAME[subscripts] = value`.
#[derive(Clone, Debug)]
pub struct Piece {
    /// The result that it is a piece of.
    pub name: Name,
    /// Affine expressions of local indices.
    pub subscripts: Vec<Expr>,
    /// The value there.
    pub value: Expr,
}

/// `i, j: domain` in `index`.
#[derive(Clone, Debug)]
pub struct IndexDecl {
    /// The indices.
    pub names: Vec<Name>,
    /// A lone name of an index means the same axis as that index; anything else is the number of values.
    pub domain: Expr,
    /// The whole entry.
    pub span: Span,
}

/// An expression.
#[derive(Clone, Debug)]
pub struct Expr {
    /// Which.
    pub kind: ExprKind,
    /// From the first to the last token; parentheses around the whole expression are included.
    pub span: Span,
    /// True if the source has parentheses around it. Means nothing; the formatter keeps what a reader was given.
    pub parens: bool,
}

/// A value's name: `x`, or `k.wz` for a tensor of a group.
#[derive(Clone, Debug)]
pub struct Path {
    /// At least one.
    pub segments: Vec<Name>,
    /// From the first to the last segment.
    pub span: Span,
}

impl Path {
    /// The name if there is only one segment.
    pub fn as_name(&self) -> Option<&Name> {
        match self.segments.as_slice() {
            [name] => Some(name),
            _ => None,
        }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, name) in self.segments.iter().enumerate() {
            if i > 0 {
                f.write_str(".")?;
            }
            f.write_str(&name.text)?;
        }
        Ok(())
    }
}

/// The forms of expressions, loosest first.
#[derive(Clone, Debug)]
pub enum ExprKind {
    /// `if cond then yes else no`
    If {
        /// The condition.
        cond: Box<Expr>,
        /// The value where it holds.
        yes: Box<Expr>,
        /// The value elsewhere.
        no: Box<Expr>,
    },
    /// `a or b`, `a + b`, `a^b` ..
    Binary {
        /// The operator.
        op: BinaryOp,
        /// The left operand.
        lhs: Box<Expr>,
        /// The right operand.
        rhs: Box<Expr>,
    },
    /// `0 <= t - j < W`: all neighbouring pairs hold. Operands: `first`, then those of `rest` (at least one).
    Compare {
        /// The first operand.
        first: Box<Expr>,
        /// The operators, each with the operand on its right.
        rest: Vec<(CompareOp, Expr)>,
    },
    /// `-x`, `not p`
    Unary {
        /// The operator.
        op: UnaryOp,
        /// Its operand.
        operand: Box<Expr>,
    },
    /// `42`
    Int(i64),
    /// `1e-5`
    Float {
        /// The nearest double.
        value: f64,
        /// As it is written.
        text: Arc<str>,
    },
    /// `|t|`, the number of values of an index.
    Extent(Name),
    /// A value without subscripts: at its declared indices. Also indices, sizes and constants.
    Ref(Path),
    /// `x[b, t - 1, e]`
    Subscript {
        /// The value.
        base: Path,
        /// One or more integer expressions.
        subscripts: Vec<Expr>,
    },
    /// `sum(j, d: value where guard)`: binds and removes the indices.
    Reduce {
        /// Which reducer.
        op: Spanned<Reducer>,
        /// The bound indices, at least one.
        binders: Vec<Name>,
        /// What is reduced.
        arg: Box<Arg>,
    },
    /// `f(x)`, `softmax[j](s where p)`: a function or builtin, applied over the bracketed axes.
    Call {
        /// The function.
        callee: Name,
        /// The bracketed axes; empty if there are no brackets.
        axes: Vec<Name>,
        /// The arguments.
        args: Vec<Arg>,
    },
}

/// An argument: `value where guard`.
#[derive(Clone, Debug)]
pub struct Arg {
    /// The value.
    pub value: Expr,
    /// Where it counts; absent is everywhere.
    pub guard: Option<Expr>,
    /// The whole argument.
    pub span: Span,
}
