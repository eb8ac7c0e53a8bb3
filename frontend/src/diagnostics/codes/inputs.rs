//! E05xx: sizes, inputs, the command line.

codes! {}
