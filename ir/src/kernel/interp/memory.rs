//! Buffers and what is known about each of their elements.

use super::super::ids::BufferId;
use super::super::ops::{AccumMode, Monoid};
use super::super::plan::{Buffer, Plan};
use super::env::Extents;
use super::{Bindings, Fault, Run, RunErrorKind, Tensor, fault};

/// Which grid point of which kernel touched an element last; 0 is nobody.
type Stamp = u64;

struct Cells {
    data: Vec<f64>,
    shape: Vec<usize>,
    written: Vec<bool>,
    /// Last writer and last reader, while the kernel that they belong to runs.
    writer: Vec<Stamp>,
    reader: Vec<Stamp>,
    /// Accumulated into by the kernel that runs.
    accumulated: bool,
}

/// A contribution to an element, kept until the kernel has run.
struct Contribution {
    buffer: usize,
    offset: usize,
    point: Stamp,
    value: f64,
    mode: AccumMode,
    monoid: Monoid,
}

pub(super) struct Memory {
    cells: Vec<Cells>,
    pending: Vec<Contribution>,
}

/// Elements of a padded buffer.
pub(super) fn shape_of(plan: &Plan, buffer: &Buffer, extents: &Extents, max: usize) -> Run<Vec<usize>> {
    let mut shape = Vec::new();
    let mut size = 1usize;
    for dim in &buffer.dims {
        let n = extents.eval(plan, &dim.extent, None)?;
        let n = usize::try_from(n).map_err(|_| {
            Fault(RunErrorKind::Binding, format!("`{}` has extent {n} along `{}`", buffer.name, dim.name))
        })?;
        size = size
            .checked_mul(n)
            .filter(|s| *s <= max)
            .ok_or_else(|| Fault(RunErrorKind::Limit, format!("`{}` has more than {max} elements", buffer.name)))?;
        shape.push(n);
    }
    Ok(shape)
}

impl Memory {
    pub(super) fn new(plan: &Plan, bindings: &Bindings, extents: &Extents, max: usize) -> Run<Self> {
        let mut cells = Vec::new();
        for buffer in &plan.buffers {
            let shape = shape_of(plan, buffer, extents, max)?;
            let size = shape.iter().product();
            let start = buffer.init.map_or(f64::NAN, |v| v.as_f64());
            let mut cell = Cells {
                data: vec![start; size],
                written: vec![buffer.init.is_some(); size],
                writer: vec![0; size],
                reader: vec![0; size],
                accumulated: false,
                shape,
            };
            if buffer.role.is_given() {
                let Some(tensor) = bindings.buffers.get(&buffer.name) else {
                    return fault(RunErrorKind::Binding, format!("`{}` is not given", buffer.name));
                };
                if tensor.shape != cell.shape || tensor.data.len() != size {
                    let message = format!("`{}` has shape {:?}, needs {:?}", buffer.name, tensor.shape, cell.shape);
                    return fault(RunErrorKind::Binding, message);
                }
                fill_given(plan, buffer, extents, tensor, &mut cell)?;
            }
            cells.push(cell);
        }
        Ok(Self { cells, pending: Vec::new() })
    }

    /// Offset of an element, which must lie inside the (ragged) extents.
    fn offset(&self, plan: &Plan, extents: &Extents, id: BufferId, index: &[i64]) -> Run<usize> {
        let (Some(buffer), Some(cells)) = (plan.buffer(id), self.cells.get(id.index())) else {
            return fault(RunErrorKind::Malformed, "the buffer is not declared");
        };
        if index.len() != buffer.dims.len() {
            return fault(RunErrorKind::Malformed, format!("`{}` has another rank", buffer.name));
        }
        let mut offset = 0usize;
        for (d, ((dim, i), row)) in buffer.dims.iter().zip(index).zip(&cells.shape).enumerate() {
            let extent = extents.eval(plan, &dim.extent, index.get(..d))?;
            if *i < 0 || *i >= extent {
                let message = format!("index {i} is outside 0..{extent} along `{}` of `{}`", dim.name, buffer.name);
                return fault(RunErrorKind::OutOfRange, message);
            }
            offset = offset * row + usize::try_from(*i).unwrap_or(0);
        }
        Ok(offset)
    }

