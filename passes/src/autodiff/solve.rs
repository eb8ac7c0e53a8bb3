//! Delta rules: solving `position == x` for the axes that the position runs over.
//!
//! `sum over s of [p(s) == x] f(s)` is `f` at the solution, where there is one in range. Positions are linear forms over axes,
//! quotients and opaque terms ([`Form`]); one equation after the other is solved by the first of these that applies:
//!
//! | equation | solution |
//! |---|---|
//! | `c s + r == 0` | `s = -r / c`, where c divides r |
//! | `c floor(f / m) + r == 0` | `f = m (-r / c) + n` for a new axis `n` of m positions, to be summed over |
//! | `c (s mod m) + ..` | `s = m k + n` for new axes `k` and `n` |
//! | `s + n q + r == 0`, `n` the extent of s (digits) | `s = -r mod n`, `q = floor(-r / n)` |
//! | `s + q + r == 0` (a band, a distance) | `s = -(q + r)`, the axes of `q` are summed over |
//!
//! What is left stays a guard, and its axes are summed over. Every solution is guarded to be in range, unless it is proven.

use super::is_runtime;
use rustc_hash::FxHashMap;
use weft_ir::graph::prove::{Form, Prover, Var};
use weft_ir::graph::{AxisId, DomainId, Error, Extent, Graph, MapFn, NodeId, Op, Role};

/// Axes to sum over that were made for solutions. They are bound at once, so one serves many.
#[derive(Default, Debug)]
pub(super) struct Spare {
    domains: FxHashMap<i64, DomainId>,
    blocks: FxHashMap<(DomainId, i64), DomainId>,
    axes: FxHashMap<(DomainId, usize), AxisId>,
}

impl Spare {
    fn axis(&mut self, g: &mut Graph, domain: DomainId, used: &mut FxHashMap<DomainId, usize>) -> AxisId {
        let n = used.entry(domain).or_insert(0);
        *n += 1;
        let name = format!("{}'{n}", g.domain(domain).name);
        *self.axes.entry((domain, *n)).or_insert_with(|| g.add_axis(&name, domain))
    }

    /// A domain of `m` positions.
    fn digits(&mut self, g: &mut Graph, m: i64) -> DomainId {
        *self.domains.entry(m).or_insert_with(|| g.add_domain(&format!("of{m}"), Extent::Const(m), Role::Plain))
    }

    /// The blocks of `m` positions of a domain, the last one perhaps short.
    fn blocks(&mut self, g: &mut Graph, base: DomainId, m: i64) -> DomainId {
        let extent = match g.domain(base).extent {
            Extent::Const(n) => Extent::Const((n + m - 1) / m),
            _ => Extent::Derived { base, mul: 1, add: m - 1, div: m },
        };
        let name = format!("{}_by{m}", g.domain(base).name);
        *self.blocks.entry((base, m)).or_insert_with(|| g.add_domain(&name, extent, Role::Plain))
    }
}

/// Equations for the axes of positions.
pub(super) struct Equations {
    unknown: Vec<AxisId>,
    /// Each is 0.
    forms: Vec<Form>,
    /// Axis of the body and the position of each equation; the position as a term, if it is no form.
    sides: Vec<(NodeId, AxisId)>,
}

/// Where the axes of the positions stand, for given axes of the body.
pub(super) struct Solution {
    /// Axes of the positions and what stands in their place.
    pub(super) places: Vec<(AxisId, NodeId)>,
    /// Axes that are still to be summed over.
    pub(super) summed: Vec<AxisId>,
    /// Where there is a solution.
    pub(super) guards: Vec<NodeId>,
}

/// What must hold of a form.
enum Condition {
    Zero(Form),
    NotNegative(Form),
}

struct Work<'a> {
    g: &'a mut Graph,
    spare: &'a mut Spare,
    used: FxHashMap<DomainId, usize>,
    unknown: Vec<AxisId>,
    forms: Vec<Form>,
    solved: Vec<(AxisId, Form)>,
    conditions: Vec<Condition>,
}

impl Equations {
    pub(super) fn new(unknown: Vec<AxisId>) -> Self {
        Self { unknown, forms: Vec::new(), sides: Vec::new() }
    }

