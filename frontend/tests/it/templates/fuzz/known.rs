//! Defects that are known. Each has a layer that is asserted to fail, so that a fix shows; and random layers that meet one are counted,
//! not reported.

use super::super::road::{Failure, Stage, travel};
use super::layer::{CHOICES, Choice};
use super::{Genes, SIZES};
use weft_passes::schedule::Tiles;

/// A defect, and a layer that shows it.
struct Known {
    /// What is wrong.
    #[allow(dead_code, reason = "for readers")]
    reason: &'static str,
    /// Where it shows.
    stages: &'static [Stage],
    /// A part of the message.
    message: &'static str,
    /// The answers without which it does not show.
    needs: &'static [(Choice, &'static str)],
    /// Further answers, sizes and lengths of the layer that shows it.
    also: &'static [(Choice, &'static str)],
    sizes: &'static [(&'static str, i64)],
    lengths: &'static [usize],
    tiles: Tiles,
    seed: u64,
}

const KNOWN: &[Known] = &[];

fn has(genes: &Genes, (choice, answer): (Choice, &str)) -> bool {
    CHOICES[choice as usize].1[genes.answers[choice as usize]] == answer
}

/// Is a failure one of a known defect?
pub(super) fn is_known(genes: &Genes, failure: &Failure) -> bool {
    KNOWN.iter().any(|k| {
        k.stages.contains(&failure.stage)
            && failure.message.contains(k.message)
            && k.needs.iter().all(|&need| has(genes, need))
    })
}

#[test]
fn known_defects_are_still_there() {
    for k in KNOWN {
        let mut genes = Genes {
            answers: vec![0; CHOICES.len()],
            sizes: SIZES.iter().map(|&(n, list)| (n, list[0])).chain([("H", 1), ("HKV", 1)]).collect(),
            lengths: k.lengths.to_vec(),
            tiles: k.tiles,
            seed: k.seed,
        };
        for &(choice, answer) in k.needs.iter().chain(k.also) {
            let at = CHOICES[choice as usize].1.iter().position(|a| *a == answer);
            genes.answers[choice as usize] = at.unwrap_or_else(|| panic!("{choice:?} has no answer {answer}"));
        }
        for &(name, value) in k.sizes {
            genes.set(name, value);
        }
        let failure = travel(&genes.case()).expect_err("this works now: take it off the list");
        assert!(is_known(&genes, &failure), "{failure}");
    }
}

/// Was once wrong: scores of the query were ranked in one kernel and compared in another, rounded in another order, so that the
/// member of the last rank itself could drop out.
#[test]
fn the_last_rank_stays_in() {
    let mut genes = Genes {
        answers: vec![0; CHOICES.len()],
        sizes: SIZES.iter().map(|&(n, list)| (n, list[0])).chain([("H", 1), ("HKV", 1)]).collect(),
        lengths: vec![1, 5],
        tiles: Tiles { rows: 32, stream: 64, block: 64, depth: 128, vector: 512 },
        seed: 0xd14,
    };
    for (choice, answer) in [(Choice::Selection, "top for each query"), (Choice::Mask, "chunk ends and window")] {
        let at = CHOICES[choice as usize].1.iter().position(|a| *a == answer);
        genes.answers[choice as usize] = at.unwrap_or_else(|| panic!("{choice:?} has no answer {answer}"));
    }
    for (name, value) in [("E", 12), ("D", 2), ("K", 1)] {
        genes.set(name, value);
    }
    travel(&genes.case()).unwrap_or_else(|f| panic!("{f}"));
}
