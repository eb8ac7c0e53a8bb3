//! Stored maxima as facts.
//!
//! A sum of exponentials `sum over j of [guards] exp(s[t, j])` that keeps a running maximum stores it: `M[t] >= s[t, j]` wherever the
//! guards hold. Later kernels use that twice. Where they weigh with `exp(s[t, j] - M[t])`, whichever of the two positions they
//! stream, no exponent is above 0 and no maximum need be kept: these are the weights of attention, computed again from a
//! stored log-sum-exp. And another sum of the same exponentials is kept at the scale `M[t]`, so that both fit together.
//!
//! Terms are compared as they are: canonical terms are equal if they are the same node.

use super::{Error, Scheduler};
use weft_ir::graph::{AxisId, InputId, MapFn, NodeId, Op};

/// A maximum in memory.
#[derive(Clone, Debug)]
pub(super) struct Maximum {
    /// The buffer, and the term that reads it at its own axes.
    input: InputId,
    read: NodeId,
    /// The axis over which it is the maximum, of what, and where.
    axis: AxisId,
    scale: NodeId,
    guards: Vec<NodeId>,
    /// Is it the maximum of nothing else?
    tight: bool,
}

/// An exponent that never exceeds 0, and what is left of the exponent outside the sum.
pub(super) struct Anchored {
    /// To be exponentiated inside.
    pub(super) inside: NodeId,
    /// The scale of the sum; none is 0.
    pub(super) outside: Option<NodeId>,
}

impl Scheduler {
    /// Notes that memory holds the maximum of some exponents over an axis: pairs of exponent and guards.
    pub(super) fn note_maximum(&mut self, input: InputId, read: NodeId, axis: AxisId, of: &[(NodeId, Vec<NodeId>)]) {
        let mut kinds: Vec<(NodeId, Vec<NodeId>)> = Vec::new();
        for (scale, guards) in of {
            let mut guards = guards.clone();
            guards.sort_unstable();
            guards.dedup();
            if !kinds.iter().any(|k| k.0 == *scale && k.1 == guards) {
                kinds.push((*scale, guards));
            }
        }
        let tight = kinds.len() == 1;
        for (scale, guards) in kinds {
            self.maxima.push(Maximum { input, read, axis, scale, guards, tight });
        }
    }

    /// The exponent of a sum over `axis` by a stored maximum, if there is one that it fits.
    pub(super) fn anchor(&mut self, total: NodeId, guards: &[NodeId], axis: AxisId) -> Result<Option<Anchored>, Error> {
        for n in (0..self.maxima.len()).rev() {
            let m = self.maxima[n].clone();
            for rows in self.rows_of(total, &m) {
                for to in self.other_positions(total, m.axis) {
                    let found = self.fits(total, guards, axis, &m, &rows, to)?;
                    if found.is_some() {
                        return Ok(found);
                    }
                }
            }
        }
        Ok(None)
    }

    /// Where an exponent may read a maximum: at its own axes, and wherever it subtracts it.
    fn rows_of(&self, total: NodeId, m: &Maximum) -> Vec<Vec<(AxisId, NodeId)>> {
        let mut found = vec![Vec::new()];
        for a in self.addends_of(total) {
            let negative = matches!(self.c.g.op(a), Op::Ein { axes, guards: 0 } if axes.is_empty());
            for &f in self.c.g.args(a).iter().filter(|_| negative) {
                let Op::Sub { axes } = self.c.g.op(f) else { continue };
                let args = self.c.g.args(f);
                if *self.c.g.op(args[0]) == Op::Input(m.input) {
                    let rows = axes.iter().copied().zip(args[1..].iter().copied()).collect();
                    if !found.contains(&rows) {
                        found.push(rows);
                    }
                }
            }
        }
        found
    }

    /// Axes that the axis of a maximum may be in a term.
    fn other_positions(&self, total: NodeId, axis: AxisId) -> Vec<AxisId> {
        let domain = self.c.g.axis(axis).domain;
        self.c.g.free(total).iter().filter(|&a| self.c.g.axis(a).domain == domain).collect()
    }

    fn addends_of(&self, id: NodeId) -> Vec<NodeId> {
        match self.c.g.op(id) {
            Op::Map(MapFn::Add) => self.c.g.args(id).to_vec(),
            _ => vec![id],
        }
    }

    fn fits(
        &mut self,
        total: NodeId,
        guards: &[NodeId],
        axis: AxisId,
        m: &Maximum,
        rows: &[(AxisId, NodeId)],
        to: AxisId,
    ) -> Result<Option<Anchored>, Error> {
        let mut map = rows.to_vec();
        map.push((m.axis, self.c.make(&Op::Index(to), &[])?));
        let scale = self.c.substitute(m.scale, &map)?;
        let mut rest = self.addends_of(total);
        for a in self.addends_of(scale) {
            let Some(at) = rest.iter().position(|&x| x == a) else { return Ok(None) };
            rest.swap_remove(at);
        }
        let read = self.c.substitute(m.read, rows)?;
        let minus = self.c.scaled(-1.0, read)?;
        let inside = self.c.sum_of(&[scale, minus])?;
        rest.push(read);
        let outside = self.c.sum_of(&rest)?;
        let outside = Some(outside).filter(|&o| self.c.g.constant(o).is_none_or(|k| k.as_f64() != 0.0));
        if outside.is_some_and(|o| self.has(o, axis)) {
            return Ok(None);
        }
        let mut own = Vec::with_capacity(m.guards.len());
        for &g in &m.guards {
            own.push(self.c.substitute(g, &map)?);
        }
        if !own.iter().all(|&g| self.c.known(g) == Some(true) || self.implied(g, guards)) {
            return Ok(None);
        }
        // A scale must be that of the largest member: over fewer members the maximum is that of another sum.
        let same = m.tight && guards.iter().all(|&g| self.implied(g, &own));
        Ok((outside.is_none() || same).then_some(Anchored { inside, outside }))
    }
}
