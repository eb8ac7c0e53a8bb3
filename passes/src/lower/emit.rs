//! The state of lowering one kernel, and the small tools that every part uses.

use rustc_hash::{FxHashMap, FxHashSet};
use weft_ir::kernel::{
    Access, AxisId, AxisSet, BufferId, ElemType, Expr, ExtentId, Inst, Kernel, Literal, Place, Plan, ScratchId, Type,
    ValueId, VarId,
};
use weft_ir::loops::{self, Const, Elem, KernelBuilder, Ty, Unroll, Value};
use weft_ir::program::{Argument, Formula};

use super::error::Emit;
use super::layout::Layout;
use super::memory::QUANTUM;
use super::point::Point;
use super::target::Target;

/// Bytes of a cache line.
const LINE: i64 = 64;

/// Memory of a tile value: a scratch array.
#[derive(Clone, Debug)]
pub(super) struct Storage {
    /// First element.
    pub(super) ptr: Value,
    /// Stride of each axis, in elements; the innermost first.
    pub(super) strides: Vec<(AxisId, i64)>,
    /// Number of elements, padding included.
    pub(super) len: i64,
}

/// A buffer parameter of the kernel.
#[derive(Clone, Debug)]
pub(super) struct BufferArg {
    pub(super) ptr: Value,
    /// Stride of each dimension, in elements.
    pub(super) strides: Vec<Value>,
}

/// A scratch table of the kernel.
#[derive(Clone, Debug)]
pub(super) struct Table {
    pub(super) ptr: Value,
    pub(super) strides: Vec<i64>,
    pub(super) len: u64,
}

/// What a value computed once in the current block was computed from.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) enum Key {
    /// A tile value at a point.
    Value(ValueId, Point),
    /// The length of a ragged extent at an index.
    Length(ExtentId, Value),
}

/// Lowers one kernel.
pub(super) struct Emitter<'a> {
    pub(super) plan: &'a Plan,
    pub(super) kernel: &'a Kernel,
    pub(super) target: &'a Target,
    pub(super) layout: Layout<'a>,
    pub(super) kb: KernelBuilder,
    /// Dimensions of the loop kernel, by formula.
    pub(super) dims: Vec<(Formula, Value)>,
    pub(super) args: Vec<Argument>,
    pub(super) buffers: FxHashMap<BufferId, BufferArg>,
    pub(super) lengths: FxHashMap<ExtentId, Value>,
    pub(super) tables: FxHashMap<ScratchId, Table>,
    /// Integer scalars that have been computed.
    pub(super) scalars: FxHashMap<VarId, Value>,
    /// Positions of list loops: a scratch array with one entry for each element of the tile.
    pub(super) entries: FxHashMap<VarId, Storage>,
    /// Memory of stored values, by the value whose memory it is.
    slots: FxHashMap<ValueId, Storage>,
    /// Values that are in memory now, in the copy of the code that is being made.
    pub(super) stored: FxHashSet<ValueId>,
    /// Results of reductions that were computed together with what they reduce.
    pub(super) reduced: FxHashSet<ValueId>,
    /// Index and position variables and axes of loops in whose `full` range the code being made runs.
    pub(super) full: Vec<(VarId, VarId, Option<AxisId>)>,
    memo: Vec<FxHashMap<Key, Value>>,
}

/// The element type of loop IR. Only buffers are bf16 (see `storage`).
pub(super) fn elem(ty: ElemType) -> Emit<Elem> {
    match ty {
        ElemType::F32 => Ok(Elem::F32),
        ElemType::F64 => Ok(Elem::F64),
        ElemType::I32 => Ok(Elem::I32),
        ElemType::I64 => Ok(Elem::I64),
        ElemType::Bool => Ok(Elem::Bool),
        ElemType::Bf16 => Ok(Elem::Bf16),
    }
}

