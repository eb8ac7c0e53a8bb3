//! `weft run --mode backward`, `weft check --grad`, `weft compile --mode backward`

use super::{BACKENDS, Folder, LAYER, file, floats, inputs, ints};
use weft::driver::{Entry, TensorFile};
use weft_ir::eval::{Elements, Tensor};

const BACKWARD: [&str; 8] =
    ["run", "layer.weft", "--mode", "backward", "--inputs", "in.safetensors", "--outputs", "g.safetensors"];

/// Two outputs of floats and one of integers; `y` does not depend on `w`.
const TWO: &str = "\
layer two {
  size  E = 3
  axis  b, t: time
  index e: E
  in    x[b,t,e]
  param w[e]
  out y[b,t] = sum(e: x * x)
  out z[b,t] = sum(e: w * x)
  out at[b,t] = argmax(e: x)
}
";

fn cotangent() -> Entry {
    floats("cot.y", &[2, 5, 4], |i| ((i * 7) % 11) as f64 - 4.0)
}

fn made(folder: &Folder) -> TensorFile {
    TensorFile::parse("g", &folder.read("g.safetensors")).unwrap()
}

fn values(entry: &Entry) -> Vec<f64> {
    entry.tensor.to_f64()
}

/// By hand: the gradient of `gain * sum of the last WIN x` over sequences of two lengths.
fn by_hand(lengths: [usize; 2]) -> (Vec<f64>, Vec<f64>) {
    let (given, c) = (inputs(), values(&cotangent()));
    let (x, gain) = (values(&given[0]), values(&given[1]));
    let at = |b: usize, t: usize, e: usize| (b * 5 + t) * 4 + e;
    let (mut dx, mut dgain) = (vec![0.0; 40], vec![0.0; 4]);
    for (b, &length) in lengths.iter().enumerate() {
        for t in 0..length {
            for j in t.saturating_sub(2)..=t {
                for e in 0..4 {
                    dx[at(b, j, e)] += gain[e] * c[at(b, t, e)];
                    dgain[e] += x[at(b, j, e)] * c[at(b, t, e)];
                }
            }
        }
    }
    (dx, dgain)
}

#[test]
fn gradients_by_hand() {
    let folder = Folder::new();
    let mut entries = inputs();
    entries.push(cotangent());
    folder.write("layer.weft", LAYER).write("in.safetensors", file(&entries));
    for backend in BACKENDS {
        let done = folder.weft(&[&BACKWARD[..], &["--backend", backend]].concat()).good();
        assert_eq!((done.stdout(), done.stderr), (String::new(), String::new()));
        let made = made(&folder);
        let (dx, dgain) = by_hand([5, 5]);
        assert_eq!(made.tensors["grad.x"], Tensor::floats(&[2, 5, 4], dx), "{backend}");
        assert_eq!(made.tensors["grad.gain"], Tensor::floats(&[4], dgain), "{backend}");
        assert_eq!((made.tensors.len(), made.layer.as_deref()), (2, Some("window")));
    }
}

/// What lies behind the end of a sequence is no input and no cotangent, and has no gradient.
#[test]
fn ragged_lengths() {
    let folder = Folder::new();
    let mut entries = inputs();
    entries.push(cotangent());
    for n in [0, 2] {
        if let Elements::F64(x) = &mut entries[n].tensor.data {
            x[3 * 4..5 * 4].fill(f64::NAN);
        }
    }
    entries.push(ints("t.len", &[3, 5]));
    folder.write("layer.weft", LAYER).write("in.safetensors", file(&entries));
    for backend in BACKENDS {
        folder.weft(&[&BACKWARD[..], &["--backend", backend]].concat()).good();
        let (dx, dgain) = by_hand([3, 5]);
        assert_eq!(made(&folder).tensors["grad.x"], Tensor::floats(&[2, 5, 4], dx), "{backend}");
        assert_eq!(made(&folder).tensors["grad.gain"], Tensor::floats(&[4], dgain), "{backend}");
    }
}

