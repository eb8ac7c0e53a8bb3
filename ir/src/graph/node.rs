//! Nodes, graphs, and the checks that hold for every node.

use super::affine::Affine;
use super::axes::{Axis, AxisId, AxisSet, Domain, DomainId, Extent, Role, id};
use super::op::{Op, Scalar};
use crate::dtype::DType;
use crate::elementwise::MapFn;
use indexmap::IndexMap;
use rustc_hash::{FxBuildHasher, FxHashMap, FxHashSet};
use smallvec::SmallVec;

id!(
    /// Names a node of one graph. Operands have smaller ids than their users.
    NodeId
);
id!(
    /// Names an input or parameter of one graph.
    InputId
);
id!(
    /// Names a recurrence of one graph.
    RecId
);

/// What identifies a node: its op and operands.
type Key = (Op, SmallVec<[NodeId; 3]>);

/// Given anew with every call, or learned?
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum InputKind {
    /// `in`
    In,
    /// `param`
    Param,
}

/// How generated values of an input are distributed (`~`).
#[derive(Clone, PartialEq, Debug)]
pub enum Init {
    /// A constant.
    Const(f64),
    /// Uniform in `[low, high)`.
    Uniform(f64, f64),
    /// Normal with mean and standard deviation.
    Normal(f64, f64),
    /// An elementwise function of other initialisers.
    Map(MapFn, Vec<Init>),
}

/// A tensor that comes from outside.
#[derive(Clone, PartialEq, Debug)]
pub struct Input {
    /// The name in the source, which is also its name in files (`x`, `k.wz`).
    pub name: Box<str>,
    /// Axes in the order of the file's dimensions.
    pub axes: Vec<AxisId>,
    /// Element type.
    pub dtype: DType,
    /// Input or parameter.
    pub kind: InputKind,
    /// Distribution of generated values, if the source gives one.
    pub init: Option<Init>,
}

/// A tensor that a graph computes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Output {
    /// The name in the source and in files.
    pub name: Box<str>,
    /// Axes in the order of the file's dimensions.
    pub axes: Vec<AxisId>,
    /// Element type in files.
    pub dtype: DType,
    /// The term.
    pub node: NodeId,
}

/// Declaration of a recurrence: what [`Op::Rec`] and [`Op::Prev`] share.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RecDecl {
    /// For people only.
    pub name: Box<str>,
    /// The axis over which it runs.
    pub time: AxisId,
    /// The other axes of its state.
    pub state: Vec<AxisId>,
    /// Element type of the state.
    pub dtype: DType,
    /// Does it run from the last position to the first? Then `prev` is its value at t + 1, and there is none at the last
    /// position, `T[b] - 1` of a ragged axis. The language has no such recurrence; the adjoint of one is.
    pub reverse: bool,
}

/// Why a node cannot be made, or a graph is not valid.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Error {
    /// Operand count or types that the op's rule refuses.
    #[error("`{op}` does not take operands ({operands})")]
    Operands {
        /// Name of the op.
        op: &'static str,
        /// Types found.
        operands: String,
    },
    /// A rule about axes is broken.
    #[error("`{op}`: {what}")]
    Axes {
        /// Name of the op.
        op: &'static str,
        /// Which rule, and for which axis.
        what: String,
    },
    /// An id that is not in the graph.
    #[error("{0} is not in the graph")]
    Missing(String),
    /// An output that depends on more than its own axes.
    #[error("output `{output}` depends on axis `{axis}`, which is not one of its own")]
    FreeAxis {
        /// The output.
        output: Box<str>,
        /// The axis.
        axis: Box<str>,
    },
}

/// What a layer computes.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    /// The layer's name, for people only.
    pub name: Box<str>,
    domains: Vec<Domain>,
    axes: Vec<Axis>,
    inputs: Vec<Input>,
    recs: Vec<RecDecl>,
    /// The outputs, in source order.
    pub outputs: Vec<Output>,
    nodes: IndexMap<Key, (AxisSet, DType), FxBuildHasher>,
    labels: FxHashMap<NodeId, Box<str>>,
}

