//! `weft opt`

use super::{Folder, LAYER};

/// A compilation in two commands is the same as in one.
#[test]
fn passes_by_name() {
    let folder = Folder::new();
    folder.write("layer.weft", LAYER);
    folder.weft(&["compile", "layer.weft", "-o", "."]).good();
    let opt = |args: &[&str]| folder.weft(&[&["opt"], args].concat()).good().stdout();
    let trimmed = |name: &str| format!("{}\n", folder.text(name).trim_end());
    for file in ["window.graph", "window.canonical.graph", "window.kernel"] {
        assert_eq!(opt(&[file]), trimmed(file), "{file} comes back");
        assert_eq!(opt(&[file, "--passes", "verify"]), trimmed(file));
    }
    let canonical = opt(&["window.graph", "--passes", "canonicalise"]);
    folder.write("c.graph", &canonical);
    assert_eq!(opt(&["c.graph", "--passes", "schedule,verify"]), trimmed("window.kernel"));
    assert_eq!(opt(&["window.kernel", "--passes", "lower"]), trimmed("window.loop"));
    let stdin = folder.weft_with(&["opt", "-", "-o", "k"], folder.read("window.kernel").as_slice()).good();
    assert_eq!((stdin.stdout().as_str(), folder.text("k")), ("", trimmed("window.kernel")));
}

#[test]
fn mistakes() {
    let folder = Folder::new();
    folder.write("layer.weft", LAYER).write("g", "graph l\n%0 = nonsense\n").write("k", "plan l {\n").write("e", "");
    for file in ["g", "k", "e", "layer.weft"] {
        folder.weft(&["opt", file]).fails(1, "E0519");
    }
    folder.write("b", [0xff, 0xfe]);
    folder.weft(&["opt", "b"]).fails(1, "E0001");
    folder.write("g", "graph l\n");
    folder.weft(&["opt", "g", "--passes", "lower"]).fails(1, "E0520");
    folder.weft(&["opt", "g", "--passes", "inline"]).fails(2, "canonicalise");
}
