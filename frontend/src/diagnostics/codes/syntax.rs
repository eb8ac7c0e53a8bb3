//! E00xx: text that is not in the grammar.

codes! {
    E0001 = "source is not UTF-8 text" {
        "A source file is UTF-8 text. This one has bytes that are not; perhaps it is another kind of file, or was saved in another encoding.",
        wrong: "$ weft check model.safetensors",
        right: "$ weft check model.weft",
    }
    E0002 = "source is too large" {
        "A source file may have at most 16 MiB. A layer is a page of text; a file of this size is probably not a Weft source.",
        wrong: "$ weft check corpus.txt",
        right: "$ weft check layer.weft",
    }
    E0003 = "character that the language does not use" {
        "Names are made of the letters a to z, A to Z, digits and `_`; everything else is one of the operators and brackets of the grammar. \
         Statements need no `;`, comments start with `#`, and the logical operators are the words `and`, `or` and `not`.",
        wrong: "fn f(x, y) = x ≤ y && y < 1;",
        right: "fn f(x, y) = x <= y and y < 1",
    }
    E0004 = "malformed number" {
        "A number is `12`, `1.5`, `1e-5` or `1.5e3`: digits on both sides of the point, at least one digit in the exponent, and no letters right after it. \
         A product is written with `*`.",
        wrong: "fn f(x) = 2x + 1.",
        right: "fn f(x) = 2 * x + 1.0",
    }
    E0005 = "number out of range" {
        "An integer literal must be less than 2^63, and a float literal must be representable as a double: neither so large that it would be infinite, \
         nor so small that it would become zero.",
        wrong: "fn f(x) = x + 1e999",
        right: "fn f(x) = x + 1e300",
    }
    E0006 = "unexpected text" {
        "The text up to this place is the beginning of something, and what stands here cannot continue it. The message says what could. \
         Frequent causes are a missing `,` or `*`, and a bracket that was closed too early.",
        wrong: "fn f(x, y) = max2(x y)",
        right: "fn f(x, y) = max2(x, y)",
    }
    E0007 = "bracket that is never closed" {
        "A `(`, `[`, `{` or `|` was opened and the next statement, item or the end of the file came before it was closed. Line ends mean nothing in the language, \
         so a bracket stays open until it is closed.",
        wrong: "layer l {\n  axis t: time\n  in x[t]\n  let a[t] = 2 * (x + 1\n  out y[t] = a\n}",
        right: "layer l {\n  axis t: time\n  in x[t]\n  let a[t] = 2 * (x + 1)\n  out y[t] = a\n}",
    }
    E0008 = "expression is nested too deeply" {
        "An expression may be at most 256 operations high and 128 brackets deep. Give its parts names with `let`: the compiler looks through names, so this costs nothing.",
        wrong: "fn f(x) = ((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((x))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))",
        right: "fn f(x) = x",
    }
    E0009 = "not an item" {
        "A file is a list of items, each of which starts with `layer`, `fn`, `group` or `use`. Statements such as `let` belong inside a layer or a function.",
        wrong: "let a = 1\nfn f(x) = x",
        right: "fn f(x) = x + 1",
    }
    E0010 = "not a statement" {
        "Inside a layer or a function, each statement starts with a keyword: `let`, `rec`, `out`, `index`, `return`, and in layers `size`, `const`, `require`, `axis`, \
         `in`, `param`. Only the pieces of a function's named result, `y[2*i] = ..`, have none.",
        wrong: "layer l {\n  axis t: time\n  in x[t]\n  a = 2\n  out y[t] = a * x\n}",
        right: "layer l {\n  axis t: time\n  in x[t]\n  let a = 2\n  out y[t] = a * x\n}",
    }
    E0011 = "expression expected" {
        "A value must stand here: a number, a name, an extent `|t|`, a call, or an expression in parentheses.",
        wrong: "fn f(x) = x * / 2",
        right: "fn f(x) = x / 2",
    }
    E0012 = "`=` inside an expression" {
        "`=` defines a name. The comparison for equality is `==`.",
        wrong: "fn f(x) = if x = 0 then 1 else x",
        right: "fn f(x) = if x == 0 then 1 else x",
    }
    E0013 = "unknown reducer" {
        "`NAME(i, j: value where guard)` binds the indices i and j and reduces over them. The reducers are `sum`, `mean`, `max`, `min`, `count`, `any`, `all`, `argmin` \
         and `argmax`. A product can be written as `exp(sum(j: log(x)))` where the factors are positive.",
        wrong: "fn f[j](x[j]) = average(j: x)",
        right: "fn f[j](x[j]) = mean(j: x)",
    }
    E0014 = "unknown element type" {
        "The element types are `bool`, `int`, `i32`, `i64`, `float` (which `--float` sets), `f16`, `bf16`, `f32` and `f64`.",
        wrong: "fn f(x) {\n  let a: float32 = x\n  return a\n}",
        right: "fn f(x) {\n  let a: f32 = x\n  return a\n}",
    }
    E0015 = "unknown axis role" {
        "An axis may have the role `time`: values arrive along it, one by one, when the layer decodes. There are no other roles; an axis without one needs no `:`.",
        wrong: "layer l {\n  axis b: batch, t: time\n  in x[b,t]\n  out y[b,t] = x\n}",
        right: "layer l {\n  axis b, t: time\n  in x[b,t]\n  out y[b,t] = x\n}",
    }
    E0016 = "axes of a call must be plain names" {
        "`f[j](..)` applies the function f over the axis j, so what stands in the brackets names axes and is not an expression. \
         To apply a function to shifted or selected values, subscript its argument.",
        wrong: "fn f[j](x[j]) = softmax[j - 1](x)",
        right: "fn f[j](x[j]) = softmax[j](x)",
    }
    E0017 = "statement in the wrong place" {
        "Sizes, constants, facts, axes, inputs, parameters and outputs belong to a layer. `return` and pieces `y[2*i] = ..` belong to a function. Items do not nest.",
        wrong: "fn f(x) {\n  size N = 4\n  return x * N\n}",
        right: "layer l {\n  size N = 4\n  axis t: time\n  in x[t]\n  out y[t] = x * N\n}",
    }
    E0018 = "reserved word used as a name" {
        "These words have a fixed meaning and cannot be names: `if`, `then`, `else`, `where`, `and`, `or`, `not`, `let`, `rec`, `return`, `require`, `fn`, `layer`. \
         The other keywords (`group`, `in`, `index` ..) may be used as names.",
        wrong: "fn f(x) {\n  let rec = x\n  return rec\n}",
        right: "fn f(x) {\n  let r = x\n  return r\n}",
    }
    E0019 = "`if` or `not` needs parentheses" {
        "`if .. then .. else ..` extends as far to the right as it can and binds looser than every operator, so as an operand it needs parentheses. \
         So does `not` as an operand of anything but `and` and `or`.",
        wrong: "fn f(x) = 1 + if x > 0 then x else 0",
        right: "fn f(x) = 1 + (if x > 0 then x else 0)",
    }
    E0020 = "incomplete `if`" {
        "`if` is an expression and has a value in both cases: `if condition then value else value`. To leave things out of a sum, use a guard: `sum(j: x where condition)`.",
        wrong: "fn f(x) = if x > 0 then x",
        right: "fn f(x) = if x > 0 then x else 0",
    }
    E0021 = "`where` outside an argument" {
        "`where` says at which places an argument of a reducer or function counts: `sum(j: x where p)`, `softmax[j](s where p)`. Elsewhere use `if p then x else ..`.",
        wrong: "fn f[j](x[j]) = x where x > 0",
        right: "fn f[j](x[j]) = if x > 0 then x else 0",
    }
    E0022 = "dotted name is not a function" {
        "A dot picks a tensor of a parameter group, as in `k.wz`. Functions and reducers have plain names.",
        wrong: "group g[e] { w[e] }\nfn f[e](x[e], p: g[e]) = p.w(x)",
        right: "group g[e] { w[e] }\nfn f[e](x[e], p: g[e]) = p.w * x",
    }
    E0023 = "empty brackets" {
        "Square brackets hold at least one axis or subscript. A value without axes is written without brackets, and a tensor named without brackets stands at its declared indices.",
        wrong: "fn f(x) {\n  let a[] = x\n  return a\n}",
        right: "fn f(x) {\n  let a = x\n  return a\n}",
    }
    E0024 = "closing bracket without an opening one" {
        "There is a `)`, `]` or `}` here that closes nothing. Perhaps an earlier one was closed twice.",
        wrong: "fn f(x) = (x + 1))",
        right: "fn f(x) = (x + 1)",
    }
    E0025 = "too many errors" {
        "After 64 errors in one file, the rest of it is not looked at. Repair the first ones: the others often follow from them.",
        wrong: "fn a(x) = 1x + 1x + 1x + 1x + 1x + 1x + 1x + 1x + 1x + 1x + 1x + 1x + 1x + 1x + 1x + 1x + 1x + 1x + 1x + 1x + 1x + 1x + 1x + 1x + 1x + 1x + 1x + 1x + 1x + 1x + 1x + 1x + 1x + 1x + 1x + 1x + 1x + 1x + 1x + 1x + 1x + 1x + 1x + 1x + 1x + 1x + 1x + 1x + 1x + 1x + 1x + 1x + 1x + 1x + 1x + 1x + 1x + 1x + 1x + 1x + 1x + 1x + 1x + 1x + 1x + 1x",
        right: "fn a(x) = 66 * x",
    }
}
