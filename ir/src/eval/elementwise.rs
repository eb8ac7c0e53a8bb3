//! `map`, `cast` and `select` over boxes.

use super::poison::{self, Element};
use super::reduce::int_range;
use super::region::Region;
use super::value::{Data, IntoData, Value, zip2, zip3};
use crate::dtype::{Class, DType};
use crate::graph::{AxisSet, MapFn, NodeId, floor_div};

/// `f` of two values of known element types, over `region`, which has the axes of both.
macro_rules! binary {
    ($region:expr, $a:expr, $b:expr, $x:expr, $y:expr, $f:expr) => {{
        let axes = $region.axes();
        zip2(&$region.shape(), ($x, &$a.strides(&axes)), ($y, &$b.strides(&axes)), $f).into_data()
    }};
}

fn kleene_and(a: u8, b: u8) -> u8 {
    if a == 0 || b == 0 { 0 } else { a | b }
}

fn kleene_or(a: u8, b: u8) -> u8 {
    if a == 1 || b == 1 { 1 } else { a | b }
}

fn float2(f: MapFn, x: f64, y: f64) -> f64 {
    match f {
        MapFn::Div0 if y == 0.0 && poison::of_float(x).is_none() => 0.0,
        MapFn::Div | MapFn::Div0 => x / y,
        MapFn::Pow => {
            // IEEE: pow(NaN, 0) = pow(1, NaN) = 1, which would lose poison.
            if poison::of_float(x).is_some() {
                x
            } else if poison::of_float(y).is_some() {
                y
            } else {
                x.powf(y)
            }
        }
        // A NaN must not disappear in a maximum.
        MapFn::Max => {
            if x >= y || x.is_nan() {
                x
            } else {
                y
            }
        }
        _ => {
            if x <= y || x.is_nan() {
                x
            } else {
                y
            }
        }
    }
}

/// A comparison by the truth values of "less" and "equal" (neither: greater, or a NaN).
fn compare<T: PartialOrd>(f: MapFn, x: T, y: T) -> bool {
    match f {
        MapFn::Lt => x < y,
        MapFn::Le => x <= y,
        MapFn::Gt => x > y,
        MapFn::Ge => x >= y,
        MapFn::Eq => x == y,
        _ => x != y,
    }
}

fn compare_floats(f: MapFn, x: f64, y: f64) -> u8 {
    if (x.is_nan() || y.is_nan()) && (poison::of_float(x).is_some() || poison::of_float(y).is_some()) {
        return poison::BOOL;
    }
    u8::from(compare(f, x, y))
}

fn int2(x: i64, y: i64, f: impl Fn(i64, i64) -> i64) -> i64 {
    if poison::is_int(x) {
        x
    } else if poison::is_int(y) {
        y
    } else {
        f(x, y)
    }
}

fn two(f: MapFn, region: &Region, a: &Value, b: &Value) -> Option<Data> {
    use MapFn::{Add, And, Div, Div0, Eq, Ge, Gt, IDiv, Le, Lt, Max, Min, Mod, Mul, Ne, Or, Pow, Sub};
    Some(match (&a.data, &b.data) {
        (Data::F(x), Data::F(y)) => match f {
            Add => binary!(region, a, b, x, y, |x: f64, y: f64| x + y),
            Sub => binary!(region, a, b, x, y, |x: f64, y: f64| x - y),
            Mul => binary!(region, a, b, x, y, |x: f64, y: f64| x * y),
            Div => binary!(region, a, b, x, y, |x: f64, y: f64| x / y),
            Div0 => binary!(region, a, b, x, y, |x: f64, y: f64| float2(Div0, x, y)),
            Pow => binary!(region, a, b, x, y, |x: f64, y: f64| float2(Pow, x, y)),
            Max => binary!(region, a, b, x, y, |x: f64, y: f64| float2(Max, x, y)),
            Min => binary!(region, a, b, x, y, |x: f64, y: f64| float2(Min, x, y)),
            Lt => binary!(region, a, b, x, y, |x, y| compare_floats(Lt, x, y)),
            Le => binary!(region, a, b, x, y, |x, y| compare_floats(Le, x, y)),
            Gt | Ge | Eq | Ne => binary!(region, a, b, x, y, |x, y| compare_floats(f, x, y)),
            _ => return None,
        },
        (Data::I(x), Data::I(y)) => match f {
            Add => binary!(region, a, b, x, y, |x, y| int2(x, y, i64::wrapping_add)),
            Sub => binary!(region, a, b, x, y, |x, y| int2(x, y, i64::wrapping_sub)),
            Mul => binary!(region, a, b, x, y, |x, y| int2(x, y, i64::wrapping_mul)),
            IDiv => binary!(region, a, b, x, y, |x, y| int2(x, y, floor_div)),
            Mod => {
                let rem = |x: i64, y: i64| x.wrapping_sub(floor_div(x, y).wrapping_mul(y));
                binary!(region, a, b, x, y, |x, y| int2(x, y, rem))
            }
            Max => binary!(region, a, b, x, y, |x, y| int2(x, y, i64::max)),
            Min => binary!(region, a, b, x, y, |x, y| int2(x, y, i64::min)),
            Lt | Le | Gt | Ge | Eq | Ne => binary!(region, a, b, x, y, |x, y| {
                if poison::is_int(x) || poison::is_int(y) { poison::BOOL } else { u8::from(compare(f, x, y)) }
            }),
            _ => return None,
        },
        (Data::B(x), Data::B(y)) => match f {
            And => binary!(region, a, b, x, y, kleene_and),
            Or => binary!(region, a, b, x, y, kleene_or),
            Lt | Le | Gt | Ge | Eq | Ne => binary!(region, a, b, x, y, |x: u8, y: u8| {
                if x > 1 || y > 1 { poison::BOOL } else { u8::from(compare(f, x, y)) }
            }),
            _ => return None,
        },
        _ => return None,
    })
}

