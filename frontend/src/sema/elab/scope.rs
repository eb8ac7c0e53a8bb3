//! What names mean: one flat namespace for a layer, and one for each inlined call.

use super::super::program::{FileIx, defined_twice, nearest};
use super::{Elaborator, Failed, Res};
use crate::diagnostics::{Diagnostic, SourceId, Span, codes};
use crate::syntax::ast::{Name, Path};
use indexmap::IndexMap;
use rustc_hash::FxBuildHasher;
use smallvec::{SmallVec, smallvec};
use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use weft_ir::graph::{AxisId, NodeId, RecId};

/// The axes for which one index name stands: several where a formal axis is bound to several actual ones.
pub(super) type Axes = SmallVec<[AxisId; 2]>;

/// A value with the axes by which subscripts address it, one entry for each declared index.
#[derive(Clone, Debug)]
pub(super) struct Tensor {
    pub(super) node: NodeId,
    pub(super) positions: Vec<Axes>,
}

/// A recurrence inside its own body.
#[derive(Clone, Debug)]
pub(super) struct SelfRead {
    pub(super) rec: RecId,
    /// Its indices as it declares them.
    pub(super) names: Vec<Arc<str>>,
    pub(super) positions: Vec<Axes>,
    /// Which of the positions is the axis over which it runs.
    pub(super) time: usize,
}

/// An instance of a group.
#[derive(Clone, Debug)]
pub(super) struct GroupValue {
    /// Name of the group.
    pub(super) group: Arc<str>,
    /// The actual axes, one entry for each formal axis of the group.
    pub(super) axes: Vec<Axes>,
    pub(super) fields: IndexMap<Arc<str>, Tensor, FxBuildHasher>,
}

/// What a name means.
#[derive(Clone, Debug)]
pub(super) enum Meaning {
    Index(Axes),
    /// A size or a constant: a node that is one.
    Number(NodeId),
    Tensor(Tensor),
    SelfRead(SelfRead),
    Group(Rc<GroupValue>),
    /// Its definition has an error; uses are not reported again.
    Broken,
}

impl Meaning {
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Index(_) => "an index",
            Self::Number(_) => "a size or constant",
            Self::Tensor(_) => "a value",
            Self::SelfRead(_) => "a recurrence",
            Self::Group(_) => "a group of parameters",
            Self::Broken => "a name whose definition has an error",
        }
    }
}

#[derive(Clone, Debug)]
struct Entry {
    meaning: Meaning,
    span: Span,
    /// What an unused one is called in the warning; `None` if it may be unused.
    warn: Option<&'static str>,
    used: Cell<bool>,
}

/// The names of a layer, or of one inlined call.
#[derive(Clone, Debug)]
pub(super) struct Scope<'p> {
    /// The file in which the text stands: it decides which functions are visible.
    pub(super) file: FileIx,
    names: IndexMap<Arc<str>, Entry, FxBuildHasher>,
    /// The function, if this is a call.
    pub(super) function: Option<&'p str>,
    /// Axes that the function binds itself: formal ones, and those of its `index` statements.
    pub(super) own: Vec<AxisId>,
    /// Those of its `index` statements, which its result must not depend on.
    pub(super) local: Vec<(AxisId, Arc<str>)>,
}

impl<'p> Scope<'p> {
    pub(super) fn new(file: FileIx, function: Option<&'p str>) -> Self {
        Self { file, names: IndexMap::default(), function, own: Vec::new(), local: Vec::new() }
    }

