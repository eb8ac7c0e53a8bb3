//! From text to the syntax tree.

pub mod ast;
mod words;

/// The greatest height of an expression: of the tree, not only of its brackets, since a long `a + b + ..` is a deep tree too.
/// It bounds the stack of every recursive function over expressions.
pub const MAX_DEPTH: u32 = 256;
