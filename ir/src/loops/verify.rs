//! The verifier of loop IR. A kernel that passes satisfies:
//!
//! - names of the kernel, of parameters and of variables are identifiers; variable names are unique;
//! - every value is defined exactly once (as a parameter, by a statement or as a loop counter) and used only after its
//!   definition, in the same block or in blocks inside it; a `while` body also sees the header's values;
//! - parameters have the types that their declarations give them, extents name dimensions that exist;
//! - vectors have 4, 8, 12 ... 64 lanes; every value number and every variable has a valid type, which `bf16` is not;
//! - operands and results of every operation obey its type rule (each is stated at the operation), lane numbers are in
//!   range, constants fit their type;
//! - variables are assigned values of their own type, and are assigned in each path before they are read;
//! - indices, strides, loop bounds and counters are scalars `i64`; gather indices are `i32` vectors; masks are `bool` in
//!   as many lanes as the value;
//! - `splat` is a pattern of loads only; scalars are accessed contiguously; what is loaded or stored has the element type
//!   of the pointer, `f32` for `bf16`; block loads and stores move elements that are 4 bytes wide in registers;
//! - pointers into read-only buffers, followed through `advance` and variables, are never stored through;
//! - loop steps are positive; `unroll full` has constant bounds and at most 64 iterations, other counts are 2 to 64;
//! - blocks nest at most 64 deep; scratch fits 1 GiB.

use rustc_hash::FxHashMap;

use super::kernel::{
    Access, Block, Const, Extent, For, Kernel, MAX_UNROLL, Op, Pattern, Place, Reference, Stmt, Unroll, Value, Var,
};
use super::ops::Domain;
use super::types::{Elem, Space, Ty};

/// Deepest nesting of blocks; bounds the recursion of every consumer.
pub const MAX_DEPTH: usize = 64;

/// What is wrong with a kernel, and where.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("loop IR kernel @{kernel}: {message}")]
pub struct VerifyError {
    /// Name of the kernel.
    pub kernel: String,
    /// The broken rule, with the values that break it.
    pub message: String,
}

/// Checks every rule at the head of this module.
///
/// # Errors
/// The first rule that is broken.
pub fn verify(kernel: &Kernel) -> Result<(), VerifyError> {
    Verifier::run(kernel).map_err(|message| VerifyError { kernel: kernel.name.clone(), message })
}

type Check = Result<(), String>;

/// Is the name one that the text form can hold?
pub(crate) fn is_identifier(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '.')
}

struct Verifier<'a> {
    kernel: &'a Kernel,
    defined: Vec<bool>,
    /// Values visible now.
    visible: Vec<bool>,
    /// Variables assigned on every path to here.
    assigned: Vec<bool>,
    /// May stores go through this pointer?
    writable: Vec<bool>,
    writable_vars: Vec<bool>,
    ints: FxHashMap<Value, i64>,
}

fn ensure(ok: bool, message: impl FnOnce() -> String) -> Check {
    if ok { Ok(()) } else { Err(message()) }
}

/// Why nothing can have the type.
fn invalid(name: &str, ty: Ty) -> String {
    match ty.elem() {
        Elem::Bf16 => format!("{name} has type {ty}, which is one of memory only"),
        _ => format!("{name} has a type with {} lanes", ty.lanes()),
    }
}

impl<'a> Verifier<'a> {
    fn run(kernel: &'a Kernel) -> Check {
        let n = kernel.values.len();
        let mut v = Self {
            kernel,
            defined: vec![false; n],
            visible: vec![false; n],
            assigned: vec![false; kernel.vars.len()],
            writable: vec![true; n],
            writable_vars: vec![true; kernel.vars.len()],
            ints: FxHashMap::default(),
        };
        v.parameters()?;
        v.find_read_only(&kernel.body, 0)?;
        v.block(&kernel.body)
    }