    /// Replaces the meaning of a name that is there, or adds it.
    pub(super) fn set(&mut self, name: &Name, meaning: Meaning) {
        match self.names.get_mut(&name.text) {
            Some(e) => e.meaning = meaning,
            None => {
                let entry = Entry { meaning, span: name.span, warn: None, used: Cell::new(false) };
                self.names.insert(name.text.clone(), entry);
            }
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<&Meaning> {
        self.names.get(name).map(|e| {
            e.used.set(true);
            &e.meaning
        })
    }

    /// The meaning of a name, without counting as a use of it.
    pub(super) fn peek(&self, name: &str) -> Option<&Meaning> {
        self.names.get(name).map(|e| &e.meaning)
    }

    /// Names that were declared and never used, with what they are.
    pub(super) fn unused(&self) -> impl Iterator<Item = (&str, Span, &'static str)> {
        self.names.iter().filter(|(_, e)| !e.used.get()).filter_map(|(n, e)| Some((&**n, e.span, e.warn?)))
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.names.keys().map(|n| &**n)
    }
}

impl<'p> Elaborator<'p> {
    /// Declares a name. `warn` says what it is called if it is never used.
    pub(super) fn declare(
        &mut self,
        s: &mut Scope<'p>,
        name: &Name,
        meaning: Meaning,
        warn: Option<&'static str>,
    ) -> Res<()> {
        if let Some(e) = s.names.get(&name.text) {
            let d = defined_twice(name, e.span);
            return Err(self.fail(d));
        }
        s.names.insert(name.text.clone(), Entry { meaning, span: name.span, warn, used: Cell::new(false) });
        Ok(())
    }

    /// Warns of what is never used. Functions in the standard library are nobody's business.
    pub(super) fn warn_unused(&mut self, s: &Scope<'p>) {
        let unused: Vec<_> = s.unused().map(|(n, at, what)| (n.to_owned(), at, what)).collect();
        for (name, at, what) in unused {
            if at.source != SourceId::STD {
                let d = Diagnostic::warning(codes::W0001, format!("{what} `{name}` is never used"))
                    .at(at, "declared here")
                    .hint("remove it");
                self.warn(at, d);
            }
        }
    }

    /// The error for a name that means nothing.
    pub(super) fn unknown(&mut self, s: &Scope<'p>, name: &Name) -> Failed {
        let mut d = Diagnostic::error(codes::E0101, format!("`{name}` is not defined")).at(name.span, "unknown name");
        let near = nearest(name.as_str(), s.names());
        d = match (near, s.function) {
            (Some(near), _) => d.hint(format!("did you mean `{near}`?")),
            (None, Some(f)) => d.hint(format!(
                "a function sees only its own parameters, axes and lets: pass `{name}` to `{f}` as an argument"
            )),
            (None, None) => d.hint("names must be declared before they are used"),
        };
        self.fail(d)
    }

    /// The meaning of a name.
    pub(super) fn lookup(&mut self, s: &Scope<'p>, name: &Name) -> Res<Meaning> {
        match s.get(&name.text) {
            Some(Meaning::Broken) => Err(Failed),
            Some(m) => Ok(m.clone()),
            None => Err(self.unknown(s, name)),
        }
    }

    /// The axes for which an index name stands.
    pub(super) fn index_name(&mut self, s: &Scope<'p>, name: &Name) -> Res<Axes> {
        match self.lookup(s, name)? {
            Meaning::Index(axes) => Ok(axes),
            other => Err(self.fail(
                Diagnostic::error(codes::E0105, format!("`{name}` is {}, not an index", other.kind()))
                    .at(name.span, "an index is expected here")
                    .hint("declare one with `index NAME: DOMAIN`"),
            )),
        }
    }

    /// The axes for which a list of distinct index names stands.
    pub(super) fn index_names(&mut self, s: &Scope<'p>, names: &[Name]) -> Res<Vec<Axes>> {
        let mut all: Vec<Axes> = Vec::with_capacity(names.len());
        for name in names {
            let axes = self.index_name(s, name)?;
            if all.iter().flatten().any(|a| axes.contains(a)) {
                return Err(self.error(
                    codes::E0211,
                    name.span,
                    format!("index `{name}` stands here twice"),
                    "used before in the same brackets",
                ));
            }
            all.push(axes);
        }
        Ok(all)
    }

    /// The tensor that a path names: a value, or a field of a group. Other meanings give `None`.
    pub(super) fn tensor_at(&mut self, s: &Scope<'p>, path: &Path) -> Res<Option<Tensor>> {
        let [first, rest @ ..] = path.segments.as_slice() else { return Ok(None) };
        match (self.lookup(s, first)?, rest) {
            (Meaning::Tensor(t), []) => Ok(Some(t)),
            (Meaning::Group(g), [field]) => match g.fields.get(&field.text) {
                Some(t) => Ok(Some(t.clone())),
                None => {
                    let mut d = Diagnostic::error(codes::E0112, format!("group `{}` has no tensor `{field}`", g.group))
                        .at(field.span, "unknown tensor");
                    d = match nearest(field.as_str(), g.fields.keys().map(|n| &**n)) {
                        Some(near) => d.hint(format!("did you mean `{first}.{near}`?")),
                        None => d.expected(g.fields.keys().map(|n| format!("`{first}.{n}`"))),
                    };
                    Err(self.fail(d))
                }
            },
            (_, []) => Ok(None),
            (other, _) => Err(self.error(
                codes::E0105,
                path.span,
                format!("`{first}` is {}, and has no parts", other.kind()),
                "only groups of parameters have named tensors",
            )),
        }
    }

    /// One axis that an index name stands for, where arithmetic needs exactly one.
    pub(super) fn single(&mut self, name: &Name, axes: &Axes) -> Res<AxisId> {
        match axes.as_slice() {
            [one] => Ok(*one),
            _ => {
                let d = Diagnostic::error(
                    codes::E0208,
                    format!("`{name}` stands for {} axes here and has no position", axes.len()),
                )
                .at(name.span, "used as a number")
                .hint(format!(
                    "a formal axis that a call binds to several axes may only be used whole: `sum({name}: ..)`, `|{name}|`, or in the brackets of a parameter"
                ));
                Err(self.fail(d))
            }
        }
    }

    /// Declares an index that stands for one axis.
    pub(super) fn declare_index(&mut self, s: &mut Scope<'p>, name: &Name, axis: AxisId) -> Res<()> {
        let warn = if s.function.is_none() { Some("index") } else { None };
        self.declare(s, name, Meaning::Index(smallvec![axis]), warn)
    }
}
