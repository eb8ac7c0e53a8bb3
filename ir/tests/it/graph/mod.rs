//! Graph IR: the float64 evaluator, the text form.

mod naive;
mod random;
mod smoke;
