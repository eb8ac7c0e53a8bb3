//! The fuzz targets on mutations of the repository's own texts: a fixed number, the same on every run, on stable Rust.
//!
//! `WEFT_FUZZ_SEED=n` mutates otherwise, `WEFT_TEMPLATES=n` n times as often.

use std::collections::BTreeSet;
use std::panic::catch_unwind;

use crate::support::root;
use crate::templates::examples::EXAMPLES;
use crate::templates::random::Random;
use crate::templates::road;
use weft::driver::{Entry, encode};
use weft_ir::DType;
use weft_ir::eval::Tensor;
use weft_passes::canon;
use weft_passes::lower::{Target, lower};
use weft_passes::schedule::Tiles;

#[path = "../../../fuzz/src/graph_ir.rs"]
mod graph_ir;
#[path = "../../../fuzz/src/kernel_ir.rs"]
mod kernel_ir;
#[path = "../../../fuzz/src/loop_ir.rs"]
mod loop_ir;
#[path = "../../../fuzz/src/tensors.rs"]
mod tensors;

/// What numbers go wrong with.
const NUMBERS: &[&str] = &[
    "0",
    "1",
    "-1",
    "2",
    "64",
    "9223372036854775807",
    "-9223372036854775808",
    "18446744073709551616",
    "4294967296",
    "2147483648",
    "1e999",
    "-0.0",
    "nan",
    "inf",
    "-inf",
    "00",
    "1.",
];

/// Words, numbers, marks and white space, in order.
fn tokens(text: &str) -> Vec<String> {
    let kind = |c: char| match c {
        c if c.is_alphanumeric() || matches!(c, '_' | '.' | '\'' | '%') => 0,
        c if c.is_whitespace() => 1,
        _ => 2,
    };
    let mut all: Vec<String> = Vec::new();
    for c in text.chars() {
        match all.last_mut() {
            Some(last) if kind(c) != 2 && last.chars().next().is_some_and(|l| kind(l) == kind(c)) => last.push(c),
            _ => all.push(c.to_string()),
        }
    }
    all
}

/// A text changed in a few places: words for other words of the corpus, numbers for awkward ones, lines and stretches lost,
/// doubled or exchanged.
fn mutated(text: &str, words: &[String], r: &mut Random) -> String {
    let mut all = tokens(text);
    for _ in 0..1 + r.below(3) {
        if all.is_empty() {
            break;
        }
        let at = r.below(all.len());
        match r.below(8) {
            0 | 1 => all[at] = words[r.below(words.len())].clone(),
            2 | 3 => {
                let numbers: Vec<usize> =
                    (0..all.len()).filter(|&k| all[k].starts_with(|c: char| c.is_ascii_digit())).collect();
                if !numbers.is_empty() {
                    let at = r.pick(&numbers);
                    all[at] = r.pick(NUMBERS).to_owned();
                }
            }
            4 => {
                let end = (at + 1 + r.below(6)).min(all.len());
                all.drain(at..end);
            }
            5 => {
                let other = r.below(all.len());
                all.swap(at, other);
            }
            6 => all.insert(at, words[r.below(words.len())].clone()),
            _ => {
                let mut lines: Vec<String> = all.concat().split_inclusive('\n').map(str::to_owned).collect();
                let (from, to) = (r.below(lines.len()), r.below(lines.len()));
                match r.below(3) {
                    0 => lines.swap(from, to),
                    1 => lines.insert(to, lines[from].clone()),
                    _ => {
                        lines.remove(from);
                    }
                }
                all = tokens(&lines.concat());
            }
        }
    }
    all.concat()
}

