//! Terms: building nodes with constants folded, and substitution.
//!
//! Only constants are folded, exactly as f64 and i64 compute them, and integer index arithmetic is substituted in place
//! so that it stays visible to proofs. Everything else is the canonicaliser's work.

use super::{Elaborator, Res};
use crate::diagnostics::{Diagnostic, Span, codes};
use rustc_hash::FxHashMap;
use weft_ir::DType;
use weft_ir::dtype::Class;
use weft_ir::graph::{AxisId, Error, MapFn, NodeId, Op, Scalar, floor_div};

impl Elaborator<'_> {
    /// An integer constant.
    pub(super) fn int(&mut self, value: i64, span: Span) -> Res<NodeId> {
        if i32::try_from(value).is_err() {
            return Err(self.fail(
                Diagnostic::error(
                    codes::E0307,
                    format!("{value} does not fit the integers of index arithmetic (32 bits)"),
                )
                .at(span, "too large")
                .hint("if it is meant as a real number, write it with a point"),
            ));
        }
        Ok(self.graph.int(value))
    }

    /// Turns an error of the graph IR into a diagnostic. The checks before it should leave it no reason.
    pub(super) fn made(&mut self, node: Result<NodeId, Error>, span: Span) -> Res<NodeId> {
        match node {
            Ok(node) => {
                self.spans.entry(node).or_insert(span);
                Ok(node)
            }
            Err(e) => Err(self.error(codes::E0308, span, format!("this has no meaning: {e}"), "here")),
        }
    }

    /// An elementwise function of operands whose types fit; of constants, its value.
    pub(super) fn map(&mut self, f: MapFn, args: &[NodeId], span: Span) -> Res<NodeId> {
        let constants: Option<Vec<Scalar>> = args.iter().map(|&a| self.graph.constant(a)).collect();
        if matches!(f, MapFn::IDiv | MapFn::Mod)
            && let Some(Scalar::Int(0)) = args.get(1).and_then(|&a| self.graph.constant(a))
        {
            return Err(self.error(codes::E0307, span, "division of an integer by zero", "the divisor is 0"));
        }
        if let Some(constants) = constants
            && let Some(value) = self.fold(f, &constants, span)?
        {
            return Ok(match value {
                Scalar::Bool(b) => self.graph.bool(b),
                Scalar::Int(i) => self.int(i, span)?,
                Scalar::Float(bits) => self.graph.float(f64::from_bits(bits)),
            });
        }
        let node = self.graph.map(f, args);
        self.made(node, span)
    }

    /// The value of a function of constants; `None` where the types do not fit (which making the node reports).
    fn fold(&mut self, f: MapFn, args: &[Scalar], span: Span) -> Res<Option<Scalar>> {
        let ints: Option<Vec<i64>> =
            args.iter().map(|a| if let Scalar::Int(i) = a { Some(*i) } else { None }).collect();
        let bools: Option<Vec<bool>> =
            args.iter().map(|a| if let Scalar::Bool(b) = a { Some(*b) } else { None }).collect();
        let floats: Option<Vec<f64>> =
            args.iter().map(|a| if let Scalar::Float(b) = a { Some(f64::from_bits(*b)) } else { None }).collect();
        let order = |o: Option<std::cmp::Ordering>| match f {
            MapFn::Lt => Some(o.is_some_and(std::cmp::Ordering::is_lt)),
            MapFn::Le => Some(o.is_some_and(std::cmp::Ordering::is_le)),
            MapFn::Eq => Some(o.is_some_and(std::cmp::Ordering::is_eq)),
            MapFn::Ne => Some(!o.is_some_and(std::cmp::Ordering::is_eq)),
            _ => None,
        };
        if let Some(x) = bools {
            return Ok(match (f, x.as_slice()) {
                (MapFn::Not, [a]) => Some(!a),
                (MapFn::And, _) => Some(x.iter().all(|&b| b)),
                (MapFn::Or, _) => Some(x.iter().any(|&b| b)),
                (MapFn::Eq, [a, b]) => Some(a == b),
                (MapFn::Ne, [a, b]) => Some(a != b),
                _ => None,
            }
            .map(Scalar::Bool));
        }
        if let Some(x) = ints {
            if let [a, b] = x[..]
                && let Some(truth) = order(Some(a.cmp(&b)))
            {
                return Ok(Some(Scalar::Bool(truth)));
            }
            return match (checked_int(f, &x), f.eval_int(&x)) {
                (None, Some(_)) => {
                    Err(self.error(codes::E0307, span, "integer overflow in a constant", "the value is out of range"))
                }
                (value, _) => Ok(value.map(Scalar::Int)),
            };
        }
        let Some(x) = floats else { return Ok(None) };
        if let [a, b] = x[..]
            && let Some(truth) = order(a.partial_cmp(&b))
        {
            return Ok(Some(Scalar::Bool(truth)));
        }
        match f.eval_float(&x) {
            Some(value) if value.is_finite() => Ok(Some(Scalar::float(value))),
            Some(value) => Err(self.fail(
                Diagnostic::error(codes::E0307, format!("this constant is {value}"))
                    .at(span, "not a finite number")
                    .note(format!("`{}` of {}", f.name(), join(&x))),
            )),
            None => Ok(None),
        }
    }

    /// `x` as a float: itself, a constant, or a conversion to the type parameter.
    pub(super) fn floated(&mut self, x: NodeId) -> Res<NodeId> {
        if let Some(Scalar::Int(i)) = self.graph.constant(x) {
            return Ok(self.graph.float(i as f64));
        }
        let node = self.graph.as_float(x);
        let span = self.spans.get(&x).copied().unwrap_or(Span::new(crate::diagnostics::SourceId::STD, 0, 0));
        self.made(node, span)
    }

    /// Conjunction; of one operand, that operand; constants that hold are left out.
    pub(super) fn and(&mut self, parts: &[NodeId], span: Span) -> Res<NodeId> {
        let parts: Vec<NodeId> =
            parts.iter().copied().filter(|&p| self.graph.constant(p) != Some(Scalar::Bool(true))).collect();
        match parts.as_slice() {
            [] => Ok(self.graph.bool(true)),
            [one] => Ok(*one),
            _ => self.map(MapFn::And, &parts, span),
        }
    }

    /// The parts of a conjunction, in order; constants that hold are left out.
    pub(super) fn conjuncts(&self, guard: NodeId) -> Vec<NodeId> {
        let mut parts = Vec::new();
        let mut pending = vec![guard];
        while let Some(g) = pending.pop() {
            match self.graph.op(g) {
                Op::Map(MapFn::And) => pending.extend(self.graph.args(g).iter().rev()),
                Op::Const(Scalar::Bool(true)) => {}
                _ if parts.contains(&g) => {}
                _ => parts.push(g),
            }
        }
        parts
    }

    /// The factors of a product that has no name of its own.
    pub(super) fn factors(&self, product: NodeId) -> Vec<NodeId> {
        let mut parts = Vec::new();
        let mut pending = vec![product];
        while let Some(x) = pending.pop() {
            match self.graph.op(x) {
                Op::Map(MapFn::Mul) if self.graph.label(x).is_none() || x == product => {
                    pending.extend(self.graph.args(x).iter().rev());
                }
                _ => parts.push(x),
            }
        }
        parts
    }

    /// Simultaneous substitution. Index arithmetic is rewritten in place; everything else becomes one `sub`.
    pub(super) fn substitute(&mut self, body: NodeId, pairs: &[(AxisId, NodeId)], span: Span) -> Res<NodeId> {
        let pairs: Vec<(AxisId, NodeId)> = pairs
            .iter()
            .copied()
            .filter(|&(a, p)| self.graph.free(body).contains(a) && *self.graph.op(p) != Op::Index(a))
            .collect();
        if pairs.is_empty() {
            return Ok(body);
        }
        if let Some(node) = self.rewrite(body, &pairs, span, &mut FxHashMap::default())? {
            return Ok(node);
        }
        let node = self.graph.sub(body, &pairs);
        self.made(node, span)
    }

    /// Substitution within index arithmetic; `None` for terms that hold anything else, or that are large.
    fn rewrite(
        &mut self,
        body: NodeId,
        pairs: &[(AxisId, NodeId)],
        span: Span,
        done: &mut FxHashMap<NodeId, Option<NodeId>>,
    ) -> Res<Option<NodeId>> {
        if !pairs.iter().any(|&(a, _)| self.graph.free(body).contains(a)) {
            return Ok(Some(body));
        }
        if let Some(&node) = done.get(&body) {
            return Ok(node);
        }
        if done.len() > 64 || self.graph.dtype(body).class() == Class::Float {
            return Ok(None);
        }
        let node = match self.graph.op(body).clone() {
            Op::Index(axis) => pairs.iter().find(|p| p.0 == axis).map(|p| p.1),
            Op::Map(f) => {
                let args = self.graph.args(body).to_vec();
                let mut new = Vec::with_capacity(args.len());
                for a in args {
                    match self.rewrite(a, pairs, span, done)? {
                        Some(a) => new.push(a),
                        None => break,
                    }
                }
                if new.len() == self.graph.args(body).len() { Some(self.map(f, &new, span)?) } else { None }
            }
            _ => None,
        };
        done.insert(body, node);
        Ok(node)
    }

    /// Element type class of a node.
    pub(super) fn class(&self, node: NodeId) -> Class {
        self.graph.dtype(node).class()
    }

    /// Conversion to an element type.
    pub(super) fn cast_to(&mut self, to: DType, x: NodeId, span: Span) -> Res<NodeId> {
        let node = self.graph.cast(to, x);
        self.made(node, span)
    }
}

/// The function on integers; `None` on overflow, and for functions of other types.
fn checked_int(f: MapFn, x: &[i64]) -> Option<i64> {
    match (f, x) {
        (MapFn::Add, _) => x.iter().try_fold(0i64, |a, &b| a.checked_add(b)),
        (MapFn::Mul, _) => x.iter().try_fold(1i64, |a, &b| a.checked_mul(b)),
        (MapFn::Sub, [a, b]) => a.checked_sub(*b),
        (MapFn::Neg, [a]) => a.checked_neg(),
        (MapFn::IDiv, [a, b]) if *b != 0 && !(*a == i64::MIN && *b == -1) => Some(floor_div(*a, *b)),
        (MapFn::Mod, [a, b]) if *b != 0 && !(*a == i64::MIN && *b == -1) => Some(a - floor_div(*a, *b) * b),
        (MapFn::Abs, [a]) => a.checked_abs(),
        (MapFn::Sign, [a]) => Some(a.signum()),
        (MapFn::Max, _) => x.iter().copied().max(),
        (MapFn::Min, _) => x.iter().copied().min(),
        _ => None,
    }
}

fn join(x: &[f64]) -> String {
    x.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
