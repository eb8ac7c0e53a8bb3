//! Terms of the graph IR as the mathematics of a layer, in its own names.
//!
//! A value that the source names is written by its name and axes; only what is shown is written out. Bound axes that passes made get names
//! of the source's axes over the same range, where these are free.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use weft_ir::graph::{AxisId, AxisSet, Graph, MapFn, NodeId, Op, RecId, Scalar};
use weft_ir::linear::Lin;

/// Writes terms of one graph.
pub(super) struct Notation<'g> {
    graph: &'g Graph,
    /// Axes that the source declares: those with smaller ids.
    declared: usize,
    names: BTreeMap<AxisId, String>,
    /// Names of axes in whose place positions stand: nothing inside takes them.
    reserved: Vec<String>,
    /// Recurrences in the order in which they were met, for their definitions.
    pub(super) carried: Vec<(RecId, NodeId)>,
}

/// A text without the brackets around all of it.
fn bare(text: &str) -> &str {
    let Some(inner) = text.strip_prefix('(').and_then(|t| t.strip_suffix(')')) else { return text };
    let mut depth = 0i32;
    for c in inner.chars() {
        depth += i32::from(c == '(') - i32::from(c == ')');
        if depth < 0 {
            return text;
        }
    }
    inner
}

/// How tightly a text binds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Tie {
    Sum,
    Product,
    Atom,
}

impl<'g> Notation<'g> {
    /// For a graph whose first `declared` axes are those of the source.
    pub(super) fn new(graph: &'g Graph, declared: usize) -> Self {
        Self { graph, declared, names: BTreeMap::new(), reserved: Vec::new(), carried: Vec::new() }
    }

    /// A term written out, though it may have a name.
    pub(super) fn term(&mut self, id: NodeId) -> String {
        self.names.clear();
        for a in self.graph.free(id).clone().iter() {
            self.name(a);
        }
        self.open(id, true).0
    }

    /// A term by its name, or written out if it has none.
    pub(super) fn value(&mut self, id: NodeId) -> String {
        self.names.clear();
        for a in self.graph.free(id).clone().iter() {
            self.name(a);
        }
        self.open(id, false).0
    }

    /// A position and the conditions under which it is one, in the same names.
    pub(super) fn position(&mut self, position: NodeId, conditions: &[NodeId]) -> (String, Vec<String>) {
        self.names.clear();
        let g = self.graph;
        for &n in conditions.iter().chain([&position]) {
            for a in g.free(n).iter() {
                self.name(a);
            }
        }
        let at = self.open(position, false).0;
        (at, conditions.iter().map(|&c| self.condition(c)).collect())
    }

    /// `S[m] = ..` for every recurrence that was met, those that are met on the way included.
    pub(super) fn definitions(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        let mut n = 0;
        while n < self.carried.len() {
            let (rec, node) = self.carried[n];
            self.names.clear();
            let axes = self.state_axes(rec);
            for &a in &axes {
                self.name(a);
            }
            let left = self.read(&self.rec_name(rec), &axes, &BTreeMap::new());
            let body = self.graph.args(node)[0];
            lines.push(format!("{left} = {}", self.open(body, true).0));
            n += 1;
        }
        lines
    }

    fn state_axes(&self, rec: RecId) -> Vec<AxisId> {
        let decl = self.graph.rec(rec);
        let mut axes: Vec<AxisId> = decl.state.iter().copied().chain([decl.time]).collect();
        axes.sort_unstable();
        axes
    }

    fn rec_name(&self, rec: RecId) -> String {
        self.graph.rec(rec).name.to_string()
    }

    /// The name of an axis in the term that is being written.
    fn name(&mut self, axis: AxisId) -> String {
        if let Some(n) = self.names.get(&axis) {
            return n.clone();
        }
        let g = self.graph;
        let domain = g.axis(axis).domain;
        let own = |a: &usize| g.axes()[*a].domain == domain && !g.axes()[*a].name.contains('\'');
        let taken = |n: &str| self.names.values().chain(&self.reserved).any(|x| x == n);
        let mut candidates: Vec<String> = Vec::new();
        if axis.index() < self.declared && !g.axis(axis).name.contains('\'') {
            candidates.push(g.axis(axis).name.to_string());
        }
        // The second axis over a range is the one that sums bind.
        let mut declared: Vec<String> = (0..self.declared).filter(own).map(|a| g.axes()[a].name.to_string()).collect();
        if !declared.is_empty() {
            declared.rotate_left(1);
        }
        // The row at which a tile starts has a name of its own.
        if axis.index() >= self.declared && &*g.axis(axis).name == "start" {
            candidates.push("start".to_owned());
        }
        candidates.extend(declared);
        let base = g.domain(domain).name.to_string();
        candidates.push(base.clone());
        let name = candidates.into_iter().find(|n| !taken(n));
        let name = name.unwrap_or_else(|| {
            let mut n = 2;
            while taken(&format!("{base}{n}")) {
                n += 1;
            }
            format!("{base}{n}")
        });
        self.names.insert(axis, name.clone());
        name
    }

