//! `weft explain`

use serde_json::json;

use super::End;
use super::args::ExplainArgs;
use super::out::Out;
use crate::diagnostics::{Code, Diagnostic, codes};
use crate::driver::{Failure, Fault, later};

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
        None if what.contains(['.', '/']) || what == "-" => {
            let instead = "`weft check FILE --notes` prints the scheduler's choices";
            Err(later("explaining a layer", instead).into())
        }
        None => {
            let d = Diagnostic::error(codes::E0521, format!("there is no code `{what}`"));
            Err(Fault::from(d.hint("`weft explain` lists all codes")).into())
        }
    }
}
