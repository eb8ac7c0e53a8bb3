//! Inputs of one run, checked against the layer: names, types, shapes, runtime extents.

use std::sync::Arc;

use indexmap::IndexMap;

use super::fault::Fault;
use crate::diagnostics::{Diagnostic, codes};
use weft_ir::DType;
use weft_ir::dtype::Class;
use weft_ir::eval::{Bindings, Elements, Tensor};
use weft_ir::graph::{AxisId, DomainId, Extent, Graph, Input, floor_div};

/// The greatest number of elements of a tensor, and of a runtime extent.
pub(crate) const MAX_ELEMENTS: usize = 1 << 31;

/// How many positions a domain has in one run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Length {
    /// The same everywhere.
    Uniform(usize),
    /// One for each position of a batch axis.
    Ragged {
        /// The longest: the length in memory.
        padded: usize,
        /// The batch axis.
        batch: AxisId,
        /// Its positions' lengths.
        lengths: Arc<[usize]>,
    },
}

impl Length {
    /// The length in memory.
    #[must_use]
    pub fn padded(&self) -> usize {
        match self {
            Self::Uniform(n) | Self::Ragged { padded: n, .. } => *n,
        }
    }
}

/// The inputs of one run. Made by [`bind`] only, so that what holds one may rely on what [`bind`] has checked.
#[derive(Clone, Debug)]
pub struct Bound {
    /// Inputs and parameters in the order of the graph: of the right class, shape and size.
    tensors: IndexMap<String, Tensor>,
    /// Extents by domain.
    lengths: Vec<Length>,
}

impl Bound {
    /// Lets go of the tensors. Extents stay.
    pub(super) fn release(&mut self) {
        self.tensors.clear();
    }

    /// Inputs and parameters by name, in the order of the graph.
    #[must_use]
    pub fn tensors(&self) -> &IndexMap<String, Tensor> {
        &self.tensors
    }

    /// Extent of a domain.
    #[must_use]
    pub fn length(&self, domain: DomainId) -> &Length {
        // A graph has at least the domains that the bound graph has; a domain from elsewhere is empty.
        const NONE: &Length = &Length::Uniform(0);
        self.lengths.get(domain.index()).unwrap_or(NONE)
    }

    /// Runtime extents by the names of their domains; of ragged ones the longest.
    #[must_use]
    pub fn extents(&self, graph: &Graph) -> IndexMap<String, i64> {
        let all = graph.domains().iter().zip(&self.lengths);
        let runtime = all.filter(|(d, _)| matches!(d.extent, Extent::Runtime | Extent::Ragged(_)));
        runtime.map(|(d, n)| (d.name.to_string(), i64::try_from(n.padded()).unwrap_or(i64::MAX))).collect()
    }

    /// Extents of axes in memory.
    #[must_use]
    pub fn shape(&self, graph: &Graph, axes: &[AxisId]) -> Vec<usize> {
        axes.iter().map(|&a| self.length(graph.axis(a).domain).padded()).collect()
    }

    /// What the evaluator is given.
    #[must_use]
    pub fn bindings(&self, graph: &Graph) -> Bindings {
        let tensors = self.tensors.iter().fold(Bindings::new(), |b, (name, t)| b.tensor(name, t.clone()));
        graph.domains().iter().zip(&self.lengths).fold(tensors, |b, (domain, length)| match (domain.extent, length) {
            (Extent::Ragged(_), Length::Ragged { lengths, .. }) => b.lengths(&domain.name, lengths),
            (Extent::Runtime, Length::Uniform(n)) => b.size(&domain.name, *n),
            _ => b,
        })
    }

    /// The inputs as a tensor file holds them, in the order of the graph, and after them the lengths of ragged axes.
    #[must_use]
    pub fn entries(&self, graph: &Graph, float: DType) -> Vec<super::tensors::Entry> {
        let mut entries = Vec::new();
        for (input, (name, tensor)) in graph.inputs().iter().zip(&self.tensors) {
            let dtype = if input.dtype == DType::Float { float } else { input.dtype };
            entries.push(super::tensors::Entry { name: name.clone(), tensor: tensor.clone(), dtype });
        }
        for (domain, length) in graph.domains().iter().zip(&self.lengths) {
            if let (Extent::Ragged(_), Length::Ragged { lengths, .. }) = (domain.extent, length) {
                let tensor = Tensor::ints(&[lengths.len()], lengths.iter().map(|&n| n as i64).collect());
                entries.push(super::tensors::Entry { name: format!("{}.len", domain.name), tensor, dtype: DType::I64 });
            }
        }
        entries
    }

