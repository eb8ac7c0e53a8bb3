//! Tile extents: what there is to choose, and the choice by the cost model.
//!
//! A plan has the same kernels whatever its tiles. So it is made once for each candidate, the model ranks every kernel's variants
//! apart ([`crate::cost::model`]), and the final plan takes for each kernel the best. Choices that a schedule file pins are
//! taken as they are.

use super::{Error, Options, Pins, Scheduled};
use crate::cost::model;
use rayon::prelude::*;
use std::collections::BTreeMap;
use weft_ir::kernel::Plan;

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

/// A variant must be predicted to be this much faster than the default to be taken.
const MARGIN: f64 = 0.97;

/// The candidates, the default first.
fn candidates() -> Vec<Tiles> {
    let mut all = vec![Tiles::default()];
    for rows in [16, 32, 64] {
        for width in [32, 64, 128] {
            let tiles = Tiles { rows, stream: width, block: width, ..Tiles::default() };
            if !all.contains(&tiles) {
                all.push(tiles);
            }
        }
    }
    all
}

/// The best tiles of every kernel, given the plan with the default ones. A candidate with which scheduling fails is none.
pub(super) fn choose(
    options: &Options,
    default: Scheduled,
    schedule: impl Fn(&Options) -> Result<Scheduled, Error> + Sync,
) -> Pins {
    let mut made: Vec<(Tiles, Option<Scheduled>)> = vec![(Tiles::default(), Some(default))];
    made.par_extend(candidates().into_par_iter().skip(1).map(|tiles| {
        // Pins are left out: their kernels would be the same in all candidates.
        let options = Options { tiles: Some(tiles), pins: Pins::default(), ..options.clone() };
        (tiles, schedule(&options).ok())
    }));
    let mut best: BTreeMap<String, (f64, Tiles)> = BTreeMap::new();
    for (n, (tiles, made)) in made.iter().enumerate() {
        let Some(made) = made else { continue };
        for (name, seconds) in times(&made.plan, options) {
            match best.get_mut(&name) {
                None => {
                    best.insert(name, (seconds * if n == 0 { MARGIN } else { 1.0 }, *tiles));
                }
                Some(known) if seconds < known.0 => *known = (seconds, *tiles),
                Some(_) => {}
            }
        }
    }
    let tiles = best.into_iter().map(|(name, (_, tiles))| (name, tiles.into())).collect();
    Pins { tiles }
}

fn times(plan: &Plan, options: &Options) -> Vec<(String, f64)> {
    let seconds = |k| model::seconds(plan, k, &options.target, &model::Rates::default(), model::Typical::default());
    plan.kernels.iter().map(|k| (k.name.clone(), seconds(k))).collect()
}
