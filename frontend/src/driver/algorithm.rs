//! Which algorithm a layer gets: what it says, or what rewriting finds, if there are kernels for that.

use indexmap::IndexMap;
use weft_ir::graph::{Graph, Role};
use weft_passes::canon::Settings;
use weft_passes::fuse;
use weft_passes::rewrite::{self, Rewritten};
use weft_passes::schedule::{self, Scheduled};

use super::fault::Fault;
use super::load::Loaded;
use super::pipeline::{CompileOptions, refused};
use super::watch::{Phase, Watch};

/// How notes begin that a person is shown without asking.
const WARNING: &str = "warning:";

/// How a layer is rewritten: if the length of its sequences is known already, an algorithm is chosen for that.
pub(super) fn rewriting(loaded: &Loaded, extents: &IndexMap<String, i64>, how: &rewrite::Options) -> rewrite::Options {
    let domains = loaded.checked.graph.domains().iter().filter(|d| d.role == Role::Time);
    let length = |name: &str| extents.get(name).or_else(|| loaded.checked.extents.get(name)).copied();
    let at = domains.filter_map(|d| length(&d.name)).max();
    rewrite::Options { at: at.unwrap_or(how.at), ..how.clone() }
}

/// The algorithm, unless it is the definition, and its kernels. If there are none for what rewriting found, but for the definition
/// there are, the definition it is; a warning says so.
///
/// # Errors
/// E0601 for a layer that needs memory quadratic in time, E0602 for one that has no schedule, E0607 for pinned choices about kernels that there are not.
pub(super) fn scheduled(
    loaded: &Loaded,
    canonical: &Graph,
    settings: Settings,
    options: &CompileOptions,
    watch: &mut Watch<'_>,
) -> Result<(Option<Rewritten>, Scheduled), Fault> {
    let choices = schedule::Options { target: fuse::planned_for(), ..options.schedule.clone() };
    let mut notes = Vec::new();
    if let Some(how) = &options.rewrite {
        let how = rewriting(loaded, &options.extents, how);
        let fast = watch.time(Phase::Rewrite, || rewrite::rewrite(canonical, settings, &how));
        let fast = fast.map_err(|e| Fault::bug(format!("rewriting: {e}")))?;
        watch.show(Phase::Rewrite, &fast.graph);
        notes.extend(fast.notes.iter().cloned());
        for warning in notes.iter().filter(|n| n.starts_with(WARNING)) {
            watch.warn(warning);
        }
        if fast.changed {
            match watch.time(Phase::Schedule, || schedule::schedule(&fast.graph, settings, &choices)) {
                Ok(mut scheduled) => {
                    scheduled.notes.splice(0..0, notes);
                    return Ok((Some(fast), scheduled));
                }
                Err(e @ (schedule::Error::Quadratic { .. } | schedule::Error::Unsupported { .. })) => {
                    let what =
                        format!("{WARNING} the layer is computed as it is written; for the faster algorithm: {e}");
                    watch.warn(&what);
                    notes.push(what);
                }
                Err(e) => return Err(refused(loaded, &e)),
            }
        }
    }
    let scheduled = watch.time(Phase::Schedule, || schedule::schedule(canonical, settings, &choices));
    let mut scheduled = scheduled.map_err(|e| refused(loaded, &e))?;
    scheduled.notes.splice(0..0, notes);
    Ok((None, scheduled))
}

/// What a person is told of it in a few words.
pub(super) fn told(rewritten: Option<&Rewritten>) -> Option<String> {
    let r = rewritten?;
    let (from, to) = r.degree;
    let gain = if from - to > 0.05 { format!(": T^{from:.1} to T^{to:.1}") } else { String::new() };
    let blocks = r.blocks.map_or_else(String::new, |l| format!(", blocks of {l}"));
    Some(format!("rewritten{gain}{blocks}"))
}
