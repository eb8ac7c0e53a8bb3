//! One kernel: parameters, the grid as tasks, scratch tables.
//!
//! Every grid point is a task, numbered in the order of the grid axes, so that neighbouring tasks share the outer indices
//! (all rows of one head after the other). Tasks cover the grid with each ragged extent at its largest; points outside leave
//! at once. Where a loop of the kernel is longer for later points of the last axis, tasks take that axis backwards, longest
//! first, which evens out the ends of the workers.
//!
//! An `accum` in another mode than `exclusive` adds contributions of several grid points into one element. On a CPU one
//! worker owns the element: only grid axes whose indices stand in the access by themselves are spread over tasks, the others are
//! loops inside a task, in the order of the grid. So the sums are the same for any number of threads.

use weft_ir::kernel::{
    Access, BinOp, BufferId, Domain, Expr, GridAxis, Kernel, OpCode, Place, Plan, ScratchId, Stmt, VarDef, VarId,
};
use weft_ir::loops::{self, Compare, KernelBuilder, Unroll, Value};
use weft_ir::program::{Argument, Formula, Launch};

use super::bounds::{Range, range};
use super::emit::{BufferArg, Emitter, Table, constant, elem};
use super::error::{Emit, Error};
use super::storage::without_bf16;
use super::target::Target;

/// Lowers one kernel of a plan whose buffers are `buffers`.
pub(super) fn lower_kernel(
    plan: &Plan,
    kernel: &Kernel,
    target: &Target,
    buffers: &[weft_ir::program::Buffer],
) -> Result<Launch, Error> {
    let fault = |message: String| {
        // Faults of statements start with the statement.
        let (what, message) = match message.strip_prefix('`').and_then(|m| m.split_once("`: ")) {
            Some((what, rest)) => (what.to_owned(), rest.to_owned()),
            None => ("the kernel".to_owned(), message),
        };
        Error { kernel: kernel.name.clone(), what, message }
    };
    let widened = without_bf16(plan, kernel).map_err(fault)?;
    let mut e = Emitter::new(plan, &widened, target).map_err(fault)?;
    let tasks = e.whole_kernel(buffers).map_err(fault)?;
    let dims = e.dims.into_iter().map(|(f, _)| f).collect();
    let code = e.kb.finish().map_err(|e| fault(format!("the code is ill-formed: {}", e.message)))?;
    Ok(Launch { kernel: code, tasks, args: e.args, dims })
}

