//! `-D`, recorded sizes, and what is wrong with them.

use super::{check_with, messages, settings};
use weft::sema::{Number, Settings};
use weft_ir::graph::Extent;

const TEXT: &str = "layer l {
  size  E = 4, F = 2 * E
  const G = 1 / E
  require F >= E
  axis  b, t: time, c = (2 * |t| + 3) // 4
  index e: E, f: F, i: c
  in    x[b,t,e]
  param w[f,e] ~ normal(0, G), v[c,f] ~ log(1 + uniform(0, 2))
  out   y[b,t,e] = G * x * sum(f: w) + sum(i, f: v[i,f] where 2 * i + 4 <= t)
}";

#[test]
fn defines_and_records_change_sizes() {
    let plain = check_with(TEXT, &Settings::default()).unwrap();
    assert_eq!(plain.values["F"], Number::Int(8));
    assert_eq!(plain.values["G"], Number::Real(0.25));
    let with = settings(&[("E", Number::Int(10)), ("b", Number::Int(3)), ("t", Number::Int(64))]);
    let set = check_with(TEXT, &with).unwrap();
    assert_eq!(
        (set.values["E"], set.values["F"], set.values["G"]),
        (Number::Int(10), Number::Int(20), Number::Real(0.1))
    );
    assert_eq!((set.extents["b"], set.extents["t"]), (3, 64));
    let constants: Vec<Extent> =
        set.graph.domains().iter().map(|d| d.extent).filter(|e| matches!(e, Extent::Const(_))).collect();
    assert_eq!(constants, [Extent::Const(10), Extent::Const(20)]);
    // what is recorded gives way to -D, and other names in it are ignored
    let recorded =
        vec![("E".to_owned(), Number::Int(6)), ("G".to_owned(), Number::Int(2)), ("other".to_owned(), Number::Int(1))];
    let both = check_with(TEXT, &Settings { recorded: recorded.clone(), ..with }).unwrap();
    assert_eq!((both.values["E"], both.values["G"]), (Number::Int(10), Number::Real(2.0)));
    let only = check_with(TEXT, &Settings { recorded, ..Settings::default() }).unwrap();
    assert_eq!((only.values["E"], only.values["F"]), (Number::Int(6), Number::Int(12)));
}

#[test]
fn axes_become_domains() {
    let c = check_with(TEXT, &Settings::default()).unwrap();
    let text = c.graph.to_string();
    let declarations: Vec<&str> = text.lines().take_while(|l| !l.starts_with('%')).collect();
    insta::assert_snapshot!(declarations.join("\n"));
}

#[test]
fn wrong_settings() {
    let cases = [
        settings(&[("W", Number::Int(3))]),
        settings(&[("e", Number::Int(3))]),
        settings(&[("E", Number::Real(0.5))]),
        settings(&[("E", Number::Int(-1))]),
        settings(&[("E", Number::Int(0))]),
        settings(&[("F", Number::Int(3))]),
        settings(&[("E", Number::Int(1 << 40))]),
        settings(&[("E", Number::Int(1 << 28))]),
        settings(&[("t", Number::Int(0))]),
        settings(&[("t", Number::Real(1.5))]),
    ];
    let pictures: Vec<String> = cases.iter().map(|s| format!("{:?}\n{}", s.defines, messages(TEXT, s))).collect();
    insta::assert_snapshot!(pictures.join("\n"));
}

#[test]
fn several_layers_need_a_name() {
    let text =
        "layer a { axis t: time\n in x[t]\n out y[t] = x }\nlayer b { axis t: time\n in x[t]\n out z[t] = 2 * x }";
    let compile = |name| {
        let (mut map, id) = crate::support::source(text);
        weft::sema::compile(&mut map, id, name, &Settings::default(), &mut |_| None)
    };
    assert_eq!(compile(None).unwrap_err()[0].code.as_str(), "E0111");
    assert_eq!(compile(Some("c")).unwrap_err()[0].code.as_str(), "E0111");
    assert_eq!(&*compile(Some("b")).unwrap().graph.outputs[0].name, "z");
}

#[test]
fn modules() {
    let compile = |text: &str| {
        let (mut map, id) = crate::support::source(text);
        let mut files = |path: &str| match path {
            "lib/norms" => Some((
                "lib/norms.weft".to_owned(),
                "use lib.norms\nfn twice(x) = 2 * own(x)\nfn own(x) = silu(x)\ngroup g[t] { w[t] }".to_owned(),
            )),
            "broken" => Some(("broken.weft".to_owned(), "fn f(".to_owned())),
            _ => None,
        };
        weft::sema::compile(&mut map, id, None, &Settings::default(), &mut files)
            .map(|c| c.graph.len())
            .map_err(|all| all.iter().map(|d| d.code.as_str()).collect::<Vec<_>>().join(" "))
    };
    let layer = |e: &str| format!("layer l {{ axis t: time\n in x[t]\n out y[t] = {e} }}");
    assert!(compile(&format!("use lib.norms\n{}", layer("twice(x)"))).is_ok());
    assert!(compile(&format!("use lib.norms.{{twice}}\n{}", layer("twice(x)"))).is_ok());
    // own functions win over used ones and over the standard library's, but not inside the library
    assert!(compile(&format!("use lib.norms\nfn silu(x) = y\n{}", layer("twice(x)"))).is_ok());
    assert_eq!(compile(&format!("use lib.norms.{{twice}}\n{}", layer("own(x)"))).unwrap_err(), "E0103");
    assert_eq!(compile(&format!("use lib.norms.{{thrice}}\n{}", layer("x"))).unwrap_err(), "E0110");
    assert_eq!(compile(&format!("use lib.none\n{}", layer("x"))).unwrap_err(), "E0109");
    assert!(compile(&format!("use broken\n{}", layer("x"))).unwrap_err().starts_with("E00"));
}

#[test]
fn shapes_determine_sizes() {
    let text = "group g[e, n] { w[n,e] }
        layer l { size E = 4, N = 8, P = 2\n axis b, t: time\n index e: E, n, i: N, k: n, h: E // P\n in x[b,t,e]\n param p: g[e, n], q[k], r[h]\n
        out y[b,t] = sum(e: x) + sum(n, e: p.w) + sum(k: q) + sum(h: r) + sum(i: q[i]) }";
    let (mut map, id) = crate::support::source(text);
    let shapes = [("x", vec![2, 9, 6]), ("p.w", vec![10, 7]), ("q", vec![10]), ("r", vec![3]), ("other", vec![1])];
    let shapes: Vec<(String, Vec<usize>)> = shapes.into_iter().map(|(n, s)| (n.to_owned(), s)).collect();
    let sizes = weft::sema::sizes_from_shapes(&mut map, id, None, &shapes, &mut |_| None).unwrap();
    assert_eq!(sizes, [("E".to_owned(), Number::Int(6)), ("N".to_owned(), Number::Int(10))]);
    let checked = check_with(text, &Settings { recorded: sizes, ..Settings::default() }).unwrap();
    assert_eq!(checked.values["E"], Number::Int(6));
}
