//! E05xx: sizes, inputs, the command line.

codes! {
    E0501 = "`-D` of a name that the layer lacks" {
        "`-D NAME=VALUE` sets a size, a constant, or the extent of a runtime axis. The name must be one of those.",
        wrong: "$ weft check layer.weft -D WINDOW=8",
        right: "$ weft check layer.weft -D WIN=8",
    }
    E0502 = "value of the wrong kind" {
        "Sizes and extents are integers, constants are real numbers. Extents are at least 1.",
        wrong: "$ weft check layer.weft -D WIN=0.5",
        right: "$ weft check layer.weft -D WIN=8",
    }
    E0503 = "fact that does not hold" {
        "`require` states what the layer assumes of its sizes. It is checked for the sizes of this compilation, and proofs may use it.",
        wrong: "layer l {\n  size E = 12, H = 8\n  require E % H == 0\n  axis t: time\n  index e: E\n  in x[t,e]\n  out y[t,e] = x * (E // H)\n}",
        right: "layer l {\n  size E = 16, H = 8\n  require E % H == 0\n  axis t: time\n  index e: E\n  in x[t,e]\n  out y[t,e] = x * (E // H)\n}",
    }
    E0504 = "number out of bounds" {
        "Sizes are from 0 to 2^30, a tensor has at most 2^30 elements for each position of its runtime axes, and ranks start at 1 (`arg_top_k`: at 0).",
        wrong: "layer l {\n  size N = 0 - 1\n  axis t: time\n  in x[t]\n  out y[t] = x * N\n}",
        right: "layer l {\n  size N = 1\n  axis t: time\n  in x[t]\n  out y[t] = x * N\n}",
    }
}