    fn parameters(&mut self) -> Check {
        let kernel = self.kernel;
        ensure(is_identifier(&kernel.name), || format!("`{}` is not an identifier", kernel.name))?;
        for (i, ty) in kernel.values.iter().enumerate() {
            ensure(ty.is_valid(), || invalid(&format!("%{i}"), *ty))?;
        }
        self.parameter(kernel.begin, Ty::I64, "begin")?;
        self.parameter(kernel.end, Ty::I64, "end")?;
        for dim in &kernel.dims {
            self.parameter(dim.value, Ty::I64, &dim.name)?;
        }
        for buffer in &kernel.buffers {
            self.parameter(buffer.value, Ty::ptr(buffer.elem, Space::Global), &buffer.name)?;
            self.writable[buffer.value.0 as usize] = buffer.access == Access::Write;
            for extent in &buffer.extents {
                if let Extent::Dim(d) = extent {
                    ensure((*d as usize) < kernel.dims.len(), || format!("{}: no dimension {d}", buffer.name))?;
                }
            }
        }
        for array in &kernel.scratch {
            self.parameter(array.value, Ty::ptr(array.elem, Space::Scratch), &array.name)?;
        }
        ensure(kernel.scratch_layout().is_some(), || "scratch exceeds 1 GiB".to_owned())?;
        for (i, var) in kernel.vars.iter().enumerate() {
            ensure(is_identifier(&var.name), || format!("variable `{}` is not an identifier", var.name))?;
            ensure(var.ty.is_valid(), || invalid(&format!("${}", var.name), var.ty))?;
            ensure(kernel.vars[..i].iter().all(|w| w.name != var.name), || format!("two variables ${}", var.name))?;
        }
        Ok(())
    }

    fn parameter(&mut self, value: Value, ty: Ty, name: &str) -> Check {
        ensure(is_identifier(name), || format!("parameter `{name}` is not an identifier"))?;
        self.define(value)?;
        ensure(self.kernel.ty(value) == Some(ty), || format!("parameter {name} ({value}) must have type {ty}"))
    }

    fn define(&mut self, value: Value) -> Check {
        let i = value.0 as usize;
        ensure(i < self.defined.len(), || format!("{value} has no type"))?;
        ensure(!self.defined[i], || format!("{value} is defined twice"))?;
        self.defined[i] = true;
        self.visible[i] = true;
        Ok(())
    }

    fn use_(&self, value: Value) -> Result<Ty, String> {
        match self.visible.get(value.0 as usize) {
            Some(true) => Ok(self.kernel.values[value.0 as usize]),
            Some(false) => Err(format!("{value} is used where it is not defined")),
            None => Err(format!("{value} does not exist")),
        }
    }

    fn expect(&self, value: Value, ty: Ty, role: &str) -> Check {
        let found = self.use_(value)?;
        ensure(found == ty, || format!("{role} {value} has type {found}, must be {ty}"))
    }

    /// Marks pointers that may lead into read-only buffers, up to a fixed point over the variables.
    fn find_read_only(&mut self, block: &Block, depth: usize) -> Check {
        ensure(depth <= MAX_DEPTH, || format!("blocks nest deeper than {MAX_DEPTH}"))?;
        let before = self.writable_vars.clone();
        self.propagate(block, depth)?;
        if depth == 0 && before != self.writable_vars { self.find_read_only(block, depth) } else { Ok(()) }
    }

    fn propagate(&mut self, block: &Block, depth: usize) -> Check {
        let of = |v: &Self, p: Value| v.writable.get(p.0 as usize).copied().unwrap_or(true);
        for stmt in &block.stmts {
            match stmt {
                Stmt::Let(value, op) => {
                    let ok = match op {
                        Op::Advance(p, _) => of(self, *p),
                        Op::Select(_, a, b) => of(self, *a) && of(self, *b),
                        Op::Get(var) => self.writable_vars.get(var.0 as usize).copied().unwrap_or(true),
                        _ => true,
                    };
                    if let (false, Some(slot)) = (ok, self.writable.get_mut(value.0 as usize)) {
                        *slot = false;
                    }
                }
                Stmt::Set(var, value) => {
                    let ok = of(self, *value);
                    if let (false, Some(slot)) = (ok, self.writable_vars.get_mut(var.0 as usize)) {
                        *slot = false;
                    }
                }
                Stmt::For(l) => self.find_read_only(&l.body, depth + 1)?,
                Stmt::If(_, a, b) | Stmt::While { header: a, body: b, .. } => {
                    self.find_read_only(a, depth + 1)?;
                    self.find_read_only(b, depth + 1)?;
                }
                Stmt::Store(..) | Stmt::LoadBlock { .. } | Stmt::StoreBlock { .. } => {}
            }
        }
        Ok(())
    }

