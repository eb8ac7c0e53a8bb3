//! Which positions the loops of kernels walk: what the scheduler makes of a condition.
//!
//! A sum whose condition is a disjunction is the sum of disjoint cases, and each of them is a loop of its own, which walks no more than it needs:
//! a range, every so manieth position, one position, or the entries of a list. That is not a matter of rules: no form of the sum is better than
//! another, and kernels share loops that walk alike.

use weft_ir::graph::{NodeId, Op};
use weft_passes::schedule::{Scheduled, Walked, Way};

use super::notation::Notation;

/// Loops of kernels that have several, or one that leaves positions out; by the stored value that the kernel is for.
pub(super) fn walks(s: &Scheduled, declared: usize) -> Vec<(String, Vec<String>)> {
    let mut all: Vec<(String, Vec<&Walked>)> = Vec::new();
    for w in &s.walked {
        match all.last_mut().filter(|(name, _)| *name == w.value) {
            Some((_, loops)) => loops.push(w),
            None => all.push((w.value.clone(), vec![w])),
        }
    }
    all.retain(|(_, loops)| loops.len() > 1 || loops.iter().any(|w| w.way != Way::Range || w.ends));
    let line = |w: &&Walked| told(s, declared, w);
    all.into_iter().map(|(name, loops)| (name, loops.iter().map(line).collect())).collect()
}

fn told(s: &Scheduled, declared: usize, w: &Walked) -> String {
    let mut notation = Notation::new(&s.graph, declared);
    // Bounds, and what is asked of each position.
    let (bounds, asked): (Vec<NodeId>, Vec<NodeId>) = w.conditions.iter().partition(|&&c| is_bound(s, c));
    let all: Vec<NodeId> = bounds.iter().chain(&asked).copied().collect();
    let (at, conditions) = notation.position(w.position, &all);
    let bounds = conditions[..bounds.len()].join(" and ");
    let mut text = match w.way {
        Way::Position => format!("the position {at}"),
        Way::Range | Way::Stride => format!("every {at}"),
        Way::Shared(n) => format!("the members, {n} at most, that a tile of rows shares"),
        Way::List(n) => format!("the {n} entries of the row's list"),
    };
    if !bounds.is_empty() && !matches!(w.way, Way::Shared(_) | Way::List(_)) {
        text.push_str(&format!(" where {bounds}"));
    }
    if !asked.is_empty() {
        text.push_str(&format!(
            "; {} asked of each",
            if asked.len() == 1 { "one condition is" } else { "conditions are" }
        ));
    }
    if w.ends {
        text.push_str("; up to the last row that still selects one of the tile");
    }
    text
}

/// Is a condition one on positions alone?
fn is_bound(s: &Scheduled, condition: NodeId) -> bool {
    let mut stack = vec![condition];
    while let Some(n) = stack.pop() {
        if !matches!(s.graph.op(n), Op::Index(_) | Op::Size(_) | Op::Const(_) | Op::Map(_)) {
            return false;
        }
        stack.extend(s.graph.args(n));
    }
    true
}
