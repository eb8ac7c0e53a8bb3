//! `weft run`

use serde_json::json;

use super::args::RunArgs;
use super::out::{MAX_FILE, Out};
use super::{End, backend, compile_options, gradients, load_options};
use crate::driver::{
    Failure, Phase, Place, RunOptions, TensorFile, Watch, differentiate, encode_outputs, later, load, run as run_layer,
};

pub(super) fn run(args: &RunArgs, out: &mut Out) -> Result<End, Failure> {
    let gradients = gradients(args.mode, args.wrt.as_ref())?;
    for (option, given) in [("--state-in", &args.state_in), ("--state-out", &args.state_out)] {
        if given.is_some() {
            return Err(later(&format!("`{option}`"), "leave it out: a run carries no state").into());
        }
    }
    let options =
        RunOptions { backend: backend(args.backend)?, compile: compile_options(&args.layer, gradients.is_some())? };
    let place = Place::of(&args.inputs);
    let inputs = TensorFile::parse(&place.name(), &place.read(MAX_FILE)?)?;
    let load_options = load_options(&args.layer, Some(&inputs))?;
    let mut watch = Watch::new(out);
    let loaded = load(&args.layer.file, &load_options, &mut watch)?;
    let loaded = match gradients {
        None => loaded,
        Some(g) => match differentiate(&loaded, &g.for_tensors(&inputs), &mut watch) {
            Ok(made) => made,
            Err(fault) => return Err(fault.within(loaded.sources)),
        },
    };
    let to = Place::of(&args.outputs);
    let work = |watch: &mut Watch<'_>| {
        let outputs = run_layer(&loaded, inputs, &options, watch)?;
        let bytes = encode_outputs(&loaded, &outputs)?;
        watch.time(Phase::Write, || to.write(&bytes))?;
        Ok(outputs)
    };
    let result = work(&mut watch);
    let times = watch.times().to_vec();
    let outputs = match result {
        Ok(outputs) => outputs,
        Err(fault) => return Err(crate::driver::Fault::within(fault, loaded.sources)),
    };
    if out.json() && to != Place::Standard {
        let shapes = outputs.iter().map(|o| {
            let about = json!({ "shape": o.tensor.shape, "type": o.dtype.name() });
            (o.name.clone(), about)
        });
        let shapes: serde_json::Map<String, serde_json::Value> = shapes.collect();
        out.object(&json!({ "ok": true, "outputs": shapes }))?;
    } else {
        out.diagnostics(&loaded.checked.warnings, &loaded.sources);
    }
    out.times(&times);
    Ok(End::Good)
}
