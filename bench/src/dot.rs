//! The register-blocked product, `C[rows][lanes] += sum over r of A[row, r] * B[r][lanes]`.
//!
//! Lanes lie along the contiguous axis of B; elements of A are splatted from memory in their natural layout; the
//! accumulators are variables. Everything compute-bound is made of it.

use weft_ir::loops::{Access, Elem, Extent, Kernel, KernelBuilder, Ty, Unroll, Value, Var, VerifyError};

/// Shape of the block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shape {
    /// Rows of accumulators.
    pub rows: i64,
    /// Lanes of each row, in 128-bit vectors of four f32.
    pub vectors: u16,
    /// Copies of the body of the loop over the contracted axis.
    pub unroll: u32,
}

impl Shape {
    /// Lanes of one row.
    #[must_use]
    pub fn lanes(&self) -> u16 {
        self.vectors * 4
    }
}

/// Where the operands of a block lie: element `A[a + i * a_row + r * a_depth]`, row `B[b + r * b_depth ..]`.
#[derive(Clone, Copy, Debug)]
pub struct Operands {
    /// Pointer to A.
    pub a: Value,
    /// Index of its first element.
    pub a_start: Value,
    /// Distance of rows, in elements.
    pub a_row: i64,
    /// Distance of steps along the contracted axis, in elements.
    pub a_depth: i64,
    /// Pointer to B.
    pub b: Value,
    /// Index of its first element.
    pub b_start: Value,
    /// Distance of steps along the contracted axis, in elements.
    pub b_depth: i64,
}

/// Appends the loop that adds the product over `depth` steps to the accumulators.
///
/// Running indices instead of products with the loop counter: Cranelift has no strength reduction.
pub fn accumulate(b: &mut KernelBuilder, shape: Shape, at: Operands, depth: Value, acc: &[Var]) {
    let ia = b.var("ia", at.a_start);
    let ib = b.var("ib", at.b_start);
    let zero = b.int(0);
    let unroll = if shape.unroll > 1 { Unroll::By(shape.unroll) } else { Unroll::No };
    b.for_range(zero, depth, 1, unroll, |b, _| {
        let index = b.get(ib);
        let place = b.at(at.b, index);
        let row = b.load(place, shape.lanes());
        let next = b.add_int(index, at.b_depth);
        b.set(ib, next);
        let index = b.get(ia);
        for (i, &acc) in (0..).zip(acc) {
            let place = b.at(at.a, index).plus(i * at.a_row);
            let x = b.load_splat(place, shape.lanes());
            let sum = b.get(acc);
            let sum = b.fma(x, row, sum);
            b.set(acc, sum);
        }
        let next = b.add_int(index, at.a_depth);
        b.set(ia, next);
    });
}

/// A kernel whose every task multiplies the same `rows x depth` A and `depth x lanes` B, which stay in L1, and stores
/// the product to row block `task mod 64` of C.
///
/// # Errors
/// None for shapes that make sense; the verifier's otherwise.
pub fn hot_kernel(shape: Shape, depth: i64) -> Result<Kernel, VerifyError> {
    let mut b = KernelBuilder::new("dot");
    let d = Extent::Const(depth.unsigned_abs());
    let rows = Extent::Const(shape.rows.unsigned_abs());
    let lanes = Extent::Const(u64::from(shape.lanes()));
    let a = b.buffer("a", Elem::F32, Access::Read, &[rows, d]);
    let bb = b.buffer("b", Elem::F32, Access::Read, &[d, lanes]);
    let c = b.buffer("c", Elem::F32, Access::Write, &[Extent::Const(64), rows, lanes]);
    b.for_tasks(|b, task| {
        let zero = b.int(0);
        let acc = accumulators(b, shape);
        let operands = Operands {
            a,
            a_start: zero,
            a_row: depth,
            a_depth: 1,
            b: bb,
            b_start: zero,
            b_depth: i64::from(shape.lanes()),
        };
        let depth = b.int(depth);
        accumulate(b, shape, operands, depth, &acc);
        let mask = b.int(63);
        let slot = b.binary(weft_ir::loops::Binary::And, task, mask);
        let start = b.mul_int(slot, shape.rows * i64::from(shape.lanes()));
        for (i, &acc) in (0..).zip(&acc) {
            let place = b.at(c, start).plus(i * i64::from(shape.lanes()));
            let sum = b.get(acc);
            b.store(place, sum);
        }
    });
    b.finish()
}

/// Accumulator variables, set to zero.
pub fn accumulators(b: &mut KernelBuilder, shape: Shape) -> Vec<Var> {
    let zero = b.zero(Ty::vector(Elem::F32, shape.lanes()));
    (0..shape.rows).map(|i| b.var(format!("acc{i}"), zero)).collect()
}

/// The error for block sizes that a kernel of this crate cannot have.
pub(crate) fn refuse(kernel: &str, blocks: &dyn std::fmt::Debug) -> VerifyError {
    VerifyError { kernel: kernel.to_owned(), message: format!("the blocks do not divide each other: {blocks:?}") }
}
