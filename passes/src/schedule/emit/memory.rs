//! Loads and stores: positions in buffers, and the guards that keep them inside.

use super::Emitter;
use crate::schedule::Error;
use weft_ir::graph::{AxisId, InputId, NodeId};
use weft_ir::kernel::{Access, AxisSet, Expr, Guard, Literal, ValueId};

impl Emitter<'_, '_> {
    /// Elements of memory at positions, zero where they would lie outside.
    pub(super) fn load(
        &mut self,
        id: NodeId,
        input: InputId,
        at: &[(AxisId, Expr)],
        hint: &str,
    ) -> Result<ValueId, Error> {
        let Some(memory) = self.s.memory.get(&input).cloned() else {
            return self.s.unsupported(id, "a value that is not stored");
        };
        let mut index: Vec<Expr> = Vec::new();
        for &a in &memory.axes {
            let e = match at.iter().find(|(x, _)| *x == a) {
                Some((_, e)) => e.clone(),
                None => match self.positions.get(&a) {
                    Some(e) => e.clone(),
                    None => return self.s.unsupported(id, format!("axis `{}` outside its kernel", self.axis_name(a))),
                },
            };
            index.push(e);
        }
        let mut guard = Guard::always();
        for (n, &a) in memory.axes.iter().enumerate() {
            let batch = |b: AxisId| memory.axes.iter().position(|&x| x == b).map(|p| index[p].clone());
            let extent = self.s.extent_expr(self.s.c.g.axis(a).domain, &batch);
            self.stay_inside(&mut guard, &index[n], &extent);
        }
        let dtype = self.s.c.concrete(self.s.c.g.input(input).dtype);
        let elem = self.s.elem(dtype)?;
        let zero = match dtype {
            weft_ir::DType::Bool => Literal::Bool(false),
            t if t.is_int() => Literal::Int(0),
            _ => Literal::Float(0.0),
        };
        let v = self.kb.load(hint, memory.buffer, index, guard, Some(zero));
        let want = self.elem_of(id)?;
        Ok(if dtype.is_float() && elem != want { self.kb.cast(hint, v, want) } else { v })
    }

    /// Stores a tile at the current positions of the axes of a buffer.
    pub(crate) fn store(&mut self, input: InputId, value: ValueId) -> Result<(), Error> {
        self.store_where(input, value, Guard::always())
    }

    /// Stores a tile where a guard holds.
    pub(crate) fn store_where(&mut self, input: InputId, value: ValueId, guard: Guard) -> Result<(), Error> {
        let Some(memory) = self.s.memory.get(&input).cloned() else {
            return self.s.unsupported(NodeId(0), "a store without memory");
        };
        let mut index = Vec::new();
        for &a in &memory.axes {
            match self.positions.get(&a) {
                Some(e) => index.push(e.clone()),
                None => return self.s.unsupported(NodeId(0), format!("a store without axis `{}`", self.axis_name(a))),
            }
        }
        let mut guard = guard;
        for (n, &a) in memory.axes.iter().enumerate() {
            let batch = |b: AxisId| memory.axes.iter().position(|&x| x == b).map(|p| index[p].clone());
            let extent = self.s.extent_expr(self.s.c.g.axis(a).domain, &batch);
            self.stay_inside(&mut guard, &index[n], &extent);
        }
        // Grid points that differ in what the buffer lacks hold the same value: the first of them stores it.
        for n in 0..self.kb.kernel().grid.len() {
            let var = self.kb.kernel().grid[n].var;
            if !index.iter().any(|e| self.uses(e, var)) {
                guard.atoms.push(Expr::Var(var).equals(0));
            }
        }
        let elem = self.s.elem(self.s.c.g.input(input).dtype)?;
        let ty = self.kb.type_of(value);
        let value = if ty.is_some_and(|t| t.elem != elem) { self.kb.cast("out", value, elem) } else { value };
        // Axes that the value does not vary over are stored all the same.
        let axes = self.kb.kernel().access_axes(&Access::buffer(memory.buffer, index.iter().cloned()));
        let missing = axes.minus(self.kb.type_of(value).map_or(AxisSet::EMPTY, |t| t.axes));
        let value = if missing.is_empty() { value } else { self.kb.expand("out", value, missing) };
        self.kb.store(memory.buffer, index, value, guard);
        Ok(())
    }
}
