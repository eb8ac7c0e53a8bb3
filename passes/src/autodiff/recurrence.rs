//! The adjoint of a recurrence.
//!
//! With `S[t] = body(S[t-1], ..)` and `s'[t]` what others contribute to the state at t, everything that reaches it is
//! `l[t] = s'[t] + m[t+1]`, where `m[t]` is what reaches the state at t - 1 through the step at t: the derivative of the body in
//! its previous state, applied to `l[t]`. So `m` is a recurrence that runs the other way. Where the step does not read the state
//! (a restart), the guards of the body make `m` zero: it starts anew where `S` does.

use super::Differentiation;
use super::active::Active;
use rustc_hash::FxHashSet;
use weft_ir::graph::{AxisSet, Error, Graph, MapFn, NodeId, Op, RecDecl, RecId};

/// Recurrences in the bodies of others.
#[derive(Clone, Default, Debug)]
pub(super) struct Nested {
    /// Those whose bodies read the state of another one at the step before.
    inner: FxHashSet<RecId>,
    /// Those whose states they read.
    outer: FxHashSet<RecId>,
}

impl Nested {
    pub(super) fn new(g: &Graph) -> Self {
        let mut nested = Self::default();
        // Recurrences whose previous state a term reads outside their bodies.
        let mut open: Vec<Vec<RecId>> = Vec::with_capacity(g.len());
        for id in g.ids() {
            let mut here: Vec<RecId> = g.args(id).iter().flat_map(|a| open[a.index()].iter().copied()).collect();
            match g.op(id) {
                Op::Prev(r) => here.push(*r),
                Op::Rec(r) => here.retain(|x| x != r),
                _ => {}
            }
            here.sort_unstable();
            here.dedup();
            if let Op::Rec(r) = g.op(id)
                && !here.is_empty()
            {
                nested.inner.insert(*r);
                nested.outer.extend(&here);
            }
            open.push(here);
        }
        nested
    }
}

impl Differentiation {
    /// `outside` is what reaches the state from outside the recurrence.
    pub(super) fn recurrence(&mut self, id: NodeId, outside: NodeId) -> Result<(), Error> {
        let Op::Rec(rec) = *self.g.op(id) else { return Ok(()) };
        let body = self.g.args(id)[0];
        let total = match self.reaching(rec, body, outside)? {
            Some(later) => self.g.map(MapFn::Add, &[outside, later])?,
            None => outside,
        };
        let scope: AxisSet = self.g.free(total).iter().chain(self.g.free(id).iter()).collect();
        self.give(body, &scope, &[], &[total])
    }

    /// `m[t+1]`: what reaches the state at t through the step after it; `None` if nothing does.
    fn reaching(&mut self, rec: RecId, body: NodeId, outside: NodeId) -> Result<Option<NodeId>, Error> {
        let RecDecl { name, time, mut state, dtype, reverse } = self.g.rec(rec).clone();
        let previous = self.g.add(Op::Prev(rec), &[])?;
        if !self.active.is(previous) {
            return Ok(None);
        }
        let domain = self.g.axis(time).domain;
        state.extend(self.g.ragged_over(domain).filter(|b| !state.contains(b)));
        let name = format!("{}{name}", super::GRADIENT).into();
        let back = self.g.add_rec(RecDecl { name, time, state, dtype, reverse: !reverse });
        // Where there is a step after t, in the order of the recurrence.
        let (at, one) = (self.g.index(time)?, self.g.int(1));
        let (after, exists) = if reverse {
            (self.g.map(MapFn::Sub, &[at, one])?, self.g.map(MapFn::Le, &[one, at])?)
        } else {
            let (after, end) = (self.g.map(MapFn::Add, &[at, one])?, self.g.add(Op::Size(domain), &[])?);
            (after, self.g.map(MapFn::Lt, &[after, end])?)
        };
        let next = self.g.add(Op::Prev(back), &[])?;
        let next = self.g.ein(&[], &[exists], &[next])?;
        let here = self.g.map(MapFn::Add, &[outside, next])?;
        let Some(step) = self.derivative_in(previous, body, here)? else { return Ok(None) };
        let m = self.g.add(Op::Rec(back), &[step])?;
        let later = self.g.sub(m, &[(time, after)])?;
        Ok(Some(self.g.ein(&[], &[exists], &[later])?))
    }

