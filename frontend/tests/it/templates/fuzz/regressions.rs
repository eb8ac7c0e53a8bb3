//! Random layers that were once wrong, as small as they could be made.

use super::super::road::travel;
use super::layer::{CHOICES, Choice};
use super::{Genes, SIZES};
use weft_passes::schedule::Tiles;

/// Runs the plainest layer but for some answers and sizes.
#[track_caller]
fn survives(answers: &[(Choice, &str)], sizes: &[(&str, i64)], lengths: &[usize], tiles: Tiles, seed: u64) {
    let mut genes = Genes {
        answers: vec![0; CHOICES.len()],
        sizes: SIZES.iter().map(|&(n, list)| (n, list[0])).chain([("H", 1), ("HKV", 1)]).collect(),
        lengths: lengths.to_vec(),
        tiles,
        seed,
    };
    for &(choice, answer) in answers {
        let at = CHOICES[choice as usize].1.iter().position(|a| *a == answer);
        genes.answers[choice as usize] = at.unwrap_or_else(|| panic!("{choice:?} has no answer {answer}"));
    }
    for &(name, value) in sizes {
        genes.set(name, value);
    }
    travel(&genes.case()).unwrap_or_else(|f| panic!("{f}"));
}

/// Scores of the query were ranked in one kernel and compared in another, rounded in another order, so that the member of the last
/// rank itself could drop out.
#[test]
fn the_last_rank_stays_in() {
    let answers = [(Choice::Selection, "top for each query"), (Choice::Mask, "chunk ends and window")];
    let tiles = Tiles { rows: 32, stream: 64, block: 64, depth: 128, vector: 512 };
    survives(&answers, &[("E", 12), ("D", 2), ("K", 1)], &[1, 5], tiles, 0xd14);
}

/// A weight of 0 was multiplied by what is not known to be finite behind the end of the stream.
#[test]
fn factors_of_weights_are_zero_behind_the_end() {
    for norm in ["rms", "running sum"] {
        let answers = [(Choice::Norm, norm), (Choice::Value, "slice of the input")];
        survives(&answers, &[("D", 2)], &[1], Tiles::default(), 0x18ad6);
        let window = [answers[0], answers[1], (Choice::Mask, "sink and window")];
        survives(&window, &[("D", 2)], &[1], Tiles::default(), 0x324ba);
    }
    let answers = [(Choice::Norm, "rms of the past"), (Choice::Value, "slice of the input")];
    for more in [(Choice::Mask, "sink and window"), (Choice::Selection, "top of chunk ends")] {
        survives(&[answers[0], answers[1], more], &[("D", 2), ("K", 50)], &[1], Tiles::default(), 0x324f4);
    }
}

/// A sum over documents and their positions was taken apart: the documents were summed before the positions that they have.
#[test]
fn positions_are_summed_before_their_documents() {
    let answers = [(Choice::Norm, "running sum"), (Choice::Extra, "mean square")];
    survives(&answers, &[("D", 2)], &[3, 1, 7], Tiles::default(), 0x1a9ed);
}
