//! Canonical truth values: negation normal form, flat sorted conjunctions and disjunctions.

use super::Canon;
use weft_ir::graph::{Error, MapFn, NodeId, Op, Scalar};

impl Canon {
    /// A truth value.
    pub(crate) fn bool(&mut self, value: bool) -> Result<NodeId, Error> {
        self.raw(Op::Const(Scalar::Bool(value)), &[])
    }

    /// The value of a boolean constant.
    #[must_use]
    pub fn known(&self, id: NodeId) -> Option<bool> {
        match self.g.constant(id) {
            Some(Scalar::Bool(b)) => Some(b),
            _ => None,
        }
    }

    /// An elementwise function with a boolean result.
    pub(crate) fn bool_map(&mut self, f: MapFn, args: &[NodeId]) -> Result<NodeId, Error> {
        match f {
            MapFn::And | MapFn::Or => self.junction(f, args),
            MapFn::Not => self.negate(args[0]),
            MapFn::Gt => self.bool_map(MapFn::Lt, &[args[1], args[0]]),
            MapFn::Ge => self.bool_map(MapFn::Le, &[args[1], args[0]]),
            _ if args.iter().all(|&a| self.g.dtype(a).is_int()) => self.compare_ints(f, args),
            _ => self.compare_floats(f, args),
        }
    }

    fn compare_ints(&mut self, f: MapFn, args: &[NodeId]) -> Result<NodeId, Error> {
        let diff = |c: &Self, hi: NodeId, lo: NodeId, slack: i64| {
            c.int_form(hi)?.checked_add(&c.int_form(lo)?, -1)?.offset(slack)
        };
        let made = match f {
            MapFn::Le => diff(self, args[1], args[0], 0).map(|d| self.at_least_zero(&d)),
            MapFn::Lt => diff(self, args[1], args[0], -1).map(|d| self.at_least_zero(&d)),
            MapFn::Eq | MapFn::Ne => diff(self, args[1], args[0], 0).map(|d| self.equals_zero(&d, f == MapFn::Eq)),
            _ => None,
        };
        made.unwrap_or_else(|| self.raw(Op::Map(f), args))
    }

    fn compare_floats(&mut self, f: MapFn, args: &[NodeId]) -> Result<NodeId, Error> {
        let (a, b) = (self.g.constant(args[0]), self.g.constant(args[1]));
        if let (Some(a), Some(b)) = (a, b) {
            let (a, b) = (a.as_f64(), b.as_f64());
            let value = match f {
                MapFn::Lt => Some(a < b),
                MapFn::Le => Some(a <= b),
                MapFn::Eq => Some(a == b),
                MapFn::Ne => Some(a != b),
                _ => None,
            };
            if let Some(v) = value {
                return self.bool(v);
            }
        }
        if f.is_commutative() { self.sorted(Op::Map(f), args) } else { self.raw(Op::Map(f), args) }
    }

    fn junction(&mut self, f: MapFn, args: &[NodeId]) -> Result<NodeId, Error> {
        let absorbing = f == MapFn::Or;
        let mut parts: Vec<NodeId> = Vec::new();
        for &a in args {
            let inner = if *self.g.op(a) == Op::Map(f) { self.g.args(a).to_vec() } else { vec![a] };
            for p in inner {
                match self.known(p) {
                    Some(k) if k == absorbing => return self.bool(absorbing),
                    Some(_) => {}
                    None if parts.contains(&p) => {}
                    None => parts.push(p),
                }
            }
        }
        for &p in &parts {
            if parts.contains(&self.negate(p)?) {
                return self.bool(absorbing);
            }
        }
        match parts[..] {
            [] => self.bool(!absorbing),
            [one] => Ok(one),
            _ => self.sorted(Op::Map(f), &parts),
        }
    }

    /// The negation, pushed down to atoms.
    ///
    /// # Errors
    /// Only for terms that are not boolean.
    pub fn negate(&mut self, id: NodeId) -> Result<NodeId, Error> {
        if let Some(k) = self.known(id) {
            return self.bool(!k);
        }
        match self.comparison(id) {
            Some((MapFn::Le, form)) => {
                if let Some(below) = form.scaled(-1).and_then(|f| f.offset(-1)) {
                    return self.at_least_zero(&below);
                }
            }
            Some((f, form)) => return self.equals_zero(&form, f == MapFn::Ne),
            None => {}
        }
        let args = self.g.args(id).to_vec();
        match self.g.op(id) {
            Op::Map(MapFn::Not) => Ok(args[0]),
            Op::Map(f @ (MapFn::And | MapFn::Or)) => {
                let other = if *f == MapFn::And { MapFn::Or } else { MapFn::And };
                let mut parts = Vec::with_capacity(args.len());
                for a in args {
                    parts.push(self.negate(a)?);
                }
                self.junction(other, &parts)
            }
            _ => self.raw(Op::Map(MapFn::Not), &[id]),
        }
    }

    /// The conjunction of guards.
    ///
    /// # Errors
    /// Only for terms that are not boolean.
    pub fn all(&mut self, guards: &[NodeId]) -> Result<NodeId, Error> {
        match guards {
            [] => self.bool(true),
            [one] => Ok(*one),
            _ => self.junction(MapFn::And, guards),
        }
    }

    /// The atoms of a conjunction.
    #[must_use]
    pub fn conjuncts(&self, id: NodeId) -> Vec<NodeId> {
        match self.g.op(id) {
            Op::Map(MapFn::And) => self.g.args(id).to_vec(),
            Op::Const(Scalar::Bool(true)) => Vec::new(),
            _ => vec![id],
        }
    }
}
