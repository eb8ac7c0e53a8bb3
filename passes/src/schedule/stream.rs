//! Kernels that stream a long axis past a tile of rows.

use super::emit::Emitter;
use super::store::Target;
use super::{Error, Scheduler};
use rustc_hash::{FxHashMap, FxHashSet};
use weft_ir::graph::{AxisId, DomainId, Extremum, InputId, MapFn, NodeId, Op};
use weft_ir::kernel::{
    Attrs, AxisSet, Domain, ElemType, Expr, Guard, KernelBuilder, Literal, MapFn as KernelFn, Monoid, OpCode, Role,
    ValueId,
};

/// How the elements of a reduction are put together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fold {
    Sum,
    Extremum(Extremum),
}

/// A reduction over a streamed axis.
struct Reduction {
    node: NodeId,
    fold: Fold,
    guards: Vec<NodeId>,
    factors: Vec<NodeId>,
    /// Its scale, where it keeps one; index of its group.
    scale: Option<NodeId>,
    group: Option<usize>,
    /// Short axes that it sums as well.
    shorts: Vec<AxisId>,
    /// Stand-in for its value after the streams.
    accumulator: Option<(InputId, NodeId)>,
}

/// Reductions under one running maximum.
struct Group {
    members: Vec<usize>,
    maximum: (InputId, NodeId),
}

/// What one reduction gets from one stream.
struct Term {
    reduction: usize,
    mantissas: Vec<NodeId>,
    scale: Option<NodeId>,
}

/// One pass over part of the streamed axis.
struct Stream {
    /// The loop's axis; none for a single position.
    axis: Option<AxisId>,
    /// The streamed position in terms of the loop's axis.
    position: NodeId,
    guards: Vec<NodeId>,
    terms: Vec<Term>,
}

impl Scheduler {
    /// A kernel for a term with streamed reductions in it.
    pub(crate) fn stream_kernel(
        &mut self,
        name: &str,
        body: NodeId,
        found: &[NodeId],
        target: &Target,
    ) -> Result<(), Error> {
        let domain = self.stream_domain(found[0])?;
        let axis = self.c.g.add_axis("j", domain);
        // A sum over a batch alone is an outer loop around a single step.
        let batch = !self.c.is_long(axis);
        let mut outer: Vec<AxisId> = Vec::new();
        let mut reductions = Vec::new();
        for &s in found {
            if self.stream_domain(s)? != domain {
                return self.unsupported(s, "sums over two kinds of long axes in one stored value");
            }
            let r = self.reduction(s, axis, batch, body, &mut outer)?;
            reductions.push(r);
        }
        let groups = self.group(&mut reductions, body)?;
        let streams = self.streams(&reductions, axis, batch)?;
        for s in &streams {
            let kind = match s.axis {
                None => "one position".to_owned(),
                Some(a) if a == axis => "a dense range".to_owned(),
                Some(_) => "a stride".to_owned(),
            };
            self.notes.push(format!("{name}: a stream over {kind} feeds {} reductions", s.terms.len()));
        }
        if !groups.is_empty() {
            self.notes.push(format!(
                "{name}: {} running maxima for {} sums of exponentials",
                groups.len(),
                groups.iter().map(|g| g.members.len()).sum::<usize>()
            ));
        }
        let epilogue = self.epilogue(name, body, &reductions, &groups, target)?;
        let float = self.float_elem()?;
        let mut plan = std::mem::take(&mut self.plan);
        let kb = KernelBuilder::new(&mut plan, name);
        let mut e = Emitter::new(self, kb, float);
        let made = e.emit_streams(&reductions, &groups, &streams, axis, &outer, &epilogue, target);
        let finished = made.and_then(|()| e.kb.finish().map_err(Error::from));
        self.plan = plan;
        finished.map(|_| ())
    }

