//! The adjoint of a read at other positions.

use super::Differentiation;
use super::adjoint::Term;
use super::solve::Equations;
use weft_ir::graph::{AxisId, Error, NodeId, Op};

impl Differentiation {
    /// `y[..] = body[x := p(..)]` gives `body'[x] += sum of [p == x] y'` over the axes of the positions that the body does not have.
    pub(super) fn read(&mut self, id: NodeId, term: &Term) -> Result<(), Error> {
        let Op::Sub { axes } = self.g.op(id).clone() else { return Ok(()) };
        let body = self.g.args(id)[0];
        if !self.active.is(body) {
            return Ok(());
        }
        let positions = self.g.args(id)[1..].to_vec();
        // What rides along keeps its place.
        let mut along = self.place_of(body);
        axes.iter().for_each(|&a| along.remove(a));
        let unknown: Vec<AxisId> = self.place_of(id).iter().filter(|&a| !along.contains(a)).collect();
        let mut equations = Equations::new(unknown);
        for (&axis, &position) in axes.iter().zip(&positions) {
            equations.equate(&self.g, position, axis);
        }
        let solution = equations.solve(&mut self.g, &mut self.spare)?;
        let place = |d: &mut Self, list: &[NodeId]| -> Result<Vec<NodeId>, Error> {
            list.iter().map(|&x| d.g.sub(x, &solution.places)).collect()
        };
        let mut guards = place(self, &term.guards)?;
        guards.extend_from_slice(&solution.guards);
        let factors = place(self, &term.factors)?;
        let mut scope = self.place_of(body);
        solution.summed.iter().for_each(|&a| scope.insert(a));
        self.give(body, &scope, &guards, &factors)
    }
}
