//! `weft compile`

use serde_json::json;

use super::args::{CompileArgs, EmitName, Target};
use super::out::Out;
use super::{End, compile_options, gradients, load_options};
use crate::diagnostics::codes;
use crate::driver::{Failure, Fault, Part, Phase, Place, Text, Watch, differentiate, emit, later, load};

/// Name of a text in JSON: its stage, and `forward_` before it where backward has a text of that stage too.
fn key(text: &Text) -> String {
    let forward = text.part == Some(Part::Forward);
    format!("{}{}", if forward { "forward_" } else { "" }, text.stage.name())
}

pub(super) fn compile(args: &CompileArgs, out: &mut Out) -> Result<End, Failure> {
    let gradients = gradients(args.mode, args.wrt.as_ref())?;
    if let Target::Later(name) = &args.target {
        return Err(later(&format!("the target `{name}`"), "`--target cranelift` is there").into());
    }
    let mut stages = Vec::new();
    for name in &args.emit {
        match name {
            EmitName::Now(stage) => stages.push(*stage),
            EmitName::Later(name) => {
                let instead = "`graph`, `canonical`, `fast`, `kernel`, `notes`, `loop`, `clif` and `dot` are there";
                return Err(later(&format!("`--emit {name}`"), instead).into());
            }
        }
    }
    let options = load_options(&args.layer, None)?;
    let mut watch = Watch::new(out);
    let loaded = load(&args.layer.file, &options, &mut watch)?;
    let loaded = match &gradients {
        None => loaded,
        Some(g) => match differentiate(&loaded, g, &mut watch) {
            Ok(made) => made,
            Err(fault) => return Err(fault.within(loaded.sources)),
        },
    };
    let texts = match emit(&loaded, &stages, &compile_options(&args.layer, gradients.is_some())?, &mut watch) {
        Ok(texts) => texts,
        Err(fault) => return Err(fault.within(loaded.sources)),
    };
    let name = &loaded.checked.graph.name;
    let mut files = Vec::new();
    if Place::of(&args.output) == Place::Standard {
        let several = texts.len() > 1;
        let part = |t: &Text| t.part.map_or_else(String::new, |p| format!(" ({})", p.name()));
        let head = |t: &Text| if several { format!("; {}{}\n", t.stage.name(), part(t)) } else { String::new() };
        let all: Vec<String> = texts.iter().map(|t| format!("{}{}\n", head(t), t.text.trim_end())).collect();
        out.text(&all.join(if several { "\n" } else { "" }))?;
        return Ok(End::Good);
    }
    watch.time(Phase::Write, || {
        std::fs::create_dir_all(&args.output)
            .map_err(|e| Fault::user(codes::E0510, format!("{} cannot be made: {e}", args.output.display())))?;
        for t in &texts {
            let part = t.part.map_or_else(String::new, |p| format!(".{}", p.name()));
            let path = args.output.join(format!("{name}{part}.{}", t.stage.extension()));
            Place::File(path.clone()).write(t.text.as_bytes())?;
            files.push((t, path));
        }
        Ok::<_, Fault>(())
    })?;
    let times = watch.times().to_vec();
    if out.json() {
        let files: serde_json::Map<String, serde_json::Value> =
            files.iter().map(|(t, path)| (key(t), json!(path))).collect();
        out.object(&json!({ "ok": true, "files": files }))?;
    } else {
        out.diagnostics(&loaded.checked.warnings, &loaded.sources);
        for (_, path) in &files {
            out.text(&format!("{}\n", path.display()))?;
        }
    }
    out.times(&times);
    Ok(End::Good)
}
