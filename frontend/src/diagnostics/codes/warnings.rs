//! W: programs that are probably not what was meant.

codes! {}
