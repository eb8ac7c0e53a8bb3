//! Plans, buffers, kernels and their statements.

use super::expr::{Atom, Expr, Guard};
use super::ids::{AxisId, AxisSet, BufferId, ExtentId, KernelId, ParamId, ScratchId, ValueId, VarId};
use super::ops::{Access, Inst};
use super::types::{ElemType, Literal, Type};

/// What a parameter is for; the two differ only in who may change it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ParamKind {
    /// A size of the computation: `size D = 64`.
    Size,
    /// A tile extent, free to choose: `tile BQ = 32`. Results do not depend on it.
    Tile,
}

/// A named integer that is known before the plan runs: a static size or a tile extent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Param {
    /// Name, unique in the plan.
    pub name: String,
    /// Its use.
    pub kind: ParamKind,
    /// Its value.
    pub value: i64,
}

/// A run-time extent: `B`, or `T[B]`, whose value `T[b]` differs along `B`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Extent {
    /// Name, unique in the plan.
    pub name: String,
    /// The extent along which this one is ragged.
    pub over: Option<ExtentId>,
}

/// What a buffer is to the caller.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Role {
    /// Given by the caller for each run.
    Input,
    /// Given by the caller; the same for many runs.
    Param,
    /// Returned to the caller.
    Output,
    /// Workspace.
    Temp,
    /// Workspace that holds integer or boolean choices, computed once and returned on request.
    Decision,
}

impl Role {
    /// Every role with its name in the text form.
    pub const ALL: [(Self, &'static str); 5] = [
        (Self::Input, "input"),
        (Self::Param, "param"),
        (Self::Output, "output"),
        (Self::Temp, "temp"),
        (Self::Decision, "decision"),
    ];

    /// Name in the text form.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(r, _)| *r == self).map_or("?", |(_, n)| n)
    }
    /// Does the caller fill the buffer before the plan runs?
    pub fn is_given(self) -> bool {
        matches!(self, Self::Input | Self::Param)
    }
}

/// A dimension of a buffer: an index name and how far the index runs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Dim {
    /// Name by which the extents of later dimensions speak of this index.
    pub name: String,
    /// Number of elements that exist, over extents, parameters and indices of earlier dimensions ([`Expr::Dim`]). In memory
    /// every row has the same length: the extent with each `T[b]` replaced by the largest, `T`.
    pub extent: Expr,
}

/// A tensor in memory, row-major, ragged dimensions padded to the longest.
#[derive(Clone, PartialEq, Debug)]
pub struct Buffer {
    /// Name, unique in the plan.
    pub name: String,
    /// Element type.
    pub elem: ElemType,
    /// Dimensions, outermost first.
    pub dims: Vec<Dim>,
    /// What it is to the caller.
    pub role: Role,
    /// Integers: every element that is read lies in `lo..hi`. A promise of the caller or of the kernel that writes the
    /// buffer; it lets elements be used as indices. The interpreter checks it at every write and for every input.
    pub range: Option<(Expr, Expr)>,
    /// The value of all elements before the plan runs (for buffers that are accumulated into).
    pub init: Option<Literal>,
}

/// A program: kernels in dependence order over buffers.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct Plan {
    /// Name.
    pub name: String,
    /// Static sizes and tile extents.
    pub params: Vec<Param>,
    /// Run-time extents.
    pub extents: Vec<Extent>,
    /// Buffers.
    pub buffers: Vec<Buffer>,
    /// Kernels; each may read what earlier ones wrote.
    pub kernels: Vec<Kernel>,
}

/// One axis of a kernel's parallel index space.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GridAxis {
    /// The index, `0..extent`.
    pub var: VarId,
    /// Extent, over extents, parameters and earlier grid axes.
    pub extent: Expr,
}

/// A tile axis: a named axis of static extent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Axis {
    /// Name, unique in the kernel.
    pub name: String,
    /// Extent: static.
    pub extent: Expr,
    /// Elements for which this is false are padding: what is computed there must reach no store, and `full` claims do not
    /// cover it. Over the axis itself and grid variables. Axes of loops need none: there the loop's bounds say it.
    pub valid: Guard,
}

