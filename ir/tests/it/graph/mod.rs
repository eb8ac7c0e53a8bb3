//! Graph IR: the float64 evaluator, the text form.

mod smoke;
