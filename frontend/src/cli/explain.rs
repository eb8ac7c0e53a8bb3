//! `weft explain`

use serde_json::json;

use super::End;
use super::args::ExplainArgs;
use super::out::Out;
use crate::diagnostics::{Code, Diagnostic, codes};
use crate::driver::{
    Failure, Fault, GradientOptions, LoadOptions, Place, Told, Watch, differentiate, explain as told, explain_page,
    later, load,
};

pub(super) fn explain(args: &ExplainArgs, out: &mut Out) -> Result<End, Failure> {
    let Some(what) = &args.what else {
        if out.json() {
            let list: Vec<_> = Code::all().map(|c| json!({ "code": c.as_str(), "title": c.title() })).collect();
            out.object(&json!({ "ok": true, "codes": list }))?;
        } else {
            let list: String = Code::all().map(|c| format!("{}  {}\n", c.as_str(), c.title())).collect();
            out.text(&list)?;
        }
        return Ok(End::Good);
    };
    match Code::parse(what) {
        Some(code) if out.json() => {
            let about = json!({
                "ok": true, "code": code.as_str(), "title": code.title(), "explanation": code.explanation(),
                "wrong": code.wrong().text(), "right": code.right().text(),
            });
            out.object(&about)?;
            Ok(End::Good)
        }
        Some(code) => {
            out.text(&code.page())?;
            Ok(End::Good)
        }
        None if what.contains(['.', '/']) || what == "-" => layer(args, what, out),
        None => {
            let d = Diagnostic::error(codes::E0521, format!("there is no code `{what}`"));
            Err(Fault::from(d.hint("`weft explain` lists all codes")).into())
        }
    }
}

/// The derivation of a layer.
fn layer(args: &ExplainArgs, file: &str, out: &mut Out) -> Result<End, Failure> {
    if args.state {
        return Err(later("`--state`", "the derivation and the costs are there").into());
    }
    let options = LoadOptions {
        layer: args.layer.clone(),
        defines: args.defines.clone(),
        float: args.float,
        ..LoadOptions::default()
    };
    let mut watch = Watch::new(out);
    let mut loaded = load(file.as_ref(), &options, &mut watch)?;
    if args.grad {
        loaded = match differentiate(&loaded, &GradientOptions::default(), &mut watch) {
            Ok(made) => made,
            Err(fault) => return Err(fault.within(loaded.sources)),
        };
    }
    if let Some(path) = &args.html {
        let page = explain_page(&loaded, &mut watch).and_then(|page| Place::of(path).write(page.as_bytes()));
        if let Err(fault) = page {
            return Err(fault.within(loaded.sources));
        }
        if out.json() {
            out.object(&json!({ "ok": true, "written": path }))?;
        } else if path.as_os_str() != "-" {
            out.text(&format!("{}\n", path.display()))?;
        }
        return Ok(End::Good);
    }
    let all = args.derivation == args.cost;
    let what = Told { derivation: all || args.derivation, cost: all || args.cost };
    let text = match told(&loaded, what, &mut watch) {
        Ok(text) => text,
        Err(fault) => return Err(fault.within(loaded.sources)),
    };
    if out.json() {
        out.object(&json!({ "ok": true, "explanation": text }))?;
    } else {
        out.text(&text)?;
    }
    Ok(End::Good)
}
