//! Stored products in place of their factors: a normalised value is one read, not two.

use super::{Error, Scheduler};
use weft_ir::graph::{AxisId, NodeId, Op};

impl Scheduler {
    /// Factors of a stored product with those replaced that are stored as a product already.
    pub(super) fn use_products(&mut self, factors: &[NodeId]) -> Vec<NodeId> {
        let mut left = factors.to_vec();
        for (parts, product) in self.products.clone() {
            // A factor may be there more than once: a power.
            let mut rest = left.clone();
            let taken = parts.iter().all(|p| {
                let at = rest.iter().position(|f| f == p);
                at.map(|at| rest.swap_remove(at)).is_some()
            });
            if taken && !rest.is_empty() {
                rest.push(product);
                left = rest;
            }
        }
        left
    }

    /// Factors of a sum with those replaced that are stored as a product, at whatever positions they are read.
    pub(super) fn use_products_at(&mut self, factors: &[NodeId]) -> Result<Vec<NodeId>, Error> {
        let mut left = factors.to_vec();
        for (parts, product) in self.products.clone() {
            // The part with the most axes says where the product is read.
            let heavy = parts.iter().filter(|&&p| self.c.is_heavy(p));
            let Some(&first) = heavy.max_by_key(|&&p| self.c.g.free(p).iter().count()) else { continue };
            let reads: Vec<Vec<(AxisId, NodeId)>> = left.iter().filter_map(|&f| self.read_at(f, first)).collect();
            for map in reads {
                let mut rest = left.clone();
                let mut taken = true;
                for &p in &parts {
                    let moved = self.c.substitute(p, &map)?;
                    let at = rest.iter().position(|&f| f == moved);
                    taken &= at.map(|at| rest.swap_remove(at)).is_some();
                }
                if taken {
                    rest.push(self.c.substitute(product, &map)?);
                    left = rest;
                    break;
                }
            }
        }
        Ok(left)
    }

    /// Factors with those replaced that are stored as a product, once their axes have the names that stored values have.
    pub(super) fn use_products_at_home(&mut self, factors: &[NodeId]) -> Result<Vec<NodeId>, Error> {
        let product = self.c.product_of(factors)?;
        let (home, back) = self.at_home(product)?;
        let parts = match self.c.g.op(home) {
            Op::Ein { axes, guards: 0 } if axes.is_empty() => self.c.g.args(home).to_vec(),
            _ => return Ok(factors.to_vec()),
        };
        let fewer = self.use_products(&parts);
        if fewer.len() == parts.len() {
            return Ok(factors.to_vec());
        }
        let back: Vec<(AxisId, AxisId)> = back.into_iter().filter(|(to, from)| to != from).collect();
        let mut away = Vec::with_capacity(fewer.len());
        for f in fewer {
            away.push(self.c.rename(f, &back)?);
        }
        Ok(away)
    }

    /// Where a term reads a value.
    fn read_at(&self, id: NodeId, value: NodeId) -> Option<Vec<(AxisId, NodeId)>> {
        match self.c.g.op(id) {
            Op::Sub { axes } if self.c.g.args(id)[0] == value => {
                Some(axes.iter().copied().zip(self.c.g.args(id)[1..].iter().copied()).collect())
            }
            _ => (id == value).then(Vec::new),
        }
    }
}
