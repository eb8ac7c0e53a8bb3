//! E04xx: causality and recurrences.

codes! {}
