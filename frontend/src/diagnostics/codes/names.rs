//! E01xx: names, scopes, calls.

codes! {}