#[test]
fn some_gradients_of_some_outputs() {
    let folder = Folder::new();
    let x = floats("x", &[1, 2, 3], |i| i as f64 - 2.0);
    let w = floats("w", &[3], |i| i as f64 + 1.0);
    let (cy, cz) = (floats("cot.y", &[1, 2], |i| i as f64 + 1.0), floats("cot.z", &[1, 2], |i| 3.0 - i as f64));
    folder.write("layer.weft", TWO);
    let run = |cotangents: &[&Entry], more: &[&str], backend: &str| {
        let entries: Vec<Entry> = [&x, &w].into_iter().chain(cotangents.iter().copied()).cloned().collect();
        folder.write("in.safetensors", file(&entries));
        folder.weft(&[&BACKWARD[..], more, &["--backend", backend]].concat()).good();
        made(&folder)
    };
    let dx_of_y = [-4.0, -2.0, 0.0, 4.0, 8.0, 12.0];
    let dx_of_z = [3.0, 6.0, 9.0, 2.0, 4.0, 6.0];
    for backend in BACKENDS {
        let both = run(&[&cy, &cz], &[], backend);
        let sum: Vec<f64> = dx_of_y.iter().zip(dx_of_z).map(|(a, b)| a + b).collect();
        assert_eq!(both.tensors["grad.x"].to_f64(), sum, "{backend}");
        assert_eq!(both.tensors["grad.w"].to_f64(), [-4.0, 1.0, 6.0], "{backend}");
        // No cotangent of `z` reaches `w`: its gradient is 0.
        let one = run(&[&cy], &[], backend);
        assert_eq!(one.tensors["grad.x"].to_f64(), dx_of_y, "{backend}");
        assert_eq!(one.tensors["grad.w"], Tensor::floats(&[3], vec![0.0; 3]), "{backend}");
        let part = run(&[&cz], &["--wrt", "x"], backend);
        assert_eq!(part.tensors["grad.x"].to_f64(), dx_of_z, "{backend}");
        assert_eq!(part.tensors.len(), 1);
        assert_eq!(run(&[&cz], &["--wrt", "w,x"], backend).tensors.len(), 2);
    }
}

#[test]
fn what_has_no_gradient() {
    let folder = Folder::new();
    folder.write("layer.weft", TWO);
    let (x, w) = (floats("x", &[1, 2, 3], |i| i as f64), floats("w", &[3], |i| i as f64));
    let refuse = |more: &[Entry], args: &[&str], code: &str, words: &[&str]| {
        folder.write("in.safetensors", file(&[&[x.clone(), w.clone()], more].concat()));
        let done = folder.weft(&[&BACKWARD[..], args].concat()).fails(1, code);
        let shown = format!("{}{}", done.stdout(), done.stderr);
        assert!(words.iter().all(|w| shown.contains(w)), "{shown}");
    };
    let good = floats("cot.y", &[1, 2], |_| 1.0);
    refuse(&[], &[], "E0523", &["no output of the layer `two` has a cotangent", "`cot.y`, `cot.z`"]);
    refuse(&[floats("cot.at", &[1, 2], |_| 1.0)], &[], "E0522", &["`cot.at`", "it has `y`, `z`"]);
    refuse(&[floats("cot.q", &[1, 2], |_| 1.0)], &[], "E0522", &["`cot.q`"]);
    refuse(&[floats("cot.y", &[1, 3], |_| 1.0)], &[], "E0516", &["`t`"]);
    refuse(&[floats("cot.y", &[2], |_| 1.0)], &[], "E0513", &["cot.y[b,t]"]);
    refuse(&[ints("cot.y", &[1, 2])], &[], "E0513", &["cot.y[b,t]"]);
    refuse(std::slice::from_ref(&good), &["--wrt", "v"], "E0522", &["no input or parameter `v`", "it has `x`, `w`"]);
    folder
        .weft(&["run", "layer.weft", "--wrt", "x", "--inputs", "in.safetensors", "--outputs", "g.safetensors"])
        .fails(1, "--mode backward");
    let counts = "layer c {\n  axis b, t: time\n  in x[b,t]\n  out n[b,t] = cast(x, i32)\n}";
    folder.write("counts.weft", counts);
    folder.weft(&["check", "counts.weft", "--grad"]).fails(1, "E0523");
    assert!(!folder.names().contains(&"g.safetensors".to_owned()));
}

