//! Values that are stored as a mantissa and a scale.
//!
//! A sum of exponentials may be too large or too small for a float while what is made of it is not. It is stored as a mantissa, with
//! its scale in a second buffer. So is what is made of such values with other scales than none: an inverse normaliser has the
//! denominator's scale with the opposite sign, in the denominator's own buffer. Whoever reads them multiplies by `exp(scale)`, which
//! joins the other exponents there.

use super::scales::Scaled;
use super::store::Target;
use super::{Error, Scheduler};
use rustc_hash::FxHashSet;
use weft_ir::graph::{AxisId, InputId, MapFn, NodeId, Op};
use weft_ir::kernel::Role;

/// What a kernel stores: a value and perhaps, in a buffer of its own, its scale.
pub(super) struct Epilogue {
    pub(super) value: NodeId,
    pub(super) scale: Option<(InputId, NodeId)>,
}

impl Scheduler {
    /// How a value is stored: an output, or one whose scale is bounded, as it is.
    pub(super) fn keep_scale(
        &mut self,
        name: &str,
        (mantissa, scale): Scaled,
        target: &Target,
    ) -> Result<Epilogue, Error> {
        let Some(scale) = scale else { return Ok(Epilogue { value: mantissa, scale: None }) };
        if target.is_output || self.is_bounded(scale) {
            return Ok(Epilogue { value: self.collapse((mantissa, Some(scale)))?, scale: None });
        }
        self.notes.push(format!("{name}: stored as a mantissa and a scale"));
        if self.is_in_memory(scale) {
            target.maximum.set(Some(scale));
            return Ok(Epilogue { value: mantissa, scale: None });
        }
        // A ragged axis keeps its batch axis, or rows beyond the first document's length would have no scale.
        let own: Vec<AxisId> = target.axes.iter().copied().filter(|&a| self.has(scale, a)).collect();
        let batch = |a: AxisId| own.iter().any(|&o| self.c.g.ragged_over(self.c.g.axis(o).domain) == Some(a));
        let axes: Vec<AxisId> = target.axes.iter().copied().filter(|&a| self.has(scale, a) || batch(a)).collect();
        let (input, read) = self.side_buffer(&format!("{name}_scale"), &axes, self.scale_dtype(), Role::Temp)?;
        target.maximum.set(Some(read));
        self.scales.insert(input);
        Ok(Epilogue { value: mantissa, scale: Some((input, scale)) })
    }

    /// The same for a term without streams. Its own exponentials are what the source says, and are stored as such; scales that come
    /// from memory are kept, unless the term needs the value itself somewhere: then nothing is won.
    pub(super) fn keep_read_scale(&mut self, name: &str, body: NodeId, target: &Target) -> Result<Epilogue, Error> {
        let scaled = self.scaled(body)?;
        match scaled.1 {
            Some(s) if self.reads_scale(s) && (self.has_inverse(s) || !self.needs_value(scaled.0)) => {
                self.keep_scale(name, scaled, target)
            }
            _ => Ok(Epilogue { value: self.collapse(scaled)?, scale: None }),
        }
    }

    fn reads_scale(&self, id: NodeId) -> bool {
        self.find(id, |op| matches!(op, Op::Input(i) if self.scales.contains(i))).is_some()
    }

    /// Does a scale have an addend that is another one's opposite?
    fn has_inverse(&self, scale: NodeId) -> bool {
        let negative =
            |n: NodeId| self.c.g.args(n).iter().any(|&a| self.c.g.constant(a).is_some_and(|k| k.as_f64() < 0.0));
        match self.c.g.op(scale) {
            Op::Map(MapFn::Add) => self.c.g.args(scale).iter().any(|&a| self.has_inverse(a)),
            Op::Ein { .. } => negative(scale),
            _ => false,
        }
    }

    /// Is a scale from memory taken as an exponent in a mantissa?
    fn needs_value(&self, mantissa: NodeId) -> bool {
        let mut stack = vec![mantissa];
        let mut seen = FxHashSet::default();
        while let Some(n) = stack.pop() {
            if *self.c.g.op(n) == Op::Map(MapFn::Exp) && self.reads_scale(n) {
                return true;
            }
            if seen.insert(n) {
                stack.extend(self.c.g.args(n));
            }
        }
        false
    }

    /// Is a scale a sum of multiples of scales in memory, so that it needs no memory of its own?
    pub(super) fn is_in_memory(&self, scale: NodeId) -> bool {
        let args = self.c.g.args(scale);
        match self.c.g.op(scale) {
            Op::Input(i) => self.scales.contains(i),
            Op::Const(_) => true,
            Op::Map(MapFn::Add) => args.iter().all(|&a| self.is_in_memory(a)),
            Op::Ein { axes, guards: 0 } if axes.is_empty() => {
                args.iter().all(|&a| self.c.g.constant(a).is_some() || self.is_in_memory(a))
            }
            _ => false,
        }
    }
}
