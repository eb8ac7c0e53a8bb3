//! Runtime extents, found from the shapes of the inputs and checked against them.

use super::{Bindings, Error};
use crate::graph::{AxisId, DomainId, Extent, Graph, floor_div};
use std::sync::Arc;

/// Extents of all domains of a graph in one run.
#[derive(Clone, Debug)]
pub(super) struct Sizes {
    extents: Vec<usize>,
    /// Where a domain is ragged: the batch axis, and the length by position on it. Absent where all have full length.
    lengths: Vec<Option<(AxisId, Arc<[usize]>)>>,
    domains: Vec<DomainId>,
}

impl Sizes {
    /// Extent of an axis: the longest, where it is ragged.
    pub(super) fn of(&self, axis: AxisId) -> usize {
        self.extents[self.domains[axis.index()].index()]
    }

    pub(super) fn domain(&self, domain: DomainId) -> usize {
        self.extents[domain.index()]
    }

    /// Batch axis and lengths of a ragged axis, unless all have full length.
    pub(super) fn ragged(&self, axis: AxisId) -> Option<(AxisId, &[usize])> {
        self.ragged_domain(self.domains[axis.index()])
    }

    pub(super) fn ragged_domain(&self, domain: DomainId) -> Option<(AxisId, &[usize])> {
        self.lengths[domain.index()].as_ref().map(|(a, l)| (*a, &l[..]))
    }

    pub(super) fn resolve(graph: &Graph, bindings: &Bindings) -> Result<Self, Error> {
        let domains: Vec<DomainId> = graph.axes().iter().map(|a| a.domain).collect();
        let name = |d: usize| graph.domains()[d].name.clone();
        let conflict = |d: usize, what: String| Error::Extent { domain: name(d), what };
        let mut found: Vec<Option<usize>> = vec![None; graph.domains().len()];
        let mut meet = |d: usize, n: usize, whence: &str| match found[d] {
            Some(old) if old != n => Err(conflict(d, format!("is {old}, but {whence} has {n}"))),
            _ => {
                found[d] = Some(n);
                Ok(())
            }
        };
        for (d, domain) in graph.domains().iter().enumerate() {
            if let Extent::Const(n) = domain.extent {
                let n = usize::try_from(n).map_err(|_| conflict(d, format!("is {n}")))?;
                meet(d, n, "the layer")?;
            }
        }
        for (given, n) in &bindings.sizes {
            let mut known = false;
            for d in (0..graph.domains().len()).filter(|&d| name(d) == *given) {
                known = true;
                meet(d, *n, "the given size")?;
            }
            if !known {
                return Err(Error::Extent { domain: given.clone(), what: "is no axis of the layer".into() });
            }
        }
        for input in graph.inputs() {
            let tensor = bindings
                .tensors
                .get(&input.name)
                .ok_or_else(|| Error::Input { name: input.name.clone(), what: "is missing".into() })?;
            if tensor.shape.len() != input.axes.len() {
                let what = format!("has {} dimensions, not {}", tensor.shape.len(), input.axes.len());
                return Err(Error::Input { name: input.name.clone(), what });
            }
            for (&axis, &n) in input.axes.iter().zip(&tensor.shape) {
                meet(
                    domains[axis.index()].index(),
                    n,
                    &format!("dimension `{}` of `{}`", graph.axis(axis).name, input.name),
                )?;
            }
        }
        // The lengths say how many batch elements there are, and bound the padded extent from below.
        let mut ragged: Vec<Option<(AxisId, Vec<usize>)>> = vec![None; graph.domains().len()];
        for (d, domain) in graph.domains().iter().enumerate() {
            let Extent::Ragged(batch) = domain.extent else { continue };
            let Some(lengths) = bindings.lengths.get(&domain.name) else { continue };
            meet(domains[batch.index()].index(), lengths.len(), &format!("the list of lengths of `{}`", domain.name))?;
            ragged[d] = Some((batch, lengths.clone()));
        }
        if let Some(unknown) = bindings
            .lengths
            .keys()
            .find(|k| !graph.domains().iter().any(|d| d.name == **k && matches!(d.extent, Extent::Ragged(_))))
        {
            return Err(Error::Extent { domain: unknown.clone(), what: "is not ragged, but has lengths".into() });
        }
        let mut extents = vec![0; graph.domains().len()];
        let mut lengths = vec![None; graph.domains().len()];
        for d in 0..graph.domains().len() {
            let derived = derive(graph, d, &found, &ragged, graph.domains().len())?;
            extents[d] = derived.0;
            lengths[d] = derived.1.filter(|l| l.1.iter().any(|&l| l < derived.0));
        }
        Ok(Self { extents, lengths, domains })
    }
}

type Ragged = (AxisId, Arc<[usize]>);

fn derive(
    graph: &Graph,
    d: usize,
    found: &[Option<usize>],
    ragged: &[Option<(AxisId, Vec<usize>)>],
    depth: usize,
) -> Result<(usize, Option<Ragged>), Error> {
    let domain = &graph.domains()[d];
    let error = |what: String| Error::Extent { domain: domain.name.clone(), what };
    match domain.extent {
        Extent::Derived { base, mul, add, div } => {
            if depth == 0 || base.index() >= graph.domains().len() {
                return Err(error("is derived from itself".into()));
            }
            let (n, lengths) = derive(graph, base.index(), found, ragged, depth - 1)?;
            let apply = |n: usize| {
                let n = i64::try_from(n).ok().and_then(|n| n.checked_mul(mul)).and_then(|n| n.checked_add(add));
                let n = n.filter(|_| div >= 1).map(|n| floor_div(n, div));
                n.and_then(|n| usize::try_from(n).ok())
                    .ok_or_else(|| error(format!("is not a size: ({mul} * n + {add}) // {div}")))
            };
            let value = apply(n)?;
            if let Some(other) = found[d].filter(|&o| o != value) {
                return Err(error(format!("is {value}, but an input has {other}")));
            }
            let lengths = match lengths {
                None => None,
                Some((batch, l)) => Some((batch, l.iter().map(|&n| apply(n)).collect::<Result<Arc<[usize]>, _>>()?)),
            };
            Ok((value, lengths))
        }
        Extent::Const(_) | Extent::Runtime => {
            Ok((found[d].ok_or_else(|| error("is unknown: no input has it".into()))?, None))
        }
        Extent::Ragged(_) => {
            let longest = ragged[d].as_ref().and_then(|(_, l)| l.iter().max().copied());
            let n = found[d].or(longest).ok_or_else(|| error("is unknown: no input has it".into()))?;
            if let Some(l) = longest.filter(|&l| l > n) {
                return Err(error(format!("is {n}, but a length is {l}")));
            }
            Ok((n, ragged[d].as_ref().map(|(b, l)| (*b, l.as_slice().into()))))
        }
    }
}