impl Graph {
    /// An empty graph.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// Adds a domain.
    pub fn add_domain(&mut self, name: &str, extent: Extent, role: Role) -> DomainId {
        self.domains.push(Domain { name: name.into(), extent, role });
        DomainId(self.domains.len() as u32 - 1)
    }

    /// Adds an axis over a domain of this graph.
    pub fn add_axis(&mut self, name: &str, domain: DomainId) -> AxisId {
        self.axes.push(Axis { name: name.into(), domain });
        AxisId(self.axes.len() as u32 - 1)
    }

    /// Adds an input or parameter.
    pub fn add_input(&mut self, input: Input) -> InputId {
        self.inputs.push(input);
        InputId(self.inputs.len() as u32 - 1)
    }

    /// Gives an input another name. Terms do not mention names.
    pub fn rename_input(&mut self, id: InputId, name: &str) {
        if let Some(input) = self.inputs.get_mut(id.index()) {
            input.name = name.into();
        }
    }

    /// Declares a recurrence; its body follows with [`Op::Rec`].
    pub fn add_rec(&mut self, rec: RecDecl) -> RecId {
        self.recs.push(rec);
        RecId(self.recs.len() as u32 - 1)
    }

    /// Turns a runtime domain into one that is ragged over a batch axis.
    pub fn set_extent(&mut self, domain: DomainId, extent: Extent) {
        if let Some(d) = self.domains.get_mut(domain.index()) {
            d.extent = extent;
        }
    }

    /// Says what a domain is for.
    pub fn set_role(&mut self, domain: DomainId, role: Role) {
        if let Some(d) = self.domains.get_mut(domain.index()) {
            d.role = role;
        }
    }

    /// A domain.
    #[must_use]
    pub fn domain(&self, id: DomainId) -> &Domain {
        &self.domains[id.index()]
    }

    /// All domains.
    #[must_use]
    pub fn domains(&self) -> &[Domain] {
        &self.domains
    }

    /// An axis.
    #[must_use]
    pub fn axis(&self, id: AxisId) -> &Axis {
        &self.axes[id.index()]
    }

    /// All axes.
    #[must_use]
    pub fn axes(&self) -> &[Axis] {
        &self.axes
    }

    /// The domain of an axis.
    #[must_use]
    pub fn domain_of(&self, axis: AxisId) -> &Domain {
        self.domain(self.axis(axis).domain)
    }

    /// Extent of an axis.
    #[must_use]
    pub fn extent(&self, axis: AxisId) -> Extent {
        self.domain_of(axis).extent
    }

    /// Extent of an axis where it is a number.
    #[must_use]
    pub fn static_extent(&self, axis: AxisId) -> Option<i64> {
        match self.extent(axis) {
            Extent::Const(n) => Some(n),
            _ => None,
        }
    }

    /// The batch axis over which the extent of a domain is ragged, directly or through what it is derived from.
    #[must_use]
    pub fn ragged_over(&self, domain: DomainId) -> Option<AxisId> {
        let mut at = domain;
        // No chain of derivations is longer than there are domains; a circular one is ragged over nothing.
        for _ in 0..=self.domains.len() {
            match self.domain(at).extent {
                Extent::Ragged(b) => return Some(b),
                Extent::Derived { base, .. } => at = base,
                Extent::Const(_) | Extent::Runtime => return None,
            }
        }
        None
    }

    /// An input.
    #[must_use]
    pub fn input(&self, id: InputId) -> &Input {
        &self.inputs[id.index()]
    }

    /// All inputs and parameters, in source order.
    #[must_use]
    pub fn inputs(&self) -> &[Input] {
        &self.inputs
    }

    /// A recurrence.
    #[must_use]
    pub fn rec(&self, id: RecId) -> &RecDecl {
        &self.recs[id.index()]
    }

    /// All recurrences.
    #[must_use]
    pub fn recs(&self) -> &[RecDecl] {
        &self.recs
    }

