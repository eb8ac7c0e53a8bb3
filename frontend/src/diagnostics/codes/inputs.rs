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
    E0510 = "file that cannot be read or written" {
        "The operating system refused a file that the command line names, or it is larger than such a file may be. `-` stands for standard input or output. An output file is written beside the old one and then takes its name, so after an error the old one is still there.",
        wrong: "$ weft check missing.weft",
        right: "$ weft check layer.weft",
    }
    E0511 = "file that is not a tensor file" {
        "Tensors are read from files in the safetensors format, with elements of type `BOOL`, `I8` to `I64`, `U8` to `U32`, `BF16`, `F16`, `F32` or `F64`.",
        wrong: "$ weft run layer.weft --inputs layer.weft --outputs y.safetensors",
        right: "$ weft run layer.weft --inputs inputs.safetensors --outputs y.safetensors",
    }
    E0512 = "tensor that is missing or unknown" {
        "The inputs hold a tensor for every `in` and `param` of the layer, under its name in the source (`x`, `k.wz`), and no others but the lengths `t.len` of a ragged time axis `t`. In a golden file inputs are called `in.x` and outputs `out.y`.",
        wrong: "$ weft run layer.weft --inputs misspelled.safetensors --outputs y.safetensors",
        right: "$ weft run layer.weft --inputs inputs.safetensors --outputs y.safetensors",
    }
    E0513 = "tensor of the wrong shape" {
        "The dimensions of a tensor are the axes of its declaration, in that order. Sizes come from the source, from `-D`, or from the metadata of the file; they do not follow from shapes.",
        wrong: "$ weft run layer.weft -D E=5 --inputs inputs.safetensors --outputs y.safetensors",
        right: "$ weft run layer.weft --inputs inputs.safetensors --outputs y.safetensors",
    }
    E0514 = "tensor of the wrong element type" {
        "Floats of any width, and integers, are converted to the float type of the layer; integers of any width to its integer types. Nothing else is converted: a float is no index, and a truth value is no number.",
        wrong: "$ weft run layer.weft --inputs truths.safetensors --outputs y.safetensors",
        right: "$ weft run layer.weft --inputs inputs.safetensors --outputs y.safetensors",
    }
    E0515 = "lengths that do not fit the inputs" {
        "The tensor `t.len` of integers holds the length of each batch element along the time axis `t`: one for each, from 1 to the extent of `t` in the inputs.",
        wrong: "$ weft run layer.weft --inputs too_long.safetensors --outputs y.safetensors",
        right: "$ weft run layer.weft --inputs ragged.safetensors --outputs y.safetensors",
    }
    E0516 = "runtime extent that is unknown or contradictory" {
        "The extents of `axis` declarations come from the shapes of the inputs, where every tensor must agree, or from `-D` where no input has the axis. They are at least 1.",
        wrong: "$ weft run layer.weft -D t=6 --inputs inputs.safetensors --outputs y.safetensors",
        right: "$ weft run layer.weft --inputs inputs.safetensors --outputs y.safetensors",
    }
    E0517 = "metadata that cannot be understood" {
        "The metadata entry `sizes` of a tensor file is a JSON object from names of sizes and constants to numbers: `{\"E\": 32, \"GAMMA\": 0.5}`.",
        wrong: "$ weft run layer.weft --inputs bad_sizes.safetensors --outputs y.safetensors",
        right: "$ weft run layer.weft --inputs inputs.safetensors --outputs y.safetensors",
    }
    E0518 = "more memory or work than there may be" {
        "A tensor has at most 2^31 elements. The evaluator and the interpreter are there to check kernels, not to replace them, and refuse what would keep them busy for hours.",
        wrong: "$ weft check layer.weft -D t=1000000000",
        right: "$ weft check layer.weft -D t=64",
    }
    E0519 = "text that is not an IR" {
        "`weft opt` reads graph IR, whose first word is `graph`, and kernel IR, whose first word is `plan`. `weft compile --emit graph,kernel` writes both.",
        wrong: "$ weft opt layer.weft",
        right: "$ weft opt layer.graph",
    }
    E0520 = "IR that a pass does not take" {
        "Each pass of `weft opt` takes one IR: `canonicalise` and `schedule` take graph IR, `lower` takes the kernel IR that `schedule` gives. `verify` says whether a text keeps the rules of its IR.",
        wrong: "$ weft opt layer.graph --passes lower",
        right: "$ weft opt layer.graph --passes canonicalise,schedule,lower",
    }
    E0521 = "code that does not exist" {
        "`weft explain` takes the code of an error or a warning, such as `E0203`; without one it lists all.",
        wrong: "$ weft explain E9999",
        right: "$ weft explain E0521",
    }
    E0522 = "gradient that there is not" {
        "Gradients are taken of outputs that hold floats, in inputs and parameters that hold floats. `--wrt` lists the latter by their names in the source; the cotangent of the output `y` is called `cot.y`.",
        wrong: "$ weft run layer.weft --mode backward --wrt gian --inputs cotangents.safetensors --outputs g.safetensors",
        right: "$ weft run layer.weft --mode backward --wrt gain --inputs cotangents.safetensors --outputs g.safetensors",
    }
    E0523 = "backward run without a cotangent" {
        "A backward run starts from cotangents: for an output `y` the tensor `cot.y` of its shape, the derivative of the loss in `y`. An output without one counts as unused; all of them without one leave nothing to compute.",
        wrong: "$ weft run layer.weft --mode backward --inputs inputs.safetensors --outputs g.safetensors",
        right: "$ weft run layer.weft --mode backward --inputs cotangents.safetensors --outputs g.safetensors",
    }
}
