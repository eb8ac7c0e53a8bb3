//! Long sums that are there already.
//!
//! `sum over j of w[t, j] * (sum over d of a[t, d] b[j, d])` is `sum over d of a[t, d] * (sum over j of w[t, j] b[j, d])`. As it stands it is
//! a pass over all pairs; turned round it is a pass over rows if the graph has the inner sum for another reason. It is what the backward
//! of a normalised sum asks for: the row sums that flash attention calls Delta are products of the output and its cotangent.
//!
//! The other form is tried, and taken if its long sum is a node that exists. What is made on trial is no reason for another trial to
//! succeed.

use super::Canon;
use weft_ir::graph::{AxisId, AxisSet, Error, NodeId, Op};

impl Canon {
    /// A sum over `axes`, one of them long, of `fs` where `gs` hold, as a short sum of a long sum that exists.
    pub(super) fn reused(&mut self, axes: &[AxisId], gs: &[NodeId], fs: &[NodeId]) -> Result<Option<NodeId>, Error> {
        if !self.reuses || self.trial || !axes.iter().any(|&a| self.is_long(a)) {
            return Ok(None);
        }
        let set: AxisSet = axes.iter().copied().collect();
        for (at, &f) in fs.iter().enumerate() {
            let Op::Ein { axes: short, guards: 0 } = self.g.op(f).clone() else { continue };
            let inner = self.g.args(f).to_vec();
            let (moving, still): (Vec<NodeId>, Vec<NodeId>) =
                inner.iter().partition(|&&x| !self.g.free(x).is_disjoint(&set));
            let others: Vec<NodeId> = fs.iter().enumerate().filter(|(n, _)| *n != at).map(|(_, &x)| x).collect();
            let everywhere = |c: &Self, xs: &[NodeId], a: AxisId| xs.iter().any(|&x| c.g.free(x).contains(a));
            let apart = |c: &Self, a: AxisId| {
                everywhere(c, &moving, a)
                    && everywhere(c, &still, a)
                    && !everywhere(c, &others, a)
                    && !everywhere(c, gs, a)
            };
            let is_short = |c: &Self, a: AxisId| c.g.static_extent(a).is_some();
            if short.is_empty() || !short.iter().all(|&a| is_short(self, a) && apart(self, a)) {
                continue;
            }
            let Some(names) = self.own_names(&short, &[gs, &others, &moving].concat()) else { continue };
            let body = self.rename_all(&moving, &names)?;
            if let Some(sum) = self.existing(axes, gs, &[others, body].concat())? {
                let back: Vec<(AxisId, AxisId)> = names.iter().map(|&(from, to)| (to, from)).collect();
                let sum = self.rename_all(&[sum], &back)?;
                return self.ein(&short, &[], &[still, sum].concat()).map(Some);
            }
        }
        Ok(None)
    }

    /// Factors of a product, where one of them is a short sum over a row value that exists as a product with another: that product stands in
    /// the sum then. `x * (sum over d of a[d] v[d])` is `sum over d of a[d] (x v[d])` where `x v[d]` is stored anyway.
    pub(super) fn absorbed(&mut self, fs: &[NodeId]) -> Result<Option<Vec<NodeId>>, Error> {
        if !self.reuses || self.trial {
            return Ok(None);
        }
        for (at, &f) in fs.iter().enumerate() {
            let Op::Ein { axes: short, guards: 0 } = self.g.op(f).clone() else { continue };
            if short.is_empty() || !short.iter().all(|&a| self.g.static_extent(a).is_some()) {
                continue;
            }
            let inner = self.g.args(f).to_vec();
            for (n, &y) in inner.iter().enumerate() {
                let (value, map) = self.read_of(y);
                if !self.has_long_reduction(value) {
                    continue;
                }
                for (m, &x) in fs.iter().enumerate() {
                    let moved = map.iter().any(|&(a, _)| self.g.free(x).contains(a));
                    if m == at || !self.is_row_value(x) || moved {
                        continue;
                    }
                    let Some(product) = self.existing(&[], &[], &[value, x])? else { continue };
                    let product = self.substitute(product, &map)?;
                    let mut body = inner.clone();
                    body[n] = product;
                    let mut left: Vec<NodeId> =
                        fs.iter().enumerate().filter(|(k, _)| *k != at && *k != m).map(|(_, &z)| z).collect();
                    left.push(self.ein(&short, &[], &body)?);
                    return Ok(Some(left));
                }
            }
        }
        Ok(None)
    }

    /// A value, and where it is read.
    fn read_of(&self, id: NodeId) -> (NodeId, Vec<(AxisId, NodeId)>) {
        match self.g.op(id) {
            Op::Sub { axes } => {
                let args = self.g.args(id);
                (args[0], axes.iter().copied().zip(args[1..].iter().copied()).collect())
            }
            _ => (id, Vec::new()),
        }
    }

    /// For every axis the first of its domain, under which values of the source are made, unless that is taken.
    fn own_names(&self, axes: &[AxisId], terms: &[NodeId]) -> Option<Vec<(AxisId, AxisId)>> {
        let first = |a: AxisId| self.g.axes().iter().position(|x| x.domain == self.g.axis(a).domain);
        let names: Option<Vec<_>> = axes.iter().map(|&a| Some((a, AxisId(first(a)? as u32)))).collect();
        let names = names?;
        let taken = |to: AxisId| terms.iter().any(|&x| self.g.free(x).contains(to)) && !axes.contains(&to);
        let twice = |to: AxisId| names.iter().filter(|n| n.1 == to).count() > 1;
        names.iter().all(|n| !taken(n.1) && !twice(n.1)).then_some(names)
    }

    /// The sum, if it is a node that was not made on trial.
    fn existing(&mut self, axes: &[AxisId], gs: &[NodeId], fs: &[NodeId]) -> Result<Option<NodeId>, Error> {
        let before = self.g.len();
        self.trial = true;
        let made = self.ein(axes, gs, fs);
        self.trial = false;
        let made = made?;
        self.tried.extend((before..self.g.len()).map(|n| NodeId(n as u32)));
        Ok((!self.tried.contains(&made)).then_some(made))
    }
}
