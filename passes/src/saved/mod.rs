//! Forward and backward as two plans: what the one saves for the other.
//!
//! A training step runs the layer, then something else (the loss, the layers above), then the gradients. The graph of both
//! ([`crate::autodiff::Request::forward`]) is scheduled as one, so that backward reads what forward has stored: log-sum-exps,
//! decisions, states at chunk ends. [`split`] cuts that plan: kernels that an output of the layer needs are forward's, the others
//! backward's. What the first write and the second read is *saved*, unless it is computed again ([`choice`]).
//!
//! Cutting a plan and not the graph keeps what the scheduler knows: a sum of exponentials is saved as a mantissa and a scale, an
//! exponent is known to be at most 0 because its maximum is in memory. Fusion comes after the cut and within each part: a value that need
//! not be saved disappears into its reader.
//!
//! **Decisions are saved, whatever they cost.** Kernels that decide are never run again: rounding could decide otherwise, and then
//! the gradient would be that of another function.
//!
//! Inputs, parameters and outputs of the layer are the caller's, who has them anyway: reading them in backward costs nothing here.
//!
//! [`join`] puts the two parts back into one plan, which runs forward and then backward.

mod choice;
mod join;
mod part;

pub use join::join;
pub use part::Part;

use crate::cost::Extents;
use crate::fuse::refs::Buffers;
use crate::schedule::Scheduled;
use part::part;
use rustc_hash::FxHashSet;
use weft_ir::kernel::{BufferId, Role};

/// What is the layer's in a joint graph, and what may be saved.
#[derive(Clone, Debug)]
pub struct Request<E> {
    /// How many of the graph's inputs, from the first, are the layer's; the others are cotangents.
    pub inputs: usize,
    /// How many of its outputs, from the first, are the layer's; the others are gradients.
    pub outputs: usize,
    /// Bytes that may be saved at most, at the extents.
    pub most: Option<u64>,
    /// The extents at which times and bytes are compared.
    pub extents: E,
}

/// Why a joint plan cannot be cut.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Error {
    /// Decisions, and what cannot be computed again, need more than may be saved.
    #[error("backward needs at least {least} bytes of forward, and {most} may be saved: {what}")]
    TooLittle {
        /// Bytes that are needed.
        least: u64,
        /// Bytes that may be saved.
        most: u64,
        /// The buffers that are needed.
        what: String,
    },
    /// A bug: a kernel that outputs need reads a cotangent.
    #[error("the kernel `{0}` of forward reads a cotangent")]
    Entangled(String),
}

/// One saved buffer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Saved {
    /// Its name in both plans.
    pub name: String,
    /// Its size at the extents of the request, if these say it.
    pub bytes: Option<u64>,
    /// Was it made by a kernel that decides?
    pub decision: bool,
}

/// A joint plan, cut.
#[derive(Clone, Debug)]
pub struct Split {
    /// From inputs to outputs and what is saved.
    pub forward: Part,
    /// From inputs, what is saved, and cotangents to gradients.
    pub backward: Part,
    /// What is saved, in order of the joint plan's buffers.
    pub saved: Vec<Saved>,
    /// A line for each choice.
    pub notes: Vec<String>,
}

/// Cuts a joint plan, before fusion.
///
/// # Errors
/// [`Error::TooLittle`] if what must be saved is more than the request allows.
pub fn split<E: Extents>(scheduled: &Scheduled, request: &Request<E>) -> Result<Split, Error> {
    let plan = &scheduled.plan;
    let uses: Vec<Buffers> = plan.kernels.iter().map(Buffers::of).collect();
    let forward = needed(&uses, scheduled.outputs.iter().take(request.outputs).copied().collect());
    let given = plan.buffers.iter().enumerate().filter(|(_, b)| b.role.is_given());
    let cotangents: FxHashSet<BufferId> = given.skip(request.inputs).map(|(n, _)| BufferId::new(n)).collect();
    for (kernel, uses) in plan.kernels.iter().zip(&uses).enumerate().filter(|(n, _)| forward.contains(n)).map(|x| x.1) {
        if !uses.read.is_disjoint(&cotangents) {
            return Err(Error::Entangled(kernel.name.clone()));
        }
    }
    let chosen = choice::choose(scheduled, &uses, &forward, request)?;
    let saved: FxHashSet<BufferId> = chosen.saved.iter().map(|(b, _)| *b).collect();
    let (first, second): (Vec<usize>, Vec<usize>) = (0..uses.len()).partition(|n| forward.contains(n));
    let again: Vec<usize> = (0..uses.len()).filter(|n| chosen.again.contains(n) || second.contains(n)).collect();
    let own = |part: &[BufferId]| part.iter().copied().collect::<FxHashSet<_>>();
    let (mine, theirs) = scheduled.outputs.split_at(request.outputs.min(scheduled.outputs.len()));
    let (mine, theirs) = (own(mine), own(theirs));
    let role = |b: BufferId| plan.buffer(b).map_or(Role::Temp, |x| x.role);
    let forward = part(plan, "forward", &first, &|b| match role(b) {
        Role::Temp if saved.contains(&b) => Role::Output,
        Role::Output if !mine.contains(&b) => Role::Temp,
        role => role,
    });
    let backward = part(plan, "backward", &again, &|b| match role(b) {
        _ if saved.contains(&b) || (mine.contains(&b) && !theirs.contains(&b)) => Role::Input,
        role => role,
    });
    Ok(Split { forward, backward, saved: chosen.list(plan), notes: chosen.notes(plan) })
}

/// Kernels that some buffers need, whoever writes them and what these read included.
fn needed(uses: &[Buffers], mut buffers: FxHashSet<BufferId>) -> FxHashSet<usize> {
    let mut kernels = FxHashSet::default();
    loop {
        let before = kernels.len();
        for (n, u) in uses.iter().enumerate() {
            if !u.written.is_disjoint(&buffers) && kernels.insert(n) {
                buffers.extend(&u.read);
            }
        }
        if kernels.len() == before {
            return kernels;
        }
    }
}
