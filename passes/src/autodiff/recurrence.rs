//! The adjoint of a recurrence.
//!
//! With `S[t] = body(S[t-1], ..)` and `s'[t]` what others contribute to the state at t, everything that reaches it is
//! `l[t] = s'[t] + m[t+1]`, where `m[t]` is what reaches the state at t - 1 through the step at t: the derivative of the body in
//! its previous state, applied to `l[t]`. So `m` is a recurrence that runs the other way. Where the step does not read the state
//! (a restart), the guards of the body make `m` zero: it starts anew where `S` does.

use super::Differentiation;
use super::active::Active;
use weft_ir::graph::{AxisSet, Error, MapFn, NodeId, Op, RecDecl, RecId};

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
            let args: Vec<NodeId> = self.g.args(n).to_vec();
            let before = needed.len();
            needed.extend(args.iter().filter(|a| !self.outside.contains_key(a)));
            if needed.len() > before {
                continue;
            }
            let made = match self.g.op(n).clone() {
                Op::Prev(r) if r.index() < self.recs => {
                    let time = self.g.rec(r).time;
                    let (at, step) = (self.g.index(time)?, self.g.int(if self.g.rec(r).reverse { 1 } else { -1 }));
                    let before = self.g.map(MapFn::Add, &[at, step])?;
                    match self.g.ids().find(|&x| *self.g.op(x) == Op::Rec(r)) {
                        Some(rec) => self.g.sub(rec, &[(time, before)])?,
                        None => n,
                    }
                }
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