    /// The domain that a reduction streams.
    pub(crate) fn stream_domain(&self, id: NodeId) -> Result<DomainId, Error> {
        let bound = self.c.g.op(id).bound();
        let long: Vec<AxisId> = bound.iter().copied().filter(|&a| self.c.is_long(a)).collect();
        let runtime = bound.iter().copied().find(|&a| self.c.g.static_extent(a).is_none());
        match (long.as_slice(), runtime) {
            ([a], _) => Ok(self.c.g.axis(*a).domain),
            ([], Some(a)) => Ok(self.c.g.axis(a).domain),
            _ => self.unsupported(id, "a sum over two long axes at once"),
        }
    }

    fn reduction(
        &mut self,
        id: NodeId,
        axis: AxisId,
        batch: bool,
        body: NodeId,
        outer: &mut Vec<AxisId>,
    ) -> Result<Reduction, Error> {
        let op = self.c.g.op(id).clone();
        let fold = match &op {
            Op::Ein { .. } => Fold::Sum,
            Op::Reduce { extremum, .. } => Fold::Extremum(*extremum),
            _ => return self.unsupported(id, format!("`{}` over a long axis", op.name())),
        };
        let domain = self.c.g.axis(axis).domain;
        let mut map = Vec::new();
        let mut shorts = Vec::new();
        for &a in op.bound() {
            if !batch && self.c.g.axis(a).domain == domain && map.is_empty() {
                map.push((a, self.c.make(&Op::Index(axis), &[])?));
            } else if self.c.g.static_extent(a).is_some() {
                shorts.push(a);
            } else {
                // A batch that is summed: an outer loop, under the name that its extents refer to.
                let home = self.home(a);
                if home != a {
                    map.push((a, self.c.make(&Op::Index(home), &[])?));
                }
                if !outer.contains(&home) {
                    outer.push(home);
                }
            }
        }
        let args = self.c.g.args(id).to_vec();
        let mut all = Vec::new();
        for a in args {
            all.push(self.c.substitute(a, &map)?);
        }
        let factors = all.split_off(op.guards());
        let guards = all;
        let mut r = Reduction { node: id, fold, guards, factors, scale: None, group: None, shorts, accumulator: None };
        if fold == Fold::Sum {
            let mut scales = Vec::new();
            for &f in &r.factors.clone() {
                let (_, s) = self.scaled(f)?;
                scales.extend(s);
            }
            if !scales.is_empty() {
                let total = self.c.sum_of(&scales)?;
                if !self.is_bounded(total) || self.is_divided_by(body, id) {
                    r.scale = Some(total);
                }
            }
        }
        Ok(r)
    }

    /// Does the value of a sum reach a reciprocal or a logarithm, so that its relative accuracy matters?
    fn is_divided_by(&self, body: NodeId, sum: NodeId) -> bool {
        let mut stack = vec![body];
        let mut seen = FxHashSet::default();
        while let Some(n) = stack.pop() {
            if !seen.insert(n) {
                continue;
            }
            if matches!(self.c.g.op(n), Op::Map(MapFn::Inv | MapFn::Inv0 | MapFn::Log))
                && self.find(n, |_| false).is_none()
                && self.contains(n, sum)
            {
                return true;
            }
            stack.extend(self.c.g.args(n));
        }
        false
    }

    fn contains(&self, id: NodeId, goal: NodeId) -> bool {
        let mut stack = vec![id];
        let mut seen = FxHashSet::default();
        while let Some(n) = stack.pop() {
            if n == goal {
                return true;
            }
            if seen.insert(n) {
                stack.extend(self.c.g.args(n));
            }
        }
        false
    }

