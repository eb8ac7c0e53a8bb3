//! Scales: every value is a mantissa times exp(scale), by algebra alone.
//!
//! exp(e) has mantissa 1 and scale e; products add scales; reciprocals negate them; a logarithm turns one into an addend. A
//! sum over a short axis on which the scale depends takes the maximum over that axis out; a streamed sum keeps a
//! running maximum (`stream`). Where a scale has a constant upper bound and nothing divides by the value, it collapses:
//! the exponential is simply computed.

use super::{Error, Scheduler};
use rustc_hash::FxHashSet;
use weft_ir::graph::{AxisId, Extremum, MapFn, NodeId, Op};

/// The scale of a sum without members: far below all others, and far from overflowing.
const FLOOR: f64 = -1e30;

/// A mantissa and its scale; none is 0.
pub(crate) type Scaled = (NodeId, Option<NodeId>);

impl Scheduler {
    /// Does a term have a scale: an exponential under products, sums, reciprocals and logarithms?
    pub(crate) fn has_exp(&self, id: NodeId) -> bool {
        let mut stack = vec![id];
        let mut seen = FxHashSet::default();
        while let Some(n) = stack.pop() {
            if !seen.insert(n) {
                continue;
            }
            match self.c.g.op(n) {
                Op::Map(MapFn::Exp) if !self.c.g.free(n).is_empty() => return true,
                Op::Ein { .. } => stack.extend(self.c.g.operands(n)),
                Op::Map(MapFn::Add | MapFn::Inv | MapFn::Inv0 | MapFn::Log) => stack.extend(self.c.g.args(n)),
                _ => {}
            }
        }
        false
    }

    /// Mantissa and scale.
    pub(crate) fn scaled(&mut self, id: NodeId) -> Result<Scaled, Error> {
        if !self.has_exp(id) {
            return Ok((id, None));
        }
        let args = self.c.g.args(id).to_vec();
        match self.c.g.op(id).clone() {
            Op::Map(MapFn::Exp) => {
                let exponent = self.plain(args[0])?;
                Ok((self.c.number_one()?, Some(exponent)))
            }
            Op::Ein { axes, guards } => {
                let (gs, fs) = args.split_at(guards as usize);
                let mut parts = Vec::new();
                for &f in fs {
                    parts.push(self.scaled(f)?);
                }
                self.scaled_product(&axes, gs, parts)
            }
            Op::Map(MapFn::Add) => {
                let mut parts = Vec::new();
                for &a in &args {
                    parts.push(self.scaled(a)?);
                }
                let first = parts[0].1;
                if parts.iter().all(|p| p.1 == first) {
                    let mantissas: Vec<NodeId> = parts.iter().map(|p| p.0).collect();
                    return Ok((self.c.sum_of(&mantissas)?, first));
                }
                // Addends without a scale are of order one: aligning with them would only cost maxima.
                let scales: Option<Vec<NodeId>> = parts.iter().map(|p| p.1).collect();
                match scales {
                    Some(scales) => {
                        let top = self.c.map(MapFn::Max, &scales)?;
                        let mut aligned = Vec::new();
                        for (mantissa, scale) in parts {
                            aligned.push(self.relative(mantissa, scale, top)?);
                        }
                        Ok((self.c.sum_of(&aligned)?, Some(top)))
                    }
                    None => {
                        let mut plain = Vec::new();
                        for p in parts {
                            plain.push(self.collapse(p)?);
                        }
                        Ok((self.c.sum_of(&plain)?, None))
                    }
                }
            }
            Op::Map(f @ (MapFn::Inv | MapFn::Inv0)) => {
                let (mantissa, scale) = self.scaled(args[0])?;
                let inverse = self.c.map(f, &[mantissa])?;
                let Some(scale) = scale else { return Ok((inverse, None)) };
                let opposite = self.c.scaled(-1.0, scale)?;
                if self.find(scale, |op| matches!(op, Op::Const(k) if k.as_f64() == FLOOR)).is_none() {
                    return Ok((inverse, Some(opposite)));
                }
                // The inverse of nothing is 0, at no scale.
                let zero = self.c.number_zero()?;
                let nothing = self.c.map(MapFn::Eq, &[inverse, zero])?;
                Ok((inverse, Some(self.c.make(&Op::Select, &[nothing, zero, opposite])?)))
            }
            Op::Map(MapFn::Log) => {
                let (mantissa, scale) = self.scaled(args[0])?;
                let log = self.c.map(MapFn::Log, &[mantissa])?;
                let parts: Vec<NodeId> = std::iter::once(log).chain(scale).collect();
                Ok((self.c.sum_of(&parts)?, None))
            }
            op => {
                let mut new = Vec::new();
                for a in args {
                    new.push(self.plain(a)?);
                }
                Ok((self.c.make(&op, &new)?, None))
            }
        }
    }

