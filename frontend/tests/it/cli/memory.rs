//! What a run takes in memory grows with the length, not with its square.

use super::Folder;

/// A window, chunk ends, and a state, over few features.
const LAYER: &str = "layer long {
  size  E = 4, D = 8, WIN = 8, P = 64
  axis  b, t: time
  index j: t, e: E, d: D
  in    x[b,t,e]
  param wk[d,e], wo[e,d], fade[d]
  let k[b,t,d]  = sum(e: wk * x)
  rec S[b,t,d]  = k + (if t % P == 0 then 0 else 0.5 * S[b, t - 1, d])
  let p[b,t,j]  = softmax[j](sum(d: k * S[b,j,d]) where j <= t and (t - j < WIN or j % P == P - 1))
  let o[b,t,d]  = sum(j: p * S[b,j,d])
  out y[b,t,e]  = sum(d: wo * fade * o)
}
";

/// Memory for code, threads and the like, in bytes.
const REST: u64 = 512 << 20;

#[test]
fn memory_is_linear() {
    const T: u64 = 1 << 16;
    let folder = Folder::new();
    folder.write("long.weft", LAYER);
    let sizes = ["-D", "b=1", "-D", "t=65536", "--rows", "2"];
    let args = [&["check", "long.weft", "--inputs-out", "in.safetensors", "--json"], &sizes[..]].concat();
    let report = folder.weft(&args).good().json();
    let bytes = |what: &str| report["memory"][what].as_u64().unwrap();
    let held = bytes("inputs") + bytes("outputs") + bytes("workspace");
    assert!(held < T * 1024, "{held} bytes");
    // The address space of the process is limited to what it said it holds, and some more.
    let limit = (held + held / 10 + REST) >> 10;
    let command =
        format!("ulimit -v {limit}; exec \"$0\" run long.weft --inputs in.safetensors --outputs y.safetensors");
    let weft = env!("CARGO_BIN_EXE_weft");
    let limited = |line: &str| {
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", line, weft]).current_dir(&folder.0).output().unwrap()
    };
    let done = limited(&command);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    // The limit is one: a value over pairs of positions does not fit.
    folder.write("long.weft", LAYER.replace("out y", "out s[b,t,j] = sum(d: k * k[b,j,d])\n  out y"));
    let done = limited(&format!("{command} --allow-quadratic-memory"));
    assert!(String::from_utf8_lossy(&done.stderr).contains("E0518"), "{}", String::from_utf8_lossy(&done.stderr));
}