    /// Checks a block and hides its values again.
    fn block(&mut self, block: &Block) -> Check {
        self.stmts(block)?;
        self.hide(block);
        Ok(())
    }

    fn stmts(&mut self, block: &Block) -> Check {
        block.stmts.iter().try_for_each(|stmt| self.stmt(stmt))
    }

    fn hide(&mut self, block: &Block) {
        for stmt in &block.stmts {
            match stmt {
                Stmt::Let(v, _) => self.visible[v.0 as usize] = false,
                Stmt::LoadBlock { columns, .. } => columns.iter().for_each(|v| self.visible[v.0 as usize] = false),
                _ => {}
            }
        }
    }

    fn stmt(&mut self, stmt: &Stmt) -> Check {
        match stmt {
            Stmt::Let(value, op) => {
                let ty = self.kernel.ty(*value).ok_or_else(|| format!("{value} has no type"))?;
                self.op(ty, op).map_err(|m| format!("{value}: {m}"))?;
                if let (Op::Const(Const::Int(n)), 1) = (op, ty.lanes()) {
                    self.ints.insert(*value, *n);
                }
                self.define(*value)
            }
            Stmt::Set(var, value) => {
                let data = self.kernel.var(*var).ok_or_else(|| format!("no variable number {}", var.0))?;
                self.expect(*value, data.ty, &format!("content of ${}", data.name))?;
                self.assigned[var.0 as usize] = true;
                Ok(())
            }
            Stmt::Store(reference, value) => {
                let ty = self.use_(*value)?;
                self.reference(reference, ty)?;
                ensure(reference.pattern != Pattern::Splat, || format!("store of {value}: splat is for loads"))?;
                self.writable_place(reference.place)
            }
            Stmt::LoadBlock { columns, place, stride } => {
                self.block_access(*place, *stride)?;
                let elem = self.use_(place.ptr)?.elem().in_register();
                for column in columns {
                    let ty = self.kernel.ty(*column).ok_or_else(|| format!("{column} has no type"))?;
                    ensure(ty == Ty::vector(elem, ty.lanes()) && ty.is_vector(), || {
                        format!("column {column} has type {ty}, must be a vector of {elem}")
                    })?;
                    ensure(self.kernel.ty(columns[0]) == Some(ty), || format!("{column}: columns differ in type"))?;
                    self.define(*column)?;
                }
                Ok(())
            }
            Stmt::StoreBlock { columns, place, stride } => {
                self.block_access(*place, *stride)?;
                let ty = self.use_(columns[0])?;
                ensure(ty.is_vector() && ty.elem() == self.use_(place.ptr)?.elem().in_register(), || {
                    format!("column {} has type {ty}, must be a vector of the pointer's elements", columns[0])
                })?;
                columns.iter().try_for_each(|c| self.expect(*c, ty, "column"))?;
                self.writable_place(*place)
            }
            Stmt::For(l) => self.for_loop(l),
            Stmt::If(cond, then, otherwise) => {
                self.expect(*cond, Ty::BOOL, "condition")?;
                let before = self.assigned.clone();
                self.block(then)?;
                let after_then = std::mem::replace(&mut self.assigned, before);
                self.block(otherwise)?;
                self.assigned.iter_mut().zip(after_then).for_each(|(a, b)| *a &= b);
                Ok(())
            }
            Stmt::While { header, cond, body } => {
                self.stmts(header)?;
                self.expect(*cond, Ty::BOOL, "condition")?;
                let before = self.assigned.clone();
                self.block(body)?;
                self.hide(header);
                self.assigned = before;
                Ok(())
            }
        }
    }

