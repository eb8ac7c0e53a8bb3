//! Silly inputs: each is the user's error with a code, or wrong usage. Nothing panics.

use super::Folder;

const LAYER: &str =
    "layer l { size N = 4\n const C = 1.0\n axis b, t: time\n index a: N\n in x[b,t,a]\n out y[b,t] = C * sum(a: x) }";

#[test]
fn sources() {
    let layer = |body: &str| format!("layer l {{ {body} }}");
    let deep = format!("{}x{}", "(".repeat(5000), ")".repeat(5000));
    let cases = [
        (String::new(), "E0111"),
        ("# \0\n".to_owned(), "E0111"),
        ("layer λ { axis τ: time\n in ξ[τ]\n out ψ[τ] = ξ * 2 }".to_owned(), "E0003"),
        (layer(&format!("axis t: time\n in x[t]\n out y[t] = {deep}")), "E0008"),
        (layer("size N = 99999999999999999999\n axis t: time\n in x[t]\n out y[t] = x * N * 1e99999"), "E0005"),
        (layer("size N = 1073741824\n axis t: time\n index a, b: N\n in x[t,a,b]\n out y[t] = sum(a, b: x)"), "E0504"),
        (layer("size N = 4\n axis t: time\n index a: N - 9\n in x[t,a]\n out y[t] = sum(a: x)"), "E0209"),
    ];
    let folder = Folder::new();
    for (text, code) in cases {
        folder.write("silly.weft", &text);
        folder.weft(&["check", "silly.weft"]).fails(1, code);
    }
}

#[test]
fn definitions() {
    let folder = Folder::new();
    folder.write("l.weft", LAYER);
    let cases = [
        ("N=99999999999999999999", 1, "E0502"),
        ("N=-1", 1, "E0504"),
        ("N=0", 1, "E0209"),
        ("N=1e300", 1, "E0502"),
        ("t=0", 1, "E0502"),
        ("b=1073741825", 1, "E0502"),
        ("N=1073741824", 1, "E0518"),
        ("λ=3", 1, "E0501"),
        ("C=nan", 2, "not a number"),
        ("C=1e400", 2, "not a number"),
        ("N=0x10", 2, "not a number"),
        ("N=4=4", 2, "not a number"),
        ("=", 2, "not a number"),
    ];
    for (define, status, word) in cases {
        folder.weft(&["check", "l.weft", "-D", define]).fails(status, word);
    }
}

#[test]
fn tensor_files() {
    let folder = Folder::new();
    folder.write("l.weft", LAYER);
    let file = |header: &str, data: usize| {
        [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &vec![0; data]].concat()
    };
    let x = |shape: &str, end: usize| {
        format!("{{\"x\":{{\"dtype\":\"F32\",\"shape\":{shape},\"data_offsets\":[0,{end}]}}}}")
    };
    let cases = [
        (b"\x10\0\0".to_vec(), "E0511"),
        (file(&x("[1,2,4]", 16), 16), "E0511"),
        (file(&x("[1,2,4]", 32), 8), "E0511"),
        (file(&x("[4294967296,4294967296,4294967296]", 16), 16), "E0511"),
        (file(&x("[0,0,4]", 0), 0), "E0516"),
        (file(&x("[1,2,3]", 24), 24), "E0513"),
        (file("{}", 0), "E0512"),
    ];
    for (bytes, code) in cases {
        folder.write("silly.safetensors", bytes);
        folder.weft(&["run", "l.weft", "--inputs", "silly.safetensors", "--outputs", "y.safetensors"]).fails(1, code);
        assert!(!folder.names().contains(&"y.safetensors".to_owned()), "{code}: an output is left");
    }
}
