//! The command line: a thin layer over [`crate::driver`].

mod args;
mod check;
mod compile;
mod explain;
mod fmt;
mod opt;
mod out;
mod progress;
mod run;
mod table;

use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};

use crate::diagnostics::{SourceMap, codes};
use crate::driver::{
    Backend, CompileOptions, Failure, Fault, GradientOptions, LoadOptions, Place, TensorFile, deep, later,
};
use args::{BackendName, Cli, Command, LayerArgs, Mode};
use out::Out;
use weft_passes::rewrite;
use weft_passes::schedule::Pins;

/// How a command ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum End {
    /// 0
    Good,
    /// 1: results disagree, or a file is not as it should be. Errors that were reported end so too.
    Bad,
    /// 101: a bug in Weft.
    Bug,
}

/// Runs the command that the process's arguments say.
#[must_use]
pub fn main() -> ExitCode {
    std::panic::set_hook(Box::new(|info| {
        let what = info.payload_as_str().unwrap_or("a panic without a message");
        let place = info.location().map(|l| format!(" at {}:{}", l.file(), l.line())).unwrap_or_default();
        out::bug(&format!("{what}{place}"));
    }));
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) => {
            // Help and version are no errors; if they cannot be printed nothing can.
            let _ = e.print();
            let good = matches!(e.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
            return if good { ExitCode::SUCCESS } else { ExitCode::from(2) };
        }
    };
    let run = move || {
        let mut out = Out::new(&cli.common);
        let result = dispatch(cli, &mut out);
        match result {
            Ok(end) => end,
            Err(failure) => out.failure(&failure),
        }
    };
    let end = deep(|| std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)));
    match end.unwrap_or(End::Bug) {
        End::Good => ExitCode::SUCCESS,
        End::Bad => ExitCode::from(1),
        End::Bug => ExitCode::from(101),
    }
}

fn dispatch(cli: Cli, out: &mut Out) -> Result<End, Failure> {
    match cli.command {
        Command::Check(args) => check::check(&args, out),
        Command::Run(args) => run::run(&args, out),
        Command::Compile(args) => compile::compile(&args, out),
        Command::Explain(args) => explain::explain(&args, out),
        Command::Fmt(args) => fmt::fmt(&args, out),
        Command::Opt(args) => opt::opt(&args, out),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "weft", &mut script);
            out.bytes(&script)?;
            Ok(End::Good)
        }
    }
}

/// What a tensor file says about the layer, and what the command line does.
fn load_options(args: &LayerArgs, file: Option<&TensorFile>) -> Result<LoadOptions, Failure> {
    Ok(LoadOptions {
        layer: args.layer.clone(),
        defines: args.defines.clone(),
        recorded: file.map(|f| f.sizes.clone()).unwrap_or_default(),
        recorded_layer: file.and_then(|f| f.layer.clone()),
        float: args.float,
    })
}

fn compile_options(args: &LayerArgs, gradients: bool) -> Result<CompileOptions, Failure> {
    if args.max_saved.is_some() && !gradients {
        let what = "`--max-saved` speaks of what backward needs of forward, and there is no backward here";
        let fault = Fault::user(codes::E0522, what);
        return Err(fault.hint("add `--mode backward` (or `--grad` to `weft check`)").into());
    }
    let mut options = CompileOptions { max_saved: args.max_saved, ..CompileOptions::default() };
    options.schedule.allow_quadratic_memory = args.allow_quadratic_memory;
    options.rewrite = args.rewrite.phase().map(|phase| rewrite::Options { phase, ..rewrite::Options::default() });
    if let Some(path) = &args.schedule {
        options.schedule.pins = schedule_file(path)?;
    }
    Ok(options)
}

/// Choices of the scheduler from a file.
fn schedule_file(path: &std::path::Path) -> Result<Pins, Failure> {
    let place = Place::of(path);
    let bytes = place.read(SourceMap::MAX_BYTES as u64)?;
    let wrong = |what: String| Fault::user(codes::E0607, format!("{}: {what}", place.name()));
    let text = String::from_utf8(bytes).map_err(|_| wrong("it is not text".to_owned()))?;
    let pins = Pins::parse(&text).map_err(|e| {
        wrong(e.to_string()).hint("`weft compile FILE --emit schedule -o -` prints the choices that there are")
    })?;
    Ok(pins)
}

fn backend(name: BackendName) -> Result<Backend, Failure> {
    match name {
        BackendName::Now(backend) => Ok(backend),
        BackendName::Later(name) => {
            let instead = "`cranelift`, `interpreter` and `evaluator` are there";
            Err(later(&format!("the backend `{name}`"), instead).into())
        }
    }
}

/// The gradients that are asked for; `None` for a forward run.
fn gradients(mode: Mode, wrt: Option<&Vec<String>>) -> Result<Option<GradientOptions>, Failure> {
    let name = match mode {
        Mode::Forward if wrt.is_some() => {
            let fault = Fault::user(codes::E0522, "`--wrt` speaks of gradients, and a forward run has none");
            return Err(fault.hint("add `--mode backward`").into());
        }
        Mode::Forward => return Ok(None),
        Mode::Backward => return Ok(Some(GradientOptions { wrt: wrt.cloned(), cotangents: None })),
        Mode::Prefill => "prefill",
        Mode::Decode => "decode",
    };
    Err(later(&format!("`--mode {name}`"), "`--mode forward` and `--mode backward` are there").into())
}
