//! The rules of the op table, one function each. What a node's cotangent is comes as a list of guarded terms.

use super::Differentiation;
use super::adjoint::{Adjoint, Term};
use smallvec::SmallVec;
use weft_ir::graph::{AxisId, AxisSet, Derivative, Error, MapFn, NodeId, Op, ThresholdFamily};

impl Differentiation {
    /// Lets a node give to its operands. All its users have been visited.
    pub(super) fn visit(&mut self, id: NodeId, adjoint: Adjoint) -> Result<(), Error> {
        let rule = self.g.op(id).derivative();
        let whole = matches!(rule, Derivative::Leaf | Derivative::Recurrence);
        let terms = if whole || self.defined.everywhere(&self.g, id) {
            let value = self.closed(&adjoint)?;
            self.name(id, value);
            vec![Term { guards: Vec::new(), factors: SmallVec::from_slice(&[value]) }]
        } else {
            adjoint.apart(&mut self.g)?
        };
        for term in &terms {
            match rule {
                Derivative::Leaf => self.leaf(id, term),
                Derivative::Zero | Derivative::Previous => {}
                Derivative::Identity => self.pass(id, term, self.g.args(id)[0], &[], &[])?,
                Derivative::StraightThrough => self.pass(id, term, self.g.args(id)[1], &[], &[])?,
                Derivative::Elementwise => self.elementwise(id, term)?,
                Derivative::Branch => self.branch(id, term)?,
                Derivative::Product => self.product(id, term)?,
                Derivative::Extremum => self.extremum(id, term)?,
                Derivative::Rank => self.rank(id, term)?,
                Derivative::Threshold => self.threshold(id, term)?,
                Derivative::Read => self.read(id, term)?,
                Derivative::Recurrence => self.recurrence(id, term.factors[0])?,
            }
        }
        Ok(())
    }

    /// Names the adjoint of a value that the source names.
    fn name(&mut self, id: NodeId, value: NodeId) {
        if let Some(label) = self.g.label(id).map(|l| format!("{}{l}", super::GRADIENT)) {
            self.g.set_label(value, &label);
        }
    }

    fn leaf(&mut self, id: NodeId, term: &Term) {
        if let Op::Input(i) = self.g.op(id) {
            self.inputs.insert(*i, term.factors[0]);
        }
    }

    /// Gives the cotangent of a node, behind more guards and times more factors, to an operand.
    fn pass(
        &mut self,
        id: NodeId,
        term: &Term,
        to: NodeId,
        guards: &[NodeId],
        factors: &[NodeId],
    ) -> Result<(), Error> {
        let scope = self.place_of(id);
        self.pass_over(scope, term, to, guards, factors)
    }

    /// The same, with the axes that are in scope.
    fn pass_over(
        &mut self,
        mut scope: AxisSet,
        term: &Term,
        to: NodeId,
        guards: &[NodeId],
        factors: &[NodeId],
    ) -> Result<(), Error> {
        scope.extend(&self.place_of(to));
        let guards: Vec<NodeId> = term.guards.iter().chain(guards).copied().collect();
        let factors: Vec<NodeId> = term.factors.iter().chain(factors).copied().collect();
        self.give(to, &scope, &guards, &factors)
    }

    fn elementwise(&mut self, id: NodeId, term: &Term) -> Result<(), Error> {
        for at in 0..self.g.args(id).len() {
            let to = self.g.args(id)[at];
            if !self.active.is(to) {
                continue;
            }
            let active = &self.active;
            if let Some(p) = self.g.partial(id, at, &|x| active.is(x))? {
                self.pass(id, term, to, &p.guards, &p.factors)?;
            }
        }
        Ok(())
    }

    fn branch(&mut self, id: NodeId, term: &Term) -> Result<(), Error> {
        let [c, a, b] = self.g.args(id) else { return Ok(()) };
        let (c, a, b) = (*c, *a, *b);
        let not = self.g.map(MapFn::Not, &[c])?;
        self.pass(id, term, a, &[c], &[])?;
        self.pass(id, term, b, &[not], &[])
    }

    fn product(&mut self, id: NodeId, term: &Term) -> Result<(), Error> {
        let guards = self.g.guards(id).to_vec();
        let factors = self.g.operands(id).to_vec();
        let scope = self.scope_within(id);
        for (at, &to) in factors.iter().enumerate() {
            let others: Vec<NodeId> = factors.iter().enumerate().filter(|&(i, _)| i != at).map(|(_, &f)| f).collect();
            if self.active.is(to) {
                self.pass_over(scope.clone(), term, to, &guards, &others)?;
            }
        }
        Ok(())
    }

