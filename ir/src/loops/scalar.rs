//! Meaning of the integer operators on one lane.

/// Quotient rounded down; `None` where the divisor is 0 or the quotient overflows.
pub(crate) fn div_floor(a: i64, b: i64) -> Option<i64> {
    let (q, r) = (a.checked_div(b)?, a.checked_rem(b)?);
    Some(if r != 0 && (r < 0) != (b < 0) { q - 1 } else { q })
}

/// Remainder with the sign of the divisor; `None` where the divisor is 0 or the quotient overflows.
pub(crate) fn mod_floor(a: i64, b: i64) -> Option<i64> {
    let r = a.checked_rem(b)?;
    Some(if r != 0 && (r < 0) != (b < 0) { r + b } else { r })
}