    /// `position == axis`
    pub(super) fn equate(&mut self, g: &Graph, position: NodeId, axis: AxisId) {
        let opaque = || {
            let own = g.free(position).iter().map(|a| (a, Form::var(Var::Axis(a)))).collect();
            Form::var(Var::Term(position, own))
        };
        self.forms.push(Prover::new(g).form_of(position).unwrap_or_else(opaque));
        self.sides.push((position, axis));
    }

    /// Solves what can be solved.
    pub(super) fn solve(self, g: &mut Graph, spare: &mut Spare) -> Result<Solution, Error> {
        let mut w = Work {
            g,
            spare,
            used: FxHashMap::default(),
            unknown: Vec::new(),
            forms: Vec::new(),
            solved: Vec::new(),
            conditions: Vec::new(),
        };
        // An axis may stand on both sides, as `t - 1 == t`: those of the positions get names of their own.
        let taken: Vec<AxisId> = self.sides.iter().map(|s| s.1).collect();
        let mut renamed = Vec::new();
        let mut forms = self.forms;
        for a in self.unknown {
            let mut name = a;
            if taken.contains(&a) {
                name = w.spare.axis(w.g, w.g.axis(a).domain, &mut w.used);
                forms = forms.iter().map(|f| replace(w.g, f, a, &Form::var(Var::Axis(name)))).collect();
                renamed.push((a, name));
            }
            w.unknown.push(name);
        }
        for (form, &(_, axis)) in forms.iter().zip(&self.sides) {
            w.forms.push(form.checked_add(&Form::var(Var::Axis(axis)), -1).unwrap_or_default());
        }
        while w.step()? {}
        w.finish(&renamed)
    }
}

/// The unknown axes in a variable.
fn mentions(v: &Var, unknown: &[AxisId]) -> bool {
    let any = |f: &Form| f.terms().any(|(v, _)| mentions(v, unknown));
    match v {
        Var::Axis(a) => unknown.contains(a),
        Var::Extent(_) => false,
        Var::Quotient(f, _) => any(f),
        Var::Term(_, at) => at.iter().any(|(_, f)| any(f)),
    }
}

/// The form with another in the place of an axis. Forms are small: a number that leaves i64 gives 0, which no valid position does.
fn replace(g: &Graph, form: &Form, axis: AxisId, by: &Form) -> Form {
    let mut sum = Form::new(form.constant());
    for (v, c) in form.terms() {
        let new = match v {
            Var::Axis(a) if *a == axis => by.clone(),
            Var::Quotient(f, m) => Prover::new(g).quotient(&replace(g, f, axis, by), *m).unwrap_or_default(),
            Var::Term(id, at) => {
                Form::var(Var::Term(*id, at.iter().map(|(a, f)| (*a, replace(g, f, axis, by))).collect()))
            }
            other => Form::var(other.clone()),
        };
        sum = sum.checked_add(&new, c).unwrap_or_default();
    }
    sum
}

