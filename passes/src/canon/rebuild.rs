//! Smart constructors by op, and substitution.

use super::Canon;
use rustc_hash::FxHashMap;
use weft_ir::DType;
use weft_ir::graph::{AxisId, Error, MapFn, NodeId, Op, Scalar};

/// Where a substitution that is pushed inwards stops.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stop {
    /// At every row value and table: the canonical form.
    AtRowValues,
    /// At reductions, recurrences and tables only.
    AtReductions,
    /// Nowhere but at a recurrence: renaming.
    Nowhere,
}

impl Canon {
    /// The canonical node of an op over canonical operands.
    ///
    /// # Errors
    /// Only for operands that do not fit the op.
    pub fn make(&mut self, op: &Op, args: &[NodeId]) -> Result<NodeId, Error> {
        match op {
            Op::Map(f) => self.map(*f, args),
            Op::Cast(to) => self.cast(*to, args[0]),
            Op::Select => self.choose(args[0], args[1], args[2]),
            Op::Ein { axes, guards } => {
                let (gs, fs) = args.split_at(*guards as usize);
                self.ein(axes, gs, fs)
            }
            Op::Reduce { .. } | Op::Arg { .. } | Op::KthValue { .. } | Op::KthIndex { .. } | Op::Threshold { .. } => {
                self.reduction(op, args)
            }
            Op::Sub { axes } => {
                let map: Vec<(AxisId, NodeId)> = axes.iter().copied().zip(args[1..].iter().copied()).collect();
                self.substitute(args[0], &map)
            }
            Op::Stop | Op::Ste => Ok(args[0]),
            Op::Input(_) | Op::Const(_) | Op::Index(_) | Op::Size(_) | Op::Rec(_) | Op::Prev(_) => {
                self.raw(op.clone(), args)
            }
        }
    }

    /// An elementwise function.
    ///
    /// # Errors
    /// Only for operands that do not fit the function.
    pub fn map(&mut self, f: MapFn, args: &[NodeId]) -> Result<NodeId, Error> {
        let types: Vec<DType> = args.iter().map(|&a| self.g.dtype(a)).collect();
        match f.result(&types) {
            Some(DType::Bool) => self.bool_map(f, args),
            Some(t) if t.is_int() => self.int_map(f, args),
            Some(_) => self.float_map(f, args),
            None => self.raw(Op::Map(f), args),
        }
    }

    fn cast(&mut self, to: DType, x: NodeId) -> Result<NodeId, Error> {
        let from = self.g.dtype(x);
        match self.g.constant(x) {
            Some(c) if to.is_float() => return self.float(c.as_f64()),
            Some(Scalar::Bool(b)) if to.is_int() => return self.int(i64::from(b)),
            Some(c @ Scalar::Int(_)) if to.is_int() => return self.raw(Op::Const(c), &[]),
            _ => {}
        }
        // An indicator is a guard, however it is written.
        if to.is_float() {
            match (self.g.op(x).clone(), from) {
                (Op::Select, t) if t.is_int() => {
                    let args = self.g.args(x).to_vec();
                    let (a, b) = (self.cast(to, args[1])?, self.cast(to, args[2])?);
                    return self.choose(args[0], a, b);
                }
                (_, DType::Bool) => {
                    let one = self.number_one()?;
                    return self.ein(&[], &[x], &[one]);
                }
                _ => {}
            }
        }
        // A conversion to a type at least as wide as what is computed with anyway changes nothing.
        let same = from == to
            || (from.is_float()
                && to.is_float()
                && self.resolve(from).max(self.settings.float) == to.max(self.settings.float));
        if same || (from.is_int() && to.is_int()) { Ok(x) } else { self.raw(Op::Cast(to), &[x]) }
    }