    /// Terms of a recurrence's body as they are read outside it: the previous state is the state at the position before.
    pub(super) fn read_states(&mut self, terms: &[NodeId]) -> Result<Vec<NodeId>, Error> {
        terms.iter().map(|&x| self.read_state(x)).collect()
    }

    fn read_state(&mut self, id: NodeId) -> Result<NodeId, Error> {
        let mut needed = vec![id];
        while let Some(&n) = needed.last() {
            if self.outside.contains_key(&n) {
                needed.pop();
                continue;
            }
            let closed = matches!(self.g.op(n), Op::Rec(_));
            let args: Vec<NodeId> = if closed { Vec::new() } else { self.g.args(n).to_vec() };
            let before = needed.len();
            needed.extend(args.iter().filter(|a| !self.outside.contains_key(a)));
            if needed.len() > before {
                continue;
            }
            let made = match self.g.op(n).clone() {
                Op::Prev(r) if r.index() < self.recs => self.read_before(n, r)?,
                Op::Rec(r) if self.nested.inner.contains(&r) => self.read_inner(n, r)?,
                // A state is closed: what its body reads is its own affair.
                Op::Rec(_) => n,
                op => {
                    let new: Vec<NodeId> = args.iter().map(|a| self.outside[a]).collect();
                    if new == args { n } else { self.g.add(op, &new)? }
                }
            };
            self.outside.insert(n, made);
            needed.pop();
        }
        Ok(self.outside[&id])
    }

    /// The state at the position before, read from outside.
    fn read_before(&mut self, previous: NodeId, rec: RecId) -> Result<NodeId, Error> {
        let Some(state) = self.g.ids().find(|&x| *self.g.op(x) == Op::Rec(rec)) else { return Ok(previous) };
        let state = self.read_state(state)?;
        let RecDecl { time, reverse, .. } = *self.g.rec(rec);
        let (at, step) = (self.g.index(time)?, self.g.int(if reverse { 1 } else { -1 }));
        let before = self.g.map(MapFn::Add, &[at, step])?;
        let read = self.g.sub(state, &[(time, before)])?;
        if !self.nested.outer.contains(&rec) {
            return Ok(read);
        }
        // The guard that hides the first position stands outside a recurrence that reads the state, where terms of its body lose it.
        let (zero, end) = (self.g.int(0), self.g.add(Op::Size(self.g.axis(time).domain), &[])?);
        let exists = if reverse { (before, end, MapFn::Lt) } else { (zero, before, MapFn::Le) };
        let exists = self.g.map(exists.2, &[exists.0, exists.1])?;
        self.g.ein(&[], &[exists], &[read])
    }

    /// A recurrence whose body reads the state of another one, in whose body it stands: the same recurrence with that state read
    /// from outside. Its own state has the time of the other among its axes.
    fn read_inner(&mut self, id: NodeId, rec: RecId) -> Result<NodeId, Error> {
        let body = self.g.args(id)[0];
        let decl = self.g.rec(rec).clone();
        let copy = self.g.add_rec(decl);
        let (own, own_copy) = (self.g.add(Op::Prev(rec), &[])?, self.g.add(Op::Prev(copy), &[])?);
        // Within the body the recurrence's own state stays what it is.
        let kept = std::mem::take(&mut self.outside);
        self.outside.insert(own, own_copy);
        let read = self.read_state(body);
        self.outside = kept;
        self.g.add(Op::Rec(copy), &[read?])
    }

    /// The adjoint of one node inside a term, for a cotangent of the term.
    fn derivative_in(&mut self, node: NodeId, term: NodeId, cotangent: NodeId) -> Result<Option<NodeId>, Error> {
        let op = self.g.op(node).clone();
        let inner = Active::new(&self.g, |o| *o == op);
        let active = std::mem::replace(&mut self.active, inner);
        let pending = std::mem::take(&mut self.pending);
        let scope: AxisSet = self.g.free(cotangent).iter().chain(self.g.free(term).iter()).collect();
        let swept = self.give(term, &scope, &[], &[cotangent]).and_then(|()| self.sweep(&[term], Some(node)));
        let found = self.pending.remove(&node);
        self.active = active;
        self.pending = pending;
        swept?;
        found.map(|adjoint| self.closed(&adjoint)).transpose()
    }
}
