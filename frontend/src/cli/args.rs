//! The arguments, with their help.

use std::path::PathBuf;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

use crate::driver::{Backend, Pass, Phase, Stage, parse_define};
use crate::sema::Number;
use weft_ir::DType;
use weft_passes::rewrite;

/// A compiler for sequence-mixing layers: attention, state-space models, and what lies between them.
///
/// A layer is written once, as mathematics over named axes. Weft checks it, derives kernels from it, and runs them.
#[derive(Parser, Debug)]
#[command(name = "weft", version, propagate_version = true, subcommand_required = true, arg_required_else_help = true)]
#[command(
    after_help = "Exit status: 0 success; 1 an error in what was given, or results that disagree; 2 wrong usage; 101 a bug in Weft."
)]
pub(super) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// What holds for every command.
    #[command(flatten)]
    pub common: Common,
}

/// Options of every command.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Output")]
pub(super) struct Common {
    /// Colours in tables and messages.
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto", value_enum)]
    pub color: ColorWhen,
    /// Print results and messages as JSON on standard output.
    #[arg(long, global = true)]
    pub json: bool,
    /// Print how long each phase took, on standard error.
    #[arg(long, global = true)]
    pub time_passes: bool,
    /// Print the program after a phase, on standard error. May be repeated.
    #[arg(long, global = true, value_name = "PHASE", value_parser = phases(), action = ArgAction::Append)]
    pub print_after: Vec<Phase>,
}

/// When to use colours.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ColorWhen {
    /// On terminals, unless NO_COLOR is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The commands.
#[derive(Subcommand, Debug)]
pub(super) enum Command {
    /// Compile a layer, run it, and compare it with its definition.
    ///
    /// The kernels run on the inputs of a golden file, or on inputs generated from the parameters' initialisers. Every decision
    /// that they take (nearest code, rank, threshold) must be within rounding of optimal, and every output must agree with the
    /// float64 evaluator under these decisions, and with the golden file.
    ///
    /// Without `~` in the source, inputs are normal(0, 1) and a parameter is normal(0, 1/sqrt(n)), n being the product of the
    /// extents over which it is summed.
    Check(CheckArgs),
    /// Run a layer on tensors.
    ///
    /// Inputs are tensors under their names in the source (`x`, `k.wz`); runtime extents follow from their shapes. A tensor of
    /// integers `t.len`, with one element for each batch element, makes the time axis `t` ragged.
    ///
    /// With `--mode backward` the inputs also hold cotangents of outputs, `cot.y` (an output without one counts as unused), and
    /// what is written are gradients, `grad.x`.
    Run(RunArgs),
    /// Compile a layer and write its programs.
    Compile(CompileArgs),
    /// Explain how the algorithm of a layer is derived, or an error code.
    Explain(ExplainArgs),
    /// Bring sources into canonical layout.
    Fmt(FmtArgs),
    /// Run passes over IR in text form.
    #[command(after_help = passes_help())]
    Opt(OptArgs),
    /// Print a script that completes command lines in a shell.
    Completions {
        /// The shell.
        #[arg(value_name = "SHELL")]
        shell: clap_complete::Shell,
    },
}

/// Which layer, and how it is compiled.
#[derive(Args, Clone, Debug)]
pub(super) struct LayerArgs {
    /// The source; `-` for standard input.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The layer, if the file has several.
    #[arg(long, value_name = "NAME")]
    pub layer: Option<String>,
    /// Set a size, a constant, or the extent of a runtime axis. May be repeated.
    #[arg(short = 'D', value_name = "NAME=VALUE", value_parser = parse_define, action = ArgAction::Append)]
    pub defines: Vec<(String, Number)>,
    /// What the type `float` of the layer stands for.
    #[arg(long, value_name = "TYPE", default_value = "f32", value_parser = floats())]
    pub float: DType,
    /// Store values that grow with the square of the length, instead of refusing the layer.
    #[arg(long)]
    pub allow_quadratic_memory: bool,
    /// Look for a faster algorithm than the definition says, with some of the rules or all; `off` computes what is written.
    #[arg(long, value_name = "WHEN", default_value = "on")]
    pub rewrite: Rewriting,
    /// Take choices of the scheduler from a file, as `compile --emit schedule` writes it; what it leaves out stays its own.
    #[arg(long, value_name = "FILE")]
    pub schedule: Option<PathBuf>,
    /// What forward may save for backward, in bytes (`512M`: K, M and G are 1024 of the one before); the rest is computed again.
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    pub max_saved: Option<u64>,
}

