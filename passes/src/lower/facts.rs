//! Who defines and who reads each tile value of a kernel, and in which order.
//!
//! Statements are numbered in program order; a loop has a number for its head and one for the end of its body, where it
//! reads what it yields. From this follow which values need memory, what may be read late, and which carried values can
//! be updated in place.

use rustc_hash::FxHashMap;
use weft_ir::kernel::{
    Access, Expr, Guard, If, Inst, Kernel, Loop, OpCode, Place, Stmt, ValueId, VarDef, VarId, While,
};

/// A body of statements: the kernel's, a loop's, a branch's.
#[derive(Clone, Copy, Debug)]
pub(super) struct Region {
    /// The region around it; its own number for the outermost.
    pub(super) parent: usize,
    /// Do its statements run more than once for one run of the parent?
    pub(super) repeats: bool,
    /// Number of its end.
    pub(super) end: usize,
}

/// How a value comes to be.
#[derive(Clone, Copy, Debug)]
pub(super) enum Def<'a> {
    /// Result of a tile statement, by position among its results.
    Inst(&'a Inst, usize),
    /// Carried value inside a loop.
    Param,
    /// Result of a loop or a branch.
    Result,
}

/// How a statement reads a value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Role {
    /// Operand of a tile statement, by position.
    Operand(usize),
    /// In a guard, in an index, as a condition, as the start of a carried value.
    Other,
    /// As the next value of a carried value.
    Yield,
}

/// One reading of a value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Use<'a> {
    /// Number of the reading statement.
    pub(super) at: usize,
    /// Where it stands.
    pub(super) region: usize,
    /// The statement, if it is a tile statement.
    pub(super) inst: Option<&'a Inst>,
    /// How.
    pub(super) role: Role,
}

/// The facts of one kernel.
pub(super) struct Facts<'a> {
    kernel: &'a Kernel,
    /// Regions; the first is the kernel's body.
    pub(super) regions: Vec<Region>,
    /// By value: definition, number of the defining statement, its region.
    pub(super) defs: Vec<Option<(Def<'a>, usize, usize)>>,
    /// By value.
    pub(super) uses: Vec<Vec<Use<'a>>>,
    /// Statements that write to a place.
    writes: Vec<(Place, usize)>,
    /// Values read by the definitions of named index expressions.
    next: usize,
    /// (carried parameter, value yielded for it, result, region of the body)
    pub(super) carries: Vec<(ValueId, ValueId, ValueId, usize)>,
    /// Number of the head of each loop, by its index variable.
    pub(super) loops: FxHashMap<VarId, usize>,
}

impl<'a> Facts<'a> {
    pub(super) fn new(kernel: &'a Kernel) -> Self {
        let n = kernel.values.len();
        let mut facts = Self {
            kernel,
            regions: vec![Region { parent: 0, repeats: false, end: usize::MAX }],
            defs: vec![None; n],
            uses: (0..n).map(|_| Vec::new()).collect(),
            writes: Vec::new(),
            next: 0,
            carries: Vec::new(),
            loops: FxHashMap::default(),
        };
        facts.body(&kernel.body, 0);
        facts
    }

    fn tick(&mut self) -> usize {
        self.next += 1;
        self.next
    }

    fn open(&mut self, parent: usize, repeats: bool) -> usize {
        self.regions.push(Region { parent, repeats, end: usize::MAX });
        self.regions.len() - 1
    }

    fn read(&mut self, v: ValueId, at: usize, region: usize, inst: Option<&'a Inst>, role: Role) {
        if let Some(uses) = self.uses.get_mut(v.index()) {
            uses.push(Use { at, region, inst, role });
        }
    }

    fn expr(&mut self, e: &'a Expr, at: usize, region: usize, inst: Option<&'a Inst>) {
        let mut found = Vec::new();
        self.values_of(e, &mut found);
        for v in found {
            self.read(v, at, region, inst, Role::Other);
        }
    }

    /// The values that an expression reads, also through names.
    fn values_of(&self, e: &Expr, found: &mut Vec<ValueId>) {
        e.visit(&mut |e| match e {
            Expr::Value(v) => found.push(*v),
            Expr::Var(v) => {
                if let Some(VarDef::Let(e) | VarDef::Position(e)) = self.kernel.var(*v).map(|v| &v.def) {
                    self.values_of(e, found);
                }
            }
            _ => {}
        });
    }

    fn access(&mut self, access: &'a Access, at: usize, region: usize, inst: Option<&'a Inst>) {
        for e in &access.index {
            self.expr(e, at, region, inst);
        }
    }

    fn guard(&mut self, guard: &'a Guard, at: usize, region: usize, inst: Option<&'a Inst>) {
        for atom in &guard.atoms {
            self.expr(&atom.lhs, at, region, inst);
            self.expr(&atom.rhs, at, region, inst);
        }
        for v in &guard.opaque {
            self.read(*v, at, region, inst, Role::Other);
        }
    }

    fn define(&mut self, v: ValueId, def: Def<'a>, at: usize, region: usize) {
        if let Some(slot) = self.defs.get_mut(v.index()) {
            *slot = Some((def, at, region));
        }
    }

    fn body(&mut self, stmts: &'a [Stmt], region: usize) {
        for stmt in stmts {
            match stmt {
                Stmt::Let(var) => self.scalar(*var, region),
                Stmt::Inst(inst) => self.inst(inst, region),
                Stmt::Loop(l) => self.for_loop(l, region),
                Stmt::While(w) => self.while_loop(w, region),
                Stmt::If(i) => self.branch(i, region),
            }
        }
    }