/// How an integer scalar is defined.
#[derive(Clone, PartialEq, Debug)]
pub enum VarDef {
    /// An index of the grid.
    Grid,
    /// The start of the current tile of a loop: `lo, lo + step, ..`.
    LoopIndex,
    /// The position of a loop's elements: for a dense loop `index + axis`, for a strided one `base + stride*(index + axis)`,
    /// for a point the point. Spelled out here.
    Position(Expr),
    /// The position of a list loop's elements: the entry `index + axis` of the list. Undefined on padding.
    Entry(Access),
    /// `let v = expr`. May vary over tile axes: then it is a name for an index expression.
    Let(Expr),
    /// `let v = load buf[..]`: one element of an integer buffer.
    Load(Access),
    /// `let v = scalar %x`: the single element of a rank-0 integer tile.
    Scalar(ValueId),
}

/// An integer scalar (or a named index expression) of a kernel.
#[derive(Clone, PartialEq, Debug)]
pub struct Var {
    /// Name, unique in the kernel.
    pub name: String,
    /// Definition.
    pub def: VarDef,
    /// Tile axes over which it varies.
    pub axes: AxisSet,
}

/// A tile value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Value {
    /// Name, unique in the kernel, without the `%`.
    pub name: String,
    /// Type.
    pub ty: Type,
}

/// A mutable table on chip; each grid point has its own.
#[derive(Clone, PartialEq, Debug)]
pub struct Scratch {
    /// Name, unique in the kernel and among the buffers.
    pub name: String,
    /// Element type.
    pub elem: ElemType,
    /// Dimensions: static.
    pub dims: Vec<Expr>,
    /// The value of all elements when a grid point starts; none: they must be written before they are read.
    pub init: Option<Literal>,
}

/// A kernel: straight-line and structured tile code, run once for every point of the grid, in any order.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct Kernel {
    /// Name, unique in the plan.
    pub name: String,
    /// Parallel index space.
    pub grid: Vec<GridAxis>,
    /// Tile axes.
    pub axes: Vec<Axis>,
    /// The tile axis that is best vectorised: a hint.
    pub lanes: Option<AxisId>,
    /// On-chip tables.
    pub scratch: Vec<Scratch>,
    /// Integer scalars, grid and loop variables included.
    pub vars: Vec<Var>,
    /// Tile values.
    pub values: Vec<Value>,
    /// Statements.
    pub body: Vec<Stmt>,
}

/// A statement.
#[derive(Clone, PartialEq, Debug)]
pub enum Stmt {
    /// Defines an integer scalar; the definition is in the kernel's table.
    Let(VarId),
    /// Tile code.
    Inst(Box<Inst>),
    /// An ordered loop.
    Loop(Box<Loop>),
    /// A bounded loop under a condition.
    While(Box<While>),
    /// A uniform branch.
    If(Box<If>),
}

/// The elements over which a loop runs.
#[derive(Clone, PartialEq, Debug)]
pub enum Domain {
    /// Positions `lo..hi`.
    Dense {
        /// First position.
        lo: Expr,
        /// One past the last.
        hi: Expr,
    },
    /// Positions `base + stride*c` for c in `lo..hi`.
    Strided {
        /// Position of c = 0.
        base: Expr,
        /// Distance of neighbours: static and positive.
        stride: Expr,
        /// First c.
        lo: Expr,
        /// One past the last c.
        hi: Expr,
    },
    /// Positions `list[.., c]` for c in `0..count`.
    List {
        /// An integer buffer with all indices but the last.
        list: Access,
        /// Number of entries.
        count: Expr,
    },
    /// Entries `0..count` of a table: static.
    Table {
        /// Number of entries.
        count: Expr,
    },
    /// One position, without an axis: the body runs once.
    Point {
        /// The position.
        at: Expr,
    },
}

/// A value that goes from one iteration to the next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Carried {
    /// Its name inside the body.
    pub param: ValueId,
    /// Its value before the first iteration; of the same type.
    pub init: ValueId,
}

