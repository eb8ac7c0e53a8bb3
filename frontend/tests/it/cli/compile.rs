//! `weft compile`

use super::{Folder, LAYER};

#[test]
fn stages_are_written() {
    let folder = Folder::new();
    folder.write("layer.weft", LAYER);
    let done = folder.weft(&["compile", "layer.weft", "--target", "cranelift", "-o", "out"]).good();
    assert_eq!(done.stdout().lines().count(), 8);
    let text = |name: &str| folder.text(&format!("out/window.{name}"));
    assert!(text("graph").starts_with("graph window\n"));
    assert!(text("canonical.graph").starts_with("graph window\n"));
    assert!(text("kernel").starts_with("plan window {\n"));
    assert!(text("clif").contains("function "));
    assert!(text("dot").starts_with("digraph \"window\" {"));
    assert!(!text("loop").is_empty() && !text("notes").is_empty());
    // A picture's braces and quotes are balanced, and its edges lead from and to what is drawn.
    let dot = text("dot");
    let drawn: Vec<&str> =
        dot.lines().filter(|l| l.contains("[label=")).filter_map(|l| l.split_whitespace().next()).collect();
    for edge in dot.lines().filter_map(|l| l.split_once(" -> ")) {
        let (from, to) = (edge.0.trim(), edge.1.trim_end_matches(';'));
        assert!(drawn.contains(&from) && drawn.contains(&to), "{edge:?}");
    }
    assert_eq!(dot.matches('"').count() % 2, 0);
}

#[test]
fn some_stages_to_standard_output() {
    let folder = Folder::new();
    folder.write("layer.weft", LAYER);
    let one = folder.weft(&["compile", "layer.weft", "-o", "-", "--emit", "kernel"]).good().stdout();
    assert!(one.starts_with("plan window {\n"));
    let two = folder.weft(&["compile", "layer.weft", "-o", "-", "--emit", "kernel,graph"]).good().stdout();
    assert!(two.starts_with("; graph\ngraph window\n") && two.contains("\n; kernel\nplan window {\n"));
    assert_eq!(folder.names(), ["layer.weft"]);
    let json = folder.weft(&["compile", "layer.weft", "-o", "o", "--emit", "graph", "--json"]).good().json();
    assert_eq!(json["files"]["graph"], "o/window.graph");
}

/// What the command line promises for later is refused by name, before anything is done.
#[test]
fn later_versions() {
    let folder = Folder::new();
    folder.write("layer.weft", LAYER);
    for extra in [
        ["--target", "sm_90a"],
        ["--target", "host"],
        ["--emit", "ptx"],
        ["--emit", "graph,llvm"],
        ["--mode", "prefill"],
    ] {
        let args = [&["compile", "layer.weft", "-o", "out"], &extra[..]].concat();
        folder.weft(&args).fails(1, "E0604");
    }
    assert_eq!(folder.names(), ["layer.weft"]);
    folder.weft(&["compile", "layer.weft", "-o", "out", "--target", "pdp11"]).fails(2, "sm_90a");
    folder.weft(&["compile", "layer.weft", "-o", "out", "--emit", "pictures"]).fails(2, "dot");
}
