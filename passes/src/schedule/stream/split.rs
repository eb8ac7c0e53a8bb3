//! The streams of a kernel: disjoint cases of the guards, and how each walks the axis.

use super::{Fold, Reduction, Stream, Term};
use crate::schedule::{Error, Scheduler};
use weft_ir::graph::{AxisId, MapFn, NodeId, Op};

/// How a case walks the axis: the loop's axis, the streamed position, and the guards that are left.
pub(super) type Walk = (Option<AxisId>, NodeId, Vec<NodeId>);

impl Scheduler {
    /// Splits the guards of all reductions into streams; equal streams are walked once.
    pub(super) fn streams(
        &mut self,
        reductions: &[Reduction],
        axis: AxisId,
        batch: bool,
    ) -> Result<Vec<Stream>, Error> {
        let mut streams: Vec<Stream> = Vec::new();
        for (n, r) in reductions.iter().enumerate() {
            let cases = self.disjoint(&r.guards)?;
            let cases = self.split_inside(cases, &r.factors, axis)?;
            for case in cases {
                if batch {
                    let walk = (None, self.c.int(0)?, case.clone());
                    self.add_walk(&mut streams, n, r, &case, axis, walk)?;
                    continue;
                }
                for (case, walk) in self.walks(case, axis)? {
                    self.add_walk(&mut streams, n, r, &case, axis, walk)?;
                }
            }
        }
        Ok(streams)
    }

    /// The walks that a case comes to: one, but for members of a selection that only loses what it has.
    fn walks(&mut self, case: Vec<NodeId>, axis: AxisId) -> Result<Vec<(Vec<NodeId>, Walk)>, Error> {
        let walk = self.kind(&case, axis)?;
        if walk.0.is_some_and(|a| a == axis || self.steps.get(&axis) == Some(&a))
            && let Some((listed, young)) = self.settled(&case, axis)?
        {
            let walk = self.kind(&young, axis)?;
            return Ok(vec![(case, listed), (young, walk)]);
        }
        let (loop_axis, position, mut guards) = walk;
        if loop_axis == Some(axis)
            && let Some(end) = self.leaving(&guards, axis)?
        {
            guards.push(end);
        }
        Ok(vec![(case, (loop_axis, position, guards))])
    }

    fn add_walk(
        &mut self,
        streams: &mut Vec<Stream>,
        n: usize,
        r: &Reduction,
        case: &[NodeId],
        axis: AxisId,
        walk: Walk,
    ) -> Result<(), Error> {
        let (loop_axis, position, mut guards) = walk;
        let map = [(axis, position)];
        let mut substituted = Vec::new();
        for g in guards.drain(..) {
            let g = self.c.substitute(g, &map)?;
            match self.c.known(g) {
                Some(true) => {}
                Some(false) => return Ok(()),
                None => substituted.push(g),
            }
        }
        let mut factors = Vec::new();
        for &f in &r.factors {
            // A list decides its membership; after substitution nothing would show that.
            let f = if self.walks_list(loop_axis, axis) { self.simplify(f, case)? } else { f };
            let f = self.c.substitute(f, &map)?;
            let f = self.simplify(f, &substituted)?;
            match self.c.g.constant(f).map(weft_ir::graph::Scalar::as_f64) {
                Some(0.0) if r.fold == Fold::Sum => return Ok(()),
                Some(1.0) if r.fold == Fold::Sum => {}
                _ => factors.push(f),
            }
        }
        let (mut mantissas, mut scales) = (Vec::new(), Vec::new());
        if r.fold == Fold::Sum {
            for f in factors {
                let (m, s) = self.scaled(f)?;
                // Products come apart again, so that a dot finds its two sides.
                match self.c.g.op(m) {
                    Op::Ein { axes, guards: 0 } if axes.is_empty() => mantissas.extend_from_slice(self.c.g.args(m)),
                    _ => mantissas.push(m),
                }
                scales.extend(s);
            }
            mantissas.retain(|&m| self.c.g.constant(m).is_none_or(|k| k.as_f64() != 1.0));
        } else {
            mantissas = factors;
        }
        let mut scale = if scales.is_empty() { None } else { Some(self.c.sum_of(&scales)?) };
        if r.scale.is_none()
            && let Some(s) = scale.take()
        {
            mantissas.push(self.c.map(MapFn::Exp, &[s])?);
        }
        if r.scale.is_some() && scale.is_none() {
            scale = Some(self.c.number_zero()?);
        }
        substituted.sort_unstable();
        let term = Term { reduction: n, mantissas, scale };
        match streams.iter_mut().find(|s| s.axis == loop_axis && s.position == position && s.guards == substituted) {
            Some(s) => s.terms.push(term),
            None => streams.push(Stream { axis: loop_axis, position, guards: substituted, terms: vec![term] }),
        }
        Ok(())
    }

