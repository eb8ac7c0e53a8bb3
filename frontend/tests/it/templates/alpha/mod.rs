//! Other names and another order of what has none must not change a plan.

mod tree;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::digest::Digest;
use super::examples::{EXAMPLES, Example};
use super::random::Random;
use super::road::{Case, graph, plan};
use crate::support::parsed;
use weft::syntax::ast::*;
use weft_ir::DType;
use weft_passes::schedule::Tiles;

/// New names for everything that a layer names, in another order of the alphabet. Gives what was renamed.
fn rename(layer: &mut Layer, random: &mut Random) -> HashMap<String, Arc<str>> {
    let mut old: Vec<String> = Vec::new();
    for item in &mut layer.items {
        let mut declared = |n: &mut Name| {
            if !old.iter().any(|o| o == n.as_str()) {
                old.push(n.to_string());
            }
        };
        tree::names(item, &mut declared, &mut |_| {});
    }
    let mut numbers: Vec<usize> = (0..old.len()).collect();
    random.shuffle(&mut numbers);
    let new: HashMap<String, Arc<str>> = old
        .into_iter()
        .zip(numbers)
        .map(|(o, n)| (o, Arc::from(format!("{}{n:02}", ["n", "Z", "a_"][n % 3]))))
        .collect();
    for item in &mut layer.items {
        let change = |n: &mut Name| {
            if let Some(to) = new.get(n.as_str()) {
                n.text = Arc::clone(to);
            }
        };
        tree::names(item, &mut { change }, &mut { change });
    }
    new
}

/// Other orders of the axes of values (not of inputs and outputs, whose memory is the caller's).
fn permute_axes(layer: &mut Layer, random: &mut Random) {
    let mut orders: HashMap<String, Vec<usize>> = HashMap::new();
    for item in &mut layer.items {
        if let LayerItem::Stmt(Stmt { kind: StmtKind::Let(b), .. }) = item {
            let mut order: Vec<usize> = (0..b.axes.len()).collect();
            random.shuffle(&mut order);
            b.axes = order.iter().map(|&n| b.axes[n].clone()).collect();
            orders.insert(b.name.to_string(), order);
        }
    }
    for item in &mut layer.items {
        tree::roots(item, &mut |root| {
            tree::expr(root, &mut |e| {
                if let ExprKind::Subscript { base, subscripts } = &mut e.kind
                    && let Some(order) = base.as_name().and_then(|n| orders.get(n.as_str()))
                {
                    *subscripts = order.iter().map(|&n| subscripts[n].clone()).collect();
                }
            });
        });
    }
}

/// The operands of a chain of one operator.
fn chain(e: Expr, op: BinaryOp, out: &mut Vec<Expr>) {
    match e.kind {
        ExprKind::Binary { op: own, lhs, rhs } if own == op => {
            chain(*lhs, op, out);
            chain(*rhs, op, out);
        }
        _ => out.push(e),
    }
}

/// Is the order of conditions the reader's choice? Not where one may guard a read in another.
fn has_read(e: &mut Expr) -> bool {
    let mut found = false;
    tree::expr(e, &mut |e| found |= matches!(e.kind, ExprKind::Subscript { .. }));
    found
}

/// Other orders of addends, factors, conditions, and sides of equations.
fn permute_operands(layer: &mut Layer, random: &mut Random) {
    for item in &mut layer.items {
        tree::roots(item, &mut |root| {
            tree::expr(root, &mut |e| {
                if let ExprKind::Compare { first, rest } = &mut e.kind
                    && let [(CompareOp::Eq | CompareOp::Ne, other)] = rest.as_mut_slice()
                    && random.below(2) == 0
                {
                    std::mem::swap(first.as_mut(), other);
                }
                let ExprKind::Binary { op, .. } = e.kind else { return };
                let logical = matches!(op, BinaryOp::And | BinaryOp::Or);
                if !(logical || matches!(op, BinaryOp::Add | BinaryOp::Mul)) || (logical && has_read(e)) {
                    return;
                }
                let (span, parens) = (e.span, e.parens);
                let mut operands = Vec::new();
                chain(e.clone(), op, &mut operands);
                random.shuffle(&mut operands);
                let made = operands.into_iter().reduce(|lhs, rhs| Expr {
                    kind: ExprKind::Binary { op, lhs: Box::new(lhs), rhs: Box::new(rhs) },
                    span,
                    parens: false,
                });
                if let Some(made) = made {
                    *e = Expr { parens, ..made };
                }
            });
        });
    }
}