    /// Number of nodes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Has it no nodes?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// All ids, operands before users.
    pub fn ids(&self) -> impl DoubleEndedIterator<Item = NodeId> + use<> {
        (0..self.nodes.len() as u32).map(NodeId)
    }

    fn entry(&self, id: NodeId) -> (&Key, &(AxisSet, DType)) {
        match self.nodes.get_index(id.index()) {
            Some(e) => e,
            None => unreachable!("node ids are made by this graph only"),
        }
    }

    /// Op of a node.
    #[must_use]
    pub fn op(&self, id: NodeId) -> &Op {
        &self.entry(id).0.0
    }

    /// Operands of a node.
    #[must_use]
    pub fn args(&self, id: NodeId) -> &[NodeId] {
        &self.entry(id).0.1
    }

    /// Free axes of a node.
    #[must_use]
    pub fn free(&self, id: NodeId) -> &AxisSet {
        &self.entry(id).1.0
    }

    /// Element type of a node.
    #[must_use]
    pub fn dtype(&self, id: NodeId) -> DType {
        self.entry(id).1.1
    }

    /// Guards of a node: its leading operands.
    #[must_use]
    pub fn guards(&self, id: NodeId) -> &[NodeId] {
        &self.args(id)[..self.op(id).guards()]
    }

    /// Operands after the guards: factors of `ein`, the operand of a reduction and its rank or sum.
    #[must_use]
    pub fn operands(&self, id: NodeId) -> &[NodeId] {
        &self.args(id)[self.op(id).guards()..]
    }

    /// Constant value of a node, if it is one.
    #[must_use]
    pub fn constant(&self, id: NodeId) -> Option<Scalar> {
        match self.op(id) {
            Op::Const(c) => Some(*c),
            _ => None,
        }
    }

    /// A name for people, from the source.
    #[must_use]
    pub fn label(&self, id: NodeId) -> Option<&str> {
        self.labels.get(&id).map(AsRef::as_ref)
    }

    /// Names a node; the first name stays.
    pub fn set_label(&mut self, id: NodeId, name: &str) {
        self.labels.entry(id).or_insert_with(|| name.into());
    }

    /// Makes a node, or finds the equal one.
    ///
    /// # Errors
    /// Where the op's rule refuses the operands.
    pub fn add(&mut self, op: Op, args: &[NodeId]) -> Result<NodeId, Error> {
        if let Some(&bad) = args.iter().find(|a| a.index() >= self.nodes.len()) {
            return Err(Error::Missing(format!("node {}", bad.0)));
        }
        let key = (op, SmallVec::from_slice(args));
        if let Some(at) = self.nodes.get_index_of(&key) {
            return Ok(NodeId(at as u32));
        }
        let dtype = self.type_of(&key.0, args)?;
        let axes = self.free_of(&key.0, args)?;
        let (at, _) = self.nodes.insert_full(key, (axes, dtype));
        Ok(NodeId(at as u32))
    }

