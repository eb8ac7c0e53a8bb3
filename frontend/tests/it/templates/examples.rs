//! The example layers at sizes for tests.

use super::road::Case;
use crate::support::root;
use weft::sema::Number;

/// One example.
pub(crate) struct Example {
    /// Its file under `examples/`, without the ending.
    pub(crate) file: &'static str,
    /// Small sizes.
    pub(crate) sizes: &'static [(&'static str, i64)],
    /// Other sizes that are awkward for it, one set for each run.
    pub(crate) awkward: &'static [&'static [(&'static str, i64)]],
}

/// Every example and every layer of the gallery.
pub(crate) const EXAMPLES: &[Example] = &[
    Example {
        file: "attamba",
        sizes: &[
            ("E", 8),
            ("H", 2),
            ("HKV", 2),
            ("D", 4),
            ("HS", 2),
            ("PH", 3),
            ("N", 3),
            ("G", 1),
            ("W", 3),
            ("P", 3),
            ("LEAD", 2),
            ("OFFSET", 1),
        ],
        awkward: &[
            &[("P", 40), ("LEAD", 0)],
            &[("P", 1), ("LEAD", 64)],
            &[("H", 4), ("G", 2), ("W", 1), ("OFFSET", 0)],
        ],
    },
    Example {
        file: "attamba_sparsek",
        sizes: &[
            ("E", 8),
            ("H", 2),
            ("HKV", 2),
            ("D", 4),
            ("HS", 2),
            ("PH", 3),
            ("N", 3),
            ("G", 1),
            ("W", 3),
            ("P", 3),
            ("LEAD", 2),
            ("OFFSET", 1),
            ("K", 2),
        ],
        awkward: &[&[("P", 40), ("LEAD", 0)], &[("P", 1), ("LEAD", 64)], &[("H", 4), ("K", 30), ("P", 1), ("LEAD", 0)]],
    },
    Example {
        file: "sparsek",
        sizes: &[("E", 8), ("HKV", 2), ("GQ", 2), ("D", 4), ("K", 2), ("WIN", 3)],
        awkward: &[&[("WIN", 64)], &[("WIN", 1), ("K", 1)], &[("K", 40), ("WIN", 2), ("GQ", 1)]],
    },
    Example {
        file: "transformer_vq",
        sizes: &[("E", 8), ("DK", 4), ("DV", 6), ("S", 5), ("M", 3), ("L", 4)],
        awkward: &[&[("L", 40), ("M", 64)], &[("L", 1), ("M", 1)], &[("L", 3), ("M", 7), ("S", 1)]],
    },
    Example {
        file: "gallery/gqa_window",
        sizes: &[("E", 8), ("H", 4), ("HKV", 2), ("D", 4), ("WIN", 5)],
        awkward: &[&[("WIN", 64)], &[("WIN", 1)], &[("H", 2), ("HKV", 1)]],
    },
    Example { file: "gallery/alibi", sizes: &[("E", 8), ("H", 2), ("D", 4)], awkward: &[&[("H", 3)], &[("D", 1)]] },
    Example {
        file: "gallery/cross_attention",
        sizes: &[("E", 8), ("C", 5), ("H", 4), ("HKV", 2), ("D", 4)],
        awkward: &[&[("H", 2), ("HKV", 1)]],
    },
    Example {
        file: "gallery/gla",
        sizes: &[("E", 8), ("H", 2), ("D", 4), ("V", 3), ("R", 2)],
        awkward: &[&[("V", 1)], &[("R", 1)]],
    },
    Example {
        file: "gallery/gqa",
        sizes: &[("E", 8), ("H", 4), ("HKV", 2), ("D", 4)],
        awkward: &[&[("H", 2), ("HKV", 1)]],
    },
    Example {
        file: "gallery/linear_attention",
        sizes: &[("E", 8), ("H", 2), ("D", 4), ("V", 3)],
        awkward: &[&[("V", 1)]],
    },
    Example {
        file: "gallery/mamba2_recurrent",
        sizes: &[("E", 8), ("HS", 2), ("PH", 3), ("G", 1), ("N", 4), ("W", 2)],
        awkward: &[&[("HS", 4), ("G", 2)]],
    },
    Example { file: "gallery/retention", sizes: &[("E", 8), ("H", 2), ("D", 4), ("V", 3)], awkward: &[&[("V", 1)]] },
    Example {
        file: "gallery/mamba2",
        sizes: &[("E", 8), ("HS", 2), ("PH", 3), ("G", 1), ("N", 4)],
        awkward: &[&[("N", 1)], &[("HS", 4), ("G", 2)], &[("PH", 1)]],
    },
    Example {
        file: "gallery/nsa",
        sizes: &[("E", 8), ("HKV", 2), ("GQ", 2), ("D", 4), ("LB", 3), ("NSEL", 2), ("WIN", 4)],
        awkward: &[&[("LB", 40)], &[("LB", 1), ("WIN", 1)], &[("NSEL", 9), ("WIN", 64), ("GQ", 1)]],
    },
];

impl Example {
    pub(crate) fn text(&self) -> String {
        std::fs::read_to_string(root().join("examples").join(format!("{}.weft", self.file))).unwrap()
    }

    /// The example with some sizes changed.
    pub(crate) fn case(&self, changed: &[(&str, i64)], lengths: &[usize]) -> Case {
        let mut case = Case::new(&self.text(), self.sizes, lengths);
        for &(name, value) in changed {
            let size = case.sizes.iter_mut().find(|s| s.0 == name);
            size.unwrap_or_else(|| panic!("{} has no size {name}", self.file)).1 = Number::Int(value);
        }
        case
    }
}

/// The example of that file.
pub(crate) fn example(file: &str) -> &'static Example {
    EXAMPLES.iter().find(|e| e.file == file).unwrap_or_else(|| panic!("no example {file}"))
}

#[test]
fn none_is_missing() {
    let files = crate::support::sources().into_iter().map(|(path, _)| path);
    let names: Vec<String> = files.filter_map(|p| Some(p.file_stem()?.to_str()?.to_owned())).collect();
    for name in names.iter().filter(|n| *n != "std") {
        let known = EXAMPLES.iter().any(|e| e.file == *name || e.file == format!("gallery/{name}"));
        assert!(known, "{name}.weft has no sizes for tests");
    }
}
