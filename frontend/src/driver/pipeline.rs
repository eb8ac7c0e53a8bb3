//! From a checked layer to something that runs.

use super::algorithm;
use super::fault::Fault;
use super::load::{Loaded, Own};
use super::watch::{Phase, Watch};
use crate::diagnostics::{Diagnostic, codes};
use indexmap::IndexMap;
use weft_cranelift::CompileError;
use weft_cranelift::program::Executable;
use weft_ir::graph::{Domain, Extent, Graph, NodeId};
use weft_ir::kernel::{self, ExtentId, Plan};
use weft_ir::program::Program;
use weft_passes::cost::Extents;
use weft_passes::cost::model::Typical;
use weft_passes::lower::{self, Target};
use weft_passes::rewrite::Rewritten;
use weft_passes::saved::{self, Saved, Split};
use weft_passes::schedule::{self, Scheduled};
use weft_passes::{canon, fuse, rewrite};

/// What runs a layer.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Backend {
    /// The float64 evaluator of the graph IR: the meaning of a layer.
    Evaluator,
    /// The interpreter of the kernel IR, in float64: what the scheduled kernels mean, with no machine in mind.
    Interpreter,
    /// Machine code for this machine.
    Cranelift,
}

impl Backend {
    /// Name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Evaluator => "evaluator",
            Self::Interpreter => "interpreter",
            Self::Cranelift => "cranelift",
        }
    }

    /// Does it hold floats in the type that the layer is compiled for? The others compute in float64.
    #[must_use]
    pub fn rounds(self) -> bool {
        self == Self::Cranelift
    }
}

/// How a layer becomes kernels.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CompileOptions {
    /// Choices of the scheduler.
    pub schedule: schedule::Options,
    /// How to look for a faster algorithm than the definition; none computes what is written.
    pub rewrite: Option<rewrite::Options>,
    /// Make kernels one that are better one.
    pub fuse: bool,
    /// Bytes that forward may save for backward.
    pub max_saved: Option<u64>,
    /// Runtime extents by name at which it is decided what to save; typical ones stand for others.
    pub extents: IndexMap<String, i64>,
}

impl Default for CompileOptions {
    fn default() -> Self {
        Self {
            schedule: schedule::Options::default(),
            rewrite: Some(rewrite::Options::default()),
            fuse: true,
            max_saved: None,
            extents: IndexMap::new(),
        }
    }
}

/// A layer as kernels.
#[derive(Clone, Debug)]
pub struct Planned {
    /// The layer in canonical form.
    pub canonical: Graph,
    /// What is computed instead, if rewriting found something faster for which there are kernels.
    pub rewritten: Option<Rewritten>,
    /// The kernels, and how they came about.
    pub scheduled: Scheduled,
    /// If gradients are computed: the plan's parts.
    pub training: Option<Training>,
}

/// A layer with its gradients, as two plans. [`Planned::scheduled`] runs one after the other.
#[derive(Clone, Debug)]
pub struct Training {
    /// From inputs to outputs, and what is saved.
    pub forward: Plan,
    /// From inputs, what is saved, and cotangents to gradients.
    pub backward: Plan,
    /// What is saved.
    pub saved: Vec<Saved>,
}

/// A layer in canonical form.
pub(super) fn canonical(loaded: &Loaded, watch: &mut Watch<'_>) -> Result<(Graph, canon::Settings), Fault> {
    let checked = &loaded.checked;
    let settings = canon::Settings { float: checked.float };
    let canonical = watch.time(Phase::Canonicalise, || canon::canonicalise(&checked.graph, settings));
    let canonical = canonical.map_err(|e| Fault::bug(format!("the canonicaliser: {e}")))?;
    watch.show(Phase::Canonicalise, &canonical);
    Ok((canonical, settings))
}