    pub(super) fn read(
        &mut self,
        plan: &Plan,
        extents: &Extents,
        id: BufferId,
        index: &[i64],
        point: Stamp,
    ) -> Run<f64> {
        let offset = self.offset(plan, extents, id, index)?;
        let name = || plan.buffer(id).map_or("?", |b| b.name.as_str());
        let Some(cells) = self.cells.get_mut(id.index()) else { return Ok(f64::NAN) };
        if cells.accumulated {
            return fault(RunErrorKind::Race, format!("`{}` is read by the kernel that accumulates into it", name()));
        }
        if !cells.written.get(offset).copied().unwrap_or(false) {
            return fault(RunErrorKind::Unwritten, format!("`{}`{index:?} was never written", name()));
        }
        let writer = cells.writer.get(offset).copied().unwrap_or(0);
        if writer != 0 && writer != point {
            return fault(RunErrorKind::Race, format!("`{}`{index:?} is written by another grid point", name()));
        }
        if let Some(reader) = cells.reader.get_mut(offset) {
            // Two readers are as bad as a foreign one for whoever writes later: remember "several" as the greatest stamp.
            *reader = if *reader == 0 || *reader == point { point } else { Stamp::MAX };
        }
        Ok(cells.data.get(offset).copied().unwrap_or(f64::NAN))
    }

    pub(super) fn write(
        &mut self,
        plan: &Plan,
        extents: &Extents,
        id: BufferId,
        index: &[i64],
        x: f64,
        point: Stamp,
    ) -> Run<()> {
        let offset = self.offset(plan, extents, id, index)?;
        let Some(buffer) = plan.buffer(id) else { return Ok(()) };
        check_range(plan, buffer, extents, x, index)?;
        let Some(cells) = self.cells.get_mut(id.index()) else { return Ok(()) };
        if cells.writer.get(offset).is_some_and(|w| *w != 0) {
            return fault(RunErrorKind::Overlap, format!("`{}`{index:?} is stored twice", buffer.name));
        }
        if cells.reader.get(offset).is_some_and(|r| *r != 0 && *r != point) {
            return fault(RunErrorKind::Race, format!("`{}`{index:?} is read by another grid point", buffer.name));
        }
        if let (Some(data), Some(written), Some(writer)) =
            (cells.data.get_mut(offset), cells.written.get_mut(offset), cells.writer.get_mut(offset))
        {
            *data = x;
            *written = true;
            *writer = point;
        }
        Ok(())
    }

    #[expect(clippy::too_many_arguments, reason = "one contribution with all that describes it")]
    pub(super) fn accumulate(
        &mut self,
        plan: &Plan,
        extents: &Extents,
        id: BufferId,
        index: &[i64],
        value: f64,
        point: Stamp,
        mode: AccumMode,
        monoid: Monoid,
    ) -> Run<()> {
        let offset = self.offset(plan, extents, id, index)?;
        let name = || plan.buffer(id).map_or("?", |b| b.name.as_str());
        let Some(cells) = self.cells.get_mut(id.index()) else { return Ok(()) };
        cells.accumulated = true;
        if !cells.written.get(offset).copied().unwrap_or(false) {
            return fault(RunErrorKind::Unwritten, format!("`{}`{index:?} has no value to add to", name()));
        }
        if cells.reader.get(offset).is_some_and(|r| *r != 0) || cells.writer.get(offset).is_some_and(|w| *w != 0) {
            return fault(RunErrorKind::Race, format!("`{}`{index:?} is both accumulated and read or stored", name()));
        }
        self.pending.push(Contribution { buffer: id.index(), offset, point, value, mode, monoid });
        Ok(())
    }

