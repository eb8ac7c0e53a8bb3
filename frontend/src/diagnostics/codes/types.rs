//! E03xx: element types.

codes! {
    E0301 = "truth value used as a number" {
        "Truth values are not numbers: write `if p then 1 else 0`, or count them with `count(j: p)`.",
        wrong: "layer l {\n  axis t: time\n  index j: t\n  in x[t]\n  out y[t] = sum(j: x[j] > 0 where j <= t)\n}",
        right: "layer l {\n  axis t: time\n  index j: t\n  in x[t]\n  out y[t] = count(j: x[j] > 0 where j <= t)\n}",
    }
    E0302 = "number used as a condition" {
        "A condition is a comparison, `and`, `or`, `not`, or a value that is one. There are no numbers that count as true.",
        wrong: "layer l {\n  axis t: time\n  in x[t]\n  out y[t] = if t % 2 then x else 0\n}",
        right: "layer l {\n  axis t: time\n  in x[t]\n  out y[t] = if t % 2 == 1 then x else 0\n}",
    }
    E0303 = "real number where an integer is needed" {
        "Subscripts, extents, `//` and `%` are integer arithmetic. `/` always gives a real number.",
        wrong: "layer l {\n  axis t: time\n  in x[t]\n  out y[t] = x[t / 2]\n}",
        right: "layer l {\n  axis t: time\n  in x[t]\n  out y[t] = x[t // 2]\n}",
    }
    E0304 = "element types that do not fit" {
        "Integers become real numbers by themselves, and nothing else does. `cast(x, i32)` rounds towards zero.",
        wrong: "layer l {\n  axis t: time\n  in x[t]\n  out y[t]: i32 = x\n}",
        right: "layer l {\n  axis t: time\n  in x[t]\n  out y[t]: i32 = cast(x, i32)\n}",
    }
    E0305 = "cases of different types" {
        "Both cases of an `if`, and both sides of `==`, are numbers, or both are truth values.",
        wrong: "layer l {\n  axis t: time\n  in x[t]\n  out y[t] = if t == 0 then x else t > 4\n}",
        right: "layer l {\n  axis t: time\n  in x[t]\n  out y[t] = if t == 0 then x else 4\n}",
    }
    E0307 = "constant that cannot be computed" {
        "Constant expressions are computed when the layer is compiled, integers in 64 bits and reals in float64. Division by zero, overflow and undefined powers are errors there.",
        wrong: "layer l {\n  size N = 0\n  axis t: time\n  in x[t]\n  out y[t] = x * (8 // N)\n}",
        right: "layer l {\n  size N = 2\n  axis t: time\n  in x[t]\n  out y[t] = x * (8 // N)\n}",
    }
    E0308 = "term without meaning" {
        "The graph IR refuses this term: its operands, or the axes on which they depend, do not fit. In a layer, other checks should have found a better explanation; please report it.",
        wrong: "$ weft opt broken.graph",
        right: "$ weft opt good.graph",
    }
    E0309 = "not an initialiser" {
        "`param w[e] ~ normal(0, 0.02)` says how generated values of a parameter are distributed: `uniform(low, high)`, `normal(mean, deviation)`, a constant, or an elementwise function of such.",
        wrong: "layer l {\n  axis t: time\n  in x[t]\n  param w ~ if 1 > 0 then 1 else 2\n  out y[t] = x * w\n}",
        right: "layer l {\n  axis t: time\n  in x[t]\n  param w ~ log(uniform(1, 16))\n  out y[t] = x * w\n}",
    }
}
