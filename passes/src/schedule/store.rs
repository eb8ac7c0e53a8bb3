//! Which values are stored, and the kernels that compute them.

use super::finite::Known;
use super::{Error, Memory, Scheduler};
use rustc_hash::FxHashMap;
use weft_ir::DType;
use weft_ir::graph::{AxisId, Extent, Input, InputId, InputKind, MapFn, NodeId, Op, Output};
use weft_ir::kernel::{ElemType, Expr, Role};

impl Scheduler {
    /// Declares runtime extents.
    pub(crate) fn declare_extents(&mut self) {
        for (d, domain) in self.c.g.domains().to_vec().into_iter().enumerate() {
            let id = weft_ir::graph::DomainId(d as u32);
            let name = domain.name.to_uppercase();
            let entry = match domain.extent {
                Extent::Runtime => (self.plan.add_extent(&name, None), false),
                Extent::Ragged(b) => {
                    let over = self.extents.get(&self.c.g.axis(b).domain).map(|e| e.0);
                    (self.plan.add_extent(&name, over), over.is_some())
                }
                _ => continue,
            };
            self.extents.insert(id, entry);
        }
    }

    /// Declares a buffer for every input.
    pub(crate) fn declare_inputs(&mut self) -> Result<(), Error> {
        for n in 0..self.c.g.inputs().len() {
            let id = InputId(n as u32);
            let Input { name, axes, dtype, kind, .. } = self.c.g.input(id).clone();
            let role = if kind == InputKind::In { Role::Input } else { Role::Param };
            self.declare(id, &name, &axes, dtype, role)?;
        }
        Ok(())
    }

    fn declare(&mut self, id: InputId, name: &str, axes: &[AxisId], dtype: DType, role: Role) -> Result<(), Error> {
        let elem = self.elem(dtype)?;
        let dims: Vec<(String, Expr)> = axes
            .iter()
            .map(|&a| {
                let batch = |b: AxisId| {
                    let at = axes.iter().position(|&x| x == b).unwrap_or(usize::MAX);
                    if at == usize::MAX { None } else { Some(Expr::Dim(at as u32)) }
                };
                (self.c.g.axis(a).name.to_string(), self.extent_expr(self.c.g.axis(a).domain, &batch))
            })
            .collect();
        let dims = dims.iter().map(|(n, e)| (n.as_str(), e.clone())).collect();
        let buffer = self.plan.add_buffer(name, elem, role, dims);
        self.memory.insert(id, Memory { buffer, axes: axes.to_vec() });
        Ok(())
    }

    /// The type in which a value is in memory. What adds up along time keeps the type in which it is computed: a prefix sum in bf16 would
    /// be wrong by more than its addends, and the exponential of one by far more.
    pub(crate) fn stored_dtype(&self, id: NodeId) -> DType {
        let dtype = self.c.g.dtype(id);
        let constant = |&f: &NodeId| self.c.g.constant(f).is_some();
        let adds_up = match self.c.g.op(id) {
            Op::Rec(_) => true,
            Op::Ein { axes, .. } => {
                let factors = self.c.g.operands(id);
                axes.iter().any(|&a| self.c.is_long(a)) && factors.iter().filter(|f| !constant(f)).count() <= 1
            }
            _ => false,
        };
        if adds_up { wide(self.c.concrete(dtype), dtype) } else { dtype }
    }

    /// The type in which a scale, an exponent, is in memory.
    pub(crate) fn scale_dtype(&self) -> DType {
        wide(self.c.concrete(DType::Float), DType::Float)
    }

    pub(crate) fn elem(&self, dtype: DType) -> Result<ElemType, Error> {
        Ok(match self.c.concrete(dtype) {
            DType::Bool => ElemType::Bool,
            DType::I32 => ElemType::I32,
            DType::I64 => ElemType::I64,
            DType::BF16 => ElemType::Bf16,
            DType::F64 => ElemType::F64,
            DType::F32 => ElemType::F32,
            DType::F16 | DType::Float => return self.unsupported(NodeId(0), format!("element type {dtype}")),
        })
    }

    /// A value of the working graph that stands for memory or for an accumulator.
    pub(crate) fn stand_in(&mut self, name: &str, axes: &[AxisId], dtype: DType) -> Result<(InputId, NodeId), Error> {
        let input = Input { name: name.into(), axes: axes.to_vec(), dtype, kind: InputKind::In, init: None };
        let id = self.c.g.add_input(input);
        Ok((id, self.c.make(&Op::Input(id), &[])?))
    }