/// Canonicalises and schedules a layer.
///
/// # Errors
/// E0601 for a layer that needs memory quadratic in time, E0602 for one that has no schedule, E0608 if more must be saved for
/// backward than may be.
pub fn plan(loaded: &Loaded, options: &CompileOptions, watch: &mut Watch<'_>) -> Result<Planned, Fault> {
    let (canonical, settings) = canonical(loaded, watch)?;
    let (rewritten, mut scheduled) = algorithm::scheduled(loaded, &canonical, settings, options, watch)?;
    watch.show(Phase::Schedule, &scheduled.plan);
    let mut parts = match loaded.own {
        None => None,
        Some(own) => Some(split(loaded, own, &scheduled, options, watch)?),
    };
    if options.fuse {
        let pinned = &options.schedule.pins.fuse;
        let choice = |pair: &str| pinned.get(pair).copied();
        watch.time(Phase::Fuse, || match &mut parts {
            None => fuse::fuse(&mut scheduled, &fuse::planned_for(), &choice),
            Some(split) => {
                scheduled.notes.append(&mut split.notes);
                for part in [&mut split.forward, &mut split.backward] {
                    let fused = fuse::fuse_plan(&mut part.plan, &fuse::planned_for(), &choice);
                    part.moved(&fused.moved);
                    scheduled.notes.extend(fused.notes);
                    scheduled.choices.fuse.extend(fused.choices);
                }
            }
        });
        let lost = |(pair, yes): &(&String, &bool)| scheduled.choices.fuse.get(*pair) != Some(*yes);
        if let Some((pair, _)) = pinned.iter().find(lost) {
            let what =
                format!("the schedule file speaks of `{pair}`, but there are no two such kernels that could be one");
            return Err(Fault::user(codes::E0607, what));
        }
    }
    let training = parts.map(|split| {
        saved::join(&mut scheduled, &split.forward, &split.backward);
        Training { forward: split.forward.plan, backward: split.backward.plan, saved: split.saved }
    });
    if options.fuse {
        watch.show(Phase::Fuse, &scheduled.plan);
    }
    let plans = training.iter().flat_map(|t| [&t.forward, &t.backward]).chain([&scheduled.plan]);
    for plan in plans {
        watch.time(Phase::Verify, || kernel::verify::verify(plan)).map_err(|errors| {
            let list: Vec<String> = errors.iter().map(ToString::to_string).collect();
            Fault::bug(format!("the plan breaks rules of the kernel IR:\n{}", list.join("\n")))
        })?;
    }
    Ok(Planned { canonical, rewritten, scheduled, training })
}

impl Planned {
    /// The graph that the kernels compute.
    #[must_use]
    pub fn computed(&self) -> &Graph {
        self.rewritten.as_ref().map_or(&self.canonical, |r| &r.graph)
    }

    /// The term of the canonical graph that a term of the computed graph is.
    #[must_use]
    pub fn origin(&self, node: NodeId) -> Option<NodeId> {
        self.rewritten.as_ref().map_or(Some(node), |r| r.origin(node))
    }
}

/// Forward and backward, not yet fused.
fn split(
    loaded: &Loaded,
    own: Own,
    scheduled: &Scheduled,
    options: &CompileOptions,
    watch: &mut Watch<'_>,
) -> Result<Split, Fault> {
    let graph = &loaded.checked.graph;
    let runtime = |d: &&Domain| matches!(d.extent, Extent::Runtime | Extent::Ragged(_));
    let given = |d: &Domain| options.extents.get(&*d.name).or_else(|| loaded.checked.extents.get(&*d.name)).copied();
    let plan = &scheduled.plan;
    let extents =
        At { given: graph.domains().iter().filter(runtime).map(given).collect(), typical: Typical::default().of(plan) };
    let request = saved::Request { inputs: own.inputs, outputs: own.outputs, most: options.max_saved, extents };
    watch.time(Phase::Fuse, || saved::split(scheduled, &request)).map_err(|e| match &e {
        saved::Error::TooLittle { least, .. } => Fault::user(codes::E0608, e.to_string())
            .hint(format!("`--max-saved {least}` is enough; decisions are saved in any case")),
        saved::Error::Entangled(_) => Fault::bug(e.to_string()),
    })
}

