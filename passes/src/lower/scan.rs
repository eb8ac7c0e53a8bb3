//! `scan`: prefix reductions along one axis, in vectors over another.

use weft_ir::kernel::{AxisId, Inst, Literal, Monoid};
use weft_ir::loops::{Compare, Ty};

use super::emit::Emitter;
use super::error::Emit;
use super::monoid::{neutral_of, operator};
use super::point::Point;

impl Emitter<'_> {
    /// `scan`
    pub(super) fn scan(&mut self, inst: &Inst) -> Emit<()> {
        let result = *inst.results.first().ok_or("has no result")?;
        let monoid = inst.attrs.monoid.ok_or("has no monoid")?;
        let along: AxisId = inst.attrs.over.iter().next().ok_or("has no axis")?;
        let scanned = if monoid == Monoid::Affine { 2 } else { 1 };
        let (operands, init) = inst.args.split_at_checked(scanned).ok_or("lacks an operand")?;
        let (axes, elem) = (self.ty(result)?.axes, self.elem_of(result)?);
        let row = axes.minus(along.into());
        // The lanes cannot run along the axis of the scan.
        let lanes = self.lanes_of(result).filter(|a| *a != along).or_else(|| self.layout.innermost(row));
        let storage = self.slot(result)?;
        self.clear_padding(&storage, lanes)?;
        let extent = self.extent(along);
        self.nest(row, lanes, &inst.args, &Point::default(), &mut |e, p| {
            let width = p.span.map_or(1, |s| s.width);
            let start = match init.first() {
                Some(init) => e.value(*init, p)?,
                None => neutral_of(&mut e.kb, monoid, Ty::vector(elem, width)),
            };
            let start = if width > 1 && !e.kb.ty(start).is_vector() { e.kb.splat(start, width) } else { start };
            let state = e.kb.var("state", start);
            e.for_extent(extent, 1, |e, step| {
                let at = if inst.attrs.rev {
                    let last = e.kb.int(extent - 1);
                    e.kb.sub(last, step)
                } else {
                    step
                };
                let p = p.with(along, at);
                let old = e.kb.get(state);
                let args = operands.iter().map(|a| e.value(*a, &p)).collect::<Emit<Vec<_>>>()?;
                let new = match args[..] {
                    [a, b] => {
                        // A factor of 0 restarts the recurrence: it forgets the state, whatever it is.
                        let product = e.kb.mul(a, old);
                        let sum = e.kb.add(product, b);
                        let zero = e.literal(Literal::Int(0), elem);
                        let restart = e.kb.compare(Compare::Eq, a, zero);
                        e.kb.select(restart, b, sum)
                    }
                    [x] => e.kb.binary(operator(monoid)?, old, x),
                    _ => return Err("lacks an operand".into()),
                };
                e.kb.set(state, new);
                e.store_tile(&storage, &p, if inst.attrs.excl { old } else { new })
            })
        })
    }
}
