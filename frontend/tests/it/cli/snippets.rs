//! The command lines of `weft explain` do what they say: `wrong` ends with its code, `right` without an error.

use super::{Folder, LAYER, file, inputs, ints};
use weft::diagnostics::{Code, Color, codes, render};
use weft::driver::{Entry, Failure, Fault, encode};
use weft_cranelift::CompileError;
use weft_ir::DType;
use weft_ir::eval::Tensor;

/// The files that the command lines speak of.
fn folder() -> Folder {
    let folder = Folder::new();
    folder.write("layer.weft", LAYER);
    folder.write("inputs.safetensors", file(&inputs()));
    let cotangent = super::floats("cot.y", &[2, 5, 4], |i| i as f64);
    folder.write("cotangents.safetensors", file(&[inputs(), vec![cotangent]].concat()));
    let mut misspelled = inputs();
    misspelled[1].name = "gian".to_owned();
    folder.write("misspelled.safetensors", file(&misspelled));
    let mut truths = inputs();
    truths[0] = Entry { name: "x".to_owned(), tensor: Tensor::bools(&[2, 5, 4], vec![true; 40]), dtype: DType::Bool };
    folder.write("truths.safetensors", file(&truths));
    for (name, lengths) in [("ragged", [3, 5]), ("too_long", [3, 6])] {
        let mut entries = inputs();
        entries.push(ints("t.len", &lengths));
        folder.write(&format!("{name}.safetensors"), file(&entries));
    }
    folder.write("bad_sizes.safetensors", encode(&inputs(), &[("sizes", "E=4".to_owned())]).unwrap());
    folder.weft(&["compile", "layer.weft", "-o", "emitted", "--emit", "graph"]).good();
    folder.write("layer.graph", folder.read("emitted/window.graph"));
    let layer = |body: &str| format!("layer l {{\n  axis  b, t: time\n  index j: t\n  in    x[b,t]\n{body}}}\n");
    folder.write("good.graph", folder.read("emitted/window.graph"));
    folder.write(
        "broken.graph",
        "graph l\ndomain t = runtime time\naxis t: t\nin x[t]: float\n%0 = input x : float[t]\n%1 = and %0, %0 : bool[t]\n",
    );
    folder.write("lib.weft", "fn rms_norm(x) = x / sqrt(x * x + 1e-5)\n");
    for (file, name) in [("used", "rms_norm"), ("misused", "norm")] {
        folder.write(&format!("{file}.weft"), format!("use lib.{{{name}}}\n{}", layer("  out y[b,t] = 2 * x\n")));
    }
    folder.write("outer.weft", layer("  out y[b,t,j] = if j <= t then x * x[b,j] else 0\n"));
    folder.write("unscheduled.weft", layer("  out y[b,t] = kth[j](x[b,j] where j <= t, t + 1)\n"));
    let largest = layer("  size E = 400\n  index e: E\n  out y[b,t] = kth[e](sin(x * e), 5)\n");
    folder.write("largest.weft", largest);
    folder.weft(&["compile", "layer.weft", "-o", "emitted", "--emit", "schedule"]).good();
    folder.write("layer.schedule", folder.read("emitted/window.schedule"));
    folder.write("wrong.schedule", "tiles y: rows 64\ntiles y: cols 3\n");
    let nearest =
        "layer l {\n  size  N = 4\n  axis  b, t: time\n  index n: N\n  in    x[b,t]\n  param c[n]\n".to_owned();
    let nearest = nearest + "  let at[b,t] = argmin(n: (x - c) * (x - c))\n  out y[b,t] = x * c[at]\n}\n";
    folder.write("nearest.weft", nearest);
    folder.write("undefined.weft", layer("  let n[b,t]: i32 = cast((x - x) / (x - x), i32)\n  out y[b,t] = x * n\n"));
    folder.write("model.weft", LAYER).write("model.safetensors", [0x80, 0x81]);
    folder.write("corpus.txt", "# text\n".repeat(3 << 20));
    let first = LAYER.replace("layer window", "layer first");
    folder.write("two_layers.weft", format!("{first}\n{LAYER}"));
    // Every function uses its argument twice, in ways that cannot be one term.
    let level = |i: usize| format!("fn f{}(x) = f{i}(sin(x)) * f{i}(cos(x))\n", i + 1);
    let doubling = format!("fn f0(x) = x\n{}", (0..24).map(level).collect::<String>());
    folder.write("doubling.weft", doubling + &layer("  out y[b,t] = f24(x)\n"));
    folder
}

/// Is there a snapshot of the message in the tests of the front end?
fn has_picture(code: Code) -> bool {
    !code.wrong().is_command()
}

#[test]
fn command_lines_do_what_they_show() {
    let folder = folder();
    let mut shown = String::new();
    for code in Code::all().filter(|c| c.wrong().is_command()) {
        // Which machine this is no file changes.
        if code == codes::E0605 {
            continue;
        }
        let args = |line: &'static str| line.split_whitespace().take_while(|w| *w != "#").skip(1).collect::<Vec<_>>();
        folder.weft(&args(code.right().text())).good();
        let wrong = code.wrong().text();
        let done = folder.weft(&args(wrong));
        assert_eq!(done.code, 1, "{wrong}");
        let done = done.fails(1, code.as_str());
        // Messages of the front end have pictures in its own tests.
        if code.as_str() >= "E0501" || !has_picture(code) {
            shown += &format!("$ {wrong}\n{}\n", done.stderr);
        }
    }
    insta::assert_snapshot!(shown);
}

#[test]
fn machines_that_lack_something_are_named() {
    let mut shown = String::new();
    for error in [
        CompileError::Unsupported("no generator for riscv32".to_owned()),
        CompileError::MissingFeature { missing: "avx2, fma".to_owned() },
    ] {
        let Failure { sources, fault: Fault::User(diagnostics) } = Fault::from(error).into() else {
            panic!("the user can choose another machine");
        };
        assert_eq!(diagnostics[0].code, codes::E0605);
        shown += &render(&diagnostics, &sources, Color::Never);
    }
    insta::assert_snapshot!(shown);
}
