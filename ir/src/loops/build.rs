//! Building kernels: what a lowering pass calls.
//!
//! The builder never fails and never panics: it appends what it is told, and [`KernelBuilder::finish`] runs the verifier.
//! It does three small services: a scalar operand of a lane-wise operator is splatted to meet a vector operand,
//! integer arithmetic on constants is folded (index expressions are full of it), and equal constants of one block are
//! shared.

use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use super::kernel::{
    Access, Block, Buffer, Const, Dim, Extent, For, Kernel, Op, Pattern, Place, Reference, Scratch, Stmt, Unroll,
    Value, Var, VarData,
};
use super::ops::{Binary, Compare, Function, Reduction, Unary};
use super::types::{Elem, Space, Ty};
use super::verify::{VerifyError, verify};

/// Builds one kernel. Parameters may be declared at any time; statements go to the innermost open block.
#[derive(Debug)]
pub struct KernelBuilder {
    kernel: Kernel,
    /// Innermost last.
    open: Vec<Block>,
    /// Integer constants by value, for folding.
    ints: FxHashMap<Value, i64>,
    /// Constants defined in each open block, for sharing.
    shared: Vec<Vec<(Ty, Const, Value)>>,
}

impl KernelBuilder {
    /// An empty kernel.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        let kernel = Kernel {
            name: name.into(),
            buffers: Vec::new(),
            dims: Vec::new(),
            begin: Value(0),
            end: Value(1),
            scratch: Vec::new(),
            values: vec![Ty::I64, Ty::I64],
            vars: Vec::new(),
            body: Block::default(),
        };
        Self { kernel, open: vec![Block::default()], ints: FxHashMap::default(), shared: vec![Vec::new()] }
    }

    /// Verified kernel.
    ///
    /// # Errors
    /// What the verifier finds: the builder's caller made an ill-typed or ill-formed kernel.
    pub fn finish(self) -> Result<Kernel, VerifyError> {
        let kernel = self.finish_unverified();
        verify(&kernel)?;
        Ok(kernel)
    }

    /// The kernel as it was built; for tests of the verifier.
    #[must_use]
    pub fn finish_unverified(mut self) -> Kernel {
        self.kernel.body = self.open.pop().unwrap_or_default();
        self.kernel
    }

    // ---- parameters ----

    /// Declares a buffer with the product of `extents` as its number of elements; gives the pointer to its start.
    pub fn buffer(&mut self, name: impl Into<String>, elem: Elem, access: Access, extents: &[Extent]) -> Value {
        let value = self.fresh(Ty::ptr(elem, Space::Global));
        self.kernel.buffers.push(Buffer { value, name: name.into(), elem, access, extents: extents.to_vec() });
        value
    }

    /// Declares a dimension: an `i64` that the caller passes.
    pub fn dim(&mut self, name: impl Into<String>) -> Value {
        let value = self.fresh(Ty::I64);
        self.kernel.dims.push(Dim { value, name: name.into() });
        value
    }

    /// The dimension that was declared `n`-th, as an extent of buffers.
    #[must_use]
    pub fn dim_extent(n: usize) -> Extent {
        Extent::Dim(u32::try_from(n).unwrap_or(u32::MAX))
    }

    /// Declares a scratch array of `len` elements; gives the pointer to its start.
    pub fn scratch(&mut self, name: impl Into<String>, elem: Elem, len: u64) -> Value {
        let value = self.fresh(Ty::ptr(elem, Space::Scratch));
        self.kernel.scratch.push(Scratch { value, name: name.into(), elem, len });
        value
    }

    /// First task of the call.
    #[must_use]
    pub fn begin(&self) -> Value {
        self.kernel.begin
    }

    /// One past the last task of the call.
    #[must_use]
    pub fn end(&self) -> Value {
        self.kernel.end
    }

    /// Type of a value that this builder made.
    #[must_use]
    pub fn ty(&self, value: Value) -> Ty {
        self.kernel.ty(value).unwrap_or(Ty::BOOL)
    }

    // ---- variables ----

    /// Declares a variable and assigns its first content.
    pub fn var(&mut self, name: impl Into<String>, init: Value) -> Var {
        let name = name.into();
        let taken = self.kernel.vars.iter().any(|v| v.name == name);
        let name = if taken { format!("{name}.{}", self.kernel.vars.len()) } else { name };
        let var = Var(u32::try_from(self.kernel.vars.len()).unwrap_or(u32::MAX));
        let ty = self.ty(init);
        self.kernel.vars.push(VarData { name, ty });
        self.set(var, init);
        var
    }

    /// Assigns a variable; a scalar is splatted if the variable is a vector.
    pub fn set(&mut self, var: Var, value: Value) {
        let lanes = self.kernel.var(var).map_or(1, |v| v.ty.lanes());
        let value = self.widen(value, lanes);
        self.push(Stmt::Set(var, value));
    }

    /// Content of a variable.
    pub fn get(&mut self, var: Var) -> Value {
        let ty = self.kernel.var(var).map_or(Ty::BOOL, |v| v.ty);
        self.op(ty, Op::Get(var))
    }

    // ---- constants ----

    /// A constant of any type; of a vector type it fills every lane.
    pub fn constant(&mut self, ty: Ty, value: Const) -> Value {
        let known = self.shared.iter().flatten().find(|(t, c, _)| *t == ty && same_const(*c, value));
        if let Some((_, _, v)) = known {
            return *v;
        }
        let v = self.op(ty, Op::Const(value));
        if let Some(top) = self.shared.last_mut() {
            top.push((ty, value, v));
        }
        if let (Const::Int(n), false) = (value, ty.is_vector()) {
            self.ints.insert(v, n);
        }
        v
    }

    /// An `i64` constant.
    pub fn int(&mut self, n: i64) -> Value {
        self.constant(Ty::I64, Const::Int(n))
    }

    /// An `i32` constant.
    pub fn int32(&mut self, n: i32) -> Value {
        self.constant(Ty::I32, Const::Int(n.into()))
    }

    /// An `f32` constant.
    pub fn float(&mut self, x: f32) -> Value {
        self.constant(Ty::F32, Const::Float(x.into()))
    }

    /// An `f64` constant.
    pub fn float64(&mut self, x: f64) -> Value {
        self.constant(Ty::F64, Const::Float(x))
    }

    /// A truth value.
    pub fn bool(&mut self, x: bool) -> Value {
        self.constant(Ty::BOOL, Const::Bool(x))
    }

    /// Zero (or false) of any data type; for `bf16` memory of the type that is loaded from it.
    pub fn zero(&mut self, ty: Ty) -> Value {
        let zero = match ty.elem() {
            Elem::Bool => Const::Bool(false),
            Elem::I32 | Elem::I64 => Const::Int(0),
            Elem::F32 | Elem::F64 | Elem::Bf16 => Const::Float(0.0),
        };
        self.constant(ty.with_elem(ty.elem().in_register()), zero)
    }

    /// The integer that a value is known to be.
    #[must_use]
    pub fn known_int(&self, value: Value) -> Option<i64> {
        self.ints.get(&value).copied()
    }

    // ---- elementwise ----

    /// Operator of one operand.
    pub fn unary(&mut self, op: Unary, a: Value) -> Value {
        self.op(self.ty(a), Op::Unary(op, a))
    }

    /// Operator of two operands; scalars meet vectors by splatting.
    pub fn binary(&mut self, op: Binary, a: Value, b: Value) -> Value {
        if let Some(folded) = self.fold(op, a, b) {
            return folded;
        }
        let (a, b) = self.meet(a, b);
        self.op(self.ty(a), Op::Binary(op, a, b))
    }

    /// `a + b`.
    pub fn add(&mut self, a: Value, b: Value) -> Value {
        self.binary(Binary::Add, a, b)
    }

    /// `a - b`.
    pub fn sub(&mut self, a: Value, b: Value) -> Value {
        self.binary(Binary::Sub, a, b)
    }

    /// `a * b`.
    pub fn mul(&mut self, a: Value, b: Value) -> Value {
        self.binary(Binary::Mul, a, b)
    }

    /// `a / b` of floats.
    pub fn div(&mut self, a: Value, b: Value) -> Value {
        self.binary(Binary::Div, a, b)
    }

    /// `min(a, b)`.
    pub fn min(&mut self, a: Value, b: Value) -> Value {
        self.binary(Binary::Min, a, b)
    }

    /// `max(a, b)`.
    pub fn max(&mut self, a: Value, b: Value) -> Value {
        self.binary(Binary::Max, a, b)
    }

    /// `a + n` of integers.
    pub fn add_int(&mut self, a: Value, n: i64) -> Value {
        let n = self.constant(self.ty(a).with_lanes(1), Const::Int(n));
        self.add(a, n)
    }

    /// `a * n` of integers.
    pub fn mul_int(&mut self, a: Value, n: i64) -> Value {
        let n = self.constant(self.ty(a).with_lanes(1), Const::Int(n));
        self.mul(a, n)
    }

    /// Comparison; scalars meet vectors by splatting.
    pub fn compare(&mut self, op: Compare, a: Value, b: Value) -> Value {
        let (a, b) = self.meet(a, b);
        self.op(self.ty(a).with_elem(Elem::Bool), Op::Compare(op, a, b))
    }

    /// `a * b + c`, rounded once; scalars meet vectors by splatting.
    pub fn fma(&mut self, a: Value, b: Value, c: Value) -> Value {
        let lanes = self.ty(a).lanes().max(self.ty(b).lanes()).max(self.ty(c).lanes());
        let (a, b, c) = (self.widen(a, lanes), self.widen(b, lanes), self.widen(c, lanes));
        self.op(self.ty(c), Op::Fma(a, b, c))
    }

    /// `if cond then a else b`, lane by lane, or whole vectors under a scalar condition.
    pub fn select(&mut self, cond: Value, a: Value, b: Value) -> Value {
        let lanes = self.ty(cond).lanes();
        let a = self.widen(a, lanes);
        let (a, b) = self.meet(a, b);
        self.op(self.ty(a), Op::Select(cond, a, b))
    }

    /// Conversion to another element type.
    pub fn convert(&mut self, a: Value, elem: Elem) -> Value {
        if self.ty(a).elem() == elem {
            return a;
        }
        if let (Some(n), true) = (self.known_int(a), elem.is_int()) {
            #[allow(clippy::cast_possible_truncation, reason = "narrowing wraps, as the op says")]
            let n = if elem == Elem::I32 { i64::from(n as i32) } else { n };
            return self.constant(Ty::scalar(elem), Const::Int(n));
        }
        self.op(self.ty(a).with_elem(elem), Op::Convert(a))
    }

    /// The same bits as another element type.
    pub fn bitcast(&mut self, a: Value, elem: Elem) -> Value {
        self.op(self.ty(a).with_elem(elem), Op::Bitcast(a))
    }

    /// Intrinsic function; scalars meet vectors by splatting.
    pub fn call(&mut self, function: Function, args: &[Value]) -> Value {
        let lanes = args.iter().map(|&a| self.ty(a).lanes()).max().unwrap_or(1);
        let args: SmallVec<[Value; 2]> = args.iter().map(|&a| self.widen(a, lanes)).collect();
        let ty = args.first().map_or(Ty::F32, |&a| self.ty(a));
        self.op(ty, Op::Call(function, args))
    }

    // ---- lanes ----

    /// A scalar in `lanes` lanes; the value itself if `lanes` is 1.
    pub fn splat(&mut self, a: Value, lanes: u16) -> Value {
        if lanes == 1 {
            return a;
        }
        self.op(self.ty(a).with_lanes(lanes), Op::Splat(a))
    }

    /// 0, 1, 2 ... as `i32`.
    pub fn iota(&mut self, lanes: u16) -> Value {
        self.op(Ty::vector(Elem::I32, lanes), Op::Iota)
    }

    /// One lane as a scalar.
    pub fn extract(&mut self, a: Value, lane: u16) -> Value {
        self.op(self.ty(a).with_lanes(1), Op::Extract(a, lane))
    }

    /// The vector with one lane replaced.
    pub fn insert(&mut self, a: Value, x: Value, lane: u16) -> Value {
        self.op(self.ty(a), Op::Insert(a, x, lane))
    }

    /// Lanes of `a` and `b` laid end to end, picked by number.
    pub fn shuffle(&mut self, a: Value, b: Value, lanes: &[u16]) -> Value {
        let count = u16::try_from(lanes.len()).unwrap_or(u16::MAX);
        self.op(self.ty(a).with_lanes(count), Op::Shuffle(a, b, lanes.into()))
    }

    /// Lanes folded into a scalar; a scalar is its own reduction.
    pub fn reduce(&mut self, op: Reduction, a: Value) -> Value {
        if !self.ty(a).is_vector() {
            return a;
        }
        self.op(self.ty(a).with_lanes(1), Op::Reduce(op, a))
    }

    // ---- memory ----

    /// The pointer `n` elements further on.
    pub fn advance(&mut self, ptr: Value, n: Value) -> Value {
        if self.known_int(n) == Some(0) {
            return ptr;
        }
        self.op(self.ty(ptr), Op::Advance(ptr, n))
    }

    /// The place `ptr[index]`.
    #[must_use]
    pub fn at(&self, ptr: Value, index: Value) -> Place {
        match self.known_int(index) {
            Some(offset) => Place { ptr, index: None, offset },
            None => Place { ptr, index: Some(index), offset: 0 },
        }
    }

    /// The place `ptr[n]`.
    #[must_use]
    pub fn at_const(ptr: Value, n: i64) -> Place {
        Place { ptr, index: None, offset: n }
    }

    /// Load of `lanes` adjacent elements (a scalar if 1).
    pub fn load(&mut self, place: Place, lanes: u16) -> Value {
        self.load_as(Reference { place, pattern: Pattern::Contiguous, mask: None }, lanes)
    }

    /// Load of one element into every lane.
    pub fn load_splat(&mut self, place: Place, lanes: u16) -> Value {
        let pattern = if lanes == 1 { Pattern::Contiguous } else { Pattern::Splat };
        self.load_as(Reference { place, pattern, mask: None }, lanes)
    }

    /// Load by any pattern, with or without a mask.
    pub fn load_as(&mut self, reference: Reference, lanes: u16) -> Value {
        let elem = self.ty(reference.place.ptr).elem().in_register();
        self.op(Ty::vector(elem, lanes), Op::Load(reference))
    }

    /// Store to adjacent elements.
    pub fn store(&mut self, place: Place, value: Value) {
        self.store_as(Reference { place, pattern: Pattern::Contiguous, mask: None }, value);
    }

    /// Store by any pattern but splat, with or without a mask.
    pub fn store_as(&mut self, reference: Reference, value: Value) {
        self.push(Stmt::Store(reference, value));
    }

    /// Transposing load: lane `l` of result `j` is `place[l * stride + j]`, for `lanes` rows and four columns.
    pub fn load_block(&mut self, place: Place, stride: Value, lanes: u16) -> [Value; 4] {
        let ty = Ty::vector(self.ty(place.ptr).elem().in_register(), lanes);
        let columns = [self.fresh(ty), self.fresh(ty), self.fresh(ty), self.fresh(ty)];
        self.push(Stmt::LoadBlock { columns, place, stride });
        columns
    }

    /// Transposing store: lane `l` of column `j` goes to `place[l * stride + j]`.
    pub fn store_block(&mut self, place: Place, stride: Value, columns: [Value; 4]) {
        self.push(Stmt::StoreBlock { columns, place, stride });
    }

    // ---- control ----

    /// `for i in lo .. hi step step`, with the body made by the closure; gives what the closure gives.
    pub fn for_range<R>(
        &mut self,
        lo: Value,
        hi: Value,
        step: i64,
        unroll: Unroll,
        body: impl FnOnce(&mut Self, Value) -> R,
    ) -> R {
        let index = self.fresh(Ty::I64);
        let (body, result) = self.block(|b| body(b, index));
        self.push(Stmt::For(Box::new(For { index, lo, hi, step, unroll, body })));
        result
    }

    /// The loop over this call's tasks, `begin .. end`.
    pub fn for_tasks<R>(&mut self, body: impl FnOnce(&mut Self, Value) -> R) -> R {
        self.for_range(self.begin(), self.end(), 1, Unroll::No, body)
    }

    /// `if cond { then } else { otherwise }`.
    pub fn if_else<A, B>(
        &mut self,
        cond: Value,
        then: impl FnOnce(&mut Self) -> A,
        otherwise: impl FnOnce(&mut Self) -> B,
    ) -> (A, B) {
        let (then, a) = self.block(then);
        let (otherwise, b) = self.block(otherwise);
        self.push(Stmt::If(cond, then, otherwise));
        (a, b)
    }

    /// `if cond { then }`.
    pub fn if_then<R>(&mut self, cond: Value, then: impl FnOnce(&mut Self) -> R) -> R {
        self.if_else(cond, then, |_| ()).0
    }

    /// A loop that goes on while the value made by `header` is true.
    pub fn while_loop<R>(&mut self, header: impl FnOnce(&mut Self) -> Value, body: impl FnOnce(&mut Self) -> R) -> R {
        // The header's constants are visible in the body, but sharing them there is not worth a special case.
        let (header, cond) = self.block(header);
        let (body, result) = self.block(body);
        self.push(Stmt::While { header, cond, body });
        result
    }

    // ---- internals ----

    /// Appends a definition of a value of the given type. For what the methods above do not cover.
    pub fn op(&mut self, ty: Ty, op: Op) -> Value {
        let value = self.fresh(ty);
        self.push(Stmt::Let(value, op));
        value
    }

    fn push(&mut self, stmt: Stmt) {
        if let Some(block) = self.open.last_mut() {
            block.stmts.push(stmt);
        }
    }

    fn fresh(&mut self, ty: Ty) -> Value {
        let value = Value(u32::try_from(self.kernel.values.len()).unwrap_or(u32::MAX));
        self.kernel.values.push(ty);
        value
    }

    fn block<R>(&mut self, fill: impl FnOnce(&mut Self) -> R) -> (Block, R) {
        self.open.push(Block::default());
        self.shared.push(Vec::new());
        let result = fill(self);
        self.shared.pop();
        (self.open.pop().unwrap_or_default(), result)
    }

    fn widen(&mut self, a: Value, lanes: u16) -> Value {
        if lanes == 1 || self.ty(a).is_vector() || self.ty(a).is_ptr() { a } else { self.splat(a, lanes) }
    }

    fn meet(&mut self, a: Value, b: Value) -> (Value, Value) {
        let lanes = self.ty(a).lanes().max(self.ty(b).lanes());
        (self.widen(a, lanes), self.widen(b, lanes))
    }

    /// Integer arithmetic on known operands; only the cases that index expressions are made of.
    fn fold(&mut self, op: Binary, a: Value, b: Value) -> Option<Value> {
        let ty = self.ty(a);
        if ty != self.ty(b) || ty.is_vector() || !ty.elem().is_int() {
            return None;
        }
        match (op, self.known_int(a), self.known_int(b)) {
            (Binary::Add, _, Some(0)) | (Binary::Sub, _, Some(0)) | (Binary::Mul | Binary::DivFloor, _, Some(1)) => {
                Some(a)
            }
            (Binary::Add, Some(0), _) | (Binary::Mul, Some(1), _) => Some(b),
            (_, Some(x), Some(y)) if ty == Ty::I64 => {
                let n = match op {
                    Binary::Add => x.checked_add(y),
                    Binary::Sub => x.checked_sub(y),
                    Binary::Mul => x.checked_mul(y),
                    Binary::Min => Some(x.min(y)),
                    Binary::Max => Some(x.max(y)),
                    Binary::DivFloor => super::scalar::div_floor(x, y),
                    Binary::ModFloor => super::scalar::mod_floor(x, y),
                    _ => None,
                }?;
                Some(self.int(n))
            }
            _ => None,
        }
    }
}

/// Equality that tells the zeros apart and holds for NaN.
fn same_const(a: Const, b: Const) -> bool {
    match (a, b) {
        (Const::Float(a), Const::Float(b)) => a.to_bits() == b.to_bits(),
        (a, b) => a == b,
    }
}