    /// The same with every float rounded to the type that a backend of this `float` would hold.
    #[must_use]
    pub fn rounded(&self, graph: &Graph, float: DType) -> Self {
        let mut result = self.clone();
        for (input, tensor) in graph.inputs().iter().zip(result.tensors.values_mut()) {
            let to = if input.dtype == DType::Float { float } else { input.dtype };
            if let Elements::F64(x) = &mut tensor.data {
                x.iter_mut().for_each(|v| *v = super::tensors::round_to(to, *v));
            }
        }
        result
    }
}

/// Checks `given` against the graph. `extents` are runtime extents from `-D`; a tensor `t.len` holds the lengths of a ragged
/// time axis `t`; `from` is what messages call the inputs.
///
/// # Errors
/// Tensors that are missing, unknown, of the wrong type or shape (E0512 to E0514), lengths that do not fit (E0515), extents that
/// are unknown or contradict each other (E0516): all of one kind at once.
pub fn bind(
    graph: &Graph,
    mut given: IndexMap<String, Tensor>,
    extents: &IndexMap<String, i64>,
    from: &str,
) -> Result<Bound, Fault> {
    let lengths = take_lengths(graph, &mut given)?;
    let mut tensors = take_inputs(graph, given, from)?;
    let mut found = Found::new(graph);
    for (name, &n) in extents {
        let n = usize::try_from(n).map_err(|_| Fault::user(codes::E0516, format!("the extent of `{name}` is {n}")))?;
        for d in (0..graph.domains().len()).filter(|&d| *graph.domains()[d].name == **name) {
            found.meet(d, n, || format!("`-D {name}={n}`"))?;
        }
    }
    let mut wrong = Vec::new();
    for (input, tensor) in graph.inputs().iter().zip(tensors.values()) {
        if let Err(d) = found.shape(input, tensor) {
            wrong.push(*d);
        }
    }
    if !wrong.is_empty() {
        return Err(Fault::User(wrong));
    }
    let lengths = found.finish(&lengths)?;
    for (input, tensor) in graph.inputs().iter().zip(tensors.values_mut()) {
        convert(graph, input, tensor)?;
    }
    Ok(Bound { tensors, lengths })
}

/// Takes `NAME.len` of every ragged domain out of the tensors, unless the layer has an input of that name.
fn take_lengths(graph: &Graph, given: &mut IndexMap<String, Tensor>) -> Result<Vec<Option<Vec<usize>>>, Fault> {
    let mut found = Vec::new();
    for domain in graph.domains() {
        let name = format!("{}.len", domain.name);
        let ragged = matches!(domain.extent, Extent::Ragged(_));
        if !ragged || graph.inputs().iter().any(|i| *i.name == *name) {
            found.push(None);
            continue;
        }
        found.push(match given.shift_remove(&name) {
            None => None,
            Some(tensor) => {
                let bad = |what: String| Fault::user(codes::E0515, format!("`{name}` {what}"));
                let Elements::I64(values) = &tensor.data else {
                    return Err(bad("does not hold integers".into()));
                };
                if tensor.shape.len() != 1 {
                    return Err(bad(format!("has {} dimensions, not 1", tensor.shape.len())));
                }
                let check = |&n: &i64| {
                    let n = usize::try_from(n).ok().filter(|n| (1..=MAX_ELEMENTS).contains(n));
                    n.ok_or_else(|| bad("holds a length that is not from 1 to 2^31".into()))
                };
                Some(values.iter().map(check).collect::<Result<_, _>>()?)
            }
        });
    }
    Ok(found)
}