    fn for_loop(&mut self, l: &For) -> Check {
        self.expect(l.lo, Ty::I64, "loop bound")?;
        self.expect(l.hi, Ty::I64, "loop bound")?;
        ensure(l.step > 0, || format!("loop over {}: step {} is not positive", l.index, l.step))?;
        match l.unroll {
            Unroll::No => {}
            Unroll::By(n) => {
                ensure((2..=MAX_UNROLL).contains(&n), || format!("loop over {}: cannot unroll {n} times", l.index))?;
            }
            Unroll::Full => {
                let trips = match (self.ints.get(&l.lo), self.ints.get(&l.hi)) {
                    (Some(&lo), Some(&hi)) => trip_count(lo, hi, l.step),
                    _ => None,
                };
                ensure(trips.is_some_and(|n| n <= u64::from(MAX_UNROLL)), || {
                    format!("loop over {}: full unrolling needs constant bounds and <= 64 iterations", l.index)
                })?;
            }
        }
        ensure(self.kernel.ty(l.index) == Some(Ty::I64), || format!("counter {} must be an i64", l.index))?;
        self.define(l.index)?;
        let before = self.assigned.clone();
        self.block(&l.body)?;
        self.visible[l.index.0 as usize] = false;
        self.assigned = before;
        Ok(())
    }

    fn place(&self, place: Place) -> Result<Elem, String> {
        let ty = self.use_(place.ptr)?;
        ensure(ty.is_ptr(), || format!("{} is not a pointer", place.ptr))?;
        if let Some(index) = place.index {
            self.expect(index, Ty::I64, "index")?;
        }
        Ok(ty.elem())
    }

    fn writable_place(&self, place: Place) -> Check {
        ensure(self.writable[place.ptr.0 as usize], || {
            format!("store through {}, which may lead into a read-only buffer", place.ptr)
        })
    }

    fn block_access(&self, place: Place, stride: Value) -> Check {
        let elem = self.place(place)?;
        ensure(elem.in_register().bytes() == 4, || format!("blocks of {elem} cannot be transposed"))?;
        self.expect(stride, Ty::I64, "stride")
    }

    fn reference(&self, r: &Reference, ty: Ty) -> Check {
        let elem = self.place(r.place)?;
        ensure(!ty.is_ptr() && ty.elem() == elem.in_register(), || {
            format!("access of {ty} through a pointer to {elem}")
        })?;
        let lanes = ty.lanes();
        ensure(lanes > 1 || r.pattern == Pattern::Contiguous, || "a scalar is accessed contiguously".to_owned())?;
        match r.pattern {
            Pattern::Contiguous | Pattern::Splat => {}
            Pattern::Strided(stride) => self.expect(stride, Ty::I64, "stride")?,
            Pattern::Indexed(indices) => self.expect(indices, Ty::vector(Elem::I32, lanes), "gather indices")?,
        }
        r.mask.map_or(Ok(()), |mask| self.expect(mask, Ty::vector(Elem::Bool, lanes), "mask"))
    }

    fn same(&self, ty: Ty, domain: Domain, operands: &[Value]) -> Check {
        ensure(!ty.is_ptr() && domain.contains(ty.elem()), || format!("{ty} is not {}", domain.describe()))?;
        operands.iter().try_for_each(|&a| self.expect(a, ty, "operand"))
    }

    fn lane(lane: u16, of: Ty) -> Check {
        ensure(lane < of.lanes(), || format!("lane {lane} of {of}"))
    }

    fn read(&self, var: Var, ty: Ty) -> Check {
        let data = self.kernel.var(var).ok_or_else(|| format!("no variable number {}", var.0))?;
        ensure(data.ty == ty, || format!("${} has type {}, not {ty}", data.name, data.ty))?;
        ensure(self.assigned[var.0 as usize], || format!("${} is read before it is assigned", data.name))
    }