    fn scaled_product(&mut self, axes: &[AxisId], guards: &[NodeId], parts: Vec<Scaled>) -> Result<Scaled, Error> {
        let mut mantissas: Vec<NodeId> = parts.iter().map(|p| p.0).collect();
        let scales: Vec<NodeId> = parts.iter().filter_map(|p| p.1).collect();
        let total = if scales.is_empty() { None } else { Some(self.c.sum_of(&scales)?) };
        let total = total.filter(|&t| self.c.g.constant(t).is_none_or(|k| k.as_f64() != 0.0));
        let Some(total) = total else {
            return Ok((self.c.ein(axes, guards, &mantissas)?, None));
        };
        if !axes.iter().any(|&a| self.has(total, a)) {
            return Ok((self.c.ein(axes, guards, &mantissas)?, Some(total)));
        }
        if self.is_bounded(total) {
            mantissas.push(self.c.map(MapFn::Exp, &[total])?);
            return Ok((self.c.ein(axes, guards, &mantissas)?, None));
        }
        // The scale varies over the summed axes: their maximum is the scale of the sum.
        let own: Vec<AxisId> = axes.iter().copied().filter(|&a| self.has(total, a)).collect();
        let mut operands: Vec<NodeId> =
            guards.iter().copied().filter(|&g| own.iter().any(|&a| self.has(g, a))).collect();
        let n = operands.len() as u32;
        operands.push(total);
        let top =
            self.c.make(&Op::Reduce { extremum: Extremum::Max, axes: own.as_slice().into(), guards: n }, &operands)?;
        // Guards may leave nothing: minus infinity less itself is no number.
        let top = if n > 0 {
            let floor = self.c.float(FLOOR)?;
            self.c.map(MapFn::Max, &[top, floor])?
        } else {
            top
        };
        let weight = self.relative_exp(total, top)?;
        mantissas.push(weight);
        // As it stands: canonical names of bound axes would put the weight, a row value, behind a substitution.
        let args: Vec<NodeId> = guards.iter().chain(&mantissas).copied().collect();
        let sum = self.c.raw(Op::Ein { axes: axes.into(), guards: guards.len() as u32 }, &args)?;
        Ok((sum, Some(top)))
    }

    fn relative_exp(&mut self, scale: NodeId, top: NodeId) -> Result<NodeId, Error> {
        let minus = self.c.scaled(-1.0, top)?;
        let exponent = self.c.sum_of(&[scale, minus])?;
        Ok(self.c.map(MapFn::Exp, &[exponent])?)
    }

    fn relative(&mut self, mantissa: NodeId, scale: Option<NodeId>, top: NodeId) -> Result<NodeId, Error> {
        let zero = self.c.number_zero()?;
        let weight = self.relative_exp(scale.unwrap_or(zero), top)?;
        Ok(self.c.product_of(&[mantissa, weight])?)
    }

    /// The value itself: mantissa times exp(scale).
    pub(crate) fn collapse(&mut self, (mantissa, scale): Scaled) -> Result<NodeId, Error> {
        match scale {
            None => Ok(mantissa),
            Some(s) => {
                let e = self.c.map(MapFn::Exp, &[s])?;
                Ok(self.c.product_of(&[mantissa, e])?)
            }
        }
    }

    /// The value itself, computed through its scale.
    pub(crate) fn plain(&mut self, id: NodeId) -> Result<NodeId, Error> {
        let s = self.scaled(id)?;
        self.collapse(s)
    }

    /// Is a scale known to be at most a constant?
    pub(crate) fn is_bounded(&self, scale: NodeId) -> bool {
        self.upper_bound(scale).is_some_and(f64::is_finite)
    }

    /// A constant upper bound of a float term.
    fn upper_bound(&self, id: NodeId) -> Option<f64> {
        let args = self.c.g.args(id);
        match self.c.g.op(id) {
            Op::Const(k) => Some(k.as_f64()),
            Op::Map(MapFn::Add) => args.iter().try_fold(0.0, |acc, &a| Some(acc + self.upper_bound(a)?)),
            Op::Map(MapFn::Max) => {
                args.iter().map(|&a| self.upper_bound(a)).try_fold(f64::NEG_INFINITY, |m, b| Some(m.max(b?)))
            }
            Op::Map(MapFn::Min) => args.iter().filter_map(|&a| self.upper_bound(a)).reduce(f64::min),
            Op::Ein { axes, .. } if axes.is_empty() => {
                // k x y ..: bounded by 0 if the signs say so.
                let sign = self.c.g.operands(id).iter().try_fold(1i32, |s, &f| Some(s * self.sign(f)?))?;
                (sign <= 0).then_some(0.0)
            }
            _ => self.sign(id).filter(|&s| s <= 0).map(|_| 0.0),
        }
    }

    /// 1 for terms that are never negative, -1 for terms that are never positive.
    pub(super) fn sign(&self, id: NodeId) -> Option<i32> {
        self.c.sign(id, &[], &|i| self.known.get(&i).and_then(|k| k.sign))
    }
}
