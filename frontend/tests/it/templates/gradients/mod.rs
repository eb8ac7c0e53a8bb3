//! Gradients: against finite differences in the evaluator, and along the whole road of kernels.

mod differences;
mod hand_written;
mod layers;
mod saved;

pub(crate) use differences::differences;