    fn scalar(&mut self, var: VarId, region: usize) {
        let at = self.tick();
        let kernel = self.kernel;
        match kernel.var(var).map(|v| &v.def) {
            Some(VarDef::Let(e)) => self.expr(e, at, region, None),
            Some(VarDef::Load(access)) => self.access(access, at, region, None),
            Some(VarDef::Scalar(v)) => self.read(*v, at, region, None, Role::Other),
            _ => {}
        }
    }

    fn inst(&mut self, inst: &'a Inst, region: usize) {
        let at = self.tick();
        for (i, v) in inst.args.iter().enumerate() {
            self.read(*v, at, region, Some(inst), Role::Operand(i));
        }
        if let Some(access) = &inst.attrs.access {
            self.access(access, at, region, Some(inst));
            let writes = [OpCode::Store, OpCode::Accum, OpCode::TableSet, OpCode::TableAdd, OpCode::Hist];
            if writes.contains(&inst.op) {
                self.writes.push((access.place, at));
            }
        }
        if let Some(e) = &inst.attrs.at {
            self.expr(e, at, region, Some(inst));
        }
        self.guard(&inst.attrs.guard, at, region, Some(inst));
        for (i, v) in inst.results.iter().enumerate() {
            self.define(*v, Def::Inst(inst, i), at, region);
        }
    }

    fn for_loop(&mut self, l: &'a Loop, region: usize) {
        use weft_ir::kernel::Domain;
        let at = self.tick();
        self.loops.insert(l.index, at);
        let (a, b, c) = match &l.domain {
            Domain::Dense { lo, hi } => (Some(lo), Some(hi), None),
            Domain::Strided { base, lo, hi, .. } => (Some(lo), Some(hi), Some(base)),
            Domain::List { list, count } => {
                self.access(list, at, region, None);
                (Some(count), None, None)
            }
            Domain::Table { count } => (Some(count), None, None),
            Domain::Point { at } => (Some(at), None, None),
        };
        for e in [a, b, c].into_iter().flatten() {
            self.expr(e, at, region, None);
        }
        if let Some((lo, hi)) = &l.full {
            self.expr(lo, at, region, None);
            self.expr(hi, at, region, None);
        }
        let body = self.open(region, true);
        self.carry(&l.carried, &l.yields, &l.results, at, region, body, &l.body);
    }

    fn while_loop(&mut self, w: &'a While, region: usize) {
        let at = self.tick();
        self.expr(&w.bound, at, region, None);
        let body = self.open(region, true);
        self.carry(&w.carried, &w.yields, &w.results, at, region, body, &w.body);
    }

    #[allow(clippy::too_many_arguments, reason = "the parts of a loop, which for and while loops share")]
    fn carry(
        &mut self,
        carried: &'a [weft_ir::kernel::Carried],
        yields: &'a [ValueId],
        results: &'a [ValueId],
        at: usize,
        region: usize,
        body: usize,
        stmts: &'a [Stmt],
    ) {
        for c in carried {
            self.read(c.init, at, region, None, Role::Other);
            self.define(c.param, Def::Param, at, body);
        }
        self.body(stmts, body);
        let end = self.tick();
        self.regions[body].end = end;
        for y in yields {
            self.read(*y, end, body, None, Role::Yield);
        }
        for ((c, y), r) in carried.iter().zip(yields).zip(results) {
            self.carries.push((c.param, *y, *r, body));
            self.define(*r, Def::Result, end, region);
        }
    }

    fn branch(&mut self, i: &'a If, region: usize) {
        let at = self.tick();
        self.guard(&i.cond, at, region, None);
        for (stmts, yields) in [(&i.then_body, &i.then_yields), (&i.else_body, &i.else_yields)] {
            let body = self.open(region, false);
            self.body(stmts, body);
            let end = self.tick();
            self.regions[body].end = end;
            for y in yields {
                self.read(*y, end, body, None, Role::Yield);
            }
        }
        let end = self.tick();
        for r in &i.results {
            self.define(*r, Def::Result, end, region);
        }
    }

    /// The definition of a value by a tile statement.
    pub(super) fn inst_of(&self, v: ValueId) -> Option<(&'a Inst, usize)> {
        match self.defs.get(v.index()) {
            Some(Some((Def::Inst(inst, i), _, _))) => Some((inst, *i)),
            _ => None,
        }
    }

    /// Do the statements of `inner` run more than once for one run of those of `outer`, which is around it?
    pub(super) fn repeats(&self, mut inner: usize, outer: usize) -> bool {
        while inner != outer && inner != 0 {
            if self.regions[inner].repeats {
                return true;
            }
            inner = self.regions[inner].parent;
        }
        false
    }

    /// The last moment at which a reading in `region` at number `at` can happen, seen from `home`: a reading in a loop
    /// inside `home` happens again until the loop ends.
    pub(super) fn latest(&self, at: usize, mut region: usize, home: usize) -> usize {
        let mut latest = at;
        while region != home && region != 0 {
            if self.regions[region].repeats {
                latest = latest.max(self.regions[region].end);
            }
            region = self.regions[region].parent;
        }
        latest
    }

    /// Is a place written after `from` and not after `to`?
    pub(super) fn written(&self, place: Place, from: usize, to: usize) -> bool {
        self.writes.iter().any(|(p, at)| *p == place && *at > from && *at <= to)
    }

    /// Does the kernel write the place at all?
    pub(super) fn is_written(&self, place: Place) -> bool {
        self.writes.iter().any(|(p, _)| *p == place)
    }
}
