//! The op table: every tile statement's name, operands, results, attributes and meaning, in one place.
//!
//! Printing, parsing, [`docs`] and the shape checks of the verifier follow from [`OpCode::spec`]. To add an op: one entry here,
//! one arm in `typing`, one arm in `interp`.

use smallvec::SmallVec;

use super::expr::{Expr, Guard};
use super::ids::{AxisId, AxisSet, BufferId, ScratchId, ValueId};
use super::types::{ElemType, Literal};
use crate::elementwise::MapFn;

/// The associative operation of a reduction, a scan or an accumulation.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Monoid {
    /// Addition.
    Sum,
    /// Product.
    Prod,
    /// Maximum; empty: -inf (integers: the least).
    Max,
    /// Minimum; empty: inf (integers: the greatest).
    Min,
    /// Disjunction of booleans; empty: false.
    Any,
    /// Conjunction of booleans; empty: true.
    All,
    /// The largest with its payload; ties take the smallest payload; empty: (-inf, -1).
    ArgMax,
    /// The smallest with its payload; ties take the smallest payload; empty: (inf, -1).
    ArgMin,
    /// Composition of affine maps `h -> a*h + b`, first to last: the monoid of linear recurrences. In scans only.
    Affine,
}

impl Monoid {
    /// Every monoid with its name in the text form.
    pub const ALL: [(Self, &'static str); 9] = [
        (Self::Sum, "sum"),
        (Self::Prod, "prod"),
        (Self::Max, "max"),
        (Self::Min, "min"),
        (Self::Any, "any"),
        (Self::All, "all"),
        (Self::ArgMax, "argmax"),
        (Self::ArgMin, "argmin"),
        (Self::Affine, "affine"),
    ];

    /// Name in the text form.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(m, _)| *m == self).map_or("?", |(_, n)| n)
    }
}

/// How concurrent contributions to one element of a buffer are put together: the determinism contract of `accum`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum AccumMode {
    /// No element receives contributions from two grid points.
    Exclusive,
    /// Contributions of different grid points are added in the order of the grid.
    Ordered,
    /// Each grid point's contributions are kept apart and added afterwards in the order of the grid.
    Staged,
    /// Any order; results may differ from run to run by rounding.
    Atomic,
}

impl AccumMode {
    /// Every mode with its name in the text form.
    pub const ALL: [(Self, &'static str); 4] = [
        (Self::Exclusive, "exclusive"),
        (Self::Ordered, "ordered"),
        (Self::Staged, "staged"),
        (Self::Atomic, "atomic"),
    ];

    /// Name in the text form.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(m, _)| *m == self).map_or("?", |(_, n)| n)
    }
}

/// What an access names.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Place {
    /// A buffer of the plan.
    Buffer(BufferId),
    /// A scratch table of the kernel.
    Scratch(ScratchId),
}

/// `name[e0, e1, ..]`: one index expression for each dimension of a buffer or a scratch table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Access {
    /// What is read or written.
    pub place: Place,
    /// Indices in the order of the dimensions.
    pub index: Vec<Expr>,
}

impl Access {
    /// An access to a buffer.
    pub fn buffer(buffer: BufferId, index: impl IntoIterator<Item = Expr>) -> Self {
        Self { place: Place::Buffer(buffer), index: index.into_iter().collect() }
    }
    /// An access to a scratch table.
    pub fn scratch(scratch: ScratchId, index: impl IntoIterator<Item = Expr>) -> Self {
        Self { place: Place::Scratch(scratch), index: index.into_iter().collect() }
    }
}

/// An attribute that an op may carry, with its notation.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum AttrKind {
    /// `name[..]` right after the op's name.
    Access,
    /// The elementwise function; its name stands as the op's name.
    Function,
    /// A literal right after the op's name.
    Value,
    /// `at EXPR`
    At,
    /// `as TYPE`
    As,
    /// `on [axes]`
    On,
    /// `by MONOID`
    By,
    /// `over AXES`
    Over,
    /// `to AXIS`
    To,
    /// `where [guard]`
    Where,
    /// `else LITERAL`
    Else,
    /// `mode MODE`
    Mode,
    /// `rev`
    Rev,
    /// `excl`
    Excl,
}

/// Values of the attributes; which of them an op has is in its [`OpSpec`].
#[derive(Clone, PartialEq, Default, Debug)]
pub struct Attrs {
    /// What is read or written.
    pub access: Option<Access>,
    /// The elementwise function of `map`.
    pub function: Option<MapFn>,
    /// The constant of `fill`.
    pub value: Option<Literal>,
    /// The index expression of `index` and `take`.
    pub at: Option<Expr>,
    /// The element type of the result.
    pub elem: Option<ElemType>,
    /// The axes of the result of `fill` and `expand`.
    pub on: AxisSet,
    /// The associative operation.
    pub monoid: Option<Monoid>,
    /// The axes that are reduced, contracted, scanned or searched.
    pub over: AxisSet,
    /// The new axis of `topk`, `compact` and `rename`.
    pub to: Option<AxisId>,
    /// Where the op takes part; elsewhere see the op's entry.
    pub guard: Guard,
    /// What `load` and `table_read` yield where the guard is false; absent: undefined elements, which must not be used.
    pub otherwise: Option<Literal>,
    /// How `accum` puts contributions together.
    pub mode: Option<AccumMode>,
    /// A scan from the last element to the first.
    pub rev: bool,
    /// A scan whose element does not include itself.
    pub excl: bool,
}

