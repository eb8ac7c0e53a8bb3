//! `weft check`

use super::{BACKENDS, Folder, LAYER, floats};
use crate::support::root;
use serde_json::Value;
use weft::driver::{TensorFile, encode};
use weft_ir::eval::Elements;

/// Path of a golden file and of the example that it is for.
fn golden(name: &str) -> (String, String) {
    let layer = name.split('.').next().unwrap();
    let file = root().join(format!("tests/golden/{name}.safetensors"));
    let example = root().join(format!("examples/{layer}.weft"));
    (example.display().to_string(), file.display().to_string())
}

#[track_caller]
fn agrees(name: &str) {
    let folder = Folder::new();
    let (example, file) = golden(name);
    for backend in BACKENDS {
        let args = ["check", &example, "--golden", &file, "--grad", "--backend", backend, "--json"];
        let report = folder.weft(&args).good().json();
        assert_eq!(report["ok"], true, "{name} on {backend}");
        assert_eq!(report["backend"], backend);
        let against = |what: &str| {
            let rows = report["outputs"].as_array().unwrap();
            rows.iter().filter(|o| o["against"] == what && o["ok"] == true).count()
        };
        let outputs = if name.starts_with("transformer_vq") { 3 } else { 1 };
        assert_eq!(against("golden"), outputs, "{name} on {backend}");
        assert_eq!(against("evaluator"), if backend == "evaluator" { 0 } else { outputs });
        assert_eq!(report["kernels"].as_array().unwrap().is_empty(), backend == "evaluator");
        let decides = !name.starts_with("attamba.");
        assert_eq!(report["decisions"].as_array().unwrap().is_empty(), !decides || backend == "evaluator");
        assert_eq!(report["causal"], true);
        // Every gradient of the golden file, decisions of the backward kernels judged as those of the forward ones.
        let known = TensorFile::parse("golden", &std::fs::read(&file).unwrap()).unwrap().with_prefix("grad.").len();
        let rows = report["gradients"]["outputs"].as_array().unwrap();
        let is_gradient = |o: &&Value| o["name"].as_str().unwrap().starts_with("grad.");
        let golden = rows.iter().filter(|o| o["against"] == "golden" && o["ok"] == true);
        let compared = golden.filter(is_gradient).count();
        assert!(known > 0 && compared == known, "{name} on {backend}: {compared} of {known} gradients");
    }
}