/// Arguments of `weft check`.
#[derive(Args, Clone, Debug)]
pub(super) struct CheckArgs {
    /// The layer.
    #[command(flatten)]
    pub layer: LayerArgs,
    /// Further sources, checked one after the other with the same options.
    #[arg(value_name = "FILES", conflicts_with_all = ["golden", "inputs_out"])]
    pub more: Vec<PathBuf>,
    /// What runs it.
    #[arg(long, default_value = "cranelift", value_parser = backends())]
    pub backend: BackendName,
    /// Take inputs, sizes and expected outputs from a golden file (safetensors).
    #[arg(long, value_name = "FILE")]
    pub golden: Option<PathBuf>,
    /// How many positions of time to compare with the evaluator: a number, `all`, or `auto`, which is all up to 1024 and 32 of more.
    #[arg(long, value_name = "N", default_value = "auto", value_parser = rows)]
    pub rows: crate::driver::Rows,
    /// Seed of generated inputs.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// Write the inputs that the layer ran on, as `weft run` reads them, with `--grad` also cotangents; `-` for standard output.
    #[arg(long, value_name = "FILE")]
    pub inputs_out: Option<PathBuf>,
    /// Also print the scheduler's choices.
    #[arg(long)]
    pub notes: bool,
    /// Check gradients too: of all outputs that hold floats, in all inputs and parameters that do.
    #[arg(long)]
    pub grad: bool,
    /// Check decoding token by token too (not in this version).
    #[arg(long)]
    pub decode: bool,
}

/// Arguments of `weft run`.
#[derive(Args, Clone, Debug)]
pub(super) struct RunArgs {
    /// The layer.
    #[command(flatten)]
    pub layer: LayerArgs,
    /// What runs it.
    #[arg(long, default_value = "cranelift", value_parser = backends())]
    pub backend: BackendName,
    /// Tensors to read (safetensors); `-` for standard input.
    #[arg(long, value_name = "FILE")]
    pub inputs: PathBuf,
    /// Tensors to write (safetensors); `-` for standard output.
    #[arg(long, value_name = "FILE")]
    pub outputs: PathBuf,
    /// What to compute: outputs, gradients, or outputs with states carried from call to call.
    #[arg(long, default_value = "forward", value_enum)]
    pub mode: Mode,
    /// Inputs and parameters whose gradients are wanted, separated by commas (with `--mode backward`); without it all that hold floats.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub wrt: Option<Vec<String>>,
    /// State to start from (decode and prefill; not in this version).
    #[arg(long, value_name = "FILE")]
    pub state_in: Option<PathBuf>,
    /// State at the end (decode and prefill; not in this version).
    #[arg(long, value_name = "FILE")]
    pub state_out: Option<PathBuf>,
}

/// Arguments of `weft compile`.
#[derive(Args, Clone, Debug)]
pub(super) struct CompileArgs {
    /// The layer.
    #[command(flatten)]
    pub layer: LayerArgs,
    /// The machine: `cranelift` is this one; `host` and GPUs such as `sm_90a` are not in this version.
    #[arg(long, value_name = "TARGET", default_value = "cranelift", value_parser = target)]
    pub target: Target,
    /// The folder to write; `-` for standard output.
    #[arg(short, value_name = "DIR")]
    pub output: PathBuf,
    /// What to write, separated by commas.
    #[arg(
        long,
        value_name = "LIST",
        value_delimiter = ',',
        default_value = "graph,canonical,kernel,notes,schedule,loop,clif,dot"
    )]
    #[arg(value_parser = emits())]
    pub emit: Vec<EmitName>,
    /// What to compile.
    #[arg(long, default_value = "forward", value_enum)]
    pub mode: Mode,
    /// Inputs and parameters whose gradients are wanted, separated by commas (with `--mode backward`); without it all that hold floats.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub wrt: Option<Vec<String>>,
}

