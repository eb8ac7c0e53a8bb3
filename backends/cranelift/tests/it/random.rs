//! Random kernels. Every choice is drawn from a list of numbers, so that proptest shrinks kernels by shrinking the list.
//!
//! The kernels are valid by construction: indices are reduced modulo the buffers' sizes, scratch is filled before it is
//! read, tasks store to their own elements, and bits of floats are looked at only where they are not NaN (whose bits
//! are unspecified).

use weft_ir::loops::{
    Access, Array, Binary, Compare, Const, Elem, Extent, Function, Kernel, KernelBuilder, Pattern, Reduction,
    Reference, Ty, Unary, Unroll, Value, Var, to_bf16,
};

/// Elements of each input buffer and scratch array.
const LEN: i64 = 192;
/// Elements of each output buffer that belong to one task.
const SLOTS: i64 = 128;
/// Tasks that the outputs have room for.
pub(crate) const TASKS: u64 = 3;

pub(crate) struct Generator<'a> {
    b: KernelBuilder,
    choices: std::slice::Iter<'a, u32>,
    pool: Vec<Value>,
    vars: Vec<(Var, Ty)>,
    inputs: Vec<Value>,
    outputs: Vec<Value>,
    scratch: Vec<Value>,
    stored: Vec<i64>,
    n: Value,
    task: Value,
}

/// A kernel with inputs of each element type, then outputs of each, and one dimension `n`.
pub(crate) fn kernel(choices: &[u32]) -> Kernel {
    let mut b = KernelBuilder::new("random");
    let n = b.dim("n");
    let extent = |n: i64| Extent::Const(n.unsigned_abs());
    let inputs = Elem::MEMORY.map(|e| b.buffer(format!("in_{e}"), e, Access::Read, &[extent(LEN)])).to_vec();
    let out_len = extent(SLOTS * TASKS.cast_signed());
    let outputs = Elem::MEMORY.map(|e| b.buffer(format!("out_{e}"), e, Access::Write, &[out_len])).to_vec();
    let scratch = Elem::MEMORY.map(|e| b.scratch(format!("scratch_{e}"), e, LEN.unsigned_abs())).to_vec();
    let (begin, end) = (b.begin(), b.end());
    let mut g = Generator {
        b,
        choices: choices.iter(),
        pool: Vec::new(),
        vars: Vec::new(),
        inputs,
        outputs,
        scratch,
        stored: vec![0; Elem::MEMORY.len()],
        n,
        task: begin,
    };
    let step = 1;
    // `for_range` takes the builder, not the generator: take it apart and put it together inside.
    let mut slot = std::mem::replace(&mut g.b, KernelBuilder::new("x"));
    slot.for_range(begin, end, step, Unroll::No, |b, task| {
        std::mem::swap(&mut g.b, b);
        g.task = task;
        g.fill_scratch();
        for ty in [Ty::F32, Ty::vector(Elem::F32, 8), Ty::vector(Elem::I32, 4), Ty::vector(Elem::F64, 8), Ty::I64] {
            let init = g.fresh_value(ty);
            let var = g.b.var("v", init);
            g.vars.push((var, ty));
        }
        g.statements(12, 0);
        for i in 0..g.vars.len() {
            let value = g.b.get(g.vars[i].0);
            g.output(value);
        }
        std::mem::swap(&mut g.b, b);
    });
    slot.finish().unwrap()
}

/// Inputs and outputs for [`kernel`].
pub(crate) fn arguments(seed: u64) -> Vec<Array> {
    let mut state = seed;
    let mut next = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 33
    };
    let len = LEN.unsigned_abs();
    let special = [0.0, -0.0, 1.0, -1.5, f64::INFINITY, f64::NAN, 1e-40, 88.5, -1e30, 0.5];
    let float = |next: &mut dyn FnMut() -> u64| match next() % 8 {
        0 => special[(next() % 10) as usize],
        _ => (next() % 4096) as f64 / 256.0 - 8.0,
    };
    let mut args = vec![
        Array::Bool((0..len).map(|_| next() % 2 == 1).collect()),
        Array::I32((0..len).map(|_| (next() % 41) as i32 - 20).collect()),
        Array::I64((0..len).map(|_| if next() % 9 == 0 { i64::MIN } else { (next() % 41) as i64 - 20 }).collect()),
        Array::F32((0..len).map(|_| float(&mut next) as f32).collect()),
        Array::F64((0..len).map(|_| float(&mut next)).collect()),
        Array::Bf16((0..len).map(|_| to_bf16(float(&mut next) as f32)).collect()),
    ];
    let out = usize::try_from(SLOTS).unwrap() * usize::try_from(TASKS).unwrap();
    args.extend(Elem::MEMORY.map(|e| Array::zeros(e, out)));
    args
}

