//! Values over boxes, and the loops over them.
//!
//! A value is dense and row-major over its axes in increasing order of id. So the innermost axis of a result has stride
//! 1 or 0 in every operand, and no operation but a renaming `sub` ever transposes.

use super::poison::Element;
use super::region::Region;
use crate::graph::AxisId;
use smallvec::{SmallVec, smallvec};
use std::sync::Arc;

pub(super) type Dims = SmallVec<[usize; 6]>;

/// Elements, shared.
#[derive(Clone, Debug)]
pub(super) enum Data {
    F(Arc<Vec<f64>>),
    I(Arc<Vec<i64>>),
    B(Arc<Vec<u8>>),
}

/// One element.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Item {
    F(f64),
    I(i64),
    B(u8),
}

/// A value over a box.
#[derive(Clone, Debug)]
pub(super) struct Value {
    pub(super) region: Region,
    pub(super) data: Data,
}

/// Runs `$body` with `$x` bound to the element vector, whatever its type.
macro_rules! each_type {
    ($data:expr, $x:ident => $body:expr) => {
        match $data {
            Data::F($x) => $body,
            Data::I($x) => $body,
            Data::B($x) => $body,
        }
    };
}

/// Vectors of one element type as [`Data`].
pub(super) trait IntoData {
    fn into_data(self) -> Data;
}
impl IntoData for Vec<f64> {
    fn into_data(self) -> Data {
        Data::F(Arc::new(self))
    }
}
impl IntoData for Vec<i64> {
    fn into_data(self) -> Data {
        Data::I(Arc::new(self))
    }
}
impl IntoData for Vec<u8> {
    fn into_data(self) -> Data {
        Data::B(Arc::new(self))
    }
}

/// Strides of a dense row-major array.
pub(super) fn dense(shape: &[usize]) -> Dims {
    let mut strides: Dims = smallvec![1; shape.len()];
    for i in (1..shape.len()).rev() {
        strides[i - 1] = strides[i] * shape[i];
    }
    strides
}

/// Strides along `axes` of a dense array over a box; 0 for an axis that the box has not.
pub(super) fn strides(region: &Region, axes: &[AxisId]) -> Dims {
    let own = region.axes();
    let dense = dense(&region.shape());
    axes.iter().map(|a| own.iter().position(|o| o == a).map_or(0, |i| dense[i])).collect()
}

impl Value {
    pub(super) fn new(region: Region, data: impl IntoData) -> Self {
        Self { region, data: data.into_data() }
    }

    /// A value without axes.
    pub(super) fn scalar(item: Item) -> Self {
        let data = match item {
            Item::F(x) => vec![x].into_data(),
            Item::I(x) => vec![x].into_data(),
            Item::B(x) => vec![x].into_data(),
        };
        Self { region: Region::default(), data }
    }

    pub(super) fn len(&self) -> usize {
        each_type!(&self.data, x => x.len())
    }

    pub(super) fn item(&self, i: usize) -> Item {
        match &self.data {
            Data::F(x) => Item::F(x[i]),
            Data::I(x) => Item::I(x[i]),
            Data::B(x) => Item::B(x[i]),
        }
    }

    /// Strides along `axes`; 0 for an axis on which the value does not depend.
    pub(super) fn strides(&self, axes: &[AxisId]) -> Dims {
        strides(&self.region, axes)
    }

    /// The part over a smaller box of the same axes, or the same values repeated along further axes.
    pub(super) fn over(&self, region: &Region) -> Self {
        if self.region == *region {
            return self.clone();
        }
        let axes = region.axes();
        let strides = self.strides(&axes);
        // Offset of each position of the new box in the old one, by axis.
        let tables: SmallVec<[Vec<usize>; 6]> = region
            .iter()
            .zip(&strides)
            .map(|((axis, wanted), &stride)| match self.region.get(axis) {
                Some(own) => wanted.iter().map(|p| own.find(p).unwrap_or(0) * stride).collect(),
                None => vec![0; wanted.len()],
            })
            .collect();
        let contiguous =
            tables.last().is_some_and(|t| !t.is_empty() && t.windows(2).all(|w| w[1] == w[0] + 1) && t.len() > 1);
        fn pick<T: Element>(x: &[T], shape: &[usize], tables: &[Vec<usize>], contiguous: bool) -> Vec<T> {
            let mut out = Vec::with_capacity(shape.iter().product());
            let Some((last, outer)) = tables.split_last() else { return x.to_vec() };
            for_each(&shape[..outer.len()], |index| {
                let base: usize = index.iter().zip(outer).map(|(&i, t)| t[i]).sum();
                if contiguous {
                    let from = base + last[0];
                    out.extend_from_slice(&x[from..from + last.len()]);
                } else {
                    out.extend(last.iter().map(|&o| x[base + o]));
                }
            });
            out
        }
        let shape = region.shape();
        if shape.contains(&0) {
            return Self { region: region.clone(), data: self.empty_like() };
        }
        let data = match &self.data {
            Data::F(x) => pick(x, &shape, &tables, contiguous).into_data(),
            Data::I(x) => pick(x, &shape, &tables, contiguous).into_data(),
            Data::B(x) => pick(x, &shape, &tables, contiguous).into_data(),
        };
        Self { region: region.clone(), data }
    }

    fn empty_like(&self) -> Data {
        match &self.data {
            Data::F(_) => Vec::<f64>::new().into_data(),
            Data::I(_) => Vec::<i64>::new().into_data(),
            Data::B(_) => Vec::<u8>::new().into_data(),
        }
    }
}