#[test]
fn a_check_shows_gradients_apart() {
    let folder = Folder::new();
    folder.write("layer.weft", LAYER);
    let args = ["check", "layer.weft", "-D", "b=2", "-D", "t=5", "--grad"];
    let shown = folder.weft(&args).good().stdout();
    let (forward, backward) = shown.split_once("gradients of window").unwrap();
    assert!(forward.contains("window  E=4 WIN=3") && !forward.contains("grad.x"), "{shown}");
    assert!(backward.contains("grad.x") && backward.contains("grad.gain"), "{shown}");
    let report = folder.weft(&[&args[..], &["--json"]].concat()).good().json();
    let names: Vec<&str> =
        report["gradients"]["outputs"].as_array().unwrap().iter().map(|o| o["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["y", "grad.x", "grad.gain"]);
    assert_eq!((&report["ok"], &report["gradients"]["ok"]), (&true.into(), &true.into()));
}

/// Scores beyond what an exponential in f32 holds, and a table of distances, in whose gradient weights stand at positions of their own.
const DISTANCES: &str = "\
layer distances {
  size  D = 8, W = 6
  axis  b, t: time
  index j: t, d: D, w: W
  in    q[b,t,d], k[b,t,d], v[b,t,d]
  param far[w,d]
  let near[t,j] = t - j >= 0 and t - j < W
  let s[b,t,j]  = 60 * sum(d: q * k[b,j,d]) + 60 * sum(d: q * far[t - j, d] where near)
  let p[b,t,j]  = softmax[j](s where near)
  out o[b,t,d]  = sum(j: p * v[b,j,d])
}
";

#[test]
fn no_exponential_overflows() {
    let folder = Folder::new();
    folder.write("layer.weft", DISTANCES);
    for backend in ["interpreter", "cranelift"] {
        let sizes = ["-D", "b=1", "-D", "t=40"];
        let all = ["check", "layer.weft", "--grad", "--backend", backend];
        let shown = folder.weft(&[&all[..], &sizes[..]].concat()).good().stdout();
        assert!(shown.contains("ok: 5 of 5 comparisons agree"), "{shown}");
    }
}

#[test]
fn the_backward_plan_is_written() {
    let folder = Folder::new();
    folder.write("layer.weft", LAYER);
    let compile = ["compile", "layer.weft", "--mode", "backward", "-o", "out"];
    folder.weft(&compile).good();
    let plan = folder.text("out/window.backward.kernel");
    assert!(plan.contains("buffer cot.y") && plan.contains("buffer grad.gain") && plan.contains("buffer grad.x"));
    let forward = folder.text("out/window.forward.kernel");
    assert!(forward.contains("buffer y") && !forward.contains("cot.") && !forward.contains("grad."), "{forward}");
    folder.weft(&[&compile[..], &["--wrt", "x", "--emit", "graph,kernel"]].concat()).good();
    assert!(!folder.text("out/window.backward.kernel").contains("grad.gain"));
    let graph = folder.text("out/window.backward.graph");
    assert!(graph.contains("out grad.x[b, t, e]") && graph.contains("in cot.y[b, t, e]"), "{graph}");
    folder.weft(&["compile", "layer.weft", "--mode", "decode", "-o", "out"]).fails(1, "E0604");
}

/// What may be saved bounds what is, and changes nothing else. Decisions are always saved.
#[test]
fn what_is_saved() {
    const LAYER: &str = "\
layer nearest {
  size  E = 6, N = 5
  axis  b, t: time
  index j: t, e: E, n: N
  in    x[b,t,e]
  param c[n,e], w[e]
  let at[b,t]  = argmin(n: sum(e: (x - c) * (x - c)))
  let s[b,t,j] = sum(e: x * x[b,j,e])
  let o[b,t,e] = sum(j: softmax[j](s where j <= t) * c[at[b,j],e])
  out y[b,t]   = sum(e: w * o * o)
}
";
    let folder = Folder::new();
    folder.write("layer.weft", LAYER);
    let check = |most: &str| {
        let args = ["check", "layer.weft", "--grad", "-D", "b=2", "-D", "t=40", "--json", "--max-saved", most];
        folder.weft(&args).good().json()["gradients"].clone()
    };
    let bytes = |report: &serde_json::Value| {
        let saved = report["saved"].as_array().unwrap();
        saved.iter().map(|s| s["bytes"].as_u64().unwrap()).sum::<u64>()
    };
    let decisions = |report: &serde_json::Value| {
        let saved = report["saved"].as_array().unwrap();
        saved.iter().filter(|s| s["decision"] == true).map(|s| s["bytes"].as_u64().unwrap()).sum::<u64>()
    };
    let (all, least) = (check("1G"), check("320"));
    assert_eq!((decisions(&all), decisions(&least)), (2 * 40 * 4, 2 * 40 * 4));
    assert_eq!(bytes(&least), 320);
    assert!(bytes(&all) > 320, "{}", all["saved"]);
    assert!(least["notes"].to_string().contains("computed again in backward"), "{}", least["notes"]);
    let too_little = ["check", "layer.weft", "--grad", "-D", "b=2", "-D", "t=40", "--max-saved", "319"];
    folder.weft(&too_little).fails(1, "E0608").fails(1, "--max-saved 320");
    // Without extents they are typical ones.
    folder.weft(&["compile", "layer.weft", "--mode", "backward", "--max-saved", "1K", "-o", "out"]).fails(1, "E0608");
    let compile = ["compile", "layer.weft", "--mode", "backward", "-o", "out", "--emit", "kernel,notes"];
    folder.weft(&[&compile[..], &["-D", "t=64", "-D", "b=1", "--max-saved", "1K"]].concat()).good();
    for (file, role) in [("out/nearest.forward.kernel", "decision"), ("out/nearest.backward.kernel", "input")] {
        let plan = folder.text(file);
        let saved = plan.lines().find(|l| l.contains("buffer at_:")).unwrap();
        assert!(saved.contains(role), "{saved}");
    }
    assert!(folder.text("out/nearest.backward.notes").contains("a decision"));
    folder.weft(&["check", "layer.weft", "--max-saved", "1K"]).fails(1, "E0522");
    folder.weft(&["check", "layer.weft", "--grad", "--max-saved", "1.5G"]).fails(2, "--max-saved");
    folder.weft(&["check", "layer.weft", "--grad", "--max-saved", "99999999999G"]).fails(2, "--max-saved");
}