/// `results = loop index at pos over axis in domain full [lo, hi) carry (..) { body; yield .. }`.
///
/// Runs for index = lo, lo + step, .. below hi, in order, where step is the extent of the axis (a point: once). The elements of an
/// iteration are `index + axis`; those at or above `hi` are padding, and guards in the body must exclude them.
#[derive(Clone, PartialEq, Debug)]
pub struct Loop {
    /// Start of the tile.
    pub index: VarId,
    /// Position of an element.
    pub pos: VarId,
    /// The axis of the elements; none for a point, and for a loop that goes one by one without an axis.
    pub axis: Option<AxisId>,
    /// The elements.
    pub domain: Domain,
    /// In iterations whose elements all lie in this range of the index (c of a strided loop, the entry of a list), every atom that
    /// speaks of the loop's index, position or axis and not of data ([`Kernel::is_claimed`]), in any guard of the body, is true at
    /// all elements that are not padding of other axes: code for them may leave those atoms out.
    pub full: Option<(Expr, Expr)>,
    /// Values carried from iteration to iteration.
    pub carried: Vec<Carried>,
    /// Statements.
    pub body: Vec<Stmt>,
    /// The carried values after an iteration.
    pub yields: Vec<ValueId>,
    /// The carried values after the loop.
    pub results: Vec<ValueId>,
}

/// `results = while max BOUND carry (%go = .., ..) { body; yield .. }`: repeats while the first carried value, a rank-0 bool, is true.
#[derive(Clone, PartialEq, Debug)]
pub struct While {
    /// Greatest number of iterations; more is an error of the program.
    pub bound: Expr,
    /// Values carried from iteration to iteration; the first is the condition.
    pub carried: Vec<Carried>,
    /// Statements.
    pub body: Vec<Stmt>,
    /// The carried values after an iteration.
    pub yields: Vec<ValueId>,
    /// The carried values after the loop.
    pub results: Vec<ValueId>,
}

/// `results = if [cond] { ..; yield .. } else { ..; yield .. }`; the condition is the same for all elements.
#[derive(Clone, PartialEq, Debug)]
pub struct If {
    /// Condition: no tile axes.
    pub cond: Guard,
    /// Statements where it holds.
    pub then_body: Vec<Stmt>,
    /// Results where it holds.
    pub then_yields: Vec<ValueId>,
    /// Statements where it does not.
    pub else_body: Vec<Stmt>,
    /// Results where it does not.
    pub else_yields: Vec<ValueId>,
    /// Values of the branch that was taken.
    pub results: Vec<ValueId>,
}