/// Extents that are given, and typical ones.
struct At<T> {
    given: Vec<Option<i64>>,
    typical: T,
}

impl<T: Extents> Extents for At<T> {
    fn most(&self, extent: ExtentId) -> Option<i64> {
        self.given.get(extent.index()).copied().flatten().or_else(|| self.typical.most(extent))
    }

    fn at(&self, extent: ExtentId, _: i64) -> Option<i64> {
        self.most(extent)
    }
}

/// A refusal of the scheduler, at the value of the source that it is about.
pub(super) fn refused(loaded: &Loaded, error: &schedule::Error) -> Fault {
    let (code, what) = match error {
        schedule::Error::Quadratic { .. } => (codes::E0601, error.to_string()),
        schedule::Error::Unsupported { .. } => (codes::E0602, error.to_string()),
        schedule::Error::UnknownKernel { .. } => return Fault::user(codes::E0607, error.to_string()),
        bug => return Fault::bug(format!("the scheduler: {bug}")),
    };
    let mut diagnostic = Diagnostic::error(code, what);
    // The path names the source's values from the output to the term; the last that the source defines is where to look.
    let text = error.to_string();
    let names: Vec<&str> = text.split(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '.'))).collect();
    let defined = |name: &&&str| loaded.checked.values_defined.iter().any(|d| d.name == ***name);
    if let Some(name) = names.iter().rev().find(defined)
        && let Some(definition) = loaded.checked.values_defined.iter().find(|d| d.name == **name)
    {
        diagnostic = diagnostic.at(definition.span, "while computing this value");
    }
    if code == codes::E0601 {
        diagnostic = diagnostic.hint("`--allow-quadratic-memory` stores it all the same");
    }
    diagnostic.into()
}

/// Lowers kernels for this machine.
///
/// # Errors
/// E0603 for what the lowering does not support.
pub fn program(plan: &Plan, watch: &mut Watch<'_>) -> Result<Program, Fault> {
    let target = target();
    let program = watch.time(Phase::Lower, || lower::lower(plan, &target));
    let program = program.map_err(|e| Fault::user(codes::E0603, format!("the cranelift backend: {e}")))?;
    watch.show(Phase::Lower, &program);
    Ok(program)
}

/// What lowering is told about this machine.
#[must_use]
pub fn target() -> Target {
    let threads = std::thread::available_parallelism().map_or(1, |n| u32::try_from(n.get()).unwrap_or(1));
    Target { threads, ..Target::default() }
}

/// Makes machine code.
///
/// # Errors
/// E0605 if this machine is not supported.
pub fn executable(program: Program, watch: &mut Watch<'_>) -> Result<Executable, Fault> {
    if watch.wants(Phase::Emit) {
        let text = clif(&program)?;
        watch.show(Phase::Emit, text);
    }
    watch.time(Phase::Emit, || Executable::new(program)).map_err(Fault::from)
}

/// The CLIF of every kernel.
///
/// # Errors
/// As [`executable`].
pub fn clif(program: &Program) -> Result<String, Fault> {
    let mut text = String::new();
    for launch in &program.launches {
        text += &format!("; kernel {}\n{}\n", launch.kernel.name, weft_cranelift::clif(&launch.kernel)?);
    }
    Ok(text)
}

impl From<CompileError> for Fault {
    /// E0605 if the machine is at fault, else a bug.
    fn from(error: CompileError) -> Self {
        match error {
            CompileError::Unsupported(_) | CompileError::MissingFeature { .. } => {
                Self::user(codes::E0605, error.to_string()).hint("`--backend interpreter` runs on every machine")
            }
            bug => Self::bug(bug),
        }
    }
}
