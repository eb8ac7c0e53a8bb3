//! Environments: which positions of which axes an evaluation covers.

use crate::graph::{AxisId, AxisSet};
use smallvec::SmallVec;
use std::sync::Arc;

/// Distinct positions on one axis, in increasing order.
#[derive(Clone, Debug)]
pub(super) enum Positions {
    /// `start .. start + len`.
    Range { start: usize, len: usize },
    /// Any others.
    List(Arc<[usize]>),
}

impl PartialEq for Positions {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Range { start: a, len: n }, Self::Range { start: b, len: m }) => n == m && (*n == 0 || a == b),
            (Self::List(a), Self::List(b)) => Arc::ptr_eq(a, b) || a == b,
            _ => false,
        }
    }
}

impl Positions {
    pub(super) fn full(extent: usize) -> Self {
        Self::Range { start: 0, len: extent }
    }

    /// From increasing distinct positions; a range where they have no gap.
    pub(super) fn from_sorted(list: Vec<usize>) -> Self {
        match (list.first(), list.last()) {
            (Some(&a), Some(&b)) if b - a + 1 == list.len() => Self::Range { start: a, len: list.len() },
            (None, _) => Self::Range { start: 0, len: 0 },
            _ => Self::List(list.into()),
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Range { len, .. } => *len,
            Self::List(l) => l.len(),
        }
    }

    pub(super) fn get(&self, i: usize) -> usize {
        match self {
            Self::Range { start, .. } => start + i,
            Self::List(l) => l[i],
        }
    }

    /// Where `position` stands in the list.
    pub(super) fn find(&self, position: usize) -> Option<usize> {
        match self {
            Self::Range { start, len } => position.checked_sub(*start).filter(|i| i < len),
            Self::List(l) => l.binary_search(&position).ok(),
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.len()).map(|i| self.get(i))
    }

    pub(super) fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (_, o) if o.len() == 0 => true,
            (Self::Range { start: a, len: n }, o) => o.get(0) >= *a && o.get(o.len() - 1) < a + n,
            (s, o) => s == o || o.iter().all(|p| s.find(p).is_some()),
        }
    }

    /// All positions of both; of two ranges also what lies between, which keeps it a range.
    pub(super) fn union(&self, other: &Self) -> Self {
        if self.covers(other) {
            return self.clone();
        }
        if other.covers(self) {
            return other.clone();
        }
        let hull = || {
            let start = self.get(0).min(other.get(0));
            Self::Range { start, len: self.last().max(other.last()).map_or(0, |last| last + 1 - start) }
        };
        if let (Self::Range { .. }, Self::Range { .. }) = (self, other) {
            return hull();
        }
        let mut all: Vec<usize> = self.iter().chain(other.iter()).collect();
        all.sort_unstable();
        all.dedup();
        Self::from_sorted(all)
    }

    /// Those below an extent.
    pub(super) fn below(&self, extent: usize) -> Self {
        match self {
            Self::Range { start, len } => Self::Range { start: *start, len: (*len).min(extent.saturating_sub(*start)) },
            Self::List(l) => Self::from_sorted(l[..l.partition_point(|&p| p < extent)].to_vec()),
        }
    }

    /// The `n` positions from the `i`-th on, or fewer at the end.
    pub(super) fn chunk(&self, i: usize, n: usize) -> Self {
        let n = n.min(self.len().saturating_sub(i));
        match self {
            Self::Range { start, .. } => Self::Range { start: start + i, len: n },
            Self::List(l) => Self::from_sorted(l[i..i + n].to_vec()),
        }
    }

    /// The positions that a recurrence visits to reach these: from the first of the axis, or (`reverse`) from the last.
    pub(super) fn steps(&self, reverse: bool, extent: usize) -> Self {
        match (self.first(), self.last()) {
            (Some(first), _) if reverse => Self::Range { start: first, len: extent.saturating_sub(first) },
            (_, Some(last)) => Self::full(last + 1),
            _ => Self::full(0),
        }
    }

    /// Least position.
    pub(super) fn first(&self) -> Option<usize> {
        (self.len() > 0).then(|| self.get(0))
    }

    /// Largest position.
    pub(super) fn last(&self) -> Option<usize> {
        self.len().checked_sub(1).map(|i| self.get(i))
    }

    /// Least and largest position, as integers.
    pub(super) fn hull(&self) -> Option<(i64, i64)> {
        Some((self.first()? as i64, self.last()? as i64))
    }
}

/// A box: positions for each of some axes, in increasing order of axis.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Region(SmallVec<[(AxisId, Positions); 6]>);

impl Region {
    pub(super) fn get(&self, axis: AxisId) -> Option<&Positions> {
        self.0.iter().find(|e| e.0 == axis).map(|e| &e.1)
    }

    pub(super) fn set(&mut self, axis: AxisId, positions: Positions) {
        match self.0.binary_search_by_key(&axis, |e| e.0) {
            Ok(i) => self.0[i].1 = positions,
            Err(i) => self.0.insert(i, (axis, positions)),
        }
    }

    pub(super) fn restrict(&self, axes: &AxisSet) -> Self {
        Self(self.0.iter().filter(|e| axes.contains(e.0)).cloned().collect())
    }

    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = (AxisId, &Positions)> + '_ {
        self.0.iter().map(|e| (e.0, &e.1))
    }

    pub(super) fn axes(&self) -> SmallVec<[AxisId; 6]> {
        self.0.iter().map(|e| e.0).collect()
    }

    pub(super) fn shape(&self) -> SmallVec<[usize; 6]> {
        self.0.iter().map(|e| e.1.len()).collect()
    }

    /// Number of elements. As a float, because a box may be described that could never be held.
    pub(super) fn volume(&self) -> f64 {
        self.0.iter().map(|e| e.1.len() as f64).product()
    }

    /// Same axes, and every position of `other` is in `self`?
    pub(super) fn covers(&self, other: &Self) -> bool {
        self.0.len() == other.0.len() && self.0.iter().zip(&other.0).all(|(a, b)| a.0 == b.0 && a.1.covers(&b.1))
    }

    /// A box that covers both (same axes).
    pub(super) fn union(&self, other: &Self) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(a, b)| (a.0, a.1.union(&b.1))).collect())
    }
}

impl FromIterator<(AxisId, Positions)> for Region {
    fn from_iter<I: IntoIterator<Item = (AxisId, Positions)>>(iter: I) -> Self {
        let mut r = Self::default();
        for (a, p) in iter {
            r.set(a, p);
        }
        r
    }
}
