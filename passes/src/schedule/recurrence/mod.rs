//! Kernels that walk recurrences.
//!
//! One kernel walks every recurrence of its term ([`super::walks`]), those first that others read. If the coefficients of all
//! previous states have guards that are false at every position of a congruence class, the recurrences start anew there:
//! chunks are independent, so they go into lanes and each is walked in order; no state leaves the tile. Otherwise time is
//! walked in order, and features of the state are in lanes.
//!
//! A `reverse` recurrence is walked from the last position to the first: the loop counts steps, and step `i` of a walk stands at
//! `T[b] - 1 - i`, of a chunk at its last position less `i`. All recurrences of a kernel run the same way; a state that one of
//! the other direction reads is in memory ([`super::walks::kept`]).
//!
//! Axes of a state that the stored value lacks, or along which a state is read at other positions, are whole in a tile; the
//! others are spread over the grid, so that there is work for every thread.

mod emit;
mod moved;
mod reads;
mod restart;

use super::emit::Emitter;
use super::store::Target;
use super::{Error, Scheduler};
use reads::Reads;
use restart::Restart;
use rustc_hash::{FxHashMap, FxHashSet};
use weft_ir::graph::{AxisId, InputId, NodeId, Op, RecDecl, RecId};
use weft_ir::kernel::KernelBuilder;

/// A recurrence of the kernel.
struct State {
    id: RecId,
    decl: RecDecl,
    /// The next state.
    step: NodeId,
    /// Stand-in for it in the steps of others and in the stored term.
    input: InputId,
}

struct Walk {
    states: Vec<State>,
    root: NodeId,
    time: AxisId,
    /// From the last position to the first?
    reverse: bool,
    restart: Option<Restart>,
    reads: Reads,
}

impl Scheduler {
    /// A kernel for recurrences, or for a term of their states.
    pub(crate) fn recurrence_kernel(&mut self, name: &str, body: NodeId, target: &Target) -> Result<(), Error> {
        let mut found = Vec::new();
        self.recurrences(body, &mut found, &mut FxHashSet::default());
        let mut map = FxHashMap::default();
        let mut states: Vec<State> = Vec::new();
        for rec in found {
            let Op::Rec(id) = *self.c.g.op(rec) else { continue };
            let decl = self.c.g.rec(id).clone();
            if states.iter().any(|s| s.id == id || s.decl.time != decl.time) {
                return self.unsupported(rec, "recurrences over two kinds of time in one kernel");
            }
            if states.iter().any(|s| s.decl.reverse != decl.reverse) {
                return self.unsupported(rec, "recurrences that run both ways in one kernel");
            }
            let step = self.c.g.args(rec)[0];
            let step = self.with_states(step, &mut map)?;
            let step = self.plain(step)?;
            let axes: Vec<AxisId> = decl.state.iter().copied().chain([decl.time]).collect();
            let (input, state) = self.stand_in(&decl.name, &axes, decl.dtype)?;
            map.insert(rec, state);
            states.push(State { id, decl, step, input });
        }
        let root = self.with_states(body, &mut map)?;
        let root = self.plain(root)?;
        let Some((time, reverse)) = states.first().map(|s| (s.decl.time, s.decl.reverse)) else {
            return self.unsupported(body, "a recurrence that is not there");
        };
        let restart = self.restart(&states, time);
        let mut how = match restart {
            Some(r) => format!("starts anew every {} positions from {}: chunks in lanes", r.period, r.first),
            None => "walked in order".to_owned(),
        };
        if reverse {
            how += ", from the last position to the first";
        }
        if let [_, _, ..] = states[..] {
            how += &format!(", {} recurrences together", states.len());
        }
        self.notes.push(format!("{name}: {how}"));
        let reads = self.reads_of_states(&states, root, target);
        let walk = Walk { states, root, time, reverse, restart, reads };
        let float = self.float_elem()?;
        let mut plan = std::mem::take(&mut self.plan);
        let kb = KernelBuilder::new(&mut plan, name);
        let mut e = Emitter::new(self, kb, float);
        let made = e.emit_recurrence(&walk, target);
        let finished = made.and_then(|()| e.kb.finish().map_err(Error::from));
        self.plan = plan;
        finished.map(|_| ())
    }

    /// The recurrences of a term, those first that others read.
    fn recurrences(&self, id: NodeId, found: &mut Vec<NodeId>, seen: &mut FxHashSet<NodeId>) {
        if !seen.insert(id) {
            return;
        }
        for &a in self.c.g.args(id) {
            self.recurrences(a, found, seen);
        }
        if matches!(self.c.g.op(id), Op::Rec(_)) {
            found.push(id);
        }
    }

    /// The term with stand-ins for states, also where they are read at other positions.
    fn with_states(&mut self, id: NodeId, map: &mut FxHashMap<NodeId, NodeId>) -> Result<NodeId, Error> {
        if let Some(&to) = map.get(&id) {
            return Ok(to);
        }
        let args = self.c.g.args(id).to_vec();
        let mut new = Vec::with_capacity(args.len());
        for &a in &args {
            new.push(self.with_states(a, map)?);
        }
        let op = self.c.g.op(id).clone();
        let made = if new == args { id } else { self.c.make(&op, &new)? };
        map.insert(id, made);
        Ok(made)
    }
}
