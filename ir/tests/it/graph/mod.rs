//! Graph IR: the float64 evaluator, the text form.

mod decisions;
mod derivative;
mod fixture;
mod laws;
mod naive;
mod ops;
mod random;
mod smoke;
mod text;
