//! Schedule files: `compile --emit schedule` writes what `--schedule` reads.

use super::Folder;

/// Two projections, attention, and one more: there is something to fuse and something to tile.
const ATTENTION: &str = "layer attention {
  size  E = 16, D = 8
  axis  b, t: time
  index j: t, e: E, d: D
  in    x[b,t,e]
  param wk[d,e], wv[d,e], wo[e,d]
  let k[b,t,d]  = sum(e: wk * x)
  let v[b,t,d]  = sum(e: wv * x)
  let p[b,t,j]  = softmax[j](sum(d: k * k[b,j,d]) where j <= t)
  let o[b,t,d]  = sum(j: p * v[b,j,d])
  out y[b,t,e]  = sum(d: wo * o)
}
";

fn emitted(folder: &Folder, stage: &str, extra: &[&str]) -> String {
    let args = [&["compile", "attention.weft", "-o", "-", "--emit", stage], extra].concat();
    folder.weft(&args).good().stdout()
}

#[test]
fn what_is_written_is_read() {
    let folder = Folder::new();
    folder.write("attention.weft", ATTENTION);
    let choices = emitted(&folder, "schedule", &[]);
    assert!(choices.contains("tiles o: rows ") && choices.contains("fuse "), "{choices}");
    folder.write("own.schedule", &choices);
    assert_eq!(emitted(&folder, "schedule", &["--schedule", "own.schedule"]), choices);
    let own = emitted(&folder, "kernel", &[]);
    assert_eq!(emitted(&folder, "kernel", &["--schedule", "own.schedule"]), own);
}

#[test]
fn choices_are_kept() {
    let folder = Folder::new();
    folder.write("attention.weft", ATTENTION);
    let own = emitted(&folder, "schedule", &[]);
    let fused: Vec<&str> = own.lines().filter_map(|l| l.strip_prefix("fuse ")?.strip_suffix(": yes")).collect();
    assert!(!fused.is_empty(), "{own}");
    // All kernels apart, and a strange tile.
    let apart: String = fused.iter().map(|pair| format!("fuse {pair}: no\n")).collect();
    folder.write("apart.schedule", format!("# by hand\n{apart}tiles o: rows 3, stream 5\n"));
    let notes = emitted(&folder, "notes", &["--schedule", "apart.schedule"]);
    assert!(fused.iter().take(1).all(|pair| notes.contains(&format!("{pair}: two kernels, as chosen"))), "{notes}");
    let kernel = emitted(&folder, "kernel", &["--schedule", "apart.schedule"]);
    let of_o = kernel.split("  kernel ").find(|k| k.starts_with("o {")).expect("a kernel for o");
    assert!(of_o.contains("axis t: 3 ") && of_o.contains("axis j: 5\n"), "{of_o}");
    let sizes = ["-D", "b=2", "-D", "t=11", "--schedule", "apart.schedule"];
    folder.weft(&[&["check", "attention.weft"][..], &sizes].concat()).good();
}

#[test]
fn what_does_not_fit_is_refused() {
    let folder = Folder::new();
    folder.write("attention.weft", ATTENTION);
    for (text, message) in [
        ("tiles nothing: rows 8", "`nothing`"),
        ("tiles o: rows 8\n\ntiles o: rows many", "line 3"),
        ("fuse y+k: yes", "`y+k`"),
        ("rows 8", "line 1"),
    ] {
        folder.write("bad.schedule", text);
        let done = folder.weft(&["check", "attention.weft", "--schedule", "bad.schedule", "-D", "b=1", "-D", "t=4"]);
        done.fails(1, "E0607").fails(1, message);
    }
    let args = ["check", "attention.weft", "--schedule", "absent.schedule", "-D", "b=1", "-D", "t=4"];
    folder.weft(&args).fails(1, "absent.schedule");
}
