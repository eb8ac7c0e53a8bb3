//! Statements: scalars, loops, branches, and the values that go around them.

use weft_ir::kernel::{
    Atom, AxisId, AxisSet, Carried, Domain, Expr, Guard, If, Inst, Loop, OpCode, Stmt, ValueId, VarDef, VarId, While,
};
use weft_ir::loops::{Binary, Compare, Elem, Ty, Unroll, Value};

use super::emit::{Emitter, Storage};
use super::error::Emit;
use super::point::Point;

impl Emitter<'_> {
    /// A body of statements.
    pub(super) fn body(&mut self, stmts: &[Stmt]) -> Emit<()> {
        for stmt in stmts {
            match stmt {
                Stmt::Let(var) => {
                    self.define_scalar(*var).map_err(|m| format!("`let {}`: {m}", self.var_name(*var)))?;
                }
                Stmt::Inst(inst) => self.inst(inst).map_err(|m| self.place_fault(inst, &m))?,
                Stmt::Loop(l) => self.for_loop(l)?,
                Stmt::While(w) => self.bounded_while(w)?,
                Stmt::If(i) => self.branch(i)?,
            }
        }
        Ok(())
    }

    fn place_fault(&self, inst: &Inst, message: &str) -> String {
        let result = inst.results.first().and_then(|v| self.kernel.value(*v));
        let name = weft_ir::kernel::name_of(inst);
        match result {
            Some(value) => format!("`%{} = {name}`: {message}", value.name),
            None => format!("`{name}`: {message}"),
        }
    }

    fn var_name(&self, var: VarId) -> &str {
        self.kernel.var(var).map_or("?", |v| &v.name)
    }

    fn define_scalar(&mut self, var: VarId) -> Emit<()> {
        let origin = Point::default();
        let kernel = self.kernel;
        let declared = kernel.var(var).ok_or("is not declared")?;
        self.scalars.remove(&var);
        let x = match &declared.def {
            // A name for an index expression, expanded where it is used.
            VarDef::Let(_) if !declared.axes.is_empty() => return Ok(()),
            VarDef::Let(e) => self.scalar(e, &origin)?,
            VarDef::Load(access) => {
                let address = self.address(access, &origin)?;
                let x = self.load_from(&address, None, None, None)?;
                self.kb.convert(x, Elem::I64)
            }
            VarDef::Scalar(v) => {
                let x = self.value(*v, &origin)?;
                self.kb.convert(x, Elem::I64)
            }
            VarDef::Grid | VarDef::LoopIndex | VarDef::Position(_) | VarDef::Entry(_) => {
                return Err("is defined by its loop, not by `let`".into());
            }
        };
        self.scalars.insert(var, x);
        Ok(())
    }

    fn inst(&mut self, inst: &Inst) -> Emit<()> {
        match inst.op {
            OpCode::Load | OpCode::TableRead => self.define_load(inst),
            OpCode::Index
            | OpCode::Fill
            | OpCode::Map
            | OpCode::Cast
            | OpCode::Select
            | OpCode::Expand
            | OpCode::Rename
            | OpCode::Take
            | OpCode::Rescale => self.define_elementwise(inst),
            OpCode::Store | OpCode::TableSet => self.store(inst),
            OpCode::Accum | OpCode::TableAdd | OpCode::Hist => self.accumulate_into(inst),
            OpCode::Dot => self.dot(inst),
            OpCode::Reduce => self.reduce(inst),
            OpCode::Scan => self.scan(inst),
            OpCode::Online => self.online(inst),
            OpCode::Merge => self.merge(inst),
            OpCode::Combine => self.combine(inst),
            OpCode::TopK => self.topk(inst),
            OpCode::MergeTopK => self.merge_topk(inst),
            OpCode::Compact => self.compact(inst),
            OpCode::RankCount | OpCode::Search => self.count(inst),
        }
    }

    /// An elementwise statement: nothing if its result is an expression.
    fn define_elementwise(&mut self, inst: &Inst) -> Emit<()> {
        let result = *inst.results.first().ok_or("has no result")?;
        if self.is_expression(result) {
            return Ok(());
        }
        let axes = self.ty(result)?.axes;
        let lanes = self.lanes_of(result);
        let storage = self.slot(result)?;
        self.nest(axes, lanes, &inst.args, &Point::default(), &mut |e, p| {
            let x = e.expression(inst, p)?;
            e.store_tile(&storage, p, x)
        })
    }

    /// Computes or copies a value into memory.
    fn copy(&mut self, v: ValueId, to: &Storage) -> Emit<()> {
        let axes = self.ty(v)?.axes;
        let lanes = to.strides.first().map(|(a, _)| *a);
        self.nest(axes, lanes.filter(|a| self.extent(*a) > 1), &[v], &Point::default(), &mut |e, p| {
            let x = e.value(v, p)?;
            e.store_tile(to, p, x)
        })
    }

    fn start_carried(&mut self, carried: &[Carried]) -> Emit<()> {
        for c in carried {
            if self.is_expression(c.init) || self.home(c.init) != self.home(c.param) {
                let slot = self.slot(c.param)?;
                self.copy(c.init, &slot)?;
            }
        }
        Ok(())
    }

    /// The next values of carried values, all at once: what would be overwritten before it is read goes through a copy.
    fn next_carried(&mut self, carried: &[Carried], yields: &[ValueId]) -> Emit<()> {
        let params: Vec<ValueId> = carried.iter().map(|c| self.home(c.param)).collect();
        let mut late = Vec::new();
        for (c, y) in carried.iter().zip(yields) {
            if !self.is_expression(*y) && self.home(*y) == self.home(c.param) {
                continue;
            }
            let mut from = None;
            if !self.is_expression(*y) && params.contains(&self.home(*y)) {
                let axes = self.ty(*y)?.axes;
                let innermost = self.lanes_of(c.param);
                let elem = self.elem_of(*y)?;
                let copy = self.allocate("yielded", elem, axes, innermost)?;
                self.copy(*y, &copy)?;
                from = Some(copy);
            }
            late.push((c.param, *y, from));
        }
        for (param, y, from) in late {
            let to = self.slot(param)?;
            match from {
                None => self.copy(y, &to)?,
                Some(from) => {
                    let axes = self.ty(param)?.axes;
                    let lanes = self.lanes_of(param);
                    self.nest(axes, lanes, &[], &Point::default(), &mut |e, p| {
                        let x = e.load_tile(&from, p)?;
                        e.store_tile(&to, p, x)
                    })?;
                }
            }
        }
        Ok(())
    }

    fn for_loop(&mut self, l: &Loop) -> Emit<()> {
        let name = self.var_name(l.index).to_owned();
        self.for_loop_inner(l).map_err(|m| if m.starts_with('`') { m } else { format!("`loop {name}`: {m}") })
    }

    fn for_loop_inner(&mut self, l: &Loop) -> Emit<()> {
        let origin = Point::default();
        self.start_carried(&l.carried)?;
        let zero = self.kb.int(0);
        let (lo, hi) = match &l.domain {
            Domain::Dense { lo, hi } | Domain::Strided { lo, hi, .. } => {
                (self.scalar(lo, &origin)?, self.scalar(hi, &origin)?)
            }
            Domain::List { count, .. } | Domain::Table { count } => (zero, self.scalar(count, &origin)?),
            Domain::Point { .. } => {
                return self.scope(|e| {
                    e.scalars.insert(l.index, zero);
                    e.iteration(l, zero, None)
                });
            }
        };
        let step = l.axis.map_or(1, |a| self.extent(a));
        let full = match &l.full {
            Some((from, to)) if self.has_atoms_about(&l.body, &(l.index, l.pos, l.axis)) => {
                let (from, to) = (self.scalar(from, &origin)?, self.scalar(to, &origin)?);
                Some((from, self.kb.min(to, hi)))
            }
            _ => None,
        };
        self.for_range((lo, hi, step), Unroll::No, |e, i| {
            e.scalars.insert(l.index, i);
            let Some((from, to)) = full else { return e.iteration(l, i, Some(hi)) };
            let end = e.kb.add_int(i, step);
            let after = e.kb.compare(Compare::Ge, i, from);
            let before = e.kb.compare(Compare::Le, end, to);
            let inside = e.kb.binary(Binary::And, after, before);
            e.if_else(
                inside,
                |e| {
                    e.full.push((l.index, l.pos, l.axis));
                    let done = e.iteration(l, i, Some(hi));
                    e.full.pop();
                    done
                },
                |e| e.iteration(l, i, Some(hi)),
            )
        })
    }

    /// One iteration, with the index bound.
    fn iteration(&mut self, l: &Loop, index: Value, hi: Option<Value>) -> Emit<()> {
        let kernel = self.kernel;
        let pos = kernel.var(l.pos).ok_or("the position is not declared")?;
        self.scalars.remove(&l.pos);
        match &pos.def {
            VarDef::Entry(access) => self.read_entries(l, access, index, hi)?,
            VarDef::Position(e) if pos.axes.is_empty() => {
                let at = self.scalar(e, &Point::default())?;
                self.scalars.insert(l.pos, at);
            }
            _ => {}
        }
        self.body(&l.body)?;
        self.next_carried(&l.carried, &l.yields)
    }

    /// Reads the entries of a list loop's tile; those behind the end of the list count as 0.
    fn read_entries(
        &mut self,
        l: &Loop,
        access: &weft_ir::kernel::Access,
        index: Value,
        hi: Option<Value>,
    ) -> Emit<()> {
        let Some(axis) = l.axis else {
            let address = self.address(access, &Point::default())?;
            let x = self.load_from(&address, None, None, None)?;
            let x = self.kb.convert(x, Elem::I64);
            self.scalars.insert(l.pos, x);
            return Ok(());
        };
        let storage = match self.entries.get(&l.pos) {
            Some(storage) => storage.clone(),
            None => {
                let name = self.var_name(l.pos).to_owned();
                let storage = self.allocate(&name, Elem::I64, AxisSet::EMPTY, Some(axis))?;
                self.entries.insert(l.pos, storage.clone());
                storage
            }
        };
        // Padding of the array too, which vectors read.
        self.for_extent(storage.len, 1, |e, i| {
            let p = Point::default().with(axis, i);
            let at = e.kb.add(index, i);
            let exists = hi.map(|hi| e.kb.compare(Compare::Lt, at, hi));
            let address = e.address(access, &p)?;
            let x = e.load_from(&address, None, exists, None)?;
            let x = e.kb.convert(x, Elem::I64);
            e.store_tile(&storage, &p, x)
        })
    }

    /// Does a guard in these statements have an atom that speaks of a loop?
    fn has_atoms_about(&self, stmts: &[Stmt], l: &(VarId, VarId, Option<AxisId>)) -> bool {
        let atom = |a: &Atom| self.speaks_of(&a.lhs, l) || self.speaks_of(&a.rhs, l);
        let guard = |g: &Guard| g.atoms.iter().any(atom);
        stmts.iter().any(|stmt| match stmt {
            Stmt::Let(_) => false,
            Stmt::Inst(inst) => guard(&inst.attrs.guard),
            Stmt::Loop(inner) => self.has_atoms_about(&inner.body, l),
            Stmt::While(w) => self.has_atoms_about(&w.body, l),
            Stmt::If(i) => {
                guard(&i.cond) || self.has_atoms_about(&i.then_body, l) || self.has_atoms_about(&i.else_body, l)
            }
        })
    }

    fn bounded_while(&mut self, w: &While) -> Emit<()> {
        let first = w.carried.first().ok_or("`while`: has no condition")?;
        self.start_carried(&w.carried)?;
        let bound: &Expr = &w.bound;
        let bound = self.scalar(bound, &Point::default())?;
        let go = self.slot(first.param)?;
        let zero = self.kb.zero(Ty::I64);
        let count = self.kb.var("iterations", zero);
        self.while_loop(
            |e| {
                let place = weft_ir::loops::KernelBuilder::at_const(go.ptr, 0);
                let go = e.kb.load(place, 1);
                let n = e.kb.get(count);
                let less = e.kb.compare(Compare::Lt, n, bound);
                e.kb.binary(Binary::And, go, less)
            },
            |e| {
                let n = e.kb.get(count);
                let n = e.kb.add_int(n, 1);
                e.kb.set(count, n);
                e.body(&w.body)?;
                e.next_carried(&w.carried, &w.yields)
            },
        )
    }

    fn branch(&mut self, i: &If) -> Emit<()> {
        let cond = self.guard(&i.cond, &Point::default()).map_err(|m| format!("`if`: {m}"))?;
        let then = |e: &mut Self| e.branch_body(&i.then_body, &i.then_yields, &i.results);
        let Some(cond) = cond else { return self.scope(then) };
        self.if_else(cond, then, |e| e.branch_body(&i.else_body, &i.else_yields, &i.results))
    }

    fn branch_body(&mut self, stmts: &[Stmt], yields: &[ValueId], results: &[ValueId]) -> Emit<()> {
        self.body(stmts)?;
        for (y, r) in yields.iter().zip(results) {
            let slot = self.slot(*r)?;
            self.copy(*y, &slot)?;
        }
        Ok(())
    }
}