macro_rules! goldens {
    ($($test:ident = $name:literal;)*) => { $(#[test] fn $test() { agrees($name); })* };
}

goldens! {
    attamba_small = "attamba.small";
    attamba_gqa_ragged = "attamba.gqa_ragged";
    attamba_sparsek_small = "attamba_sparsek.small";
    attamba_sparsek_ragged = "attamba_sparsek.ragged";
    sparsek_small = "sparsek.small";
    sparsek_ragged = "sparsek.ragged";
    transformer_vq_small = "transformer_vq.small";
    transformer_vq_ragged = "transformer_vq.ragged";
}

/// Scores that float32 cannot tell apart, or orders otherwise than float64, are no mismatch: the evaluator goes on with those of the run.
#[test]
fn scores_within_rounding() {
    const TIES: &str = "layer ties {
  size K = 5, E = 8
  axis b, t: time
  index j: t, e: E
  in x[b,t,e], v[b,t]
  param w[e]
  let z[b,t] = 1000 + sum(e: w * x) / 1000
  let best[b,t,j] = in_top_k[j](z[b,j] where j <= t, K)
  out y[b,t] = sum(j: v[b,j] where j <= t and best)
}
";
    // Also where they would be computed where they are compared, without a sum to be stored.
    let plain = TIES.replace("sum(e: w * x)", "x").replace("x[b,t,e]", "x[b,t]").replace("  param w[e]\n", "");
    let plain = plain.replace(", E = 8", "").replace(", e: E", "");
    for source in [TIES.to_owned(), plain] {
        let folder = Folder::new();
        folder.write("ties.weft", source);
        let report = folder.weft(&["check", "ties.weft", "-D", "b=2", "-D", "t=300", "--json"]).good().json();
        assert_eq!(report["ok"], true);
        assert_eq!((report["scores"].as_array().unwrap().len(), &report["scores"][0]["name"]), (1, &"z".into()));
        // There were some: a score is rounded to some 16 millionths, a tenth of the distance between neighbours.
        assert!(report["scores"][0]["max_abs"].as_f64().unwrap() > 1e-5);
    }
}

/// Several files are checked one after the other; one that disagrees decides.
#[test]
fn several_files() {
    let folder = Folder::new();
    folder.write("layer.weft", LAYER).write("other.weft", LAYER.replace("layer window", "layer other"));
    let sizes = ["-D", "b=2", "-D", "t=5"];
    let shown = folder.weft(&[&["check", "layer.weft", "other.weft"], &sizes[..]].concat()).good().stdout();
    assert!(shown.starts_with("window ") && shown.contains("\nother "), "{shown}");
    folder.write("wrong.weft", "layer wrong {\n  axis b, t: time\n  in x[b,t]\n  out y[b,t] = z\n}\n");
    folder.weft(&[&["check", "layer.weft", "wrong.weft"], &sizes[..]].concat()).fails(1, "wrong.weft");
    folder.weft(&["check", "layer.weft", "other.weft", "--golden", "x"]).fails(2, "--golden");
}

/// bf16 halves what buffers take, and rounds what is in them.
#[test]
fn bf16_is_a_storage_type() {
    let folder = Folder::new();
    let inputs = |report: &Value| report["memory"]["inputs"].as_u64().unwrap();
    for layer in
        ["attamba", "attamba_sparsek", "sparsek", "transformer_vq", "gallery/gqa", "gallery/nsa", "gallery/mamba2"]
    {
        let example = root().join(format!("examples/{layer}.weft")).display().to_string();
        let args = ["check", &example, "-D", "b=1", "-D", "t=40", "--backend", "cranelift", "--json", "--float"];
        let check = |float: &str| folder.weft(&[&args[..], &[float]].concat()).good().json();
        let (single, half) = (check("f32"), check("bf16"));
        assert_eq!((&half["ok"], &half["float"]), (&Value::from(true), &Value::from("bf16")), "{layer}");
        assert_eq!(inputs(&single), 2 * inputs(&half), "{layer}");
    }
}

/// The table as people see it. Times vary, and are left out.
#[test]
fn the_table() {
    let folder = Folder::new();
    let (example, file) = golden("transformer_vq.small");
    let done = folder.weft(&["check", &example, "--golden", &file, "--backend", "interpreter"]).good();
    let shown = done.stdout().replace(&root().display().to_string(), "..");
    let timed = |l: &str| l.contains(" ms") || l.contains(" s ·") || l.contains("comparisons agree, in");
    let steady: Vec<&str> = shown.lines().filter(|l| !timed(l)).collect();
    insta::assert_snapshot!(steady.join("\n"));
}

#[test]
fn a_mismatch_is_seen() {
    let folder = Folder::new();
    let (example, file) = golden("sparsek.small");
    let good = TensorFile::parse("golden", &std::fs::read(&file).unwrap()).unwrap();
    let mut entries: Vec<_> = good.tensors.iter().map(|(n, t)| floats(n, &t.shape, |i| t.to_f64()[i])).collect();
    let y = entries.iter_mut().find(|e| e.name == "out.y").unwrap();
    if let Elements::F64(x) = &mut y.tensor.data {
        x[17] += 1.0;
    }
    let sizes = TensorSizes(&good).json();
    folder.write("bad.safetensors", encode(&entries, &[("layer", "sparsek".into()), ("sizes", sizes)]).unwrap());
    for backend in BACKENDS {
        let args = ["check", &example, "--golden", "bad.safetensors", "--backend", backend];
        let done = folder.weft(&args).fails(1, "mismatch");
        assert!(done.stdout().contains("1.0e0"), "the largest error is shown:\n{}", done.stdout());
        let report = folder.weft(&[&args[..], &["--json"]].concat()).json();
        assert_eq!(report["ok"], false);
    }
}

/// Sizes of a file as the JSON of its metadata.
struct TensorSizes<'a>(&'a TensorFile);

impl TensorSizes<'_> {
    fn json(&self) -> String {
        let sizes: serde_json::Map<String, Value> =
            self.0.sizes.iter().map(|(n, v)| (n.clone(), serde_json::from_str(&v.to_string()).unwrap())).collect();
        Value::Object(sizes).to_string()
    }
}

/// Nothing is needed but the source.
#[test]
fn generated_inputs() {
    let folder = Folder::new();
    folder.write("layer.weft", LAYER);
    for backend in ["interpreter", "cranelift"] {
        let args = ["check", "layer.weft", "-D", "t=37", "-D", "b=3", "-D", "WIN=5", "--backend", backend, "--json"];
        let report = folder.weft(&args).good().json();
        assert_eq!(report["extents"], serde_json::json!({ "b": 3, "t": 37 }));
        assert_eq!(report["sizes"], serde_json::json!({ "E": 4, "WIN": 5 }));
        assert_eq!(report["outputs"][0]["elements"], 3 * 37 * 4);
        assert_eq!(report["rows"], Value::Null);
    }
    let seeds = ["0", "1"].map(|seed| {
        let args = ["check", "layer.weft", "--seed", seed, "--backend", "cranelift", "--json"];
        folder.weft(&args).good().json()["outputs"][0]["relative_l2"].as_f64().unwrap()
    });
    assert_ne!(seeds[0], seeds[1], "seeds give other inputs");
}