/// One statement of tile code: `%results = op %args attributes`.
#[derive(Clone, PartialEq, Debug)]
pub struct Inst {
    /// The op.
    pub op: OpCode,
    /// Operands.
    pub args: SmallVec<[ValueId; 4]>,
    /// Attributes.
    pub attrs: Attrs,
    /// Values that the statement defines.
    pub results: SmallVec<[ValueId; 3]>,
}

/// How many results an op has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Results {
    /// Always this number.
    Exactly(usize),
    /// One, or two (value and payload) for `argmin` and `argmax`.
    Reduce,
    /// As many as operands.
    LikeOperands,
    /// Half as many as operands.
    HalfOfOperands,
}

/// An op's entry in the table.
#[derive(Clone, Copy, Debug)]
pub struct OpSpec {
    /// The op.
    pub code: OpCode,
    /// Name in the text form.
    pub name: &'static str,
    /// Least and greatest number of operands.
    pub operands: (usize, usize),
    /// Number of results.
    pub results: Results,
    /// Attributes that must be given.
    pub required: &'static [AttrKind],
    /// Attributes that may be given.
    pub optional: &'static [AttrKind],
    /// Operands and meaning.
    pub doc: &'static str,
}

macro_rules! op_table {
    ($($code:ident $name:literal ($lo:expr, $hi:expr) -> $results:expr; [$($req:ident)*] [$($opt:ident)*] $doc:literal)*) => {
        /// The ops. The meaning of each is in the table ([`OpCode::spec`], [`docs`]).
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum OpCode { $(#[doc = $doc] $code),* }

        impl OpCode {
            /// Every op, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$code),*];

            /// The op's entry.
            pub fn spec(self) -> &'static OpSpec {
                match self {
                    $(Self::$code => {
                        static SPEC: OpSpec = OpSpec {
                            code: OpCode::$code, name: $name, operands: ($lo, $hi), results: $results,
                            required: &[$(AttrKind::$req),*], optional: &[$(AttrKind::$opt),*], doc: $doc,
                        };
                        &SPEC
                    })*
                }
            }
        }
    };
}

/// No upper bound on the number of operands.
pub const MANY: usize = usize::MAX;

use Results::{Exactly, HalfOfOperands, LikeOperands, Reduce};

op_table! {
    Index "index" (0, 0) -> Exactly(1); [At As] []
        "An index expression as a tile: its value at each element, over the axes that occur in it."
    Fill "fill" (0, 0) -> Exactly(1); [Value As] [On]
        "A constant tile over the axes `on` (none: one element)."
    Load "load" (0, 0) -> Exactly(1); [Access] [Where Else]
        "Elements of a buffer; axes are those of the map. Where the guard is false memory is not touched and the element is the `else` constant, or undefined without one."
    Store "store" (1, 1) -> Exactly(0); [Access] [Where]
        "Writes a tile into a buffer where the guard holds. The map is injective over the grid and the tile."
    Accum "accum" (1, 1) -> Exactly(0); [Access Mode] [By Where]
        "Adds (or `by` max, min) a tile into a buffer, several elements possibly into one; `mode` says who else may contribute and in which order. The kernel may not read the buffer otherwise."
    Map "map" (1, MANY) -> Exactly(1); [Function] []
        "An elementwise function; operands are broadcast over the union of their axes. Written as the function's name."
    Cast "cast" (1, 1) -> Exactly(1); [As] []
        "Conversion of the element type: float to float rounds, float to integer rounds towards minus infinity, integer to float is exact up to rounding, bool gives 0 or 1, and number to bool tests for not 0."
    Select "select" (3, 3) -> Exactly(1); [] []
        "`select c, a, b`: a where c, else b; the other is not looked at."
    Expand "expand" (1, 1) -> Exactly(1); [On] []
        "The same value over more axes: those of the operand and `on`."
    Rename "rename" (1, 1) -> Exactly(1); [Over To] []
        "The same tile with axis `over` called `to`; both have the same extent."
    Take "take" (1, 1) -> Exactly(1); [Over At] []
        "The elements at position `at` along axis `over` of a tile; `at` may vary over other axes (a gather inside the tile)."
    Dot "dot" (2, 3) -> Exactly(1); [Over] [As Where]
        "`dot a, b [, c]`: (c +) the sum over axes `over` of a*b, over the union of the other axes. Result type: that of the operands, f32 for bf16, or `as`. Where a guard is given, products where it is false are left out; operands are 0 on padding."
    Reduce "reduce" (1, 2) -> Reduce; [By Over] [Where]
        "Reduction over axes `over` by a monoid, of the elements where the guard holds. `reduce x, p by argmin` takes an integer payload p and gives the best value and its payload."
    Scan "scan" (1, 3) -> Exactly(1); [By Over] [Rev Excl]
        "Prefix reduction along one axis: `scan x [, init]`; `scan a, b [, init] by affine` is the recurrence h = a*h + b from init (else 0). `excl`: without the element itself; `rev`: from the last."
    Online "online" (2, 2) -> Exactly(3); [] [Over Where]
        "`m1, r, w = online s, m0`: running maximum m1 = max(m0, max of s over `over` (none: of one score), where the guard holds), r = exp(m0 - m1), w = exp(s - m1) where the guard holds, else 0. With m1 = -inf: r = 1, w = 0."
    Rescale "rescale" (2, 2) -> Exactly(1); [] []
        "`rescale x, r`: x * r, and 0 where r is 0 (r from `online`). Every carry under one running maximum is rescaled in every stream."
    Merge "merge" (2, MANY) -> HalfOfOperands; [] []
        "`m, x.. = merge m1, x1.., m2, x2..`: two states scaled by exp(m1) and exp(m2) as one: m = max, x = x1 exp(m1-m) + x2 exp(m2-m)."
    Combine "combine" (1, MANY) -> LikeOperands; [Over] [Where]
        "`m, x.. = combine ms, xs..`: the states of a reduction that was split along axis `over`, each scaled by its exp(ms), as one, in the order of the axis."
    TableRead "table_read" (0, 0) -> Exactly(1); [Access] [Where Else]
        "Elements of a scratch table, as `load`."
    TableSet "table_set" (1, 1) -> Exactly(0); [Access] [Where]
        "Writes a tile into a scratch table where the guard holds; the map is injective over the tile."
    TableAdd "table_add" (1, 1) -> Exactly(0); [Access] [By Where]
        "Adds (or `by` max, min) a tile into a scratch table, several elements possibly into one, in the order of the tile."
    Hist "hist" (0, 0) -> Exactly(0); [Access] [Where]
        "Adds 1 into an integer scratch table for every element of the map where the guard holds."
    TopK "topk" (1, 2) -> Exactly(2); [Over To] [Where]
        "`v, p = topk x [, payload]`: the largest elements along `over` where the guard holds, in falling order along `to` (whose extent is k), with their payload (default: the position); ties: the smaller payload first; missing: -inf and -1."
    MergeTopK "merge_topk" (4, 4) -> Exactly(2); [Over] []
        "`v, p = merge_topk v1, p1, v2, p2`: the best k of two lists made by `topk` along the same axis `over`."
    Compact "compact" (1, 1) -> Exactly(2); [Over To] [Where]
        "`y, n = compact x`: the elements of x along `over` where the guard holds, packed to the front of `to` in order, and their number (i32). Elements from n on are undefined."
    RankCount "rank_count" (4, 4) -> Exactly(1); [Over] [Where]
        "`rank_count x, px, y, py`: for each x the number (i32) of y along `over`, where the guard holds, that rank before it: y > x, or y == x and payload py < px."
    Search "search" (2, 2) -> Exactly(1); [Over] [Where]
        "`search sorted, x`: the number (i32) of elements of a rising list along `over`, where the guard holds, that are less than x."
}

impl OpSpec {
    /// May the op carry the attribute?
    pub fn allows(&self, kind: AttrKind) -> bool {
        self.required.contains(&kind) || self.optional.contains(&kind)
    }
    /// The sign between the access and the operand of a writing op.
    pub fn assignment(&self) -> &'static str {
        match self.code {
            OpCode::Accum | OpCode::TableAdd => "+=",
            _ => "=",
        }
    }
}

