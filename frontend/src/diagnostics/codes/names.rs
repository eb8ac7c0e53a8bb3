//! E01xx: names, scopes, calls.

codes! {
    E0101 = "name that is not defined" {
        "A name means something from its declaration on: sizes, constants, axes, indices, inputs, parameters and values of a layer share one namespace, and each must be declared before it is used. \
         A function sees only its own parameters, axes and lets.",
        wrong: "layer l {\n  axis t: time\n  in x[t]\n  out y[t] = 2 * z\n}",
        right: "layer l {\n  axis t: time\n  in x[t]\n  out y[t] = 2 * x\n}",
    }
    E0102 = "name defined twice" {
        "There is one namespace, so that `t` means the same thing everywhere in a layer. A reducer does not define a name: it binds an index that is declared.",
        wrong: "layer l {\n  axis t: time\n  in x[t]\n  let a[t] = 2 * x\n  let a[t] = 3 * x\n  out y[t] = a\n}",
        right: "layer l {\n  axis t: time\n  in x[t]\n  let a[t] = 2 * x\n  let c[t] = 3 * x\n  out y[t] = a + c\n}",
    }
    E0103 = "unknown function" {
        "A function is one of the file's own, of a file that it uses, a builtin, or one of the standard library. A value in front of parentheses is not a product: write `*`.",
        wrong: "layer l {\n  axis t: time\n  in x[t]\n  out y[t] = sillu(x)\n}",
        right: "layer l {\n  axis t: time\n  in x[t]\n  out y[t] = silu(x)\n}",
    }
    E0104 = "unknown or different group" {
        "`param k: ssd_params[e, n]` makes an instance of a group of parameters, which a `group` item defines. A function's group parameter takes an instance of the same group.",
        wrong: "group g[e] { w[e] }\nlayer l {\n  size E = 4\n  axis t: time\n  index e: E\n  in x[t,e]\n  param p: gg[e]\n  out y[t,e] = x * p.w\n}",
        right: "group g[e] { w[e] }\nlayer l {\n  size E = 4\n  axis t: time\n  index e: E\n  in x[t,e]\n  param p: g[e]\n  out y[t,e] = x * p.w\n}",
    }
    E0105 = "name of the wrong kind" {
        "The name is known, but is something else than what must stand here: an index where a value is needed, a value where an axis is needed, a tensor with parts.",
        wrong: "layer l {\n  size E = 4\n  axis t: time\n  index e: E\n  in x[t,e]\n  out y[t] = sum(x: 1)\n}",
        right: "layer l {\n  size E = 4\n  axis t: time\n  index e: E\n  in x[t,e]\n  out y[t] = sum(e: x)\n}",
    }
    E0106 = "wrong arguments" {
        "Arguments are given in the order of the parameters. Those with a default may be left out at the end. A guard (`where`) can be given only to a parameter that names it.",
        wrong: "layer l {\n  axis t: time\n  in x[t]\n  out y[t] = max2(x)\n}",
        right: "layer l {\n  axis t: time\n  in x[t]\n  out y[t] = max2(x, 0)\n}",
    }
    E0107 = "wrong axes in the brackets of a call" {
        "A function lists its formal axes in brackets, and a call gives an actual axis for each. A function of one axis may be given several: it then works over all of them together.",
        wrong: "layer l {\n  size E = 4\n  axis t: time\n  index e: E\n  in x[t,e]\n  out y[t,e] = rms(x, 1e-5)\n}",
        right: "layer l {\n  size E = 4\n  axis t: time\n  index e: E\n  in x[t,e]\n  out y[t,e] = rms[e](x, 1e-5)\n}",
    }
    E0108 = "function that calls itself" {
        "Functions are inlined, so none may call itself, directly or through others. What goes on from one position of an axis to the next is a recurrence: `rec`.",
        wrong: "fn f(x) = f(x) + 1\nlayer l {\n  axis t: time\n  in x[t]\n  out y[t] = f(x)\n}",
        right: "layer l {\n  axis t: time\n  in x[t]\n  rec s[t] = if t == 0 then x else s[t - 1] + x\n  out y[t] = s\n}",
    }
    E0109 = "module not found" {
        "`use a.b` takes the functions and groups of the file `a/b.weft`, which is looked for beside the file that is compiled.",
        wrong: "use no.such.module\nlayer l {\n  axis t: time\n  in x[t]\n  out y[t] = x\n}",
        right: "layer l {\n  axis t: time\n  in x[t]\n  out y[t] = x\n}",
    }
    E0110 = "module without that name" {
        "`use a.b.{f, g}` takes the named functions and groups of a module, and each must be defined there: what that module itself uses is not passed on.",
        wrong: "$ weft check misused.weft  # with `use lib.{norm}`, and no `norm` in lib.weft",
        right: "$ weft check used.weft  # with `use lib.{rms_norm}`",
    }
    E0111 = "which layer is meant" {
        "A file may hold several layers. Where it does, `--layer NAME` says which of them is meant.",
        wrong: "$ weft check two_layers.weft",
        right: "$ weft check two_layers.weft --layer first",
    }
    E0112 = "group without that tensor" {
        "`k.wz` names the tensor `wz` of the group instance `k`. The group's definition lists its tensors.",
        wrong: "group g[e] { w[e] }\nlayer l {\n  size E = 4\n  axis t: time\n  index e: E\n  in x[t,e]\n  param p: g[e]\n  out y[t,e] = x * p.v\n}",
        right: "group g[e] { w[e] }\nlayer l {\n  size E = 4\n  axis t: time\n  index e: E\n  in x[t,e]\n  param p: g[e]\n  out y[t,e] = x * p.w\n}",
    }
    E0113 = "layer that is too large" {
        "All calls are inlined, and the result is larger than any layer should be. Usually a chain of functions uses its argument twice at every level, so that the result doubles each time. Name such values with `let`.",
        wrong: "$ weft check doubling.weft",
        right: "$ weft check layer.weft",
    }
    E0114 = "statement that does not fit" {
        "A layer needs at least one output. A function has one value: one `return`, or the pieces of its named result, and not both.",
        wrong: "layer l {\n  axis t: time\n  in x[t]\n  let a[t] = 2 * x\n}",
        right: "layer l {\n  axis t: time\n  in x[t]\n  out y[t] = 2 * x\n}",
    }
}