impl Emitter<'_> {
    fn whole_kernel(&mut self, buffers: &[weft_ir::program::Buffer]) -> Emit<Formula> {
        self.parameters(buffers)?;
        let owned = self.owned_axes()?;
        let mut ranges: Vec<(VarId, Range)> = Vec::new();
        for axis in &self.kernel.grid {
            let extent = range(self.plan, &axis.extent, &|e| match e {
                Expr::Var(v) => ranges.iter().find(|(w, _)| w == v).map(|(_, r)| r.clone()),
                _ => None,
            });
            let (_, most) = extent.ok_or("the extent of a grid axis has no upper bound")?;
            let last = Formula::binary(BinOp::Sub, most, Formula::Const(1));
            ranges.push((axis.var, (Formula::Const(0), last)));
        }
        let sizes: Vec<Formula> =
            ranges.into_iter().map(|(_, (_, last))| Formula::binary(BinOp::Add, last, Formula::Const(1))).collect();
        let sizes: Vec<Formula> = sizes.into_iter().map(simplify).collect();
        let spread = |i: &usize| owned.get(*i).copied().unwrap_or(true);
        let parallel: Vec<usize> = (0..sizes.len()).filter(spread).collect();
        let mut tasks = Formula::Const(1);
        for i in &parallel {
            let size = Formula::binary(BinOp::Max, sizes[*i].clone(), Formula::Const(0));
            let size = if matches!(sizes[*i], Formula::Extent(_)) { sizes[*i].clone() } else { size };
            tasks = Formula::binary(BinOp::Mul, tasks, size);
        }
        let counts: Vec<Value> = sizes.iter().map(|f| self.formula(f)).collect();
        let backwards = parallel.last().copied().filter(|i| self.grows_along(*i));
        let mut kb = std::mem::replace(&mut self.kb, KernelBuilder::new("lent"));
        let done = kb.for_tasks(|kb, task| {
            std::mem::swap(kb, &mut self.kb);
            let done = self.scope(|e| e.task(task, &parallel, &counts, backwards));
            std::mem::swap(kb, &mut self.kb);
            done
        });
        self.kb = kb;
        done?;
        Ok(tasks)
    }

    /// The grid indices of a task, then its grid points.
    fn task(&mut self, task: Value, parallel: &[usize], counts: &[Value], backwards: Option<usize>) -> Emit<()> {
        let mut rest = task;
        for (n, i) in parallel.iter().enumerate().rev() {
            let count = counts.get(*i).copied().ok_or("a grid axis has no extent")?;
            let mut index = rest;
            if n > 0 {
                index = self.kb.binary(loops::Binary::ModFloor, rest, count);
                rest = self.kb.binary(loops::Binary::DivFloor, rest, count);
            }
            if backwards == Some(*i) {
                let last = self.kb.add_int(count, -1);
                index = self.kb.sub(last, index);
            }
            let Some(axis) = self.kernel.grid.get(*i) else { continue };
            self.scalars.insert(axis.var, index);
        }
        let kernel = self.kernel;
        self.grid_points(&kernel.grid, parallel, 0)
    }

    /// The grid points of a task from the grid axis `depth` on: a loop for each axis that is not spread over tasks, a test for each
    /// other axis whose extent is not the padded one.
    fn grid_points(&mut self, axes: &[GridAxis], parallel: &[usize], depth: usize) -> Emit<()> {
        let Some((axis, inner)) = axes.split_first() else { return self.grid_point() };
        let origin = super::point::Point::default();
        if !parallel.contains(&depth) {
            let hi = self.scalar(&axis.extent, &origin)?;
            let lo = self.kb.int(0);
            return self.for_range((lo, hi, 1), Unroll::No, |e, i| {
                e.scalars.insert(axis.var, i);
                e.grid_points(inner, parallel, depth + 1)
            });
        }
        let mut varies = false;
        axis.extent.visit(&mut |e| varies |= matches!(e, Expr::Ragged(..) | Expr::Var(_)));
        if !varies {
            return self.grid_points(inner, parallel, depth + 1);
        }
        let extent = self.scalar(&axis.extent, &origin)?;
        let index = self.scalars.get(&axis.var).copied().ok_or("a grid axis has no index")?;
        let exists = self.kb.compare(Compare::Lt, index, extent);
        self.if_then(exists, |e| e.grid_points(inner, parallel, depth + 1))
    }

    fn grid_point(&mut self) -> Emit<()> {
        let kernel = self.kernel;
        for (i, table) in kernel.scratch.iter().enumerate() {
            let Some(init) = table.init else { continue };
            let Table { ptr, len, .. } = self.table(ScratchId::new(i))?.clone();
            let elem = elem(table.elem)?;
            const LANES: u64 = 8;
            let whole = i64::try_from(len / LANES * LANES).unwrap_or(i64::MAX);
            let len = i64::try_from(len).unwrap_or(i64::MAX);
            let vector = self.kb.constant(loops::Ty::vector(elem, 8), constant(init, elem));
            self.for_extent(whole, 8, |e, at| {
                let place = e.kb.at(ptr, at);
                e.kb.store(place, vector);
                Ok(())
            })?;
            let x = self.literal(init, elem);
            for at in whole..len {
                self.kb.store(KernelBuilder::at_const(ptr, at), x);
            }
        }
        self.body(&kernel.body)
    }

    /// Declares what the kernel reads and writes.
    fn parameters(&mut self, buffers: &[weft_ir::program::Buffer]) -> Emit<()> {
        let kernel = self.kernel;
        let mut uses = Uses::default();
        uses.kernel(kernel);
        for id in &uses.buffers {
            let buffer = buffers.get(id.index()).ok_or("a buffer is not declared")?;
            let written = self.layout.is_written(Place::Buffer(*id));
            let access = if written { loops::Access::Write } else { loops::Access::Read };
            let mut extents = Vec::new();
            for dim in &buffer.dims {
                extents.push(match dim.known() {
                    Some(n) => loops::Extent::Const(u64::try_from(n).unwrap_or(0)),
                    None => {
                        self.formula(dim);
                        let at = self.dims.iter().position(|(f, _)| f == dim).ok_or("a dimension is lost")?;
                        KernelBuilder::dim_extent(at)
                    }
                });
            }
            let name = buffer.name.replace('\'', "_");
            let ptr = self.kb.buffer(name, buffer.elem, access, &extents);
            self.args.push(Argument::Buffer(id.index()));
            let mut strides = Vec::new();
            let mut stride = Formula::Const(1);
            for dim in buffer.dims.iter().rev() {
                strides.push(self.formula(&stride));
                stride = Formula::binary(BinOp::Mul, dim.clone(), stride);
            }
            strides.reverse();
            self.buffers.insert(*id, BufferArg { ptr, strides });
        }
        for e in 0..self.plan.extents.len() {
            let id = weft_ir::kernel::ExtentId::new(e);
            let Some(extent) = self.plan.extent(id).filter(|_| uses.lengths.contains(&id)) else { continue };
            let over = extent.over.ok_or_else(|| format!("`{}` is not ragged", extent.name))?;
            let rows = Formula::Extent(over.index());
            self.formula(&rows);
            let at = self.dims.iter().position(|(f, _)| *f == rows).ok_or("a dimension is lost")?;
            let name = format!("{}_lengths", extent.name.replace('\'', "_"));
            let ptr = self.kb.buffer(name, loops::Elem::I64, loops::Access::Read, &[KernelBuilder::dim_extent(at)]);
            self.args.push(Argument::Lengths(e));
            self.lengths.insert(id, ptr);
        }
        for (i, table) in kernel.scratch.iter().enumerate() {
            let mut strides = Vec::new();
            let mut len = 1i64;
            for dim in table.dims.iter().rev() {
                strides.push(len);
                let n = self.static_value(dim)?;
                let product = len.checked_mul(n).filter(|p| *p > 0);
                len = product.ok_or_else(|| format!("scratch table `{}` has no size", table.name))?;
            }
            strides.reverse();
            let elem = elem(table.elem)?;
            let len = len.unsigned_abs();
            if len.checked_mul(elem.bytes() as u64).is_none_or(|b| b > loops::MAX_SCRATCH_BYTES) {
                return Err(format!("scratch table `{}` does not fit scratch memory", table.name));
            }
            let ptr = self.kb.scratch(table.name.replace('\'', "_"), elem, len);
            self.tables.insert(ScratchId::new(i), Table { ptr, strides, len });
        }
        Ok(())
    }

    /// Which grid axes may be spread over tasks: all, unless several grid points accumulate into one element.
    fn owned_axes(&self) -> Emit<Vec<bool>> {
        let mut owned = vec![true; self.kernel.grid.len()];
        let mut shared: Vec<&Access> = Vec::new();
        collect_accums(&self.kernel.body, &mut shared);
        for access in shared {
            for (axis, owns) in self.kernel.grid.iter().zip(&mut owned) {
                *owns &= access.index.contains(&Expr::Var(axis.var));
            }
        }
        Ok(owned)
    }

    /// Is some loop of the kernel longer for later indices of a grid axis?
    fn grows_along(&self, axis: usize) -> bool {
        let Some(axis) = self.kernel.grid.get(axis) else { return false };
        self.kernel.body.iter().any(|stmt| match stmt {
            Stmt::Loop(l) => match &l.domain {
                Domain::Dense { lo, hi } | Domain::Strided { lo, hi, .. } => {
                    self.trend(hi, axis.var) > 0 && self.trend(lo, axis.var) <= 0
                }
                _ => false,
            },
            _ => false,
        })
    }

    /// Sign of the change of an expression as a variable grows; 0 if it does not depend on it.
    fn trend(&self, e: &Expr, var: VarId) -> i32 {
        match e {
            Expr::Var(v) if *v == var => 1,
            Expr::Var(v) => match self.kernel.var(*v).map(|v| &v.def) {
                Some(VarDef::Let(e) | VarDef::Position(e)) => self.trend(e, var),
                _ => 0,
            },
            Expr::Binary(op, a, b) => {
                let (x, y) = (self.trend(a, var), self.trend(b, var));
                match op {
                    BinOp::Sub if x == 0 => -y,
                    BinOp::Mul => {
                        let sign = |e: &Expr| self.plan.static_value(e).map_or(1, |n| if n < 0 { -1 } else { 1 });
                        if x != 0 { x * sign(b) } else { y * sign(a) }
                    }
                    BinOp::Mod => 0,
                    _ => {
                        if x != 0 {
                            x
                        } else {
                            y
                        }
                    }
                }
            }
            _ => 0,
        }
    }
}

