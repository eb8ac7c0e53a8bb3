//! From the syntax tree to the graph IR's definition stratum: names, axes, types, and the checks that make a layer mean something.
//!
//! # How a layer is elaborated
//!
//! Statements are taken in source order; a name must be declared before it is used. An expression becomes a node of the
//! graph as it is read: a value named without subscripts is the node itself, which stands at its declared indices,
//! and subscripts are one simultaneous substitution. Functions are inlined: their formal axes stand for actual ones,
//! all other axes of an argument ride along, and where an argument that rides along an axis would be captured by the
//! function's own use of that axis, the function works on a renamed copy of the axis.
//!
//! Sizes and constants are numbers at this point, so constant terms are folded, in float64 and in i64.
//!
//! # Facts
//!
//! While an expression is elaborated, the elaborator holds the conditions that dominate it: guards after `where`,
//! conditions of `if`, left operands of `and` and `or`. They prove that subscripts are within their axes ([`bounds`]).
//! A fact about an index no longer holds where that index is bound anew: in a reducer over it, in a `let` that declares
//! it, in an argument over a formal axis that stands for it.
//!
//! # After elaboration
//!
//! [`recurrence`] classifies recurrences; [`clocks`] computes the latest input time on which each value may
//! depend, and reports outputs that look into the future.
//!
//! Nothing here panics on any syntax tree: what is not a layer is a list of diagnostics.

mod bounds;
mod clocks;
mod elab;
mod numbers;
mod program;
mod recurrence;
mod shapes;

use crate::diagnostics::{Diagnostic, SourceId, SourceMap, Span, codes};
use indexmap::IndexMap;
use rustc_hash::FxHashMap;
use weft_ir::DType;
use weft_ir::graph::{Graph, NodeId};

pub use clocks::{Clock, ClockInfo};
pub use numbers::Number;
pub use program::Resolver;
pub use recurrence::{Recurrence, RecurrenceClass};
pub use shapes::sizes_from_shapes;

/// What the command line and the inputs say about a layer.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `-D NAME=VALUE`, for sizes, constants and runtime axes. A name that the layer lacks is an error.
    pub defines: Vec<(String, Number)>,
    /// Sizes and constants that an input file records. They give way to `defines`; names that the layer lacks are ignored.
    pub recorded: Vec<(String, Number)>,
    /// What the type parameter `float` stands for.
    pub float: DType,
}

impl Default for Settings {
    fn default() -> Self {
        Self { defines: Vec::new(), recorded: Vec::new(), float: DType::F32 }
    }
}

/// A layer that has passed all checks.
#[derive(Clone, Debug)]
pub struct Checked {
    /// What it computes; definition stratum, verified.
    pub graph: Graph,
    /// Sizes and constants with their values, in source order.
    pub values: IndexMap<String, Number>,
    /// Runtime axes whose extent `-D` gives, by name.
    pub extents: IndexMap<String, i64>,
    /// What the type parameter `float` stands for.
    pub float: DType,
    /// Programs that are probably not what was meant.
    pub warnings: Vec<Diagnostic>,
    /// Where each node was first written. Nodes that the compiler made up have none.
    pub spans: FxHashMap<NodeId, Span>,
    /// The layer's own values (`let`, `rec`, `out`), in source order.
    pub values_defined: Vec<Definition>,
    /// The recurrences that outputs need, in source order.
    pub recurrences: Vec<Recurrence>,
    /// When each of `values_defined` that changes with time is known.
    pub clocks: Vec<ClockInfo>,
}

/// A value that a layer defines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Definition {
    /// Its name.
    pub name: String,
    /// The indices that it declares.
    pub axes: Vec<String>,
    /// The term.
    pub node: NodeId,
    /// The name in its definition.
    pub span: Span,
}

/// Checks one layer of `root`: the one of that name, or the only one. Files that it uses are added to `sources`.
///
/// # Errors
/// All errors that were found, with the warnings, in source order; never empty.
pub fn compile(
    sources: &mut SourceMap,
    root: SourceId,
    layer: Option<&str>,
    settings: &Settings,
    resolver: &mut Resolver<'_>,
) -> Result<Checked, Vec<Diagnostic>> {
    let (program, root, diags) = program::Program::load(sources, root, resolver);
    if diags.iter().any(Diagnostic::is_error) {
        return Err(diags);
    }
    let layer = pick_layer(&program, root, layer).map_err(|d| vec![*d])?;
    // Elaboration recurses over expressions and calls, both of bounded height, which needs more stack than a caller may have.
    let sources = &*sources;
    let run = || elab::layer(&program, sources, root, layer, settings);
    let result = std::thread::scope(|scope| {
        let thread =
            std::thread::Builder::new().name("weft-elaborate".into()).stack_size(STACK).spawn_scoped(scope, run);
        thread.map(std::thread::ScopedJoinHandle::join)
    });
    match result {
        Ok(Ok(checked)) => checked,
        Ok(Err(panic)) => std::panic::resume_unwind(panic),
        Err(e) => Err(vec![Diagnostic::error(codes::E0113, format!("no thread can be started: {e}"))]),
    }
}

/// Stack for the deepest program within the limits of [`elab`], several times over.
const STACK: usize = 256 << 20;

/// The layer of that name, or the only one.
fn pick_layer<'p>(
    program: &'p program::Program,
    root: program::FileIx,
    name: Option<&str>,
) -> Result<&'p crate::syntax::ast::Layer, Box<Diagnostic>> {
    let names = || program.layers(root).map(|l| l.name.as_str().to_owned()).collect::<Vec<_>>();
    match name {
        Some(name) => program.layers(root).find(|l| l.name.as_str() == name).ok_or_else(|| {
            let d = Diagnostic::error(codes::E0111, format!("the file has no layer `{name}`"));
            Box::new(d.expected(names().into_iter().map(|n| format!("`{n}`"))))
        }),
        None => match (program.layers(root).next(), names().len()) {
            (Some(only), 1) => Ok(only),
            (None, _) => Err(Box::new(
                Diagnostic::error(codes::E0111, "the file has no layer").hint("write `layer NAME { .. }`"),
            )),
            _ => Err(Box::new(
                Diagnostic::error(codes::E0111, "the file has several layers; say which one is meant")
                    .expected(names().into_iter().map(|n| format!("`{n}`"))),
            )),
        },
    }
}
