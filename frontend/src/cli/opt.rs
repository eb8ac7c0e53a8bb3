//! `weft opt`

use super::End;
use super::args::OptArgs;
use super::out::Out;
use crate::diagnostics::SourceMap;
use crate::driver::{Failure, Fault, Ir, OptOptions, Place, optimise};

pub(super) fn opt(args: &OptArgs, out: &mut Out) -> Result<End, Failure> {
    let place = Place::of(&args.file);
    let bytes = place.read(SourceMap::MAX_BYTES as u64)?;
    let mut sources = SourceMap::new();
    let id = match sources.add_bytes(&place.name(), &bytes) {
        Ok(id) => id,
        Err(e) => return Err(Fault::User(vec![e.into()]).into()),
    };
    let mut options = OptOptions { float: args.float, schedule: weft_passes::schedule::Options::default() };
    options.schedule.allow_quadratic_memory = args.allow_quadratic_memory;
    let ir = Ir::parse(&place.name(), sources.get(id).text())?;
    let ir = optimise(ir, &args.passes, &options)?;
    let text = format!("{}\n", ir.to_string().trim_end());
    match Place::of(&args.output) {
        Place::Standard => out.text(&text)?,
        to => to.write(text.as_bytes())?,
    }
    Ok(End::Good)
}
