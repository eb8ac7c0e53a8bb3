//! Integration tests of the intermediate representations: one binary, one module per part.

mod graph;
mod kernel;
mod loops;
