//! E03xx: element types.

codes! {}
