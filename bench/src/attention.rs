//! Dense causal attention with the queries in the lanes.
//!
//! One task is a block of queries of one head. Q is packed once, transposed and scaled; K and V are read in place, one
//! splatted element at a time; scores `S^T[key][query]`, running maxima, sums and `O^T[d][query]` all have queries in the
//! lanes, so softmax needs no reduction across lanes and the rescaling of O is a product of rows.

use weft_ir::loops::{
    Access, Binary, Compare, Elem, Extent, Function, Kernel, KernelBuilder, Ty, Unroll, Value, Var, VerifyError,
};

use crate::dot::{Operands, Shape, accumulate, refuse};

/// Block sizes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Blocks {
    /// Register block: rows are keys (or elements of a head), lanes are queries.
    pub shape: Shape,
    /// Panels of queries in a task.
    pub panels: i64,
    /// Keys in a block.
    pub keys: i64,
    /// Elements of a head.
    pub head: i64,
}

impl Blocks {
    /// Queries in a task; the sequence length must be a multiple.
    #[must_use]
    pub fn queries(&self) -> i64 {
        self.panels * self.width()
    }

    fn width(&self) -> i64 {
        i64::from(self.shape.lanes())
    }
}

/// Below every score; finite, so that no difference of two is NaN.
const LOW: f32 = -1e30;

/// `o[h, t, d] = sum over j <= t of softmax_j(q[h, t] . k[h, j] / sqrt D) v[h, j, d]`; dims `H`, `T`; one task for each
/// head and block of queries, last blocks first because they are the longest.
///
/// # Errors
/// Blocks that do not divide each other.
pub fn kernel(blocks: Blocks) -> Result<Kernel, VerifyError> {
    let Blocks { shape, keys, head, .. } = blocks;
    let fits = shape.rows > 0
        && head % 4 == 0
        && [head, keys, blocks.width()].iter().all(|n| n % shape.rows == 0)
        && keys % blocks.width() == 0;
    if !fits {
        return Err(refuse("attention", &blocks));
    }
    let mut b = KernelBuilder::new("attention");
    b.dim("H");
    let length = b.dim("T");
    let size = [KernelBuilder::dim_extent(0), KernelBuilder::dim_extent(1), Extent::Const(blocks.head.unsigned_abs())];
    let q = b.buffer("q", Elem::F32, Access::Read, &size);
    let k = b.buffer("k", Elem::F32, Access::Read, &size);
    let v = b.buffer("v", Elem::F32, Access::Read, &size);
    let o = b.buffer("o", Elem::F32, Access::Write, &size);
    let (width, panels) = (blocks.width(), blocks.panels);
    let panel = blocks.head * width;
    let elements = |n: i64| n.unsigned_abs();
    let scratch = Scratch {
        qt: b.scratch("qt", Elem::F32, elements(panels * panel)),
        ot: b.scratch("ot", Elem::F32, elements(panels * panel)),
        s: b.scratch("s", Elem::F32, elements(blocks.keys * width)),
        m: b.scratch("m", Elem::F32, elements(panels * width)),
        l: b.scratch("l", Elem::F32, elements(panels * width)),
    };
    b.for_tasks(|b, task| {
        let queries = b.int(blocks.queries());
        let count = b.binary(Binary::DivFloor, length, queries);
        let h = b.binary(Binary::DivFloor, task, count);
        let block = b.binary(Binary::ModFloor, task, count);
        let last = b.add_int(count, -1);
        let block = b.sub(last, block);
        let q0 = b.mul(block, queries);
        let first = b.mul(h, length);
        let head = b.mul_int(first, blocks.head);
        let task = Task { blocks, scratch, k, v, head, q0 };
        task.pack(b, q);
        let zero = b.int(0);
        let end = b.add(q0, queries);
        b.for_range(zero, end, blocks.keys, Unroll::No, |b, k0| {
            let (zero, panels) = (b.int(0), b.int(panels));
            b.for_range(zero, panels, 1, Unroll::No, |b, p| task.panel(b, p, k0));
        });
        task.unpack(b, o);
    });
    b.finish()
}

#[derive(Clone, Copy)]
struct Scratch {
    /// Queries, transposed: `[panel][d][lane]`.
    qt: Value,
    /// Outputs, transposed: `[panel][d][lane]`.
    ot: Value,
    /// Scores of a panel against a block of keys: `[key][lane]`.
    s: Value,
    /// Running maxima: `[panel][lane]`.
    m: Value,
    /// Running sums: `[panel][lane]`.
    l: Value,
}

#[derive(Clone, Copy)]
struct Task {
    blocks: Blocks,
    scratch: Scratch,
    k: Value,
    v: Value,
    /// Index of the head's first element in q, k, v, o.
    head: Value,
    /// First query.
    q0: Value,
}

