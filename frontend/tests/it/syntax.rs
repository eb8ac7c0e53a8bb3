//! The parser: every construct of the grammar.

use weft::diagnostics::SourceId;
use weft::syntax::ast::{ExprKind, FnBody, Item, LayerItem, StmtKind};
use weft::syntax::dump;

use crate::support::{parsed, picture, sources};

/// The dump of an expression.
fn expr(text: &str) -> String {
    let file = format!("fn f(x) = {text}");
    assert!(parsed(&file).diagnostics.is_empty(), "{}", picture(&file));
    let dumped = dump(&parsed(&file).file);
    let body = dumped.lines().nth(1).unwrap().trim();
    body.strip_prefix("(= ").and_then(|rest| rest.strip_suffix(')')).unwrap().to_owned()
}

#[test]
fn examples_and_std_parse() {
    for (path, text) in sources() {
        assert!(parsed(&text).diagnostics.is_empty(), "{}\n{}", path.display(), picture(&text));
    }
    let std = weft::diagnostics::SourceMap::new();
    assert!(parsed(std.get(SourceId::STD).text()).diagnostics.is_empty());
}

#[test]
fn precedence() {
    let cases = [
        ("a + b * c - d", "(- (+ a (* b c)) d)"),
        ("a - b - c", "(- (- a b) c)"),
        ("a // b / c % d * e", "(* (% (/ (// a b) c) d) e)"),
        ("-a * b", "(* (- a) b)"),
        ("-a ^ b", "(- (^ a b))"),
        ("a ^ -b", "(^ a (- b))"),
        ("a ^ b ^ c", "(^ a (^ b c))"),
        ("(-a) ^ b", "(^ (- a) b)"),
        ("a * -b", "(* a (- b))"),
        ("--a", "(- (- a))"),
        ("base^(-2 * i / |d|)", "(^ base (/ (* (- 2) i) |d|))"),
        ("a or b and not c == d", "(or a (and b (not (chain c == d))))"),
        ("not a and b", "(and (not a) b)"),
        ("not not a", "(not (not a))"),
        ("a and b or c and d", "(or (and a b) (and c d))"),
        ("0 <= t - j < W", "(chain 0 <= (- t j) < W)"),
        ("a < b == c", "(chain a < b == c)"),
        ("(a < b) == c", "(chain (chain a < b) == c)"),
        ("if a then b else if c then d else e", "(if a b (if c d e))"),
        ("if a or b then c + d else e * f", "(if (or a b) (+ c d) (* e f))"),
        ("1 + (if a then b else c)", "(+ 1 (if a b c))"),
        ("((a))", "a"),
    ];
    for (text, tree) in cases {
        assert_eq!(expr(text), tree, "{text}");
    }
}

#[test]
fn names_calls_and_reducers() {
    let cases = [
        ("x", "x"),
        ("k.wz", "k.wz"),
        ("a.b.c", "a.b.c"),
        ("x[b, t - 1, e]", "(at x b (- t 1) e)"),
        ("k.wz[hs,0]", "(at k.wz hs 0)"),
        ("x[y[t]]", "(at x (at y t))"),
        ("|t|", "|t|"),
        ("|t| // |d|", "(// |t| |d|)"),
        ("f()", "(call f [])"),
        ("f(x, 1e-5)", "(call f [] x 1e-5)"),
        ("sum(j: x)", "(reduce sum [j] x)"),
        ("sum(j, d: x * y where p and q)", "(reduce sum [j d] (where (* x y) (and p q)))"),
        ("argmin(s: (k - c)^2)", "(reduce argmin [s] (^ (- k c) 2))"),
        ("max(a, b)", "(call max [] a b)"),
        ("sum(j)", "(call sum [] j)"),
        ("softmax[j](s where p)", "(call softmax [j] (where s p))"),
        ("rope_pairs[d](sum(e: wq * x), t, 10000)", "(call rope_pairs [d] (reduce sum [e] (* wq x)) t 10000)"),
        ("rms[hs, ph](x where p, 1)", "(call rms [hs ph] (where x p) 1)"),
        ("f(if a then b else c where p)", "(call f [] (where (if a b c) p))"),
        ("f(a, b,)", "(call f [] a b)"),
        ("x[a, b,]", "(at x a b)"),
    ];
    for (text, tree) in cases {
        assert_eq!(expr(text), tree, "{text}");
    }
}