/// A literal as a constant of an element type.
pub(super) fn constant(literal: Literal, elem: Elem) -> Const {
    match (literal, elem) {
        (Literal::Int(n), Elem::I32 | Elem::I64) => Const::Int(n),
        (Literal::Bool(b), Elem::Bool) => Const::Bool(b),
        #[allow(clippy::cast_possible_truncation, reason = "a constant is rounded to the type it stands in")]
        (other, Elem::F32) => Const::Float(f64::from(other.as_f64() as f32)),
        (other, _) => Const::Float(other.as_f64()),
    }
}

impl<'a> Emitter<'a> {
    pub(super) fn new(plan: &'a Plan, kernel: &'a Kernel, target: &'a Target) -> Emit<Self> {
        Ok(Self {
            plan,
            kernel,
            target,
            layout: Layout::new(plan, kernel)?,
            kb: KernelBuilder::new(kernel.name.replace('\'', "_")),
            dims: Vec::new(),
            args: Vec::new(),
            buffers: FxHashMap::default(),
            lengths: FxHashMap::default(),
            tables: FxHashMap::default(),
            scalars: FxHashMap::default(),
            entries: FxHashMap::default(),
            slots: FxHashMap::default(),
            stored: FxHashSet::default(),
            reduced: FxHashSet::default(),
            full: Vec::new(),
            memo: vec![FxHashMap::default()],
        })
    }

    // ---- blocks ----

    /// Runs `f` while the loop kernel's builder is lent to `run`, which opens a block and calls back.
    fn lend<R>(&mut self, run: impl FnOnce(&mut Self, &mut KernelBuilder) -> R) -> R {
        let mut kb = std::mem::replace(&mut self.kb, KernelBuilder::new("lent"));
        let result = run(self, &mut kb);
        self.kb = kb;
        result
    }

    /// Fills a block: what is computed in it is forgotten at its end.
    fn fill<R>(&mut self, kb: &mut KernelBuilder, body: impl FnOnce(&mut Self) -> R) -> R {
        std::mem::swap(kb, &mut self.kb);
        self.memo.push(FxHashMap::default());
        let result = body(self);
        self.memo.pop();
        std::mem::swap(kb, &mut self.kb);
        result
    }

    /// A counted loop.
    pub(super) fn for_range(
        &mut self,
        (lo, hi, step): (Value, Value, i64),
        unroll: Unroll,
        body: impl FnOnce(&mut Self, Value) -> Emit<()>,
    ) -> Emit<()> {
        self.lend(|e, kb| kb.for_range(lo, hi, step, unroll, |kb, i| e.fill(kb, |e| body(e, i))))
    }

    /// A loop over `0 .. extent` by `step`; a single iteration is written out.
    pub(super) fn for_extent(
        &mut self,
        extent: i64,
        step: i64,
        mut body: impl FnMut(&mut Self, Value) -> Emit<()>,
    ) -> Emit<()> {
        let zero = self.kb.int(0);
        if extent <= step {
            return if extent > 0 { body(self, zero) } else { Ok(()) };
        }
        let hi = self.kb.int(extent);
        self.for_range((zero, hi, step), Unroll::No, body)
    }

    /// `if cond { then } else { otherwise }`
    pub(super) fn if_else(
        &mut self,
        cond: Value,
        then: impl FnOnce(&mut Self) -> Emit<()>,
        otherwise: impl FnOnce(&mut Self) -> Emit<()>,
    ) -> Emit<()> {
        self.lend(|e, kb| {
            // Both closures need the emitter, one after the other.
            let cell = std::cell::RefCell::new(e);
            let (a, b) =
                kb.if_else(cond, |kb| cell.borrow_mut().fill(kb, then), |kb| cell.borrow_mut().fill(kb, otherwise));
            a.and(b)
        })
    }

    /// `if cond { then }`
    pub(super) fn if_then(&mut self, cond: Value, then: impl FnOnce(&mut Self) -> Emit<()>) -> Emit<()> {
        self.if_else(cond, then, |_| Ok(()))
    }

