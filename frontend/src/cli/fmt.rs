//! `weft fmt`

use serde_json::json;

use super::End;
use super::args::FmtArgs;
use super::out::Out;
use crate::diagnostics::SourceMap;
use crate::driver::{Failure, Fault, Place};
use crate::fmt::format;

pub(super) fn fmt(args: &FmtArgs, out: &mut Out) -> Result<End, Failure> {
    // Every file is read and formatted before any is written.
    let mut results = Vec::new();
    let mut sources = SourceMap::new();
    let mut wrong = Vec::new();
    for path in &args.files {
        let place = Place::of(path);
        let bytes = place.read(SourceMap::MAX_BYTES as u64)?;
        let id = match sources.add_bytes(&place.name(), &bytes) {
            Ok(id) => id,
            Err(e) => {
                wrong.push(e.into());
                continue;
            }
        };
        let text = sources.get(id).text().clone();
        match format(id, &text) {
            Ok(new) => results.push((place, new == *text, new)),
            Err(diagnostics) => wrong.extend(diagnostics),
        }
    }
    if !wrong.is_empty() {
        return Err(Fault::User(wrong).within(sources));
    }
    let mut changed = Vec::new();
    for (place, same, new) in results {
        if !same {
            changed.push(place.name());
        }
        match (&place, args.check) {
            (_, true) => {}
            (Place::Standard, false) => out.text(&new)?,
            (Place::File(_), false) if same => {}
            (Place::File(_), false) => place.write(new.as_bytes())?,
        }
    }
    let good = changed.is_empty() || !args.check;
    if out.json() && !args.files.iter().any(|f| Place::of(f) == Place::Standard) {
        out.object(&json!({ "ok": good, "changed": changed }))?;
    } else if args.check {
        for name in &changed {
            out.text(&format!("{name} is not in canonical layout\n"))?;
        }
    }
    Ok(if good { End::Good } else { End::Bad })
}
