//! Which axes are long.

use weft_ir::graph::{AxisId, DomainId, Extent, Graph, Role};

/// Does the extent of a domain grow with the length of a sequence? See the head of [`crate::canon`].
#[must_use]
pub fn is_long_domain(graph: &Graph, domain: DomainId) -> bool {
    let d = graph.domain(domain);
    match d.extent {
        Extent::Const(_) => false,
        Extent::Ragged(_) => true,
        Extent::Derived { base, .. } => is_long_domain(graph, base),
        Extent::Runtime => {
            let batch_of_another =
                graph.domains().iter().any(|o| matches!(o.extent, Extent::Ragged(b) if graph.axis(b).domain == domain));
            // Its positions meet each other. (Axes that only sums bind, one at a time, do not make pairs.)
            let of = |n| graph.free(n).iter().filter(|&a| graph.axis(a).domain == domain).count();
            let shared = graph.ids().any(|n| of(n) > 1);
            // A runtime extent that is summed over inside the layer (a memory that is attended to) is long too; only one
            // whose every term rides along is a batch. Without any ragged domain the first runtime domain is the batch.
            let first_runtime =
                graph.domains().iter().position(|o| o.extent == Extent::Runtime) == Some(domain.index());
            d.role == Role::Time || (!batch_of_another && (shared || !first_runtime))
        }
    }
}

/// Does the extent of an axis depend on the position of a batch?
pub(super) fn has_extent_of(graph: &Graph, axis: AxisId, batch: AxisId) -> bool {
    let mut domain = graph.axis(axis).domain;
    loop {
        match graph.domain(domain).extent {
            Extent::Derived { base, .. } => domain = base,
            Extent::Ragged(b) => return b == batch,
            _ => return false,
        }
    }
}