    fn op(&self, ty: Ty, op: &Op) -> Check {
        match op {
            Op::Const(c) => constant(*c, ty),
            Op::Get(var) => self.read(*var, ty),
            Op::Unary(op, a) => self.same(ty, op.domain(), &[*a]),
            Op::Binary(op, a, b) => self.same(ty, op.domain(), &[*a, *b]),
            Op::Compare(op, a, b) => {
                let of = self.use_(*a)?;
                self.same(of, op.domain(), &[*a, *b])?;
                result(ty, of.with_elem(Elem::Bool))
            }
            Op::Fma(a, b, c) => self.same(ty, Domain::Float, &[*a, *b, *c]),
            Op::Select(cond, a, b) => {
                let c = self.use_(*cond)?;
                ensure(c == Ty::BOOL || (!ty.is_ptr() && c == ty.with_elem(Elem::Bool)), || {
                    format!("condition {cond} has type {c}; must be bool, alone or in {} lanes", ty.lanes())
                })?;
                self.expect(*a, ty, "operand")?;
                self.expect(*b, ty, "operand")
            }
            Op::Convert(a) => {
                let of = self.use_(*a)?;
                ensure(!of.is_ptr() && !ty.is_ptr(), || "pointers cannot be converted".to_owned())?;
                result(ty, of.with_elem(ty.elem()))
            }
            Op::Bitcast(a) => {
                let of = self.use_(*a)?;
                ensure(!of.is_ptr() && !ty.is_ptr() && of.elem().bytes() == ty.elem().bytes(), || {
                    format!("{of} and {ty} differ in size")
                })?;
                result(ty, of.with_elem(ty.elem()))
            }
            Op::Splat(a) => {
                ensure(ty.is_vector(), || format!("a splat is a vector, not {ty}"))?;
                self.expect(*a, ty.with_lanes(1), "operand")
            }
            Op::Iota => ensure(ty.is_vector() && ty.elem() == Elem::I32, || format!("iota is an i32 vector, not {ty}")),
            Op::Extract(a, lane) => {
                let of = self.use_(*a)?;
                ensure(of.is_vector(), || format!("{a} is not a vector"))?;
                Self::lane(*lane, of)?;
                result(ty, of.with_lanes(1))
            }
            Op::Insert(a, x, lane) => {
                ensure(ty.is_vector(), || format!("{ty} is not a vector"))?;
                self.expect(*a, ty, "vector")?;
                self.expect(*x, ty.with_lanes(1), "lane")?;
                Self::lane(*lane, ty)
            }
            Op::Shuffle(a, b, lanes) => {
                let of = self.use_(*a)?;
                ensure(of.is_vector() && !of.is_ptr(), || format!("{a} is not a vector"))?;
                self.expect(*b, of, "operand")?;
                let both = of.lanes() * 2;
                ensure(lanes.iter().all(|&l| l < both), || format!("shuffle picks a lane beyond {both}"))?;
                result(ty, of.with_lanes(u16::try_from(lanes.len()).unwrap_or(u16::MAX)))
            }
            Op::Reduce(op, a) => {
                let of = self.use_(*a)?;
                ensure(of.is_vector(), || format!("{a} is not a vector"))?;
                self.same(of, op.domain(), &[*a])?;
                result(ty, of.with_lanes(1))
            }
            Op::Advance(p, n) => {
                ensure(ty.is_ptr(), || format!("{ty} is not a pointer type"))?;
                self.expect(*p, ty, "pointer")?;
                self.expect(*n, Ty::I64, "distance")
            }
            Op::Load(reference) => self.reference(reference, ty),
            Op::Call(function, args) => {
                ensure(args.len() == function.arity(), || {
                    format!("{} takes {} operands, not {}", function.name(), function.arity(), args.len())
                })?;
                self.same(ty, function.domain(), args)
            }
        }
    }
}

fn result(found: Ty, rule: Ty) -> Check {
    ensure(found == rule, || format!("the result has type {rule}, not {found}"))
}

fn constant(c: Const, ty: Ty) -> Check {
    #[allow(clippy::cast_possible_truncation, reason = "the comparison finds out whether it loses anything")]
    let fits = !ty.is_ptr()
        && match (c, ty.elem()) {
            (Const::Bool(_), Elem::Bool) | (Const::Int(_), Elem::I64) | (Const::Float(_), Elem::F64) => true,
            (Const::Int(n), Elem::I32) => i32::try_from(n).is_ok(),
            (Const::Float(x), Elem::F32) => x.is_nan() || f64::from(x as f32) == x,
            _ => false,
        };
    ensure(fits, || format!("constant {c} is no {ty}"))
}

/// Number of iterations of `lo .. hi step step`; `None` if it is not a `u64` (it always is for a positive step).
pub(crate) fn trip_count(lo: i64, hi: i64, step: i64) -> Option<u64> {
    let span = i128::from(hi) - i128::from(lo);
    let step = i128::from(step);
    if step <= 0 {
        return None;
    }
    u64::try_from((span.max(0) + step - 1) / step).ok()
}
