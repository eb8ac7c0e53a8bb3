//! Convenient constructors. They simplify nothing but identity substitutions: that is the canonicaliser's work.

use super::axes::AxisId;
use super::node::{Error, Graph, InputId, NodeId};
use super::op::{Op, Scalar};
use crate::dtype::{Class, DType};
use crate::elementwise::MapFn;

impl Graph {
    /// An integer constant.
    pub fn int(&mut self, value: i64) -> NodeId {
        self.leaf(Op::Const(Scalar::Int(value)))
    }

    /// A float constant, of the type parameter.
    pub fn float(&mut self, value: f64) -> NodeId {
        self.leaf(Op::Const(Scalar::float(value)))
    }

    /// A truth value.
    pub fn bool(&mut self, value: bool) -> NodeId {
        self.leaf(Op::Const(Scalar::Bool(value)))
    }

    fn leaf(&mut self, op: Op) -> NodeId {
        match self.add(op, &[]) {
            Ok(id) => id,
            Err(e) => unreachable!("constants take no operands: {e}"),
        }
    }

    /// The position on an axis of this graph.
    ///
    /// # Errors
    /// If there is no such axis.
    pub fn index(&mut self, axis: AxisId) -> Result<NodeId, Error> {
        self.add(Op::Index(axis), &[])
    }

    /// An input at its declared axes.
    ///
    /// # Errors
    /// If there is no such input.
    pub fn read(&mut self, input: InputId) -> Result<NodeId, Error> {
        self.add(Op::Input(input), &[])
    }

    /// An elementwise function.
    ///
    /// # Errors
    /// Where its type rule refuses the operands.
    pub fn map(&mut self, f: MapFn, args: &[NodeId]) -> Result<NodeId, Error> {
        self.add(Op::Map(f), args)
    }

    /// `x` converted to a type; `x` itself where it has that type.
    ///
    /// # Errors
    /// If there is no such node.
    pub fn cast(&mut self, to: DType, x: NodeId) -> Result<NodeId, Error> {
        if x.index() < self.len() && self.dtype(x) == to { Ok(x) } else { self.add(Op::Cast(to), &[x]) }
    }

    /// `x` as a float: itself, or a conversion to the type parameter.
    ///
    /// # Errors
    /// If there is no such node.
    pub fn as_float(&mut self, x: NodeId) -> Result<NodeId, Error> {
        if x.index() < self.len() && self.dtype(x).class() == Class::Float { Ok(x) } else { self.cast(DType::Float, x) }
    }

    /// `if c then a else b`.
    ///
    /// # Errors
    /// Where the types do not fit.
    pub fn select(&mut self, c: NodeId, a: NodeId, b: NodeId) -> Result<NodeId, Error> {
        self.add(Op::Select, &[c, a, b])
    }

    /// Guarded sum-product: sum over `axes` of the product of `factors` where all `guards` hold.
    ///
    /// # Errors
    /// Where the types do not fit.
    pub fn ein(&mut self, axes: &[AxisId], guards: &[NodeId], factors: &[NodeId]) -> Result<NodeId, Error> {
        let args: Vec<NodeId> = guards.iter().chain(factors).copied().collect();
        self.add(Op::Ein { axes: axes.into(), guards: guards.len() as u32 }, &args)
    }

    /// Simultaneous substitution. Pairs that change nothing are left out.
    ///
    /// # Errors
    /// Where a position is not an integer.
    pub fn sub(&mut self, body: NodeId, pairs: &[(AxisId, NodeId)]) -> Result<NodeId, Error> {
        if body.index() >= self.len() {
            return Err(Error::Missing(format!("node {}", body.0)));
        }
        let pairs: Vec<(AxisId, NodeId)> = pairs
            .iter()
            .copied()
            .filter(|&(a, p)| self.free(body).contains(a) && *self.op(p) != Op::Index(a))
            .collect();
        if pairs.is_empty() {
            return Ok(body);
        }
        let args: Vec<NodeId> = std::iter::once(body).chain(pairs.iter().map(|p| p.1)).collect();
        self.add(Op::Sub { axes: pairs.iter().map(|p| p.0).collect() }, &args)
    }
}
