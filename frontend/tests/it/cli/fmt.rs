//! `weft fmt`

use super::{Folder, LAYER};

const MESSY: &str = "layer l {\n   axis b , t:time\n in x[b,t]\n out y[b,t]=2*x\n}\n";

#[test]
fn files_are_formatted_in_place() {
    let folder = Folder::new();
    folder.write("a.weft", MESSY).write("b.weft", LAYER);
    let done = folder.weft(&["fmt", "--check", "a.weft", "b.weft"]).fails(1, "a.weft is not in canonical layout");
    assert!(!done.stdout().contains("b.weft"));
    assert_eq!(folder.text("a.weft"), MESSY);
    folder.weft(&["fmt", "a.weft", "b.weft"]).good();
    let made = folder.text("a.weft");
    assert!(made.contains("out y[b,t] = 2 * x") && made != MESSY);
    assert_eq!(folder.text("b.weft"), LAYER);
    folder.weft(&["fmt", "--check", "a.weft", "b.weft"]).good();
    let piped = folder.weft_with(&["fmt", "-"], MESSY.as_bytes()).good();
    assert_eq!(piped.stdout(), made);
    folder.write("a.weft", MESSY);
    let json = folder.weft(&["fmt", "--check", "a.weft", "--json"]).fails(1, "a.weft").json();
    assert_eq!(json, serde_json::json!({ "ok": false, "changed": ["a.weft"] }));
}

/// One broken file keeps all from being written.
#[test]
fn errors_change_no_file() {
    let folder = Folder::new();
    folder.write("a.weft", MESSY).write("b.weft", "layer {");
    let done = folder.weft(&["fmt", "a.weft", "b.weft"]).fails(1, "b.weft:1");
    assert!(done.stderr.contains("E00"), "{}", done.stderr);
    assert_eq!(folder.text("a.weft"), MESSY);
}
