//! The elaborator: state that all its parts share, and its entry point.

mod axes;
mod axis_fns;
mod calls;
mod init;
mod inputs;
mod layer;
mod operators;
mod pieces;
mod reads;
mod rec;
mod reduce;
mod scope;
mod sizes;
mod statements;
mod terms;
mod types;

use super::program::{FileIx, Program};
use super::recurrence::Recurrence;
use super::{Checked, Definition, Settings};
use crate::diagnostics::{Code, Diagnostic, SourceMap, Span, codes};
use crate::syntax::ast::{self, Expr, ExprKind};
use rustc_hash::{FxHashMap, FxHashSet};
use scope::Scope;
use weft_ir::graph::{AxisId, DomainId, Graph, NodeId, RecId};

/// An error that has been reported already: the statement at hand is given up, the next one is looked at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Failed;

/// Result of elaborating something; errors are in the elaborator's list.
pub(super) type Res<T> = Result<T, Failed>;

/// Height of expressions and inlined calls together; [`super::STACK`] fits it.
const MAX_HEIGHT: u32 = 4096;
/// Calls of functions within one another.
const MAX_CALLS: usize = 64;
/// Inlined calls of one layer.
const MAX_INLINED: usize = 20_000;
/// Nodes of one layer.
const MAX_NODES: usize = 200_000;
/// Errors of one layer after which nothing more is said.
const MAX_ERRORS: usize = 64;
/// The largest extent, size or number of elements of one tensor's static axes.
const MAX_SIZE: i64 = 1 << 30;

/// State of one elaboration.
struct Elaborator<'p> {
    program: &'p Program,
    sources: &'p SourceMap,
    settings: &'p Settings,
    graph: Graph,
    diags: Vec<Diagnostic>,
    /// Conditions that dominate the expression at hand, and whether they hold.
    facts: Vec<(NodeId, bool)>,
    /// Functions that are being inlined, with the places where they are called.
    calls: Vec<(FileIx, &'p str, Span)>,
    inlined: usize,
    height: u32,
    /// Has the layer been found too large? Then nothing more is looked at.
    too_large: bool,
    spans: FxHashMap<NodeId, Span>,
    /// Axes of `index` statements in functions: two calls share them, and so share equal terms.
    local_axes: FxHashMap<(Span, usize, DomainId), AxisId>,
    /// Renamed copies of axes, by call site's function and axis.
    renamed: FxHashMap<(Span, AxisId), AxisId>,
    /// Static domains by extent and name, so that two calls share them.
    domains: FxHashMap<(Span, i64), DomainId>,
    /// The recurrences whose bodies are being elaborated.
    open: Vec<RecId>,
    recurrences: Vec<Recurrence>,
    definitions: Vec<Definition>,
    /// Where the compiler has warned already: functions are inlined many times.
    warned: FxHashSet<Span>,
}

/// Elaborates a layer and runs all checks.
pub(super) fn layer(
    program: &Program,
    sources: &SourceMap,
    file: FileIx,
    layer: &ast::Layer,
    settings: &Settings,
) -> Result<Checked, Vec<Diagnostic>> {
    let mut e = Elaborator {
        program,
        sources,
        settings,
        graph: Graph::new(layer.name.as_str()),
        diags: Vec::new(),
        facts: Vec::new(),
        calls: Vec::new(),
        inlined: 0,
        height: 0,
        too_large: false,
        spans: FxHashMap::default(),
        local_axes: FxHashMap::default(),
        renamed: FxHashMap::default(),
        domains: FxHashMap::default(),
        open: Vec::new(),
        recurrences: Vec::new(),
        definitions: Vec::new(),
        warned: FxHashSet::default(),
    };
    let (values, extents) = e.run_layer(file, layer);
    e.finish(values, extents)
}

/// What a trial elaboration changes.
struct Snapshot {
    graph: Graph,
    spans: FxHashMap<NodeId, Span>,
    local_axes: FxHashMap<(Span, usize, DomainId), AxisId>,
    renamed: FxHashMap<(Span, AxisId), AxisId>,
    domains: FxHashMap<(Span, i64), DomainId>,
    warned: FxHashSet<Span>,
    diags: usize,
    recurrences: usize,
}

impl<'p> Elaborator<'p> {
    // ---- trials

    fn snapshot(&self) -> Snapshot {
        Snapshot {
            graph: self.graph.clone(),
            spans: self.spans.clone(),
            local_axes: self.local_axes.clone(),
            renamed: self.renamed.clone(),
            domains: self.domains.clone(),
            warned: self.warned.clone(),
            diags: self.diags.len(),
            recurrences: self.recurrences.len(),
        }
    }

