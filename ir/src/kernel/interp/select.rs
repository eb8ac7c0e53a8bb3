//! Selection: top-k, compaction, ranks, search.

use std::rc::Rc;

use super::super::ops::{Inst, OpCode};
use super::super::types::Type;
use super::env::Env;
use super::tile::{Tile, Walk};
use super::{Run, RunErrorKind, fault};

impl Env<'_> {
    pub(super) fn selection(&self, inst: &Inst, args: &[Rc<Tile>], out: &mut [(Tile, Type)]) -> Run<()> {
        let attrs = &inst.attrs;
        let (guard, over) = (&attrs.guard, attrs.over);
        let arg = |i: usize, c: &[i64]| args.get(i).map_or(f64::NAN, |t| t.get(c));
        let Some(along) = over.iter().next() else { return Ok(()) };
        // The axis along which lists come out.
        let to = attrs.to.unwrap_or(along);
        let extent = self.axis_extents.get(to.index()).copied().unwrap_or(0);
        let Some(ty) = out.first().map(|(_, t)| *t) else { return Ok(()) };
        let mut walk = Walk::new(ty.axes.minus(to.into()), &self.axis_extents, &self.origin());
        while walk.next() {
            let mut list: Vec<(f64, f64)> = Vec::new();
            let mut count = 0.0;
            let at = walk.coords.clone();
            self.each(over, &at, |c| {
                if !self.holds(guard, c)? {
                    return Ok(());
                }
                #[expect(clippy::cast_precision_loss, reason = "positions in a tile are far below 2^53")]
                let position = c.get(along.index()).copied().unwrap_or(0) as f64;
                let before = |a: (f64, f64), b: (f64, f64)| a.0 > b.0 || (a.0 == b.0 && a.1 < b.1);
                match inst.op {
                    OpCode::TopK => list.push((arg(0, c), if args.len() > 1 { arg(1, c) } else { position })),
                    OpCode::MergeTopK => {
                        list.extend([(arg(0, c), arg(1, c)), (arg(2, c), arg(3, c))].iter().filter(|e| e.1 != -1.0));
                    }
                    OpCode::Compact => list.push((arg(0, c), position)),
                    OpCode::RankCount => {
                        count += f64::from(u8::from(before((arg(2, c), arg(3, c)), (arg(0, c), arg(1, c)))));
                    }
                    _ => count += f64::from(u8::from(arg(0, c) < arg(1, c))),
                }
                Ok(())
            })?;
            if matches!(inst.op, OpCode::TopK | OpCode::MergeTopK) {
                if list.iter().any(|e| e.0.is_nan() || e.1.is_nan()) {
                    return fault(RunErrorKind::Undefined, "an undefined element is ranked");
                }
                // Adding 0 makes -0 equal to 0, as comparisons have it.
                list.sort_by(|a, b| (b.0 + 0.0).total_cmp(&(a.0 + 0.0)).then(a.1.total_cmp(&b.1)));
            }
            let mut c = at.clone();
            match (inst.op, &mut *out) {
                (OpCode::Compact, [(packed, _), (number, _)]) => {
                    for (i, e) in list.iter().enumerate().take(extent) {
                        set(&mut c, to.index(), i);
                        packed.set(&c, e.0);
                    }
                    if list.len() > extent {
                        return fault(RunErrorKind::OutOfRange, format!("{} elements do not fit the axis", list.len()));
                    }
                    number.set(&at, f64::from(u32::try_from(list.len()).unwrap_or(u32::MAX)));
                }
                (OpCode::TopK | OpCode::MergeTopK, [(values, _), (payloads, _)]) => {
                    for i in 0..extent {
                        set(&mut c, to.index(), i);
                        let e = list.get(i).copied().unwrap_or((f64::NEG_INFINITY, -1.0));
                        values.set(&c, e.0);
                        payloads.set(&c, e.1);
                    }
                }
                (_, [(counts, _), ..]) => counts.set(&at, count),
                _ => {}
            }
        }
        Ok(())
    }
}

fn set(coords: &mut [i64], axis: usize, i: usize) {
    if let Some(slot) = coords.get_mut(axis) {
        *slot = i64::try_from(i).unwrap_or(0);
    }
}
