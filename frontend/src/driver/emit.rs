//! `weft compile`: the programs of each stage as text.

use super::fault::Fault;
use super::load::Loaded;
use super::pipeline::{self, CompileOptions, Planned};
use super::watch::Watch;
use weft_ir::kernel::Plan;
use weft_ir::program::Program;

macro_rules! stages {
    ($($stage:ident $name:literal $extension:literal $doc:literal)*) => {
        /// A text that the compiler can give.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum Stage { $(#[doc = $doc] $stage),* }

        impl Stage {
            /// Every stage, in the order of the compilation.
            pub const ALL: &'static [Self] = &[$(Self::$stage),*];

            /// Name on the command line.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$stage => $name),* }
            }

            /// What is in it, in a line.
            #[must_use]
            pub fn describe(self) -> &'static str {
                match self { $(Self::$stage => $doc),* }
            }

            /// The file's name after the layer's.
            #[must_use]
            pub fn extension(self) -> &'static str {
                match self { $(Self::$stage => $extension),* }
            }
        }
    };
}

stages! {
    Graph "graph" "graph" "graph IR as the source defines it"
    Dot "dot" "dot" "the same as a picture, for graphviz"
    Canonical "canonical" "canonical.graph" "graph IR in canonical form"
    Fast "fast" "fast.graph" "graph IR of the algorithm: the canonical form, unless `--rewrite` finds a faster one"
    Kernel "kernel" "kernel" "kernel IR: the plan of launches over tiles"
    Notes "notes" "notes" "the scheduler's choices, one a line"
    Schedule "schedule" "schedule" "the choices that a schedule file can pin (--schedule)"
    Loop "loop" "loop" "loop IR of every kernel"
    Clif "clif" "clif" "Cranelift's IR of every kernel"
}

/// Half of a training step.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Part {
    /// Outputs, and what is saved.
    Forward,
    /// Gradients.
    Backward,
}

impl Part {
    /// Name in file names.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Forward => "forward",
            Self::Backward => "backward",
        }
    }
}

/// A program of a stage as text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Text {
    /// The stage.
    pub stage: Stage,
    /// Of a layer with its gradients: the part. What is of both is called after the second.
    pub part: Option<Part>,
    /// The text.
    pub text: String,
}

/// The texts of some stages, in the order of the compilation. Compiles no further than they need.
///
/// # Errors
/// What keeps the layer from being compiled so far.
pub fn emit(
    loaded: &Loaded,
    stages: &[Stage],
    options: &CompileOptions,
    watch: &mut Watch<'_>,
) -> Result<Vec<Text>, Fault> {
    let mut texts = Vec::new();
    let mut push = |stage, part, text| texts.push(Text { stage, part, text });
    let mut planned: Option<Planned> = None;
    let mut programs: Vec<(Option<Part>, Program)> = Vec::new();
    // Of a layer with its gradients everything up to the plan is of both; plans and what is made of them are of either part.
    let whole = loaded.own.map(|_| Part::Backward);
    for &stage in Stage::ALL.iter().filter(|s| stages.contains(s)) {
        if !matches!(stage, Stage::Graph | Stage::Dot) && planned.is_none() {
            planned = Some(pipeline::plan(loaded, options, watch)?);
        }
        match (stage, &planned) {
            (Stage::Graph, _) => push(stage, whole, loaded.checked.graph.to_string()),
            (Stage::Dot, _) => push(stage, whole, super::dot::dot(&loaded.checked.graph)),
            (Stage::Canonical, Some(p)) => push(stage, whole, p.canonical.to_string()),
            (Stage::Fast, Some(p)) => push(stage, whole, p.computed().to_string()),
            (Stage::Kernel, Some(p)) => {
                parts(p).into_iter().for_each(|(part, plan)| push(stage, part, plan.to_string()));
            }
            (Stage::Notes, Some(p)) => {
                push(stage, whole, p.scheduled.notes.iter().map(|n| format!("{n}\n")).collect());
            }
            (Stage::Schedule, Some(p)) => push(stage, whole, p.scheduled.choices.to_string()),
            (Stage::Loop | Stage::Clif, Some(p)) => {
                if programs.is_empty() {
                    for (part, plan) in parts(p) {
                        programs.push((part, pipeline::program(plan, watch)?));
                    }
                }
                for (part, program) in &programs {
                    let text = if stage == Stage::Loop { program.to_string() } else { pipeline::clif(program)? };
                    push(stage, *part, text);
                }
            }
            (_, None) => return Err(Fault::bug("no plan")),
        }
    }
    Ok(texts)
}

/// The plans that a layer becomes.
fn parts(planned: &Planned) -> Vec<(Option<Part>, &Plan)> {
    match &planned.training {
        None => vec![(None, &planned.scheduled.plan)],
        Some(t) => vec![(Some(Part::Forward), &t.forward), (Some(Part::Backward), &t.backward)],
    }
}
