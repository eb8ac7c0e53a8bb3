//! `weft opt`: passes over IR in its text form.

use super::fault::Fault;
use super::pipeline::target;
use crate::diagnostics::codes;
use weft_ir::graph::Graph;
use weft_ir::kernel::{self, Plan};
use weft_ir::program::Program;
use weft_passes::{autodiff, canon, fuse, lower, schedule};

/// A program in one of the IRs.
#[derive(Clone, Debug)]
pub enum Ir {
    /// Graph IR.
    Graph(Box<Graph>),
    /// Kernel IR.
    Plan(Box<Plan>),
    /// Loop IR with its launches. It has no parser: nothing runs after it.
    Program(Box<Program>),
}

impl Ir {
    /// Reads a text; its first word says which IR it is in.
    ///
    /// # Errors
    /// E0519 with the place, if it is in none; E0308 if it is a graph with a term that has no meaning.
    pub fn parse(name: &str, text: &str) -> Result<Self, Fault> {
        let bad = |e: &dyn std::fmt::Display| Fault::user(codes::E0519, format!("{name}: {e}"));
        let comment = |l: &&str| l.is_empty() || l.starts_with([';', '#']) || l.starts_with("//");
        let first = text.lines().map(str::trim).find(|l| !comment(l)).unwrap_or("");
        match first.split_whitespace().next() {
            Some("graph") => Graph::parse(text).map(|g| Self::Graph(Box::new(g))).map_err(|e| match e.refused {
                true => Fault::user(codes::E0308, format!("{name}: {e}")),
                false => bad(&e),
            }),
            Some("plan") => kernel::parse(text).map(|p| Self::Plan(Box::new(p))).map_err(|e| bad(&e)),
            _ => {
                let d = bad(&"the first word is neither `graph` nor `plan`");
                Err(d.hint("`weft compile FILE --emit graph,kernel -o DIR` writes both IRs"))
            }
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Graph(_) => "graph IR",
            Self::Plan(_) => "kernel IR",
            Self::Program(_) => "loop IR",
        }
    }
}

impl std::fmt::Display for Ir {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Graph(g) => g.fmt(f),
            Self::Plan(p) => p.fmt(f),
            Self::Program(p) => p.fmt(f),
        }
    }
}

macro_rules! passes {
    ($($pass:ident $name:literal $doc:literal)*) => {
        /// A pass.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum Pass { $(#[doc = $doc] $pass),* }

        impl Pass {
            /// Every pass.
            pub const ALL: &'static [Self] = &[$(Self::$pass),*];

            /// Name on the command line.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$pass => $name),* }
            }

            /// What it does, in a line.
            #[must_use]
            pub fn describe(self) -> &'static str {
                match self { $(Self::$pass => $doc),* }
            }
        }
    };
}

passes! {
    Verify "verify" "graph or kernel IR: checks its rules and changes nothing"
    Differentiate "differentiate" "graph IR, definition, to the graph of its gradients"
    Canonicalise "canonicalise" "graph IR to its canonical form"
    Schedule "schedule" "canonical graph IR to kernel IR"
    Fuse "fuse" "kernel IR: kernels that are better one, made one"
    Lower "lower" "kernel IR to loop IR for this machine"
}

/// Settings of passes.
#[derive(Clone, Debug)]
pub struct OptOptions {
    /// What the type parameter `float` stands for.
    pub float: weft_ir::DType,
    /// Choices of the scheduler.
    pub schedule: schedule::Options,
}

/// A plan that keeps the rules of the kernel IR.
fn verified(plan: &Plan) -> Result<(), Fault> {
    kernel::verify::verify(plan).map_err(|errors| {
        let list: Vec<String> = errors.iter().map(ToString::to_string).collect();
        Fault::user(codes::E0520, format!("the plan breaks rules: {}", list.join("; ")))
    })
}

/// Runs passes one after the other.
///
/// # Errors
/// E0520 if a pass does not take the IR that it is given, or the IR breaks a rule; E0601 to E0603 as in a compilation.
pub fn optimise(mut ir: Ir, passes: &[Pass], options: &OptOptions) -> Result<Ir, Fault> {
    let settings = canon::Settings { float: options.float };
    let broken = |what: String| Fault::user(codes::E0520, what);
    for pass in passes {
        ir = match (pass, ir) {
            (Pass::Verify, Ir::Graph(g)) => {
                g.verify().map_err(|e| broken(format!("the graph breaks a rule: {e}")))?;
                Ir::Graph(g)
            }
            (Pass::Verify, Ir::Plan(p)) => {
                verified(&p)?;
                Ir::Plan(p)
            }
            (Pass::Differentiate, Ir::Graph(g)) => {
                let made = autodiff::gradients(&g, &autodiff::Request::default())
                    .map_err(|e| broken(format!("the graph breaks a rule: {e}")))?;
                Ir::Graph(Box::new(made.graph))
            }
            (Pass::Canonicalise, Ir::Graph(g)) => {
                let g =
                    canon::canonicalise(&g, settings).map_err(|e| broken(format!("the graph breaks a rule: {e}")))?;
                Ir::Graph(Box::new(g))
            }
            (Pass::Schedule, Ir::Graph(g)) => {
                let scheduled = schedule::schedule(&g, settings, &options.schedule).map_err(|e| match e {
                    schedule::Error::Quadratic { .. } => Fault::user(codes::E0601, e.to_string()),
                    schedule::Error::Unsupported { .. } => Fault::user(codes::E0602, e.to_string()),
                    schedule::Error::UnknownKernel { .. } => Fault::user(codes::E0607, e.to_string()),
                    bug => Fault::bug(bug),
                })?;
                Ir::Plan(Box::new(scheduled.plan))
            }
            (Pass::Fuse, Ir::Plan(mut p)) => {
                verified(&p)?;
                fuse::fuse_plan(&mut p, &fuse::planned_for(), &|_| None);
                Ir::Plan(p)
            }
            (Pass::Lower, Ir::Plan(p)) => {
                let program = lower::lower(&p, &target()).map_err(|e| Fault::user(codes::E0603, e.to_string()))?;
                Ir::Program(Box::new(program))
            }
            (pass, ir) => {
                let what = format!("the pass `{}` does not take {}", pass.name(), ir.kind());
                return Err(broken(what).hint(format!("`{}`: {}", pass.name(), pass.describe())));
            }
        };
    }
    Ok(ir)
}