#[test]
fn numbers() {
    for text in ["0", "12", "9223372036854775807"] {
        assert_eq!(expr(text), text);
    }
    for (text, value) in
        [("1.5", 1.5), ("1e-5", 1e-5), ("1.5e3", 1500.0), ("2E+2", 200.0), ("0e0", 0.0), ("1e300", 1e300)]
    {
        let parsed = parsed(&format!("fn f(x) = {text}"));
        assert!(parsed.diagnostics.is_empty(), "{text}");
        let Item::Fn(function) = &parsed.file.items[0] else { panic!() };
        let FnBody::Expr(body) = &function.body else { panic!() };
        assert!(matches!(&body.kind, ExprKind::Float { value: v, text: t } if *v == value && **t == *text), "{body:?}");
    }
}

/// Every form of item, declaration and statement, in one file.
#[test]
fn items_and_statements() {
    let text = include_str!("constructs.weft");
    assert!(parsed(text).diagnostics.is_empty(), "{}", picture(text));
    insta::assert_snapshot!(dump(&parsed(text).file));
}

/// Line ends mean nothing, except to comments.
#[test]
fn line_ends_mean_nothing() {
    for (_, text) in sources() {
        let bare: Vec<_> = text.lines().map(|line| line.split('#').next().unwrap()).collect();
        assert_eq!(dump(&parsed(&text).file), dump(&parsed(&bare.join(" ")).file));
        assert_eq!(dump(&parsed(&text).file), dump(&parsed(&text.replace('\n', "\r\n")).file));
        assert_eq!(dump(&parsed(&text).file), dump(&parsed(&bare.join(" ").replace(' ', "\n")).file));
    }
}

#[test]
fn keywords_of_statements_may_be_names() {
    let text = "layer l { axis t: time in in[t], out[t] \n let group[t] = in + out \n let size = group \n let index = size \n\
                out const[t] = index * size and group or in  rec axis[t] = param \n out out = use.group }";
    assert!(parsed(text).diagnostics.is_empty(), "{}", picture(text));
    let Item::Layer(layer) = &parsed(text).file.items[0] else { panic!() };
    assert_eq!(layer.items.len(), 8);
}

#[test]
fn spans_are_exact() {
    let text = "# c\nlayer l {\n  let a[t] = (x + 1) * y[t - 1]  # d\n}\n";
    let parsed = parsed(text);
    let slice = |span: weft::diagnostics::Span| &text[span.start as usize..span.end as usize];
    let Item::Layer(layer) = &parsed.file.items[0] else { panic!() };
    assert_eq!(slice(layer.span), "layer l {\n  let a[t] = (x + 1) * y[t - 1]  # d\n}");
    assert!(slice(layer.body_span).starts_with('{') && slice(layer.body_span).ends_with('}'));
    let LayerItem::Stmt(stmt) = &layer.items[0] else { panic!() };
    assert_eq!(slice(stmt.span), "let a[t] = (x + 1) * y[t - 1]");
    let StmtKind::Let(binding) = &stmt.kind else { panic!() };
    assert_eq!((slice(binding.name.span), slice(binding.axes[0].span)), ("a", "t"));
    let ExprKind::Binary { lhs, rhs, .. } = &binding.value.kind else { panic!() };
    assert_eq!((slice(lhs.span), slice(rhs.span)), ("(x + 1)", "y[t - 1]"));
    let comments: Vec<_> = parsed.file.comments.iter().map(|c| (slice(c.span), c.own_line)).collect();
    assert_eq!(comments, [("# c", true), ("# d", false)]);
}

#[test]
fn whatever_is_right_survives_an_error() {
    let text = "fn a(x) = x\nfn b(x) = x +\nlayer l {\n  let ok = 1\n  let bad = (\n  let ok2 = 2\n}\nfn c(x) = x\n";
    let parsed = parsed(text);
    assert_eq!(parsed.diagnostics.len(), 2);
    assert_eq!(parsed.file.items.len(), 3);
    let Item::Layer(layer) = &parsed.file.items[1] else { panic!() };
    assert_eq!(layer.items.len(), 2);
}
