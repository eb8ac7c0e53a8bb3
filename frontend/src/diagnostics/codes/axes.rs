//! E02xx: axes, indices, bounds.

codes! {
    E0201 = "wrong number of subscripts" {
        "A tensor takes as many subscripts as it declares indices, in the same order. Without brackets it stands at its declared indices. Indices that ride along in a function are not subscripted.",
        wrong: "layer l {\n  axis b, t: time\n  in x[b,t]\n  out y[b,t] = x[t]\n}",
        right: "layer l {\n  axis b, t: time\n  in x[b,t]\n  out y[b,t] = x[b,t]\n}",
    }
    E0202 = "read outside an axis" {
        "Every subscript must be proven to lie within its axis, from the extents, the `require` facts and the conditions that dominate the read: guards after `where`, conditions of `if`, left operands of `and` and `or`. \
         Nothing is padded and nothing is clamped: say what happens at the edge.",
        wrong: "layer l {\n  axis t: time\n  in x[t]\n  out y[t] = x + x[t - 1]\n}",
        right: "layer l {\n  axis t: time\n  in x[t]\n  out y[t] = x + (if t >= 1 then x[t - 1] else 0)\n}",
    }
    E0203 = "bound index that does not occur" {
        "A reducer's index must occur in its value or guard; otherwise the reducer would just multiply by the extent, and usually a subscript has been forgotten: \
         a tensor named without subscripts stands at its declared indices, not at the bound one.",
        wrong: "layer l {\n  axis t: time\n  index j: t\n  in x[t]\n  out y[t] = sum(j: x where t >= 0)\n}",
        right: "layer l {\n  axis t: time\n  index j: t\n  in x[t]\n  out y[t] = sum(j: x[j] where j <= t)\n}",
    }
    E0204 = "argument that does not depend on its axis" {
        "An axis function such as `softmax[j]` compares or mixes the values of its argument along the axis in its brackets. An argument that is constant along it is a mistake: usually a subscript has been forgotten.",
        wrong: "layer l {\n  axis t: time\n  index j: t\n  in x[t]\n  out y[t] = sum(j: softmax[j](x where j <= t))\n}",
        right: "layer l {\n  axis t: time\n  index j: t\n  in x[t]\n  out y[t] = sum(j: softmax[j](x[j] where j <= t) * x[j])\n}",
    }
    E0205 = "value that depends on an index it does not declare" {
        "A value of a layer that lists indices lists all on which it depends, and so does an output. Reduce over the others, or declare them. The value of a function must not depend on the function's own indices.",
        wrong: "layer l {\n  axis t: time\n  index j: t\n  in x[t]\n  out y[t] = x * x[j]\n}",
        right: "layer l {\n  axis t: time\n  index j: t\n  in x[t]\n  out y[t] = sum(j: x * x[j] where j <= t)\n}",
    }
    E0206 = "pieces that do not tile the axis" {
        "The left sides of a piecewise definition must define every position of the axis exactly once, at the sizes of this compilation.",
        wrong: "fn swap[d](x[d]) -> y[d] {\n  index i: |d| // 2\n  y[2*i] = x[2*i + 1]\n}\nlayer l {\n  size D = 8\n  axis t: time\n  index d: D\n  in x[t,d]\n  out y[t,d] = swap[d](x)\n}",
        right: "fn swap[d](x[d]) -> y[d] {\n  index i: |d| // 2\n  y[2*i] = x[2*i + 1]\n  y[2*i + 1] = x[2*i]\n}\nlayer l {\n  size D = 8\n  axis t: time\n  index d: D\n  in x[t,d]\n  out y[t,d] = swap[d](x)\n}",
    }
    E0207 = "left side of a piece that is not affine" {
        "The left side of a piece is affine in indices that the function declares, with positive constant steps: `y[2*i + 1]`, `y[i + |d|//2]`, `y[h*16 + e]`. So the position on the axis determines the indices.",
        wrong: "fn f[d](x[d]) -> y[d] {\n  index i: |d|\n  y[|d| - 1 - i] = x[i]\n}\nlayer l {\n  size D = 8\n  axis t: time\n  index d: D\n  in x[t,d]\n  out y[t,d] = f[d](x)\n}",
        right: "fn f[d](x[d]) -> y[d] {\n  y[d] = x[|d| - 1 - d]\n}\nlayer l {\n  size D = 8\n  axis t: time\n  index d: D\n  in x[t,d]\n  out y[t,d] = f[d](x)\n}",
    }
    E0208 = "several axes used as one" {
        "A formal axis may be bound to several actual axes, as in `rms[hs, ph](y)`. Then it has no position of its own and can only be used whole: in a reducer, in `|c|`, and in the brackets of a parameter.",
        wrong: "fn weight[c](x[c]) = sum(c: x * c)\nlayer l {\n  size H = 2, D = 4\n  axis t: time\n  index h: H, d: D\n  in x[t,h,d]\n  out y[t] = weight[h, d](x)\n}",
        right: "fn weight[c](x[c]) = sum(c: x * x)\nlayer l {\n  size H = 2, D = 4\n  axis t: time\n  index h: H, d: D\n  in x[t,h,d]\n  out y[t] = weight[h, d](x)\n}",
    }
    E0209 = "extent that is not positive, or too large" {
        "An axis has at least one position and at most 2^30. The extent is computed from the sizes of this compilation.",
        wrong: "layer l {\n  size E = 4\n  axis t: time\n  index e: E // 8\n  in x[t,e]\n  out y[t,e] = x\n}",
        right: "layer l {\n  size E = 4\n  axis t: time\n  index e: E // 2\n  in x[t,e]\n  out y[t,e] = x\n}",
    }
    E0210 = "extent that is not known early enough" {
        "The extent of an `index` is computed from sizes when the layer is compiled. An `axis` may have an extent that follows from a runtime one, as in `axis c = |t| // 16`: one extent, times and plus constants, divided by a constant.",
        wrong: "layer l {\n  axis t: time\n  index i: |t| // 2\n  in x[t]\n  out y[t] = x + sum(i: x[i] where i <= t)\n}",
        right: "layer l {\n  axis t: time, i = |t| // 2\n  in x[t]\n  out y[t] = x + sum(i: x[i] where 2 * i + 1 <= t)\n}",
    }
    E0211 = "axis that stands twice in one place" {
        "The indices of a declaration, and the axes of a call, must be different ones: each is a dimension of its own. For a matrix over one axis declare a second index: `index j: t`.",
        wrong: "layer l {\n  axis t: time\n  in x[t]\n  let s[t,t] = x * x\n  out y[t] = x\n}",
        right: "layer l {\n  axis t: time\n  index j: t\n  in x[t]\n  let s[t,j] = x * x[j]\n  out y[t] = sum(j: s where j <= t)\n}",
    }
    E0212 = "read from another document" {
        "Sequences of a batch have different lengths, so a position of one is not known to exist in another. A tensor over batch and time is read at its own batch index.",
        wrong: "layer l {\n  axis b, t: time\n  index a: b\n  in x[b,t]\n  out y[b,t] = sum(a: x[a,t])\n}",
        right: "layer l {\n  axis b, t: time\n  index j: t\n  in x[b,t]\n  out y[b,t] = sum(j: x[b,j] where j <= t)\n}",
    }
    E0213 = "value that is not a constant" {
        "Sizes, constants, facts and the numbers in initialisers are computed when the layer is compiled, from sizes and constants only.",
        wrong: "layer l {\n  axis t: time\n  size N = |t|\n  in x[t]\n  out y[t] = x * N\n}",
        right: "layer l {\n  size N = 4\n  axis t: time\n  in x[t]\n  out y[t] = x * N\n}",
    }
}
