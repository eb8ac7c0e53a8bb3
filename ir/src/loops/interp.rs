//! The interpreter: the meaning of loop IR, for tests.
//!
//! It is slow and strict. Every access is checked against the extents that the kernel declares (not just against the
//! arrays that were passed), stores to read-only buffers and reads of undefined scratch are errors, and a budget of steps ends
//! loops that do not. Scratch is made undefined before every task, so that a task that relies on what another left
//! there is found.

use smallvec::{SmallVec, smallvec};

use super::array::Array;
use super::kernel::{Access, Block, Extent, For, Kernel, Op, Pattern, Place, Reference, Stmt, Value, Var};
use super::scalar::Scalar;
use super::types::{Elem, Ty};
use super::verify::{VerifyError, verify};

/// Largest magnitude of a loop bound; beyond it counters could overflow.
const MAX_BOUND: i64 = 1 << 62;

/// What the interpreter refuses.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum InterpError {
    /// The kernel breaks a rule of loop IR.
    #[error(transparent)]
    Invalid(#[from] VerifyError),
    /// The arguments do not fit the kernel's parameters.
    #[error("kernel @{kernel}: {message}")]
    Arguments {
        /// Name of the kernel.
        kernel: String,
        /// What does not fit.
        message: String,
    },
    /// An access outside an array.
    #[error("kernel @{kernel}: {what} element {index} of {array}, which has {len}")]
    OutOfBounds {
        /// Name of the kernel.
        kernel: String,
        /// "load of" or "store to".
        what: &'static str,
        /// Index of the element.
        index: i64,
        /// Name of the buffer or scratch array.
        array: String,
        /// Number of elements that may be touched.
        len: u64,
    },
    /// A load of a scratch element that the task has not stored.
    #[error("kernel @{kernel}: load of undefined element {index} of scratch array {array}")]
    Undefined {
        /// Name of the kernel.
        kernel: String,
        /// Index of the element.
        index: i64,
        /// Name of the scratch array.
        array: String,
    },
    /// The budget of steps is used up.
    #[error("kernel @{kernel}: more than {steps} steps")]
    TooLong {
        /// Name of the kernel.
        kernel: String,
        /// The budget.
        steps: u64,
    },
    /// A loop bound beyond +-2^62.
    #[error("kernel @{kernel}: loop over {index} has a bound beyond 2^62")]
    Bound {
        /// Name of the kernel.
        kernel: String,
        /// The loop's counter.
        index: Value,
    },
}

/// Runs tasks `tasks.start .. tasks.end`, one after the other, each as a call of its own.
///
/// `args` are the buffers in order, `dims` the dimensions in order, `budget` the number of statements that may run.
///
/// # Errors
/// Everything that [`InterpError`] lists. The contents of written buffers are then unspecified.
pub fn interpret(
    kernel: &Kernel,
    args: &mut [Array],
    dims: &[i64],
    tasks: std::ops::Range<i64>,
    budget: u64,
) -> Result<(), InterpError> {
    verify(kernel)?;
    let refuse = |message: String| InterpError::Arguments { kernel: kernel.name.clone(), message };
    if args.len() != kernel.buffers.len() || dims.len() != kernel.dims.len() {
        return Err(refuse(format!(
            "takes {} buffers and {} dimensions, got {} and {}",
            kernel.buffers.len(),
            kernel.dims.len(),
            args.len(),
            dims.len()
        )));
    }
    let mut extents = Vec::new();
    for (buffer, array) in kernel.buffers.iter().zip(args.iter()) {
        let size = buffer.extents.iter().try_fold(1u64, |n, e| {
            n.checked_mul(match e {
                Extent::Const(c) => *c,
                Extent::Dim(d) => u64::try_from(dims[*d as usize]).unwrap_or(0),
            })
        });
        match size {
            Some(size) if size <= array.len() as u64 && array.elem() == buffer.elem => extents.push(size),
            _ => return Err(refuse(format!("buffer {} has the wrong type or too few elements", buffer.name))),
        }
    }
    let mut run = Run {
        kernel,
        args,
        extents,
        scratch: kernel.scratch.iter().map(|s| Array::zeros(s.elem, usize::try_from(s.len).unwrap_or(0))).collect(),
        defined: kernel.scratch.iter().map(|s| vec![false; usize::try_from(s.len).unwrap_or(0)]).collect(),
        values: vec![Datum::Lanes(SmallVec::new()); kernel.values.len()],
        vars: vec![Datum::Lanes(SmallVec::new()); kernel.vars.len()],
        steps: 0,
        budget,
    };
    for (dim, &n) in kernel.dims.iter().zip(dims) {
        run.values[dim.value.0 as usize] = Datum::int(n);
    }
    for (i, buffer) in kernel.buffers.iter().enumerate() {
        run.values[buffer.value.0 as usize] = Datum::Ptr { array: i, scratch: false, offset: 0 };
    }
    for (i, array) in kernel.scratch.iter().enumerate() {
        run.values[array.value.0 as usize] = Datum::Ptr { array: i, scratch: true, offset: 0 };
    }
    for task in tasks {
        run.defined.iter_mut().for_each(|d| d.fill(false));
        run.values[kernel.begin.0 as usize] = Datum::int(task);
        run.values[kernel.end.0 as usize] = Datum::int(task + 1);
        run.block(&kernel.body)?;
    }
    Ok(())
}