impl Work<'_> {
    /// Solves for one axis; false if nothing can be solved.
    fn step(&mut self) -> Result<bool, Error> {
        for at in 0..self.forms.len() {
            let form = self.forms[at].clone();
            let open: Vec<(Var, i64)> =
                form.terms().filter(|(v, _)| mentions(v, &self.unknown)).map(|(v, c)| (v.clone(), c)).collect();
            if open.is_empty() {
                continue;
            }
            if self.alone(at, &form, &open) || self.remainder(&open) || self.digits(at, &form, &open) {
                return Ok(true);
            }
        }
        // Bands last: an axis may yet be solved by another equation.
        for at in 0..self.forms.len() {
            let form = self.forms[at].clone();
            if self.band(at, &form) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// One unknown.
    fn alone(&mut self, at: usize, form: &Form, open: &[(Var, i64)]) -> bool {
        let [(v, c)] = open else { return false };
        let Some(mut rest) = form.checked_add(&Form::var(v.clone()), -c) else { return false };
        if *c > 0 {
            let Some(minus) = rest.scaled(-1) else { return false };
            rest = minus;
        }
        // |c| v == rest
        let c = c.abs();
        let value = if c == 1 {
            rest
        } else {
            let Some(q) = Prover::new(self.g).quotient(&rest, c) else { return false };
            let Some(remainder) = rest.checked_add(&q, -c) else { return false };
            self.conditions.push(Condition::Zero(remainder));
            q
        };
        match v {
            Var::Axis(s) => {
                self.forms.remove(at);
                self.place(*s, &value, true);
                true
            }
            Var::Quotient(f, m) => {
                let digits = self.spare.digits(self.g, *m);
                let n = self.spare.axis(self.g, digits, &mut self.used);
                let Some(block) = value.scaled(*m) else { return false };
                let Some(inner) = f.checked_add(&block, -1).and_then(|f| f.checked_add(&Form::var(Var::Axis(n)), -1))
                else {
                    return false;
                };
                // The new axis is not solved for: it is known, and summed over.
                self.forms[at] = inner;
                self.solved.push((n, Form::var(Var::Axis(n))));
                true
            }
            Var::Term(..) | Var::Extent(_) => false,
        }
    }

    /// `s` beside `floor(s / m)`: digits of s.
    fn remainder(&mut self, open: &[(Var, i64)]) -> bool {
        for (v, c) in open {
            let Var::Quotient(f, m) = v else { continue };
            let Some(Var::Axis(s)) = f.as_var().cloned() else { continue };
            let beside = open.iter().any(|(v, k)| *v == Var::Axis(s) && k.checked_mul(-m) == Some(*c));
            if !beside || !self.unknown.contains(&s) {
                continue;
            }
            let base = self.g.axis(s).domain;
            let (digits, blocks) = (self.spare.digits(self.g, *m), self.spare.blocks(self.g, base, *m));
            let n = self.spare.axis(self.g, digits, &mut self.used);
            let k = self.spare.axis(self.g, blocks, &mut self.used);
            let value = Form::var(Var::Axis(k)).scaled(*m).and_then(|f| f.checked_add(&Form::var(Var::Axis(n)), 1));
            let Some(value) = value else { continue };
            self.unknown.extend([n, k]);
            self.place(s, &value, true);
            return true;
        }
        false
    }

    /// An axis whose extent divides the coefficients of all other unknowns: the lowest digit.
    fn digits(&mut self, at: usize, form: &Form, open: &[(Var, i64)]) -> bool {
        for (v, c) in open {
            let Var::Axis(s) = v else { continue };
            let Some(n) = self.g.static_extent(*s) else { continue };
            let others = || open.iter().filter(|(o, _)| o != v);
            if c.abs() != 1 || n < 1 || others().any(|(o, k)| k % n != 0 || mentions(o, &[*s])) {
                continue;
            }
            // c s + n q + r == 0: s = -c r mod n, and q = floor(-r / n) for c = 1, floor over the mirrored for c = -1.
            let Some(mut high) =
                others().try_fold(Form::default(), |f, (o, k)| f.checked_add(&Form::var(o.clone()), k / n))
            else {
                continue;
            };
            let known = others()
                .chain([&(v.clone(), *c)])
                .try_fold(form.clone(), |f, (o, k)| f.checked_add(&Form::var(o.clone()), -k));
            let Some(mut rest) = known else { continue };
            if *c == 1 {
                let Some(minus) = rest.scaled(-1) else { continue };
                rest = minus;
            } else {
                let Some(minus) = high.scaled(-1) else { continue };
                high = minus;
            }
            // s + n high == rest
            let Some(q) = Prover::new(self.g).quotient(&rest, n) else { continue };
            let (Some(value), Some(higher)) = (rest.checked_add(&q, -n), high.checked_add(&q, -1)) else { continue };
            self.forms[at] = higher;
            self.place(*s, &value, false);
            return true;
        }
        false
    }

    /// An axis with coefficient 1 or -1 beside others: it follows from them. A long one, since the others are walked.
    fn band(&mut self, at: usize, form: &Form) -> bool {
        let open: Vec<(Var, i64)> =
            form.terms().filter(|(v, _)| mentions(v, &self.unknown)).map(|(v, c)| (v.clone(), c)).collect();
        let candidate = |(v, c): &&(Var, i64)| match v {
            Var::Axis(s) => c.abs() == 1 && open.iter().all(|(o, _)| o == v || !mentions(o, &[*s])),
            _ => false,
        };
        let rank = |(v, _): &&(Var, i64)| match v {
            Var::Axis(s) => (is_runtime(self.g, *s), self.g.static_extent(*s).unwrap_or(0), *s),
            _ => (false, 0, AxisId(0)),
        };
        let Some((Var::Axis(s), c)) = open.iter().filter(candidate).max_by_key(rank).cloned() else { return false };
        let Some(value) = form.checked_add(&Form::var(Var::Axis(s)), -c).and_then(|f| f.scaled(-c)) else {
            return false;
        };
        self.forms.remove(at);
        self.place(s, &value, true);
        true
    }

    /// `axis := value`, everywhere.
    fn place(&mut self, axis: AxisId, value: &Form, guarded: bool) {
        self.unknown.retain(|&a| a != axis);
        for f in &mut self.forms {
            *f = replace(self.g, f, axis, value);
        }
        for (_, f) in &mut self.solved {
            *f = replace(self.g, f, axis, value);
        }
        for c in &mut self.conditions {
            match c {
                Condition::Zero(f) | Condition::NotNegative(f) => *f = replace(self.g, f, axis, value),
            }
        }
        if guarded {
            let domain = self.g.axis(axis).domain;
            let end = match self.g.domain(domain).extent {
                Extent::Const(n) => Form::new(n),
                _ => Form::var(Var::Extent(domain)),
            };
            self.conditions.push(Condition::NotNegative(value.clone()));
            if let Some(below) = end.checked_add(value, -1).and_then(|f| f.offset(-1)) {
                self.conditions.push(Condition::NotNegative(below));
            }
        }
        self.solved.push((axis, value.clone()));
    }

    fn finish(mut self, renamed: &[(AxisId, AxisId)]) -> Result<Solution, Error> {
        // Equations without a solution, and those between what is known.
        let left: Vec<Form> = std::mem::take(&mut self.forms);
        self.conditions.extend(left.into_iter().map(Condition::Zero));
        let mut guards = Vec::new();
        let zero = self.g.int(0);
        for c in std::mem::take(&mut self.conditions) {
            let (form, f) = match &c {
                Condition::Zero(form) => (form, MapFn::Eq),
                Condition::NotNegative(form) => (form, MapFn::Le),
            };
            let negative = form.scaled(-1);
            let prover = Prover::new(self.g);
            let proven = prover.proves(form) && (f == MapFn::Le || negative.is_some_and(|n| prover.proves(&n)));
            if !proven {
                let x = self.term(form)?;
                guards.push(self.g.map(f, &[zero, x])?);
            }
        }
        let mut places = Vec::new();
        let mut summed = self.unknown.clone();
        for (a, form) in self.solved.clone() {
            if form.as_var() == Some(&Var::Axis(a)) {
                summed.push(a);
                continue;
            }
            let value = self.term(&form)?;
            let original = renamed.iter().find(|r| r.1 == a).map_or(a, |r| r.0);
            places.push((original, value));
        }
        for &(original, name) in renamed {
            if self.unknown.contains(&name) {
                places.push((original, self.g.index(name)?));
            }
        }
        Ok(Solution { places, summed, guards })
    }

    /// The term of a form.
    fn term(&mut self, form: &Form) -> Result<NodeId, Error> {
        let mut parts = Vec::new();
        for (v, c) in form.terms() {
            let x = match v {
                Var::Axis(a) => self.g.index(*a)?,
                Var::Extent(d) => self.g.add(Op::Size(*d), &[])?,
                Var::Quotient(f, m) => {
                    let (f, m) = (self.term(f)?, self.g.int(*m));
                    self.g.map(MapFn::IDiv, &[f, m])?
                }
                Var::Term(id, at) => {
                    let mut pairs = Vec::new();
                    for (a, f) in at {
                        pairs.push((*a, self.term(f)?));
                    }
                    self.g.sub(*id, &pairs)?
                }
            };
            parts.push(if c == 1 {
                x
            } else {
                let c = self.g.int(c);
                self.g.map(MapFn::Mul, &[c, x])?
            });
        }
        if form.constant() != 0 || parts.is_empty() {
            parts.push(self.g.int(form.constant()));
        }
        if let [one] = parts[..] { Ok(one) } else { self.g.map(MapFn::Add, &parts) }
    }
}
