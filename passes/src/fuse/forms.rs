//! Index expressions as linear forms, so that equal indices are seen to be equal however they are written.

use indexmap::IndexSet;
use rustc_hash::FxBuildHasher;
use weft_ir::kernel::{BinOp, Expr, Kernel, Plan, VarDef};
use weft_ir::linear::Lin;

/// The unknowns of the forms of one kernel.
pub(super) struct Forms<'a> {
    plan: &'a Plan,
    kernel: &'a Kernel,
    atoms: IndexSet<Expr, FxBuildHasher>,
}

impl<'a> Forms<'a> {
    pub(super) fn new(plan: &'a Plan, kernel: &'a Kernel) -> Self {
        Self { plan, kernel, atoms: IndexSet::default() }
    }

    /// What a form's unknown stands for.
    pub(super) fn atom(&self, n: usize) -> Option<&Expr> {
        self.atoms.get_index(n)
    }

    fn unknown(&mut self, e: Expr) -> Lin<usize> {
        Lin::var(self.atoms.insert_full(e).0)
    }

    /// The form of an expression; `None` on overflow.
    pub(super) fn of(&mut self, e: &Expr) -> Option<Lin<usize>> {
        if let Some(n) = self.plan.static_value(e) {
            return Some(Lin::new(n));
        }
        match e {
            Expr::Var(v) => match self.kernel.var(*v).map(|v| &v.def) {
                Some(VarDef::Let(e) | VarDef::Position(e)) => self.of(e),
                _ => Some(self.unknown(e.clone())),
            },
            Expr::Binary(BinOp::Add, a, b) => self.of(a)?.checked_add(&self.of(b)?, 1),
            Expr::Binary(BinOp::Sub, a, b) => self.of(a)?.checked_add(&self.of(b)?, -1),
            Expr::Binary(BinOp::Mul, a, b) => {
                let (a, b) = (self.of(a)?, self.of(b)?);
                match a.times(&b) {
                    Some(product) => Some(product),
                    None => Some(self.unknown(self.spelled(e))),
                }
            }
            _ => Some(self.unknown(self.spelled(e))),
        }
    }

    /// The expression with names replaced by what they stand for.
    fn spelled(&self, e: &Expr) -> Expr {
        // A definition speaks only of scalars before it, so this ends.
        e.substitute(&|leaf| match leaf {
            Expr::Var(v) => match self.kernel.var(*v).map(|v| &v.def) {
                Some(VarDef::Let(e) | VarDef::Position(e)) => Some(self.spelled(e)),
                _ => None,
            },
            leaf => self.plan.static_value(leaf).map(Expr::Const),
        })
    }

    /// A form as an expression.
    pub(super) fn expr(&self, form: &Lin<usize>) -> Expr {
        let mut sum: Option<Expr> = None;
        for (n, factor) in form.terms() {
            let Some(atom) = self.atom(*n) else { continue };
            let term = Expr::Const(factor) * atom.clone();
            sum = Some(match sum {
                None => term,
                Some(s) => s + term,
            });
        }
        match (sum, form.constant()) {
            (None, c) => Expr::Const(c),
            (Some(s), c) => s + c,
        }
    }
}
