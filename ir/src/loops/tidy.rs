//! Tidying: what a maker of kernels need not care about, for backends without an optimiser of their own.
//!
//! - equal pure operations are computed once, if the first is visible to the second;
//! - pure operations whose operands do not change in a loop move in front of it (nothing traps, so that is always
//!   allowed). Constants stay where they are: they are cheaper to make again than to keep in a register;
//! - definitions that nothing uses disappear.
//!
//! The order of everything else is kept. It is the maker's choice, and a backend's register allocation depends on it.

use rustc_hash::FxHashMap;
use smallvec::{SmallVec, smallvec};

use super::kernel::{Block, Const, Kernel, Op, Stmt, Value};
use super::types::Ty;

/// The kernel, tidied; it computes the same. Values keep their numbers, some are no longer defined.
///
/// # Panics
/// May panic on a kernel that [`verify`](super::verify) refuses: verify first.
#[must_use]
pub fn tidy(kernel: &Kernel) -> Kernel {
    let mut pass = Pass {
        values: kernel.values.clone(),
        renamed: FxHashMap::default(),
        known: FxHashMap::default(),
        depth: vec![0; kernel.values.len()],
        constants: FxHashMap::default(),
        open: vec![Vec::new()],
        scopes: vec![Vec::new()],
        loops: Vec::new(),
    };
    pass.block(&kernel.body);
    let mut body = Block { stmts: pass.open.pop().unwrap_or_default() };
    let values = pass.values;
    let mut used = vec![false; values.len()];
    sweep(&mut body, &mut used);
    Kernel { values, body, ..kernel.clone() }
}

/// What makes two operations equal: result type, kind with its attributes, operands.
type Key = (Ty, SmallVec<[u64; 8]>);

struct Pass {
    values: Vec<Ty>,
    /// Values that turned out equal to earlier ones.
    renamed: FxHashMap<Value, Value>,
    /// Computed so far and visible here.
    known: FxHashMap<Key, Value>,
    /// Number of blocks open around each value's definition; 0 for parameters.
    depth: Vec<usize>,
    /// Constants, which are copied rather than moved.
    constants: FxHashMap<Value, Const>,
    /// Statements of the open blocks, innermost last.
    open: Vec<Vec<Stmt>>,
    /// Keys that were added in each open block.
    scopes: Vec<Vec<Key>>,
    /// Positions in `open` of the bodies of loops.
    loops: Vec<usize>,
}

impl Pass {
    fn get(&self, value: Value) -> Value {
        self.renamed.get(&value).copied().unwrap_or(value)
    }

    fn block(&mut self, block: &Block) {
        block.stmts.iter().for_each(|stmt| self.stmt(stmt));
    }

    fn nested(&mut self, is_loop: bool, block: &Block) -> Block {
        self.open.push(Vec::new());
        self.scopes.push(Vec::new());
        if is_loop {
            self.loops.push(self.open.len() - 1);
        }
        self.block(block);
        if is_loop {
            self.loops.pop();
        }
        self.close()
    }

    fn close(&mut self) -> Block {
        for key in self.scopes.pop().unwrap_or_default() {
            self.known.remove(&key);
        }
        Block { stmts: self.open.pop().unwrap_or_default() }
    }

    fn push(&mut self, stmt: Stmt) {
        if let Some(block) = self.open.last_mut() {
            block.push(stmt);
        }
    }

    fn stmt(&mut self, stmt: &Stmt) {
        let here = self.open.len();
        match stmt {
            Stmt::Let(value, op) => self.define(*value, op.clone().map_values(|v| self.get(v))),
            Stmt::Set(var, value) => self.push(Stmt::Set(*var, self.get(*value))),
            Stmt::Store(reference, value) => {
                self.push(Stmt::Store(reference.map_values(|v| self.get(v)), self.get(*value)));
            }
            Stmt::LoadBlock { columns, place, stride } => {
                columns.iter().for_each(|c| self.depth[c.0 as usize] = here);
                let place = place.map_values(|v| self.get(v));
                self.push(Stmt::LoadBlock { columns: *columns, place, stride: self.get(*stride) });
            }
            Stmt::StoreBlock { columns, place, stride } => {
                let columns = columns.map(|c| self.get(c));
                let place = place.map_values(|v| self.get(v));
                self.push(Stmt::StoreBlock { columns, place, stride: self.get(*stride) });
            }
            Stmt::For(l) => {
                let mut l = l.clone();
                (l.lo, l.hi) = (self.get(l.lo), self.get(l.hi));
                self.depth[l.index.0 as usize] = here + 1;
                l.body = self.nested(true, &l.body);
                self.push(Stmt::For(l));
            }
            Stmt::If(cond, then, otherwise) => {
                let cond = self.get(*cond);
                let then = self.nested(false, then);
                let otherwise = self.nested(false, otherwise);
                self.push(Stmt::If(cond, then, otherwise));
            }
            Stmt::While { header, cond, body } => {
                // The body sees the header's values, so the header's scope stays open around it.
                self.open.push(Vec::new());
                self.scopes.push(Vec::new());
                self.loops.push(self.open.len() - 1);
                self.block(header);
                let cond = self.get(*cond);
                let body = self.nested(false, body);
                self.loops.pop();
                let header = self.close();
                self.push(Stmt::While { header, cond, body });
            }
        }
    }

