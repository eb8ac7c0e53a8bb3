//! Gradients: against finite differences in the evaluator, along the whole road of kernels, and as the driver computes them.

mod codes;
mod differences;
mod driven;
mod hand_written;
mod imposed;
mod layers;
mod ragged;
mod saved;
mod selection;
mod subsets;

pub(crate) use differences::differences;
