//! `weft run`

use super::{BACKENDS, Folder, LAYER, expected, file, floats, inputs, ints};
use crate::support::root;
use weft::driver::{Entry, TensorFile, encode};
use weft_ir::DType;
use weft_ir::eval::{Elements, Tensor};

fn outputs(folder: &Folder, name: &str) -> TensorFile {
    TensorFile::parse(name, &folder.read(name)).unwrap()
}

#[test]
fn tensors_in_tensors_out() {
    let folder = Folder::new();
    folder.write("layer.weft", LAYER).write("in.safetensors", file(&inputs()));
    for backend in BACKENDS {
        let args = ["run", "layer.weft", "--inputs", "in.safetensors", "--outputs", "y.safetensors"];
        let done = folder.weft(&[&args[..], &["--backend", backend]].concat()).good();
        assert_eq!((done.stdout(), done.stderr), (String::new(), String::new()));
        let made = outputs(&folder, "y.safetensors");
        assert_eq!(made.tensors["y"], Tensor::floats(&[2, 5, 4], expected(&[5, 5])), "{backend}");
        assert_eq!(made.layer.as_deref(), Some("window"));
        assert_eq!(made.sizes.len(), 2);
        let header = String::from_utf8_lossy(&folder.read("y.safetensors")).into_owned();
        let dtype = if backend == "cranelift" { "\"F32\"" } else { "\"F64\"" };
        assert!(header.contains(dtype), "{backend}: {header}");
    }
    assert_eq!(folder.names(), ["in.safetensors", "layer.weft", "y.safetensors"], "nothing else is left");
}

/// What `check` ran on is what `run` reads.
#[test]
fn inputs_of_a_check_run() {
    let folder = Folder::new();
    folder.write("layer.weft", LAYER);
    let sizes = ["-D", "b=2", "-D", "t=5"];
    folder.weft(&[&["check", "layer.weft", "--inputs-out", "in.safetensors"], &sizes[..]].concat()).good();
    folder.weft(&["run", "layer.weft", "--inputs", "in.safetensors", "--outputs", "y.safetensors"]).good();
    let (given, made) = (outputs(&folder, "in.safetensors"), outputs(&folder, "y.safetensors"));
    assert_eq!(given.layer.as_deref(), Some("window"));
    assert_eq!(made.tensors["y"].shape, given.tensors["x"].shape);
}

/// Lengths make what lies behind them invisible, whatever it is.
#[test]
fn ragged_lengths() {
    let folder = Folder::new();
    let mut entries = inputs();
    if let Elements::F64(x) = &mut entries[0].tensor.data {
        x[3 * 4..5 * 4].fill(f64::NAN);
    }
    entries.push(ints("t.len", &[3, 5]));
    folder.write("layer.weft", LAYER).write("in.safetensors", file(&entries));
    for backend in BACKENDS {
        let args = ["run", "layer.weft", "--inputs", "in.safetensors", "--outputs", "y.safetensors"];
        folder.weft(&[&args[..], &["--backend", backend]].concat()).good();
        let made = outputs(&folder, "y.safetensors");
        assert_eq!(made.tensors["y"], Tensor::floats(&[2, 5, 4], expected(&[3, 5])), "{backend}");
    }
}

#[test]
fn every_width_is_converted() {
    let folder = Folder::new();
    folder.write("layer.weft", LAYER);
    for dtype in [DType::F32, DType::BF16, DType::F64] {
        let mut entries = inputs();
        entries[0].dtype = dtype;
        // Integers stand for floats.
        let gain = Tensor::ints(&[4], vec![1, 2, -2, 4]);
        entries[1] = Entry { name: "gain".into(), tensor: gain, dtype: DType::I32 };
        folder.write("in.safetensors", file(&entries));
        folder.weft(&["run", "layer.weft", "--inputs", "in.safetensors", "--outputs", "y.safetensors"]).good();
        let mut wanted = expected(&[5, 5]);
        wanted.iter_mut().skip(1).step_by(4).for_each(|v| *v *= 4.0);
        assert_eq!(outputs(&folder, "y.safetensors").tensors["y"].to_f64(), wanted, "{dtype}");
    }
}

#[test]
fn standard_input_and_output() {
    let folder = Folder::new();
    folder.write("layer.weft", LAYER);
    let done = folder.weft_with(&["run", "layer.weft", "--inputs", "-", "--outputs", "-"], &file(&inputs())).good();
    let made = TensorFile::parse("stdout", &done.stdout).unwrap();
    assert_eq!(made.tensors["y"].to_f64(), expected(&[5, 5]));
    folder.write("in.safetensors", file(&inputs()));
    let args = ["run", "-", "--inputs", "in.safetensors", "--outputs", "y.safetensors"];
    folder.weft_with(&args, LAYER.as_bytes()).good();
}