    fn within(&mut self, id: NodeId, tie: Tie) -> String {
        let (text, own) = self.open(id, false);
        if own < tie { format!("({text})") } else { text }
    }

    /// `name[axes]`, some of them at other positions.
    fn read(&mut self, name: &str, axes: &[AxisId], at: &BTreeMap<AxisId, NodeId>) -> String {
        let parts: Vec<String> = axes
            .iter()
            .map(|a| match at.get(a) {
                Some(&p) => self.within(p, Tie::Sum),
                None => self.name(*a),
            })
            .map(|p| bare(&p).to_owned())
            .collect();
        if parts.is_empty() { name.to_owned() } else { format!("{name}[{}]", parts.join(", ")) }
    }

    fn open(&mut self, id: NodeId, whole: bool) -> (String, Tie) {
        let g = self.graph;
        let is_number = matches!(g.op(id), Op::Const(_));
        if let (false, Some(label)) = (whole || is_number, g.label(id)) {
            let axes: Vec<AxisId> = g.free(id).iter().collect();
            return (self.read(label, &axes, &BTreeMap::new()), Tie::Atom);
        }
        let args = g.args(id).to_vec();
        match g.op(id).clone() {
            Op::Input(i) => {
                let input = g.input(i);
                (self.read(&input.name, &input.axes, &BTreeMap::new()), Tie::Atom)
            }
            Op::Const(Scalar::Float(bits)) => {
                let v = f64::from_bits(bits);
                let short = (v * 1e6).round() / 1e6;
                (if (short - v).abs() <= 1e-12 * v.abs() { format!("{short}") } else { format!("{v:.6}") }, Tie::Atom)
            }
            Op::Const(Scalar::Int(n)) => (n.to_string(), Tie::Atom),
            Op::Const(Scalar::Bool(b)) => (b.to_string(), Tie::Atom),
            Op::Index(a) => (self.name(a), Tie::Atom),
            Op::Size(d) => (format!("|{}|", g.domain(d).name), Tie::Atom),
            Op::Cast(_) => self.open(args[0], false),
            Op::Map(f) => self.map(id, f, &args),
            Op::Ein { axes, .. } => self.sum(id, &axes),
            Op::Sub { axes } => self.substitution(&axes, &args),
            Op::Rec(r) => {
                self.meet(r, id);
                let axes = self.state_axes(r);
                (self.read(&self.rec_name(r), &axes, &BTreeMap::new()), Tie::Atom)
            }
            Op::Prev(r) => {
                let decl = g.rec(r).clone();
                let axes = self.state_axes(r);
                let time = self.name(decl.time);
                let at = format!("{time} {} 1", if decl.reverse { "+" } else { "-" });
                let parts: Vec<String> =
                    axes.iter().map(|&a| if a == decl.time { at.clone() } else { self.name(a) }).collect();
                (format!("{}[{}]", decl.name, parts.join(", ")), Tie::Atom)
            }
            op => {
                let bound: Vec<String> = op.bound().iter().map(|&a| self.name(a)).collect();
                let guards: Vec<NodeId> = g.guards(id).to_vec();
                let parts: Vec<String> = g.operands(id).to_vec().iter().map(|&a| self.within(a, Tie::Sum)).collect();
                let mut text = format!("{}({}: {}", op.name(), bound.join(", "), parts.join(", "));
                self.conditions(&guards, &mut text);
                (text + ")", Tie::Atom)
            }
        }
    }

    fn meet(&mut self, rec: RecId, node: NodeId) {
        if !self.carried.iter().any(|c| c.0 == rec) {
            self.carried.push((rec, node));
        }
    }