/// What a check ran on, with cotangents: one file for forward and backward runs.
#[test]
fn the_inputs_of_a_check() {
    let folder = Folder::new();
    folder.write("layer.weft", LAYER);
    folder.weft(&["check", "layer.weft", "--grad", "-D", "b=2", "-D", "t=5", "--inputs-out", "in.safetensors"]).good();
    let inputs = TensorFile::parse("in", &folder.read("in.safetensors")).unwrap();
    let names: Vec<&str> = inputs.tensors.keys().map(String::as_str).collect();
    assert!(["x", "gain", "cot.y"].iter().all(|n| names.contains(n)) && names.len() == 3, "{names:?}");
    folder.weft(&BACKWARD).good();
    assert_eq!(made(&folder).tensors.len(), 2);
    let forward = ["run", "layer.weft", "--inputs", "in.safetensors", "--outputs", "y.safetensors"];
    folder.weft(&forward).good();
    // What is no output has no cotangent.
    let mut entries = inputs_of(&folder);
    entries[0].name = "cot.z".to_owned();
    folder.write("in.safetensors", file(&entries));
    folder.weft(&forward).fails(1, "E0512");
}

fn inputs_of(folder: &Folder) -> Vec<Entry> {
    let parsed = TensorFile::parse("in", &folder.read("in.safetensors")).unwrap();
    let entry = |(name, tensor): (&String, &Tensor)| Entry {
        name: name.clone(),
        tensor: tensor.clone(),
        dtype: weft_ir::DType::F32,
    };
    parsed.tensors.iter().map(entry).collect()
}