    /// Sums share a running maximum if exponents and guards are equal, or if they are addends of one sum of exponentials. A sum
    /// that something divides by needs a tight maximum, so nothing else joins.
    fn group(&mut self, reductions: &mut [Reduction], body: NodeId) -> Result<Vec<Group>, Error> {
        let scaled: Vec<usize> = (0..reductions.len()).filter(|&n| reductions[n].scale.is_some()).collect();
        let mut leader: FxHashMap<usize, usize> = scaled.iter().map(|&n| (n, n)).collect();
        let find = |leader: &FxHashMap<usize, usize>, mut n: usize| {
            while leader[&n] != n {
                n = leader[&n];
            }
            n
        };
        let same = |a: &Reduction, b: &Reduction| {
            a.scale == b.scale && a.guards.len() == b.guards.len() && a.guards.iter().all(|g| b.guards.contains(g))
        };
        for &a in &scaled {
            for &b in &scaled {
                if a < b && same(&reductions[a], &reductions[b]) {
                    let (x, y) = (find(&leader, a), find(&leader, b));
                    leader.insert(y, x);
                }
            }
        }
        for meeting in self.addends(body, reductions) {
            for pair in meeting.windows(2) {
                if let (Some(_), Some(_)) = (leader.get(&pair[0]), leader.get(&pair[1])) {
                    let (x, y) = (find(&leader, pair[0]), find(&leader, pair[1]));
                    leader.insert(y, x);
                }
            }
        }
        let mut groups: Vec<Group> = Vec::new();
        let mut by_leader: FxHashMap<usize, usize> = FxHashMap::default();
        for &n in &scaled {
            let l = find(&leader, n);
            let at = match by_leader.get(&l) {
                Some(&at) => at,
                None => {
                    // The maximum varies over the rows on which exponents and guards depend.
                    let mut axes = Vec::new();
                    for &m in &scaled {
                        if find(&leader, m) == l {
                            let r = &reductions[m];
                            for &x in r.guards.iter().chain(&r.scale) {
                                axes.extend(self.c.g.free(x).iter().filter(|&a| self.has(r.node, a)));
                            }
                        }
                    }
                    axes.sort_unstable();
                    axes.dedup();
                    let dtype = self.c.concrete(weft_ir::DType::Float);
                    let maximum = self.stand_in("max", &axes, dtype)?;
                    groups.push(Group { members: Vec::new(), maximum });
                    by_leader.insert(l, groups.len() - 1);
                    groups.len() - 1
                }
            };
            groups[at].members.push(n);
            reductions[n].group = Some(at);
        }
        for r in reductions.iter_mut() {
            let axes: Vec<AxisId> = self.c.g.free(r.node).iter().collect();
            r.accumulator = Some(self.stand_in("acc", &axes, self.c.g.dtype(r.node))?);
        }
        Ok(groups)
    }

    /// Reductions that meet as addends of one sum.
    fn addends(&self, body: NodeId, reductions: &[Reduction]) -> Vec<Vec<usize>> {
        let mut found = Vec::new();
        let mut stack = vec![body];
        let mut seen = FxHashSet::default();
        while let Some(n) = stack.pop() {
            if !seen.insert(n) {
                continue;
            }
            if *self.c.g.op(n) == Op::Map(MapFn::Add) {
                let direct = |&a: &NodeId| {
                    reductions.iter().position(|r| {
                        r.node == a
                            || matches!(self.c.g.op(a), Op::Ein { axes, guards: 0 } if axes.is_empty() && self.c.g.args(a).contains(&r.node))
                    })
                };
                let members: Vec<usize> = self.c.g.args(n).iter().filter_map(direct).collect();
                if members.len() > 1 && members.len() == self.c.g.args(n).len() {
                    found.push(members);
                }
            }
            stack.extend(self.c.g.args(n));
        }
        found
    }

    /// Splits the guards of all reductions into streams; equal streams are walked once.
    fn streams(&mut self, reductions: &[Reduction], axis: AxisId, batch: bool) -> Result<Vec<Stream>, Error> {
        let mut streams: Vec<Stream> = Vec::new();
        for (n, r) in reductions.iter().enumerate() {
            let cases = self.disjoint(&r.guards)?;
            let cases = self.split_inside(cases, &r.factors, axis)?;
            for case in cases {
                self.add_case(&mut streams, n, r, &case, axis, batch)?;
            }
        }
        Ok(streams)
    }