    fn substitution(&mut self, axes: &[AxisId], args: &[NodeId]) -> (String, Tie) {
        let g = self.graph;
        let at: BTreeMap<AxisId, NodeId> = axes.iter().copied().zip(args[1..].iter().copied()).collect();
        let body = args[0];
        let stored = match g.op(body).clone() {
            Op::Input(i) => Some((g.input(i).name.to_string(), g.input(i).axes.clone())),
            Op::Rec(r) => {
                self.meet(r, body);
                Some((self.rec_name(r), self.state_axes(r)))
            }
            _ => g.label(body).map(|l| (l.to_owned(), g.free(body).iter().collect())),
        };
        if let Some((name, axes)) = stored {
            return (self.read(&name, &axes, &at), Tie::Atom);
        }
        // The positions stand in place of the axes.
        let mut before: Vec<(AxisId, Option<String>)> = Vec::new();
        let texts: Vec<(AxisId, String)> = at.iter().map(|(&a, &p)| (a, self.within(p, Tie::Atom))).collect();
        for (a, text) in texts {
            let name = self.names.insert(a, text);
            self.reserved.extend(name.clone());
            before.push((a, name));
        }
        let opened = self.open(body, false);
        for (a, name) in before {
            match name {
                Some(n) => {
                    self.reserved.pop();
                    self.names.insert(a, n)
                }
                None => self.names.remove(&a),
            };
        }
        opened
    }

    fn conditions(&mut self, guards: &[NodeId], text: &mut String) {
        for (n, &c) in guards.iter().enumerate() {
            let c = self.condition(c);
            let _ = write!(text, " {} {c}", if n == 0 { "where" } else { "and" });
        }
    }

    fn sum(&mut self, id: NodeId, axes: &[AxisId]) -> (String, Tie) {
        let g = self.graph;
        let guards = g.guards(id).to_vec();
        let factors = g.operands(id).to_vec();
        let bound: Vec<String> = axes.iter().map(|&a| self.name(a)).collect();
        let body = self.product(&factors);
        if axes.is_empty() && guards.is_empty() {
            return (body, if factors.len() > 1 { Tie::Product } else { Tie::Sum });
        }
        if axes.is_empty() {
            let conditions: Vec<String> = guards.iter().map(|&c| self.condition(c)).collect();
            return (format!("(if {} then {body} else 0)", conditions.join(" and ")), Tie::Atom);
        }
        let mut text = format!("sum({}: {body}", bound.join(", "));
        self.conditions(&guards, &mut text);
        // Their names are free again outside.
        let mut inside = AxisSet::new();
        inside.extend(&axes.iter().copied().collect());
        self.names.retain(|a, _| !inside.contains(*a));
        (text + ")", Tie::Atom)
    }

    fn product(&mut self, factors: &[NodeId]) -> String {
        let g = self.graph;
        let inverse = |f: NodeId| matches!(g.op(f), Op::Map(MapFn::Inv | MapFn::Inv0)) && g.label(f).is_none();
        let (below, above): (Vec<NodeId>, Vec<NodeId>) = factors.iter().copied().partition(|&f| inverse(f));
        let mut text = above.iter().map(|&f| self.within(f, Tie::Product)).collect::<Vec<_>>().join(" * ");
        if text.is_empty() {
            text = "1".to_owned();
        }
        for f in below {
            let _ = write!(text, " / {}", self.within(g.args(f)[0], Tie::Atom));
        }
        text
    }

    fn map(&mut self, id: NodeId, f: MapFn, args: &[NodeId]) -> (String, Tie) {
        if self.graph.dtype(id).is_int() {
            return self.integer(id);
        }
        match f {
            MapFn::Add => {
                let mut text = String::new();
                for &a in args {
                    let part = self.within(a, Tie::Sum);
                    match part.strip_prefix("-1 * ").or_else(|| part.strip_prefix('-')) {
                        Some(rest) if !text.is_empty() => {
                            let _ = write!(text, " - {rest}");
                        }
                        _ if text.is_empty() => text = part,
                        _ => {
                            let _ = write!(text, " + {part}");
                        }
                    }
                }
                (text, Tie::Sum)
            }
            MapFn::Mul => (self.product(args), Tie::Product),
            MapFn::Inv | MapFn::Inv0 => (format!("1 / {}", self.within(args[0], Tie::Atom)), Tie::Product),
            _ if self.graph.dtype(id) == weft_ir::DType::Bool => (self.condition(id), Tie::Sum),
            _ => {
                let parts: Vec<String> = args.iter().map(|&a| self.within(a, Tie::Sum)).collect();
                (format!("{}({})", f.name(), parts.join(", ")), Tie::Atom)
            }
        }
    }