    /// Reductions other than sums: guards in canonical form, bound axes under canonical names.
    fn reduction(&mut self, op: &Op, args: &[NodeId]) -> Result<NodeId, Error> {
        let (guards, operands) = args.split_at(op.guards());
        let mut gs: Vec<NodeId> = Vec::new();
        for &g in guards {
            for c in self.conjuncts(g) {
                if self.known(c) != Some(true) && !gs.contains(&c) {
                    gs.push(c);
                }
            }
        }
        // An extremum over several long axes is one in the other.
        if let Op::Reduce { extremum, axes, .. } = op
            && let Some(inner) = self.innermost_long(axes, &gs, &operands[..1])
        {
            let (own, rest): (Vec<_>, Vec<_>) = gs.iter().copied().partition(|&g| self.g.free(g).contains(inner));
            let own: Vec<NodeId> = own.into_iter().chain([operands[0]]).collect();
            let first =
                Op::Reduce { extremum: *extremum, axes: [inner].as_slice().into(), guards: own.len() as u32 - 1 };
            let x = self.reduction(&first, &own)?;
            let left = axes.iter().copied().filter(|&a| a != inner).collect();
            let then = Op::Reduce { extremum: *extremum, axes: left, guards: rest.len() as u32 };
            return self.reduction(&then, &rest.into_iter().chain([x]).collect::<Vec<_>>());
        }
        let body: Vec<NodeId> = gs.iter().chain(&operands[..1]).copied().collect();
        let mut names = self.bound_names(op.bound(), &body);
        // An axis that the body does not mention keeps its place.
        for &a in op.bound() {
            if !names.iter().any(|&(from, _)| from == a) {
                names.push((a, a));
            }
        }
        let mut gs = self.rename_all(&gs, &names)?;
        self.sort(&mut gs);
        let mut all = gs.clone();
        all.extend(self.rename_all(&operands[..1], &names)?);
        all.extend_from_slice(&operands[1..]);
        let n = gs.len() as u32;
        let to = |a: AxisId| names.iter().find(|&&(from, _)| from == a).map_or(a, |&(_, to)| to);
        let op = match op {
            Op::Reduce { extremum, axes, .. } => {
                let mut axes: Vec<AxisId> = axes.iter().map(|&a| to(a)).collect();
                axes.sort_unstable();
                Op::Reduce { extremum: *extremum, axes: axes.into(), guards: n }
            }
            Op::Arg { extremum, axis, .. } => Op::Arg { extremum: *extremum, axis: to(*axis), guards: n },
            Op::KthValue { axis, .. } => Op::KthValue { axis: to(*axis), guards: n },
            Op::KthIndex { axis, .. } => Op::KthIndex { axis: to(*axis), guards: n },
            Op::Threshold { family, axis, .. } => Op::Threshold { family: *family, axis: to(*axis), guards: n },
            other => other.clone(),
        };
        self.raw(op, &all)
    }

    /// Renames axes in several terms.
    pub(crate) fn rename_all(&mut self, ids: &[NodeId], names: &[(AxisId, AxisId)]) -> Result<Vec<NodeId>, Error> {
        let mut map = Vec::new();
        for &(from, to) in names {
            if from != to {
                map.push((from, self.raw(Op::Index(to), &[])?));
            }
        }
        ids.iter().map(|&x| self.substitute(x, &map)).collect()
    }

    /// `body[axes := positions]`, pushed through elementwise functions down to reductions, recurrences and inputs.
    ///
    /// # Errors
    /// Only for positions that are not integers.
    pub fn push_to_reductions(&mut self, body: NodeId, map: &[(AxisId, NodeId)]) -> Result<NodeId, Error> {
        self.subst(body, map, Stop::AtReductions, &mut FxHashMap::default())
    }

    /// `body[axes := positions]`, pushed through everything but recurrences.
    ///
    /// # Errors
    /// Only for positions that are not integers.
    pub fn push_through(&mut self, body: NodeId, map: &[(AxisId, NodeId)]) -> Result<NodeId, Error> {
        self.subst(body, map, Stop::Nowhere, &mut FxHashMap::default())
    }

    /// The term over other axes of the same domains, without any substitution left of it.
    ///
    /// # Errors
    /// Never for axes of this graph.
    pub fn rename(&mut self, body: NodeId, axes: &[(AxisId, AxisId)]) -> Result<NodeId, Error> {
        let mut map = Vec::new();
        for &(from, to) in axes {
            map.push((from, self.raw(Op::Index(to), &[])?));
        }
        self.subst(body, &map, Stop::Nowhere, &mut FxHashMap::default())
    }

    /// `body[axes := positions]`, simultaneously, pushed as far as the canonical form wants it.
    ///
    /// Free of capture: a canonical bound axis is deeper in no term than its own binder, and positions stand outside.
    ///
    /// # Errors
    /// Only for positions that are not integers.
    pub fn substitute(&mut self, body: NodeId, map: &[(AxisId, NodeId)]) -> Result<NodeId, Error> {
        let map: Vec<(AxisId, NodeId)> = map
            .iter()
            .copied()
            .filter(|&(a, p)| self.g.free(body).contains(a) && *self.g.op(p) != Op::Index(a))
            .collect();
        if map.is_empty() {
            return Ok(body);
        }
        self.subst(body, &map, Stop::AtRowValues, &mut FxHashMap::default())
    }