    /// Ends a kernel: puts its contributions together, forgets who touched what.
    pub(super) fn end_kernel(&mut self, plan: &Plan) -> Run<()> {
        let mut pending = std::mem::take(&mut self.pending);
        // Stable: contributions of one grid point stay in their order.
        pending.sort_by_key(|c| (c.buffer, c.offset, c.point));
        for group in pending.chunk_by(|a, b| a.buffer == b.buffer && a.offset == b.offset) {
            let Some(first) = group.first() else { continue };
            let name = plan.buffers.get(first.buffer).map_or("?", |b| b.name.as_str());
            if group.iter().any(|c| c.mode == AccumMode::Exclusive && c.point != first.point) {
                let message = format!("an element of `{name}` receives `exclusive` contributions from two grid points");
                return fault(RunErrorKind::Overlap, message);
            }
            let Some(slot) = self.cells.get_mut(first.buffer).and_then(|c| c.data.get_mut(first.offset)) else {
                continue;
            };
            let fold = |x: f64, c: &Contribution| match c.monoid {
                Monoid::Max => x.max(c.value),
                Monoid::Min => x.min(c.value),
                _ => x + c.value,
            };
            let forward = group.iter().fold(*slot, fold);
            let backward = group.iter().rev().fold(*slot, fold);
            let size = group.iter().fold(slot.abs(), |s, c| s + c.value.abs());
            if (forward - backward).abs() > 1e-9 * size {
                return fault(
                    RunErrorKind::Order,
                    format!("an element of `{name}` depends on the order of contributions"),
                );
            }
            *slot = forward;
        }
        for cells in &mut self.cells {
            cells.writer.fill(0);
            cells.reader.fill(0);
            cells.accumulated = false;
        }
        Ok(())
    }

    pub(super) fn into_tensors(self) -> impl Iterator<Item = Tensor> {
        self.cells.into_iter().map(|c| Tensor { shape: c.shape, data: c.data })
    }
}

fn check_range(plan: &Plan, buffer: &Buffer, extents: &Extents, x: f64, index: &[i64]) -> Run<()> {
    if buffer.elem.is_float() {
        return Ok(());
    }
    if x.is_nan() {
        return fault(RunErrorKind::Undefined, format!("an undefined element goes to `{}`{index:?}", buffer.name));
    }
    let Some((lo, hi)) = &buffer.range else { return Ok(()) };
    let (lo, hi) = (extents.eval(plan, lo, None)?, extents.eval(plan, hi, None)?);
    #[expect(clippy::cast_precision_loss, reason = "bounds of indices are far below 2^53")]
    let inside = x >= lo as f64 && x < hi as f64;
    if inside {
        return Ok(());
    }
    fault(RunErrorKind::Range, format!("`{}`{index:?} = {x} is outside its range {lo} .. {hi}", buffer.name))
}

/// Copies a given tensor, except for elements beyond ragged extents.
fn fill_given(plan: &Plan, buffer: &Buffer, extents: &Extents, tensor: &Tensor, cells: &mut Cells) -> Run<()> {
    let mut index = vec![0i64; cells.shape.len()];
    for offset in 0..tensor.data.len() {
        let mut rest = offset;
        for (slot, n) in index.iter_mut().zip(&cells.shape).rev() {
            *slot = i64::try_from(rest % n).unwrap_or(0);
            rest /= n;
        }
        let mut inside = true;
        for (d, (dim, i)) in buffer.dims.iter().zip(&index).enumerate() {
            inside = inside && *i < extents.eval(plan, &dim.extent, index.get(..d))?;
        }
        if let (true, Some(x)) = (inside, tensor.data.get(offset)) {
            check_range(plan, buffer, extents, *x, &index)?;
            if let (Some(data), Some(written)) = (cells.data.get_mut(offset), cells.written.get_mut(offset)) {
                *data = *x;
                *written = true;
            }
        }
    }
    Ok(())
}