    /// Type rule of an op.
    fn type_of(&self, op: &Op, args: &[NodeId]) -> Result<DType, Error> {
        let types: Vec<DType> = args.iter().map(|&a| self.dtype(a)).collect();
        let bad = || Error::Operands {
            op: op.name(),
            operands: types.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        };
        let n_guards = op.guards();
        if types.len() < n_guards || types[..n_guards].iter().any(|&t| t != DType::Bool) {
            return Err(bad());
        }
        let x = &types[n_guards..];
        let numeric = |t: DType| t != DType::Bool;
        let ok = |cond: bool, t: DType| if cond { Ok(t) } else { Err(bad()) };
        match op {
            Op::Input(i) => match self.inputs.get(i.index()) {
                Some(input) => ok(x.is_empty(), input.dtype),
                None => Err(Error::Missing(format!("input {}", i.0))),
            },
            Op::Const(Scalar::Bool(_)) => ok(x.is_empty(), DType::Bool),
            Op::Const(Scalar::Int(_)) | Op::Index(_) | Op::Size(_) => ok(x.is_empty(), DType::I32),
            Op::Const(Scalar::Float(_)) => ok(x.is_empty(), DType::Float),
            Op::Map(f) => f.result(x).ok_or_else(bad),
            Op::Cast(to) => ok(x.len() == 1, *to),
            Op::Select => match x {
                [DType::Bool, a, b] => a.join(*b).ok_or_else(bad),
                _ => Err(bad()),
            },
            Op::Ein { .. } => {
                let joined = x.iter().copied().map(Some).reduce(|a, b| a?.join(b?)).flatten();
                joined.filter(|&t| numeric(t)).ok_or_else(bad)
            }
            Op::Reduce { .. } => ok(x.len() == 1 && numeric(x[0]), x.first().copied().unwrap_or(DType::Bool)),
            Op::Arg { .. } => ok(x.len() == 1 && numeric(x[0]), DType::I32),
            Op::KthValue { .. } => {
                ok(x.len() == 2 && x[0].is_float() && x[1].is_int(), x.first().copied().unwrap_or(DType::Bool))
            }
            Op::KthIndex { .. } => ok(x.len() == 2 && x[0].is_float() && x[1].is_int(), DType::I32),
            Op::Threshold { .. } => {
                ok(x.len() == 2 && x.iter().all(|t| t.is_float()), x.first().copied().unwrap_or(DType::Bool))
            }
            Op::Sub { axes } => ok(
                x.len() == axes.len() + 1 && x[1..].iter().all(|t| t.is_int()),
                x.first().copied().unwrap_or(DType::Bool),
            ),
            Op::Rec(r) | Op::Prev(r) => match self.recs.get(r.index()) {
                Some(rec) => ok(
                    x.len() == usize::from(matches!(op, Op::Rec(_)))
                        && x.iter().all(|t| t.class() == rec.dtype.class()),
                    rec.dtype,
                ),
                None => Err(Error::Missing(format!("recurrence {}", r.0))),
            },
            Op::Stop => ok(x.len() == 1, x.first().copied().unwrap_or(DType::Bool)),
            Op::Ste => match x {
                [a, b] if a.is_float() => a.join(*b).ok_or_else(bad),
                _ => Err(bad()),
            },
        }
    }

    /// Axis rule of an op.
    fn free_of(&self, op: &Op, args: &[NodeId]) -> Result<AxisSet, Error> {
        let axis_ok = |a: AxisId| {
            if a.index() < self.axes.len() { Ok(()) } else { Err(Error::Missing(format!("axis {}", a.0))) }
        };
        for &a in op.bound() {
            axis_ok(a)?;
        }
        let mut seen = AxisSet::new();
        for &a in op.bound() {
            if seen.contains(a) {
                return Err(Error::Axes {
                    op: op.name(),
                    what: format!("axis `{}` is bound twice", self.axis(a).name),
                });
            }
            seen.insert(a);
        }
        let mut free = AxisSet::new();
        match op {
            Op::Input(i) => free = self.input(*i).axes.iter().copied().collect(),
            Op::Index(a) => {
                axis_ok(*a)?;
                free.insert(*a);
            }
            Op::Size(d) => {
                if d.index() >= self.domains.len() {
                    return Err(Error::Missing(format!("domain {}", d.0)));
                }
                free.extend(&self.ragged_over(*d).into_iter().collect());
            }
            Op::Prev(r) | Op::Rec(r) => {
                let rec = self.rec(*r);
                free = rec.state.iter().copied().chain([rec.time]).collect();
                if let Some(&body) = args.first()
                    && let Some(other) = self.free(body).iter().find(|&a| !free.contains(a))
                {
                    let what =
                        format!("the body depends on `{}`, which is no axis of the state", self.axis(other).name);
                    return Err(Error::Axes { op: op.name(), what });
                }
            }
            Op::Sub { axes } => {
                free = self.free(args[0]).clone();
                for &a in axes {
                    free.remove(a);
                }
                for &p in &args[1..] {
                    free.extend(self.free(p));
                }
            }
            _ => {
                for &a in args {
                    free.extend(self.free(a));
                }
                for &a in op.bound() {
                    if let Some(batch) = self.ragged_over(self.axis(a).domain)
                        && !self.bounded_by_scope(a, op.bound(), &args[..op.guards()])
                    {
                        free.insert(batch);
                    }
                }
                for &a in op.bound() {
                    free.remove(a);
                }
            }
        }
        Ok(free)
    }

