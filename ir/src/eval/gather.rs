//! `sub` over boxes: simultaneous substitution of positions.

use super::poison::{self, Element};
use super::region::Region;
use super::value::{Data, Dims, IntoData, Value, for_each};
use crate::graph::{AxisId, NodeId};
use smallvec::SmallVec;

/// Positions for one axis of the body.
pub(super) struct Index<'a> {
    /// The axis of the body that is substituted.
    pub(super) axis: AxisId,
    /// Integers over some axes of the result.
    pub(super) at: &'a Value,
    /// Extent of the axis.
    pub(super) extent: usize,
}

/// A ragged axis of the body: positions at or past the length of the batch element are outside.
pub(super) struct Ragged<'a> {
    /// Position on the axis for every element of the result, over some axes of the result.
    pub(super) at: Value,
    /// Position on the batch axis, likewise.
    pub(super) batch: Value,
    /// Length by position on the batch axis.
    pub(super) lengths: &'a [usize],
}

/// `body[axes := positions]` over `region`. Positions outside their axis, or outside the box of the body where it is
/// smaller (they are then known to be outside the axis), give poison.
pub(super) fn gather(
    node: NodeId,
    region: &Region,
    body: &Value,
    indices: &[Index<'_>],
    ragged: &[Ragged<'_>],
) -> Value {
    if let Some(renamed) = rename(region, body, indices).filter(|_| ragged.is_empty()) {
        return renamed;
    }
    let axes = region.axes();
    let kept: SmallVec<[AxisId; 6]> =
        axes.iter().map(|&a| if indices.iter().any(|i| i.axis == a) { AxisId(u32::MAX) } else { a }).collect();
    let base = body.strides(&kept);
    // By index: offset in the body for each of its own elements, or what poison to put there.
    let offsets: SmallVec<[Vec<isize>; 3]> = indices
        .iter()
        .map(|ix| {
            let stride = body.strides(&[ix.axis])[0];
            let own = body.region.get(ix.axis);
            let Data::I(at) = &ix.at.data else { return vec![-1; ix.at.len()] };
            let find = |&p: &i64| {
                let inside = usize::try_from(p).ok().filter(|&p| p < ix.extent);
                let local = inside.and_then(|p| own.map_or(Some(0), |o| o.find(p)));
                local.map_or(-1, |l| (l * stride) as isize)
            };
            at.iter().map(find).collect()
        })
        .collect();
    let strides: SmallVec<[Dims; 3]> = indices.iter().map(|ix| ix.at.strides(&axes)).collect();
    let shape = region.shape();
    let blame = |index: usize, at: usize| match &indices[index].at.data {
        Data::I(p) => poison::of_int(p[at]).unwrap_or(node),
        _ => node,
    };
    let plan = Plan { shape: &shape, base, offsets, strides, blame };
    let mut data = match &body.data {
        Data::F(x) => plan.run(x, node).into_data(),
        Data::I(x) => plan.run(x, node).into_data(),
        Data::B(x) => plan.run(x, node).into_data(),
    };
    for r in ragged {
        let (Data::I(at), Data::I(batch)) = (&r.at.data, &r.batch.data) else { continue };
        let (sa, sb) = (r.at.strides(&axes), r.batch.strides(&axes));
        let mut out = 0;
        for_each(&shape, |i| {
            let dot = |s: &Dims| i.iter().zip(s).map(|(i, s)| i * s).sum::<usize>();
            let len = usize::try_from(batch[dot(&sb)]).ok().and_then(|b| r.lengths.get(b)).copied().unwrap_or(0);
            if at[dot(&sa)] >= len as i64 {
                put_poison(&mut data, out, node);
            }
            out += 1;
        });
    }
    Value { region: region.clone(), data }
}

fn put_poison(data: &mut Data, at: usize, node: NodeId) {
    fn put<T: Element>(x: &mut std::sync::Arc<Vec<T>>, at: usize, node: NodeId) {
        if let Some(slot) = std::sync::Arc::make_mut(x).get_mut(at) {
            *slot = T::poison(node);
        }
    }
    match data {
        Data::F(x) => put(x, at, node),
        Data::I(x) => put(x, at, node),
        Data::B(x) => put(x, at, node),
    }
}

/// A substitution that only gives axes other names, in the same order: the elements stay where they are.
fn rename(region: &Region, body: &Value, indices: &[Index<'_>]) -> Option<Value> {
    let mut last = None;
    let mut used = 0;
    for (axis, own) in body.region.iter() {
        let target = match indices.iter().find(|i| i.axis == axis) {
            None => axis,
            Some(ix) => {
                // The index is the position on one axis of the result.
                let (target, positions) = ix.at.region.iter().next().filter(|_| ix.at.region.iter().len() == 1)?;
                let Data::I(at) = &ix.at.data else { return None };
                if at.iter().zip(positions.iter()).any(|(&a, p)| a != p as i64) {
                    return None;
                }
                target
            }
        };
        if region.get(target) != Some(own) || last.is_some_and(|l| l >= target) {
            return None;
        }
        last = Some(target);
        used += 1;
    }
    (used == region.iter().len()).then(|| Value { region: region.clone(), data: body.data.clone() })
}

struct Plan<'a, F: Fn(usize, usize) -> NodeId> {
    shape: &'a [usize],
    /// Strides of the body along the axes of the result that it shares.
    base: Dims,
    /// By index: offset in the body for each element of the index, negative where it is outside.
    offsets: SmallVec<[Vec<isize>; 3]>,
    /// By index: strides along the axes of the result.
    strides: SmallVec<[Dims; 3]>,
    /// The node at which poison arose, by index and its element.
    blame: F,
}

impl<F: Fn(usize, usize) -> NodeId> Plan<'_, F> {
    fn run<T: Element>(&self, body: &[T], node: NodeId) -> Vec<T> {
        let total = self.shape.iter().product();
        if body.is_empty() {
            return vec![T::poison(node); total];
        }
        let mut out = Vec::with_capacity(total);
        let (n, outer) = self.shape.split_last().map_or((1, self.shape), |(&n, outer)| (n, outer));
        let inner = |s: &Dims| s.get(outer.len()).copied().unwrap_or(0);
        let step = inner(&self.base);
        let (varying, fixed): (SmallVec<[usize; 3]>, SmallVec<[usize; 3]>) =
            (0..self.offsets.len()).partition(|&k| inner(&self.strides[k]) != 0);
        for_each(outer, |i| {
            let dot = |s: &Dims| i.iter().zip(s).map(|(i, s)| i * s).sum::<usize>();
            let mut at = dot(&self.base);
            for &k in &fixed {
                let element = dot(&self.strides[k]);
                match usize::try_from(self.offsets[k][element]) {
                    Ok(o) => at += o,
                    Err(_) => {
                        out.extend(std::iter::repeat_n(T::poison((self.blame)(k, element)), n));
                        return;
                    }
                }
            }
            match varying[..] {
                [] if step == 1 => out.extend_from_slice(&body[at..at + n]),
                [] => out.extend((0..n).map(|j| body[at + j * step])),
                [k] => {
                    let (from, stride) = (dot(&self.strides[k]), inner(&self.strides[k]));
                    out.extend((0..n).map(|j| match usize::try_from(self.offsets[k][from + j * stride]) {
                        Ok(o) => body[at + j * step + o],
                        Err(_) => T::poison((self.blame)(k, from + j * stride)),
                    }));
                }
                _ => {
                    for j in 0..n {
                        let mut at = Ok(at + j * step);
                        for &k in &varying {
                            let element = dot(&self.strides[k]) + j * inner(&self.strides[k]);
                            at = match (at, usize::try_from(self.offsets[k][element])) {
                                (Ok(at), Ok(o)) => Ok(at + o),
                                (Err(e), _) => Err(e),
                                (_, Err(_)) => Err((self.blame)(k, element)),
                            };
                        }
                        out.push(at.map_or_else(T::poison, |at| body[at]));
                    }
                }
            }
        });
        out
    }
}
