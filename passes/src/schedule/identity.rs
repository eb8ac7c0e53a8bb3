//! Identities of terms that outlive one scheduling.
//!
//! Scheduling runs in rounds ([`super::reuse`]); each makes its own terms, so node ids say nothing about the round before. A key is a
//! 128-bit structural hash of a term in which axes, inputs and recurrences count by their names: equal in every round.

use super::Scheduler;
use std::hash::{DefaultHasher, Hash, Hasher};
use weft_ir::graph::{Graph, NodeId, Op};

/// A structural hash of a term.
pub(crate) type Key = (u64, u64);

impl Scheduler {
    /// The key of a term at its home axes.
    pub(crate) fn key(&mut self, id: NodeId) -> Result<Key, super::Error> {
        if let Some(&key) = self.home_keys.get(&id) {
            return Ok(key);
        }
        let (home, _) = self.at_home(id)?;
        let key = self.key_of(home);
        self.home_keys.insert(id, key);
        Ok(key)
    }

    fn key_of(&mut self, id: NodeId) -> Key {
        // Operands are older than their users, so one sweep over ids suffices.
        for n in self.keys.len()..=id.index() {
            let at = NodeId(n as u32);
            let args: Vec<Key> = self.c.g.args(at).iter().map(|a| self.keys[a.index()]).collect();
            let own = (own_text(&self.c.g, at), args);
            let half = |salt: u64| {
                let mut h = DefaultHasher::new();
                (salt, &own).hash(&mut h);
                h.finish()
            };
            self.keys.push((half(0), half(1)));
        }
        self.keys[id.index()]
    }
}

/// What an op says beside its operands.
fn own_text(g: &Graph, id: NodeId) -> String {
    let op = g.op(id);
    let axes = |list: &[weft_ir::graph::AxisId]| list.iter().map(|&a| &*g.axis(a).name).collect::<Vec<_>>().join(",");
    match op {
        Op::Input(i) => format!("input {}", g.input(*i).name),
        Op::Index(a) => format!("index {}", axes(&[*a])),
        Op::Sub { axes: list } => format!("sub {}", axes(list)),
        Op::Rec(r) | Op::Prev(r) => {
            let rec = g.rec(*r);
            format!("{}{} {}", op.name(), if rec.reverse { " reverse" } else { "" }, rec.name)
        }
        Op::Const(k) => format!("const {k:?} {:?}", g.dtype(id)),
        _ => {
            // The rest of an op without its axes, whose ids depend on when they were made.
            let kind = match op {
                Op::Map(f) => f.name().to_owned(),
                Op::Cast(t) => format!("{t:?}"),
                Op::Size(d) => g.domain(*d).name.to_string(),
                Op::Reduce { extremum, .. } | Op::Arg { extremum, .. } => format!("{extremum:?}"),
                Op::Threshold { family, .. } => format!("{family:?}"),
                _ => String::new(),
            };
            format!("{} {kind} {} {}", op.name(), op.guards(), axes(op.bound()))
        }
    }
}