const LANES: [u16; 5] = [1, 4, 8, 12, 16];

fn index(elem: Elem) -> usize {
    Elem::MEMORY.iter().position(|&e| e == elem).unwrap()
}

impl Generator<'_> {
    fn choose(&mut self, n: usize) -> usize {
        self.choices.next().map_or(0, |&c| c as usize % n)
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        let i = self.choose(from.len());
        from[i]
    }

    /// Memory in which values of a type are kept.
    fn memory(&mut self, elem: Elem) -> usize {
        let narrow = elem == Elem::F32 && self.choose(3) == 0;
        index(if narrow { Elem::Bf16 } else { elem })
    }

    fn exhausted(&self) -> bool {
        self.choices.len() == 0
    }

    fn lanes(&mut self) -> u16 {
        self.pick(&LANES)
    }

    /// Scratch has to be defined before anything reads it.
    fn fill_scratch(&mut self) {
        for elem in Elem::MEMORY {
            let (zero, end) = (self.b.int(0), self.b.int(LEN));
            let (from, to) = (self.inputs[index(elem)], self.scratch[index(elem)]);
            self.b.for_range(zero, end, 8, Unroll::By(2), |b, i| {
                let place = b.at(from, i);
                let x = b.load(place, 8);
                let place = b.at(to, i);
                b.store(place, x);
            });
        }
    }

    /// A value of the type: from the pool if there is one, else a constant or a load.
    fn value(&mut self, ty: Ty) -> Value {
        let known: Vec<Value> = self.pool.iter().copied().filter(|&v| self.b.ty(v) == ty).collect();
        if !known.is_empty() && self.choose(4) != 0 {
            return self.pick(&known);
        }
        self.fresh_value(ty)
    }

    fn fresh_value(&mut self, ty: Ty) -> Value {
        match self.choose(3) {
            0 => {
                let c = match ty.elem() {
                    Elem::Bool => Const::Bool(self.choose(2) == 1),
                    Elem::I32 | Elem::I64 => Const::Int(self.choose(12) as i64 - 4),
                    _ => Const::Float(self.choose(16) as f64 / 2.0 - 3.0),
                };
                self.b.constant(ty, c)
            }
            _ => self.load(ty),
        }
    }

    /// An index that leaves room for 16 lanes at a stride of up to 4, plus 64.
    fn index(&mut self) -> Value {
        if self.choose(2) == 0 {
            let n = self.choose(60) as i64;
            return self.b.int(n);
        }
        let any = self.value(Ty::I64);
        let bound = self.b.int(60);
        self.b.binary(Binary::ModFloor, any, bound)
    }

    fn pattern(&mut self, lanes: u16, store: bool) -> Pattern {
        if lanes == 1 {
            return Pattern::Contiguous;
        }
        match self.choose(5) {
            0 if !store => Pattern::Splat,
            1 => {
                let stride = self.choose(4) as i64;
                Pattern::Strided(self.b.int(stride))
            }
            2 => {
                let stride = self.value(Ty::I64);
                let bound = self.b.int(5);
                Pattern::Strided(self.b.binary(Binary::ModFloor, stride, bound))
            }
            3 => {
                let any = self.value(Ty::vector(Elem::I32, lanes));
                let bound = self.b.int32(100);
                Pattern::Indexed(self.b.binary(Binary::ModFloor, any, bound))
            }
            _ => Pattern::Contiguous,
        }
    }

    fn mask(&mut self, lanes: u16) -> Option<Value> {
        (self.choose(3) == 0).then(|| self.value(Ty::vector(Elem::Bool, lanes)))
    }

    fn load(&mut self, ty: Ty) -> Value {
        let memory = self.memory(ty.elem());
        let base = if self.choose(3) == 0 { &self.scratch } else { &self.inputs };
        let mut ptr = base[memory];
        // Before the pool has anything, indices are constants, so this does not recurse without end.
        let at = if self.pool.is_empty() { self.b.int(3) } else { self.index() };
        if self.choose(6) == 0 {
            let n = self.b.int(2);
            ptr = self.b.advance(ptr, n);
        }
        let place = self.b.at(ptr, at).plus(self.choose(5) as i64);
        if self.pool.is_empty() {
            return self.b.load(place, ty.lanes());
        }
        let pattern = self.pattern(ty.lanes(), false);
        let mask = self.mask(ty.lanes());
        self.b.load_as(Reference { place, pattern, mask }, ty.lanes())
    }

    fn remember(&mut self, value: Value) {
        self.pool.push(value);
        if self.choose(4) == 0 {
            self.output(value);
        }
    }

    /// Stores a value to the task's part of an output.
    fn output(&mut self, value: Value) {
        let ty = self.b.ty(value);
        let e = self.memory(ty.elem());
        let slot = self.stored[e];
        if slot + i64::from(ty.lanes()) > SLOTS {
            return;
        }
        self.stored[e] += i64::from(ty.lanes());
        let start = self.b.mul_int(self.task, SLOTS);
        let place = self.b.at(self.outputs[e], start).plus(slot);
        self.b.store(place, value);
    }

    /// Values defined inside are not visible afterwards.
    fn scoped(&mut self, inside: impl FnOnce(&mut Self)) {
        let pool = self.pool.len();
        inside(self);
        self.pool.truncate(pool);
    }

    fn statements(&mut self, count: usize, depth: usize) {
        for _ in 0..count {
            if self.exhausted() {
                return;
            }
            self.statement(depth);
        }
    }

    /// Runs `inside` on the generator with the builder that a builder method passes to its closure.
    fn within(&mut self, b: &mut KernelBuilder, inside: impl FnOnce(&mut Self)) {
        std::mem::swap(&mut self.b, b);
        self.scoped(inside);
        std::mem::swap(&mut self.b, b);
    }

    fn take(&mut self) -> KernelBuilder {
        std::mem::replace(&mut self.b, KernelBuilder::new("x"))
    }

    fn statement(&mut self, depth: usize) {
        match self.choose(14) {
            0 if depth < 2 => {
                let lo = self.choose(3) as i64;
                let (lo, hi) = (
                    self.b.int(lo),
                    match self.choose(3) {
                        0 => self.n,
                        k => {
                            let trips = self.choose(7 * k) as i64;
                            self.b.int(trips)
                        }
                    },
                );
                let step = 1 + self.choose(3) as i64;
                let constant = self.b.known_int(hi).is_some();
                let unroll = match self.choose(4) {
                    0 | 1 => Unroll::No,
                    2 if constant => Unroll::Full,
                    k => Unroll::By(k as u32),
                };
                let mut b = self.take();
                b.for_range(lo, hi, step, unroll, |b, i| {
                    self.within(b, |g| {
                        g.pool.push(i);
                        g.statements(4, depth + 1);
                    });
                });
                self.b = b;
            }
            1 if depth < 3 => {
                let cond = self.value(Ty::BOOL);
                let mut b = self.take();
                let this = std::cell::RefCell::new(&mut *self);
                b.if_else(
                    cond,
                    |b| this.borrow_mut().within(b, |g| g.statements(3, depth + 1)),
                    |b| this.borrow_mut().within(b, |g| g.statements(2, depth + 1)),
                );
                self.b = b;
            }
            2 if depth < 2 => {
                let zero = self.b.int(0);
                let counter = self.b.var("count", zero);
                let trips = self.choose(5) as i64;
                let mut b = self.take();
                b.while_loop(
                    |b| {
                        let n = b.get(counter);
                        let limit = b.int(trips);
                        b.compare(Compare::Lt, n, limit)
                    },
                    |b| {
                        self.within(b, |g| g.statements(3, depth + 1));
                        let n = b.get(counter);
                        let n = b.add_int(n, 1);
                        b.set(counter, n);
                    },
                );
                self.b = b;
            }
            3 | 4 => {
                let i = self.choose(self.vars.len());
                let (var, ty) = self.vars[i];
                let value = self.value(ty);
                self.b.set(var, value);
            }
            5 => {
                let i = self.choose(self.vars.len());
                let value = self.b.get(self.vars[i].0);
                self.remember(value);
            }
            6 => {
                let elem = self.pick(&Elem::ALL);
                let lanes = self.lanes();
                let value = self.value(Ty::vector(elem, lanes));
                let at = self.index();
                let memory = self.memory(elem);
                let place = self.b.at(self.scratch[memory], at);
                let (pattern, mask) = (self.pattern(lanes, true), self.mask(lanes));
                self.b.store_as(Reference { place, pattern, mask }, value);
            }
            7 => {
                let elem = self.pick(&[Elem::F32, Elem::I32]);
                let memory = self.memory(elem);
                let lanes = self.pick(&[4, 8, 12]);
                let stride = self.pick(&[4, 5, 8]);
                let stride = self.b.int(stride);
                let at = self.index();
                let place = self.b.at(self.scratch[memory], at);
                let columns = self.b.load_block(place, stride, lanes);
                self.b.store_block(place, stride, [columns[1], columns[0], columns[3], columns[2]]);
                self.pool.extend(columns);
            }
            _ => {
                let value = self.operation();
                self.remember(value);
            }
        }
    }

    fn operation(&mut self) -> Value {
        let lanes = self.lanes();
        let elem = self.pick(&Elem::ALL);
        let ty = Ty::vector(elem, lanes);
        match self.choose(14) {
            0 => {
                let ops: Vec<Unary> = Unary::ALL.iter().copied().filter(|o| o.domain().contains(elem)).collect();
                let (op, a) = (self.pick(&ops), self.value(ty));
                self.b.unary(op, a)
            }
            1..=3 => {
                let ops: Vec<Binary> = Binary::ALL.iter().copied().filter(|o| o.domain().contains(elem)).collect();
                let (op, a, b) = (self.pick(&ops), self.value(ty), self.value(ty));
                self.b.binary(op, a, b)
            }
            4 => {
                let ops: Vec<Compare> = Compare::ALL.iter().copied().filter(|o| o.domain().contains(elem)).collect();
                let (op, a, b) = (self.pick(&ops), self.value(ty), self.value(ty));
                self.b.compare(op, a, b)
            }
            5 => {
                let ty = Ty::vector(self.pick(&[Elem::F32, Elem::F64]), lanes);
                let (a, b, c) = (self.value(ty), self.value(ty), self.value(ty));
                self.b.fma(a, b, c)
            }
            6 => {
                let mask_lanes = if self.choose(2) == 0 { 1 } else { lanes };
                let (c, a, b) = (self.value(Ty::vector(Elem::Bool, mask_lanes)), self.value(ty), self.value(ty));
                self.b.select(c, a, b)
            }
            7 => {
                let (a, to) = (self.value(ty), self.pick(&Elem::ALL));
                self.b.convert(a, to)
            }
            8 => {
                let to = match elem {
                    Elem::I32 => Elem::F32,
                    Elem::I64 => Elem::F64,
                    Elem::F32 => Elem::I32,
                    Elem::F64 => Elem::I64,
                    Elem::Bool | Elem::Bf16 => return self.value(ty),
                };
                let mut a = self.value(ty);
                if elem.is_float() {
                    let ordered = self.b.compare(Compare::Eq, a, a);
                    let zero = self.b.zero(ty);
                    a = self.b.select(ordered, a, zero);
                }
                self.b.bitcast(a, to)
            }
            9 if lanes > 1 => {
                let a = self.value(ty);
                let lane = self.choose(usize::from(lanes)) as u16;
                if self.choose(2) == 0 {
                    return self.b.extract(a, lane);
                }
                let x = self.value(ty.with_lanes(1));
                self.b.insert(a, x, lane)
            }
            10 if lanes > 1 => {
                let (a, b) = (self.value(ty), self.value(ty));
                let count = self.pick(&LANES[1..]);
                let picks: Vec<u16> = (0..count).map(|_| self.choose(usize::from(lanes) * 2) as u16).collect();
                self.b.shuffle(a, b, &picks)
            }
            11 if lanes > 1 => {
                let ops: Vec<Reduction> =
                    Reduction::ALL.iter().copied().filter(|o| o.domain().contains(elem)).collect();
                let (op, a) = (self.pick(&ops), self.value(ty));
                self.b.reduce(op, a)
            }
            12 => {
                let ty = Ty::vector(self.pick(&[Elem::F32, Elem::F64]), lanes);
                let function = self.pick(Function::ALL);
                let args: Vec<Value> = (0..function.arity()).map(|_| self.value(ty)).collect();
                self.b.call(function, &args)
            }
            _ => match self.choose(2) {
                0 if lanes > 1 => self.b.iota(lanes),
                _ => {
                    let x = self.value(ty.with_lanes(1));
                    self.b.splat(x, lanes)
                }
            },
        }
    }
}

/// Which operations a kernel contains, in words.
pub(crate) fn census(kernel: &Kernel) -> Vec<String> {
    let mut words = Vec::new();
    for line in kernel.to_string().lines() {
        let line = line.trim();
        let (ty, word) = match line.split_once(" = ") {
            Some((left, right)) => {
                let ty = left.rsplit(": ").next().unwrap_or("");
                let ty = if ty.contains('x') { "vector" } else { "scalar" };
                (ty, right.split([' ', '(']).next().unwrap_or(""))
            }
            None => ("", line.split([' ', '(']).next().unwrap_or("")),
        };
        let detail = ["splat", " by ", " at ", " where ", "unroll"]
            .into_iter()
            .filter(|d| ["load", "store", "for"].contains(&word) && line.contains(d))
            .map(str::trim);
        let parts = [ty, word].into_iter().chain(detail).filter(|w| !w.is_empty());
        words.push(parts.collect::<Vec<_>>().join(" "));
    }
    words
}
