//! Product of matrices, `C[M][N] = A[M][K] B[K][N]`.
//!
//! One task is a block of rows times a block of columns. Its columns of B are packed into panels as wide as a register
//! block, so that the inner loop reads whole cache lines; A is read in place.

use weft_ir::loops::{Access, Binary, Elem, Kernel, KernelBuilder, Ty, Unroll, Var, VerifyError};

use crate::dot::{Operands, Shape, accumulate, refuse};

/// Block sizes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Blocks {
    /// Register block: rows of A, columns of B in the lanes.
    pub shape: Shape,
    /// Rows in a task; M must be a multiple, and it a multiple of the register block's rows.
    pub rows: i64,
    /// Columns in a task; N must be a multiple, and it a multiple of the register block's lanes.
    pub columns: i64,
    /// K.
    pub depth: i64,
}

/// The kernel; dims `M`, `N`; `M / rows * N / columns` tasks.
///
/// # Errors
/// Blocks that do not divide each other.
pub fn kernel(blocks: Blocks) -> Result<Kernel, VerifyError> {
    let Blocks { shape, rows, columns, .. } = blocks;
    if shape.rows <= 0 || rows % shape.rows != 0 || columns % i64::from(shape.lanes()) != 0 {
        return Err(refuse("matmul", &blocks));
    }
    let mut b = KernelBuilder::new("matmul");
    b.dim("M");
    let n = b.dim("N");
    let (em, en) = (KernelBuilder::dim_extent(0), KernelBuilder::dim_extent(1));
    let ek = weft_ir::loops::Extent::Const(blocks.depth.unsigned_abs());
    let a = b.buffer("a", Elem::F32, Access::Read, &[em, ek]);
    let bb = b.buffer("b", Elem::F32, Access::Read, &[ek, en]);
    let c = b.buffer("c", Elem::F32, Access::Write, &[em, en]);
    let packed = b.scratch("packed", Elem::F32, (blocks.depth * blocks.columns).unsigned_abs());
    let lanes = i64::from(shape.lanes());
    b.for_tasks(|b, task| {
        let columns = b.int(blocks.columns);
        let across = b.binary(Binary::DivFloor, n, columns);
        let row0 = b.binary(Binary::DivFloor, task, across);
        let row0 = b.mul_int(row0, blocks.rows);
        let column0 = b.binary(Binary::ModFloor, task, across);
        let column0 = b.mul(column0, columns);
        let (zero, depth, rows) = (b.int(0), b.int(blocks.depth), b.int(blocks.rows));
        b.for_range(zero, columns, lanes, Unroll::No, |b, j| {
            let panel = b.mul(j, depth);
            let column = b.add(column0, j);
            b.for_range(zero, depth, 1, Unroll::By(4), |b, r| {
                let from = b.mul(r, n);
                let from = b.add(from, column);
                let from = b.at(bb, from);
                let x = b.load(from, shape.lanes());
                let to = b.mul_int(r, lanes);
                let to = b.add(panel, to);
                let to = b.at(packed, to);
                b.store(to, x);
            });
        });
        b.for_range(zero, rows, shape.rows, Unroll::No, |b, i| {
            let row = b.add(row0, i);
            let a_start = b.mul(row, depth);
            let c_row = b.mul(row, n);
            let c_row = b.add(c_row, column0);
            b.for_range(zero, columns, lanes, Unroll::No, |b, j| {
                let zeros = b.zero(Ty::vector(Elem::F32, shape.lanes()));
                let acc: Vec<Var> = (0..shape.rows).map(|i| b.var(format!("acc{i}"), zeros)).collect();
                let b_start = b.mul(j, depth);
                let operands =
                    Operands { a, a_start, a_row: blocks.depth, a_depth: 1, b: packed, b_start, b_depth: lanes };
                accumulate(b, shape, operands, depth, &acc);
                let mut at = b.add(c_row, j);
                for acc in acc {
                    let sum = b.get(acc);
                    let place = b.at(c, at);
                    b.store(place, sum);
                    at = b.add(at, n);
                }
            });
        });
    });
    b.finish()
}
