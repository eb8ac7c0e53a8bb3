//! Statements: grid, loops, branches.

use std::rc::Rc;

use super::super::ids::{AxisId, KernelId, ValueId};
use super::super::plan::{Carried, Domain, If, Kernel, Loop, Plan, Stmt, VarDef, While};
use super::super::print::stmt_text;
use super::env::{Env, Extents, Frame, to_index};
use super::memory::Memory;
use super::tile::{Tile, Walk};
use super::{Counts, Fault, Options, Run, RunError, RunErrorKind, fault};

/// A mistake with the statement in which it happened.
struct Located(Fault, String);

type Step = Result<(), Located>;

/// Runs one kernel for all grid points.
pub(super) fn run_kernel(
    plan: &Plan,
    id: KernelId,
    extents: &Extents,
    memory: &mut Memory,
    options: Options,
    fuel: &mut u64,
) -> Result<Counts, RunError> {
    let Some(kernel) = plan.kernel(id) else {
        return Err(RunError { kind: RunErrorKind::Malformed, place: "plan".into(), message: "no such kernel".into() });
    };
    let place = |at: &str| format!("kernel `{}`{}{at}", kernel.name, if at.is_empty() { "" } else { ", at " });
    let located = |Located(Fault(kind, message), at): Located| RunError { kind, place: place(&at), message };
    let plain = |f: Fault| located(Located(f, String::new()));
    let mut axis_extents = Vec::new();
    for axis in 0..kernel.axes.len() {
        let n = kernel.axis_extent(plan, AxisId::new(axis)).and_then(|n| usize::try_from(n).ok());
        axis_extents
            .push(n.ok_or_else(|| plain(Fault(RunErrorKind::Malformed, "a tile axis has no static extent".into())))?);
    }
    let mut env = Env {
        plan,
        kernel,
        extents,
        memory,
        options,
        counts: Counts::default(),
        fuel,
        axis_extents,
        point: 0,
        vars: vec![None; kernel.vars.len()],
        values: vec![None; kernel.values.len() + kernel.vars.len()],
        scratch: Vec::new(),
        frames: Vec::new(),
    };
    let mut points = Vec::new();
    env.grid_points(&mut Vec::new(), &mut points).map_err(plain)?;
    let mut order: Vec<usize> = (0..points.len()).collect();
    shuffle(&mut order, options.seed);
    for number in order {
        let Some(point) = points.get(number) else { continue };
        env.start_point(number as u64 + 1, point).map_err(plain)?;
        env.stmts(&kernel.body).map_err(located)?;
    }
    env.memory.end_kernel(plan).map_err(plain)?;
    Ok(env.counts)
}

/// Fisher-Yates with splitmix64: the same order for the same seed on every machine.
fn shuffle(order: &mut [usize], seed: u64) {
    let mut state = seed;
    let mut random = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    };
    for i in (1..order.len()).rev() {
        let j = usize::try_from(random() % (i as u64 + 1)).unwrap_or(0);
        order.swap(i, j);
    }
}

impl<'a> Env<'a> {
    fn burn(&mut self) -> Run<()> {
        match self.fuel.checked_sub(1) {
            Some(rest) => {
                *self.fuel = rest;
                Ok(())
            }
            None => fault(RunErrorKind::Limit, "too many grid points and iterations"),
        }
    }

    /// All grid points in lexicographic order; the extents of later axes may depend on earlier ones.
    fn grid_points(&mut self, prefix: &mut Vec<i64>, out: &mut Vec<Vec<i64>>) -> Run<()> {
        let Some(axis) = self.kernel.grid.get(prefix.len()) else {
            self.burn()?;
            out.push(prefix.clone());
            return Ok(());
        };
        let extent = self.scalar(&axis.extent)?;
        for i in 0..extent.max(0) {
            if let Some(slot) = self.vars.get_mut(axis.var.index()) {
                *slot = Some(i);
            }
            prefix.push(i);
            self.grid_points(prefix, out)?;
            prefix.pop();
        }
        Ok(())
    }