    // ---- home axes

    /// The axis of a domain at which its stored values stand: the first.
    pub(crate) fn home(&self, axis: AxisId) -> AxisId {
        let domain = self.c.g.axis(axis).domain;
        let at = self.c.g.axes().iter().position(|a| a.domain == domain);
        AxisId(at.unwrap_or(axis.index()) as u32)
    }

    /// The term with its free axes at home, and where they were: (home, original).
    pub(crate) fn at_home(&mut self, id: NodeId) -> Result<(NodeId, Vec<(AxisId, AxisId)>), Error> {
        let mut used: Vec<AxisId> = Vec::new();
        let mut back = Vec::new();
        let mut map = Vec::new();
        let free: Vec<AxisId> = self.c.g.free(id).iter().collect();
        // Axes that are at home stay there, so that renaming never makes two axes one; so do those of a recurrence, which has no
        // other names for them.
        let own = self.axes_of_states(id);
        for &a in free.iter().filter(|&&a| self.home(a) == a || own.contains(&a)) {
            used.push(a);
        }
        for &a in &free {
            let home = self.home(a);
            let to = if used.contains(&a) || used.contains(&home) { a } else { home };
            if to != a {
                used.push(to);
                map.push((a, to));
            }
            back.push((to, a));
        }
        Ok((self.c.rename(id, &map)?, back))
    }

    /// A name for a stored value that no output has. A local value of a function goes by the name of what it is part of, if the
    /// layer has another value of its name.
    pub(crate) fn unused_name(&self, id: NodeId) -> String {
        let name = self.name_of(id);
        let taken = self.c.g.outputs.iter().any(|o| *o.name == *name)
            || self.plan.buffers.iter().any(|b| b.name == name)
            || self.plan.extents.iter().any(|e| e.name == name);
        if !self.is_labelled(id) || !taken {
            return name;
        }
        // The innermost is the value itself.
        let whole = self.path.iter().rev().skip(1).find(|p| p.defined && p.name != name);
        whole.map_or_else(|| format!("{name}_value"), |p| format!("{}_{name}", p.name))
    }

    /// Does a term stand in the source under a name?
    fn is_labelled(&self, id: NodeId) -> bool {
        match self.c.g.op(id) {
            Op::Sub { .. } if self.c.g.label(id).is_none() => self.is_labelled(self.c.g.args(id)[0]),
            _ => self.c.g.label(id).is_some(),
        }
    }

    /// Axes of the recurrences in a term.
    fn axes_of_states(&self, id: NodeId) -> Vec<AxisId> {
        let mut axes = Vec::new();
        let mut stack = vec![id];
        let mut seen = rustc_hash::FxHashSet::default();
        while let Some(n) = stack.pop() {
            if let Op::Rec(r) = self.c.g.op(n) {
                let decl = self.c.g.rec(*r);
                axes.extend(decl.state.iter().copied().chain([decl.time]));
            } else if self.c.has_long_reduction(n) && seen.insert(n) {
                stack.extend(self.c.g.args(n));
            }
        }
        axes
    }

    // ---- stored values

    /// The term that reads the stored form of `id`, at `id`'s own axes.
    pub(crate) fn stored(&mut self, id: NodeId) -> Result<NodeId, Error> {
        let (home, back) = self.at_home(id)?;
        let read = match self.stored.get(&home) {
            Some(&r) => r,
            None => {
                if self.path.len() > 200 {
                    return self.unsupported(id, "a chain of more than 200 stored values");
                }
                self.note_stored(home)?;
                let step = super::Step { name: self.name_of(id), defined: self.is_labelled(id) };
                self.path.push(step);
                let r = self.compute(home, None)?;
                self.path.pop();
                self.stored.insert(home, r);
                if let Op::Ein { axes, guards: 0 } = self.c.g.op(home)
                    && axes.is_empty()
                {
                    self.products.push((self.c.g.args(home).to_vec(), home));
                }
                r
            }
        };
        let mut map = Vec::new();
        for (to, from) in back {
            if to != from {
                map.push((to, self.c.make(&Op::Index(from), &[])?));
            }
        }
        Ok(self.c.substitute(read, &map)?)
    }

