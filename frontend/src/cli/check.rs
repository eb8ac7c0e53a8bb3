//! `weft check`

use std::path::Path;

use super::args::CheckArgs;
use super::out::{MAX_FILE, Out};
use super::{End, backend, compile_options, load_options, table};
use crate::driver::{
    CheckOptions, Failure, GradientOptions, Loaded, Place, Report, TensorFile, Watch, check as run_check,
    differentiate, encode_outputs, later, load,
};

pub(super) fn check(args: &CheckArgs, out: &mut Out) -> Result<End, Failure> {
    let mut end = check_one(args, &args.layer.file, out)?;
    for file in &args.more {
        if !out.json() {
            out.text("\n")?;
        }
        // A mismatch does not keep the others from being shown.
        let next = check_one(args, file, out)?;
        end = if end == End::Good { next } else { end };
    }
    Ok(end)
}

/// The same of the layer's gradients. A golden file says by its tensors which outputs have a cotangent.
fn check_gradients(loaded: &Loaded, options: CheckOptions, out: &mut Out) -> Result<Report, Failure> {
    let wanted = GradientOptions::default();
    let wanted = options.golden.iter().fold(wanted, |w, golden| w.for_tensors(golden));
    let mut watch = Watch::new(out);
    let report = differentiate(loaded, &wanted, &mut watch).and_then(|made| run_check(&made, &options, &mut watch));
    let times = watch.times().to_vec();
    let report = report.map_err(|fault| fault.within(loaded.sources.clone()))?;
    out.times(&times);
    Ok(report)
}

fn check_one(args: &CheckArgs, file: &Path, out: &mut Out) -> Result<End, Failure> {
    if args.decode {
        return Err(later("`--decode`", "leave it out: outputs are checked without it").into());
    }
    let backend = backend(args.backend)?;
    let golden = match &args.golden {
        None => None,
        Some(path) => {
            let place = Place::of(path);
            Some(TensorFile::parse(&place.name(), &place.read(MAX_FILE)?)?)
        }
    };
    let load_options = load_options(&args.layer, golden.as_ref())?;
    let options = CheckOptions {
        backend,
        compile: compile_options(&args.layer, args.grad)?,
        golden,
        rows: args.rows,
        seed: args.seed,
        keep_inputs: args.inputs_out.is_some(),
    };
    let mut watch = Watch::new(out);
    let loaded = load(file, &load_options, &mut watch)?;
    let report = run_check(&loaded, &options, &mut watch);
    let times = watch.times().to_vec();
    let report = match report {
        Ok(report) => report,
        Err(fault) => return Err(fault.within(loaded.sources)),
    };
    let keep_inputs = |report: &Report| match &args.inputs_out {
        None => Ok(()),
        Some(path) => {
            let bytes = encode_outputs(&loaded, &report.inputs_kept);
            let bytes = bytes.map_err(|fault| fault.within(loaded.sources.clone()))?;
            Place::of(path).write(&bytes).map_err(Failure::from)
        }
    };
    // Those of gradients are the same with cotangents.
    if !args.grad {
        keep_inputs(&report)?;
    }
    let mut good = report.ok();
    let color = out.stdout_color();
    let mut object = table::report_json(&report, &loaded);
    if !out.json() {
        out.diagnostics(&loaded.checked.warnings, &loaded.sources);
        out.text(&table::report(&report, args.notes, color))?;
    }
    out.times(&times);
    if args.grad {
        let report = check_gradients(&loaded, options, out)?;
        keep_inputs(&report)?;
        good &= report.ok();
        if out.json() {
            object["ok"] = good.into();
            object["gradients"] = table::report_json(&report, &loaded);
        } else {
            out.text("\n")?;
            out.text(&table::report(&report, args.notes, color))?;
        }
    }
    if out.json() {
        out.object(&object)?;
    }
    Ok(if good { End::Good } else { End::Bad })
}
