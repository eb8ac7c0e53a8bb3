//! The built command, on examples, goldens and small layers of its own.

mod check;
mod compile;
mod depth;
mod explain;
mod fmt;
mod gradients;
mod memory;
mod opt;
mod run;
mod schedule;
mod silly;
mod snippets;
mod usage;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;
use weft::driver::{Entry, encode};
use weft_ir::DType;
use weft_ir::eval::Tensor;

/// Every backend.
const BACKENDS: [&str; 3] = ["evaluator", "interpreter", "cranelift"];

/// What a command left.
pub(crate) struct Done {
    code: i32,
    stdout: Vec<u8>,
    stderr: String,
}

impl Done {
    pub(crate) fn stdout(&self) -> String {
        String::from_utf8(self.stdout.clone()).unwrap()
    }

    #[track_caller]
    pub(crate) fn good(self) -> Self {
        assert_eq!(self.code, 0, "{}\n{}", String::from_utf8_lossy(&self.stdout), self.stderr);
        self
    }

    #[track_caller]
    fn fails(self, code: i32, word: &str) -> Self {
        let all = format!("{}{}", String::from_utf8_lossy(&self.stdout), self.stderr);
        assert_eq!(self.code, code, "{all}");
        assert!(all.contains(word), "no `{word}` in:\n{all}");
        self
    }

    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_slice(&self.stdout)
            .unwrap_or_else(|e| panic!("{e}:\n{}", String::from_utf8_lossy(&self.stdout)))
    }
}

/// A folder of its own for one test; taken away with it.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("cli-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> &Self {
        std::fs::write(self.0.join(name), bytes).unwrap();
        self
    }

    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.0.join(name)).unwrap()
    }

    fn text(&self, name: &str) -> String {
        String::from_utf8(self.read(name)).unwrap()
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> =
            std::fs::read_dir(&self.0).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// Runs `weft` here.
    pub(crate) fn weft(&self, args: &[&str]) -> Done {
        self.weft_with(args, b"")
    }

    /// Runs `weft` here with bytes on standard input.
    fn weft_with(&self, args: &[&str], stdin: &[u8]) -> Done {
        let mut child = Command::new(env!("CARGO_BIN_EXE_weft"))
            .args(args)
            .current_dir(&self.0)
            .env("NO_COLOR", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A command that does not read its input closes it early.
        let _ = child.stdin.take().unwrap().write_all(stdin);
        let out = child.wait_with_output().unwrap();
        let stderr = String::from_utf8(out.stderr).unwrap();
        Done { code: out.status.code().unwrap_or(-1), stdout: out.stdout, stderr }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A window sum: an input, a parameter, a size that shapes have and one that they have not.
const LAYER: &str = "\
layer window {
  size  E = 4, WIN = 3
  axis  b, t: time
  index j: t, e: E
  in    x[b,t,e]
  param gain[e] ~ uniform(0.5, 2)
  out y[b,t,e] = gain * sum(j: x[b,j,e] where 0 <= t - j < WIN)
}
";

fn floats(name: &str, shape: &[usize], f: impl Fn(usize) -> f64) -> Entry {
    let tensor = Tensor::floats(shape, (0..shape.iter().product()).map(f).collect());
    Entry { name: name.to_owned(), tensor, dtype: DType::F64 }
}

fn ints(name: &str, values: &[i64]) -> Entry {
    Entry { name: name.to_owned(), tensor: Tensor::ints(&[values.len()], values.to_vec()), dtype: DType::I64 }
}

/// Inputs of [`LAYER`]: two sequences of five tokens. All numbers are exact in every float type.
fn inputs() -> Vec<Entry> {
    vec![floats("x", &[2, 5, 4], |i| (i % 7) as f64 - 3.0), floats("gain", &[4], |e| [1.0, 0.5, -2.0, 4.0][e])]
}

fn file(entries: &[Entry]) -> Vec<u8> {
    encode(entries, &[]).unwrap()
}

/// What [`LAYER`] gives for [`inputs`], for sequences of these lengths.
fn expected(lengths: &[usize]) -> Vec<f64> {
    let x = |b: usize, t: usize, e: usize| (((b * 5 + t) * 4 + e) % 7) as f64 - 3.0;
    let gain = [1.0, 0.5, -2.0, 4.0];
    let mut y = Vec::new();
    for (b, &n) in lengths.iter().enumerate() {
        for t in 0..5usize {
            for (e, g) in gain.iter().enumerate() {
                let sum: f64 = (t.saturating_sub(2)..=t).map(|j| x(b, j, e)).sum();
                y.push(if t < n { g * sum } else { 0.0 });
            }
        }
    }
    y
}