/// Arguments of `weft explain`.
#[derive(Args, Clone, Debug)]
pub(super) struct ExplainArgs {
    /// A layer's source, to see how its algorithm is derived, or a code such as `E0203`; without either, all codes are listed.
    #[arg(value_name = "FILE|CODE")]
    pub what: Option<String>,
    /// The layer, if the file has several.
    #[arg(long, value_name = "NAME")]
    pub layer: Option<String>,
    /// Set a size or a constant. May be repeated.
    #[arg(short = 'D', value_name = "NAME=VALUE", value_parser = parse_define, action = ArgAction::Append)]
    pub defines: Vec<(String, Number)>,
    /// What the type `float` of the layer stands for.
    #[arg(long, value_name = "TYPE", default_value = "f32", value_parser = floats())]
    pub float: DType,
    /// The layer with its gradients.
    #[arg(long)]
    pub grad: bool,
    /// Only the derivation.
    #[arg(long)]
    pub derivation: bool,
    /// Only the costs.
    #[arg(long)]
    pub cost: bool,
    /// The state of generation (not in this version).
    #[arg(long)]
    pub state: bool,
    /// Write all of it to a page that needs no other file, with who sees whom, costs drawn, and the kernels; `-` for standard output.
    #[arg(long, value_name = "OUT", conflicts_with_all = ["derivation", "cost"])]
    pub html: Option<PathBuf>,
}

/// Arguments of `weft fmt`.
#[derive(Args, Clone, Debug)]
pub(super) struct FmtArgs {
    /// Sources; `-` for standard input to standard output.
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// Change nothing; fail if a file is not in canonical layout.
    #[arg(long)]
    pub check: bool,
}

/// Arguments of `weft opt`.
#[derive(Args, Clone, Debug)]
pub(super) struct OptArgs {
    /// Graph IR or kernel IR; `-` for standard input.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Passes in order, separated by commas; without any, the text is read and printed.
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = passes())]
    pub passes: Vec<Pass>,
    /// Where to write; `-` for standard output.
    #[arg(short, value_name = "FILE", default_value = "-")]
    pub output: PathBuf,
    /// What the type `float` stands for.
    #[arg(long, value_name = "TYPE", default_value = "f32", value_parser = floats())]
    pub float: DType,
    /// Let `schedule` store values that grow with the square of the length.
    #[arg(long)]
    pub allow_quadratic_memory: bool,
}

/// Is a faster algorithm looked for?
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Rewriting {
    /// The layer is computed as it is written.
    Off,
    /// Rules about what sums are over, and in which order.
    Sums,
    /// These, and rules about products, exponentials and codes.
    Factors,
    /// Every rule is used: what is far is summed in blocks, too.
    On,
}

impl Rewriting {
    /// The last phase of rewriting.
    pub(super) fn phase(self) -> Option<rewrite::Phase> {
        match self {
            Self::Off => None,
            Self::Sums => Some(rewrite::Phase::Sums),
            Self::Factors => Some(rewrite::Phase::Factors),
            Self::On => Some(rewrite::Phase::Blocks),
        }
    }
}

/// Modes of a layer.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Mode {
    /// Outputs from inputs.
    Forward,
    /// Gradients `grad.x` from inputs and cotangents `cot.y`.
    Backward,
    /// Outputs and the state at the end (not in this version).
    Prefill,
    /// Token by token (not in this version).
    Decode,
}

/// Name of a backend: of one that is there, or of one of a later version.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum BackendName {
    /// It is there.
    Now(Backend),
    /// It is not.
    Later(&'static str),
}

