//! Poison: what a read outside an axis gives, and everything computed from it.
//!
//! Every value of a box is computed, also where a guard is false, and the selection comes afterwards; so a read
//! that no guard admits must give *something*. It gives poison, which carries the node where it arose, and which is an
//! error only where it reaches an output at a valid position.
//!
//! * floats: a quiet NaN whose payload is the node. Arithmetic keeps payloads; functions that would lose it
//!   (`powf(NaN, 0) = 1`) are guarded. Other NaNs are ordinary values; combined with one, poison may become one.
//! * integers: the lowest 2^32 integers, the offset being the node.
//! * truth values: neither 0 nor 1; the node is lost. `and`, `or` are Kleene's: `false and poison` is false.

use crate::graph::NodeId;

const TAG: u64 = 0x7ff8_a5c3;
/// Integers below this are poison.
const LIMIT: i64 = i64::MIN + (1 << 32);
/// A truth value that is poison.
pub(super) const BOOL: u8 = 2;

pub(super) fn float(node: NodeId) -> f64 {
    f64::from_bits(TAG << 32 | u64::from(node.0))
}

pub(super) fn int(node: NodeId) -> i64 {
    i64::MIN + i64::from(node.0)
}

#[inline]
pub(super) fn is_int(x: i64) -> bool {
    x < LIMIT
}

/// The node at which a float became poison. The sign bit does not count: negation flips it.
#[inline]
pub(super) fn of_float(x: f64) -> Option<NodeId> {
    (x.to_bits() >> 32 & 0x7fff_ffff == TAG).then_some(NodeId(x.to_bits() as u32))
}

pub(super) fn of_int(x: i64) -> Option<NodeId> {
    is_int(x).then_some(NodeId((x.wrapping_sub(i64::MIN)) as u32))
}

/// An element type: its poison.
pub(super) trait Element: Copy + Send + Sync + PartialEq + std::fmt::Debug {
    const ZERO: Self;
    /// Poison that arose at a node.
    fn poison(node: NodeId) -> Self;
    /// Where it arose, if it is poison. Truth values do not know.
    fn poisoned(self) -> Option<Option<NodeId>>;
}

impl Element for f64 {
    const ZERO: Self = 0.0;
    fn poison(node: NodeId) -> Self {
        float(node)
    }
    fn poisoned(self) -> Option<Option<NodeId>> {
        of_float(self).map(Some)
    }
}

impl Element for i64 {
    const ZERO: Self = 0;
    fn poison(node: NodeId) -> Self {
        int(node)
    }
    fn poisoned(self) -> Option<Option<NodeId>> {
        of_int(self).map(Some)
    }
}

impl Element for u8 {
    const ZERO: Self = 0;
    fn poison(_: NodeId) -> Self {
        BOOL
    }
    fn poisoned(self) -> Option<Option<NodeId>> {
        (self > 1).then_some(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn poison_survives_arithmetic() {
        let p = float(NodeId(77));
        for x in [p + 1.0, 2.0 * p, -p, p - p, p.exp(), p.sqrt(), (p * 0.0).sin(), 1.0 / p] {
            assert_eq!(of_float(x), Some(NodeId(77)));
        }
        assert_eq!(of_float(f64::NAN), None);
        assert_eq!(of_int(int(NodeId(5))), Some(NodeId(5)));
        assert_eq!(of_int(-7), None);
    }
}
