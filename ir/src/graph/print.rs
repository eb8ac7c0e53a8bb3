//! Text form of a graph: declarations, then one line a node, operands before users.
//!
//! ```text
//! graph window
//! domain b = runtime
//! domain t = ragged(b) time
//! domain e = 8
//! axis b: b, t: t, j: t, e: e
//! in x[b, t, e]: float
//! %0 = input x
//! %1 = index t
//! ...
//! out y[b, t]: float = %9
//! ```
//! Names are made unique by a suffix `.2`, `.3` where the source uses one name twice.

use super::axes::{AxisId, Extent, Role};
use super::node::{Graph, Init, InputKind, NodeId};
use super::op::{Extremum, Op, Scalar};
use rustc_hash::{FxHashMap, FxHashSet};
use std::fmt::{self, Write};

/// Unique printable names of the domains, axes and recurrences of one graph.
pub(crate) struct Names {
    pub(crate) domains: Vec<String>,
    pub(crate) axes: Vec<String>,
    pub(crate) recs: Vec<String>,
}

fn unique<'a>(names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut seen: FxHashSet<String> = FxHashSet::default();
    names
        .map(|n| {
            let mut n: String =
                n.chars().map(|c| if c.is_alphanumeric() || "_.'$".contains(c) { c } else { '_' }).collect();
            if n.is_empty() {
                n.push('_');
            }
            let free = (1..).map(|i| if i == 1 { n.clone() } else { format!("{n}.{i}") }).find(|n| !seen.contains(n));
            let free = free.unwrap_or(n);
            seen.insert(free.clone());
            free
        })
        .collect()
}

impl Names {
    pub(crate) fn of(g: &Graph) -> Self {
        Self {
            domains: unique(g.domains().iter().map(|d| &*d.name)),
            axes: unique(g.axes().iter().map(|a| &*a.name)),
            recs: unique(g.recs().iter().map(|r| &*r.name)),
        }
    }

    fn list(&self, axes: impl IntoIterator<Item = AxisId>) -> String {
        axes.into_iter().map(|a| self.axes[a.index()].as_str()).collect::<Vec<_>>().join(", ")
    }
}

impl fmt::Display for Init {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Const(c) => write!(f, "{c:?}"),
            Self::Uniform(a, b) => write!(f, "uniform({a:?}, {b:?})"),
            Self::Normal(a, b) => write!(f, "normal({a:?}, {b:?})"),
            Self::Map(m, args) => {
                write!(f, "{}(", m.name())?;
                for (i, a) in args.iter().enumerate() {
                    write!(f, "{}{a}", if i > 0 { ", " } else { "" })?;
                }
                f.write_char(')')
            }
        }
    }
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(b) => write!(f, "{b}"),
            Self::Int(i) => write!(f, "{i}"),
            Self::Float(b) => write!(f, "{:?}", f64::from_bits(*b)),
        }
    }
}

impl fmt::Display for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = Names::of(self);
        writeln!(f, "graph {}", self.name)?;
        for (d, name) in self.domains().iter().zip(&names.domains) {
            write!(f, "domain {name} = ")?;
            match d.extent {
                Extent::Const(n) => write!(f, "{n}")?,
                Extent::Runtime => f.write_str("runtime")?,
                Extent::Ragged(b) => write!(f, "ragged({})", names.axes[b.index()])?,
                Extent::Derived { base, mul, add, div } => {
                    write!(f, "({mul} * |{}| + {add}) // {div}", names.domains[base.index()])?;
                }
            }
            writeln!(f, "{}", if d.role == Role::Time { " time" } else { "" })?;
        }
        for (a, name) in self.axes().iter().zip(&names.axes) {
            writeln!(f, "axis {name}: {}", names.domains[a.domain.index()])?;
        }
        for i in self.inputs() {
            let kind = if i.kind == InputKind::In { "in" } else { "param" };
            write!(f, "{kind} {}[{}]: {}", i.name, names.list(i.axes.iter().copied()), i.dtype)?;
            if let Some(init) = &i.init {
                write!(f, " ~ {init}")?;
            }
            writeln!(f)?;
        }
        for (r, name) in self.recs().iter().zip(&names.recs) {
            writeln!(
                f,
                "rec {name} over {}[{}]: {}{}",
                names.axes[r.time.index()],
                names.list(r.state.iter().copied()),
                r.dtype,
                if r.reverse { " reverse" } else { "" }
            )?;
        }
        let order = self.reachable();
        let number: FxHashMap<NodeId, usize> = order.iter().enumerate().map(|(n, &id)| (id, n)).collect();
        for &id in &order {
            self.print_node(f, &names, &number, id)?;
        }
        for o in &self.outputs {
            writeln!(f, "out {}[{}]: {} = %{}", o.name, names.list(o.axes.iter().copied()), o.dtype, number[&o.node])?;
        }
        Ok(())
    }
}

impl Graph {
    fn print_node(
        &self,
        f: &mut fmt::Formatter<'_>,
        names: &Names,
        number: &FxHashMap<NodeId, usize>,
        id: NodeId,
    ) -> fmt::Result {
        let op = self.op(id);
        write!(f, "%{} = ", number[&id])?;
        match op {
            Op::Map(m) => write!(f, "{}", m.name())?,
            Op::Reduce { extremum, .. } => {
                write!(f, "{}", if *extremum == Extremum::Max { "reduce_max" } else { "reduce_min" })?;
            }
            Op::Arg { extremum, .. } => write!(f, "{}", if *extremum == Extremum::Max { "argmax" } else { "argmin" })?,
            Op::Threshold { family, .. } => write!(f, "threshold.{}", family.name())?,
            _ => write!(f, "{}", op.name())?,
        }
        match op {
            Op::Input(i) => write!(f, " {}", self.input(*i).name)?,
            Op::Const(c) => write!(f, " {c}")?,
            Op::Index(a) => write!(f, " {}", names.axes[a.index()])?,
            Op::Size(d) => write!(f, " {}", names.domains[d.index()])?,
            Op::Cast(t) => write!(f, " {t}")?,
            Op::Rec(r) | Op::Prev(r) => write!(f, " {}", names.recs[r.index()])?,
            _ => {}
        }
        let numbers = |ids: &[NodeId]| ids.iter().map(|a| format!("%{}", number[a])).collect::<Vec<_>>().join(", ");
        match op {
            Op::Sub { axes } => {
                let args = self.args(id);
                let pairs: Vec<String> = axes
                    .iter()
                    .zip(&args[1..])
                    .map(|(a, p)| format!("{} := %{}", names.axes[a.index()], number[p]))
                    .collect();
                write!(f, " %{} {{{}}}", number[&args[0]], pairs.join(", "))?;
            }
            _ if op.is_reduction() || matches!(op, Op::Ein { .. } | Op::Reduce { .. }) => {
                write!(f, " {{{}}}", names.list(op.bound().iter().copied()))?;
                if op.guards() > 0 {
                    write!(f, " [{}]", numbers(self.guards(id)))?;
                }
                write!(f, " {}", numbers(self.operands(id)))?;
            }
            _ if self.args(id).is_empty() => {}
            _ => write!(f, " {}", numbers(self.args(id)))?,
        }
        write!(f, " : {}[{}]", self.dtype(id), names.list(self.free(id).iter()))?;
        if let Some(label) = self.label(id) {
            write!(f, "  ; {label}")?;
        }
        writeln!(f)
    }
}