    /// Makes the kernel of an output.
    pub(crate) fn output(&mut self, out: &Output) -> Result<(), Error> {
        let (home, back) = self.at_home(out.node)?;
        // An axis on which the term does not depend goes home too, unless another one of its domain is there.
        let taken = |a: AxisId| back.iter().any(|&(to, _)| to == a);
        let to = |&a: &AxisId| match back.iter().find(|&&(_, from)| from == a) {
            Some(&(to, _)) => to,
            None if taken(self.home(a)) => a,
            None => self.home(a),
        };
        let out = Output { axes: out.axes.iter().map(to).collect(), ..out.clone() };
        self.note_stored(home)?;
        let known = self.stored.get(&home).copied();
        let read = self.compute(known.unwrap_or(home), Some(&out))?;
        // Whoever needs the same value later reads the output, unless that is spread over axes on which the value does not depend.
        let spread = out.axes.iter().any(|&a| !self.c.g.free(home).contains(a));
        if known.is_none() && !spread && self.c.concrete(out.dtype) == self.c.concrete(self.c.g.dtype(home)) {
            self.stored.insert(home, read);
        }
        Ok(())
    }

    /// Makes the kernel that stores a term at home axes; gives the term that reads it.
    fn compute(&mut self, id: NodeId, out: Option<&Output>) -> Result<NodeId, Error> {
        let axes = out.map_or_else(|| self.dimension_order(id), |o| o.axes.clone());
        let long: Vec<AxisId> = axes.iter().copied().filter(|&a| self.c.is_long(a)).collect();
        if long.len() > 1 && !self.options.allow_quadratic_memory {
            return Err(Error::Quadratic { path: self.path_text(), node: id });
        }
        if !self.options.allow_quadratic_memory
            && let Some(path) = self.pairs_of_pairs(id)
        {
            return Err(Error::Quadratic { path: format!("{}{path}", self.path_text()), node: id });
        }
        let outer = std::mem::take(&mut self.beside);
        let body = self.cut(id)?;
        let beside = std::mem::replace(&mut self.beside, outer);
        let body = self.one_domain(body)?;
        let dtype = out.map_or_else(|| self.stored_dtype(id), |o| o.dtype);
        let name = out.map_or_else(|| self.unused_name(id), |o| o.name.to_string());
        let decision = self.c.g.op(id).is_decision();
        let role = match out {
            Some(_) => Role::Output,
            None if decision || self.c.g.dtype(id).is_int() => Role::Decision,
            None => Role::Temp,
        };
        let mut target = self.target(&name, &axes, dtype, role)?;
        target.beside = beside;
        if let Some(out) = out {
            self.outputs.push((out.name.clone(), self.memory[&target.input].buffer));
        }
        // The value and the position of a rank come from one list, so from one kernel.
        let partner = match self.c.g.op(id).clone() {
            Op::KthValue { axis, guards } => Some((Op::KthIndex { axis, guards }, "_at")),
            Op::KthIndex { axis, guards } => Some((Op::KthValue { axis, guards }, "_value")),
            _ => None,
        };
        if let Some((op, suffix)) = partner
            && self.is_streamed(id)
            && self.c.g.operands(id).get(1).is_some_and(|&k| self.c.g.constant(k).is_some())
        {
            let args = self.c.g.args(id).to_vec();
            let before = self.c.g.len();
            let other = self.c.make(&op, &args)?;
            // If the layer does not ask for the other, nobody reads it.
            target.paired = self.readers.contains_key(&id) && self.readers.contains_key(&other);
            if other.index() < before && !self.stored.contains_key(&other) {
                let dtype = self.c.g.dtype(other);
                let (input, read) = self.side_buffer(&format!("{name}{suffix}"), &axes, dtype, Role::Decision)?;
                target.partner = Some(input);
                self.stored.insert(other, read);
                self.decide(other, input);
            }
        }
        // What is made from here on is computed in place, also where it has reductions in it.
        self.c.inline = true;
        self.choose_tiles(&name);
        let planned = self.plan_kernel(&name, body, &target);
        self.c.inline = false;
        planned?;
        // Of a mantissa only the sign is that of the value.
        let lower = self.lower_bound(body).map(|b| if target.maximum.get().is_some() { 0.0 } else { b });
        self.known.insert(target.input, Known { kind: self.kind_of(body), lower, sign: self.sign(body) });
        if decision {
            self.decide(id, target.input);
        }
        let read = target.read;
        match target.maximum.get() {
            None => Ok(read),
            Some(m) => {
                let e = self.c.map(MapFn::Exp, &[m])?;
                Ok(self.c.product_of(&[read, e])?)
            }
        }
    }