fn take_inputs(
    graph: &Graph,
    mut given: IndexMap<String, Tensor>,
    from: &str,
) -> Result<IndexMap<String, Tensor>, Fault> {
    let mut tensors = IndexMap::new();
    let mut wrong = Vec::new();
    for input in graph.inputs() {
        match given.shift_remove(&*input.name) {
            Some(tensor) => {
                tensors.insert(input.name.to_string(), tensor);
            }
            None => wrong.push(Diagnostic::error(
                codes::E0512,
                format!("{from}: there is no tensor `{}`, which the layer `{}` needs", input.name, graph.name),
            )),
        }
    }
    for name in given.keys() {
        let d = Diagnostic::error(
            codes::E0512,
            format!("{from}: the layer `{}` has no input or parameter `{name}`", graph.name),
        );
        let names = graph.inputs().iter().map(|i| format!("`{}`", i.name)).collect::<Vec<_>>();
        wrong.push(d.hint(format!("it has {}", names.join(", "))));
    }
    if wrong.is_empty() { Ok(tensors) } else { Err(Fault::User(wrong)) }
}

/// Extents as they become known, by domain, and whence.
struct Found<'g> {
    graph: &'g Graph,
    extents: Vec<Option<(usize, String)>>,
}

impl<'g> Found<'g> {
    fn new(graph: &'g Graph) -> Self {
        let known = |d: &weft_ir::graph::Domain| match d.extent {
            Extent::Const(n) => Some((usize::try_from(n).unwrap_or(0), "the layer".to_owned())),
            _ => None,
        };
        Self { graph, extents: graph.domains().iter().map(known).collect() }
    }

    fn meet(&mut self, domain: usize, n: usize, whence: impl Fn() -> String) -> Result<(), Box<Diagnostic>> {
        let name = &self.graph.domains()[domain].name;
        let error = |what: String| Box::new(Diagnostic::error(codes::E0516, format!("the extent of `{name}` {what}")));
        if n == 0 || n > MAX_ELEMENTS {
            return Err(error(format!("is {n} in {}; it must be from 1 to 2^31", whence())));
        }
        match &self.extents[domain] {
            Some((old, before)) if *old != n => Err(error(format!("is {old} in {before}, but {n} in {}", whence()))),
            Some(_) => Ok(()),
            None => {
                self.extents[domain] = Some((n, whence()));
                Ok(())
            }
        }
    }

    fn shape(&mut self, input: &Input, tensor: &Tensor) -> Result<(), Box<Diagnostic>> {
        let graph = self.graph;
        let names: Vec<&str> = input.axes.iter().map(|&a| &*graph.axis(a).name).collect();
        let name = format!("{}[{}]", input.name, names.join(","));
        let error = |what: String| Box::new(Diagnostic::error(codes::E0513, format!("`{name}` {what}")));
        if !tensor.is_consistent() || tensor.data.len() > MAX_ELEMENTS {
            return Err(error(format!("has the shape {:?}, which is too large", tensor.shape)));
        }
        if tensor.shape.len() != input.axes.len() {
            let (has, needs) = (tensor.shape.len(), input.axes.len());
            return Err(error(format!("has {has} dimensions in the file {:?}, not {needs}", tensor.shape)));
        }
        for (&axis, &n) in input.axes.iter().zip(&tensor.shape) {
            let domain = graph.axis(axis).domain;
            match graph.domain(domain).extent {
                Extent::Const(size) if usize::try_from(size) != Ok(n) => {
                    let axis = &graph.axis(axis).name;
                    let d =
                        error(format!("has {n} elements along `{axis}` in the file {:?}, not {size}", tensor.shape));
                    let hint = "sizes are set by `-D NAME=VALUE`, or by the metadata `sizes` of the file";
                    return Err(Box::new(d.hint(hint)));
                }
                Extent::Const(_) | Extent::Derived { .. } => {}
                Extent::Runtime | Extent::Ragged(_) => {
                    self.meet(domain.index(), n, || {
                        format!("dimension `{}` of `{}`", graph.axis(axis).name, input.name)
                    })?;
                }
            }
        }
        Ok(())
    }

    fn finish(mut self, ragged: &[Option<Vec<usize>>]) -> Result<Vec<Length>, Fault> {
        let graph = self.graph;
        for (d, domain) in graph.domains().iter().enumerate() {
            if let (Extent::Ragged(batch), Some(lengths)) = (domain.extent, &ragged[d]) {
                let b = graph.axis(batch).domain.index();
                self.meet(b, lengths.len(), || format!("`{}.len`", domain.name))?;
            }
        }
        let mut result = Vec::new();
        for d in 0..graph.domains().len() {
            result.push(self.length(d, ragged, graph.domains().len())?);
        }
        for (input, axes) in graph.inputs().iter().map(|i| (i, &i.axes)) {
            let size =
                axes.iter().try_fold(1usize, |n, &a| n.checked_mul(result[graph.axis(a).domain.index()].padded()));
            if size.is_none_or(|n| n > MAX_ELEMENTS) {
                let what = format!("`{}` would have more than 2^31 elements", input.name);
                return Err(Fault::user(codes::E0518, what));
            }
        }
        Ok(result)
    }

