//! Gradients: against finite differences in the evaluator, and along the whole road of kernels.

mod differences;
mod layers;

pub(crate) use differences::differences;
