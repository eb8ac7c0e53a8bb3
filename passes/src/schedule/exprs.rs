//! Integer terms as index expressions, and extents.

use super::Scheduler;
use weft_ir::graph::{AxisId, DomainId, Extent, NodeId};
use weft_ir::kernel::Expr;

impl Scheduler {
    /// Extent of a domain; `batch` gives the position of a batch axis, without which a ragged extent is its largest.
    pub(crate) fn extent_expr(&self, domain: DomainId, batch: &impl Fn(AxisId) -> Option<Expr>) -> Expr {
        match self.c.g.domain(domain).extent {
            Extent::Const(n) => Expr::Const(n),
            Extent::Runtime => self.runtime(domain),
            Extent::Ragged(b) => match (batch(b), self.extents.get(&domain)) {
                (Some(at), Some(&(e, true))) => Expr::ragged(e, at),
                _ => self.runtime(domain),
            },
            Extent::Derived { base, mul, add, div } => (self.extent_expr(base, batch) * mul + add).floor_div(div),
        }
    }

    fn runtime(&self, domain: DomainId) -> Expr {
        self.extents.get(&domain).map_or(Expr::Const(0), |&(e, _)| Expr::Extent(e))
    }

    /// Static extent of an axis, or 1.
    pub(crate) fn static_size(&self, axis: AxisId) -> i64 {
        self.c.g.static_extent(axis).unwrap_or(1)
    }

    /// The condition that the position of an axis is below a number.
    pub(crate) fn below(&mut self, axis: AxisId, n: i64) -> Result<NodeId, super::Error> {
        let index = self.c.make(&weft_ir::graph::Op::Index(axis), &[])?;
        let form = weft_ir::linear::Lin::var(index).scaled(-1).and_then(|f| f.offset(n - 1));
        match form {
            Some(f) => Ok(self.c.make_raw_inequality(&f)?),
            None => self.unsupported(index, "an axis of this extent"),
        }
    }

    /// Does a term depend on an axis?
    pub(crate) fn has(&self, id: NodeId, axis: AxisId) -> bool {
        self.c.g.free(id).contains(axis)
    }
}