    /// Does a guard keep `axis` at or below another axis of its own domain, one that the op does not bind? Then a
    /// reduction over it never sees the end of a ragged extent, and does not depend on the batch axis because of it.
    #[must_use]
    pub fn bounded_by_scope(&self, axis: AxisId, bound: &[AxisId], guards: &[NodeId]) -> bool {
        let domain = self.axis(axis).domain;
        let atom = |lo: NodeId, hi: NodeId, strict: i64| {
            let (Some(lo), Some(hi)) = (Affine::of(self, lo), Affine::of(self, hi)) else { return false };
            // hi - lo >= strict, with coefficient -1 on `axis`
            let Some(diff) = hi.checked_add(&lo, -1) else { return false };
            let others: Vec<_> = diff.terms().filter(|&(&a, _)| a != axis).collect();
            diff.coefficient(&axis) == -1
                && matches!(others[..], [(&other, 1)] if self.axis(other).domain == domain && !bound.contains(&other))
                && diff.constant() - strict <= 0
        };
        let mut atoms: Vec<NodeId> = guards.to_vec();
        let mut seen: FxHashSet<NodeId> = FxHashSet::default();
        while let Some(g) = atoms.pop() {
            let args = self.args(g);
            match self.op(g) {
                Op::Map(MapFn::And) => atoms.extend(args.iter().filter(|a| seen.insert(**a))),
                Op::Map(MapFn::Le) if atom(args[0], args[1], 0) => return true,
                Op::Map(MapFn::Lt) if atom(args[0], args[1], 1) => return true,
                _ => {}
            }
        }
        false
    }

    /// Checks the invariants of the whole graph that making single nodes does not.
    ///
    /// # Errors
    /// The first invariant that is broken.
    pub fn verify(&self) -> Result<(), Error> {
        for out in &self.outputs {
            if out.node.index() >= self.nodes.len() {
                return Err(Error::Missing(format!("output `{}`", out.name)));
            }
            for a in self.free(out.node).iter() {
                let batch = out.axes.iter().any(|&o| self.ragged_over(self.axis(o).domain) == Some(a));
                if !out.axes.contains(&a) && !batch {
                    return Err(Error::FreeAxis { output: out.name.clone(), axis: self.axis(a).name.clone() });
                }
            }
            if self.dtype(out.node).class() != out.dtype.class() {
                return Err(Error::Operands { op: "out", operands: self.dtype(out.node).to_string() });
            }
        }
        self.verify_prev()
    }

    /// `prev` occurs only inside the body of its own recurrence.
    fn verify_prev(&self) -> Result<(), Error> {
        let mut open: Vec<Vec<RecId>> = Vec::with_capacity(self.len());
        for id in self.ids() {
            let mut here: Vec<RecId> = self.args(id).iter().flat_map(|a| open[a.index()].iter().copied()).collect();
            match self.op(id) {
                Op::Prev(r) => here.push(*r),
                Op::Rec(r) => here.retain(|x| x != r),
                _ => {}
            }
            here.sort_unstable();
            here.dedup();
            open.push(here);
        }
        match self.outputs.iter().find_map(|o| open[o.node.index()].first()) {
            Some(r) => {
                Err(Error::Axes { op: "prev", what: format!("`{}` is read outside its recurrence", self.rec(*r).name) })
            }
            None => Ok(()),
        }
    }

    /// The nodes that the outputs need, operands before users.
    #[must_use]
    pub fn reachable(&self) -> Vec<NodeId> {
        let mut live = vec![false; self.len()];
        for o in &self.outputs {
            live[o.node.index()] = true;
        }
        for id in self.ids().rev() {
            if live[id.index()] {
                for a in self.args(id) {
                    live[a.index()] = true;
                }
            }
        }
        self.ids().filter(|i| live[i.index()]).collect()
    }
}
