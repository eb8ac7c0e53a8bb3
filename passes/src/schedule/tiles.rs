//! Tile extents: what there is to choose, and the choice by the cost model.
//!
//! A plan has the same kernels whatever its tiles. So it is made once for each candidate, and the model ([`crate::cost::model`])
//! predicts the time of every kernel. Kernels that could be fused must have grids that agree, so all take the candidate that is best
//! for the plan; kernels that stream a long axis or walk a recurrence, in which most of the time goes and which rarely fuse, take one
//! of their own where it is clearly better. Those that read mostly the same over the same grid, as the gradients of keys and values do,
//! choose together, since they may become one. Choices that a schedule file pins are taken as they are.

use super::{Error, Options, Pins, Scheduled};
use crate::cost::model;
use crate::fuse::refs::Buffers;
use rayon::prelude::*;
use std::collections::BTreeMap;
use weft_ir::kernel::{OpCode, Plan, Stmt, expr_text};

/// Tile extents of a kernel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tiles {
    /// Rows of a tile: the lanes axis.
    pub rows: i64,
    /// Elements of a streamed axis in one step.
    pub stream: i64,
    /// Elements of an output's feature axis in one block of a contraction.
    pub block: i64,
    /// Elements of a contracted axis in one step.
    pub depth: i64,
    /// Elements of the value axes of a streamed sum in one tile.
    pub vector: i64,
}

impl Default for Tiles {
    fn default() -> Self {
        Self { rows: 32, stream: 64, block: 64, depth: 128, vector: 2048 }
    }
}

/// A plan must be predicted to be this much faster than with the default tiles, a kernel than with those of the plan.
const MARGIN: f64 = 0.98;

/// The candidates, the default first: fewer rows for short windows and large states, more for products. (Rows and widths of 128 were
/// measured to be slower everywhere: scores and values leave the first-level cache.)
fn candidates() -> Vec<Tiles> {
    let of = |(rows, width)| Tiles { rows, stream: width, block: width, ..Tiles::default() };
    [(32, 64), (64, 64), (16, 64), (32, 32), (16, 32)].map(of).to_vec()
}

/// Predicted seconds of every kernel, and whether it streams an axis whose length only the run knows.
type Times = BTreeMap<String, (f64, bool)>;

/// The best tiles of every kernel, given the plan with the default ones. A candidate with which scheduling fails is none.
pub(super) fn choose(
    options: &Options,
    default: Scheduled,
    schedule: impl Fn(&Options) -> Result<Scheduled, Error> + Sync,
) -> Pins {
    let teams = teams(&default.plan);
    let mut made: Vec<(Tiles, Option<Scheduled>)> = vec![(Tiles::default(), Some(default))];
    made.par_extend(candidates().into_par_iter().skip(1).map(|tiles| {
        // Pins are left out: their kernels would be the same in all candidates.
        let options = Options { tiles: Some(tiles), pins: Pins::default(), ..options.clone() };
        (tiles, schedule(&options).ok())
    }));
    let timed: Vec<(Tiles, Times)> =
        made.iter().filter_map(|(tiles, made)| made.as_ref().map(|m| (*tiles, times(&m.plan, options)))).collect();
    // Kernels that choose for themselves have no say in what is best for the others.
    let total = |times: &Times| times.values().filter(|t| !t.1).map(|t| t.0).sum::<f64>();
    let Some((base, default)) = timed.first() else { return Pins::default() };
    let (mut common, mut least) = (*base, total(default) * MARGIN);
    for (tiles, times) in &timed[1..] {
        if total(times) < least {
            (common, least) = (*tiles, total(times));
        }
    }
    let with_common = timed.iter().find(|(t, _)| *t == common).map_or(default, |(_, times)| times);
    let choice = |(name, &(seconds, streams)): (&String, &(f64, bool))| {
        let team = teams.iter().find(|t| t.contains(name)).filter(|_| streams);
        let of = |times: &Times| match team {
            None => times.get(name).map(|t| t.0),
            Some(team) => team.iter().map(|n| times.get(n).map(|t| t.0)).sum(),
        };
        let (mut own, mut least) = (common, of(with_common).unwrap_or(seconds) * MARGIN);
        for (tiles, times) in timed.iter().filter(|_| streams) {
            if let Some(t) = of(times).filter(|t| *t < least) {
                (own, least) = (*tiles, t);
            }
        }
        (name.clone(), own.into())
    };
    Pins { tiles: with_common.iter().map(choice).collect(), ..Pins::default() }
}

/// Kernels that stream, by what they have in common: the grid, half of what they read, and that none reads what another writes.
fn teams(plan: &Plan) -> Vec<Vec<String>> {
    let mut teams: Vec<(String, Vec<Buffers>, Vec<String>)> = Vec::new();
    for kernel in plan.kernels.iter().filter(|k| streams(plan, &k.body)) {
        let grid: Vec<String> = kernel.grid.iter().map(|g| expr_text(plan, Some(kernel), &g.extent)).collect();
        let (grid, uses) = (grid.join(" "), Buffers::of(kernel));
        let alike = |other: &Buffers| {
            let common = uses.read.intersection(&other.read).count();
            let apart = uses.written.is_disjoint(&other.read) && uses.read.is_disjoint(&other.written);
            apart && 2 * common >= uses.read.len().max(other.read.len())
        };
        match teams.iter_mut().find(|(g, members, _)| *g == grid && members.iter().all(alike)) {
            Some((_, members, names)) => {
                members.push(uses);
                names.push(kernel.name.clone());
            }
            None => teams.push((grid, vec![uses], vec![kernel.name.clone()])),
        }
    }
    teams.into_iter().map(|t| t.2).filter(|names| names.len() > 1).collect()
}

fn times(plan: &Plan, options: &Options) -> Times {
    let (rates, typical) = (model::Rates::default(), model::Typical::default());
    let seconds = |k| model::seconds(plan, k, &options.target, &rates, typical);
    plan.kernels.iter().map(|k| (k.name.clone(), (seconds(k), streams(plan, &k.body)))).collect()
}

fn streams(plan: &Plan, body: &[Stmt]) -> bool {
    body.iter().any(|s| match s {
        Stmt::Loop(l) => {
            // A store in a loop: a recurrence, whose grid is its own.
            let stores = l.body.iter().any(|s| matches!(s, Stmt::Inst(i) if i.op == OpCode::Store));
            stores || l.domain.end().is_some_and(|e| plan.static_value(e).is_none()) || streams(plan, &l.body)
        }
        Stmt::While(_) => true,
        Stmt::If(i) => streams(plan, &i.then_body) || streams(plan, &i.else_body),
        Stmt::Let(_) | Stmt::Inst(_) => false,
    })
}
