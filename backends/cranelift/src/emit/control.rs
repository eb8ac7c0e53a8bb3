//! Statements: loops, conditionals, assignments.
//!
//! Counted loops test at the bottom, so an iteration costs one branch. Unrolling happens here, by emitting the body
//! several times.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, types};
use weft_ir::loops::{Block, For, Stmt, Unroll};

use super::{Emit, Emitter, Lanes};

impl Emitter<'_, '_> {
    pub(super) fn block(&mut self, block: &Block) -> Emit<()> {
        block.stmts.iter().try_for_each(|stmt| self.stmt(stmt))
    }

    fn stmt(&mut self, stmt: &Stmt) -> Emit<()> {
        match stmt {
            Stmt::Let(value, op) => {
                let lanes = self.op(*value, op)?;
                self.define(*value, lanes);
                Ok(())
            }
            Stmt::Set(var, value) => {
                let lanes = self.lanes(*value)?;
                let vars = self.vars[var.0 as usize].clone();
                for (&var, &piece) in vars.iter().zip(&lanes.pieces) {
                    self.fb.def_var(var, piece);
                }
                Ok(())
            }
            Stmt::Store(reference, value) => self.store(reference, *value),
            Stmt::LoadBlock { columns, place, stride } => self.load_block(*columns, *place, *stride),
            Stmt::StoreBlock { columns, place, stride } => self.store_block(*columns, *place, *stride),
            Stmt::For(l) => self.for_loop(l),
            Stmt::If(cond, then, otherwise) => {
                let cond = self.scalar(*cond)?;
                let (yes, no, after) = (self.fb.create_block(), self.fb.create_block(), self.fb.create_block());
                self.fb.ins().brif(cond, yes, &[], no, &[]);
                for (start, block) in [(yes, then), (no, otherwise)] {
                    self.fb.seal_block(start);
                    self.fb.switch_to_block(start);
                    self.block(block)?;
                    self.fb.ins().jump(after, &[]);
                }
                self.fb.seal_block(after);
                self.fb.switch_to_block(after);
                Ok(())
            }
            Stmt::While { header, cond, body } => {
                let (test, inside, after) = (self.fb.create_block(), self.fb.create_block(), self.fb.create_block());
                self.fb.ins().jump(test, &[]);
                self.fb.switch_to_block(test);
                self.block(header)?;
                let cond = self.scalar(*cond)?;
                self.fb.ins().brif(cond, inside, &[], after, &[]);
                self.fb.seal_block(inside);
                self.fb.switch_to_block(inside);
                self.block(body)?;
                self.fb.ins().jump(test, &[]);
                self.fb.seal_block(test);
                self.fb.seal_block(after);
                self.fb.switch_to_block(after);
                Ok(())
            }
        }
    }

    fn for_loop(&mut self, l: &For) -> Emit<()> {
        let constants = self.ints.get(&l.lo).zip(self.ints.get(&l.hi)).map(|(&lo, &hi)| (lo, hi));
        let trips = constants.map(|(lo, hi)| {
            let span = i128::from(hi) - i128::from(lo);
            (span.max(0) + i128::from(l.step) - 1) / i128::from(l.step)
        });
        match (l.unroll, trips) {
            (_, Some(0)) => Ok(()),
            (Unroll::Full, Some(n)) => {
                let lo = self.scalar(l.lo)?;
                for k in 0..n {
                    let k = i64::try_from(k).map_err(|e| e.to_string())?;
                    self.iteration(l, lo, k * l.step)?;
                }
                Ok(())
            }
            (Unroll::Full, None) => Err(format!("loop over {} has no constant bounds", l.index)),
            (Unroll::No, _) => self.counted(l, 1, false, trips),
            (Unroll::By(n), Some(trips)) if trips < i128::from(n) => self.counted(l, 1, false, Some(trips)),
            (Unroll::By(n), _) => {
                let remainder = trips.is_none_or(|t| t % i128::from(n) != 0);
                self.counted(l, n, remainder, trips)
            }
        }
    }

    /// One copy of the body, with the counter at `at + offset`.
    fn iteration(&mut self, l: &For, at: cranelift_codegen::ir::Value, offset: i64) -> Emit<()> {
        let index = self.offset_bytes(at, offset);
        self.define(l.index, Lanes::scalar(index));
        self.block(&l.body)
    }

    /// A loop with `copies` copies of the body per round, and, if asked for, a second loop for what remains.
    fn counted(&mut self, l: &For, copies: u32, remainder: bool, trips: Option<i128>) -> Emit<()> {
        let (lo, hi) = (self.scalar(l.lo)?, self.scalar(l.hi)?);
        let counter = self.fb.declare_var(types::I64);
        self.fb.def_var(counter, lo);
        let round = l.step.checked_mul(i64::from(copies)).ok_or("loop step too large")?;
        // The last counter value at which a whole round fits is below this bound.
        let bound = self.offset_bytes(hi, l.step - round);
        self.rounds(l, counter, bound, copies, round, trips.is_some())?;
        if remainder {
            self.rounds(l, counter, hi, 1, l.step, false)?;
        }
        Ok(())
    }

    fn rounds(
        &mut self,
        l: &For,
        counter: cranelift_frontend::Variable,
        bound: cranelift_codegen::ir::Value,
        copies: u32,
        round: i64,
        entered: bool,
    ) -> Emit<()> {
        let (body, after) = (self.fb.create_block(), self.fb.create_block());
        if entered {
            self.fb.ins().jump(body, &[]);
        } else {
            let first = self.fb.use_var(counter);
            let enter = self.fb.ins().icmp(IntCC::SignedLessThan, first, bound);
            self.fb.ins().brif(enter, body, &[], after, &[]);
        }
        self.fb.switch_to_block(body);
        let at = self.fb.use_var(counter);
        for copy in 0..copies {
            self.iteration(l, at, i64::from(copy) * l.step)?;
        }
        let next = self.offset_bytes(at, round);
        self.fb.def_var(counter, next);
        let again = self.fb.ins().icmp(IntCC::SignedLessThan, next, bound);
        self.fb.ins().brif(again, body, &[], after, &[]);
        self.fb.seal_block(body);
        self.fb.seal_block(after);
        self.fb.switch_to_block(after);
        Ok(())
    }
}
