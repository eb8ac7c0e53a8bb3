//! Tile values and walks over their elements.

use smallvec::SmallVec;

use super::super::ids::AxisSet;

/// Elements of a tile, row-major over its axes in the order of declaration.
#[derive(Clone, Debug)]
pub(super) struct Tile {
    /// (index of the axis, stride)
    strides: SmallVec<[(usize, usize); 4]>,
    pub(super) data: Vec<f64>,
}

impl Tile {
    /// A tile of NaN. `extents` by index of the axis.
    pub(super) fn undefined(axes: AxisSet, extents: &[usize]) -> Self {
        let mut strides = SmallVec::new();
        let mut size = 1;
        for axis in axes.iter().rev() {
            strides.push((axis.index(), size));
            size *= extents.get(axis.index()).copied().unwrap_or(1);
        }
        Self { strides, data: vec![f64::NAN; size] }
    }
    pub(super) fn offset(&self, coords: &[i64]) -> usize {
        self.strides
            .iter()
            .map(|(axis, stride)| coords.get(*axis).and_then(|c| usize::try_from(*c).ok()).unwrap_or(0) * stride)
            .sum()
    }
    /// Offsets of all elements of `axes` from the one at 0, in the order of a walk.
    pub(super) fn offsets(&self, axes: AxisSet, extents: &[usize]) -> Vec<usize> {
        let mut walk = Walk::new(axes, extents, &vec![0; extents.len()]);
        let mut out = Vec::new();
        while walk.next() {
            out.push(self.offset(&walk.coords));
        }
        out
    }
    /// The element at these coordinates (by index of the axis; axes that the tile lacks are ignored).
    pub(super) fn get(&self, coords: &[i64]) -> f64 {
        self.data.get(self.offset(coords)).copied().unwrap_or(f64::NAN)
    }
    pub(super) fn set(&mut self, coords: &[i64], x: f64) {
        let at = self.offset(coords);
        if let Some(slot) = self.data.get_mut(at) {
            *slot = x;
        }
    }
}

/// A walk over all elements of a set of axes, last axis fastest; other coordinates keep what they are.
pub(super) struct Walk {
    axes: SmallVec<[(usize, i64); 4]>,
    pub(super) coords: Vec<i64>,
    state: State,
}

#[derive(PartialEq)]
enum State {
    Fresh,
    Going,
    Done,
}

impl Walk {
    /// A walk from `start`, whose coordinates along `axes` are set to 0.
    pub(super) fn new(axes: AxisSet, extents: &[usize], start: &[i64]) -> Self {
        let mut coords = start.to_vec();
        let mut list = SmallVec::new();
        let mut state = State::Fresh;
        for axis in axes.iter() {
            let extent = extents.get(axis.index()).copied().unwrap_or(0);
            if extent == 0 {
                state = State::Done;
            }
            if let Some(c) = coords.get_mut(axis.index()) {
                *c = 0;
            }
            list.push((axis.index(), i64::try_from(extent).unwrap_or(i64::MAX)));
        }
        Self { axes: list, coords, state }
    }
    /// Goes to the next element; false if there is none.
    pub(super) fn next(&mut self) -> bool {
        match self.state {
            State::Done => return false,
            State::Fresh => {
                self.state = State::Going;
                return true;
            }
            State::Going => {}
        }
        for (axis, extent) in self.axes.iter().rev() {
            if let Some(c) = self.coords.get_mut(*axis) {
                *c += 1;
                if *c < *extent {
                    return true;
                }
                *c = 0;
            }
        }
        self.state = State::Done;
        false
    }
}