type LaneVec = SmallVec<[Scalar; 8]>;

#[derive(Clone, Debug)]
enum Datum {
    Lanes(LaneVec),
    Ptr { array: usize, scratch: bool, offset: i64 },
}

impl Datum {
    fn int(n: i64) -> Self {
        Self::Lanes(smallvec![Scalar::I64(n)])
    }
}

struct Run<'a> {
    kernel: &'a Kernel,
    args: &'a mut [Array],
    extents: Vec<u64>,
    scratch: Vec<Array>,
    defined: Vec<Vec<bool>>,
    values: Vec<Datum>,
    vars: Vec<Datum>,
    steps: u64,
    budget: u64,
}

type Step<T = ()> = Result<T, InterpError>;

impl Run<'_> {
    fn name(&self) -> String {
        self.kernel.name.clone()
    }

    /// For what the verifier excludes.
    fn impossible(&self, what: &str) -> InterpError {
        InterpError::Arguments { kernel: self.name(), message: format!("verified kernel with {what}") }
    }

    fn block(&mut self, block: &Block) -> Step {
        block.stmts.iter().try_for_each(|stmt| self.stmt(stmt))
    }

    fn tick(&mut self) -> Step {
        self.steps += 1;
        if self.steps > self.budget {
            return Err(InterpError::TooLong { kernel: self.name(), steps: self.budget });
        }
        Ok(())
    }

    fn stmt(&mut self, stmt: &Stmt) -> Step {
        self.tick()?;
        match stmt {
            Stmt::Let(value, op) => {
                let ty = self.kernel.values[value.0 as usize];
                let datum = self.op(ty, op)?;
                self.values[value.0 as usize] = datum;
                Ok(())
            }
            Stmt::Set(Var(var), value) => {
                self.vars[*var as usize] = self.values[value.0 as usize].clone();
                Ok(())
            }
            Stmt::Store(reference, value) => {
                let lanes = self.lanes(*value)?;
                let on = self.mask(reference, lanes.len())?;
                for (l, x) in lanes.into_iter().enumerate() {
                    if on[l] {
                        let at = self.lane_index(reference, l)?;
                        self.write(reference.place, at, x)?;
                    }
                }
                Ok(())
            }
            Stmt::LoadBlock { columns, place, stride } => {
                let stride = self.int(*stride)?;
                let lanes = self.kernel.values[columns[0].0 as usize].lanes();
                for (j, column) in (0i64..).zip(columns) {
                    let mut data = LaneVec::new();
                    for l in 0..i64::from(lanes) {
                        data.push(self.read(*place, l.wrapping_mul(stride).wrapping_add(j))?);
                    }
                    self.values[column.0 as usize] = Datum::Lanes(data);
                }
                Ok(())
            }
            Stmt::StoreBlock { columns, place, stride } => {
                let stride = self.int(*stride)?;
                // Row by row, as backends do it; it matters where rows overlap.
                let mut data = Vec::with_capacity(4);
                for column in columns {
                    data.push(self.lanes(*column)?);
                }
                for l in 0..data[0].len() {
                    for (j, column) in (0i64..).zip(&data) {
                        let row = i64::try_from(l).unwrap_or(0).wrapping_mul(stride);
                        self.write(*place, row.wrapping_add(j), column[l])?;
                    }
                }
                Ok(())
            }
            Stmt::For(l) => self.for_loop(l),
            Stmt::If(cond, then, otherwise) => {
                if self.truth(*cond)? {
                    self.block(then)
                } else {
                    self.block(otherwise)
                }
            }
            Stmt::While { header, cond, body } => loop {
                self.tick()?;
                self.block(header)?;
                if !self.truth(*cond)? {
                    return Ok(());
                }
                self.block(body)?;
            },
        }
    }

    fn for_loop(&mut self, l: &For) -> Step {
        let (lo, hi) = (self.int(l.lo)?, self.int(l.hi)?);
        if [lo, hi, l.step].iter().any(|b| !(-MAX_BOUND..=MAX_BOUND).contains(b)) {
            return Err(InterpError::Bound { kernel: self.name(), index: l.index });
        }
        let mut at = lo;
        while at < hi {
            self.tick()?;
            self.values[l.index.0 as usize] = Datum::int(at);
            self.block(&l.body)?;
            at += l.step;
        }
        Ok(())
    }

    fn lanes(&self, value: Value) -> Step<LaneVec> {
        match &self.values[value.0 as usize] {
            Datum::Lanes(lanes) if !lanes.is_empty() => Ok(lanes.clone()),
            _ => Err(self.impossible("a data value that is none")),
        }
    }

    fn scalar(&self, value: Value) -> Step<Scalar> {
        Ok(self.lanes(value)?[0])
    }

    fn int(&self, value: Value) -> Step<i64> {
        match self.scalar(value)? {
            Scalar::I64(n) => Ok(n),
            _ => Err(self.impossible("an index that is no i64")),
        }
    }

    fn truth(&self, value: Value) -> Step<bool> {
        Ok(self.scalar(value)? == Scalar::Bool(true))
    }

    fn map<const N: usize>(&self, operands: [Value; N], f: impl Fn([Scalar; N]) -> Option<Scalar>) -> Step<Datum> {
        let mut data = Vec::with_capacity(N);
        for value in operands {
            data.push(self.lanes(value)?);
        }
        let lanes = (0..data[0].len()).map(|l| f(std::array::from_fn(|k| data[k][l]))).collect::<Option<LaneVec>>();
        lanes.map(Datum::Lanes).ok_or_else(|| self.impossible("an operand outside its domain"))
    }

    fn op(&mut self, ty: Ty, op: &Op) -> Step<Datum> {
        let count = usize::from(ty.lanes());
        match op {
            Op::Const(c) => match Scalar::constant(*c, ty.elem()) {
                Some(x) => Ok(Datum::Lanes(smallvec![x; count])),
                None => Err(self.impossible("a constant of another type")),
            },
            Op::Get(Var(var)) => Ok(self.vars[*var as usize].clone()),
            Op::Unary(op, a) => self.map([*a], |[a]| Scalar::unary(*op, a)),
            Op::Binary(op, a, b) => self.map([*a, *b], |[a, b]| Scalar::binary(*op, a, b)),
            Op::Compare(op, a, b) => self.map([*a, *b], |[a, b]| Scalar::compare(*op, a, b).map(Scalar::Bool)),
            Op::Fma(a, b, c) => self.map([*a, *b, *c], |[a, b, c]| Scalar::fma(a, b, c)),
            Op::Select(cond, a, b) => {
                let cond = self.lanes(*cond)?;
                if cond.len() == 1 {
                    let chosen = if cond[0] == Scalar::Bool(true) { a } else { b };
                    return Ok(self.values[chosen.0 as usize].clone());
                }
                let (a, b) = (self.lanes(*a)?, self.lanes(*b)?);
                let pick = |l: usize| if cond[l] == Scalar::Bool(true) { a[l] } else { b[l] };
                Ok(Datum::Lanes((0..count).map(pick).collect()))
            }
            Op::Convert(a) => self.map([*a], |[a]| Some(a.convert(ty.elem()))),
            Op::Bitcast(a) => self.map([*a], |[a]| a.bitcast(ty.elem())),
            Op::Splat(a) => Ok(Datum::Lanes(smallvec![self.scalar(*a)?; count])),
            Op::Iota => Ok(Datum::Lanes((0i32..).take(count).map(Scalar::I32).collect())),
            Op::Extract(a, lane) => Ok(Datum::Lanes(smallvec![self.lanes(*a)?[usize::from(*lane)]])),
            Op::Insert(a, x, lane) => {
                let (mut a, x) = (self.lanes(*a)?, self.scalar(*x)?);
                a[usize::from(*lane)] = x;
                Ok(Datum::Lanes(a))
            }
            Op::Shuffle(a, b, lanes) => {
                let mut both = self.lanes(*a)?;
                both.extend(self.lanes(*b)?);
                Ok(Datum::Lanes(lanes.iter().map(|&l| both[usize::from(l)]).collect()))
            }
            Op::Reduce(op, a) => match Scalar::reduce(*op, &self.lanes(*a)?) {
                Some(x) => Ok(Datum::Lanes(smallvec![x])),
                None => Err(self.impossible("a reduction outside its domain")),
            },
            Op::Advance(p, n) => {
                let n = self.int(*n)?;
                match &self.values[p.0 as usize] {
                    Datum::Ptr { array, scratch, offset } => {
                        Ok(Datum::Ptr { array: *array, scratch: *scratch, offset: offset.wrapping_add(n) })
                    }
                    Datum::Lanes(_) => Err(self.impossible("a pointer that is none")),
                }
            }
            Op::Load(reference) => {
                let on = self.mask(reference, count)?;
                let mut lanes = LaneVec::new();
                for (l, on) in on.into_iter().enumerate() {
                    lanes.push(if on {
                        let at = self.lane_index(reference, l)?;
                        self.read(reference.place, at)?
                    } else {
                        Scalar::zero(ty.elem())
                    });
                }
                Ok(Datum::Lanes(lanes))
            }
            Op::Call(function, args) => {
                let mut data = Vec::with_capacity(args.len());
                for a in args {
                    data.push(self.lanes(*a)?);
                }
                let call = |l: usize| {
                    let args: SmallVec<[Scalar; 2]> = data.iter().map(|d| d[l]).collect();
                    Scalar::call(*function, &args)
                };
                let lanes = (0..count).map(call).collect::<Option<LaneVec>>();
                lanes.map(Datum::Lanes).ok_or_else(|| self.impossible("a call outside its domain"))
            }
        }
    }

    fn mask(&self, r: &Reference, count: usize) -> Step<SmallVec<[bool; 8]>> {
        match r.mask {
            None => Ok(smallvec![true; count]),
            Some(mask) => Ok(self.lanes(mask)?.iter().map(|&x| x == Scalar::Bool(true)).collect()),
        }
    }

    /// Element that a lane addresses, relative to the place.
    fn lane_index(&self, r: &Reference, lane: usize) -> Step<i64> {
        let l = i64::try_from(lane).unwrap_or(0);
        Ok(match r.pattern {
            Pattern::Contiguous => l,
            Pattern::Splat => 0,
            Pattern::Strided(stride) => l.wrapping_mul(self.int(stride)?),
            Pattern::Indexed(indices) => match self.lanes(indices)?[lane].convert(Elem::I64) {
                Scalar::I64(n) => n,
                _ => 0,
            },
        })
    }

    /// Array, and element number in it.
    fn locate(&self, place: Place, relative: i64) -> Step<(usize, bool, i64)> {
        let Datum::Ptr { array, scratch, offset } = self.values[place.ptr.0 as usize] else {
            return Err(self.impossible("a pointer that is none"));
        };
        let index = place.index.map_or(Ok(0), |i| self.int(i))?;
        Ok((array, scratch, offset.wrapping_add(index).wrapping_add(place.offset).wrapping_add(relative)))
    }

    fn check(&self, what: &'static str, array: usize, scratch: bool, at: i64) -> Step<usize> {
        let (len, name) = if scratch {
            (self.kernel.scratch[array].len, &self.kernel.scratch[array].name)
        } else {
            (self.extents[array], &self.kernel.buffers[array].name)
        };
        match usize::try_from(at) {
            Ok(i) if (i as u64) < len => Ok(i),
            _ => Err(InterpError::OutOfBounds { kernel: self.name(), what, index: at, array: name.clone(), len }),
        }
    }

    fn read(&self, place: Place, relative: i64) -> Step<Scalar> {
        let (array, scratch, at) = self.locate(place, relative)?;
        let i = self.check("load of", array, scratch, at)?;
        let x = if scratch {
            if !self.defined[array][i] {
                let array = self.kernel.scratch[array].name.clone();
                return Err(InterpError::Undefined { kernel: self.name(), index: at, array });
            }
            self.scratch[array].get(i)
        } else {
            self.args[array].get(i)
        };
        x.ok_or_else(|| self.impossible("an array of another size"))
    }

    fn write(&mut self, place: Place, relative: i64, x: Scalar) -> Step {
        let (array, scratch, at) = self.locate(place, relative)?;
        let i = self.check("store to", array, scratch, at)?;
        let done = if scratch {
            self.defined[array][i] = true;
            self.scratch[array].set(i, x)
        } else {
            if self.kernel.buffers[array].access == Access::Read {
                return Err(self.impossible("a store to a read-only buffer"));
            }
            self.args[array].set(i, x)
        };
        done.ok_or_else(|| self.impossible("an array of another type"))
    }
}