/// `(a - 1) + 1` is `a`.
fn simplify(f: Formula) -> Formula {
    match &f {
        Formula::Binary(BinOp::Add, a, b) => match (&**a, &**b) {
            (Formula::Binary(BinOp::Sub, x, one), plus) if **one == *plus => (**x).clone(),
            _ => f,
        },
        _ => f,
    }
}

fn collect_accums<'k>(stmts: &'k [Stmt], found: &mut Vec<&'k Access>) {
    use weft_ir::kernel::AccumMode;
    for stmt in stmts {
        match stmt {
            Stmt::Inst(inst) if inst.op == OpCode::Accum && inst.attrs.mode != Some(AccumMode::Exclusive) => {
                found.extend(&inst.attrs.access);
            }
            Stmt::Inst(_) | Stmt::Let(_) => {}
            Stmt::Loop(l) => collect_accums(&l.body, found),
            Stmt::While(w) => collect_accums(&w.body, found),
            Stmt::If(i) => {
                collect_accums(&i.then_body, found);
                collect_accums(&i.else_body, found);
            }
        }
    }
}

/// Buffers and tables of lengths that a kernel uses, in order of first use.
#[derive(Default)]
struct Uses {
    buffers: Vec<BufferId>,
    lengths: Vec<weft_ir::kernel::ExtentId>,
}

