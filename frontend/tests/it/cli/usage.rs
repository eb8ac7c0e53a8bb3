//! Help, exit codes, colours, JSON.

use super::{Folder, LAYER};

#[test]
fn wrong_usage_is_2() {
    let folder = Folder::new();
    folder.write("layer.weft", LAYER);
    for args in [
        &[][..],
        &["weave"],
        &["check"],
        &["check", "layer.weft", "-D", "WIN"],
        &["check", "layer.weft", "-D", "WIN=many"],
        &["check", "layer.weft", "-D", "=3"],
        &["check", "layer.weft", "--float", "f8"],
        &["check", "layer.weft", "--backend", "abacus"],
        &["check", "layer.weft", "--rows", "0"],
        &["run", "layer.weft", "--inputs", "x"],
        &["run", "layer.weft", "--inputs", "x", "--outputs", "y", "--mode", "sideways"],
        &["compile", "layer.weft"],
        &["fmt"],
        &["completions", "cmd.com"],
        &["check", "layer.weft", "--color", "green"],
        &["check", "layer.weft", "--print-after", "dinner"],
    ] {
        let done = folder.weft(args);
        assert_eq!(done.code, 2, "{args:?}: {}", done.stderr);
        assert!(done.stdout.is_empty(), "{args:?}");
    }
}

#[test]
fn help_and_version_are_0() {
    let folder = Folder::new();
    for command in ["check", "run", "compile", "explain", "fmt", "opt", "completions"] {
        let help = folder.weft(&[command, "--help"]).good().stdout();
        assert!(help.contains("Usage: weft"), "{help}");
    }
    let version = folder.weft(&["--version"]).good().stdout();
    assert_eq!(version.trim(), format!("weft {}", env!("CARGO_PKG_VERSION")));
    insta::assert_snapshot!(folder.weft(&["--help"]).good().stdout());
}

#[test]
fn completions_know_the_commands() {
    let folder = Folder::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = folder.weft(&["completions", shell]).good().stdout();
        assert!(script.contains("check") && script.contains("golden"), "{shell}");
    }
}

/// What is part of the contract and not of this version is named, with a code.
#[test]
fn later_versions() {
    let folder = Folder::new();
    folder.write("layer.weft", LAYER);
    let run = ["run", "layer.weft", "--inputs", "x", "--outputs", "y"];
    for args in [
        &["check", "layer.weft", "--decode"][..],
        &["check", "layer.weft", "--backend", "host"],
        &["check", "layer.weft", "--backend", "cuda"],
        &[&run[..], &["--mode", "decode"]].concat(),
        &[&run[..], &["--mode", "prefill"]].concat(),
        &[&run[..], &["--state-in", "s"]].concat(),
        &[&run[..], &["--state-out", "s"]].concat(),
    ] {
        folder.weft(args).fails(1, "E0604");
    }
}

#[test]
fn errors_as_json() {
    let folder = Folder::new();
    folder.write("bad.weft", LAYER.replace("x[b,j,e]", "z[b,j,e]"));
    let done = folder.weft(&["check", "bad.weft", "--json"]).fails(1, "E0101");
    assert_eq!(done.stderr, "");
    let json = done.json();
    assert_eq!(json["ok"], false);
    let first = &json["diagnostics"][0];
    assert_eq!((&first["code"], &first["primary"]["start"]["line"]), (&"E0101".into(), &7.into()));
    let done = folder.weft(&["check", "none.weft", "--json"]).fails(1, "E0510");
    assert_eq!(done.json()["diagnostics"][0]["primary"], serde_json::Value::Null);
}

#[test]
fn colours_on_request_only() {
    let folder = Folder::new();
    folder.write("layer.weft", LAYER).write("bad.weft", LAYER.replace("x[b,j,e]", "z[b,j,e]"));
    let escape = |args: &[&str]| {
        let done = folder.weft(args);
        (done.stdout().contains('\x1b'), done.stderr.contains('\x1b'))
    };
    assert_eq!(escape(&["check", "layer.weft", "-D", "t=8"]), (false, false));
    assert_eq!(escape(&["check", "layer.weft", "-D", "t=8", "--color", "always"]), (true, false));
    assert_eq!(escape(&["check", "bad.weft"]), (false, false));
    assert_eq!(escape(&["check", "bad.weft", "--color", "always"]), (false, true));
}