    fn start_point(&mut self, number: u64, point: &[i64]) -> Run<()> {
        self.point = number;
        self.counts.points += 1;
        self.vars.fill(None);
        self.values.fill(None);
        for (axis, i) in self.kernel.grid.iter().zip(point) {
            if let Some(slot) = self.vars.get_mut(axis.var.index()) {
                *slot = Some(*i);
            }
        }
        self.scratch.clear();
        for table in &self.kernel.scratch {
            let mut size = 1usize;
            for dim in &table.dims {
                let n = usize::try_from(self.scalar(dim)?).unwrap_or(0);
                size = size.saturating_mul(n);
            }
            if size > self.options.max_elements {
                return fault(RunErrorKind::Limit, format!("scratch table `{}` is too large", table.name));
            }
            self.scratch.push(vec![table.init.map_or(f64::NAN, |v| v.as_f64()); size]);
        }
        Ok(())
    }

    fn stmts(&mut self, stmts: &'a [Stmt]) -> Step {
        for stmt in stmts {
            let done = match stmt {
                Stmt::Let(v) => self.let_stmt(*v),
                Stmt::Inst(inst) => self.inst(inst),
                Stmt::Loop(l) => {
                    let frames = self.frames.len();
                    let done = self.run_loop(l);
                    self.frames.truncate(frames);
                    done?;
                    continue;
                }
                Stmt::While(w) => {
                    self.run_while(w)?;
                    continue;
                }
                Stmt::If(i) => {
                    self.run_if(i)?;
                    continue;
                }
            };
            done.map_err(|f| self.locate(f, stmt))?;
        }
        Ok(())
    }

    fn locate(&self, fault: Fault, stmt: &Stmt) -> Located {
        Located(fault, format!("`{}`", stmt_text(self.plan, self.kernel, stmt)))
    }

    fn set_var(&mut self, id: super::super::ids::VarId, n: i64) {
        if let Some(slot) = self.vars.get_mut(id.index()) {
            *slot = Some(n);
        }
    }

    pub(super) fn set_value(&mut self, id: ValueId, tile: Rc<Tile>) {
        if let Some(slot) = self.values.get_mut(id.index()) {
            *slot = Some(tile);
        }
    }

    fn let_stmt(&mut self, id: super::super::ids::VarId) -> Run<()> {
        let kernel: &'a Kernel = self.kernel;
        let Some(var) = kernel.var(id) else { return fault(RunErrorKind::Malformed, "no such scalar") };
        let n = match &var.def {
            VarDef::Let(e) if var.axes.is_empty() => self.scalar(e)?,
            VarDef::Let(_) => return Ok(()),
            VarDef::Load(access) => to_index(self.read(access, &self.origin())?)?,
            VarDef::Scalar(v) => to_index(self.tile(*v)?.get(&self.origin()))?,
            _ => return fault(RunErrorKind::Malformed, "`let` of what is not a let"),
        };
        self.set_var(id, n);
        Ok(())
    }

    fn enter(&mut self, carried: &[Carried]) -> Run<()> {
        let inits = carried.iter().map(|c| self.tile(c.init)).collect::<Run<Vec<_>>>()?;
        for (c, tile) in carried.iter().zip(inits) {
            self.set_value(c.param, tile);
        }
        Ok(())
    }

    fn turn(&mut self, carried: &[Carried], yields: &[ValueId]) -> Run<()> {
        let next = yields.iter().map(|y| self.tile(*y)).collect::<Run<Vec<_>>>()?;
        for (c, tile) in carried.iter().zip(next) {
            self.set_value(c.param, tile);
        }
        Ok(())
    }

    fn leave(&mut self, carried: &[Carried], results: &[ValueId]) -> Run<()> {
        for (c, r) in carried.iter().zip(results) {
            let tile = self.tile(c.param)?;
            self.set_value(*r, tile);
        }
        Ok(())
    }