    /// An integer as a linear form over terms that are not linear.
    fn form(&self, id: NodeId) -> Lin<NodeId> {
        let g = self.graph;
        let args = g.args(id);
        let linear = match g.op(id) {
            Op::Const(Scalar::Int(c)) => Some(Lin::new(*c)),
            Op::Map(MapFn::Add) => args.iter().try_fold(Lin::default(), |s, &a| s.checked_add(&self.form(a), 1)),
            Op::Map(MapFn::Mul) => args.iter().try_fold(Lin::new(1), |p, &a| p.times(&self.form(a))),
            _ => None,
        };
        linear.unwrap_or_else(|| Lin::var(id))
    }

    fn linear(&mut self, form: &Lin<NodeId>) -> String {
        let mut text = String::new();
        for (&v, k) in form.terms() {
            let part = self.within(v, Tie::Product);
            let size = if k.abs() == 1 { part } else { format!("{part} * {}", k.abs()) };
            match (text.is_empty(), k < 0) {
                (true, false) => text = size,
                (true, true) => text = format!("-{size}"),
                (false, negative) => {
                    let _ = write!(text, " {} {size}", if negative { "-" } else { "+" });
                }
            }
        }
        match form.constant() {
            0 if !text.is_empty() => {}
            c if text.is_empty() => text = c.to_string(),
            c => {
                let _ = write!(text, " {} {}", if c < 0 { "-" } else { "+" }, c.abs());
            }
        }
        text
    }

    fn integer(&mut self, id: NodeId) -> (String, Tie) {
        let args = self.graph.args(id).to_vec();
        match self.graph.op(id) {
            Op::Map(MapFn::IDiv) => {
                (format!("{} // {}", self.within(args[0], Tie::Atom), self.within(args[1], Tie::Atom)), Tie::Product)
            }
            Op::Map(MapFn::Mod) => {
                (format!("{} % {}", self.within(args[0], Tie::Atom), self.within(args[1], Tie::Atom)), Tie::Product)
            }
            Op::Map(MapFn::Add) => (self.linear(&self.form(id)), Tie::Sum),
            Op::Map(MapFn::Mul) if self.form(id).as_var() != Some(&id) => (self.linear(&self.form(id)), Tie::Product),
            Op::Map(f) => {
                let parts: Vec<String> = args.iter().map(|&a| self.within(a, Tie::Sum)).collect();
                (format!("{}({})", f.name(), parts.join(", ")), Tie::Atom)
            }
            _ => self.open(id, false),
        }
    }

    /// A condition: what is negative in a comparison with 0 stands on the left.
    fn condition(&mut self, id: NodeId) -> String {
        let g = self.graph;
        let args = g.args(id).to_vec();
        match g.op(id) {
            Op::Map(MapFn::And | MapFn::Or) => {
                let word = if matches!(g.op(id), Op::Map(MapFn::And)) { " and " } else { " or " };
                let parts: Vec<String> = args.iter().map(|&a| self.condition(a)).collect();
                format!("({})", parts.join(word))
            }
            Op::Map(MapFn::Not) => format!("not ({})", self.condition(args[0])),
            Op::Map(f @ (MapFn::Le | MapFn::Eq | MapFn::Ne)) if g.dtype(args[0]).is_int() => {
                // Whichever side is not the 0.
                let swapped = *f == MapFn::Le || g.constant(args[0]).is_some();
                let form = self.form(args[usize::from(swapped)]);
                let (mut left, mut right) = (Lin::default(), Lin::default());
                for (&v, k) in form.terms() {
                    let side = if k < 0 { &mut left } else { &mut right };
                    if let Some(s) = side.checked_add(&Lin::var(v), k.abs()) {
                        *side = s;
                    }
                }
                let c = form.constant();
                let strict = *f == MapFn::Le && c == -1;
                if !strict {
                    let side = if c < 0 { &mut left } else { &mut right };
                    *side = side.offset(c.abs()).unwrap_or_default();
                }
                let sign = match f {
                    MapFn::Le if strict => "<",
                    MapFn::Le => "<=",
                    MapFn::Eq => "==",
                    _ => "!=",
                };
                format!("{} {sign} {}", self.linear(&left), self.linear(&right))
            }
            Op::Map(f @ (MapFn::Lt | MapFn::Le | MapFn::Eq | MapFn::Ne)) => {
                let sign = match f {
                    MapFn::Lt => "<",
                    MapFn::Le => "<=",
                    MapFn::Eq => "==",
                    _ => "!=",
                };
                format!("{} {sign} {}", self.within(args[0], Tie::Sum), self.within(args[1], Tie::Sum))
            }
            _ => self.open(id, false).0,
        }
    }
}
