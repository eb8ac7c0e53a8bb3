//! What is told of the loops of a kernel over positions: which of them it walks, and in what way.

use super::Stream;
use crate::schedule::Scheduler;
use weft_ir::graph::{AxisId, NodeId};

/// A loop of a kernel over the positions of a long axis.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Walked {
    /// The stored value that the kernel was made for.
    pub value: String,
    /// How it walks.
    pub way: Way,
    /// The position, in terms of the loop's axis and of the row; in [`Scheduled::graph`](crate::schedule::Scheduled::graph), like the conditions.
    pub position: NodeId,
    /// Conditions under which a position counts: bounds of the loop, or asked element by element.
    pub conditions: Vec<NodeId>,
    /// How many sums it feeds.
    pub sums: usize,
    /// Does it end where the last row has dropped the keys of the tile?
    pub ends: bool,
}

/// In what way a loop walks positions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    /// One position.
    Position,
    /// One after the other.
    Range,
    /// Every so manieth.
    Stride,
    /// So many entries of a list that a tile of rows shares.
    Shared(i64),
    /// So many entries of each row's list.
    List(i64),
}

impl Scheduler {
    /// Notes how the loops of a kernel walk an axis.
    pub(super) fn note_walks(&mut self, name: &str, streams: &[Stream], axis: AxisId) {
        for s in streams {
            let way = match s.axis {
                None => Way::Position,
                Some(a) if a == axis => Way::Range,
                Some(a) if self.walks_settled(a) => Way::Shared(self.static_size(a)),
                Some(a) if self.walks_list(Some(a), axis) => Way::List(self.static_size(a)),
                Some(_) => Way::Stride,
            };
            let ends = s.guards.iter().any(|g| self.ends.contains_key(g));
            let kind = match way {
                Way::Position => "one position".to_owned(),
                Way::Range => "a dense range".to_owned(),
                Way::Shared(n) => format!("members that a tile shares, {n} positions"),
                Way::List(n) => format!("the list of each row, {n} positions"),
                Way::Stride => "a stride".to_owned(),
            };
            self.notes.push(format!("{name}: a stream over {kind} feeds {} reductions", s.terms.len()));
            if ends {
                self.notes.push(format!("{name}: it ends with the last row that selects a member of the tile"));
            }
            self.walked.push(Walked {
                value: name.to_owned(),
                way,
                position: s.position,
                conditions: s.guards.clone(),
                sums: s.terms.len(),
                ends,
            });
        }
    }
}
