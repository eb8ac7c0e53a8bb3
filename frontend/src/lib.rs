//! Weft: a compiler for sequence-mixing layers. The language, its diagnostics, the driver and the command line.

pub mod diagnostics;
pub mod fmt;
pub mod sema;
pub mod syntax;