macro_rules! lookups {
    ($($(#[$doc:meta])* $owner:ident . $table:ident: $get:ident ($id:ident) -> $item:ident;)*) => {$(
        impl $owner {
            $(#[$doc])*
            pub fn $get(&self, id: $id) -> Option<&$item> { self.$table.get(id.index()) }
        }
    )*};
}

lookups! {
    /// The parameter of that id.
    Plan.params: param(ParamId) -> Param;
    /// The extent of that id.
    Plan.extents: extent(ExtentId) -> Extent;
    /// The buffer of that id.
    Plan.buffers: buffer(BufferId) -> Buffer;
    /// The kernel of that id.
    Plan.kernels: kernel(KernelId) -> Kernel;
    /// The axis of that id.
    Kernel.axes: axis(AxisId) -> Axis;
    /// The scalar of that id.
    Kernel.vars: var(VarId) -> Var;
    /// The value of that id.
    Kernel.values: value(ValueId) -> Value;
    /// The scratch table of that id.
    Kernel.scratch: scratch_table(ScratchId) -> Scratch;
}

impl Plan {
    /// The value of a static expression; `None` if it is not static, overflows, or divides by what is not positive.
    pub fn static_value(&self, expr: &Expr) -> Option<i64> {
        match expr {
            Expr::Const(n) => Some(*n),
            Expr::Param(p) => self.param(*p).map(|p| p.value),
            Expr::Binary(op, a, b) => op.eval(self.static_value(a)?, self.static_value(b)?),
            _ => None,
        }
    }
    /// Sets a parameter by name; false if there is none of that name. The plan must be verified again.
    pub fn set_param(&mut self, name: &str, value: i64) -> bool {
        let found = self.params.iter_mut().find(|p| p.name == name);
        let known = found.is_some();
        if let Some(param) = found {
            param.value = value;
        }
        known
    }
    /// The buffer of that name.
    pub fn buffer_named(&self, name: &str) -> Option<BufferId> {
        self.buffers.iter().position(|b| b.name == name).map(BufferId::new)
    }
}

impl Kernel {
    /// Static extent of a tile axis.
    pub fn axis_extent(&self, plan: &Plan, axis: AxisId) -> Option<i64> {
        plan.static_value(&self.axis(axis)?.extent)
    }
    /// Type of a value.
    pub fn value_type(&self, value: ValueId) -> Option<Type> {
        self.value(value).map(|v| v.ty)
    }
    /// The tile axes over which an expression varies.
    pub fn expr_axes(&self, expr: &Expr) -> AxisSet {
        let mut axes = AxisSet::EMPTY;
        expr.visit(&mut |e| match e {
            Expr::Axis(a) => axes.insert(*a),
            Expr::Var(v) => axes = axes.union(self.var(*v).map_or(AxisSet::EMPTY, |v| v.axes)),
            Expr::Value(v) => axes = axes.union(self.value_type(*v).map_or(AxisSet::EMPTY, |t| t.axes)),
            _ => {}
        });
        axes
    }
    /// The tile axes over which a guard varies.
    pub fn guard_axes(&self, guard: &Guard) -> AxisSet {
        let atoms = guard.atoms.iter().map(|a| self.expr_axes(&a.lhs).union(self.expr_axes(&a.rhs)));
        let opaque = guard.opaque.iter().map(|v| self.value_type(*v).map_or(AxisSet::EMPTY, |t| t.axes));
        atoms.chain(opaque).fold(AxisSet::EMPTY, AxisSet::union)
    }
    /// Does a loop's `full` range claim the atom? It claims those that speak of the loop and do not depend on data (on integer
    /// tiles, entries of lists, scalars that were loaded): only those may be left out.
    pub fn is_claimed(&self, atom: &Atom, l: &Loop) -> bool {
        let sides = [&atom.lhs, &atom.rhs];
        sides.iter().any(|e| self.speaks_of(e, l)) && !sides.iter().any(|e| self.depends_on_data(e))
    }
    fn depends_on_data(&self, expr: &Expr) -> bool {
        let mut found = false;
        expr.visit(&mut |e| {
            found |= match e {
                Expr::Value(_) => true,
                Expr::Var(v) => match self.var(*v).map(|var| &var.def) {
                    Some(VarDef::Let(e) | VarDef::Position(e)) => self.depends_on_data(e),
                    Some(VarDef::Load(_) | VarDef::Entry(_) | VarDef::Scalar(_)) => true,
                    _ => false,
                },
                _ => false,
            };
        });
        found
    }
    /// Does an expression speak of a loop: of its index, position or axis, directly or through other scalars?
    pub fn speaks_of(&self, expr: &Expr, l: &Loop) -> bool {
        let on_axis = |axes: AxisSet| l.axis.is_some_and(|a| axes.contains(a));
        let mut found = false;
        expr.visit(&mut |e| {
            found |= match e {
                Expr::Axis(a) => Some(*a) == l.axis,
                Expr::Value(v) => self.value_type(*v).is_some_and(|t| on_axis(t.axes)),
                Expr::Var(v) if *v == l.index || *v == l.pos => true,
                // A definition speaks only of scalars before it, so this ends.
                Expr::Var(v) => match self.var(*v).map(|var| &var.def) {
                    Some(VarDef::Let(e) | VarDef::Position(e)) => self.speaks_of(e, l),
                    Some(VarDef::Load(a) | VarDef::Entry(a)) => a.index.iter().any(|e| self.speaks_of(e, l)),
                    _ => false,
                },
                _ => false,
            };
        });
        found
    }
    /// The tile axes over which an access varies.
    pub fn access_axes(&self, access: &Access) -> AxisSet {
        access.index.iter().map(|e| self.expr_axes(e)).fold(AxisSet::EMPTY, AxisSet::union)
    }
}

impl Domain {
    /// One past the last index; none for a point.
    pub fn end(&self) -> Option<&Expr> {
        match self {
            Self::Dense { hi, .. } | Self::Strided { hi, .. } => Some(hi),
            Self::List { count, .. } | Self::Table { count } => Some(count),
            Self::Point { .. } => None,
        }
    }
}

impl Access {
    /// The access to entry `index + axis` of a list loop.
    #[must_use]
    pub fn entry(&self, index: VarId, axis: Option<AxisId>) -> Self {
        let mut access = self.clone();
        let at = Expr::from(index);
        access.index.push(match axis {
            Some(axis) => at + axis,
            None => at,
        });
        access
    }
}
