//! Graph IR: the float64 evaluator, the text form.

mod fixture;
mod naive;
mod random;
mod smoke;
mod speed;
