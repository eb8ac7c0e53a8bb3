//! `weft compile`: the programs of each stage as text.

use super::fault::Fault;
use super::load::Loaded;
use super::pipeline::{self, CompileOptions, Planned};
use super::watch::Watch;

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
    Kernel "kernel" "kernel" "kernel IR: the plan of launches over tiles"
    Notes "notes" "notes" "the scheduler's choices, one a line"
    Schedule "schedule" "schedule" "the choices that a schedule file can pin (--schedule)"
    Loop "loop" "loop" "loop IR of every kernel"
    Clif "clif" "clif" "Cranelift's IR of every kernel"
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
) -> Result<Vec<(Stage, String)>, Fault> {
    let mut texts = Vec::new();
    let mut planned: Option<Planned> = None;
    let mut program = None;
    for &stage in Stage::ALL.iter().filter(|s| stages.contains(s)) {
        if !matches!(stage, Stage::Graph | Stage::Dot) && planned.is_none() {
            planned = Some(pipeline::plan(loaded, options, watch)?);
        }
        let text = match (stage, &planned) {
            (Stage::Graph, _) => loaded.checked.graph.to_string(),
            (Stage::Dot, _) => super::dot::dot(&loaded.checked.graph),
            (Stage::Canonical, Some(p)) => p.canonical.to_string(),
            (Stage::Kernel, Some(p)) => p.scheduled.plan.to_string(),
            (Stage::Notes, Some(p)) => p.scheduled.notes.iter().map(|n| format!("{n}\n")).collect(),
            (Stage::Schedule, Some(p)) => p.scheduled.choices.to_string(),
            (Stage::Loop | Stage::Clif, Some(p)) => {
                if program.is_none() {
                    program = Some(pipeline::program(p, watch)?);
                }
                match (&program, stage) {
                    (Some(program), Stage::Loop) => program.to_string(),
                    (Some(program), _) => pipeline::clif(program)?,
                    (None, _) => return Err(Fault::bug("no program")),
                }
            }
            (_, None) => return Err(Fault::bug("no plan")),
        };
        texts.push((stage, text));
    }
    Ok(texts)
}