    /// Defines a value in the outermost block that it can be computed in without leaving a conditional.
    fn define(&mut self, value: Value, op: Op) {
        let here = self.open.len();
        let ty = self.values[value.0 as usize];
        if !op.is_pure() {
            self.depth[value.0 as usize] = here;
            self.push(Stmt::Let(value, op));
            return;
        }
        let key = key(ty, &op);
        if let Some(&same) = self.known.get(&key) {
            self.renamed.insert(value, same);
            return;
        }
        if let Op::Const(c) = op {
            self.constants.insert(value, c);
            self.place(here, value, op, key);
            return;
        }
        // Blocks out to which the operands reach; constants reach everywhere, as copies.
        let mut least = 0;
        op.for_each_value(|v| {
            if !self.constants.contains_key(&v) {
                least = least.max(self.depth[v.0 as usize]);
            }
        });
        let mut target = here;
        // Leave loop after loop, as long as the loop's body is the innermost block left.
        for &body in self.loops.iter().rev() {
            if body + 1 == target && least <= body {
                target = body;
            } else {
                break;
            }
        }
        if target == here {
            self.place(here, value, op, key);
            return;
        }
        let op = op.map_values(|v| self.constant_for(v, target));
        self.place(target, value, op, key);
    }

    /// The value itself if it is visible in block `target`, else a copy of the constant there.
    fn constant_for(&mut self, value: Value, target: usize) -> Value {
        match self.constants.get(&value) {
            Some(&c) if self.depth[value.0 as usize] > target => {
                let ty = self.values[value.0 as usize];
                let copy = Value(u32::try_from(self.values.len()).unwrap_or(u32::MAX));
                self.values.push(ty);
                self.depth.push(target);
                self.constants.insert(copy, c);
                self.open[target - 1].push(Stmt::Let(copy, Op::Const(c)));
                copy
            }
            _ => value,
        }
    }

    fn place(&mut self, target: usize, value: Value, op: Op, key: Key) {
        self.depth[value.0 as usize] = target;
        self.open[target - 1].push(Stmt::Let(value, op));
        self.scopes[target - 1].push(key.clone());
        self.known.insert(key, value);
    }
}

/// Identity of a pure operation whose operands have been renamed.
fn key(ty: Ty, op: &Op) -> Key {
    let mut words: SmallVec<[u64; 8]> = match op {
        Op::Const(Const::Bool(b)) => smallvec![0, u64::from(*b)],
        Op::Const(Const::Int(n)) => smallvec![0, n.cast_unsigned()],
        Op::Const(Const::Float(x)) => smallvec![0, x.to_bits()],
        Op::Unary(op, _) => smallvec![1, *op as u64],
        Op::Binary(op, ..) => smallvec![2, *op as u64],
        Op::Compare(op, ..) => smallvec![3, *op as u64],
        Op::Reduce(op, _) => smallvec![4, *op as u64],
        Op::Call(function, _) => smallvec![5, *function as u64],
        Op::Extract(_, lane) => smallvec![6, u64::from(*lane)],
        Op::Insert(_, _, lane) => smallvec![7, u64::from(*lane)],
        Op::Shuffle(_, _, lanes) => {
            let mut words = smallvec![8];
            words.extend(lanes.iter().map(|&l| u64::from(l)));
            words
        }
        Op::Fma(..) => smallvec![9],
        Op::Select(..) => smallvec![10],
        Op::Convert(_) => smallvec![11],
        Op::Bitcast(_) => smallvec![12],
        Op::Splat(_) => smallvec![13],
        Op::Iota => smallvec![14],
        Op::Advance(..) => smallvec![15],
        // Not pure, so never asked for.
        Op::Get(_) | Op::Load(_) => smallvec![16],
    };
    op.for_each_value(|v| words.push(u64::from(v.0)));
    (ty, words)
}

/// Removes definitions that nothing uses. Uses follow definitions in the text, so one walk from the end finds all.
fn sweep(block: &mut Block, used: &mut [bool]) {
    let mut kept = Vec::with_capacity(block.stmts.len());
    while let Some(mut stmt) = block.stmts.pop() {
        let mut mark = |v: Value| used[v.0 as usize] = true;
        match &mut stmt {
            Stmt::Let(value, op) => {
                if !used[value.0 as usize] {
                    continue;
                }
                op.for_each_value(|v| used[v.0 as usize] = true);
            }
            Stmt::Set(_, value) => mark(*value),
            Stmt::Store(reference, value) => {
                mark(*value);
                Op::Load(*reference).for_each_value(mark);
            }
            Stmt::LoadBlock { columns, place, stride } => {
                if columns.iter().all(|c| !used[c.0 as usize]) {
                    continue;
                }
                used[stride.0 as usize] = true;
                let _ = place.map_values(|v| {
                    used[v.0 as usize] = true;
                    v
                });
            }
            Stmt::StoreBlock { columns, place, stride } => {
                columns.iter().chain([&*stride]).for_each(|&v| used[v.0 as usize] = true);
                let _ = place.map_values(|v| {
                    used[v.0 as usize] = true;
                    v
                });
            }
            Stmt::For(l) => {
                mark(l.lo);
                mark(l.hi);
                sweep(&mut l.body, used);
            }
            Stmt::If(cond, then, otherwise) => {
                mark(*cond);
                sweep(otherwise, used);
                sweep(then, used);
            }
            Stmt::While { header, cond, body } => {
                mark(*cond);
                sweep(body, used);
                sweep(header, used);
            }
        }
        kept.push(stmt);
    }
    kept.reverse();
    block.stmts = kept;
}