    /// How a case walks the axis: a congruence is a stride, an equation one position, a membership the entries of a list, all else a dense range. Gives the loop's axis,
    /// the streamed position, and the guards that are left.
    pub(super) fn kind(&mut self, case: &[NodeId], axis: AxisId) -> Result<Walk, Error> {
        let mut strided = None;
        for (at, &g) in case.iter().enumerate() {
            let Some((MapFn::Eq, form)) = self.c.comparison(g) else { continue };
            let rest = || case.iter().enumerate().filter(|&(n, _)| n != at).map(|(_, &g)| g).collect::<Vec<_>>();
            if strided.is_none()
                && let Some((stride, first)) = self.congruence(&form, axis)
            {
                let mut guards = rest();
                let steps = self.steps_axis(axis);
                let index = self.c.make(&Op::Index(steps), &[])?;
                let position = weft_ir::linear::Lin::var(index).scaled(stride).and_then(|f| f.offset(first));
                let Some(position) = position else { continue };
                let term = self.c.int_term(&position)?;
                let size = self.c.make(&Op::Size(self.c.g.axis(axis).domain), &[])?;
                let inside = weft_ir::linear::Lin::var(size).checked_add(&position, -1).and_then(|f| f.offset(-1));
                if let Some(f) = inside {
                    guards.push(self.c.make_raw_inequality(&f)?);
                }
                strided = Some((Some(steps), term, guards));
                continue;
            }
            let own = form.terms().find(|&(&v, _)| *self.c.g.op(v) == Op::Index(axis)).map(|(&v, c)| (v, c));
            let only_here = own.is_some_and(|(v, _)| form.terms().all(|(&x, _)| x == v || !self.has(x, axis)));
            if let Some((v, c)) = own.filter(|&(_, c)| only_here && c.abs() == 1) {
                let others = form.substitute(&v, &weft_ir::linear::Lin::new(0)).and_then(|f| f.scaled(-c));
                let Some(position) = others else { continue };
                let mut guards = rest();
                guards.push(self.c.at_least_zero(&position)?);
                let size = self.c.make(&Op::Size(self.c.g.axis(axis).domain), &[])?;
                if let Some(f) = weft_ir::linear::Lin::var(size).checked_add(&position, -1).and_then(|f| f.offset(-1)) {
                    guards.push(self.c.at_least_zero(&f)?);
                }
                let term = self.c.int_term(&position)?;
                return Ok((None, term, guards));
            }
        }
        if let Some(walk) = self.list_of(case, axis)?.or(strided) {
            return Ok(walk);
        }
        let index = self.c.make(&Op::Index(axis), &[])?;
        Ok((Some(axis), index, case.to_vec()))
    }

    /// The axis that counts the steps of strided loops over `axis`: one, so that equal streams meet.
    pub(super) fn steps_axis(&mut self, axis: AxisId) -> AxisId {
        if let Some(&a) = self.steps.get(&axis) {
            return a;
        }
        let a = self.c.g.add_axis("c", self.c.g.axis(axis).domain);
        self.steps.insert(axis, a);
        a
    }

    /// `(axis + k) % stride == r` as stride and first position.
    pub(crate) fn congruence(&self, form: &crate::canon::IntForm, axis: AxisId) -> Option<(i64, i64)> {
        let [(&v, c)] = form.terms().collect::<Vec<_>>()[..] else { return None };
        let Op::Map(MapFn::Mod) = self.c.g.op(v) else { return None };
        let args = self.c.g.args(v);
        let inside = self.c.int_form(args[0])?;
        let weft_ir::graph::Scalar::Int(m) = self.c.g.constant(args[1])? else { return None };
        let [(&x, 1)] = inside.terms().collect::<Vec<_>>()[..] else { return None };
        if *self.c.g.op(x) != Op::Index(axis) || c.abs() != 1 || m <= 0 {
            return None;
        }
        let residue = -form.constant() * c;
        Some((m, (residue - inside.constant()).rem_euclid(m)))
    }
}