    /// The axes of a reduction's operands: its own and those that it binds.
    fn scope_within(&self, id: NodeId) -> AxisSet {
        let mut scope = self.place_of(id);
        for &a in self.g.op(id).bound() {
            scope.insert(a);
        }
        scope
    }

    /// `[axis stands at position]`
    fn stands_at(&mut self, axis: AxisId, position: NodeId) -> Result<NodeId, Error> {
        let at = self.g.index(axis)?;
        self.g.map(MapFn::Eq, &[at, position])
    }

    /// Over several axes: the last within the others, so that each has a position. Ties go to the lower index of each.
    fn extremum(&mut self, id: NodeId, term: &Term) -> Result<(), Error> {
        let Op::Reduce { extremum, axes, guards } = self.g.op(id).clone() else { return Ok(()) };
        let mut args = self.g.args(id).to_vec();
        let x = args[guards as usize];
        let mut conditions: Vec<NodeId> = self.g.guards(id).to_vec();
        for (n, &axis) in axes.iter().rev().enumerate() {
            let guards = if n == 0 { guards } else { 0 };
            let position = self.g.add(Op::Arg { extremum, axis, guards }, &args)?;
            conditions.push(self.stands_at(axis, position)?);
            let inner = Op::Reduce { extremum, axes: [axis].as_slice().into(), guards };
            args = vec![self.g.add(inner, &args)?];
        }
        self.pass_over(self.scope_within(id), term, x, &conditions, &[])
    }

    fn rank(&mut self, id: NodeId, term: &Term) -> Result<(), Error> {
        let Op::KthValue { axis, guards } = *self.g.op(id) else { return Ok(()) };
        let args = self.g.args(id).to_vec();
        let position = self.g.add(Op::KthIndex { axis, guards }, &args)?;
        let mut conditions = self.g.guards(id).to_vec();
        conditions.push(self.stands_at(axis, position)?);
        self.pass_over(self.scope_within(id), term, args[guards as usize], &conditions, &[])
    }

    /// `tau` solves `sum of phi(x_j - tau) = k`, so `d tau = (sum of phi' dx_j - dk) / sum of phi'`.
    fn threshold(&mut self, id: NodeId, term: &Term) -> Result<(), Error> {
        let Op::Threshold { family, axis, guards } = *self.g.op(id) else { return Ok(()) };
        let args = self.g.args(id).to_vec();
        let (own, x, k) = (&args[..guards as usize], args[guards as usize], args[guards as usize + 1]);
        let mut inside = own.to_vec();
        let mut slope = Vec::new();
        match family {
            ThresholdFamily::Ramp => {
                // Strictly between 0 and 1. Compared with `x - 1`, which everybody forms alike.
                let one = self.g.float(1.0);
                let less = self.g.map(MapFn::Sub, &[x, one])?;
                inside.push(self.g.map(MapFn::Lt, &[id, x])?);
                inside.push(self.g.map(MapFn::Lt, &[less, id])?);
            }
            ThresholdFamily::Relu => inside.push(self.g.map(MapFn::Lt, &[id, x])?),
            ThresholdFamily::Entmax15 => {
                inside.push(self.g.map(MapFn::Lt, &[id, x])?);
                let over = self.g.map(MapFn::Sub, &[x, id])?;
                let half = self.g.float(0.5);
                slope.push(self.g.map(MapFn::Mul, &[half, over])?);
            }
            ThresholdFamily::Mass => {
                // It is one of the members: the first that equals it.
                let at = self.g.index(axis)?;
                let mut equal = own.to_vec();
                equal.push(self.g.map(MapFn::Eq, &[x, id])?);
                let n = equal.len() as u32;
                equal.push(at);
                let extremum = weft_ir::graph::Extremum::Min;
                let first = Op::Reduce { extremum, axes: [axis].as_slice().into(), guards: n };
                let first = self.g.add(first, &equal)?;
                inside.push(self.stands_at(axis, first)?);
                return self.pass_over(self.scope_within(id), term, x, &inside, &[]);
            }
        }
        let counted = if slope.is_empty() { vec![self.g.float(1.0)] } else { slope.clone() };
        let total = self.g.ein(&[axis], &inside, &counted)?;
        let share = self.g.map(MapFn::Inv0, &[total])?;
        slope.push(share);
        self.pass_over(self.scope_within(id), term, x, &inside, &slope)?;
        let minus = self.g.float(-1.0);
        self.pass(id, term, k, &[], &[minus, share])
    }
}
