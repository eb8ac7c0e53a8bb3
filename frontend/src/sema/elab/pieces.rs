//! Piecewise definitions: `y[2*i] = ..`, `y[2*i + 1] = ..` become one value over the axis.
//!
//! A left side is affine in local indices. Over the axis the left sides must be disjoint and cover it, which is checked
//! position by position, since sizes are numbers. The value at position d of the axis is that of the piece to which d belongs,
//! at the local indices that d determines: a nest of conditionals whose conditions are as weak as the pieces below allow.

use super::scope::{Meaning, Scope};
use super::{Elaborator, Failed, Res};
use crate::diagnostics::{Diagnostic, Span, codes};
use crate::syntax::ast::{ExprKind, FnResult, Piece};
use weft_ir::graph::affine::Affine;
use weft_ir::graph::{AxisId, MapFn, NodeId};

/// The largest axis that pieces may define.
const MAX_PIECEWISE: i64 = 1 << 20;

/// One subscript of a left side: `offset + sum of step * local`, steps decreasing.
struct Side {
    offset: i64,
    /// Local index, step, extent.
    locals: Vec<(AxisId, i64, i64)>,
}

impl Side {
    /// The positions that it takes, each once, or `None` if it takes one twice.
    fn positions(&self) -> Option<Vec<i64>> {
        let mut all = vec![self.offset];
        for &(_, step, n) in &self.locals {
            all = all.iter().flat_map(|&p| (0..n).map(move |i| p + step * i)).collect();
        }
        all.sort_unstable();
        all.windows(2).all(|w| w[0] < w[1]).then_some(all)
    }
}

/// A piece along the one axis that it splits.
struct Part<'p> {
    piece: &'p Piece,
    span: Span,
    side: Side,
    taken: Vec<i64>,
    value: NodeId,
}