/// Other orders of declarations and statements; what is used comes after what declares it.
fn permute_statements(layer: &mut Layer, random: &mut Random) {
    // One entry for each declaration, so that they may stand anywhere.
    let mut items: Vec<LayerItem> = Vec::new();
    for item in std::mem::take(&mut layer.items) {
        let entries =
            |kinds: Vec<DeclKind>, span| kinds.into_iter().map(move |kind| LayerItem::Decl(Decl { kind, span }));
        match item {
            LayerItem::Decl(Decl { kind, span }) => items.extend(match kind {
                DeclKind::Size(l) => entries(l.into_iter().map(|x| DeclKind::Size(vec![x])).collect(), span),
                DeclKind::Const(l) => entries(l.into_iter().map(|x| DeclKind::Const(vec![x])).collect(), span),
                DeclKind::Param(l) => entries(l.into_iter().map(|x| DeclKind::Param(vec![x])).collect(), span),
                other => entries(vec![other], span),
            }),
            LayerItem::Stmt(Stmt { kind: StmtKind::Index(list), span }) => {
                for mut d in list {
                    random.shuffle(&mut d.names);
                    items.push(LayerItem::Stmt(Stmt { kind: StmtKind::Index(vec![d]), span }));
                }
            }
            other => items.push(other),
        }
    }
    let mut uses: Vec<(HashSet<String>, HashSet<String>)> = Vec::new();
    for item in &mut items {
        let (mut declared, mut used) = (HashSet::new(), HashSet::new());
        tree::names(
            item,
            &mut |n| {
                declared.insert(n.to_string());
            },
            &mut |n| {
                used.insert(n.to_string());
            },
        );
        uses.push((declared, used));
    }
    let (mut done, mut left): (Vec<usize>, Vec<usize>) = (Vec::new(), (0..items.len()).collect());
    while !left.is_empty() {
        let ready: Vec<usize> = left
            .iter()
            .copied()
            .filter(|&n| left.iter().all(|&m| m == n || uses[m].0.is_disjoint(&uses[n].1)))
            .collect();
        assert!(!ready.is_empty(), "declarations in a circle");
        // Facts come as early as they may: what follows may need them.
        let fact = |&&n: &&usize| matches!(items[n], LayerItem::Decl(Decl { kind: DeclKind::Require(_), .. }));
        let next = ready.iter().find(fact).copied().unwrap_or_else(|| random.pick(&ready));
        done.push(next);
        left.retain(|&n| n != next);
    }
    let mut items: Vec<Option<LayerItem>> = items.into_iter().map(Some).collect();
    layer.items = done.into_iter().filter_map(|n| items[n].take()).collect();
}

fn digest(case: &Case) -> Digest {
    let made = graph(case).and_then(|g| plan(&g, DType::F32, case.tiles));
    Digest::of(&made.unwrap_or_else(|f| panic!("{f}\n{}", case.text)).plan)
}

/// The plans of changed texts against the plan of the example's own.
fn unchanged(
    example: &Example,
    change: impl std::ops::Fn(&mut Layer, &mut Random) -> HashMap<String, Arc<str>>,
) -> Vec<String> {
    let mut failures = Vec::new();
    let mut case = example.case(&[], &[1]);
    case.tiles = Tiles { rows: 8, stream: 8, block: 4, depth: 4, vector: 8 };
    let own = digest(&case);
    for seed in 0..3 * super::effort() as u64 {
        let mut file = parsed(&case.text).into_result().unwrap_or_else(|_| panic!("{} has errors", example.file));
        let new = change(tree::layer(&mut file), &mut Random(seed));
        let mut changed = case.clone();
        changed.text = weft::fmt::print(&file, "");
        for (name, _) in &mut changed.sizes {
            if let Some(to) = new.get(name) {
                *name = to.to_string();
            }
        }
        let found = digest(&changed);
        if found != own {
            let text = &changed.text;
            failures.push(format!("{} seed {seed}:\n{}\n{text}", example.file, own.difference(&found)));
        }
    }
    failures
}

macro_rules! changes {
    ($($test:ident = $change:expr;)*) => {$(
        #[test]
        fn $test() {
            let failures: Vec<String> = EXAMPLES.iter().flat_map(|e| unchanged(e, $change)).collect();
            assert!(failures.is_empty(), "{} plans differ\n{}", failures.len(), failures.join("\n"));
        }
    )*};
}

changes! {
    names = rename;
    order_of_axes = |l, r| { permute_axes(l, r); HashMap::new() };
    order_of_operands = |l, r| { permute_operands(l, r); HashMap::new() };
    order_of_statements = |l, r| { permute_statements(l, r); HashMap::new() };
    everything = |l, r| {
        permute_axes(l, r);
        permute_operands(l, r);
        permute_statements(l, r);
        rename(l, r)
    };
}
