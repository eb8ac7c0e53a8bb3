//! How a fast algorithm follows from a layer: the derivation, what it gains, and the kernels; as text or as a page.

mod formula;
mod html;
mod mask;
mod notation;
mod plot;
mod shown;
mod text;
mod walks;

use indexmap::IndexMap;
use weft_ir::kernel::Plan;
use weft_passes::rewrite;

use super::algorithm::rewriting;
use super::fault::Fault;
use super::load::Loaded;
use super::pipeline::{CompileOptions, canonical, plan};
use super::watch::Watch;
use crate::diagnostics::SourceId;
use shown::{Miss, Outcome};

/// Lengths for which costs are told.
const LENGTHS: [i64; 4] = [2048, 8192, 32768, 131_072];
/// Lengths at which a page draws them.
const DRAWN: [i64; 8] = [1024, 2048, 4096, 8192, 16384, 32768, 65536, 131_072];

/// What is to be told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Told {
    /// The steps from the definition to the algorithm.
    pub derivation: bool,
    /// What both cost.
    pub cost: bool,
}

/// All that is told of a layer's algorithm.
struct Explanation {
    layer: String,
    outcome: Outcome,
    missed: Vec<Miss>,
    /// How kernels walk positions, where that is not one after the other: by stored value, or why there are no kernels.
    walks: Result<Vec<(String, Vec<String>)>, String>,
    /// If rewriting ended before all was found.
    warning: Option<String>,
    /// Powers of time.
    degree: (f64, f64),
    blocks: Option<i64>,
    /// Costs of definition and algorithm as formulas.
    formulas: (String, String),
    /// The same at some lengths.
    costs: Vec<(i64, f64, f64)>,
}

fn explanation(loaded: &Loaded, watch: &mut Watch<'_>) -> Result<Explanation, Fault> {
    let (graph, settings) = canonical(loaded, watch)?;
    let declared = loaded.checked.graph.axes().len();
    let how = rewriting(loaded, &IndexMap::new(), &rewrite::Options::default());
    // Powers are read off at lengths that are far apart.
    let told = rewrite::explained(&graph, settings, &how, &[DRAWN.as_slice(), &formula::LENGTHS].concat());
    let told = told.map_err(|e| Fault::bug(format!("rewriting: {e}")))?;
    let at = |t: i64| told.costs.iter().find(|c| c.0 == t).map_or((0.0, 0.0), |c| (c.1, c.2));
    let walks = match plan(loaded, &CompileOptions::default(), watch) {
        Ok(p) => Ok(walks::walks(&p.scheduled, declared)),
        Err(fault) => Err(fault.summary()),
    };
    Ok(Explanation {
        walks,
        layer: graph.name.to_string(),
        outcome: shown::outcome(&told.derivation, declared),
        missed: shown::misses(&told, declared),
        degree: told.degree,
        blocks: told.blocks,
        formulas: (formula::formula(|t| at(t).0), formula::formula(|t| at(t).1)),
        costs: DRAWN.iter().map(|&t| (t, at(t).0, at(t).1)).collect(),
        warning: told.warning,
    })
}

/// The derivation of a layer's algorithm, and what it gains.
///
/// # Errors
/// Only for bugs.
pub fn explain(loaded: &Loaded, what: Told, watch: &mut Watch<'_>) -> Result<String, Fault> {
    Ok(text::text(&explanation(loaded, watch)?, what))
}

/// The same, with who sees whom, a plot of the costs, and the kernels, as one HTML file. A layer for which there are no kernels has a
/// page that says why.
///
/// # Errors
/// Only for bugs.
pub fn explain_page(loaded: &Loaded, watch: &mut Watch<'_>) -> Result<String, Fault> {
    let told = explanation(loaded, watch)?;
    let (definition, _) = canonical(loaded, watch)?;
    let planned = plan(loaded, &CompileOptions::default(), watch);
    let algorithm = planned.as_ref().ok().and_then(|p| p.rewritten.as_ref()).map(|r| &r.graph);
    // Long enough for some blocks.
    let shown = told.blocks.unwrap_or(64) * 16;
    let kernels = match &planned {
        Ok(p) => Ok(kernels(&p.scheduled.plan)),
        Err(fault) => Err(format!("There are no kernels: {}", fault.summary())),
    };
    let extras = html::Extras {
        mask: mask::picture(&definition, algorithm, shown),
        shown,
        kernels,
        notes: planned.as_ref().map_or_else(|_| Vec::new(), |p| p.scheduled.notes.clone()),
        source: source(loaded),
    };
    Ok(html::page(&told, &extras))
}

/// The file that was loaded, not what it uses.
fn source(loaded: &Loaded) -> String {
    let own = loaded.sources.iter().find(|(id, _)| *id != SourceId::STD);
    own.map_or_else(String::new, |(_, text)| text.text().to_string())
}

/// Kernels with their texts.
fn kernels(plan: &Plan) -> Vec<(String, String)> {
    let text = plan.to_string();
    let mut found: Vec<(String, String)> = vec![("buffers".to_owned(), String::new())];
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("  kernel ").and_then(|l| l.strip_suffix(" {")) {
            found.push((name.to_owned(), String::new()));
        }
        if let Some((_, part)) = found.last_mut() {
            part.push_str(line);
            part.push('\n');
        }
    }
    found
}
