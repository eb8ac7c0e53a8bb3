//! Every example on every stage of its way, as text: a change of a pass shows what it changes.
//!
//! Sizes are small, tiles and target are fixed, and nothing depends on the machine. After a change of a pass, look at
//! `git diff` of `frontend/tests/it/snapshots/examples` after `INSTA_UPDATE=always cargo test -p weft --test it -- texts::`.

use crate::cli::Folder;
use crate::templates::examples::{EXAMPLES, Example};
use crate::templates::road::{Case, graph, plan};
use weft_ir::DType;
use weft_ir::program::Program;
use weft_passes::canon;
use weft_passes::lower::{Target, lower};
use weft_passes::schedule::Tiles;

/// More lines of loop IR than this are not read by anybody.
const READABLE: usize = 120;

/// The smallest kernel that multiplies and adds, if it is readable; else the smallest.
fn chosen(program: &Program) -> usize {
    let size = |n: &usize| {
        let text = program.launches[*n].kernel.to_string();
        let readable = text.contains("fma") && text.lines().count() <= READABLE;
        (!readable, text.len())
    };
    (0..program.launches.len()).min_by_key(size).unwrap_or_else(|| panic!("no launches"))
}

/// What `weft check` prints, without times, errors and this machine.
fn table(example: &Example) -> String {
    let folder = Folder::new();
    folder.write("layer.weft", example.text());
    let mut args: Vec<String> =
        ["check", "layer.weft", "--backend", "interpreter", "-D", "t=12"].map(str::to_owned).to_vec();
    if example.file.ends_with("cross_attention") {
        args.extend(["-D", "m=5"].map(str::to_owned));
    }
    for (name, value) in example.sizes {
        args.extend(["-D".to_owned(), format!("{name}={value}")]);
    }
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let shown = folder.weft(&args).good().stdout();
    let timed = |l: &str| l.contains(" ms") || l.contains(" s ·") || l.contains("comparisons agree, in");
    shown.lines().filter(|l| !timed(l)).map(masked).collect::<Vec<_>>().join("\n")
}

/// What `weft explain` prints.
fn derivation(example: &Example) -> String {
    let folder = Folder::new();
    folder.write("layer.weft", example.text());
    let mut args: Vec<String> = ["explain", "layer.weft"].map(str::to_owned).to_vec();
    for (name, value) in example.sizes {
        args.extend(["-D".to_owned(), format!("{name}={value}")]);
    }
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    folder.weft(&args).good().stdout()
}

/// A line with its errors hidden: they are rounding, which libraries of functions may do otherwise elsewhere.
fn masked(line: &str) -> String {
    let is_error = |w: &str| w.contains("e-") && w.starts_with(|c: char| c.is_ascii_digit());
    let hide = |w: &str| if is_error(w.trim()) { "~".repeat(w.len()) } else { w.to_owned() };
    line.split(' ').map(hide).collect::<Vec<_>>().join(" ")
}

fn texts(file: &str) {
    let example = crate::templates::examples::example(file);
    let mut case: Case = example.case(&[], &[1]);
    case.tiles = Tiles { rows: 8, stream: 8, block: 4, depth: 4, vector: 8 };
    let graph = graph(&case).unwrap();
    let canonical = canon::canonicalise(&graph, canon::Settings { float: DType::F32 }).unwrap();
    let plan = plan(&graph, DType::F32, case.tiles).unwrap().plan;
    let program = lower(&plan, &Target::default()).unwrap();
    let kernel = &program.launches[chosen(&program)].kernel;
    let clif = weft_cranelift::clif_x86_64(kernel);
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("snapshots/examples");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| {
        let name = |stage: &str| format!("{}.{stage}", file.trim_start_matches("gallery/"));
        insta::assert_snapshot!(name("1-graph"), graph.to_string());
        insta::assert_snapshot!(name("2-canonical"), canonical.to_string());
        insta::assert_snapshot!(name("3-plan"), plan.to_string());
        insta::assert_snapshot!(name("4-loop"), kernel.to_string());
        // A build for another architecture may lack the generator of x86-64.
        if let Ok(clif) = clif {
            insta::assert_snapshot!(name("5-clif"), clif);
        }
        insta::assert_snapshot!(name("6-check"), table(example));
        insta::assert_snapshot!(name("7-derivation"), derivation(example));
    });
}

macro_rules! texts {
    ($($test:ident = $file:literal;)*) => {
        $(#[test] fn $test() { texts($file); })*

        #[test]
        fn every_example_is_here() {
            let here = [$($file),*];
            for e in EXAMPLES {
                assert!(here.contains(&e.file), "{} has no snapshots", e.file);
            }
        }
    };
}

texts! {
    attamba = "attamba";
    attamba_sparsek = "attamba_sparsek";
    sparsek = "sparsek";
    transformer_vq = "transformer_vq";
    gqa_window = "gallery/gqa_window";
    alibi = "gallery/alibi";
    cross_attention = "gallery/cross_attention";
    gla = "gallery/gla";
    gqa = "gallery/gqa";
    linear_attention = "gallery/linear_attention";
    mamba2_recurrent = "gallery/mamba2_recurrent";
    retention = "gallery/retention";
    mamba2 = "gallery/mamba2";
    nsa = "gallery/nsa";
}