    /// A kernel streams one domain: that of the first sum over a long axis. Sums over others that the cut has left (they may have come
    /// out of reads at other positions) are stored.
    fn one_domain(&mut self, body: NodeId) -> Result<NodeId, Error> {
        let found = self.streamed(body);
        // What streams two at once has none, and is refused later.
        let domains: Vec<_> = found.iter().map(|&s| self.stream_domain(s).ok()).collect();
        if domains.windows(2).all(|d| d[0] == d[1]) {
            return Ok(body);
        }
        let long = found.iter().position(|&s| self.c.g.op(s).bound().iter().any(|&a| self.c.is_long(a)));
        let primary = domains[long.unwrap_or(0)];
        let mut map = FxHashMap::default();
        for (&s, &d) in found.iter().zip(&domains) {
            if d != primary {
                map.insert(s, self.stored(s)?);
            }
        }
        self.replace(body, &mut map)
    }

    /// Tile extents of the kernel that comes next.
    fn choose_tiles(&mut self, name: &str) {
        let kernel = self.plan.kernel_name(name);
        let base = self.options.tiles.unwrap_or_default();
        self.tiles = self.options.pins.tiles.get(&kernel).map_or(base, |pins| pins.or(base));
        self.choices.tiles.insert(kernel, self.tiles.into());
    }

    /// A reduction over a long axis whose value is one of pairs, and which cannot be done inside the tile of another stream: an
    /// extremum, or a sum of exponentials, which needs a maximum of its own for every pair. Gives the names on the way to it.
    fn pairs_of_pairs(&self, root: NodeId) -> Option<String> {
        let mut stack = vec![(root, String::new())];
        let mut seen = rustc_hash::FxHashSet::default();
        while let Some((n, path)) = stack.pop() {
            if !seen.insert(n) || !self.c.has_long_reduction(n) {
                continue;
            }
            let op = self.c.g.op(n);
            let args = self.c.g.args(n);
            let path = match self.c.g.label(n) {
                Some(label) if n != root => format!("{path} <- {label}"),
                _ => path,
            };
            let long: Vec<AxisId> = op.bound().iter().copied().filter(|&a| self.c.is_long(a)).collect();
            if op.is_reduction() && n != root && !long.is_empty() && self.c.long_axes(n).len() > 1 {
                let kept =
                    |f: NodeId| long.iter().any(|&a| self.has(f, a)) && self.has_exp(f) && !self.is_at_most_one(f);
                if !matches!(op, Op::Ein { .. }) || self.c.g.operands(n).iter().any(|&f| kept(f)) {
                    if self.c.g.label(n).is_some() {
                        return Some(path);
                    }
                    // Nothing of the source stands for it: products have been flattened.
                    let what = if matches!(op, Op::Ein { .. }) { "sum" } else { op.name() };
                    let over = &self.c.g.domain(self.c.g.axis(long[0]).domain).name;
                    return Some(format!("{path} <- a {what} over `{over}` for every pair of positions"));
                }
            }
            // What is read at other positions is stored: it is looked at when it is.
            let from = usize::from(matches!(op, Op::Sub { .. }) && self.c.long_axes(args[0]).len() < 2);
            stack.extend(args[from..].iter().map(|&a| (a, path.clone())));
        }
        None
    }

    /// Is a factor an exponential, or a product of them, without a scale that must be kept?
    fn is_at_most_one(&self, id: NodeId) -> bool {
        match self.c.g.op(id) {
            Op::Map(MapFn::Exp) => self.is_bounded(self.c.g.args(id)[0]),
            Op::Ein { axes, .. } if axes.is_empty() => {
                self.c.g.operands(id).iter().all(|&f| !self.has_exp(f) || self.is_at_most_one(f))
            }
            Op::Map(MapFn::Inv | MapFn::Inv0) => true,
            _ => false,
        }
    }

    /// Is a term an exponential of something without an upper bound, or a product with one?
    pub(crate) fn is_unbounded_weight(&self, id: NodeId) -> bool {
        match self.c.g.op(id) {
            Op::Map(MapFn::Exp) => !self.is_bounded(self.c.g.args(id)[0]),
            Op::Ein { axes, .. } if axes.is_empty() => {
                self.c.g.operands(id).iter().any(|&f| self.is_unbounded_weight(f))
            }
            _ => false,
        }
    }