impl Uses {
    fn kernel(&mut self, kernel: &Kernel) {
        for axis in &kernel.grid {
            self.expr(&axis.extent);
        }
        for var in &kernel.vars {
            match &var.def {
                VarDef::Let(e) | VarDef::Position(e) => self.expr(e),
                VarDef::Entry(access) | VarDef::Load(access) => self.access(access),
                _ => {}
            }
        }
        self.stmts(&kernel.body);
    }

    fn expr(&mut self, e: &Expr) {
        e.visit(&mut |e| {
            if let Expr::Ragged(id, _) = e
                && !self.lengths.contains(id)
            {
                self.lengths.push(*id);
            }
        });
    }

    fn access(&mut self, access: &Access) {
        if let Place::Buffer(id) = access.place
            && !self.buffers.contains(&id)
        {
            self.buffers.push(id);
        }
        access.index.iter().for_each(|e| self.expr(e));
    }

    fn guard(&mut self, guard: &weft_ir::kernel::Guard) {
        for atom in &guard.atoms {
            self.expr(&atom.lhs);
            self.expr(&atom.rhs);
        }
    }

    fn stmts(&mut self, stmts: &[Stmt]) {
        for stmt in stmts {
            match stmt {
                Stmt::Let(_) => {}
                Stmt::Inst(inst) => {
                    inst.attrs.access.iter().for_each(|a| self.access(a));
                    inst.attrs.at.iter().for_each(|e| self.expr(e));
                    self.guard(&inst.attrs.guard);
                }
                Stmt::Loop(l) => {
                    match &l.domain {
                        Domain::Dense { lo, hi } => [lo, hi].iter().for_each(|e| self.expr(e)),
                        Domain::Strided { base, lo, hi, .. } => [base, lo, hi].iter().for_each(|e| self.expr(e)),
                        Domain::List { list, count } => {
                            self.access(list);
                            self.expr(count);
                        }
                        Domain::Table { count } => self.expr(count),
                        Domain::Point { at } => self.expr(at),
                    }
                    if let Some((lo, hi)) = &l.full {
                        self.expr(lo);
                        self.expr(hi);
                    }
                    self.stmts(&l.body);
                }
                Stmt::While(w) => {
                    self.expr(&w.bound);
                    self.stmts(&w.body);
                }
                Stmt::If(i) => {
                    self.guard(&i.cond);
                    self.stmts(&i.then_body);
                    self.stmts(&i.else_body);
                }
            }
        }
    }
}