    /// `while` the value that `header` makes is true.
    pub(super) fn while_loop(
        &mut self,
        header: impl FnOnce(&mut Self) -> Value,
        body: impl FnOnce(&mut Self) -> Emit<()>,
    ) -> Emit<()> {
        self.lend(|e, kb| {
            let cell = std::cell::RefCell::new(e);
            kb.while_loop(|kb| cell.borrow_mut().fill(kb, header), |kb| cell.borrow_mut().fill(kb, body))
        })
    }

    // ---- what was computed before ----

    pub(super) fn known(&self, key: &Key) -> Option<Value> {
        self.memo.iter().rev().find_map(|m| m.get(key)).copied()
    }

    pub(super) fn remember(&mut self, key: Key, value: Value) {
        if let Some(top) = self.memo.last_mut() {
            top.insert(key, value);
        }
    }

    /// Makes a block of statements in which what they compute is forgotten at the end, without a loop or a branch.
    pub(super) fn scope<R>(&mut self, body: impl FnOnce(&mut Self) -> R) -> R {
        self.memo.push(FxHashMap::default());
        let result = body(self);
        self.memo.pop();
        result
    }

    // ---- types, constants, memory ----

    pub(super) fn ty(&self, v: ValueId) -> Emit<Type> {
        self.kernel.value_type(v).ok_or_else(|| "a value is not declared".into())
    }

    pub(super) fn elem_of(&self, v: ValueId) -> Emit<Elem> {
        elem(self.ty(v)?.elem)
    }

    pub(super) fn extent(&self, axis: AxisId) -> i64 {
        self.layout.extent(axis)
    }

    /// A constant of any element type, as a scalar.
    pub(super) fn literal(&mut self, literal: Literal, elem: Elem) -> Value {
        self.kb.constant(Ty::scalar(elem), constant(literal, elem))
    }

    /// A float constant of an element type, as a scalar.
    pub(super) fn float(&mut self, x: f64, elem: Elem) -> Value {
        self.literal(Literal::Float(x), elem)
    }

    /// The value of a formula: a constant, or a dimension of the loop kernel.
    pub(super) fn formula(&mut self, formula: &Formula) -> Value {
        if let Some(n) = formula.known() {
            return self.kb.int(n);
        }
        if let Some((_, value)) = self.dims.iter().find(|(f, _)| f == formula) {
            return *value;
        }
        let name = match formula {
            Formula::Extent(e) => self.plan.extents.get(*e).map(|e| e.name.replace('\'', "_")),
            _ => None,
        };
        let name = name.unwrap_or_else(|| format!("size{}", self.dims.len()));
        let value = self.kb.dim(name);
        self.dims.push((formula.clone(), value));
        value
    }

    /// Memory for the elements over axes, `innermost` last and padded to whole vectors.
    pub(super) fn allocate(
        &mut self,
        name: &str,
        elem: Elem,
        axes: AxisSet,
        innermost: Option<AxisId>,
    ) -> Emit<Storage> {
        let mut strides = Vec::new();
        let mut size = 1i64;
        let too_large = || format!("`{name}` does not fit scratch memory");
        if let Some(axis) = innermost {
            strides.push((axis, 1));
            let quantum = i64::from(loops::LANE_QUANTUM);
            size = self.extent(axis).checked_add(quantum - 1).ok_or_else(too_large)? / quantum * quantum;
            // A block of lanes is read down the rows: these must not share the sets of the cache.
            let rows = axes.iter().filter(|a| Some(*a) != innermost).map(|a| self.extent(a)).max().unwrap_or(1);
            let bytes = size.unsigned_abs().saturating_mul(elem.bytes() as u64);
            if self.target.collides(bytes, rows.unsigned_abs().saturating_mul(2)) {
                size = size.checked_add(LINE / elem.bytes() as i64).ok_or_else(too_large)?;
            }
        }
        for axis in axes.iter().rev().filter(|a| Some(*a) != innermost) {
            strides.push((axis, size));
            size = size.checked_mul(self.extent(axis)).ok_or_else(too_large)?;
        }
        let len = u64::try_from(size).map_err(|_| too_large())?;
        if len.checked_mul(elem.bytes() as u64).is_none_or(|b| b > loops::MAX_SCRATCH_BYTES) {
            return Err(too_large());
        }
        let name = name.replace('\'', "_");
        let ptr = self.kb.scratch(name, elem, len);
        Ok(Storage { ptr, strides, len: size })
    }

