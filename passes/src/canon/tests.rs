//! Unit tests; the examples' canonical graphs are snapshots of the front end's tests.

use super::*;
use weft_ir::graph::{Extent, Input, InputKind, MapFn, Role};

struct Fixture {
    g: Graph,
    t: AxisId,
    j: AxisId,
    d: AxisId,
    q: NodeId,
    k: NodeId,
    v: NodeId,
}

fn fixture() -> Fixture {
    let mut g = Graph::new("f");
    let bd = g.add_domain("b", Extent::Runtime, Role::Plain);
    let b = g.add_axis("b", bd);
    let td = g.add_domain("t", Extent::Ragged(b), Role::Time);
    let (t, j) = (g.add_axis("t", td), g.add_axis("j", td));
    let dd = g.add_domain("d", Extent::Const(8), Role::Plain);
    let d = g.add_axis("d", dd);
    let mut input = |name: &str| {
        let i = g.add_input(Input {
            name: name.into(),
            axes: vec![b, t, d],
            dtype: DType::Float,
            kind: InputKind::In,
            init: None,
        });
        g.read(i).unwrap()
    };
    let (q, k, v) = (input("q"), input("k"), input("v"));
    Fixture { g, t, j, d, q, k, v }
}

/// `softmax` spelled in one of two ways, times values.
fn attention(by_hand: bool) -> String {
    let Fixture { mut g, t, j, d, q, k, v } = fixture();
    let (ti, ji) = (g.index(t).unwrap(), g.index(j).unwrap());
    let kj = g.sub(k, &[(t, ji)]).unwrap();
    let vj = g.sub(v, &[(t, ji)]).unwrap();
    let s = g.ein(&[d], &[], &[q, kj]).unwrap();
    let e = g.map(MapFn::Exp, &[s]).unwrap();
    let (vis, e) = if by_hand {
        let after = g.map(MapFn::Lt, &[ti, ji]).unwrap();
        (g.map(MapFn::Not, &[after]).unwrap(), e)
    } else {
        (g.map(MapFn::Le, &[ji, ti]).unwrap(), e)
    };
    let den = g.ein(&[j], &[vis], &[e]).unwrap();
    let o = if by_hand {
        let p = g.map(MapFn::Div0, &[e, den]).unwrap();
        g.ein(&[j], &[vis], &[p, vj]).unwrap()
    } else {
        let p = g.map(MapFn::Div0, &[e, den]).unwrap();
        let zero = g.float(0.0);
        let p = g.select(vis, p, zero).unwrap();
        g.ein(&[j], &[], &[vj, p]).unwrap()
    };
    let b = AxisId(0);
    g.outputs.push(Output { name: "o".into(), axes: vec![b, t, d], dtype: DType::Float, node: o });
    canonicalise(&g, Settings { float: DType::F32 }).unwrap().to_string()
}

#[test]
fn spellings_of_softmax_meet() {
    let (a, b) = (attention(true), attention(false));
    assert_eq!(a, b);
    // The denominator is hoisted out of the sum over values: both sums are over the same weights.
    assert_eq!(a.matches("ein {t'2}").count(), 2, "{a}");
    assert_eq!(a.matches(" = exp ").count(), 1, "{a}");
}

#[test]
fn substitution_stops_at_row_values_and_inputs() {
    let Fixture { mut g, t, j, d, q, k, .. } = fixture();
    let norm = g.ein(&[d], &[], &[q, q]).unwrap();
    let row = g.map(MapFn::Exp, &[norm]).unwrap();
    let ji = g.index(j).unwrap();
    let other = g.sub(row, &[(t, ji)]).unwrap();
    let kj = g.sub(k, &[(t, ji)]).unwrap();
    let kexp = g.map(MapFn::Exp, &[k]).unwrap();
    let kexp = g.sub(kexp, &[(t, ji)]).unwrap();
    let mut c = Canon::new(&g, Settings { float: DType::F32 });
    let mut memo = FxHashMap::default();
    let other = c.import(&g, other, &mut memo).unwrap();
    assert!(matches!(c.g.op(other), Op::Sub { .. }));
    let kexp = c.import(&g, kexp, &mut memo).unwrap();
    assert_eq!(*c.g.op(kexp), Op::Map(MapFn::Exp));
    let kj = c.import(&g, kj, &mut memo).unwrap();
    assert_eq!(c.g.args(kexp)[0], kj);
}

#[test]
fn integers_are_affine_and_comparisons_are_normal() {
    let Fixture { mut g, t, j, .. } = fixture();
    let (ti, ji, two, three) = (g.index(t).unwrap(), g.index(j).unwrap(), g.int(2), g.int(3));
    // 2 t - 2 j >= 3  <=>  t - j - 2 >= 0
    let (a, b) = (g.map(MapFn::Mul, &[two, ti]).unwrap(), g.map(MapFn::Mul, &[ji, two]).unwrap());
    let diff = g.map(MapFn::Sub, &[a, b]).unwrap();
    let ge = g.map(MapFn::Le, &[three, diff]).unwrap();
    let age = g.map(MapFn::Sub, &[ti, ji]).unwrap();
    let simple = g.map(MapFn::Le, &[two, age]).unwrap();
    // (4 t + 3) // 2 == 2 t + 1
    let four = g.int(4);
    let x = g.map(MapFn::Mul, &[ti, four]).unwrap();
    let x = g.map(MapFn::Add, &[x, three]).unwrap();
    let half = g.map(MapFn::IDiv, &[x, two]).unwrap();
    let one = g.int(1);
    let y = g.map(MapFn::Add, &[one, a]).unwrap();
    let mut c = Canon::new(&g, Settings { float: DType::F32 });
    let mut memo = FxHashMap::default();
    let mut at = |c: &mut Canon, n| c.import(&g, n, &mut memo).unwrap();
    assert_eq!(at(&mut c, ge), at(&mut c, simple));
    assert_eq!(at(&mut c, half), at(&mut c, y));
}

#[test]
fn constants_fold_and_select_becomes_guards() {
    let Fixture { mut g, t, j, q, .. } = fixture();
    let (ti, ji) = (g.index(t).unwrap(), g.index(j).unwrap());
    let c1 = g.map(MapFn::Le, &[ji, ti]).unwrap();
    let x = g.select(c1, q, q).unwrap();
    let mut c = Canon::new(&g, Settings { float: DType::F32 });
    let mut memo = FxHashMap::default();
    let x = c.import(&g, x, &mut memo).unwrap();
    assert!(matches!(c.g.op(x), Op::Input(_)));
}
