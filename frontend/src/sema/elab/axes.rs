//! Axes with runtime and derived extents.

use super::super::Number;
use super::scope::{Meaning, Scope};
use super::{Elaborator, Failed, MAX_SIZE, Res};
use crate::diagnostics::{Diagnostic, codes};
use crate::syntax::ast::AxisDecl;
use indexmap::IndexMap;
use weft_ir::graph::{AxisId, DomainId, Extent, MapFn, NodeId, Op, Role, Scalar};

impl<'p> Elaborator<'p> {
    pub(super) fn axis(&mut self, s: &mut Scope<'p>, a: &'p AxisDecl, extents: &mut IndexMap<String, i64>) -> Res<()> {
        match self.axis_extent(s, a, extents) {
            Ok(extent) => {
                let role = if a.role.is_some() { Role::Time } else { Role::Plain };
                let domain = self.graph.add_domain(a.name.as_str(), extent, role);
                let axis = self.graph.add_axis(a.name.as_str(), domain);
                self.declare_index(s, &a.name, axis)
            }
            Err(Failed) => {
                s.set(&a.name, Meaning::Broken);
                Err(Failed)
            }
        }
    }

    pub(super) fn axis_extent(
        &mut self,
        s: &mut Scope<'p>,
        a: &'p AxisDecl,
        extents: &mut IndexMap<String, i64>,
    ) -> Res<Extent> {
        let Some(e) = &a.extent else {
            if let Some((v, by_hand)) = self.given_number(a.name.as_str()) {
                match v {
                    Number::Int(n) if (1..=MAX_SIZE).contains(&n) => {
                        extents.insert(a.name.as_str().to_owned(), n);
                    }
                    // Files may record whatever they like under an axis's name.
                    _ if !by_hand => {}
                    v => {
                        return self.failed(
                            Diagnostic::error(
                                codes::E0502,
                                format!("axis `{}` has from 1 to 2^30 positions, and is given {v}", a.name),
                            )
                            .at(a.name.span, "a runtime axis"),
                        );
                    }
                }
            }
            let batch = self.graph.axes().iter().position(|x| {
                let d = self.graph.domain(x.domain);
                d.extent == Extent::Runtime && d.role == Role::Plain
            });
            return Ok(match (batch, a.role.is_some()) {
                (Some(batch), true) => Extent::Ragged(AxisId(batch as u32)),
                _ => Extent::Runtime,
            });
        };
        let x = self.expr(s, e)?;
        let x = self.integer(x, e.span, "an extent")?;
        if self.graph.constant(x).is_some() {
            return Ok(Extent::Const(self.extent_value(x, e)?));
        }
        match self.derived(x) {
            Some(extent) => Ok(extent),
            None => {
                let text = self.text(e.span);
                self.failed(
                    Diagnostic::error(codes::E0210, format!("the extent of axis `{}` cannot be derived", a.name))
                        .at(e.span, format!("`{text}` is not of the form `(A * |t| + B) // C`"))
                        .hint("one runtime extent, times and plus constants, divided by a constant"),
                )
            }
        }
    }

    /// `(mul * |base| + add) // div` of one runtime extent.
    pub(super) fn derived(&self, x: NodeId) -> Option<Extent> {
        let (inside, div) = match self.graph.op(x) {
            Op::Map(MapFn::IDiv) => match self.graph.constant(self.graph.args(x)[1])? {
                Scalar::Int(d) if d >= 1 => (self.graph.args(x)[0], d),
                _ => return None,
            },
            _ => (x, 1),
        };
        let (base, mul, add) = self.affine_extent(inside)?;
        (mul >= 1).then_some(Extent::Derived { base: base?, mul, add, div })
    }

    pub(super) fn affine_extent(&self, x: NodeId) -> Option<(Option<DomainId>, i64, i64)> {
        let g = &self.graph;
        let arg = |k: usize| self.affine_extent(g.args(x)[k]);
        match g.op(x) {
            Op::Const(Scalar::Int(c)) => Some((None, 0, *c)),
            Op::Size(d) => Some((Some(*d), 1, 0)),
            Op::Map(f @ (MapFn::Add | MapFn::Sub)) => {
                let ((d1, m1, a1), (d2, m2, a2)) = (arg(0)?, arg(1)?);
                let sign = if *f == MapFn::Add { 1 } else { -1 };
                if d1.is_some() && d2.is_some() && d1 != d2 {
                    return None;
                }
                Some((d1.or(d2), m1.checked_add(m2.checked_mul(sign)?)?, a1.checked_add(a2.checked_mul(sign)?)?))
            }
            Op::Map(MapFn::Mul) => match (arg(0)?, arg(1)?) {
                ((None, _, c), (d, m, a)) | ((d, m, a), (None, _, c)) => {
                    Some((d, m.checked_mul(c)?, a.checked_mul(c)?))
                }
                _ => None,
            },
            _ => None,
        }
    }
}
