//! Recurrences of the graph IR for what rules carry.

use super::workshop::Eg;
use crate::canon::Canon;
use weft_ir::DType;
use weft_ir::graph::{AxisId, Error, NodeId, Op, RecDecl, RecId};

/// A recurrence whose body is to be made.
pub(crate) struct Carried {
    /// The recurrence.
    pub(crate) rec: RecId,
    /// Its value at the position before (after, reversed).
    pub(crate) last: NodeId,
    /// Is there such a position?
    pub(crate) started: NodeId,
}

/// Declares a recurrence over `time` of what these terms depend on.
///
/// # Errors
/// Never for terms of the workshop.
pub(crate) fn declare(
    eg: &mut Eg,
    name: &str,
    time: AxisId,
    reverse: bool,
    of: &[NodeId],
    dtype: DType,
) -> Result<Carried, Error> {
    let c = &mut eg.analysis.canon;
    let mut state = of.iter().fold(weft_ir::graph::AxisSet::new(), |mut all, &n| {
        all.extend(c.g.free(n));
        all
    });
    let domain = c.g.axis(time).domain;
    if reverse {
        // Where it begins depends on the document.
        state.extend(&c.g.ragged_over(domain).into_iter().collect());
    }
    state.remove(time);
    let name: Box<str> = c.unused_name(name).into();
    let rec = c.add_rec(RecDecl { name, time, state: state.iter().collect(), dtype, reverse });
    let last = c.raw(Op::Prev(rec), &[])?;
    Ok(Carried { rec, last, started: started(c, time, reverse)? })
}

/// Is there a position before this one (after it, reversed)?
///
/// # Errors
/// Never for terms of the workshop.
pub(crate) fn started(c: &mut Canon, time: AxisId, reverse: bool) -> Result<NodeId, Error> {
    let here = c.make(&Op::Index(time), &[])?;
    let form = if reverse {
        let size = c.make(&Op::Size(c.g.axis(time).domain), &[])?;
        c.int_form(size).zip(c.int_form(here)).and_then(|(s, h)| s.checked_add(&h, -1)?.offset(-2))
    } else {
        c.int_form(here).and_then(|h| h.offset(-1))
    };
    match form {
        Some(f) => c.at_least_zero(&f),
        None => c.bool(true),
    }
}