/// A golden file's inputs, run, are its outputs: all backends, on the layer with outputs of three kinds.
#[test]
fn goldens_run() {
    let folder = Folder::new();
    let path = root().join("tests/golden/transformer_vq.small.safetensors");
    let golden = TensorFile::parse("golden", &std::fs::read(path).unwrap()).unwrap();
    let given: Vec<Entry> =
        golden.with_prefix("in.").into_iter().map(|(name, tensor)| Entry { name, tensor, dtype: DType::F64 }).collect();
    let sizes: serde_json::Map<String, serde_json::Value> =
        golden.sizes.iter().map(|(n, v)| (n.clone(), serde_json::from_str(&v.to_string()).unwrap())).collect();
    let metadata = [("sizes", serde_json::Value::Object(sizes).to_string())];
    folder.write("in.safetensors", encode(&given, &metadata).unwrap());
    let example = root().join("examples/transformer_vq.weft").display().to_string();
    for backend in BACKENDS {
        let args = ["run", &example, "--inputs", "in.safetensors", "--outputs", "out.safetensors", "--json"];
        let done = folder.weft(&[&args[..], &["--backend", backend]].concat()).good();
        assert_eq!(done.json()["outputs"]["z"], serde_json::json!({ "shape": [2, 96], "type": "i32" }));
        let made = outputs(&folder, "out.safetensors");
        for (name, wanted) in golden.with_prefix("out.") {
            let found = &made.tensors[&name];
            assert_eq!(found.shape, wanted.shape);
            let (a, b) = (found.to_f64(), wanted.to_f64());
            let far = a.iter().zip(&b).map(|(x, y)| (x - y).powi(2)).sum::<f64>().sqrt();
            let norm = b.iter().map(|y| y * y).sum::<f64>().sqrt();
            let bound = if backend == "cranelift" { 1e-4 } else { 1e-10 };
            assert!(far <= bound * norm, "{name} on {backend}: {far} of {norm}");
        }
    }
}

/// Whatever goes wrong, an output file that was there stays as it was, and none is begun.
#[test]
fn failures_touch_nothing() {
    let folder = Folder::new();
    folder.write("layer.weft", LAYER).write("in.safetensors", file(&inputs()));
    folder.write("broken.weft", LAYER.replace("WIN)", "WINX)"));
    folder.write("short.safetensors", file(&inputs()[..1]));
    folder.write("cut.safetensors", &file(&inputs())[..100]);
    let before = folder.names();
    for (layer, given, code) in [
        ("broken.weft", "in.safetensors", "E0101"),
        ("layer.weft", "short.safetensors", "E0512"),
        ("layer.weft", "cut.safetensors", "E0511"),
        ("layer.weft", "none.safetensors", "E0510"),
        ("none.weft", "in.safetensors", "E0510"),
    ] {
        folder.weft(&["run", layer, "--inputs", given, "--outputs", "y.safetensors"]).fails(1, code);
        assert_eq!(folder.names(), before);
    }
    folder.write("y.safetensors", "old");
    folder.weft(&["run", "layer.weft", "--inputs", "cut.safetensors", "--outputs", "y.safetensors"]).fails(1, "E0511");
    assert_eq!(folder.text("y.safetensors"), "old");
    // A place that cannot be written is found out, too.
    let args = ["run", "layer.weft", "--inputs", "in.safetensors", "--outputs", "no/such/folder/y.safetensors"];
    folder.weft(&args).fails(1, "E0510");
    std::fs::create_dir(folder.0.join("dir")).unwrap();
    folder.weft(&["run", "layer.weft", "--inputs", "in.safetensors", "--outputs", "dir"]).fails(1, "E0510");
    let left: Vec<String> = folder.names().into_iter().filter(|n| n.contains("tmp")).collect();
    assert_eq!(left, Vec::<String>::new());
}

/// Shapes come from files: none may size anything before it is checked.
#[test]
fn absurd_shapes_are_refused() {
    let folder = Folder::new();
    folder.write("layer.weft", LAYER);
    for shape in ["[4294967296,4294967296,4]", "[2,-1,4]", "[0,5,4]", "[2,18446744073709551615,4]"] {
        let header = format!(r#"{{"x":{{"dtype":"F64","shape":{shape},"data_offsets":[0,0]}}}}"#);
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        folder.write("in.safetensors", bytes);
        folder.weft(&["run", "layer.weft", "--inputs", "in.safetensors", "--outputs", "y"]).fails(1, "E051");
    }
    let mut lengths = inputs();
    lengths.push(ints("t.len", &[i64::MAX, -1]));
    folder.write("in.safetensors", file(&lengths));
    folder.weft(&["run", "layer.weft", "--inputs", "in.safetensors", "--outputs", "y"]).fails(1, "E0515");
    folder.write("in.safetensors", file(&[floats("x", &[0, 5, 4], |_| 0.0), inputs().remove(1)]));
    folder.weft(&["run", "layer.weft", "--inputs", "in.safetensors", "--outputs", "y"]).fails(1, "E0516");
}
