//! Weft: a compiler for sequence-mixing layers. The language, its diagnostics, the driver and the command line.

pub mod cli;
pub mod diagnostics;
pub mod driver;
pub mod fmt;
pub mod sema;
pub mod syntax;