    pub(crate) fn target(&mut self, name: &str, axes: &[AxisId], dtype: DType, role: Role) -> Result<Target, Error> {
        let (input, read) = self.stand_in(name, axes, dtype)?;
        self.declare(input, name, axes, dtype, role)?;
        Ok(Target {
            input,
            read,
            axes: axes.to_vec(),
            dtype,
            is_output: role == Role::Output,
            beside: Vec::new(),
            maximum: std::cell::Cell::new(None),
            partner: None,
            paired: false,
        })
    }

    /// A further buffer that a kernel stores beside its value.
    pub(crate) fn side_buffer(
        &mut self,
        name: &str,
        axes: &[AxisId],
        dtype: DType,
        role: Role,
    ) -> Result<(InputId, NodeId), Error> {
        let (input, read) = self.stand_in(name, axes, dtype)?;
        self.declare(input, name, axes, dtype, role)?;
        Ok((input, read))
    }

    /// The kernel for a term in which everything that is stored elsewhere is already a read.
    fn plan_kernel(&mut self, name: &str, body: NodeId, target: &Target) -> Result<(), Error> {
        if self.find(body, |op| matches!(op, Op::Rec(_))).is_some() {
            return self.recurrence_kernel(name, body, target);
        }
        let is_long_select = |s: &Self, id: NodeId| {
            let op = s.c.g.op(id);
            matches!(op, Op::KthValue { .. } | Op::KthIndex { .. } | Op::Threshold { .. } | Op::Arg { .. })
                && op.bound().iter().any(|&a| s.c.is_long(a))
        };
        if is_long_select(self, body) {
            return self.select_kernel(name, body, target);
        }
        let sums = self.streamed(body);
        if sums.is_empty() {
            if let Some(scatter) = self.scatter_of(body, &target.axes)? {
                return self.scatter_kernel(name, &scatter, target);
            }
            self.row_kernel(name, body, target)
        } else {
            self.stream_kernel(name, body, &sums, target)
        }
    }

    pub(crate) fn find(&self, id: NodeId, want: impl Fn(&Op) -> bool) -> Option<NodeId> {
        let mut stack = vec![id];
        let mut seen = rustc_hash::FxHashSet::default();
        while let Some(n) = stack.pop() {
            if want(self.c.g.op(n)) {
                return Some(n);
            }
            if seen.insert(n) {
                stack.extend(self.c.g.args(n));
            }
        }
        None
    }

    /// The outermost sums and extrema over a long axis in a term, but for those that are read at other positions.
    pub(crate) fn streamed(&self, id: NodeId) -> Vec<NodeId> {
        let mut found = Vec::new();
        let mut stack = vec![id];
        let mut seen = rustc_hash::FxHashSet::default();
        while let Some(n) = stack.pop() {
            if !seen.insert(n) {
                continue;
            }
            let op = self.c.g.op(n);
            if matches!(op, Op::Ein { .. } | Op::Reduce { .. } | Op::Arg { .. })
                && op.bound().iter().any(|&a| self.c.is_long(a) || self.c.g.static_extent(a).is_none())
            {
                found.push(n);
            } else if !matches!(op, Op::Rec(_)) {
                let read = usize::from(matches!(op, Op::Sub { .. }));
                stack.extend(self.c.g.args(n)[read..].iter().rev());
            }
        }
        found
    }
}

/// Where a kernel puts its value.
pub(crate) struct Target {
    pub(crate) input: InputId,
    pub(crate) read: NodeId,
    pub(crate) axes: Vec<AxisId>,
    pub(crate) dtype: DType,
    pub(crate) is_output: bool,
    /// A second value that the kernel stores at the same axes.
    pub(crate) partner: Option<InputId>,
    /// Shared terms that the kernel may store as well: at home axes, and as the cut has left them.
    pub(crate) beside: Vec<(NodeId, NodeId)>,
    /// Is a rank asked for its value and its position, as memberships do?
    pub(crate) paired: bool,
    /// Set by the kernel if what it stores is a mantissa: the term that reads the scale.
    pub(crate) maximum: std::cell::Cell<Option<NodeId>>,
}

/// The type in which values of a type are computed.
fn wide(concrete: DType, dtype: DType) -> DType {
    if matches!(concrete, DType::BF16 | DType::F16) { DType::F32 } else { dtype }
}
