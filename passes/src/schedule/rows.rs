//! Kernels without long reductions: row tile by row tile.

use super::emit::Emitter;
use super::kept_scales::Epilogue;
use super::store::Target;
use super::{Error, Scheduler};
use rustc_hash::{FxHashMap, FxHashSet};
use weft_ir::graph::{AxisId, NodeId, Op};
use weft_ir::kernel::{ElemType, Expr, KernelBuilder};

/// Positions that make a block worth a grid point of its own, and features that make rows.
const BLOCK: i64 = 16;

impl Scheduler {
    /// A kernel that computes a term at every position of the target's axes.
    pub(crate) fn row_kernel(&mut self, name: &str, body: NodeId, target: &Target) -> Result<(), Error> {
        let epilogue = self.keep_read_scale(name, body, target)?;
        let body = epilogue.value;
        // Functions of positions alone are exact in float64 and rounded once.
        let float = if self.c.is_data_free(body) && self.c.g.dtype(body).is_float() {
            ElemType::F64
        } else {
            self.float_elem()?
        };
        let mut plan = std::mem::take(&mut self.plan);
        let kb = KernelBuilder::new(&mut plan, name);
        let mut e = Emitter::new(self, kb, float);
        let made = e.emit_rows(&epilogue, target);
        let finished = made.and_then(|()| e.kb.finish().map_err(Error::from));
        self.plan = plan;
        finished.map(|_| ())
    }

    /// How far apart in memory dimensions the elements lie that neighbours along an axis read, where a term reads at other positions
    /// than its own: the smallest factor of the axis in an index, 1 where the index is not linear in it.
    fn read_strides(&self, body: NodeId) -> FxHashMap<AxisId, i64> {
        let mut strides = FxHashMap::default();
        let mut stack = vec![body];
        let mut seen = FxHashSet::default();
        while let Some(n) = stack.pop() {
            if !seen.insert(n) {
                continue;
            }
            let args = self.c.g.args(n);
            stack.extend(args);
            if !matches!(self.c.g.op(n), Op::Sub { .. }) {
                continue;
            }
            for &at in args.iter().skip(1) {
                let Some(form) = self.c.int_form(at) else { continue };
                let plain = form.as_var().is_some_and(|&v| matches!(self.c.g.op(v), Op::Index(_)));
                for (&term, factor) in form.terms().filter(|_| !plain) {
                    let index = matches!(self.c.g.op(term), Op::Index(_));
                    for a in self.c.g.free(term).iter() {
                        let stride = if index { factor.abs() } else { 1 };
                        let least: &mut i64 = strides.entry(a).or_insert(stride);
                        *least = stride.min(*least);
                    }
                }
            }
        }
        strides
    }

    /// The float type in which this plan computes.
    pub(crate) fn float_elem(&self) -> Result<ElemType, Error> {
        // bf16 is a storage type: tiles are computed in f32.
        Ok(match self.elem(weft_ir::DType::Float)? {
            ElemType::Bf16 => ElemType::F32,
            other => other,
        })
    }
}

impl Emitter<'_, '_> {
    fn emit_rows(&mut self, epilogue: &Epilogue, target: &Target) -> Result<(), Error> {
        self.place_output(epilogue.value, &target.axes)?;
        let v = self.value(epilogue.value)?;
        self.store(target.input, v)?;
        if let Some((input, scale)) = epilogue.scale {
            let v = self.value(scale)?;
            self.store(input, v)?;
        }
        Ok(())
    }

    /// Puts the axes of an output on the grid and into tiles: batches on the grid, rows in lanes, features in blocks.
    pub(crate) fn place_output(&mut self, body: NodeId, axes: &[AxisId]) -> Result<(), Error> {
        let g = &self.s.c.g;
        let long: Vec<AxisId> = axes.iter().copied().filter(|&a| self.s.c.is_long(a)).collect();
        let batch: Vec<AxisId> =
            axes.iter().copied().filter(|&a| !self.s.c.is_long(a) && g.static_extent(a).is_none()).collect();
        let mut short: Vec<AxisId> = axes.iter().copied().filter(|&a| g.static_extent(a).is_some()).collect();
        // Axes along which neighbours are read are whole, so that what is read can be at hand; those that step over blocks are not.
        let strides = self.s.read_strides(body);
        // Without a long axis, or where it counts blocks that are read as a whole, the largest short one gives the rows.
        let blocks = |a: &AxisId| strides.get(a).is_some_and(|&s| s >= BLOCK);
        let row = long.first().copied().filter(|a| !blocks(a)).or_else(|| {
            let least = if long.is_empty() { 1 } else { BLOCK - 1 };
            let at = (0..short.len()).max_by_key(|&n| (self.s.static_size(short[n]), std::cmp::Reverse(n)))?;
            (self.s.static_size(short[at]) > least).then(|| short.remove(at))
        });
        let row = row.or_else(|| long.first().copied());
        short.sort_by_key(|a| match strides.get(a) {
            Some(1) => 2,
            Some(_) => 0,
            None => 1,
        });
        for a in batch {
            self.grid_axis(a);
        }
        for &a in long.iter().filter(|&&a| row != Some(a)) {
            self.grid_axis(a);
        }
        // Features: whole from the innermost while they fit into a block, a larger one in blocks, the rest on the grid.
        let block = self.s.tiles.block;
        let mut room = block;
        let mut on_grid = Vec::new();
        let mut blocked = None;
        let mut whole = Vec::new();
        for &a in short.iter().rev() {
            let n = self.s.static_size(a);
            if blocked.is_none() && on_grid.is_empty() && n <= room {
                whole.push(a);
                room = (room / n.max(1)).max(1);
            } else if blocked.is_none() && on_grid.is_empty() && whole.is_empty() {
                blocked = Some(a);
            } else {
                on_grid.push(a);
            }
        }
        for &a in on_grid.iter().rev() {
            self.grid_axis(a);
        }
        if let Some(r) = row {
            self.row_tile(r);
        }
        if let Some(a) = blocked {
            self.tiled_axis(a, Expr::Const(block), block);
        }
        for &a in whole.iter().rev() {
            self.whole_axis(a);
        }
        if let Op::Rec(_) = self.s.c.g.op(body) {
            return self.s.unsupported(body, "a recurrence in a row kernel");
        }
        Ok(())
    }

    /// Puts an axis into lanes, in tiles on the grid.
    pub(crate) fn row_tile(&mut self, axis: AxisId) {
        let size = self.s.tiles.rows;
        let (tile, t0) = self.tiled_axis(axis, Expr::Const(size), size);
        self.kb.lanes(tile);
        let t1 = (t0.clone() + size).min(self.extent(axis));
        if let Some(&start) = self.s.starts.get(&axis) {
            self.positions.insert(start, t0.clone());
        }
        self.spans.push(super::ranges::TileSpan { axis, t0, t1 });
    }
}