fn one(f: MapFn, x: &Value) -> Option<Data> {
    Some(match &x.data {
        Data::F(v) => {
            let f = move |x: f64| if x.is_nan() { x } else { f.eval_float(&[x]).unwrap_or(f64::NAN) };
            v.iter().map(|&x| f(x)).collect::<Vec<f64>>().into_data()
        }
        Data::I(v) => v
            .iter()
            .map(|&x| if poison::is_int(x) { Some(x) } else { f.eval_int(&[x]) })
            .collect::<Option<Vec<i64>>>()?
            .into_data(),
        Data::B(v) => v.iter().map(|&x| if x > 1 { x } else { 1 - x }).collect::<Vec<u8>>().into_data(),
    })
}

/// An elementwise function; the operands cover `region` on their own axes. `None` where the types do not fit.
pub(super) fn map(f: MapFn, region: &Region, args: &[Value]) -> Option<Value> {
    let data = match args {
        [x] => one(f, x)?,
        [a, b] => two(f, region, a, b)?,
        [first, rest @ ..] => {
            let mut acc = first.clone();
            for b in rest {
                let axes: AxisSet = acc.region.axes().into_iter().chain(b.region.axes()).collect();
                let part = region.restrict(&axes);
                let data = two(f, &part, &acc, b)?;
                acc = Value { region: part, data };
            }
            acc.data
        }
        [] => return None,
    };
    Some(Value { region: region.clone(), data })
}

/// The conjunction of truth values over `region`; `None` of none.
pub(super) fn all(region: &Region, values: &[Value]) -> Option<Value> {
    match values {
        [] => None,
        [one] => Some(one.over(region)),
        more => map(MapFn::And, region, more).map(|v| v.over(region)),
    }
}

/// Conversion to another element type.
pub(super) fn cast(to: DType, node: NodeId, x: &Value) -> Value {
    let (low, high) = int_range(to);
    fn convert<A: Element, B: Element>(x: &[A], node: NodeId, f: impl Fn(A) -> B) -> Data
    where
        Vec<B>: IntoData,
    {
        let convert = |&x: &A| match x.poisoned() {
            Some(at) => B::poison(at.unwrap_or(node)),
            None => f(x),
        };
        x.iter().map(convert).collect::<Vec<B>>().into_data()
    }
    let data = match (&x.data, to.class()) {
        (Data::F(_), Class::Float) | (Data::I(_), Class::Int) | (Data::B(_), Class::Bool) => x.data.clone(),
        (Data::F(x), Class::Int) => {
            convert(x, node, |x: f64| if x.is_nan() { poison::int(node) } else { (x as i64).clamp(low, high) })
        }
        (Data::F(x), Class::Bool) => convert(x, node, |x: f64| u8::from(x != 0.0)),
        (Data::I(x), Class::Float) => convert(x, node, |x: i64| x as f64),
        (Data::I(x), Class::Bool) => convert(x, node, |x: i64| u8::from(x != 0)),
        (Data::B(x), Class::Float) => convert(x, node, f64::from),
        (Data::B(x), Class::Int) => convert(x, node, i64::from),
    };
    Value { region: x.region.clone(), data }
}

/// `if c then a else b`. `None` where the types do not fit.
pub(super) fn select(node: NodeId, region: &Region, c: &Value, a: &Value, b: &Value) -> Option<Value> {
    let axes = region.axes();
    let (sc, sa, sb) = (c.strides(&axes), a.strides(&axes), b.strides(&axes));
    let Data::B(c) = &c.data else { return None };
    fn choose<T: Element>(node: NodeId) -> impl Fn(u8, T, T) -> T {
        move |c, a, b| match c {
            0 => b,
            1 => a,
            _ => T::poison(node),
        }
    }
    let shape = region.shape();
    let data = match (&a.data, &b.data) {
        (Data::F(a), Data::F(b)) => zip3(&shape, (c, &sc), (a, &sa), (b, &sb), choose(node)).into_data(),
        (Data::I(a), Data::I(b)) => zip3(&shape, (c, &sc), (a, &sa), (b, &sb), choose(node)).into_data(),
        (Data::B(a), Data::B(b)) => zip3(&shape, (c, &sc), (a, &sa), (b, &sb), choose(node)).into_data(),
        _ => return None,
    };
    Some(Value { region: region.clone(), data })
}
