//! The text form: round trips, errors with their place, and no panic on any text.

use super::fixture::load;
use proptest::prelude::*;
use weft_ir::eval::{Bindings, Error, Evaluator, Tensor};
use weft_ir::graph::{Extent, Graph, Role};

const SMALL: &str = "graph g
domain t = runtime time
axis t: t
in x[t]: float
%0 = input x : float[t]
%1 = neg %0 : float[t]
out y[t]: float = %1
";

#[test]
fn fixtures_round_trip() {
    for name in ["attention", "vq", "ssm"] {
        let text = load(name, &[]).to_string();
        assert_eq!(Graph::parse(&text).unwrap().to_string(), text);
        let path = format!("{}/tests/it/graph/{name}.graph", env!("CARGO_MANIFEST_DIR"));
        assert_eq!(std::fs::read_to_string(path).unwrap(), text);
    }
}

#[test]
fn names_that_collide_print_apart() {
    let mut g = Graph::new("");
    let d = g.add_domain("", Extent::Const(2), Role::Plain);
    for name in ["t", "t", "t.2", "a b", "a_b"] {
        let a = g.add_axis(name, d);
        g.index(a).unwrap();
    }
    let text = g.to_string();
    assert_eq!(Graph::parse(&text).unwrap().to_string(), text);
}

#[track_caller]
fn refuses(from: &str, to: &str, at: (usize, usize), message: &str) {
    assert!(SMALL.contains(from));
    let e = Graph::parse(&SMALL.replacen(from, to, 1)).unwrap_err();
    assert!((e.line, e.column) == at && e.message.contains(message), "{e}");
}

#[test]
fn errors_have_a_place() {
    refuses("runtime", "-3", (2, 12), "not negative");
    refuses("runtime", "99999999999999999999", (2, 12), "64-bit");
    refuses("runtime", "(1 * |t| + 0) // 2", (2, 12), "derived from itself");
    refuses("runtime", "ragged(q)", (2, 20), "no axis `q`");
    refuses("axis t: t", "axis t: u", (3, 10), "no domain `u`");
    refuses("axis t: t", "axis t: t\naxis t: t", (4, 5), "twice");
    refuses("[t]: float\n%", "[t]: flo\n%", (4, 13), "no element type");
    refuses("neg %0", "neg %7", (6, 11), "no node %7");
    refuses("neg %0", "nag %0", (6, 6), "no op `nag`");
    refuses("neg %0", "neg %0, %0", (6, 6), "does not take");
    refuses("neg %0 : float", "neg %0 : i32", (6, 15), "has type float");
    refuses("neg %0 : float[t]", "neg %0 : float[]", (6, 15), "depends on [t]");
    refuses("%1 = neg", "%0 = neg", (6, 2), "twice");
    refuses("out y[t]", "out y[]", (7, 1), "not one of its own");
    refuses("graph g", "grapf g", (1, 1), "no declaration");
    refuses("= %1", "= %1 %1", (7, 22), "end of the line");
}

#[test]
fn extents_are_checked_before_anything_is_sized() {
    let huge = SMALL
        .replace("runtime", "4000000000000000000")
        .replace("float = %1", "i32 = %2")
        .replace("out y", "%2 = index t : i32[t]\nout y");
    let g = Graph::parse(&huge).unwrap();
    let bind = Bindings::new().tensor("x", Tensor::floats(&[1], vec![0.0]));
    assert!(matches!(Evaluator::new(&g, &bind), Err(Error::Extent { .. })));
    let g = Graph::parse(
        &huge
            .replace("in x[t]: float\n", "")
            .replace("%0 = input x : float[t]\n", "")
            .replace("%1 = neg %0 : float[t]\n", ""),
    )
    .unwrap();
    let ev = Evaluator::new(&g, &Bindings::new()).unwrap();
    assert!(matches!(ev.outputs(), Err(Error::Memory { .. })));
    assert_eq!(
        ev.rows("y", "t", &[3_999_999_999_999_999_999]).unwrap(),
        Tensor::ints(&[1], vec![3_999_999_999_999_999_999])
    );
}

#[test]
fn inputs_are_checked() {
    let g = load("attention", &[]);
    let good = super::fixture::tensors(&g, &[3, 2], 1);
    let bind = |f: &dyn Fn(&str, Tensor) -> Option<Tensor>| {
        good.iter().fold(Bindings::new(), |b, (n, t)| match f(n, t.clone()) {
            Some(t) => b.tensor(n, t),
            None => b,
        })
    };
    let same = |_: &str, t: Tensor| Some(t);
    assert!(Evaluator::new(&g, &bind(&same).lengths("t", &[3, 2])).is_ok());
    let error = |b: Bindings| Evaluator::new(&g, &b).unwrap_err().to_string();
    assert!(error(bind(&|n, t| (n != "wq").then_some(t))).contains("`wq` is missing"));
    assert!(error(bind(&same).tensor("zz", Tensor::floats(&[], vec![0.0]))).contains("`zz`"));
    assert!(error(bind(&same).lengths("t", &[3, 2, 1])).contains("`b`"));
    assert!(error(bind(&same).lengths("t", &[3, 4])).contains("a length is 4"));
    assert!(error(bind(&same).lengths("e", &[3, 4])).contains("not ragged"));
    assert!(error(bind(&same).size("b", 3)).contains("`b`"));
    let shape =
        |n: &str, t: Tensor| Some(if n == "wq" { Tensor::floats(&[2, 8], t.to_f64()[..16].to_vec()) } else { t });
    assert!(error(bind(&shape)).contains("dimensions"));
    let extent = |n: &str, t: Tensor| Some(if n == "wq" { Tensor { shape: vec![2, 16, 8], ..t } } else { t });
    assert!(error(bind(&extent)).contains("`d`"));
    let short = |n: &str, t: Tensor| Some(if n == "wq" { Tensor::floats(&t.shape, vec![0.0; 3]) } else { t });
    assert!(error(bind(&short)).contains("3 elements"));
    let class = |n: &str, t: Tensor| Some(if n == "wq" { Tensor::ints(&t.shape, vec![0; 256]) } else { t });
    assert!(error(bind(&class)).contains("integers"));
}

proptest! {
    #[test]
    fn no_text_panics(
        which in 0usize..3,
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0usize..4, "[ -~\n%]{0,3}"), 1..6),
    ) {
        let mut text: Vec<char> = load(["attention", "vq", "ssm"][which], &[]).to_string().chars().collect();
        for (at, cut, insert) in edits {
            let at = at.index(text.len());
            let end = (at + cut).min(text.len());
            text.splice(at..end, insert.chars());
        }
        let text: String = text.into_iter().collect();
        if let Ok(g) = Graph::parse(&text) {
            let printed = g.to_string();
            prop_assert_eq!(Graph::parse(&printed).unwrap().to_string(), printed);
        }
    }
}