    fn subst(
        &mut self,
        id: NodeId,
        map: &[(AxisId, NodeId)],
        stop: Stop,
        memo: &mut FxHashMap<NodeId, NodeId>,
    ) -> Result<NodeId, Error> {
        if !map.iter().any(|&(a, _)| self.g.free(id).contains(a)) {
            return Ok(id);
        }
        if let Some(&done) = memo.get(&id) {
            return Ok(done);
        }
        let made = match self.g.op(id).clone() {
            Op::Index(a) => map.iter().find(|&&(x, _)| x == a).map_or(id, |&(_, p)| p),
            Op::Sub { axes } => {
                let args = self.g.args(id).to_vec();
                let mut pairs: Vec<(AxisId, NodeId)> = Vec::new();
                for (&a, &p) in axes.iter().zip(&args[1..]) {
                    pairs.push((a, self.subst(p, map, stop, memo)?));
                }
                let outer: Vec<_> = map
                    .iter()
                    .copied()
                    .filter(|&(a, _)| !axes.contains(&a) && self.g.free(args[0]).contains(a))
                    .collect();
                pairs.extend(outer);
                self.indexed(args[0], pairs)?
            }
            Op::Input(_) | Op::Prev(_) => self.indexed(id, map.to_vec())?,
            op if self.stops(id, &op, stop) => self.indexed(id, map.to_vec())?,
            op => {
                let args = self.g.args(id).to_vec();
                let mut new = Vec::with_capacity(args.len());
                for a in args {
                    new.push(self.subst(a, map, stop, memo)?);
                }
                self.make(&op, &new)?
            }
        };
        memo.insert(id, made);
        Ok(made)
    }

    /// A term with every use of one operand replaced by another term, outside the binders of the axes of either.
    ///
    /// # Errors
    /// Only for terms of another type.
    pub fn replaced(&mut self, id: NodeId, from: NodeId, to: NodeId) -> Result<NodeId, Error> {
        self.replaced_in(id, from, to, &mut FxHashMap::default())
    }

    fn replaced_in(
        &mut self,
        id: NodeId,
        from: NodeId,
        to: NodeId,
        memo: &mut FxHashMap<NodeId, NodeId>,
    ) -> Result<NodeId, Error> {
        if id == from {
            return Ok(to);
        }
        if let Some(&done) = memo.get(&id) {
            return Ok(done);
        }
        let op = self.g.op(id).clone();
        let binds = op.bound().iter().any(|&a| self.g.free(from).contains(a) || self.g.free(to).contains(a));
        let made = if (binds && !matches!(op, Op::Sub { .. })) || matches!(op, Op::Rec(_)) || self.g.args(id).is_empty()
        {
            id
        } else {
            let mut args = self.g.args(id).to_vec();
            // The body of a substitution stands under its axes; its positions do not.
            let first = usize::from(matches!(op, Op::Sub { .. }));
            for a in &mut args[first..] {
                *a = self.replaced_in(*a, from, to, memo)?;
            }
            if args == self.g.args(id) { id } else { self.make(&op, &args)? }
        };
        memo.insert(id, made);
        Ok(made)
    }

    fn stops(&self, id: NodeId, op: &Op, stop: Stop) -> bool {
        // The axes of a recurrence's declaration cannot be renamed from outside.
        if matches!(op, Op::Rec(_)) {
            return true;
        }
        // Arithmetic on integers is computed by whoever reads it.
        if self.is_comparison(id) || (matches!(op, Op::Map(_)) && self.g.dtype(id).is_int()) {
            return false;
        }
        match stop {
            Stop::AtRowValues if !self.inline => self.is_row_value(id) || self.is_table(id),
            Stop::AtReductions => self.is_table(id) || (self.is_row_value(id) && op.is_reduction()),
            Stop::AtRowValues | Stop::Nowhere => false,
        }
    }

    /// A read of a stored term at positions.
    fn indexed(&mut self, body: NodeId, mut pairs: Vec<(AxisId, NodeId)>) -> Result<NodeId, Error> {
        pairs.retain(|&(a, p)| self.g.free(body).contains(a) && *self.g.op(p) != Op::Index(a));
        if pairs.is_empty() {
            return Ok(body);
        }
        pairs.sort_unstable();
        let args: Vec<NodeId> = std::iter::once(body).chain(pairs.iter().map(|p| p.1)).collect();
        self.raw(Op::Sub { axes: pairs.iter().map(|p| p.0).collect() }, &args)
    }
}