    fn add_case(
        &mut self,
        streams: &mut Vec<Stream>,
        n: usize,
        r: &Reduction,
        case: &[NodeId],
        axis: AxisId,
        batch: bool,
    ) -> Result<(), Error> {
        let (loop_axis, position, mut guards) =
            if batch { (None, self.c.int(0)?, case.to_vec()) } else { self.kind(case, axis)? };
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

    /// How a case walks the axis: a congruence is a stride, an equation one position, all else a dense range. Gives the loop's axis,
    /// the streamed position, and the guards that are left.
    fn kind(&mut self, case: &[NodeId], axis: AxisId) -> Result<(Option<AxisId>, NodeId, Vec<NodeId>), Error> {
        for (at, &g) in case.iter().enumerate() {
            let Some((MapFn::Eq, form)) = self.c.comparison(g) else { continue };
            let rest = || case.iter().enumerate().filter(|&(n, _)| n != at).map(|(_, &g)| g).collect::<Vec<_>>();
            if let Some((stride, first)) = self.congruence(&form, axis) {
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
                return Ok((Some(steps), term, guards));
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
        let index = self.c.make(&Op::Index(axis), &[])?;
        Ok((Some(axis), index, case.to_vec()))
    }

    /// The axis that counts the steps of strided loops over `axis`: one, so that equal streams meet.
    fn steps_axis(&mut self, axis: AxisId) -> AxisId {
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

    /// The stored term with accumulators for its reductions: mantissa and scale.
    fn epilogue(
        &mut self,
        name: &str,
        body: NodeId,
        reductions: &[Reduction],
        groups: &[Group],
        target: &Target,
    ) -> Result<Epilogue, Error> {
        let mut map = FxHashMap::default();
        for r in reductions {
            let Some((_, value)) = r.accumulator else { continue };
            let value = match r.group {
                None => value,
                Some(g) => {
                    let e = self.c.map(MapFn::Exp, &[groups[g].maximum.1])?;
                    self.c.product_of(&[value, e])?
                }
            };
            map.insert(r.node, value);
        }
        let body = self.replace(body, &mut map)?;
        let (mantissa, scale) = self.scaled(body)?;
        let Some(scale) = scale else { return Ok(Epilogue { value: mantissa, scale: None }) };
        if target.is_output || self.is_bounded(scale) {
            return Ok(Epilogue { value: self.collapse((mantissa, Some(scale)))?, scale: None });
        }
        // A ragged axis keeps its batch axis, or rows beyond the first document's length would have no scale.
        let own: Vec<AxisId> = target.axes.iter().copied().filter(|&a| self.has(scale, a)).collect();
        let batch = |a: AxisId| own.iter().any(|&o| self.c.g.ragged_over(self.c.g.axis(o).domain) == Some(a));
        let axes: Vec<AxisId> = target.axes.iter().copied().filter(|&a| self.has(scale, a) || batch(a)).collect();
        let (input, read) = self.side_buffer(&format!("{name}_scale"), &axes, target.dtype, Role::Temp)?;
        target.maximum.set(Some(read));
        self.notes.push(format!("{name}: stored as a mantissa and a scale"));
        Ok(Epilogue { value: mantissa, scale: Some((input, scale)) })
    }

    /// The term with some subterms replaced.
    pub(crate) fn replace(&mut self, id: NodeId, map: &mut FxHashMap<NodeId, NodeId>) -> Result<NodeId, Error> {
        if let Some(&to) = map.get(&id) {
            return Ok(to);
        }
        let args = self.c.g.args(id).to_vec();
        if args.is_empty() || matches!(self.c.g.op(id), Op::Sub { .. }) {
            return Ok(id);
        }
        let mut new = Vec::with_capacity(args.len());
        for a in args {
            new.push(self.replace(a, map)?);
        }
        let op = self.c.g.op(id).clone();
        let made = self.c.make(&op, &new)?;
        map.insert(id, made);
        Ok(made)
    }
}

/// What is stored after the streams.
struct Epilogue {
    value: NodeId,
    scale: Option<(InputId, NodeId)>,
}

impl Emitter<'_, '_> {
    #[expect(clippy::too_many_arguments, reason = "the parts of one kernel, made in order by stream_kernel")]
    fn emit_streams(
        &mut self,
        reductions: &[Reduction],
        groups: &[Group],
        streams: &[Stream],
        axis: AxisId,
        outer: &[AxisId],
        epilogue: &Epilogue,
        target: &Target,
    ) -> Result<(), Error> {
        self.place_rows(reductions, groups, target)?;
        let mut state = State::default();
        for g in groups {
            let axes = self.input_axes(g.maximum.0);
            state.maxima.push(self.kb.fill("m", f64::NEG_INFINITY, self.float, axes));
        }
        for r in reductions {
            let Some((input, value)) = r.accumulator else { continue };
            let axes = self.input_axes(input);
            let elem = if self.s.c.g.dtype(value).is_float() { self.float } else { ElemType::I32 };
            let zero = match r.fold {
                Fold::Sum if elem.is_float() => Literal::Float(0.0),
                Fold::Sum => Literal::Int(0),
                Fold::Extremum(Extremum::Max) => Literal::Float(f64::NEG_INFINITY),
                Fold::Extremum(Extremum::Min) => Literal::Float(f64::INFINITY),
            };
            state.sums.push(self.kb.fill("acc", zero, elem, axes));
        }
        for &b in outer {
            state = self.begin_outer(b, &state)?;
        }
        for s in streams {
            for t in &s.terms {
                for &x in t.mantissas.iter().chain(&t.scale).chain(&s.guards) {
                    self.hoist(x, &[s.axis.unwrap_or(axis)])?;
                }
            }
        }
        for s in streams {
            state = self.emit_stream(reductions, groups, s, axis, &state)?;
        }
        for &b in outer.iter().rev() {
            state = self.end_outer(b, &state);
        }
        for (g, &m) in groups.iter().zip(&state.maxima) {
            // A row that nothing was added to: any finite maximum will do, and minus infinity would make 0 * inf.
            let none = self.kb.fill("none", f64::NEG_INFINITY, self.float, AxisSet::EMPTY);
            let zero = self.kb.fill("zero", 0.0, self.float, AxisSet::EMPTY);
            let empty = self.kb.map("empty", KernelFn::Eq, &[m, none]);
            let m = self.kb.select("m", empty, zero, m);
            self.given.insert(g.maximum.0, m);
        }
        for (r, &v) in reductions.iter().zip(&state.sums) {
            if let Some((input, _)) = r.accumulator {
                self.given.insert(input, v);
            }
        }
        let v = self.value(epilogue.value)?;
        self.store(target.input, v)?;
        if let Some((input, scale)) = epilogue.scale {
            let v = self.value(scale)?;
            self.store(input, v)?;
        }
        Ok(())
    }

    /// Tile axes of a stand-in at the current positions.
    fn input_axes(&self, input: InputId) -> AxisSet {
        let axes = &self.s.c.g.input(input).axes;
        axes.iter()
            .filter_map(|a| self.positions.get(a))
            .map(|e| self.kb.kernel().expr_axes(e))
            .fold(AxisSet::EMPTY, AxisSet::union)
    }

    /// Axes on which pairs depend go onto the grid, the rows into lanes; what only values have stays whole in the tile.
    fn place_rows(&mut self, reductions: &[Reduction], groups: &[Group], target: &Target) -> Result<(), Error> {
        let c = &self.s.c;
        let mut pair: FxHashSet<AxisId> = FxHashSet::default();
        for r in reductions {
            for &x in r.guards.iter().chain(&r.factors) {
                if c.long_axes(x).len() > 1 || self.s.has_exp(x) {
                    pair.extend(c.g.free(x).iter());
                }
            }
        }
        for g in groups {
            pair.extend(c.g.input(g.maximum.0).axes.iter().copied());
        }
        let axes = &target.axes;
        let long: Vec<AxisId> = axes.iter().copied().filter(|&a| c.is_long(a)).collect();
        let batch: Vec<AxisId> =
            axes.iter().copied().filter(|&a| !c.is_long(a) && c.g.static_extent(a).is_none()).collect();
        let short: Vec<AxisId> = axes.iter().copied().filter(|&a| c.g.static_extent(a).is_some()).collect();
        for a in batch.into_iter().chain(long.iter().skip(1).copied()) {
            self.grid_axis(a);
        }
        let mut room = self.s.options.tiles.vector;
        let mut blocked = None;
        let mut whole = Vec::new();
        let mut on_grid = Vec::new();
        for &a in short.iter().rev() {
            let n = self.s.static_size(a);
            if pair.contains(&a) || (n > room && !whole.is_empty()) || blocked.is_some() {
                on_grid.push(a);
            } else if n > room {
                blocked = Some(a);
            } else {
                whole.push(a);
                room = (room / n.max(1)).max(1);
            }
        }
        for &a in on_grid.iter().rev() {
            self.grid_axis(a);
        }
        if let Some(&r) = long.first() {
            self.row_tile(r);
        }
        if let Some(a) = blocked {
            let size = self.s.options.tiles.vector;
            self.tiled_axis(a, Expr::Const(size), size);
        }
        for &a in whole.iter().rev() {
            self.whole_axis(a);
        }
        Ok(())
    }

    /// A loop over a batch that is summed.
    fn begin_outer(&mut self, batch: AxisId, state: &State) -> Result<State, Error> {
        let name = self.axis_name(batch);
        let domain = Domain::Dense { lo: Expr::Const(0), hi: self.extent(batch) };
        let body = self.kb.begin_loop(&name, None, domain, None, &state.carried());
        self.note_bounds(body.index, 0, None);
        self.note_bounds(body.pos, 0, None);
        self.enter();
        self.positions.insert(batch, Expr::Var(body.pos));
        Ok(state.replaced(&body.carried))
    }

    fn end_outer(&mut self, batch: AxisId, state: &State) -> State {
        self.positions.remove(&batch);
        self.leave();
        let results = self.kb.end_loop(&state.values());
        state.replaced(&results)
    }

    fn emit_stream(
        &mut self,
        reductions: &[Reduction],
        groups: &[Group],
        s: &Stream,
        axis: AxisId,
        state: &State,
    ) -> Result<State, Error> {
        let Some(loop_axis) = s.axis else {
            // One position: no loop, the axis stands at an expression.
            self.enter();
            let at = self.index(s.position)?;
            self.positions.insert(axis, at);
            let guard = self.guard(&s.guards)?;
            let next = self.accumulate(reductions, groups, s, AxisSet::EMPTY, &guard, state)?;
            self.positions.remove(&axis);
            self.leave();
            return Ok(next);
        };
        let extent = self.extent(loop_axis);
        let (bounding, opaque) = self.bounding(&s.guards, loop_axis);
        let range = self.range(&bounding, loop_axis, extent.clone());
        let step = self.s.options.tiles.stream;
        let name = self.axis_name(loop_axis);
        let tile = self.kb.axis(&name, step);
        let domain = Domain::Dense { lo: range.lo, hi: range.hi };
        // Guards of a sum inside the tile speak of this loop too, and no range of it makes them all true.
        let terms: Vec<NodeId> = s.terms.iter().flat_map(|t| t.mantissas.iter().chain(&t.scale).copied()).collect();
        let inner = terms.iter().any(|&x| !self.s.streamed(x).is_empty());
        let full = if !inner && self.s.claims_hold(&terms, &s.guards, loop_axis)? { range.full } else { None };
        let body = self.kb.begin_loop(&name, Some(tile), domain, full, &state.carried());
        self.note_bounds(body.index, 0, None);
        self.note_bounds(body.pos, 0, None);
        self.enter();
        let start = Expr::Var(body.index);
        self.spans.push(super::ranges::TileSpan {
            axis: loop_axis,
            t0: start.clone(),
            t1: (start + step).min(extent.clone()),
        });
        self.positions.insert(loop_axis, Expr::Var(body.pos));
        let mut guard = self.guard(&bounding)?;
        guard.atoms.push(Expr::Var(body.pos).lt(extent));
        for c in opaque {
            let v = self.value(c)?;
            guard.opaque.push(v);
        }
        let inner = self.accumulate(reductions, groups, s, tile.into(), &guard, &state.replaced(&body.carried))?;
        self.positions.remove(&loop_axis);
        self.spans.pop();
        self.leave();
        let results = self.kb.end_loop(&inner.values());
        Ok(inner.replaced(&results))
    }

    /// What one step of a stream adds to the accumulators.
    fn accumulate(
        &mut self,
        reductions: &[Reduction],
        groups: &[Group],
        s: &Stream,
        tile: AxisSet,
        guard: &Guard,
        state: &State,
    ) -> Result<State, Error> {
        let mut next = state.clone();
        for (n, g) in groups.iter().enumerate() {
            let mut scales: Vec<NodeId> = Vec::new();
            for t in s.terms.iter().filter(|t| g.members.contains(&t.reduction)) {
                scales.extend(t.scale.filter(|x| !scales.contains(x)));
            }
            for scale in scales {
                let terms: Vec<&Term> =
                    s.terms.iter().filter(|t| g.members.contains(&t.reduction) && t.scale == Some(scale)).collect();
                let mut over = tile;
                let shorts: Vec<AxisId> = terms
                    .iter()
                    .flat_map(|t| reductions[t.reduction].shorts.iter().copied())
                    .filter(|&a| self.s.has(scale, a))
                    .collect();
                for a in shorts {
                    over.insert(self.whole_axis(a));
                }
                let x = self.value(scale)?;
                let x = self.spread(x, over);
                let (m, r, w) = if over.is_empty() {
                    self.online_point(x, next.maxima[n], guard)?
                } else {
                    self.kb.online("w", x, next.maxima[n], over, guard.clone())
                };
                next.maxima[n] = m;
                for &k in &g.members {
                    next.sums[k] = self.kb.rescale("acc", next.sums[k], r);
                }
                for t in terms {
                    let mut values = vec![w];
                    for &x in &t.mantissas {
                        let v = self.value(x)?;
                        values.push(if self.s.is_wild(x) { self.guarded(v, guard)? } else { v });
                    }
                    let over = self.summed(&reductions[t.reduction], tile);
                    next.sums[t.reduction] =
                        self.add_products(&values, over, Guard::always(), next.sums[t.reduction])?;
                }
            }
        }
        for t in s.terms.iter().filter(|t| t.scale.is_none()) {
            let r = &reductions[t.reduction];
            let mut values = Vec::new();
            for &x in &t.mantissas {
                values.push(self.value(x)?);
            }
            let over = self.summed(r, tile);
            let old = next.sums[t.reduction];
            next.sums[t.reduction] = match r.fold {
                Fold::Sum => {
                    if values.is_empty() {
                        let elem = self.kb.type_of(old).map_or(self.float, |t| t.elem);
                        let one = if elem.is_float() { Literal::Float(1.0) } else { Literal::Int(1) };
                        values.push(self.kb.fill("one", one, elem, over));
                    }
                    self.add_products(&values, over, guard.clone(), old)?
                }
                Fold::Extremum(x) => {
                    let (monoid, f) =
                        if x == Extremum::Max { (Monoid::Max, KernelFn::Max) } else { (Monoid::Min, KernelFn::Min) };
                    let x = self.spread(values[0], over);
                    let new = if over.is_empty() { x } else { self.kb.reduce("ext", x, monoid, over, guard.clone()) };
                    self.kb.map("ext", f, &[old, new])
                }
            };
        }
        Ok(next)
    }

    /// A tile with zeros where a guard is false: a weight of 0 does not make an infinity 0.
    fn guarded(&mut self, v: ValueId, guard: &Guard) -> Result<ValueId, Error> {
        if guard.is_always() {
            return Ok(v);
        }
        let ok = self.guard_tile(guard)?;
        let zero = self.kb.fill("zero", 0.0, self.float, AxisSet::EMPTY);
        Ok(self.kb.select("x", ok, v, zero))
    }

    /// Tile axes that a reduction sums in a stream.
    fn summed(&mut self, r: &Reduction, tile: AxisSet) -> AxisSet {
        let mut over = tile;
        for &a in &r.shorts {
            over.insert(self.whole_axis(a));
        }
        over
    }

    /// A tile that varies over at least these axes.
    fn spread(&mut self, v: ValueId, axes: AxisSet) -> ValueId {
        let missing = axes.minus(self.kb.type_of(v).map_or(AxisSet::EMPTY, |t| t.axes));
        if missing.is_empty() { v } else { self.kb.expand("x", v, missing) }
    }

    /// `online` for a single position, which has no axis to reduce.
    fn online_point(&mut self, x: ValueId, m: ValueId, guard: &Guard) -> Result<(ValueId, ValueId, ValueId), Error> {
        let one = self.kb.axis("one", 1i64);
        let x = self.kb.expand("x", x, one);
        let (m, r, w) = self.kb.online("w", x, m, one, guard.clone());
        let w = self.kb.reduce("w", w, Monoid::Sum, one, Guard::always());
        Ok((m, r, w))
    }

    /// Adds a sum of products to an accumulator.
    fn add_products(
        &mut self,
        values: &[ValueId],
        over: AxisSet,
        guard: Guard,
        acc: ValueId,
    ) -> Result<ValueId, Error> {
        let axes = |e: &Self, v: ValueId| e.kb.type_of(v).map_or(AxisSet::EMPTY, |t| t.axes);
        if over.is_empty() {
            let mut p = self.multiply(values, "p");
            if !guard.is_always() {
                let ok = self.guard_tile(&guard)?;
                let elem = self.kb.type_of(p).map_or(self.float, |t| t.elem);
                let zero = self.kb.fill(
                    "zero",
                    if elem.is_float() { Literal::Float(0.0) } else { Literal::Int(0) },
                    elem,
                    AxisSet::EMPTY,
                );
                p = self.kb.select("p", ok, p, zero);
            }
            return Ok(self.kb.map("acc", KernelFn::Add, &[acc, p]));
        }
        let kept = axes(self, acc);
        // Sides of a dot: what has the rows, and what has axes of the values only.
        let lanes = self.kb.kernel().lanes.map_or(AxisSet::EMPTY, AxisSet::from);
        let (rows, others): (Vec<ValueId>, Vec<ValueId>) = values
            .iter()
            .partition(|&&v| !axes(self, v).intersection(lanes).is_empty() || axes(self, v).minus(over).is_empty());
        let features = others.iter().fold(AxisSet::EMPTY, |s, &v| s.union(axes(self, v))).minus(over);
        let float = values.iter().all(|&v| self.kb.type_of(v).is_some_and(|t| t.elem.is_float()));
        if float && !rows.is_empty() && !features.is_empty() && kept.contains_all(features) {
            let (a, b) = (self.multiply(&rows, "p"), self.multiply(&others, "v"));
            let (a, b) = (self.spread_missing(a, b, over), b);
            let attrs = Attrs { over, guard, ..Attrs::default() };
            return Ok(self.kb.inst("acc", OpCode::Dot, &[a, b, acc], attrs)[0]);
        }
        let p = self.multiply(values, "p");
        let p = self.spread(p, over);
        let sum = self.kb.reduce("sum", p, Monoid::Sum, over, guard);
        Ok(self.kb.map("acc", KernelFn::Add, &[acc, sum]))
    }

    fn spread_missing(&mut self, a: ValueId, b: ValueId, over: AxisSet) -> ValueId {
        let axes = |e: &Self, v: ValueId| e.kb.type_of(v).map_or(AxisSet::EMPTY, |t| t.axes);
        let missing = over.minus(axes(self, a)).minus(axes(self, b));
        if missing.is_empty() { a } else { self.kb.expand("p", a, missing) }
    }
}

/// Accumulators and running maxima, as they stand.
#[derive(Clone, Default)]
struct State {
    maxima: Vec<ValueId>,
    sums: Vec<ValueId>,
}

impl State {
    fn values(&self) -> Vec<ValueId> {
        self.maxima.iter().chain(&self.sums).copied().collect()
    }

    fn carried(&self) -> Vec<(&'static str, ValueId)> {
        self.maxima.iter().map(|&v| ("m", v)).chain(self.sums.iter().map(|&v| ("acc", v))).collect()
    }

    fn replaced(&self, values: &[ValueId]) -> Self {
        let (maxima, sums) = values.split_at(self.maxima.len().min(values.len()));
        Self { maxima: maxima.to_vec(), sums: sums.to_vec() }
    }
}