/// What `weft compile` writes: a stage, or one of a later version.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum EmitName {
    /// It is there.
    Now(Stage),
    /// It is not.
    Later(&'static str),
}

/// A machine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Target {
    /// This one.
    Cranelift,
    /// One of a later version.
    Later(String),
}

const LATER_BACKENDS: [(&str, &str); 2] =
    [("host", "native code by LLVM (not in this version)"), ("cuda", "NVIDIA GPUs (not in this version)")];

const LATER_STAGES: [&str; 6] = ["layout", "mlir", "llvm", "ptx", "obj", "header"];

/// A parser of names of a closed list.
fn named<T: Clone + Send + Sync + 'static>(
    list: Vec<(&'static str, &'static str, T)>,
) -> impl TypedValueParser<Value = T> {
    let values = list.iter().map(|(name, help, _)| PossibleValue::new(*name).help(*help)).collect::<Vec<_>>();
    PossibleValuesParser::new(values).try_map(move |text| {
        let found = list.iter().find(|(name, _, _)| *name == text).map(|(_, _, value)| value.clone());
        found.ok_or("it is not in the list")
    })
}

fn phases() -> impl TypedValueParser<Value = Phase> {
    named(Phase::WITH_TEXT.iter().map(|&p| (p.name(), p.describe(), p)).collect())
}

fn passes() -> impl TypedValueParser<Value = Pass> {
    named(Pass::ALL.iter().map(|&p| (p.name(), p.describe(), p)).collect())
}

fn floats() -> impl TypedValueParser<Value = DType> {
    named(vec![("f32", "single precision", DType::F32), ("bf16", "bfloat16", DType::BF16)])
}

fn backends() -> impl TypedValueParser<Value = BackendName> {
    let now = |b: Backend, help: &'static str| (b.name(), help, BackendName::Now(b));
    let mut list = vec![
        now(Backend::Cranelift, "native code for this machine"),
        now(Backend::Interpreter, "the kernels, interpreted in float64"),
        now(Backend::Evaluator, "the definition, in float64"),
    ];
    list.extend(LATER_BACKENDS.iter().map(|&(name, help)| (name, help, BackendName::Later(name))));
    named(list)
}

fn emits() -> impl TypedValueParser<Value = EmitName> {
    let now = Stage::ALL.iter().map(|&s| (s.name(), s.describe(), EmitName::Now(s)));
    let later = LATER_STAGES.iter().map(|&name| (name, "not in this version", EmitName::Later(name)));
    named(now.chain(later).collect())
}

fn target(text: &str) -> Result<Target, String> {
    match text {
        "cranelift" => Ok(Target::Cranelift),
        _ if text == "host" || text.starts_with("sm_") => Ok(Target::Later(text.to_owned())),
        _ => Err("a target is `cranelift`, `host`, or a GPU such as `sm_90a`".to_owned()),
    }
}

fn rows(text: &str) -> Result<crate::driver::Rows, String> {
    use crate::driver::Rows;
    match text {
        "auto" => Ok(Rows::Automatic),
        "all" => Ok(Rows::All),
        _ => match text.parse() {
            Ok(n) if n > 0 => Ok(Rows::Sampled(n)),
            _ => Err("it is a positive number, `all` or `auto`".to_owned()),
        },
    }
}

fn bytes(text: &str) -> Result<u64, String> {
    let shift = match text.chars().last() {
        Some('K') => 10,
        Some('M') => 20,
        Some('G') => 30,
        _ => 0,
    };
    let digits = if shift > 0 { &text[..text.len() - 1] } else { text };
    let number = digits.parse::<u64>().ok().filter(|_| digits.bytes().all(|c| c.is_ascii_digit()));
    let number = number.and_then(|n| n.checked_mul(1 << shift));
    number.ok_or_else(|| "it is a number of bytes, such as `4096` or `512M`".to_owned())
}

fn passes_help() -> String {
    let lines = Pass::ALL.iter().map(|p| format!("  {:<14}{}\n", p.name(), p.describe()));
    format!("Passes:\n{}", lines.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
