//! Ranges of index expressions as formulas in the run-time extents.

use weft_ir::kernel::{BinOp, Expr, Plan};
use weft_ir::program::Formula;

/// Least and greatest value.
pub(super) type Range = (Formula, Formula);

/// The range of an expression over extents, where `leaf` gives the ranges of grid variables and indices of dimensions.
/// A ragged length `T[b]` runs from 0 to the largest, `T`.
pub(super) fn range(plan: &Plan, expr: &Expr, leaf: &dyn Fn(&Expr) -> Option<Range>) -> Option<Range> {
    let exact = |f: Formula| Some((f.clone(), f));
    match expr {
        Expr::Const(n) => exact(Formula::Const(*n)),
        Expr::Param(_) => exact(Formula::Const(plan.static_value(expr)?)),
        Expr::Extent(e) => exact(Formula::Extent(e.index())),
        Expr::Ragged(e, _) => Some((Formula::Const(0), Formula::Extent(e.index()))),
        Expr::Binary(op, a, b) => {
            let (al, ah) = range(plan, a, leaf)?;
            let (bl, bh) = range(plan, b, leaf)?;
            let f = |x, y| Formula::binary(*op, x, y);
            match op {
                BinOp::Add | BinOp::Min | BinOp::Max => Some((f(al, bl), f(ah, bh))),
                BinOp::Sub => Some((f(al, bh), f(ah, bl))),
                BinOp::Mul => match (al.known(), bl.known()) {
                    (_, Some(c)) if bl == bh => Some(ordered(c, f(al, bl.clone()), f(ah, bl))),
                    (Some(c), _) if al == ah => Some(ordered(c, f(al.clone(), bl), f(al, bh))),
                    // Extents are not negative, and neither are the indices that multiply them.
                    _ => Some((Formula::Const(0), f(ah, bh))),
                },
                BinOp::Div | BinOp::CeilDiv => Some((f(al, bh.clone()), f(ah, bh))),
                BinOp::Mod => Some((Formula::Const(0), Formula::binary(BinOp::Sub, bh, Formula::Const(1)))),
            }
        }
        leaf_expr => leaf(leaf_expr),
    }
}

fn ordered(sign: i64, a: Formula, b: Formula) -> Range {
    if sign < 0 { (b, a) } else { (a, b) }
}
