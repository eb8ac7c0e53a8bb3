//! Random layers, each run along the whole road and compared with the evaluator; failures are made small.

mod layer;
mod regressions;

use self::layer::{Answers, CHOICES};
use super::gradients::differences;
use super::inputs::Lengths;
use super::random::Random;
use super::rewriting::keeps;
use super::road::{Case, Failure, Stage, travel};
use weft::sema::Number;
use weft_passes::schedule::Tiles;

/// What a layer must pass.
type Check = fn(&Case) -> Result<(), Failure>;

/// A random layer before it is text.
#[derive(Clone, Debug)]
struct Genes {
    answers: Answers,
    sizes: Vec<(&'static str, i64)>,
    lengths: Vec<usize>,
    tiles: Tiles,
    seed: u64,
}

/// Sizes, each with what it may be; the first is the plainest.
const SIZES: &[(&str, &[i64])] = &[
    ("E", &[8, 12, 14, 20]),
    ("D", &[2, 4, 6, 2]),
    ("P", &[3, 1, 2, 4, 7, 40]),
    ("OFFSET", &[0, 1, 2, 5]),
    ("WIN", &[3, 1, 2, 5, 64]),
    ("LEAD", &[2, 0, 1, 5, 64]),
    ("K", &[2, 1, 3, 50]),
    ("S", &[4, 1, 3, 17]),
    ("M", &[4, 1, 2, 9]),
    ("W", &[3, 1, 2, 4]),
];
const TIMES: &[usize] = &[7, 1, 2, 3, 5, 11, 13, 17, 19, 23, 31];
const TILES: &[i64] = &[4, 1, 3, 8, 16, 32];

impl Genes {
    fn draw(seed: u64) -> Self {
        let mut r = Random(seed);
        // Half of the answers are the plainest, so that layers have a few unusual parts, not all at once.
        let answers: Answers =
            CHOICES.iter().map(|(_, list)| if r.below(2) == 0 { 0 } else { r.below(list.len()) }).collect();
        let mut sizes: Vec<(&'static str, i64)> = SIZES.iter().map(|&(n, list)| (n, r.pick(list))).collect();
        let heads = match answers[layer::Choice::Heads as usize] {
            0 => [(1, 1); 4],
            1 => [(2, 2), (3, 3), (2, 2), (5, 5)],
            _ => [(2, 1), (4, 2), (3, 1), (6, 2)],
        };
        let (h, kv) = r.pick(&heads);
        sizes.extend([("H", h), ("HKV", kv)]);
        let e = sizes[0].1.max(kv * sizes[1].1);
        sizes[0].1 = e;
        let documents = 1 + r.below(3);
        let lengths = (0..documents).map(|_| r.pick(TIMES)).collect();
        let mut tile = || r.pick(TILES);
        let tiles = Tiles { rows: tile(), stream: tile(), block: tile(), depth: tile(), vector: tile() };
        Self { answers, sizes, lengths, tiles, seed }
    }

    fn case(&self) -> Case {
        Case {
            text: layer::text(&self.answers),
            sizes: self.sizes.iter().map(|&(n, v)| (n.to_owned(), Number::Int(v))).collect(),
            lengths: Lengths { time: self.lengths.clone(), memory: 5 },
            seed: self.seed,
            tiles: self.tiles,
            given: Vec::new(),
            gradients: false,
            blocks: None,
            phase: weft_passes::rewrite::Phase::Blocks,
        }
    }

    /// Plainer layers, boldest first.
    fn plainer(&self) -> Vec<Self> {
        let mut out = Vec::new();
        let mut push = |f: &dyn Fn(&mut Self)| {
            let mut g = self.clone();
            f(&mut g);
            out.push(g);
        };
        for (n, &a) in self.answers.iter().enumerate() {
            if a != 0 {
                push(&|g| {
                    g.answers[n] = 0;
                    if n == layer::Choice::Heads as usize {
                        g.set("H", 1);
                        g.set("HKV", 1);
                    }
                });
            }
        }
        if self.lengths.len() > 1 {
            for n in 0..self.lengths.len() {
                push(&|g| {
                    g.lengths.remove(n);
                });
            }
        }
        for (n, &len) in self.lengths.iter().enumerate() {
            for &less in TIMES.iter().filter(|&&t| t < len) {
                push(&|g| g.lengths[n] = less);
            }
        }
        if self.tiles != Tiles::default() {
            push(&|g| g.tiles = Tiles::default());
            push(&|g| g.tiles = Tiles { rows: 4, stream: 4, block: 4, depth: 4, vector: 4 });
        }
        for &(name, list) in SIZES {
            let now = self.size(name);
            if now != list[0] && !(name == "E" && list[0] < self.size("HKV") * self.size("D")) {
                push(&|g| g.set(name, list[0]));
            }
        }
        out
    }

    fn size(&self, name: &str) -> i64 {
        self.sizes.iter().find(|s| s.0 == name).map_or(0, |s| s.1)
    }

    fn set(&mut self, name: &str, value: i64) {
        if let Some(s) = self.sizes.iter_mut().find(|s| s.0 == name) {
            s.1 = value;
        }
    }
}

/// Makes a failure small: the plainest layer that fails at the same stage.
fn shrink(genes: &Genes, failure: Failure, check: Check) -> (Genes, Failure) {
    let (mut genes, mut failure) = (genes.clone(), failure);
    for _ in 0..60 {
        let next = genes.plainer().into_iter().find_map(|g| match check(&g.case()) {
            Err(f) if f.stage == failure.stage => Some((g, f)),
            _ => None,
        });
        match next {
            Some(found) => (genes, failure) = found,
            None => break,
        }
    }
    (genes, failure)
}

fn describe(genes: &Genes) -> String {
    let unusual = CHOICES.iter().zip(&genes.answers).filter(|(_, a)| **a != 0);
    let unusual: Vec<String> = unusual.map(|((c, list), &a)| format!("{c:?}: {}", list[a])).collect();
    format!("[{}] {:?} {:?} {:?} seed {:#x}", unusual.join(", "), genes.lengths, genes.sizes, genes.tiles, genes.seed)
}

/// How many failures are made small.
const SHRUNK: usize = 4;

/// Random layers that a check refuses, the first ones made small.
fn random(count: usize, check: Check) {
    let first = std::env::var("WEFT_FUZZ_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(0u64);
    let mut failures = Vec::new();
    for n in 0..(count * super::effort()) as u64 {
        let genes = Genes::draw(first + n);
        let Err(failure) = check(&genes.case()) else { continue };
        // Making one small takes a while.
        let few = failures.len() < SHRUNK;
        let (small, failure) = if few { shrink(&genes, failure, check) } else { (genes, failure) };
        failures.push(format!("{}\n{failure}\n{}", describe(&small), small.case().text));
    }
    assert!(failures.is_empty(), "{} failures\n\n{}", failures.len(), failures.join("\n\n"));
}

#[test]
fn random_layers() {
    random(40, |case| travel(case).map(|_| ()));
}

/// Random layers and their gradients, rewritten with blocks of a few positions.
#[test]
fn random_rewriting() {
    random(40, |case| {
        let blocks = Some(2 + (case.seed % 4) as i64);
        for gradients in [false, true] {
            let case = Case { blocks, gradients, ..case.clone() };
            keeps(&case).map_err(|message| Failure { stage: Stage::Rewrite, message })?;
        }
        Ok(())
    });
}

#[test]
fn random_gradients() {
    random(20, |case| differences(case).map(|_| ()));
}

#[test]
fn random_gradients_by_kernels() {
    random(20, |case| travel(&Case { gradients: true, ..case.clone() }).map(|_| ()));
}