#[test]
fn long_sequences_are_sampled() {
    let folder = Folder::new();
    folder.write("layer.weft", LAYER);
    let check = |extra: &[&str]| {
        let args = [&["check", "layer.weft", "--json", "-D", "b=1"], extra].concat();
        folder.weft(&args).good().json()
    };
    let report = check(&["-D", "t=3000"]);
    let positions: Vec<u64> =
        report["rows"]["positions"].as_array().unwrap().iter().map(|p| p.as_u64().unwrap()).collect();
    assert_eq!((positions.len(), positions[0], positions[31]), (32, 0, 2999));
    assert_eq!(report["outputs"][0]["elements"], 32 * 4);
    assert_eq!(check(&["-D", "t=3000", "--rows", "all"])["outputs"][0]["elements"], 3000 * 4);
    assert_eq!(check(&["-D", "t=100", "--rows", "7"])["outputs"][0]["elements"], 7 * 4);
    let shown = folder.weft(&["check", "layer.weft", "-D", "t=3000"]).good().stdout();
    assert!(shown.contains("compared with the evaluator at 32 positions of t"), "{shown}");
}

#[test]
fn one_of_several_layers() {
    let folder = Folder::new();
    let two = format!("{LAYER}\nlayer other {{\n  axis  b, t: time\n  in    x[b,t]\n  out y[b,t] = -x\n}}\n");
    folder.write("two.weft", two);
    folder.weft(&["check", "two.weft"]).fails(1, "E0111");
    let report = folder.weft(&["check", "two.weft", "--layer", "other", "--json"]).good().json();
    assert_eq!(report["layer"], "other");
}

#[test]
fn modules_are_found_beside_the_file() {
    let folder = Folder::new();
    std::fs::create_dir_all(folder.0.join("sub")).unwrap();
    folder.write("sub/twice.weft", "fn twice(x) = 2 * x\n");
    folder
        .write("sub/layer.weft", "use twice\nlayer l {\n  axis b, t: time\n  in x[b,t]\n  out y[b,t] = twice(x)\n}\n");
    let done = folder.weft(&["check", "sub/layer.weft"]);
    done.good();
}

#[test]
fn phases_are_timed_and_shown() {
    let folder = Folder::new();
    folder.write("layer.weft", LAYER);
    let args = ["check", "layer.weft", "-D", "t=8", "--time-passes", "--print-after", "canonicalise"];
    let done = folder.weft(&[&args[..], &["--print-after", "schedule"]].concat()).good();
    for word in ["; after canonicalise\ngraph window", "; after schedule\nplan window", "phase", "elaborate", "total"] {
        assert!(done.stderr.contains(word), "no {word:?} in\n{}", done.stderr);
    }
    assert!(!done.stderr.contains("; after lower"));
    let plain = folder.weft(&["check", "layer.weft", "-D", "t=8"]).good();
    assert_eq!(plain.stderr, "", "nothing else is said");
}

#[test]
fn notes_are_shown_on_request() {
    let folder = Folder::new();
    folder.write("layer.weft", LAYER);
    let notes = folder.weft(&["check", "layer.weft", "-D", "t=8", "--json"]).good().json()["notes"].clone();
    let first = notes[0].as_str().unwrap();
    let shown = |extra: &[&str]| folder.weft(&[&["check", "layer.weft", "-D", "t=8"], extra].concat()).good().stdout();
    assert!(shown(&["--notes"]).contains(first));
    assert!(!shown(&[]).contains(first));
}

/// An output over two positions is refused with its name, and stored where that is asked for.
#[test]
fn quadratic_memory_is_asked_for() {
    let text = "layer pairs {\n  size  E = 4\n  axis  b, t: time\n  index j: t, e: E\n  in    x[b,t,e]\n  \
                out y[b,t,j] = sum(e: x * x[b,j,e] where j <= t)\n}\n";
    let folder = Folder::new();
    folder.write("pairs.weft", text);
    for backend in ["interpreter", "cranelift"] {
        let args = ["check", "pairs.weft", "-D", "b=2", "-D", "t=37", "--backend", backend];
        folder.weft(&args).fails(1, "E0601");
        let allowed: Vec<&str> = args.into_iter().chain(["--allow-quadratic-memory", "--json"]).collect();
        let report = folder.weft(&allowed).good().json();
        assert_eq!(report["ok"], true, "{backend}");
        assert!(report["outputs"].as_array().unwrap().iter().any(|o| o["against"] == "evaluator" && o["ok"] == true));
    }
}