impl Task {
    fn lanes(&self) -> u16 {
        self.blocks.shape.lanes()
    }

    fn width(&self) -> i64 {
        self.blocks.width()
    }

    /// Runs `body` for groups of four elements of each panel's head: `(row index in q or o, scratch index, d)`.
    fn each_four(&self, b: &mut KernelBuilder, body: impl Fn(&mut KernelBuilder, Value, Value)) {
        let (zero, panels, head) = (b.int(0), b.int(self.blocks.panels), b.int(self.blocks.head));
        b.for_range(zero, panels, 1, Unroll::No, |b, p| {
            let row = b.mul_int(p, self.width());
            let row = b.add(self.q0, row);
            let row = b.mul_int(row, self.blocks.head);
            let row = b.add(self.head, row);
            let panel = b.mul_int(p, self.blocks.head * self.width());
            b.for_range(zero, head, 4, Unroll::No, |b, d| {
                let element = b.add(row, d);
                let at = b.mul_int(d, self.width());
                let at = b.add(panel, at);
                body(b, element, at);
            });
        });
    }

    fn pack(&self, b: &mut KernelBuilder, q: Value) {
        #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "a scale factor")]
        let scale = (std::f64::consts::LOG2_E / (self.blocks.head as f64).sqrt()) as f32;
        let (zeros, low) = (b.zero(Ty::vector(Elem::F32, self.lanes())), b.float(LOW));
        let low = b.splat(low, self.lanes());
        let scale = b.float(scale);
        let stride = b.int(self.blocks.head);
        self.each_four(b, |b, element, at| {
            let place = b.at(q, element);
            let columns = b.load_block(place, stride, self.lanes());
            for (j, column) in (0..).zip(columns) {
                let scaled = b.mul(column, scale);
                let place = b.at(self.scratch.qt, at).plus(j * self.width());
                b.store(place, scaled);
                let place = b.at(self.scratch.ot, at).plus(j * self.width());
                b.store(place, zeros);
            }
        });
        let (zero, end) = (b.int(0), b.int(self.blocks.queries()));
        b.for_range(zero, end, self.width(), Unroll::No, |b, i| {
            let place = b.at(self.scratch.m, i);
            b.store(place, low);
            let place = b.at(self.scratch.l, i);
            b.store(place, zeros);
        });
    }

    /// One panel of queries against one block of keys.
    fn panel(&self, b: &mut KernelBuilder, p: Value, k0: Value) {
        let width = self.width();
        let lanes = b.mul_int(p, width);
        let qs = b.add(self.q0, lanes);
        // Keys k0 .. k0 + n are seen by some query of the panel, the first `full` by all.
        let ahead = b.sub(qs, k0);
        let (zero, keys) = (b.int(0), b.int(self.blocks.keys));
        let n = b.add_int(ahead, width);
        let n = b.min(n, keys);
        let full = b.max(ahead, zero);
        let full = b.min(full, n);
        let some = b.compare(Compare::Gt, n, zero);
        b.if_then(some, |b| {
            let panel = b.mul_int(p, self.blocks.head * width);
            let row = b.mul_int(k0, self.blocks.head);
            let row = b.add(self.head, row);
            let place = b.at(self.scratch.m, lanes);
            let old = b.load(place, self.lanes());
            let max = b.var("max", old);
            let rows = self.blocks.shape.rows;
            b.for_range(zero, full, rows, Unroll::No, |b, key| self.scores(b, panel, row, key, max, None));
            b.for_range(full, n, rows, Unroll::No, |b, key| self.scores(b, panel, row, key, max, Some(ahead)));

            let new = b.get(max);
            b.store(place, new);
            let change = b.sub(old, new);
            let alpha = b.call(Function::Exp2, &[change]);
            let place = b.at(self.scratch.l, lanes);
            let sum = b.load(place, self.lanes());
            let sum = b.mul(sum, alpha);
            let sum = b.var("sum", sum);
            b.for_range(zero, n, 1, Unroll::By(2), |b, key| {
                let at = b.mul_int(key, width);
                let place = b.at(self.scratch.s, at);
                let s = b.load(place, self.lanes());
                let s = b.sub(s, new);
                let w = b.call(Function::Exp2, &[s]);
                b.store(place, w);
                let so_far = b.get(sum);
                let so_far = b.add(so_far, w);
                b.set(sum, so_far);
            });
            let total = b.get(sum);
            b.store(place, total);
            let head = b.int(self.blocks.head);
            b.for_range(zero, head, rows, Unroll::No, |b, d| self.values(b, panel, row, d, alpha, n));
        });
    }

