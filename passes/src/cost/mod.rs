//! What a plan costs: operations, bytes, and a prediction of time.
//!
//! [`Walk`] executes the control flow of a kernel at given extents without its data; long grids and loops are sampled. [`model`]
//! predicts from what the walk meets how long a kernel takes on a [`crate::lower::Target`]: the scheduler compares tile
//! extents by it, and fusion compares plans.

pub mod model;
mod walk;

pub use walk::{Extents, Visit, Walk};