/// Calls `f` with every index of a box, in row-major order.
pub(super) fn for_each(shape: &[usize], mut f: impl FnMut(&[usize])) {
    if shape.contains(&0) {
        return;
    }
    let mut index: Dims = smallvec![0; shape.len()];
    loop {
        f(&index);
        let mut i = shape.len();
        loop {
            if i == 0 {
                return;
            }
            i -= 1;
            index[i] += 1;
            if index[i] < shape[i] {
                break;
            }
            index[i] = 0;
        }
    }
}

/// A loop nest over a box with `N` strided arrays: axes along which all of them run on are merged, and the innermost
/// loop is left to the caller.
pub(super) struct Nest<const N: usize> {
    outer: Dims,
    outer_strides: SmallVec<[[usize; N]; 6]>,
    /// Iterations of the innermost loop.
    pub(super) inner: usize,
    /// Strides of the innermost loop.
    pub(super) strides: [usize; N],
}

impl<const N: usize> Nest<N> {
    pub(super) fn new(shape: &[usize], strides: [&[usize]; N]) -> Self {
        let mut dims: Dims = SmallVec::new();
        let mut by_dim: SmallVec<[[usize; N]; 6]> = SmallVec::new();
        for (i, &n) in shape.iter().enumerate() {
            if n == 1 {
                continue;
            }
            let here: [usize; N] = std::array::from_fn(|k| strides[k][i]);
            match (dims.last_mut(), by_dim.last_mut()) {
                (Some(d), Some(s)) if (0..N).all(|k| s[k] == here[k] * n) => {
                    *d *= n;
                    *s = here;
                }
                _ => {
                    dims.push(n);
                    by_dim.push(here);
                }
            }
        }
        let inner = dims.pop().unwrap_or(1);
        let inner_strides = by_dim.pop().unwrap_or([0; N]);
        Self { outer: dims, outer_strides: by_dim, inner, strides: inner_strides }
    }

    /// Calls `f` with the offsets at which each innermost loop starts, in row-major order.
    pub(super) fn run(&self, mut f: impl FnMut([usize; N])) {
        if self.inner == 0 {
            return;
        }
        for_each(&self.outer, |index| {
            let mut at = [0; N];
            for (&i, s) in index.iter().zip(&self.outer_strides) {
                for k in 0..N {
                    at[k] += i * s[k];
                }
            }
            f(at);
        });
    }
}

/// `f` of two arrays over a box.
pub(super) fn zip2<A: Copy, B: Copy, O>(
    shape: &[usize],
    (a, sa): (&[A], &[usize]),
    (b, sb): (&[B], &[usize]),
    f: impl Fn(A, B) -> O,
) -> Vec<O> {
    let mut out = Vec::with_capacity(shape.iter().product());
    let nest = Nest::new(shape, [sa, sb]);
    let n = nest.inner;
    nest.run(|[i, j]| match nest.strides {
        [1, 1] => out.extend(a[i..i + n].iter().zip(&b[j..j + n]).map(|(&x, &y)| f(x, y))),
        [0, 1] => out.extend(b[j..j + n].iter().map(|&y| f(a[i], y))),
        [1, 0] => out.extend(a[i..i + n].iter().map(|&x| f(x, b[j]))),
        [p, q] => out.extend((0..n).map(|k| f(a[i + k * p], b[j + k * q]))),
    });
    out
}

/// `f` of three arrays over a box.
pub(super) fn zip3<A: Copy, B: Copy, C: Copy, O>(
    shape: &[usize],
    (a, sa): (&[A], &[usize]),
    (b, sb): (&[B], &[usize]),
    (c, sc): (&[C], &[usize]),
    f: impl Fn(A, B, C) -> O,
) -> Vec<O> {
    let mut out = Vec::with_capacity(shape.iter().product());
    let nest = Nest::new(shape, [sa, sb, sc]);
    let n = nest.inner;
    nest.run(|[i, j, l]| match nest.strides {
        [1, 1, 1] => {
            let bc = b[j..j + n].iter().zip(&c[l..l + n]);
            out.extend(a[i..i + n].iter().zip(bc).map(|(&x, (&y, &z))| f(x, y, z)));
        }
        [1, 1, 0] => out.extend(a[i..i + n].iter().zip(&b[j..j + n]).map(|(&x, &y)| f(x, y, c[l]))),
        [p, q, r] => out.extend((0..n).map(|k| f(a[i + k * p], b[j + k * q], c[l + k * r]))),
    });
    out
}

#[cfg(test)]
mod tests {
    use super::super::region::Positions;
    use super::*;

    fn region(axes: &[(u32, usize)]) -> Region {
        axes.iter().map(|&(a, n)| (AxisId(a), Positions::full(n))).collect()
    }

    #[test]
    fn parts_and_repetition() {
        let v = Value::new(region(&[(0, 2), (2, 3)]), vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        let part: Region =
            [(AxisId(0), Positions::Range { start: 1, len: 1 }), (AxisId(2), Positions::from_sorted(vec![0, 2]))]
                .into_iter()
                .collect();
        let Data::F(x) = v.over(&part).data else { panic!() };
        assert_eq!(*x, [4.0, 6.0]);
        let Data::F(x) = v.over(&region(&[(0, 2), (1, 2), (2, 3)])).data else { panic!() };
        assert_eq!(*x, [1.0, 2.0, 3.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 4.0, 5.0, 6.0]);
    }

    #[test]
    fn broadcasting_loops() {
        let out = zip2(&[2, 3], (&[10.0, 20.0], &[1, 0]), (&[1.0, 2.0, 3.0], &[0, 1]), |a, b| a + b);
        assert_eq!(out, [11.0, 12.0, 13.0, 21.0, 22.0, 23.0]);
        let out = zip2(&[2, 0], (&[10.0, 20.0], &[1, 0]), (&[0.0; 0], &[0, 1]), |a, b| a + b);
        assert!(out.is_empty());
    }
}