impl<'p> Elaborator<'p> {
    /// The value of a function's named result.
    pub(super) fn pieces(&mut self, s: &mut Scope<'p>, result: &FnResult, pieces: &[(&'p Piece, Span)]) -> Res<NodeId> {
        let positions = self.index_names(s, &result.axes)?;
        let mut split: Option<(usize, AxisId)> = None;
        let mut parts = Vec::new();
        for &(piece, span) in pieces {
            if piece.name.text != result.name.text {
                return self.failed(
                    Diagnostic::error(
                        codes::E0114,
                        format!("the result is called `{}`, not `{}`", result.name, piece.name),
                    )
                    .at(piece.name.span, "not the function's result")
                    .also(result.span, "the result"),
                );
            }
            if piece.subscripts.len() != positions.len() {
                return self.failed(
                    Diagnostic::error(
                        codes::E0201,
                        format!(
                            "`{}` has {} indices and gets {} subscripts",
                            result.name,
                            positions.len(),
                            piece.subscripts.len()
                        ),
                    )
                    .at(span, "this piece")
                    .also(result.span, "the result"),
                );
            }
            for (k, (axes, sub)) in positions.iter().zip(&piece.subscripts).enumerate() {
                let whole = matches!(&sub.kind, ExprKind::Ref(p) if p.as_name().is_some_and(|n| matches!(s.get(&n.text), Some(Meaning::Index(a)) if a == axes)));
                if whole {
                    continue;
                }
                let axis = self.single(&result.axes[k], axes)?;
                match split {
                    None => split = Some((k, axis)),
                    Some((other, _)) if other == k => {}
                    Some((other, _)) => {
                        return self.failed(
                            Diagnostic::error(codes::E0207, "pieces may split one axis of the result only")
                                .at(
                                    sub.span,
                                    format!(
                                        "splits `{}`, another piece or position splits `{}`",
                                        result.axes[k], result.axes[other]
                                    ),
                                )
                                .hint("split one axis in a function of its own and call it for the other"),
                        );
                    }
                }
            }
        }
        let Some((k, axis)) = split else { return self.single_piece(s, result, pieces) };
        let n = self.piecewise_extent(axis, result)?;
        for &(piece, span) in pieces {
            parts.push(self.part(s, piece, span, k, axis)?);
        }
        self.tile(result, axis, n, &parts)?;
        self.nest(axis, &parts, result.span)
    }

    /// `y[d] = ..` with the axis itself on the left.
    fn single_piece(&mut self, s: &mut Scope<'p>, result: &FnResult, pieces: &[(&'p Piece, Span)]) -> Res<NodeId> {
        match pieces {
            [(piece, _)] => {
                let own = s.own.clone();
                self.rebinding(&own, |e| e.expr(s, &piece.value))
            }
            _ => {
                let (_, span) = pieces[pieces.len() - 1];
                self.failed(
                    Diagnostic::error(codes::E0206, format!("the pieces of `{}` overlap", result.name))
                        .at(span, "the whole axis is defined by another piece already"),
                )
            }
        }
    }

    fn piecewise_extent(&mut self, axis: AxisId, result: &FnResult) -> Res<i64> {
        match self.graph.static_extent(axis) {
            Some(n) if n <= MAX_PIECEWISE => Ok(n),
            Some(n) => self.failed(
                Diagnostic::error(
                    codes::E0206,
                    format!("an axis of {n} positions is too long to be defined piece by piece"),
                )
                .at(result.span, "at most 2^20 positions can be checked"),
            ),
            None => {
                let name = self.graph.axis(axis).name.to_string();
                self.failed(
                    Diagnostic::error(codes::E0206, format!("the pieces cannot be checked: the extent of `{name}` is not known when the layer is compiled"))
                        .at(result.span, "defined piece by piece")
                        .hint(format!("along `{name}`, use `if`: its position is a number")),
                )
            }
        }
    }

    /// One piece: its left side as an affine form, and its value.
    fn part(&mut self, s: &mut Scope<'p>, piece: &'p Piece, span: Span, k: usize, axis: AxisId) -> Res<Part<'p>> {
        let sub = &piece.subscripts[k];
        let at = self.expr(s, sub)?;
        let at = self.integer(at, sub.span, "a subscript")?;
        let form = Affine::of(&self.graph, at);
        let side = form.as_ref().and_then(|f| self.side(s, f));
        let Some(side) = side else {
            return self.failed(
                Diagnostic::error(
                    codes::E0207,
                    format!(
                        "the left side of a piece of `{}` must be affine in the function's own indices",
                        piece.name
                    ),
                )
                .at(sub.span, "not of the form `2*i + 1`")
                .hint("declare the indices with `index i: ..` in the function; steps are positive constants"),
            );
        };
        let size: i64 = side.locals.iter().map(|l| l.2).fold(1, i64::saturating_mul);
        let last = side.locals.iter().try_fold(side.offset, |p, l| p.checked_add(l.1.checked_mul(l.2 - 1)?));
        let n = self.graph.static_extent(axis).unwrap_or(0);
        if side.offset < 0 || size > MAX_PIECEWISE || last.is_none_or(|last| last >= n) {
            let text = self.text(sub.span);
            let (first, last) = (side.offset, last.unwrap_or(i64::MAX));
            let name = self.graph.axis(axis).name.to_string();
            return self.failed(
                Diagnostic::error(codes::E0206, format!("a piece of `{}` leaves the axis `{name}`", piece.name))
                    .at(sub.span, format!("`{text}` runs from {first} to {last}"))
                    .note(format!("`{name}` has the positions 0 to {}", n - 1)),
            );
        }
        let Some(taken) = side.positions() else {
            return self.failed(
                Diagnostic::error(codes::E0206, format!("a piece of `{}` defines a position twice", piece.name))
                    .at(sub.span, "two values of its indices give the same position"),
            );
        };
        let own = s.own.clone();
        let value = self.rebinding(&own, |e| e.expr(s, &piece.value))?;
        let locals: Vec<AxisId> = side.locals.iter().map(|l| l.0).collect();
        if self.graph.free(value).contains(axis) && !locals.contains(&axis) {
            let name = self.graph.axis(axis).name.to_string();
            let left = self.text(sub.span);
            return self.failed(
                Diagnostic::error(
                    codes::E0205,
                    format!("a piece of `{}` depends on `{name}`, which its left side does not give", piece.name),
                )
                .at(piece.value.span, format!("depends on `{name}`"))
                .hint(format!("read what it needs at `{left}`")),
            );
        }
        Ok(Part { piece, span, side, taken, value })
    }

    /// An affine form in local indices with constant extents and positive steps.
    fn side(&self, s: &Scope<'p>, form: &Affine) -> Option<Side> {
        let mut locals = Vec::new();
        for (&a, step) in form.terms() {
            let n = self.graph.static_extent(a)?;
            if step <= 0 || !s.local.iter().any(|l| l.0 == a) {
                return None;
            }
            locals.push((a, step, n));
        }
        locals.sort_by_key(|l| std::cmp::Reverse(l.1));
        // Division by the steps finds the indices if each step is a multiple of the next and exceeds all below it.
        let mixed_radix = locals.windows(2).all(|w| w[0].1 % w[1].1 == 0 && w[0].1 >= w[1].1.saturating_mul(w[1].2));
        mixed_radix.then_some(Side { offset: form.constant(), locals })
    }

    /// The pieces must be disjoint and cover the axis.
    fn tile(&mut self, result: &FnResult, axis: AxisId, n: i64, parts: &[Part<'p>]) -> Res<()> {
        let mut owner: Vec<Option<usize>> = vec![None; usize::try_from(n).unwrap_or(0)];
        let name = self.graph.axis(axis).name.to_string();
        for (k, part) in parts.iter().enumerate() {
            for &p in &part.taken {
                let Some(slot) = usize::try_from(p).ok().and_then(|p| owner.get_mut(p)) else { return Err(Failed) };
                if let Some(first) = slot.replace(k) {
                    return self.failed(
                        Diagnostic::error(codes::E0206, format!("the pieces of `{}` overlap", result.name))
                            .at(part.span, format!("defines position {p} of `{name}` again"))
                            .also(parts[first].span, format!("defines position {p}")),
                    );
                }
            }
        }
        match owner.iter().position(Option::is_none) {
            None => Ok(()),
            Some(hole) => {
                let missing = owner.iter().filter(|o| o.is_none()).count();
                self.failed(
                    Diagnostic::error(codes::E0206, format!("the pieces of `{}` leave holes", result.name))
                        .at(result.span, format!("no piece defines position {hole} of `{name}`"))
                        .note(format!("{missing} of {n} positions are undefined")),
                )
            }
        }
    }

    /// Conditionals over the pieces; the last one needs no condition.
    fn nest(&mut self, axis: AxisId, parts: &[Part<'p>], span: Span) -> Res<NodeId> {
        let mut value: Option<NodeId> = None;
        for (k, part) in parts.iter().enumerate().rev() {
            let here = self.at_position(axis, part)?;
            value = Some(match value {
                None => here,
                Some(other) => {
                    let later: Vec<i64> = parts[k + 1..].iter().flat_map(|p| p.taken.iter().copied()).collect();
                    let mine = self.belongs(axis, part, &later)?;
                    let (a, b) = self.agree((here, part.piece.value.span), (other, span), "two pieces")?;
                    let node = self.graph.select(mine, a, b);
                    self.made(node, part.span)?
                }
            });
        }
        value.ok_or(Failed)
    }

    /// The piece's value where its local indices are those that the position on the axis determines.
    fn at_position(&mut self, axis: AxisId, part: &Part<'p>) -> Res<NodeId> {
        let d = self.graph.index(axis);
        let d = self.made(d, part.span)?;
        let span = part.span;
        let mut pairs = Vec::new();
        if let &[(local, step, _)] = part.side.locals.as_slice() {
            // Within its residue class the quotient does not see the remainder: `d // 2` serves `2*i` and `2*i + 1`.
            let by = self.int(step, span)?;
            let index = if step == 1 { d } else { self.map(MapFn::IDiv, &[d, by], span)? };
            let index = self.minus(index, part.side.offset.div_euclid(step), span)?;
            return self.substitute(part.value, &[(local, index)], span);
        }
        let mut rest = self.minus(d, part.side.offset, span)?;
        for &(local, step, _) in &part.side.locals {
            let by = self.int(step, span)?;
            pairs.push((local, if step == 1 { rest } else { self.map(MapFn::IDiv, &[rest, by], span)? }));
            rest = self.map(MapFn::Mod, &[rest, by], span)?;
        }
        self.substitute(part.value, &pairs, span)
    }

    fn minus(&mut self, x: NodeId, k: i64, span: Span) -> Res<NodeId> {
        if k == 0 {
            return Ok(x);
        }
        let k = self.int(k, span)?;
        self.map(MapFn::Sub, &[x, k], span)
    }

    /// Does a position belong to the piece, rather than to a later one?
    fn belongs(&mut self, axis: AxisId, part: &Part<'p>, later: &[i64]) -> Res<NodeId> {
        let span = part.span;
        let d = self.graph.index(axis);
        let d = self.made(d, span)?;
        let (first, last) = (part.taken[0], part.taken[part.taken.len() - 1]);
        // The finest step decides residues; coarser steps are told apart below by blocks.
        let step = part.side.locals.last().map_or(1, |l| l.1);
        let residue = part.side.offset.rem_euclid(step);
        let mut undecided: Vec<i64> = later.to_vec();
        let mut conditions = Vec::new();
        if undecided.iter().any(|p| p.rem_euclid(step) != residue) {
            let (by, r) = (self.int(step, span)?, self.int(residue, span)?);
            let m = self.map(MapFn::Mod, &[d, by], span)?;
            conditions.push(self.map(MapFn::Eq, &[m, r], span)?);
            undecided.retain(|p| p.rem_euclid(step) == residue);
        }
        if undecided.iter().any(|&p| p < first) {
            let first = self.int(first, span)?;
            conditions.push(self.map(MapFn::Le, &[first, d], span)?);
            undecided.retain(|&p| p >= part.taken[0]);
        }
        if undecided.iter().any(|&p| p > last) {
            let last = self.int(last, span)?;
            conditions.push(self.map(MapFn::Le, &[d, last], span)?);
            undecided.retain(|&p| p <= part.taken[part.taken.len() - 1]);
        }
        for w in part.side.locals.windows(2) {
            let ((_, step, _), (_, inner, n)) = (w[0], w[1]);
            // Within a block of `step` positions the piece takes the first `inner * n`, from its offset on.
            let within = |p: i64| (p - part.side.offset).rem_euclid(step) < inner * n;
            if undecided.iter().any(|&p| !within(p)) {
                let moved = self.minus(d, part.side.offset, span)?;
                let (by, size) = (self.int(step, span)?, self.int(inner * n, span)?);
                let m = self.map(MapFn::Mod, &[moved, by], span)?;
                conditions.push(self.map(MapFn::Lt, &[m, size], span)?);
                undecided.retain(|&p| within(p));
            }
        }
        if undecided.is_empty() {
            return self.and(&conditions, span);
        }
        self.failed(
            Diagnostic::error(
                codes::E0207,
                format!("the pieces of `{}` are interleaved in a way that is not supported", part.piece.name),
            )
            .at(span, "cannot be told apart from a later piece by its bounds and its steps")
            .hint("define the result in two functions, one split each"),
        )
    }
}
