//! Integration tests of the intermediate representations: one binary, one module per part.

#[cfg(test)]
mod graph;
mod kernel;
mod loops;
