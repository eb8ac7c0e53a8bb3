//! E06xx: scheduling and backends.

codes! {
    E0601 = "memory that grows with the square of the length" {
        "Some value over two axes that both grow with the length of the sequence would have to be stored: no kernel computes it where it is used. The message shows the way from the output to it. `--allow-quadratic-memory` stores it all the same; the evaluator always does.",
        wrong: "$ weft check outer.weft",
        right: "$ weft check outer.weft --allow-quadratic-memory",
    }
    E0602 = "layer that has no schedule" {
        "The scheduler has no kernel for some value of the layer; the message says which. The evaluator runs every layer.",
        wrong: "$ weft check unscheduled.weft",
        right: "$ weft check unscheduled.weft --backend evaluator",
    }
    E0603 = "kernel that a backend does not support" {
        "A backend lacks an operation that a kernel uses, or memory for a tile of it (all tiles of a kernel together may take 1 GiB); the message says which. The interpreter runs every kernel.",
        wrong: "$ weft check largest.weft --backend cranelift -D E=400000000",
        right: "$ weft check largest.weft --backend cranelift -D E=400",
    }
    E0604 = "not in this version" {
        "The option, mode, backend or target is part of Weft's command line, but this version does not have it yet.",
        wrong: "$ weft check layer.weft --decode",
        right: "$ weft check layer.weft",
    }
    E0605 = "machine that a backend does not support" {
        "The Cranelift backend makes code for x86-64 with AVX2 and FMA and for AArch64.",
        wrong: "$ weft check layer.weft --backend cranelift",
        right: "$ weft check layer.weft --backend interpreter",
    }
    E0606 = "output that depends on an undefined value" {
        "Somewhere a value is used that does not exist: an integer made of a number that is none, such as 0/0. A guard (`where`, `if`) that is false there would make it a zero.",
        wrong: "$ weft check undefined.weft --backend evaluator",
        right: "$ weft check layer.weft --backend evaluator",
    }
    E0607 = "schedule file that does not fit" {
        "A file given with `--schedule` has a line that is not understood, or speaks of a kernel that the layer does not become. `weft compile FILE --emit schedule -o -` prints the choices that there are, in the form of such a file.",
        wrong: "$ weft check layer.weft --schedule wrong.schedule",
        right: "$ weft check layer.weft --schedule layer.schedule",
    }
    E0608 = "more to save for backward than is allowed" {
        "Backward reads what forward has stored. `--max-saved` bounds it: what does not fit is computed again. Decisions (nearest code, rank, threshold) are not made a second time, since rounding could make them otherwise, so they, and what only the kernels that make them know, are saved in any case. The message says how many bytes that is.",
        wrong: "$ weft check nearest.weft --grad --max-saved 4",
        right: "$ weft check nearest.weft --grad --max-saved 64K",
    }
}