    fn length(&self, d: usize, ragged: &[Option<Vec<usize>>], depth: usize) -> Result<Length, Fault> {
        let domain = &self.graph.domains()[d];
        let known = || {
            let n = self.extents[d].as_ref().map(|e| e.0);
            n.ok_or_else(|| {
                let d = Fault::user(codes::E0516, format!("the extent of `{}` is unknown", domain.name));
                d.hint(format!("no input has this axis; give its extent with `-D {}=VALUE`", domain.name))
            })
        };
        match domain.extent {
            Extent::Const(_) | Extent::Runtime => Ok(Length::Uniform(known()?)),
            Extent::Ragged(batch) => match &ragged[d] {
                None => Ok(Length::Uniform(known()?)),
                Some(lengths) => {
                    let longest = lengths.iter().copied().max().unwrap_or(1);
                    let padded = self.extents[d].as_ref().map_or(longest, |e| e.0);
                    if longest > padded {
                        let what = format!("`{}.len` holds {longest}, but the inputs have {padded}", domain.name);
                        return Err(Fault::user(codes::E0515, what));
                    }
                    if lengths.iter().all(|&n| n == padded) {
                        return Ok(Length::Uniform(padded));
                    }
                    Ok(Length::Ragged { padded, batch, lengths: lengths.as_slice().into() })
                }
            },
            Extent::Derived { base, mul, add, div } => {
                if depth == 0 || base.index() >= self.extents.len() {
                    return Err(Fault::bug(format!("the extent of `{}` is derived from itself", domain.name)));
                }
                let derive = |n: usize| {
                    let n = i64::try_from(n).ok().and_then(|n| n.checked_mul(mul)).and_then(|n| n.checked_add(add));
                    let n = n.filter(|_| div > 0).map(|n| floor_div(n, div)).and_then(|n| usize::try_from(n).ok());
                    n.ok_or_else(|| {
                        Fault::user(codes::E0516, format!("the extent of `{}` would be negative", domain.name))
                    })
                };
                Ok(match self.length(base.index(), ragged, depth - 1)? {
                    Length::Uniform(n) => Length::Uniform(derive(n)?),
                    Length::Ragged { padded, batch, lengths } => Length::Ragged {
                        padded: derive(padded)?,
                        batch,
                        lengths: lengths.iter().map(|&n| derive(n)).collect::<Result<_, _>>()?,
                    },
                })
            }
        }
    }
}

/// Brings the elements into the class that the input has.
fn convert(graph: &Graph, input: &Input, tensor: &mut Tensor) -> Result<(), Fault> {
    let error =
        |what: &str| Fault::user(codes::E0514, format!("`{}` of the layer `{}` {what}", input.name, graph.name));
    match (input.dtype.class(), &tensor.data) {
        (Class::Float, Elements::I64(x)) => {
            // Exact below 2^53; beyond that no float type holds the integer either.
            tensor.data = Elements::F64(x.iter().map(|&i| i as f64).collect());
        }
        (Class::Int, Elements::I64(x)) if input.dtype == DType::I32 => {
            if x.iter().any(|&i| i32::try_from(i).is_err()) {
                return Err(error("is of type i32; the file has integers beyond that"));
            }
        }
        (Class::Bool, Elements::I64(x)) if x.iter().all(|i| matches!(i, 0 | 1)) => {
            tensor.data = Elements::Bool(x.iter().map(|&i| i == 1).collect());
        }
        (Class::Float, Elements::F64(_)) | (Class::Int, Elements::I64(_)) | (Class::Bool, Elements::Bool(_)) => {}
        (Class::Float, _) => return Err(error("is of floats; the file has truth values")),
        (Class::Int, _) => return Err(error("is of integers; the file has none")),
        (Class::Bool, _) => return Err(error("is of truth values; the file has other numbers than 0 and 1")),
    }
    Ok(())
}
