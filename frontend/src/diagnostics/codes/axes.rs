//! E02xx: axes, indices, bounds.

codes! {}