    /// Scores of a register block of keys, masked if `ahead` (the first query's distance from key 0) is given.
    fn scores(&self, b: &mut KernelBuilder, panel: Value, row: Value, key: Value, max: Var, ahead: Option<Value>) {
        let (shape, head, width) = (self.blocks.shape, self.blocks.head, self.width());
        let zeros = b.zero(Ty::vector(Elem::F32, self.lanes()));
        let acc: Vec<Var> = (0..shape.rows).map(|i| b.var(format!("s{i}"), zeros)).collect();
        let start = b.mul_int(key, head);
        let start = b.add(row, start);
        let operands = Operands {
            a: self.k,
            a_start: start,
            a_row: head,
            a_depth: 1,
            b: self.scratch.qt,
            b_start: panel,
            b_depth: width,
        };
        let depth = b.int(head);
        accumulate(b, shape, operands, depth, &acc);
        let at = b.mul_int(key, width);
        for (i, &acc) in (0..).zip(&acc) {
            let mut s = b.get(acc);
            if let Some(ahead) = ahead {
                // Query lane `l` sees key `key + i` if `key + i <= ahead + l`.
                let from = b.sub(key, ahead);
                let from = b.add_int(from, i);
                let from = b.convert(from, Elem::I32);
                let lane = b.iota(self.lanes());
                let seen = b.compare(Compare::Ge, lane, from);
                let low = b.float(LOW);
                s = b.select(seen, s, low);
            }
            let m = b.get(max);
            let m = b.max(m, s);
            b.set(max, m);
            let place = b.at(self.scratch.s, at).plus(i * width);
            b.store(place, s);
        }
    }

    /// `O^T[d ..][lanes] = O^T * alpha + V^T P`.
    fn values(&self, b: &mut KernelBuilder, panel: Value, row: Value, d: Value, alpha: Value, n: Value) {
        let (shape, width) = (self.blocks.shape, self.width());
        let at = b.mul_int(d, width);
        let at = b.add(panel, at);
        let places: Vec<_> = (0..shape.rows).map(|i| b.at(self.scratch.ot, at).plus(i * width)).collect();
        let acc: Vec<Var> = (0..)
            .zip(&places)
            .map(|(i, &place): (i64, _)| {
                let o = b.load(place, self.lanes());
                let o = b.mul(o, alpha);
                b.var(format!("o{i}"), o)
            })
            .collect();
        let start = b.add(row, d);
        let zero = b.int(0);
        let operands = Operands {
            a: self.v,
            a_start: start,
            a_row: 1,
            a_depth: self.blocks.head,
            b: self.scratch.s,
            b_start: zero,
            b_depth: width,
        };
        accumulate(b, shape, operands, n, &acc);
        for (&acc, &place) in acc.iter().zip(&places) {
            let o = b.get(acc);
            b.store(place, o);
        }
    }

    fn unpack(&self, b: &mut KernelBuilder, o: Value) {
        let stride = b.int(self.blocks.head);
        let (zero, end) = (b.int(0), b.int(self.blocks.queries()));
        b.for_range(zero, end, self.width(), Unroll::No, |b, i| {
            let place = b.at(self.scratch.l, i);
            let sum = b.load(place, self.lanes());
            let one = b.float(1.0);
            let inverse = b.div(one, sum);
            b.store(place, inverse);
        });
        let panel_elements = b.int(self.blocks.head * self.width());
        self.each_four(b, |b, element, at| {
            let p = b.binary(Binary::DivFloor, at, panel_elements);
            let lanes = b.mul_int(p, self.width());
            let place = b.at(self.scratch.l, lanes);
            let inverse = b.load(place, self.lanes());
            let mut columns = [inverse; 4];
            for (j, column) in (0..).zip(&mut columns) {
                let place = b.at(self.scratch.ot, at).plus(j * self.width());
                let x = b.load(place, self.lanes());
                *column = b.mul(x, inverse);
            }
            let place = b.at(o, element);
            b.store_block(place, stride, columns);
        });
    }
}

/// The definition, in f64, for some rows `(head, query)` of inputs `[H][T][D]`.
#[must_use]
pub fn reference(q: &[f32], k: &[f32], v: &[f32], length: usize, head: usize, rows: &[(usize, usize)]) -> Vec<f64> {
    let at = |x: &[f32], h: usize, t: usize, d: usize| f64::from(x[(h * length + t) * head + d]);
    #[allow(clippy::cast_precision_loss, reason = "a small number")]
    let scale = 1.0 / (head as f64).sqrt();
    let mut out = Vec::new();
    for &(h, t) in rows {
        let scores: Vec<f64> =
            (0..=t).map(|j| (0..head).map(|d| at(q, h, t, d) * at(k, h, j, d)).sum::<f64>() * scale).collect();
        let max = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let weights: Vec<f64> = scores.iter().map(|s| (s - max).exp()).collect();
        let total: f64 = weights.iter().sum();
        out.extend((0..head).map(|d| (0..=t).map(|j| weights[j] * at(v, h, j, d)).sum::<f64>() / total));
    }
    out
}