impl Inst {
    /// Number of results that the op has with these operands and attributes.
    pub fn result_count(&self) -> usize {
        match self.op.spec().results {
            Exactly(n) => n,
            Reduce => 1 + usize::from(matches!(self.attrs.monoid, Some(Monoid::ArgMax | Monoid::ArgMin))),
            LikeOperands => self.args.len(),
            HalfOfOperands => self.args.len() / 2,
        }
    }
}

/// The op table as Markdown, for the documentation.
pub fn docs() -> String {
    let mut out = String::from("| op | operands | attributes | meaning |\n|---|---|---|---|\n");
    for code in OpCode::ALL {
        let spec = code.spec();
        let (lo, hi) = spec.operands;
        let operands = match hi {
            MANY => format!("{lo}.."),
            _ if lo == hi => lo.to_string(),
            _ => format!("{lo}..{hi}"),
        };
        let names = |kinds: &[AttrKind], l: &str, r: &str| -> String {
            kinds.iter().map(|k| format!("{l}{}{r} ", format!("{k:?}").to_lowercase())).collect()
        };
        let attrs = names(spec.required, "", "") + &names(spec.optional, "[", "]");
        out += &format!("| `{}` | {operands} | {} | {} |\n", spec.name, attrs.trim_end(), spec.doc);
    }
    out
}
