//! What to do about an error, where its message does not say it better.

use super::Code;

/// Hints by code, in order. A message that knows more replaces its code's hint.
const HINTS: &[(&str, &str)] = &[
    ("E0001", "save the file as UTF-8"),
    ("E0002", "give the layer's own source; tensors go into safetensors files"),
    ("E0005", "write a number that fits: integers below 2^63, reals such as `1e300`"),
    ("E0007", "close the bracket, or take it away"),
    ("E0024", "take it away, or open a bracket before it"),
    ("E0025", "repair the first ones; the others often follow from them"),
    ("E0106", "look at the parameters of the function's definition"),
    ("E0107", "name one axis for each axis in the function's brackets"),
    ("E0110", "look for the name in the module's own definitions"),
    ("E0111", "say which with `--layer NAME`"),
    ("E0112", "look at the tensors that the group's definition lists"),
    ("E0114", "give a layer an `out`, and a function one value"),
    ("E0201", "give one subscript for each declared index, or none"),
    ("E0206", "define every position of the axis once: `y[i]` and `y[i + D//2]` for `i` below `D//2`"),
    ("E0211", "declare a second index of the same axis: `index j: t`"),
    ("E0212", "read at the value's own batch index"),
    ("E0213", "use sizes, constants and numbers only"),
    ("E0305", "make both numbers, or both truth values"),
    ("E0307", "choose sizes and constants for which it can be computed"),
    ("E0308", "report it, with the source"),
    ("E0309", "write `uniform(low, high)`, `normal(mean, deviation)` or a constant"),
    ("E0501", "look at the layer's `size`, `const` and `axis` declarations for the names that there are"),
    ("E0504", "choose a number within the bounds"),
    ("E0510", "look at the path and its permissions; what was there before is unchanged"),
    ("E0511", "write it with a safetensors library"),
    ("E0514", "convert the tensor to the type that the layer declares"),
    ("E0515", "give one length for each sequence, from 1 to the extent in the inputs"),
    ("E0516", "give the extent with `-D NAME=VALUE`, or inputs whose shapes agree"),
    ("E0517", "write `sizes` as a JSON object of names and numbers, or leave it out"),
    ("E0518", "make the runtime extents smaller"),
    ("E0602", "`--backend evaluator` runs every layer"),
    ("E0603", "`--backend interpreter` runs every kernel"),
    ("E0606", "guard the value with `where` or `if` where it does not exist"),
];

impl Code {
    /// What to do about an error of this kind, if that is the same for all.
    pub fn hint(self) -> Option<&'static str> {
        HINTS.iter().find(|(code, _)| *code == self.as_str()).map(|(_, hint)| *hint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_are_for_codes_that_there_are() {
        assert!(HINTS.windows(2).all(|w| w[0].0 < w[1].0));
        for (code, _) in HINTS {
            assert!(Code::parse(code).is_some(), "{code}");
        }
    }
}
