//! What remains of a plan when names and the order of things that have none are forgotten.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use weft_ir::kernel::{AxisSet, BinOp, Domain, Expr, Guard, Inst, Kernel, Plan, Stmt, Type};

/// The structure of a plan: one line for each buffer and for each kernel, sorted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Digest {
    pub(super) buffers: Vec<String>,
    pub(super) kernels: Vec<String>,
}

impl Digest {
    pub(super) fn of(plan: &Plan) -> Self {
        let buffer = |b: &weft_ir::kernel::Buffer| {
            let mut dims: Vec<String> = b.dims.iter().map(|d| expr(plan, None, &d.extent)).collect();
            dims.sort();
            format!("{:?} {:?} [{}] init {:?}", b.role, b.elem, dims.join(", "), b.init.map(|x| x.as_f64()))
        };
        let mut buffers: Vec<String> = plan.buffers.iter().map(buffer).collect();
        let mut kernels: Vec<String> = plan.kernels.iter().map(|k| kernel(plan, k)).collect();
        buffers.sort();
        kernels.sort();
        Self { buffers, kernels }
    }

    /// What this has that the other lacks, and the reverse.
    pub(super) fn difference(&self, other: &Self) -> String {
        let mut out = String::new();
        for (what, a, b) in [("buffer", &self.buffers, &other.buffers), ("kernel", &self.kernels, &other.kernels)] {
            let count = |list: &Vec<String>, x: &String| list.iter().filter(|y| *y == x).count();
            for x in a.iter().filter(|x| count(a, x) > count(b, x)) {
                let _ = writeln!(out, "- {what} {x}");
            }
            for x in b.iter().filter(|x| count(b, x) > count(a, x)) {
                let _ = writeln!(out, "+ {what} {x}");
            }
        }
        out
    }
}

fn kernel(plan: &Plan, k: &Kernel) -> String {
    let mut grid: Vec<String> = k.grid.iter().map(|g| expr(plan, Some(k), &g.extent)).collect();
    grid.sort();
    let scratch: Vec<String> = k.scratch.iter().map(|s| format!("{:?} {:?}", s.elem, s.dims)).collect();
    format!("grid [{}] scratch {scratch:?}\n{}", grid.join(", "), block(plan, k, &k.body, 1))
}

/// A block: how often each statement of tile code occurs, and its loops in any order.
fn block(plan: &Plan, k: &Kernel, body: &[Stmt], depth: usize) -> String {
    let pad = "  ".repeat(depth);
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let mut blocks = Vec::new();
    for s in body {
        match s {
            Stmt::Let(_) => {}
            Stmt::Inst(i) => *counts.entry(inst(plan, k, i)).or_insert(0) += 1,
            Stmt::Loop(l) => {
                let step = l.axis.and_then(|a| k.axis_extent(plan, a));
                let head = format!("loop {} step {step:?} carries {}", domain(plan, k, &l.domain), l.carried.len());
                blocks.push(format!("{pad}{head}\n{}", block(plan, k, &l.body, depth + 1)));
            }
            Stmt::While(w) => {
                blocks.push(format!("{pad}while carries {}\n{}", w.carried.len(), block(plan, k, &w.body, depth + 1)));
            }
            Stmt::If(i) => {
                let (a, b) = (block(plan, k, &i.then_body, depth + 1), block(plan, k, &i.else_body, depth + 1));
                blocks.push(format!("{pad}if {}\n{a}{pad}else\n{b}", guard(&i.cond)));
            }
        }
    }
    blocks.sort();
    let lines: String = counts.iter().map(|(s, n)| format!("{pad}{n} x {s}\n")).collect();
    lines + &blocks.concat()
}

fn inst(plan: &Plan, k: &Kernel, i: &Inst) -> String {
    let mut out = i.op.spec().name.to_owned();
    if let Some(f) = i.attrs.function {
        let _ = write!(out, " {}", f.name());
    }
    if let Some(m) = i.attrs.monoid {
        let _ = write!(out, " {}", m.name());
    }
    let ty = |t: Type| format!("{:?}{}", t.elem, extents(plan, k, t.axes));
    let types: Vec<String> = i.results.iter().filter_map(|&r| k.value_type(r)).map(ty).collect();
    let _ = write!(out, " -> {}", types.join(" "));
    if !i.attrs.over.is_empty() {
        let _ = write!(out, " over {}", extents(plan, k, i.attrs.over));
    }
    if let Some(a) = &i.attrs.access {
        let _ = write!(out, " at {}", extents(plan, k, k.access_axes(a)));
    }
    let _ = write!(out, "{}", guard(&i.attrs.guard));
    out
}

fn guard(g: &Guard) -> String {
    if g.atoms.is_empty() && g.opaque.is_empty() {
        String::new()
    } else {
        format!(" where {} affine, {} opaque", g.atoms.len(), g.opaque.len())
    }
}

fn extents(plan: &Plan, k: &Kernel, axes: AxisSet) -> String {
    let mut list: Vec<i64> = axes.iter().filter_map(|a| k.axis_extent(plan, a)).collect();
    list.sort_unstable();
    format!("{list:?}")
}

fn domain(plan: &Plan, k: &Kernel, d: &Domain) -> String {
    let e = |x: &Expr| expr(plan, Some(k), x);
    match d {
        Domain::Dense { lo, hi } => format!("dense {} .. {}", e(lo), e(hi)),
        Domain::Strided { base, stride, lo, hi } => {
            format!("strided {} by {} from {} to {}", e(base), e(stride), e(lo), e(hi))
        }
        Domain::List { count, .. } => format!("list {}", e(count)),
        Domain::Table { count } => format!("table {}", e(count)),
        Domain::Point { at } => format!("point {}", e(at)),
    }
}

/// An expression without names: commutative operands sorted, scalars by their definitions.
#[allow(clippy::only_used_in_recursion, reason = "the kernel stands beside the plan in all of these")]
fn expr(plan: &Plan, k: Option<&Kernel>, e: &Expr) -> String {
    match e {
        Expr::Const(n) => n.to_string(),
        Expr::Param(_) => plan.static_value(e).map_or_else(|| "?".to_owned(), |n| n.to_string()),
        Expr::Extent(x) => extent(plan, x.index()),
        Expr::Ragged(x, _) => extent(plan, x.index()),
        Expr::Dim(_) => "dim".to_owned(),
        Expr::Var(_) => "v".to_owned(),
        Expr::Axis(_) => "axis".to_owned(),
        Expr::Value(_) => "value".to_owned(),
        Expr::Binary(op, a, b) => {
            let mut sides = [expr(plan, k, a), expr(plan, k, b)];
            if matches!(op, BinOp::Add | BinOp::Mul | BinOp::Min | BinOp::Max) {
                sides.sort();
            }
            format!("({} {op:?} {})", sides[0], sides[1])
        }
    }
}

/// An extent by what it is: ragged, or the how-manieth of the others.
fn extent(plan: &Plan, index: usize) -> String {
    match plan.extents.get(index).map(|e| e.over) {
        Some(Some(_)) => "T".to_owned(),
        _ => "N".to_owned(),
    }
}
