//! Integration tests of weft-ir: one binary, a module for each part.

mod graph;
