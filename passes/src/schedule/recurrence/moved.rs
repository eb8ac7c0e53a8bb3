//! A tile of the kernel, such as a state, at other positions of its axes.

use crate::schedule::Error;
use crate::schedule::emit::Emitter;
use weft_ir::graph::{AxisId, NodeId};
use weft_ir::kernel::{self, Expr, Guard, ValueId};

impl Emitter<'_, '_> {
    /// A value of the kernel, such as a state, with some of its axes at other positions.
    pub(in crate::schedule) fn moved(
        &mut self,
        v: ValueId,
        axes: &[AxisId],
        positions: &[NodeId],
    ) -> Result<ValueId, Error> {
        // The tile axes that move go out of the way first, or two of them could not change places.
        let mut v = v;
        let mut moves = Vec::new();
        for (&a, &p) in axes.iter().zip(positions) {
            let at = self.index(p)?;
            if self.positions.get(&a) == Some(&at) {
                continue;
            }
            let Some(&from) = self.whole.get(&a) else {
                return self.s.unsupported(p, format!("a state at other positions of `{}`", self.axis_name(a)));
            };
            if !self.kb.type_of(v).is_some_and(|t| t.axes.contains(from)) {
                continue;
            }
            let n = self.s.static_size(a);
            let is_free = |e: &Self, to| e.kb.type_of(v).is_some_and(|t| !t.axes.contains(to));
            if let Expr::Axis(to) = at
                && is_free(self, to)
                && self.kb.kernel().axis_extent(self.kb.kernel_plan(), to) == Some(n)
            {
                v = self.kb.rename("state", v, from, to);
                continue;
            }
            let name = self.axis_name(a);
            let away = self.kb.axis(&name, n);
            v = self.kb.rename("state", v, from, away);
            moves.push((away, at, n));
        }
        for (away, at, n) in moves {
            v = match at {
                Expr::Axis(to) if self.kb.kernel().axis_extent(self.kb.kernel_plan(), to) == Some(n) => {
                    self.kb.rename("state", v, away, to)
                }
                _ => {
                    let mut inside = Guard::always();
                    self.stay_inside(&mut inside, &at, &Expr::Const(n));
                    // Where a condition hides the read, any position will do.
                    let at = if inside.is_always() { at } else { at.max(Expr::Const(0)).min(Expr::Const(n - 1)) };
                    let attrs = kernel::Attrs { over: away.into(), at: Some(at), ..kernel::Attrs::default() };
                    self.kb.inst("state", kernel::OpCode::Take, &[v], attrs)[0]
                }
            };
        }
        Ok(v)
    }
}