    fn run_loop(&mut self, l: &'a Loop) -> Step {
        let head = |f: Fault| Located(f, format!("loop `{}`", self.kernel.var(l.index).map_or("?", |v| &v.name)));
        let bounds = (|| -> Run<_> {
            let (lo, hi) = match &l.domain {
                Domain::Dense { lo, hi } | Domain::Strided { lo, hi, .. } => (self.scalar(lo)?, self.scalar(hi)?),
                Domain::List { count, .. } | Domain::Table { count } => (0, self.scalar(count)?),
                Domain::Point { .. } => (0, 1),
            };
            let step = l.axis.map_or(Some(1), |a| i64::try_from(*self.axis_extents.get(a.index())?).ok());
            let step =
                step.filter(|s| *s > 0).ok_or(Fault(RunErrorKind::Malformed, "the loop does not advance".into()))?;
            let full = match &l.full {
                Some((a, b)) => Some((self.scalar(a)?, self.scalar(b)?)),
                None => None,
            };
            Ok((lo, hi, step, full))
        })();
        let (lo, hi, step, full) = bounds.map_err(&head)?;
        let located = |f: Fault, k: &Kernel| Located(f, format!("loop `{}`", k.var(l.index).map_or("?", |v| &v.name)));
        let kernel = self.kernel;
        self.enter(&l.carried).map_err(|f| located(f, kernel))?;
        let mut at = lo;
        while at < hi {
            self.burn().map_err(|f| located(f, kernel))?;
            self.counts.iterations += 1;
            self.set_var(l.index, at);
            // An iteration that sticks out over the end is never full, whatever the range says.
            let inside =
                full.is_some_and(|(a, b)| a <= at && at.saturating_add(step) <= b) && at.saturating_add(step) <= hi;
            self.frames.push(Frame { l, full: inside });
            self.position(l, at, hi).map_err(|f| located(f, kernel))?;
            self.stmts(&l.body)?;
            self.frames.pop();
            self.turn(&l.carried, &l.yields).map_err(|f| located(f, kernel))?;
            at = at.saturating_add(step);
        }
        self.leave(&l.carried, &l.results).map_err(|f| located(f, kernel))
    }

    /// Defines the position of a loop that has no axis, and reads the entries of a list.
    fn position(&mut self, l: &'a Loop, at: i64, hi: i64) -> Run<()> {
        let kernel: &'a Kernel = self.kernel;
        // The last iteration's position must not be seen by the next one.
        if let Some(slot) = self.vars.get_mut(l.pos.index()) {
            *slot = None;
        }
        match kernel.var(l.pos).map(|v| &v.def) {
            Some(VarDef::Position(e)) if l.axis.is_none() => {
                let n = self.scalar(e)?;
                self.set_var(l.pos, n);
            }
            Some(VarDef::Entry(access)) => {
                let axes = l.axis.map(Into::into).unwrap_or_default();
                let mut tile = Tile::undefined(axes, &self.axis_extents);
                let mut walk = Walk::new(axes, &self.axis_extents, &self.origin());
                while walk.next() {
                    let offset = l.axis.and_then(|a| walk.coords.get(a.index()).copied()).unwrap_or(0);
                    if at.saturating_add(offset) < hi {
                        tile.set(&walk.coords, self.read(access, &walk.coords)?);
                    }
                }
                let slot = ValueId::new(kernel.values.len() + l.pos.index());
                self.set_value(slot, Rc::new(tile));
            }
            _ => {}
        }
        debug_assert!(l.domain.end().is_some() || l.axis.is_none(), "a point with an axis");
        Ok(())
    }

    fn run_while(&mut self, w: &'a While) -> Step {
        let located = |f: Fault| Located(f, "`while`".into());
        self.enter(&w.carried).map_err(located)?;
        let bound = self.scalar(&w.bound).map_err(located)?;
        let mut turns = 0;
        while self.going(w).map_err(located)? {
            turns += 1;
            if turns > bound {
                return Err(located(Fault(RunErrorKind::Limit, format!("more than {bound} iterations"))));
            }
            self.burn().map_err(located)?;
            self.counts.iterations += 1;
            self.stmts(&w.body)?;
            self.turn(&w.carried, &w.yields).map_err(located)?;
        }
        self.leave(&w.carried, &w.results).map_err(located)
    }

    fn going(&self, w: &While) -> Run<bool> {
        let Some(first) = w.carried.first() else {
            return fault(RunErrorKind::Malformed, "a `while` without a condition");
        };
        let go = self.tile(first.param)?.get(&self.origin());
        if go.is_nan() {
            return fault(RunErrorKind::Undefined, "the condition of a `while` is undefined");
        }
        Ok(go != 0.0)
    }

    fn run_if(&mut self, i: &'a If) -> Step {
        let located = |f: Fault| Located(f, "`if`".into());
        let (body, yields) = match self.holds(&i.cond, &self.origin()).map_err(located)? {
            true => (&i.then_body, &i.then_yields),
            false => (&i.else_body, &i.else_yields),
        };
        self.stmts(body)?;
        for (y, r) in yields.iter().zip(&i.results) {
            let tile = self.tile(*y).map_err(located)?;
            self.set_value(*r, tile);
        }
        Ok(())
    }
}