    fn restore(&mut self, s: Snapshot) {
        (self.graph, self.spans, self.local_axes) = (s.graph, s.spans, s.local_axes);
        (self.renamed, self.domains, self.warned) = (s.renamed, s.domains, s.warned);
        self.diags.truncate(s.diags);
        self.recurrences.truncate(s.recurrences);
    }

    // ---- errors

    /// Reports an error, with the calls that lead to it.
    fn fail(&mut self, mut d: Diagnostic) -> Failed {
        for (_, name, at) in self.calls.iter().rev().take(4) {
            d = d.also(*at, format!("in this call of `{name}`"));
        }
        let told = self.diags.iter().filter(|d| d.is_error()).count();
        if !self.too_large && told < MAX_ERRORS && !self.diags.contains(&d) {
            self.diags.push(d);
        }
        Failed
    }

    /// Reports an error at a place.
    fn error(&mut self, code: Code, span: Span, message: impl Into<String>, label: impl Into<String>) -> Failed {
        self.fail(Diagnostic::error(code, message).at(span, label))
    }

    /// Warns once for each place, and only about sources that the user can change.
    fn warn(&mut self, span: Span, d: Diagnostic) {
        if span.source != crate::diagnostics::SourceId::STD && self.warned.insert(span) {
            self.diags.push(d);
        }
    }

    /// The source text of a place, on one line.
    fn text(&self, span: Span) -> String {
        self.sources.slice(span).split_whitespace().collect::<Vec<_>>().join(" ")
    }

    // ---- facts

    /// Runs `f` where `condition` is known to hold, or not to hold.
    fn given<T>(&mut self, condition: NodeId, holds: bool, f: impl FnOnce(&mut Self) -> T) -> T {
        let depth = self.facts.len();
        self.facts.push((condition, holds));
        let result = f(self);
        self.facts.truncate(depth);
        result
    }

    /// Runs `f` where nothing is known of these axes: they are bound anew.
    fn rebinding<T>(&mut self, axes: &[AxisId], f: impl FnOnce(&mut Self) -> T) -> T {
        let graph = &self.graph;
        let kept =
            self.facts.iter().copied().filter(|(c, _)| !axes.iter().any(|&a| graph.free(*c).contains(a))).collect();
        let outer = std::mem::replace(&mut self.facts, kept);
        let result = f(self);
        self.facts = outer;
        result
    }

    // ---- expressions

    /// Elaborates an expression.
    fn expr(&mut self, s: &mut Scope<'p>, e: &'p Expr) -> Res<NodeId> {
        if self.too_large || self.height >= MAX_HEIGHT || self.graph.len() >= MAX_NODES {
            return Err(self.give_up(e.span));
        }
        self.height += 1;
        let result = self.expr_inner(s, e);
        self.height -= 1;
        if let Ok(node) = result {
            self.spans.entry(node).or_insert(e.span);
        }
        result
    }

    /// Reports once that the layer is too large; nothing else is elaborated.
    fn give_up(&mut self, span: Span) -> Failed {
        if self.too_large {
            return Failed;
        }
        let mut d = Diagnostic::error(codes::E0113, "the layer is too large once all calls are inlined");
        // The library's text is not the user's: the call is.
        let in_std = |s: Span| s.source == crate::diagnostics::SourceId::STD;
        let own = if in_std(span) { self.calls.iter().rev().map(|c| c.2).find(|&s| !in_std(s)) } else { None };
        d = d.at(own.unwrap_or(span), "given up here");
        let failed = self.fail(d.hint("give a value that is used more than once a name with `let`"));
        // What fails because of it is not told of.
        self.too_large = true;
        failed
    }

    fn expr_inner(&mut self, s: &mut Scope<'p>, e: &'p Expr) -> Res<NodeId> {
        match &e.kind {
            ExprKind::Int(i) => self.int(*i, e.span),
            ExprKind::Float { value, .. } => Ok(self.graph.float(*value)),
            ExprKind::Extent(name) => self.extent_of(s, name),
            ExprKind::Ref(path) => self.bare(s, path),
            ExprKind::Subscript { base, subscripts } => self.subscripted(s, base, subscripts, e.span),
            ExprKind::If { cond, yes, no } => self.conditional(s, cond, yes, no, e.span),
            ExprKind::Binary { op, lhs, rhs } => self.binary(s, *op, lhs, rhs, e.span),
            ExprKind::Compare { first, rest } => self.comparison(s, first, rest, e.span),
            ExprKind::Unary { op, operand } => self.unary(s, *op, operand, e.span),
            ExprKind::Reduce { op, binders, arg } => self.reduce(s, op, binders, arg, e.span),
            ExprKind::Call { callee, axes, args } => self.call(s, callee, axes, args, e.span),
        }
    }
}
