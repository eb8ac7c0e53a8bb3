//! Names, and the declarations of a plan made from code.

use rustc_hash::FxHashSet;

use super::expr::Expr;
use super::ids::{BufferId, ExtentId, ParamId};
use super::plan::{Buffer, Dim, Extent, Param, ParamKind, Plan, Role};
use super::types::{ElemType, Literal};

/// Words of the text form that cannot be names of axes, scalars, extents, parameters or buffers.
const RESERVED: &[&str] = &[
    "plan", "size", "tile", "extent", "buffer", "kernel", "grid", "axis", "lanes", "scratch", "let", "load", "scalar",
    "loop", "at", "over", "in", "full", "carry", "yield", "while", "if", "else", "where", "as", "on", "by", "to",
    "mode", "rev", "excl", "min", "max", "ceil", "init", "range", "inf", "true", "false", "dense", "strided", "list",
    "table", "point",
];

/// Is it a name of the text form: words of letters, digits, `_` and `'`, joined by single dots (`k.wz`), not starting with a
/// digit, not reserved?
pub fn is_name(text: &str) -> bool {
    let head = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let word = |w: &str| !w.is_empty() && w.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '\''));
    head && text.split('.').all(word) && !RESERVED.contains(&text)
}

/// A name made of `hint` that is not in `taken`, which receives it.
pub(super) fn fresh(taken: &mut FxHashSet<String>, hint: &str) -> String {
    let mut base = hint.to_owned();
    if !is_name(&base) {
        base =
            hint.chars().map(|c| if c.is_ascii_alphanumeric() || matches!(c, '_' | '\'') { c } else { '_' }).collect();
    }
    if !base.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
        base.insert(0, '_');
    }
    if RESERVED.contains(&base.as_str()) {
        base.push('_');
    }
    let mut name = base.clone();
    let mut n = 0usize;
    while !taken.insert(name.clone()) {
        n += 1;
        name = format!("{base}_{n}");
    }
    name
}

impl Plan {
    /// The name that a kernel built next under this name will have.
    #[must_use]
    pub fn kernel_name(&self, hint: &str) -> String {
        let mut taken = self.kernels.iter().map(|k| k.name.clone()).collect();
        fresh(&mut taken, hint)
    }
    /// An empty plan; the name is made valid.
    pub fn new(name: &str) -> Self {
        Self { name: fresh(&mut FxHashSet::default(), name), ..Self::default() }
    }
    /// Names that parameters, extents and buffers have taken.
    pub(super) fn names(&self) -> FxHashSet<String> {
        let params = self.params.iter().map(|p| &p.name);
        let extents = self.extents.iter().map(|e| &e.name);
        params.chain(extents).chain(self.buffers.iter().map(|b| &b.name)).cloned().collect()
    }
    /// Declares a static size.
    pub fn size(&mut self, name: &str, value: i64) -> ParamId {
        self.add_param(name, ParamKind::Size, value)
    }
    /// Declares a tile extent with its default.
    pub fn tile(&mut self, name: &str, value: i64) -> ParamId {
        self.add_param(name, ParamKind::Tile, value)
    }
    fn add_param(&mut self, name: &str, kind: ParamKind, value: i64) -> ParamId {
        let name = fresh(&mut self.names(), name);
        self.params.push(Param { name, kind, value });
        ParamId::new(self.params.len() - 1)
    }
    /// Declares a run-time extent, ragged along `over` if that is given.
    pub fn add_extent(&mut self, name: &str, over: Option<ExtentId>) -> ExtentId {
        let name = fresh(&mut self.names(), name);
        self.extents.push(Extent { name, over });
        ExtentId::new(self.extents.len() - 1)
    }
    /// Declares a buffer of dimensions (name, extent), outermost first.
    pub fn add_buffer(&mut self, name: &str, elem: ElemType, role: Role, dims: Vec<(&str, Expr)>) -> BufferId {
        let name = fresh(&mut self.names(), name);
        let mut taken = FxHashSet::default();
        let dims = dims.into_iter().map(|(n, extent)| Dim { name: fresh(&mut taken, n), extent }).collect();
        self.buffers.push(Buffer { name, elem, dims, role, range: None, init: None });
        BufferId::new(self.buffers.len() - 1)
    }
    /// Declares that the elements of an integer buffer lie in `lo..hi`.
    pub fn set_range(&mut self, buffer: BufferId, lo: Expr, hi: Expr) {
        if let Some(b) = self.buffers.get_mut(buffer.index()) {
            b.range = Some((lo, hi));
        }
    }
    /// Declares the value of all elements of a buffer before the plan runs.
    pub fn set_init(&mut self, buffer: BufferId, init: impl Into<Literal>) {
        if let Some(b) = self.buffers.get_mut(buffer.index()) {
            b.init = Some(init.into());
        }
    }
}