    /// Clears tile memory if code with lanes along `lanes` (or without lanes) leaves padding in it that code with lanes along the
    /// innermost axis reads: garbage there does no harm, but undefined memory is not read.
    pub(super) fn clear_padding(&mut self, storage: &Storage, lanes: Option<AxisId>) -> Emit<()> {
        // Without an axis longer than 1 nothing is padded.
        let inner = storage.strides.first().map(|(a, _)| *a).filter(|a| self.extent(*a) > 1);
        match inner {
            Some(inner) if lanes != Some(inner) && self.extent(inner) % QUANTUM != 0 => self.clear(storage),
            _ => Ok(()),
        }
    }

    /// Fills tile memory with zeros.
    pub(super) fn clear(&mut self, storage: &Storage) -> Emit<()> {
        let elem = self.kb.ty(storage.ptr).elem();
        let ptr = storage.ptr;
        if storage.len % QUANTUM != 0 {
            let zero = self.kb.zero(Ty::scalar(elem));
            return self.for_extent(storage.len, 1, |e, at| {
                let place = e.kb.at(ptr, at);
                e.kb.store(place, zero);
                Ok(())
            });
        }
        let zero = self.kb.zero(Ty::vector(elem, loops::LANE_QUANTUM));
        self.for_extent(storage.len, QUANTUM, |e, at| {
            let place = e.kb.at(ptr, at);
            e.kb.store(place, zero);
            Ok(())
        })
    }

    /// The value whose memory a value shares.
    pub(super) fn home(&self, v: ValueId) -> ValueId {
        self.layout.home.get(v.index()).copied().unwrap_or(v)
    }

    /// The memory of a stored value, made when it is first asked for.
    pub(super) fn slot(&mut self, v: ValueId) -> Emit<Storage> {
        let home = self.home(v);
        if let Some(storage) = self.slots.get(&home) {
            return Ok(storage.clone());
        }
        let ty = self.ty(home)?;
        let name = self.kernel.value(home).map_or_else(String::new, |v| v.name.clone());
        let innermost = self.layout.innermost_of(self.kernel, home);
        let storage = self.allocate(&name, elem(ty.elem)?, ty.axes, innermost)?;
        self.slots.insert(home, storage.clone());
        Ok(storage)
    }

    /// The axis that lies innermost in a stored value, and along which code that makes it is vectorised.
    pub(super) fn lanes_of(&self, v: ValueId) -> Option<AxisId> {
        self.layout.innermost_of(self.kernel, v)
    }

    /// Is a value an expression in the code being made, and not in memory?
    pub(super) fn is_expression(&self, v: ValueId) -> bool {
        self.layout.inline.get(v.index()).copied().unwrap_or(false) && !self.stored.contains(&v)
    }

    pub(super) fn buffer(&self, id: BufferId) -> Emit<&BufferArg> {
        self.buffers.get(&id).ok_or_else(|| "a buffer is not declared".into())
    }

    pub(super) fn table(&self, id: ScratchId) -> Emit<&Table> {
        self.tables.get(&id).ok_or_else(|| "a scratch table is not declared".into())
    }

    pub(super) fn place_elem(&self, access: &Access) -> Emit<Elem> {
        let found = match access.place {
            Place::Buffer(id) => self.plan.buffer(id).map(|b| b.elem),
            Place::Scratch(id) => self.kernel.scratch_table(id).map(|s| s.elem),
        };
        elem(found.ok_or("what is accessed is not declared")?)
    }

    /// The access of a statement.
    pub(super) fn access_of<'i>(&self, inst: &'i Inst) -> Emit<&'i Access> {
        inst.attrs.access.as_ref().ok_or_else(|| "has no access".into())
    }

    pub(super) fn static_value(&self, e: &Expr) -> Emit<i64> {
        self.plan.static_value(e).ok_or_else(|| "a size that must be static is not".into())
    }
}