fn seed() -> u64 {
    std::env::var("WEFT_FUZZ_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(0)
}

/// Runs a target on what it must accept, and on mutations; tells of the first input that it panics on.
fn drive(corpus: &[Vec<u8>], count: usize, check: fn(&[u8]), mutate: impl Fn(&[u8], &mut Random) -> Vec<u8>) {
    for whole in corpus {
        check(whole);
    }
    let mut r = Random(seed() ^ 0xf022);
    for n in 0..count * crate::templates::effort() {
        let input = mutate(&corpus[n % corpus.len()], &mut r);
        if catch_unwind(|| check(&input)).is_err() {
            panic!("number {n} of seed {}:\n{}", seed(), String::from_utf8_lossy(&input));
        }
    }
}

fn drive_texts(corpus: Vec<String>, count: usize, check: fn(&[u8])) {
    let words: BTreeSet<String> = corpus.iter().flat_map(|t| tokens(t)).collect();
    let words: Vec<String> = words.into_iter().chain(NUMBERS.iter().map(|&n| n.to_owned())).collect();
    let bytes: Vec<Vec<u8>> = corpus.into_iter().map(String::into_bytes).collect();
    drive(&bytes, count, check, |whole, r| mutated(&String::from_utf8_lossy(whole), &words, r).into_bytes());
}

fn read_all(folder: &str, ending: &str) -> Vec<String> {
    let mut paths: Vec<_> = std::fs::read_dir(root().join(folder)).unwrap().map(|e| e.unwrap().path()).collect();
    paths.retain(|p| p.extension().is_some_and(|e| e == ending));
    paths.sort();
    assert!(!paths.is_empty(), "no .{ending} in {folder}");
    paths.into_iter().map(|p| std::fs::read_to_string(p).unwrap()).collect()
}

#[test]
fn graph_texts() {
    let mut corpus = read_all("ir/tests/it/graph", "graph");
    for e in EXAMPLES {
        let graph = road::graph(&e.case(&[], &[1])).unwrap();
        let canonical = canon::canonicalise(&graph, canon::Settings { float: DType::F32 }).unwrap();
        corpus.extend([graph.to_string(), canonical.to_string()]);
    }
    drive_texts(corpus, 3000, graph_ir::check);
}

#[test]
fn kernel_texts() {
    let mut corpus = read_all("tests/kernels", "kir");
    for e in EXAMPLES.iter().filter(|e| e.file.starts_with("gallery")) {
        let graph = road::graph(&e.case(&[], &[1])).unwrap();
        corpus.push(road::plan(&graph, DType::F32, Tiles::default()).unwrap().plan.to_string());
    }
    drive_texts(corpus, 1500, kernel_ir::check);
}

#[test]
fn loop_texts() {
    let mut corpus = Vec::new();
    for text in read_all("tests/kernels", "kir") {
        let plan = weft_ir::kernel::parse(&text).unwrap();
        let program = lower(&plan, &Target::default()).unwrap();
        corpus.extend(program.launches.iter().map(|l| l.kernel.to_string()));
    }
    // Short ones are mutated where it matters more often.
    corpus.sort_by_key(String::len);
    corpus.truncate(8);
    drive_texts(corpus, 2000, loop_ir::check);
}

#[test]
fn tensor_files() {
    let floats = |name: &str, shape: &[usize]| Entry {
        name: name.to_owned(),
        tensor: Tensor::floats(shape, vec![1.5; shape.iter().product()]),
        dtype: DType::F32,
    };
    let ints = |name: &str, shape: &[usize]| Entry {
        name: name.to_owned(),
        tensor: Tensor::ints(shape, vec![1; shape.iter().product()]),
        dtype: DType::I64,
    };
    let keep = Entry { name: "keep".to_owned(), tensor: Tensor::bools(&[2, 3], vec![true; 6]), dtype: DType::Bool };
    let whole = vec![floats("x", &[2, 3, 2]), floats("z", &[4]), floats("gain", &[2]), ints("id", &[2, 3]), keep];
    let mut ragged = whole.clone();
    ragged.push(ints("t.len", &[2]));
    let sizes = [("sizes", "{\"E\": 2}".to_owned())];
    let corpus = vec![encode(&whole, &[]).unwrap(), encode(&ragged, &sizes).unwrap()];
    let words: Vec<String> = tokens(&String::from_utf8_lossy(&corpus[1][8..]));
    drive(&corpus, 4000, tensors::check, |whole, r| {
        let length = u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize;
        let (header, data) = whole[8..].split_at(length);
        let mut header = header.to_vec();
        let mut data = data.to_vec();
        if r.below(3) > 0 {
            header = mutated(&String::from_utf8_lossy(&header), &words, r).into_bytes();
        }
        let mut length = header.len() as u64;
        match r.below(6) {
            0 => length = r.pick(&[0, 1, 7, u64::MAX, 1 << 40, length + 1, length.saturating_sub(1)]),
            1 => data.truncate(r.below(data.len() + 1)),
            2 => data.push(0xff),
            _ => {}
        }
        let mut all = [&length.to_le_bytes()[..], &header, &data].concat();
        if r.below(3) == 0 {
            let (at, bit) = (r.below(all.len()), r.below(8));
            all[at] ^= 1 << bit;
        }
        if r.below(8) == 0 {
            all.truncate(r.below(all.len() + 1));
        }
        all
    });
}
